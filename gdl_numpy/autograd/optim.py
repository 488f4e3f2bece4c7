"""How a gradient becomes a step: SGD and Adam with torch's arithmetic.

`gdl_numpy.optim` has more of them, in a form that spares the memory of large models.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from gdl_numpy.autograd.tensor import Tensor
from gdl_numpy.messages import kind_of
from gdl_numpy.nn.checks import real

if TYPE_CHECKING:
    from collections.abc import Iterable


class SGD:
    """Gradient descent: p ← p - lr · grad. The learning rate may change between steps."""

    def __init__(self, params: Iterable[Tensor], lr: float = 1e-3) -> None:
        """Raises ValueError for no parameters, what is no leaf Tensor, or a negative learning rate."""
        name = type(self).__name__
        self.params, (self.lr,) = list(params), real(name, lr=lr)
        if not self.params:
            raise ValueError(f"{name} got an empty parameter list")
        for p in self.params:  # those of a Tensor are its rows, which indexing made
            if not isinstance(p, Tensor) or p._history != ():
                raise ValueError(f"{name} expects leaf Tensors, got {kind_of(p)} {np.shape(p)}")
        if not lr >= 0:
            raise ValueError(f"{name} expects lr ≥ 0, got {lr}")

    def step(self) -> None:
        """Gives every parameter that has a gradient its next values."""
        for parameter in self.params:
            if parameter.grad is not None:
                parameter.data = parameter.data - self.change(parameter, parameter.grad)

    def change(self, parameter: Tensor, grad: np.ndarray) -> np.ndarray:
        """What to take away from a parameter, by its gradient."""
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
        """Raises ValueError for a beta outside [0, 1), or a negative eps."""
        super().__init__(params, lr)
        if not (all(0 <= beta < 1 for beta in betas) and eps >= 0):
            raise ValueError(f"Adam expects betas in [0, 1) and eps ≥ 0, got {betas} and {eps}")
        self.betas, self.eps = betas, eps
        self.state = {p: (0, np.zeros_like(p.data), np.zeros_like(p.data)) for p in self.params}

    def change(self, parameter: Tensor, grad: np.ndarray) -> np.ndarray:
        (t, m, v), (beta1, beta2) = self.state[parameter], self.betas
        t, m, v = t + 1, beta1 * m + (1 - beta1) * grad, beta2 * v + (1 - beta2) * grad * grad
        self.state[parameter] = t, m, v
        deviation = np.sqrt(v) / math.sqrt(1 - beta2**t) + self.eps
        return np.asarray(float(self.lr) / (1 - beta1**t) * m / deviation)
