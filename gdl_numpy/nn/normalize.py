"""Vectors scaled to length 1."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gdl_numpy.nn.checks import check_floating, check_grad_output
from gdl_numpy.nn.module import Module

if TYPE_CHECKING:
    from jaxtyping import Float


class Normalize(Module):
    """Divides vectors by their length: y = x / n, n = max(‖x‖₂, eps), as `torch.nn.functional.normalize`.

    Where ‖x‖ > eps, y does not change with the length of x: its gradient has no part along y,

        dL/dx = (dL/dy - (y · dL/dy) y) / n

    At or below eps, n is a constant and dL/dx = dL/dy / n: a vector of zeros stays zeros, without a nan.
    """

    def __init__(self, dim: int = 1, eps: float = 1e-12) -> None:
        """Raises ValueError for eps ≤ 0.

        Args:
            dim: the dimension along which a vector lies.
            eps: the least number that is divided by.
        """
        if not eps > 0:
            raise ValueError(f"Normalize expects eps > 0, got {eps}")
        self.dim, self.eps = dim, eps

    def forward(self, x: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
        """Raises ValueError for an input that has no dimension `dim`."""
        check_floating(self, input=x)
        if not -x.ndim <= self.dim < x.ndim:
            raise ValueError(f"{self!r} expects an input with dimension {self.dim}, got shape {x.shape}")
        y, norm = normalize(x, self.dim, self.eps)
        self.save_for_backward(y, norm)
        return y

    def backward(self, grad_output: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"] | None:
        y, norm = self.saved
        check_grad_output(self, grad_output, y.shape, y.dtype)
        return normalize_backward(grad_output, y, norm, self.dim, self.eps) if self.needs_input_grad else None

    def extra_repr(self) -> str:
        return f"dim={self.dim}, eps={self.eps}"


def normalize(
    x: Float[np.ndarray, "*shape"], dim: int, eps: float
) -> tuple[Float[np.ndarray, "*shape"], Float[np.ndarray, "*norms"]]:
    """Both y = x / n and n = max(‖x‖, eps), which keeps `dim` with size 1."""
    norm = np.maximum(np.sqrt((x * x).sum(axis=dim, keepdims=True)), x.dtype.type(eps))
    return x / norm, norm


def normalize_backward(
    grad_output: Float[np.ndarray, "*shape"],
    y: Float[np.ndarray, "*shape"],
    norm: Float[np.ndarray, "*norms"],
    dim: int,
    eps: float,
) -> Float[np.ndarray, "*shape"]:
    """dL/dx from dL/dy and what `normalize` gave."""
    along = (y * grad_output).sum(axis=dim, keepdims=True)
    along *= norm > eps
    grad_x: np.ndarray = grad_output - along * y
    grad_x /= norm
    return grad_x
