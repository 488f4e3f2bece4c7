"""Several dimensions joined into one."""

from __future__ import annotations

import math

import numpy as np

from gdl_numpy.nn.checks import check_floating, check_grad_output
from gdl_numpy.nn.module import Module


class Flatten(Module):
    """Joins dimensions `start_dim` to `end_dim`, by default all but the first, as `torch.nn.Flatten`.

    Negative dimensions count from the end. A number on its own, of no dimension, becomes a vector of one.
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Joins the dimensions, in row-major order.

        Raises:
            ValueError: not an array of float32 or float64.
            IndexError: a dimension that the input does not have.
            RuntimeError: `start_dim` comes after `end_dim`, which torch too tells only from the input.
        """
        check_floating(self, input=x)
        start, end = self._dimension(self.start_dim, x), self._dimension(self.end_dim, x)
        if start > end:
            raise RuntimeError(
                f"{self!r} expects start_dim not to come after end_dim, got dimensions {start} and {end} "
                f"of shape {x.shape}"
            )
        y = x.reshape(*x.shape[:start], math.prod(x.shape[start : end + 1]), *x.shape[end + 1 :])
        self.save_for_backward(x, y.shape)
        return y

    def backward(self, grad_output: np.ndarray) -> np.ndarray | None:
        x, y_shape = self.saved
        check_grad_output(self, grad_output, y_shape, x.dtype)
        if not self.needs_input_grad:
            return None
        grad_x = grad_output.reshape(x.shape)
        # A convolution's output is channels-last in memory, and the layers before this one go through memory
        # in its order.
        if x.flags.c_contiguous:
            return grad_x
        grad_like_x: np.ndarray = np.empty_like(x)
        grad_like_x[...] = grad_x
        return grad_like_x

    def _dimension(self, dim: int, x: np.ndarray) -> int:
        """A dimension of the input, counted from the start; a number on its own counts as a vector."""
        ndim = max(x.ndim, 1)
        if not -ndim <= dim < ndim:
            raise IndexError(
                f"{self!r} expects an input that has dimension {dim}, got shape {x.shape} "
                f"with dimensions {-ndim} to {ndim - 1}"
            )
        return dim % ndim

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"
