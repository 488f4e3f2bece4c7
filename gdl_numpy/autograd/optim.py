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


class Optimizer:
    """Parameters, a learning rate that may change between steps, and what each parameter remembers."""

    buffers: tuple[str, ...] = ()

    def __init__(self, params: Iterable[Tensor], lr: float) -> None:
        """Raises ValueError for no parameters, or a negative learning rate."""
        self.params = list(params)
        if not self.params:
            raise ValueError(f"{type(self).__name__} got an empty parameter list")
        if not lr >= 0:
            raise ValueError(f"{type(self).__name__} expects lr ≥ 0, got {lr}")
        self.lr = lr
        self.updates = [0] * len(self.params)
        self.state = [{name: np.zeros_like(p.data) for name in self.buffers} for p in self.params]

    def step(self) -> None:
        """Changes the data of every parameter that has a gradient, in place."""
        for i, (parameter, state) in enumerate(zip(self.params, self.state, strict=True)):
            if parameter.grad is not None:
                self.updates[i] += 1
                self.update(self.updates[i], parameter.data, parameter.grad, *state.values())

    def update(self, t: int, data: np.ndarray, grad: np.ndarray, *buffers: np.ndarray) -> None:
        """The t-th step of one parameter."""
        raise TypeError(f"{type(self).__name__} does not define update")

    def zero_grad(self) -> None:
        for parameter in self.params:
            parameter.grad = None


class SGD(Optimizer):
    """Gradient descent: p ← p - lr · grad."""

    def update(self, t: int, data: np.ndarray, grad: np.ndarray, *buffers: np.ndarray) -> None:
        data -= self.lr * grad


class Adam(Optimizer):
    """Adam (Kingma & Ba 2015), https://arxiv.org/abs/1412.6980.

    m ← β₁ m + (1 - β₁) g                 v ← β₂ v + (1 - β₂) g²
    p ← p - lr · m̂ / (√v̂ + eps)           m̂ = m / (1 - β₁ᵗ), v̂ = v / (1 - β₂ᵗ)
    """

    buffers = ("exp_avg", "exp_avg_sq")

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        """Raises ValueError for a beta outside [0, 1)."""
        if not all(0 <= beta < 1 for beta in betas):
            raise ValueError(f"Adam expects betas in [0, 1), got {betas}")
        self.betas, self.eps = betas, eps
        super().__init__(params, lr)

    def update(self, t: int, data: np.ndarray, grad: np.ndarray, *buffers: np.ndarray) -> None:
        (m, v), (beta1, beta2) = buffers, self.betas
        m *= beta1
        m += (1 - beta1) * grad
        v *= beta2
        v += (1 - beta2) * (grad * grad)
        data -= self.lr / (1 - beta1**t) * m / (np.sqrt(v) / math.sqrt(1 - beta2**t) + self.eps)
