"""Functions applied to every number on its own, and the two that turn a row of scores into probabilities.

Each backward is the chain rule, with the derivative written in terms of the output y that forward has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gdl_numpy.nn.checks import check_floating, check_grad_output
from gdl_numpy.nn.module import Module
from gdl_numpy.nn.select import keep_where

if TYPE_CHECKING:
    from jaxtyping import Float


def sigmoid(x: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """1 / (1 + e⁻ˣ) without overflow: with z = e^-|x| that is 1 / (1 + z) for x ≥ 0, else z / (1 + z)."""
    z = np.exp(-np.abs(x))
    y = np.where(x < 0, z, 1)
    z += 1
    y /= z
    return y


def shifted(x: Float[np.ndarray, "*shape"], dim: int) -> Float[np.ndarray, "*shape"]:
    """Shifted to x - max x, so that no exponential overflows. Infinities give nan, as in torch."""
    with np.errstate(over="ignore", invalid="ignore"):
        y: np.ndarray = x - x.max(axis=dim, keepdims=True, initial=-np.inf)
    return y


def log_softmax(x: Float[np.ndarray, "*shape"], dim: int = -1) -> Float[np.ndarray, "*shape"]:
    """Log of softmax, x - log Σ eˣ along `dim`."""
    y = shifted(x, dim)
    y -= np.log(np.exp(y).sum(axis=dim, keepdims=True))
    return y


class ReLU(Module):
    """y = max(0, x); dL/dx = dL/dy where x > 0, else 0 (at 0 too, as torch has it; a nan lets it pass)."""

    def forward(self, x: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
        check_floating(self, input=x)
        y: np.ndarray = np.maximum(x, 0)
        self.save_for_backward(y)
        return y

    def backward(self, grad_output: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"] | None:
        (y,) = self.saved
        check_grad_output(self, grad_output, y.shape, y.dtype)
        return keep_where(np.not_equal(y, 0), grad_output) if self.needs_input_grad else None


class Sigmoid(Module):
    """y = 1 / (1 + e⁻ˣ); dL/dx = dL/dy · y (1 - y)."""

    def forward(self, x: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
        check_floating(self, input=x)
        y = sigmoid(x)
        self.save_for_backward(y)
        return y

    def backward(self, grad_output: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"] | None:
        (y,) = self.saved
        check_grad_output(self, grad_output, y.shape, y.dtype)
        if not self.needs_input_grad:
            return None
        grad_x: np.ndarray = 1 - y
        grad_x *= y
        grad_x *= grad_output
        return grad_x


class Tanh(Module):
    """y = tanh x; dL/dx = dL/dy · (1 - y²)."""

    def forward(self, x: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
        check_floating(self, input=x)
        y: np.ndarray = np.tanh(x)
        self.save_for_backward(y)
        return y

    def backward(self, grad_output: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"] | None:
        (y,) = self.saved
        check_grad_output(self, grad_output, y.shape, y.dtype)
        if not self.needs_input_grad:
            return None
        grad_x: np.ndarray = y * y
        np.subtract(1, grad_x, out=grad_x)
        grad_x *= grad_output
        return grad_x


ACTIVATIONS: dict[str, type[Module]] = {"relu": ReLU, "sigmoid": Sigmoid, "tanh": Tanh}


class _OverDimension(Module):
    def __init__(self, dim: int = -1) -> None:
        self.dim = dim

    def _check_input(self, x: np.ndarray) -> None:
        check_floating(self, input=x)
        if not -x.ndim <= self.dim < x.ndim:
            raise ValueError(f"{self!r} expects an input that has dimension {self.dim}, got shape {x.shape}")

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class Softmax(_OverDimension):
    """y_i = e^{x_i} / Σ_j e^{x_j}, as `torch.nn.Softmax`; the sum goes over `dim`.

    A larger x_i raises e^{x_i} in y_i alone, and the sum under every y_k. With G = dL/dy, the quotient rule
    gives (δ_ik = 1 for i = k, else 0):

        dy_k/dx_i = δ_ik e^{x_i} / Σ_j e^{x_j} - e^{x_k} e^{x_i} / (Σ_j e^{x_j})² = y_i (δ_ik - y_k)

        dL/dx_i = Σ_k G_k dy_k/dx_i = y_i (G_i - Σ_k G_k y_k)
    """

    def forward(self, x: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
        self._check_input(x)
        y = shifted(x, self.dim)
        np.exp(y, out=y)
        y /= y.sum(axis=self.dim, keepdims=True)
        self.save_for_backward(y)
        return y

    def backward(self, grad_output: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"] | None:
        (y,) = self.saved
        check_grad_output(self, grad_output, y.shape, y.dtype)
        if not self.needs_input_grad:
            return None
        # dL/dx_i = y_i (G_i - Σ_k G_k y_k)
        grad_x: np.ndarray = grad_output - (grad_output * y).sum(axis=self.dim, keepdims=True)
        grad_x *= y
        return grad_x


class LogSoftmax(_OverDimension):
    """y_i = x_i - log Σ_j e^{x_j}, as `torch.nn.LogSoftmax`; the sum goes over `dim`.

    The slope of the logarithm is softmax, which is e^y. With G = dL/dy:

        d(log Σ_j e^{x_j})/dx_i = e^{x_i} / Σ_j e^{x_j} = e^{y_i}

        dy_k/dx_i = δ_ik - e^{y_i}            δ_ik = 1 for i = k, else 0

        dL/dx_i = Σ_k G_k dy_k/dx_i = G_i - e^{y_i} Σ_k G_k
    """

    def forward(self, x: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
        self._check_input(x)
        y = log_softmax(x, self.dim)
        self.save_for_backward(y)
        return y

    def backward(self, grad_output: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"] | None:
        (y,) = self.saved
        check_grad_output(self, grad_output, y.shape, y.dtype)
        if not self.needs_input_grad:
            return None
        # dL/dx_i = G_i - e^{y_i} Σ_k G_k
        grad_x: np.ndarray = np.exp(y)
        grad_x *= grad_output.sum(axis=self.dim, keepdims=True)
        np.subtract(grad_output, grad_x, out=grad_x)
        return grad_x
