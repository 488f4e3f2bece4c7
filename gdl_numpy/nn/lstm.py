"""The long short-term memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike

from gdl_numpy.nn.recurrent import Recurrent, Rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float, Int


class LSTM(Recurrent):
    """A recurrence with a cell c that gates write to, keep, and read from, as ``torch.nn.LSTM``.

    Hochreiter & Schmidhuber 1997, with the forget gate of Gers et al. 2000. The four blocks of rows of
    z_t = W_ih x_t + b_ih + W_hh h_{t-1} + b_hh are, in this order:

        i = σ(z_i)   f = σ(z_f)   g = tanh(z_g)   o = σ(z_o)

        c_t = f ∘ c_{t-1} + i ∘ g             h_t = o ∘ tanh c_t

    Backward, with H_t = dL/dh_t and C_t = dL/dc_t, both with what step t + 1 sends back:

        C_t ← C_t + H_t ∘ o ∘ (1 - tanh² c_t)

        dL/dz_i = C_t ∘ g ∘ i (1 - i)         dL/dz_g = C_t ∘ i ∘ (1 - g²)
        dL/dz_f = C_t ∘ c_{t-1} ∘ f (1 - f)   dL/dz_o = H_t ∘ tanh c_t ∘ o (1 - o)

        C_{t-1} = C_t ∘ f                     H_{t-1} = dL/dh_{t-1} of its own output + W_hhᵀ dL/dz_t

    C passes from step to step times f alone, with no matrix: that is why it does not vanish. The weights'
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
        self,
        x: Float[np.ndarray, "*time_batch input_size"] | Rows,
        state: tuple[
            Float[np.ndarray, "layers *batch hidden_size"], Float[np.ndarray, "layers *batch hidden_size"]
        ]
        | None = None,
        lengths: Int[np.ndarray, " batch"] | None = None,
    ) -> tuple[
        Float[np.ndarray, "*time_batch hidden_size"],
        tuple[Float[np.ndarray, "layers *batch hidden_size"], Float[np.ndarray, "layers *batch hidden_size"]],
    ]:
        """Runs over a batch of sequences.

        Args:
            x: (time, batch, input_size), (batch, time, input_size) with batch_first, or (time, input_size);
                or ``Rows``.
            state: (h0, c0), the initial states of each layer, by default zeros; without batch dimension if x
                has none.
            lengths: how long each sequence is, where some end before the last step: behind its end the output
                is zero, and its state stays.

        Returns:
            the last layer's h_t of all steps, like x; and (h_n, c_n), every layer's states after its
            sequence's last step.

        Raises:
            ValueError: another shape or dtype than that, or a length outside 1 … time.
        """
        output, (h_n, c_n) = self.run(x, state, lengths)
        return output, (h_n, c_n)

    def backward(
        self,
        grad_output: Float[np.ndarray, "*time_batch hidden_size"],
        grad_state: tuple[
            Float[np.ndarray, "layers *batch hidden_size"], Float[np.ndarray, "layers *batch hidden_size"]
        ]
        | None = None,
    ) -> tuple[Any, tuple[np.ndarray, np.ndarray]]:
        """Returns dL/dx (for ``Rows``, of the table) and (dL/dh0, dL/dc0). A gradient of None means zeros."""
        grad_x, (grad_h0, grad_c0) = self.run_backward(grad_output, grad_state)
        return grad_x, (grad_h0, grad_c0)

    def unroll(
        self, z: np.ndarray, weight_hh: np.ndarray, start: Sequence[np.ndarray], ended: np.ndarray | None
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
        ended: np.ndarray | None,
    ) -> tuple[np.ndarray, list[np.ndarray]]:
        _, c, gates, tanh_c = trace
        steps, hidden, batch = grad_h.shape
        dz = np.empty((4 * hidden, steps, batch), c.dtype)
        dz_t = np.empty((4 * hidden, batch), c.dtype)
        blocks = dz_t.reshape(4, hidden, batch)
        dh, dc = grad_last
        for t in reversed(range(steps)):
            gates_t = gates[t].reshape(4, hidden, batch)
            i, f, g, o = gates_t
            dh = dh + grad_h[t]
            dc_t = dc + dh * o * (1 - tanh_c[t] * tanh_c[t])
            slopes = 1 - gates_t
            slopes *= gates_t  # σ' = σ (1 - σ)
            np.subtract(1, g * g, out=slopes[2])  # tanh' = 1 - tanh²
            np.multiply(dc_t, g, out=blocks[0])
            np.multiply(dc_t, c[t], out=blocks[1])
            np.multiply(dc_t, i, out=blocks[2])
            np.multiply(dh, tanh_c[t], out=blocks[3])
            blocks *= slopes
            if ended is not None:
                np.copyto(dz_t, 0, where=ended[t])
            dz[:, t] = dz_t
            stays = 0 if ended is None else np.where(ended[t], dh, np.zeros((), dh.dtype))
            dc_t *= f
            dc = dc_t if ended is None else np.where(ended[t], dc, dc_t)
            dh = weight_hh.T @ dz_t + stays
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
