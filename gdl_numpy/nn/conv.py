"""Two-dimensional convolution as sliding windows and one matrix product."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import DTypeLike

from gdl_numpy.nn.checks import check_floating, check_grad_output, whole
from gdl_numpy.nn.init import fan_in_uniform
from gdl_numpy.nn.module import Module, Parameter
from gdl_numpy.nn.windows import Pair, image_blocks, output_size, pair, shifts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jaxtyping import Float

BLOCK_BYTES = 2**21  # windows are made and used in pieces of this size, so that they never leave the cache
FEW_CHANNELS = 8, 32  # in the input, in the output: below, images lie channel by channel, not pixel by pixel


class Conv2d(Module):
    """y[n, o] = b[o] + Σ_c w[o, c] ⋆ x[n, c], as `torch.nn.Conv2d` (⋆ slides the kernel, unflipped).

    *Unfolding* makes a matrix of the images: one row for each window, of the pixels that it covers and a 1,
    whose weight is the bias. So convolution is a product of two matrices, and so is its backward:

        y     = unfold(x) K            K: the weight as (kernel height · width · in_channels, out_channels),
                                          and below it the bias
        dL/dK = unfold(x)ᵀ G           G = dL/dy, one row for each window
        dL/dx = fold(G Kᵀ)             fold adds each window's pixels up where unfold took them from

    Images are (batch, channels, height, width). In memory those with many channels are channels-last, so that
    a window's pixels lie together; the next layer finds them so, and `transpose` costs nothing.

    Attributes:
        weight: (out_channels, in_channels, kernel height, kernel width)
        bias: (out_channels,), or None
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Pair,
        stride: int | Pair = 1,
        padding: int | Pair = 0,
        dilation: int | Pair = 1,
        *,
        bias: bool = True,
        rng: np.random.Generator | int | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        """Raises ValueError for channels, a kernel_size, stride or dilation below 1, or a padding below 0."""
        in_channels, out_channels = whole("Conv2d", in_channels=in_channels, out_channels=out_channels)
        self.in_channels, self.out_channels = in_channels, out_channels
        self.kernel_size = pair("Conv2d", "kernel_size", kernel_size, at_least=1)
        self.stride = pair("Conv2d", "stride", stride, at_least=1)
        self.padding = pair("Conv2d", "padding", padding, at_least=0)
        self.dilation = pair("Conv2d", "dilation", dilation, at_least=1)
        rng = np.random.default_rng(rng)
        shape = (out_channels, in_channels, *self.kernel_size)
        fan_in = int(np.prod(shape[1:]))
        self.weight = fan_in_uniform(shape, fan_in, rng, dtype)
        self.bias: Parameter | None = fan_in_uniform((out_channels,), fan_in, rng, dtype) if bias else None

    def forward(
        self, x: Float[np.ndarray, "batch in_channels height width"]
    ) -> Float[np.ndarray, "batch out_channels out_height out_width"]:
        """Raises ValueError for other dimensions or channels, or a kernel larger than the padded input."""
        check_floating(self, weight=self.weight.data, input=x)
        if x.ndim != 4 or x.shape[1] != self.in_channels:
            raise ValueError(
                f"{self!r} expects an input of shape (batch, {self.in_channels}, height, width), "
                f"got {x.shape}"
            )
        size = output_size(self, x.shape[2:], self.kernel_size, self.stride, self.padding, self.dilation)
        padded = pad(x.transpose(0, 2, 3, 1), self.padding)  # (N, H + 2p, W + 2p, C)
        y = empty_images((len(x), self.out_channels, *size), padded.dtype)
        matrix = self._matrix()
        for images, windows in unfold(padded, self.kernel_size, self.stride, self.dilation):
            multiply_windows(windows, matrix, out=y[images])
        self.save_for_backward(padded, x.shape)
        return y

    def backward(
        self, grad_output: Float[np.ndarray, "batch out_channels out_height out_width"]
    ) -> Float[np.ndarray, "batch in_channels height width"] | None:
        padded, x_shape = self.saved
        size = output_size(self, x_shape[2:], self.kernel_size, self.stride, self.padding, self.dilation)
        check_grad_output(self, grad_output, (x_shape[0], self.out_channels, *size), padded.dtype)

        # dL/dK = unfold(x)ᵀ G
        grad_matrix = np.zeros_like(self._matrix())
        for images, windows in unfold(padded, self.kernel_size, self.stride, self.dilation):
            grad_matrix += multiply_windows_backward(windows, grad_output[images])
        grad_weight = grad_matrix[:-1].reshape(*self.kernel_size, self.in_channels, self.out_channels)
        self.weight.accumulate(grad_weight.transpose(3, 2, 0, 1))
        if self.bias is not None:
            self.bias.accumulate(grad_matrix[-1].copy())
        if not self.needs_input_grad:
            return None

        # dL/dx = fold(G Kᵀ)
        grad = np.ascontiguousarray(grad_output.transpose(0, 2, 3, 1))  # (N, OH, OW, O)
        kernel = self.weight.data.transpose(2, 3, 0, 1)
        grad_padded = fold_products(grad, kernel, self.stride, self.dilation, padded.shape)
        (ph, pw), (height, width) = self.padding, x_shape[2:]
        return grad_padded[:, ph : ph + height, pw : pw + width].transpose(0, 3, 1, 2)

    def _matrix(self) -> Float[np.ndarray, "pixels out_channels"]:
        """K: how much each pixel of a window counts for each output, and below it the bias."""
        weight = self.weight.data.transpose(2, 3, 1, 0).reshape(-1, self.out_channels)
        bias = np.zeros(self.out_channels, weight.dtype) if self.bias is None else self.bias.data
        return np.vstack([weight, bias])

    def extra_repr(self) -> str:
        return (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}, "
            f"padding={self.padding}, dilation={self.dilation}, bias={self.bias is not None}"
        )


def pad(images: np.ndarray, padding: Pair) -> np.ndarray:
    """Channels-last images with a border of zeros, in channels-last memory; a copy only if it must be."""
    if padding == (0, 0):
        return np.ascontiguousarray(images)
    (batch, height, width, channels), (ph, pw) = images.shape, padding
    padded = np.zeros((batch, height + 2 * ph, width + 2 * pw, channels), images.dtype)
    padded[:, ph : ph + height, pw : pw + width] = images
    return padded


def empty_images(shape: tuple[int, int, int, int], dtype: np.dtype) -> np.ndarray:
    """Memory for images (batch, channels, height, width), channels-last if there are many."""
    batch, channels, height, width = shape
    if channels < FEW_CHANNELS[1]:
        return np.empty(shape, dtype)
    return np.empty((batch, height, width, channels), dtype).transpose(0, 3, 1, 2)


def unfold(
    images: Float[np.ndarray, "batch height width channels"], kernel: Pair, stride: Pair, dilation: Pair
) -> Iterator[tuple[slice, Float[np.ndarray, "windows pixels"]]]:
    """The windows of the images, one row each, for as many images at a time as stay in the cache.

    Yields:
        which images, and their windows, with a 1 after the pixels; the next block overwrites the array.
    """
    extent = tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True))
    every = sliding_window_view(images, extent, axis=(1, 2))
    every = every[:, :: stride[0], :: stride[1], :, :: dilation[0], :: dilation[1]]
    every = every.transpose(0, 1, 2, 4, 5, 3)  # (N, OH, OW, kernel height, kernel width, C): still a view
    (batch, height, width, *_, channels), pixels = every.shape, kernel[0] * kernel[1] * images.shape[3]
    bytes_per_image = height * width * (pixels + 1) * images.itemsize
    # Copying is fastest along what is longest: the pixels of a window or, if those are few, a row of windows.
    order: Literal["C", "F"] = "F" if channels < FEW_CHANNELS[0] else "C"
    buffer = np.empty((0, pixels + 1), images.dtype)
    for block in image_blocks(batch, bytes_per_image, BLOCK_BYTES):
        chosen = every[block]
        if not buffer.size:  # the first block is the largest
            buffer = np.ones((len(chosen) * height * width, pixels + 1), images.dtype, order)
        windows = buffer[: len(chosen) * height * width]
        windows[:, :-1].reshape(chosen.shape)[...] = chosen
        yield block, windows


def multiply_windows(
    windows: Float[np.ndarray, "windows pixels"],
    matrix: Float[np.ndarray, "pixels filters"],
    out: Float[np.ndarray, "batch filters out_height out_width"],
) -> None:
    """`windows @ matrix`, written to where it belongs in the images `out`, in the order that they have."""
    batch, filters, *_ = out.shape
    if out.flags.c_contiguous:
        of_image = windows.reshape(batch, -1, windows.shape[1])
        np.matmul(matrix.T, of_image.transpose(0, 2, 1), out=out.reshape(batch, filters, -1))
    else:  # channels-last
        np.matmul(windows, matrix, out=out.transpose(0, 2, 3, 1).reshape(-1, filters))


def multiply_windows_backward(
    windows: Float[np.ndarray, "windows pixels"],
    grad: Float[np.ndarray, "batch filters out_height out_width"],
) -> Float[np.ndarray, "pixels filters"]:
    """dL/dmatrix of `multiply_windows`, `windowsᵀ @ grad`, in the order that the gradient has in memory."""
    batch, filters, *_ = grad.shape
    if grad.flags.c_contiguous:
        of_image = windows.reshape(batch, -1, windows.shape[1])
        products = of_image.transpose(0, 2, 1) @ grad.reshape(batch, filters, -1).transpose(0, 2, 1)
        product: np.ndarray = products.sum(axis=0)
    else:
        product = windows.T @ grad.transpose(0, 2, 3, 1).reshape(-1, filters)
    return product


def fold_products(
    grad: Float[np.ndarray, "batch out_height out_width filters"],
    kernel: Float[np.ndarray, "kernel_height kernel_width filters channels"],
    stride: Pair,
    dilation: Pair,
    shape: tuple[int, ...],
) -> Float[np.ndarray, "batch height width channels"]:
    """fold(G Kᵀ): one kernel position at a time, to all the pixels that it met."""
    kernel_height, kernel_width, filters, channels = kernel.shape
    batch, height, width, _ = grad.shape
    grad_images = np.zeros(shape, grad.dtype)
    matrices = np.ascontiguousarray(kernel).reshape(-1, filters, channels)
    for block in image_blocks(batch, grad[:1].nbytes + grad_images[:1].nbytes, BLOCK_BYTES):
        images, pixels = grad_images[block], grad[block].reshape(-1, filters)
        positions = shifts((kernel_height, kernel_width), stride, dilation, (height, width))
        for matrix, (rows, columns) in zip(matrices, positions, strict=True):
            images[:, rows, columns] += (pixels @ matrix).reshape(-1, height, width, channels)
    return grad_images
