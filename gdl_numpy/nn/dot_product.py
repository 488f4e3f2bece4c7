"""How alike is a vector to each of several others?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gdl_numpy.nn.checks import check_floating, check_grad_output
from gdl_numpy.nn.module import Module

if TYPE_CHECKING:
    from jaxtyping import Float


class DotProduct(Module):
    """Dot products of a vector with several others, example by example: y[b, k] = x[b] · w[b, k].

    With G for dL/dy: dL/dx[b] = Σ_k G[b, k] w[b, k] and dL/dw[b, k] = G[b, k] x[b].
    """

    def forward(
        self, x: Float[np.ndarray, "batch size"], w: Float[np.ndarray, "batch count size"]
    ) -> Float[np.ndarray, "batch count"]:
        """Raises ValueError for shapes that do not go together."""
        check_floating(self, x=x, w=w)
        if x.ndim != 2 or w.ndim != 3 or x.shape != (w.shape[0], w.shape[2]):
            raise ValueError(
                f"{self!r} expects (batch, size) and (batch, count, size), got {x.shape} and {w.shape}"
            )
        self.save_for_backward(x, w)
        y: np.ndarray = np.matmul(w, x[:, :, None])[:, :, 0]
        return y

    def backward(
        self, grad_output: Float[np.ndarray, "batch count"]
    ) -> tuple[Float[np.ndarray, "batch size"], Float[np.ndarray, "batch count size"]] | None:
        x, w = self.saved
        check_grad_output(self, grad_output, w.shape[:2], w.dtype)
        if not self.needs_input_grad:
            return None
        return np.matmul(grad_output[:, None], w)[:, 0], grad_output[:, :, None] * x[:, None]
