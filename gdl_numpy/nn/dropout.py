"""Dropout: noise that keeps units from relying on each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gdl_numpy.nn.checks import check_floating, check_grad_output, real
from gdl_numpy.nn.module import Module

if TYPE_CHECKING:
    from jaxtyping import Float


class Dropout(Module):
    """While training, sets each number to 0 with probability p and divides the others by 1 - p.

    The division (*inverted* dropout) keeps the expected value, so nothing changes when evaluating: y = x
    (Srivastava et al. 2014). With the drawn mask m, y = x ∘ m and dL/dx = dL/dy ∘ m.

    Attributes:
        rng: the generator that masks are drawn from; one state gives one mask in float32 and float64.
    """

    def __init__(self, p: float = 0.5, *, rng: np.random.Generator | int | None = None) -> None:
        """Raises ValueError unless 0 ≤ p ≤ 1."""
        (p,) = real("Dropout", p=p)
        if not 0 <= p <= 1:
            raise ValueError(f"Dropout expects p in [0, 1], got {p}")
        self.p = p
        self.rng = np.random.default_rng(rng)

    def forward(self, x: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
        check_floating(self, input=x)
        if not self.training or self.p == 0:
            self.save_for_backward(None, x.shape, x.dtype)
            return x
        kept = self.rng.random(x.shape, dtype=np.float32) >= np.float32(self.p)
        scale = 1 / (1 - self.p) if self.p < 1 else 0.0
        mask = np.multiply(kept, scale, dtype=x.dtype)
        self.save_for_backward(mask, x.shape, x.dtype)
        return x * mask

    def backward(self, grad_output: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"] | None:
        mask, shape, dtype = self.saved
        check_grad_output(self, grad_output, shape, dtype)
        if not self.needs_input_grad:
            return None
        return grad_output if mask is None else grad_output * mask

    def extra_repr(self) -> str:
        return f"p={self.p}"
