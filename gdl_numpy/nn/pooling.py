"""Pooling: one number for each window of an image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gdl_numpy.nn.checks import check_floating, check_grad_output
from gdl_numpy.nn.module import Module
from gdl_numpy.nn.select import keep_where
from gdl_numpy.nn.windows import Pair, image_blocks, output_size, pair, shifts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jaxtyping import Float


# Of images pooled at a time, so that all passes over them after the first find them in the cache.
BLOCK_BYTES = 2**20


class _Pool2d(Module):
    """Windows of `kernel_size` every `stride` pixels (by default side by side) over bordered images."""

    def __init__(
        self, kernel_size: int | Pair, stride: int | Pair | None = None, padding: int | Pair = 0
    ) -> None:
        """Raises ValueError for sizes below 1, and for a padding below 0 or more than half the kernel."""
        name = type(self).__name__
        self.kernel_size = pair(name, "kernel_size", kernel_size, at_least=1)
        self.stride = pair(name, "stride", kernel_size if stride is None else stride, at_least=1)
        self.padding = pair(name, "padding", padding, at_least=0)
        if any(2 * p > k for p, k in zip(self.padding, self.kernel_size, strict=True)):
            raise ValueError(
                f"{name} expects a padding of at most half the kernel {self.kernel_size}, got {self.padding}"
            )

    def _pad(self, x: np.ndarray, border: float) -> tuple[np.ndarray, Pair]:
        """The padded images, and how many windows they have in each direction."""
        check_floating(self, input=x)
        if x.ndim != 4:
            raise ValueError(
                f"{self!r} expects an input of shape (batch, channels, height, width), got {x.shape}"
            )
        size = output_size(self, x.shape[2:], self.kernel_size, self.stride, self.padding, (1, 1))
        if self.padding == (0, 0):
            return x, size
        (ph, pw), channels_last = self.padding, x.transpose(0, 2, 3, 1)  # as convolutions leave and want them
        padded = np.pad(channels_last, ((0, 0), (ph, ph), (pw, pw), (0, 0)), constant_values=border)
        return padded.transpose(0, 3, 1, 2), size

    def _unpad(self, padded: np.ndarray) -> np.ndarray:
        (ph, pw), (height, width) = self.padding, padded.shape[2:]
        return padded[:, :, ph : height - ph, pw : width - pw]

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxPool2d(_Pool2d):
    """The largest number of each window, as `torch.nn.MaxPool2d`; its gradient goes to where it came from.

    The maximum of a window is the maximum of its rows' maxima, so pooling the width and then the height does
    the work of k² comparisons in 2 k. Of equal numbers the first, row by row, is taken, as torch does: the
    first of its row, in the first row that has it.
    """

    def forward(
        self, x: Float[np.ndarray, "batch channels height width"]
    ) -> Float[np.ndarray, "batch channels out_height out_width"]:
        padded, (height, width) = self._pad(x, border=-np.inf)
        y = np.empty_like(padded[:, :, :height, :width])
        row_winner = np.empty_like(padded[:, :, :, :width], dtype=np.min_scalar_type(self.kernel_size[1]))
        column_winner = np.empty_like(y, dtype=np.min_scalar_type(self.kernel_size[0]))
        for block in self._blocks(padded):
            row_maxima = max_along(
                padded[block], 3, self.kernel_size[1], self.stride[1], self.padding[1], row_winner[block]
            )
            y[block] = max_along(
                row_maxima, 2, self.kernel_size[0], self.stride[0], self.padding[0], column_winner[block]
            )
        self.save_for_backward(padded, row_winner, column_winner)
        return y

    def backward(
        self, grad_output: Float[np.ndarray, "batch channels out_height out_width"]
    ) -> Float[np.ndarray, "batch channels height width"] | None:
        padded, row_winner, column_winner = self.saved
        check_grad_output(self, grad_output, column_winner.shape, padded.dtype)
        if not self.needs_input_grad:
            return None
        grad_padded = np.empty_like(padded)
        for block in self._blocks(padded):
            grad_rows = np.empty_like(padded[block, :, :, : row_winner.shape[3]])
            max_along_backward(
                grad_output[block],
                column_winner[block],
                2,
                self.kernel_size[0],
                self.stride[0],
                out=grad_rows,
            )
            max_along_backward(
                grad_rows, row_winner[block], 3, self.kernel_size[1], self.stride[1], out=grad_padded[block]
            )
        return self._unpad(grad_padded)

    def _blocks(self, padded: np.ndarray) -> Iterator[slice]:
        return image_blocks(len(padded), padded[:1].nbytes, BLOCK_BYTES)


class AvgPool2d(_Pool2d):
    """The mean of each window, zeros of the border included, as `torch.nn.AvgPool2d`."""

    def forward(
        self, x: Float[np.ndarray, "batch channels height width"]
    ) -> Float[np.ndarray, "batch channels out_height out_width"]:
        padded, size = self._pad(x, border=0)
        positions = list(shifts(self.kernel_size, self.stride, (1, 1), size))
        windows = (padded[:, :, rows, columns] for rows, columns in positions)
        y: np.ndarray = sum(windows, start=np.zeros((), padded.dtype))
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
        grad_padded = np.zeros_like(padded)
        for rows, columns in positions:
            grad_padded[:, :, rows, columns] += share
        return self._unpad(grad_padded)


def steps_along(axis: int, kernel: int, stride: int, size: int) -> list[tuple[slice, ...]]:
    """For each position in a one-dimensional kernel, the index of what it meets along `axis`."""
    return [
        (slice(None),) * axis + (slice(start, start + stride * (size - 1) + 1, stride),)
        for start in range(kernel)
    ]


def max_along(
    x: np.ndarray, axis: int, kernel: int, stride: int, padding: int, winner: np.ndarray
) -> np.ndarray:
    """The maximum of each window along one axis; into `winner` goes the first position that has it.

    Of the `padding`, which is -inf, no position wins: where all of a window is -inf, the first in the image.
    """
    first, *others = steps_along(axis, kernel, stride, winner.shape[axis])
    y = x[first]
    in_image = np.maximum(padding - stride * np.arange(winner.shape[axis]), 0)
    winner[...] = in_image.reshape(-1, *[1] * (winner.ndim - axis - 1))
    for position, step in enumerate(others, start=1):
        # The latest position that beat all before it is the largest such; a masked assignment would branch.
        np.maximum(winner, np.multiply(x[step] > y, position, dtype=winner.dtype), out=winner)
        y = np.maximum(y, x[step])
    if np.isnan(y.max(initial=-np.inf)):  # to torch a nan beats every number, and the last of several wins
        for position, step in enumerate(others, start=1):
            winner[np.isnan(x[step])] = position
    return y


def max_along_backward(
    grad: np.ndarray, winner: np.ndarray, axis: int, kernel: int, stride: int, out: np.ndarray
) -> None:
    """dL/dx of `max_along`, into `out`."""
    size = winner.shape[axis]
    # Where each element is in one window, nothing adds up.
    tiled = stride == kernel and size * stride == out.shape[axis]
    if not tiled:
        out[...] = 0
    for position, step in enumerate(steps_along(axis, kernel, stride, size)):
        if tiled:
            keep_where(winner == position, grad, out=out[step])
        else:
            out[step] += keep_where(winner == position, grad)
