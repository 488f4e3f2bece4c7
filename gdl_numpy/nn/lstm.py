"""The long short-term memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike

from gdl_numpy.nn.recurrent import Recurrent
from gdl_numpy.nn.sequence import Rows, unless_ended

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float, Int

    from gdl_numpy.nn.sequence import Ended

    Sequences = Float[np.ndarray, "*time_batch input_size"] | Rows
    Outputs = Float[np.ndarray, "*time_batch hidden_size"]
    Layers = Float[np.ndarray, "layers *batch hidden_size"]  # one state of all layers
    State = tuple[Layers, Layers]  # (h, c)


class LSTM(Recurrent):
    """A recurrence with a cell c that gates write to, keep, and read from, as `torch.nn.LSTM`.

    Hochreiter & Schmidhuber 1997, with the forget gate of Gers et al. 2000. The four blocks of rows of
    z_t = W_ih x_t + b_ih + W_hh h_{t-1} + b_hh are, in this order:

        i = σ(z_i)   f = σ(z_f)   g = tanh(z_g)   o = σ(z_o)

        c_t = f ∘ c_{t-1} + i ∘ g             h_t = o ∘ tanh c_t

    Backward, where dh_t, dc_t and dz_t stand for dL/dh_t, dL/dc_t and dL/dz_t:

        dh_t += what its own output brings        dc_t += dh_t ∘ o ∘ (1 - tanh² c_t)

        dz_i = dc_t ∘ g ∘ i (1 - i)               dz_g = dc_t ∘ i ∘ (1 - g²)
        dz_f = dc_t ∘ c_{t-1} ∘ f (1 - f)         dz_o = dh_t ∘ tanh c_t ∘ o (1 - o)

        dh_{t-1} = W_hhᵀ dz_t                     dc_{t-1} = dc_t ∘ f

    dc passes from step to step times f alone, with no matrix: that is why it does not vanish. The weights'
    gradients are RNN's.
    """

    blocks = 4
    states = ("h0", "c0")

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        *,
        rng: np.random.Generator | int | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        """Raises ValueError for sizes below 1."""
        super().__init__(input_size, hidden_size, num_layers, bias, batch_first, rng, dtype)

    def forward(
        self, x: Sequences, state: State | None = None, lengths: Int[np.ndarray, " batch"] | None = None
    ) -> tuple[Outputs, State]:
        """Runs over a batch of sequences.

        Args:
            x: (time, batch, input_size), (batch, time, input_size) with batch_first, or (time, input_size);
                or `Rows`.
            state: (h0, c0), the initial states of each layer, by default zeros; without batch dimension if x
                has none.
            lengths: how long each sequence is, where some end before the last step: after its end the output
                is zero, and its state stays.

        Returns:
            the last layer's h_t of all steps, like x; and (h_n, c_n), every layer's states after its
            sequence's last step.

        Raises:
            ValueError: another shape or dtype than that, or a length outside 1 … time.
        """
        output, (h_n, c_n) = self.run(x, state, lengths)
        return output, (h_n, c_n)

    def backward(self, grad_output: Outputs, grad_state: State | None = None) -> tuple[Any, State]:
        """Returns dL/dx (for `Rows`, of the table) and (dL/dh0, dL/dc0). A gradient of None means zeros."""
        grad_x, (grad_h0, grad_c0) = self.run_backward(grad_output, grad_state)
        return grad_x, (grad_h0, grad_c0)

    def unroll(
        self, z: np.ndarray, weight_hh: np.ndarray, start: Sequence[np.ndarray], ended: Ended | None
    ) -> tuple[np.ndarray, ...]:
        steps, (hidden, batch) = len(z), start[0].shape
        h, c = (np.empty((steps + 1, hidden, batch), z.dtype) for _ in self.states)
        tanh_c = np.empty((steps, hidden, batch), z.dtype)
        gates = np.empty((steps, 4 * hidden, batch), z.dtype)
        h[0], c[0] = start
        for t, z_t in enumerate(z):
            np.matmul(weight_hh, h[t], out=gates[t])
            gates[t] += z_t
            _activate(gates[t], hidden)
            i, f, g, o = gates[t].reshape(4, hidden, batch)
            np.multiply(f, c[t], out=c[t + 1])
            c[t + 1] += i * g
            np.tanh(c[t + 1], out=tanh_c[t])
            np.multiply(o, tanh_c[t], out=h[t + 1])
            if ended is not None:
                np.copyto(h[t + 1], h[t], where=ended[t])
                np.copyto(c[t + 1], c[t], where=ended[t])
        return h, c, gates, tanh_c

    def unroll_backward(
        self,
        trace: Sequence[np.ndarray],
        weight_hh: np.ndarray,
        grad_h: np.ndarray,
        grad_last: Sequence[np.ndarray],
        ended: Ended | None,
    ) -> tuple[np.ndarray, list[np.ndarray]]:
        _, c, gates, tanh_c = trace
        steps, hidden, batch = grad_h.shape
        dz = np.empty((4 * hidden, steps, batch), c.dtype)
        dz_t = np.empty((4 * hidden, batch), c.dtype)
        dz_i, dz_f, dz_g, dz_o = dz_t.reshape(4, hidden, batch)
        slope_c = 1 - tanh_c * tanh_c
        dh, dc = grad_last
        for t in reversed(range(steps)):
            i, f, g, o = gates[t].reshape(4, hidden, batch)
            # dh_t += what its own output brings
            dh_t = dh + grad_h[t]
            # dc_t += dh_t ∘ o ∘ (1 - tanh² c_t)
            dc_t = dc + dh_t * o * slope_c[t]
            # dz_i = dc_t ∘ g ∘ i (1 - i)
            np.multiply(dc_t * g, i * (1 - i), out=dz_i)
            # dz_f = dc_t ∘ c_{t-1} ∘ f (1 - f), where c[t] is c_{t-1}: c begins with the initial state
            np.multiply(dc_t * c[t], f * (1 - f), out=dz_f)
            # dz_g = dc_t ∘ i ∘ (1 - g²)
            np.multiply(dc_t * i, 1 - g * g, out=dz_g)
            # dz_o = dh_t ∘ tanh c_t ∘ o (1 - o)
            np.multiply(dh_t * tanh_c[t], o * (1 - o), out=dz_o)
            if ended is not None:
                np.copyto(dz_t, 0, where=ended[t])
            dz[:, t] = dz_t
            # dh_{t-1} = W_hhᵀ dz_t
            dh = unless_ended(ended, t, moved=weight_hh.T @ dz_t, stayed=dh_t)
            # dc_{t-1} = dc_t ∘ f
            dc = unless_ended(ended, t, moved=dc_t * f, stayed=dc)
        return dz, [dh, dc]


def _activate(z: np.ndarray, hidden: int) -> None:
    """Tanh of block g, σ of the blocks i, f and o, in place: one tanh, for σ(x) = (1 + tanh(x / 2)) / 2."""
    sigmoids = z[: 2 * hidden], z[3 * hidden :]
    for block in sigmoids:
        block *= 0.5
    np.tanh(z, out=z)
    for block in sigmoids:
        block *= 0.5
        block += 0.5
