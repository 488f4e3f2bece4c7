"""Pooling: one number for each window of an image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gdl_numpy.nn.checks import check_floating, check_grad_output
from gdl_numpy.nn.module import Module
from gdl_numpy.nn.windows import Pair, output_size, pair, shifts

if TYPE_CHECKING:
    from jaxtyping import Float


class _Pool2d(Module):
    """Windows of ``kernel_size``, every ``stride`` pixels (by default side by side), over images with a border."""

    def __init__(
        self, kernel_size: int | Pair, stride: int | Pair | None = None, padding: int | Pair = 0
    ) -> None:
        """Raises ValueError for sizes below 1, and for a padding that is negative or more than half the kernel."""
        name = type(self).__name__
        self.kernel_size = pair(name, "kernel_size", kernel_size, at_least=1)
        self.stride = pair(name, "stride", kernel_size if stride is None else stride, at_least=1)
        self.padding = pair(name, "padding", padding, at_least=0)
        if any(2 * p > k for p, k in zip(self.padding, self.kernel_size, strict=True)):
            raise ValueError(f"{name} expects a padding of at most half the kernel {self.kernel_size}, got {self.padding}")

    def _pad(self, x: np.ndarray, border: float) -> tuple[np.ndarray, Pair]:
        """The padded images, laid out in memory as they came, and how many windows they have in each direction."""
        check_floating(self, input=x)
        if x.ndim != 4:
            raise ValueError(f"{self!r} expects an input of shape (batch, channels, height, width), got {x.shape}")
        size = output_size(self, x.shape[2:], self.kernel_size, self.stride, self.padding, (1, 1))
        if self.padding == (0, 0):
            return x, size
        padded = _zeros_like(x, self.padding)
        padded += border
        self._unpad(padded)[...] = x
        return padded, size

    def _unpad(self, padded: np.ndarray) -> np.ndarray:
        (ph, pw), (height, width) = self.padding, padded.shape[2:]
        return padded[:, :, ph : height - ph, pw : width - pw]

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxPool2d(_Pool2d):
    """The largest number of each window; its gradient goes to where that number came from, as ``torch.nn.MaxPool2d``.

    The maximum of a window is the maximum of its rows' maxima, so pooling the width and then the height does the work of
    k² comparisons in 2 k. Of equal numbers the first, row by row, is taken, as torch does: the first of its row, in the
    first row that has it.
    """

    def forward(
        self, x: Float[np.ndarray, "batch channels height width"]
    ) -> Float[np.ndarray, "batch channels out_height out_width"]:
        padded, size = self._pad(x, border=-np.inf)
        in_rows = max_along(padded, 3, self.kernel_size[1], self.stride[1], size[1])
        in_columns = max_along(in_rows[0], 2, self.kernel_size[0], self.stride[0], size[0])
        self.save_for_backward(padded, in_rows, in_columns)
        return in_columns[0]

    def backward(
        self, grad_output: Float[np.ndarray, "batch channels out_height out_width"]
    ) -> Float[np.ndarray, "batch channels height width"] | None:
        padded, (row_maxima, row_winner), (y, column_winner) = self.saved
        check_grad_output(self, grad_output, y.shape, y.dtype)
        if not self.needs_input_grad:
            return None
        grad_rows = max_along_backward(grad_output, column_winner, row_maxima, 2, self.kernel_size[0], self.stride[0])
        return self._unpad(
            max_along_backward(grad_rows, row_winner, padded, 3, self.kernel_size[1], self.stride[1])
        )


class AvgPool2d(_Pool2d):
    """The mean of each window, zeros of the border included, as ``torch.nn.AvgPool2d``; its gradient is shared evenly."""

    def forward(
        self, x: Float[np.ndarray, "batch channels height width"]
    ) -> Float[np.ndarray, "batch channels out_height out_width"]:
        padded, size = self._pad(x, border=0)
        positions = list(shifts(self.kernel_size, self.stride, (1, 1), size))
        y: np.ndarray = sum(padded[:, :, rows, columns] for rows, columns in positions)
        y /= len(positions)
        self.save_for_backward(positions, padded, y.shape)
        return y

    def backward(
        self, grad_output: Float[np.ndarray, "batch channels out_height out_width"]
    ) -> Float[np.ndarray, "batch channels height width"] | None:
        positions, padded, shape = self.saved
        check_grad_output(self, grad_output, shape, padded.dtype)
        if not self.needs_input_grad:
            return None
        share = grad_output / len(positions)
        grad_padded = _zeros_like(padded)
        for rows, columns in positions:
            grad_padded[:, :, rows, columns] += share
        return self._unpad(grad_padded)


def steps_along(axis: int, kernel: int, stride: int, size: int) -> list[tuple[slice, ...]]:
    """For each position in a one-dimensional kernel, the index of what it meets in all ``size`` windows along ``axis``."""
    return [
        (slice(None),) * axis + (slice(start, start + stride * (size - 1) + 1, stride),) for start in range(kernel)
    ]


def max_along(x: np.ndarray, axis: int, kernel: int, stride: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """The maximum of each window along one axis, and the position in the window of the first element that has it."""
    first, *others = steps_along(axis, kernel, stride, size)
    y = x[first].copy(order="K")
    winner = np.zeros_like(y, dtype=np.min_scalar_type(kernel))
    for position, step in enumerate(others, start=1):
        # The latest position that beat all before it is the largest such position; a masked assignment would branch.
        np.maximum(winner, np.multiply(x[step] > y, position, dtype=winner.dtype), out=winner)
        np.maximum(y, x[step], out=y)
    return y, winner


def max_along_backward(
    grad: np.ndarray, winner: np.ndarray, x: np.ndarray, axis: int, kernel: int, stride: int
) -> np.ndarray:
    """dL/dx of ``max_along``."""
    grad_x = _zeros_like(x)
    for position, step in enumerate(steps_along(axis, kernel, stride, grad.shape[axis])):
        grad_x[step] += grad * (winner == position)
    return grad_x


def _zeros_like(images: np.ndarray, padding: Pair = (0, 0)) -> np.ndarray:
    """Zeros for padded images, channels-last in memory if ``images`` are (what a convolution returns and wants)."""
    batch, channels, height, width = images.shape
    height, width = height + 2 * padding[0], width + 2 * padding[1]
    if images.transpose(0, 2, 3, 1).flags.c_contiguous:
        return np.zeros((batch, height, width, channels), images.dtype).transpose(0, 3, 1, 2)
    return np.zeros((batch, channels, height, width), images.dtype)
