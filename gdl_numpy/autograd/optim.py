"""How a gradient becomes a step: SGD and Adam with torch's arithmetic.

`gdl_numpy.optim` has more of them, in a form that spares the memory of large models.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gdl_numpy.autograd.tensor import Tensor


class SGD:
    """Gradient descent: p ← p - lr · grad. The learning rate may change between steps."""

    def __init__(self, params: Iterable[Tensor], lr: float = 1e-3) -> None:
        """Raises ValueError for no parameters, or a negative learning rate."""
        self.params, self.lr = list(params), lr
        if not self.params:
            raise ValueError(f"{type(self).__name__} got an empty parameter list")
        if not lr >= 0:
            raise ValueError(f"{type(self).__name__} expects lr ≥ 0, got {lr}")

    def step(self) -> None:
        """Gives every parameter that has a gradient its next values."""
        for parameter in self.params:
            if parameter.grad is not None:
                change = self.change(parameter, parameter.grad)
                parameter.data = np.subtract(parameter.data, change, out=change)

    def change(self, parameter: Tensor, grad: np.ndarray) -> np.ndarray:
        """What to take away from a parameter, by its gradient, in a new array."""
        return np.asarray(float(self.lr) * grad)

    def zero_grad(self) -> None:
        for parameter in self.params:
            parameter.grad = None


class Adam(SGD):
    """Adam (Kingma & Ba 2015), https://arxiv.org/abs/1412.6980.

    m ← β₁ m + (1 - β₁) g                 v ← β₂ v + (1 - β₂) g²
    p ← p - lr · m̂ / (√v̂ + eps)           m̂ = m / (1 - β₁ᵗ), v̂ = v / (1 - β₂ᵗ)
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        """Raises ValueError for a beta outside [0, 1)."""
        super().__init__(params, lr)
        if not all(0 <= beta < 1 for beta in betas):
            raise ValueError(f"Adam expects betas in [0, 1), got {betas}")
        self.betas, self.eps = betas, eps
        self.state = {p: (0, np.zeros_like(p.data), np.zeros_like(p.data)) for p in self.params}

    def change(self, parameter: Tensor, grad: np.ndarray) -> np.ndarray:
        (t, m, v), (beta1, beta2) = self.state[parameter], self.betas
        t, m, v = t + 1, beta1 * m + (1 - beta1) * grad, beta2 * v + (1 - beta2) * (grad * grad)
        self.state[parameter] = t, m, v
        deviation = np.sqrt(v) / math.sqrt(1 - beta2**t) + self.eps
        return np.asarray(float(self.lr) / (1 - beta1**t) * m / deviation)
