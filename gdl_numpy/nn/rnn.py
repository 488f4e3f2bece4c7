"""The plain recurrent layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import DTypeLike

from gdl_numpy.nn.recurrent import Recurrent
from gdl_numpy.nn.select import keep_where
from gdl_numpy.nn.sequence import Rows, unless_ended

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float, Int

    from gdl_numpy.nn.sequence import Ended

    Sequences = Float[np.ndarray, "*time_batch input_size"] | Rows
    Outputs = Float[np.ndarray, "*time_batch hidden_size"]
    State = Float[np.ndarray, "layers *batch hidden_size"]


class RNN(Recurrent):
    """h_t = f(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh) with f = tanh or relu, as `torch.nn.RNN` (Elman 1990).

    Backward goes back through time, where dh_t and dz_t stand for dL/dh_t and dL/dz_t:

        dh_t += what its own output brings
        dz_t = dh_t ∘ f'(z_t)               f' = 1 - h_t² for tanh, 1 where h_t ≠ 0 for relu
        dh_{t-1} = W_hhᵀ dz_t

        dL/dW_hh = Σ_t dz_t h_{t-1}ᵀ        dL/dW_ih = Σ_t dz_t x_tᵀ        dL/db = Σ_t dz_t
    """

    blocks = 1
    states = ("h0",)

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: Literal["tanh", "relu"] = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        *,
        rng: np.random.Generator | int | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        """Raises ValueError for sizes below 1 or another nonlinearity."""
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(f'RNN expects nonlinearity "tanh" or "relu", got {nonlinearity!r}')
        super().__init__(input_size, hidden_size, num_layers, bias, batch_first, rng, dtype)
        self.nonlinearity = nonlinearity

    def forward(
        self, x: Sequences, h0: State | None = None, lengths: Int[np.ndarray, " batch"] | None = None
    ) -> tuple[Outputs, State]:
        """Runs over a batch of sequences.

        Args:
            x: (time, batch, input_size), (batch, time, input_size) with batch_first, or (time, input_size);
                or `Rows`.
            h0: the initial state of each layer, by default zeros; without batch dimension if x has none.
            lengths: how long each sequence is, where some end before the last step: after its end the output
                is zero, and its state stays.

        Returns:
            the last layer's h_t of all steps, like x; and every layer's h after its sequence's last step.

        Raises:
            ValueError: another shape or dtype than that, or a length outside 1 … time.
        """
        output, (h_n,) = self.run(x, None if h0 is None else (h0,), lengths)
        return output, h_n

    def backward(self, grad_output: Outputs, grad_h_n: State | None = None) -> tuple[Any, State]:
        """Returns dL/dx (for `Rows`, of the table) and dL/dh0. A gradient of None means zeros."""
        grad_x, (grad_h0,) = self.run_backward(grad_output, None if grad_h_n is None else (grad_h_n,))
        return grad_x, grad_h0

    def unroll(
        self, z: np.ndarray, weight_hh: np.ndarray, start: Sequence[np.ndarray], ended: Ended | None
    ) -> tuple[np.ndarray, ...]:
        h = np.empty((len(z) + 1, *start[0].shape), z.dtype)
        h[0] = start[0]
        for t, z_t in enumerate(z):
            np.matmul(weight_hh, h[t], out=h[t + 1])
            h[t + 1] += z_t
            if self.nonlinearity == "tanh":
                np.tanh(h[t + 1], out=h[t + 1])
            else:
                np.maximum(h[t + 1], 0, out=h[t + 1])
            if ended is not None:
                np.copyto(h[t + 1], h[t], where=ended[t])
        return (h,)

    def unroll_backward(
        self,
        trace: Sequence[np.ndarray],
        weight_hh: np.ndarray,
        grad_h: np.ndarray,
        grad_last: Sequence[np.ndarray],
        ended: Ended | None,
    ) -> tuple[np.ndarray, list[np.ndarray]]:
        (h,), (dh,) = trace, grad_last
        steps, hidden, batch = grad_h.shape
        dz = np.empty((hidden, steps, batch), h.dtype)
        for t in reversed(range(steps)):
            h_t = h[t + 1]  # h begins with the initial state
            # dh_t += what its own output brings
            dh_t = dh + grad_h[t]
            # dz_t = dh_t ∘ f'(z_t)
            dz_t = dh_t * (1 - h_t * h_t) if self.nonlinearity == "tanh" else keep_where(h_t != 0, dh_t)
            if ended is not None:
                np.copyto(dz_t, 0, where=ended[t])
            dz[:, t] = dz_t
            # dh_{t-1} = W_hhᵀ dz_t
            dh = unless_ended(ended, t, moved=weight_hh.T @ dz_t, stayed=dh_t)
        return dz, [dh]

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, nonlinearity={self.nonlinearity!r}"
