"""Two-dimensional convolution as sliding windows and one matrix product."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import DTypeLike

from gdl_numpy.nn.checks import check_floating, check_grad_output
from gdl_numpy.nn.init import fan_in_uniform
from gdl_numpy.nn.linear import sum_rows
from gdl_numpy.nn.module import Module, Parameter
from gdl_numpy.nn.windows import Pair, image_blocks, output_size, pair, shifts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jaxtyping import Float

BLOCK_BYTES = 2**21  # windows are made and used in pieces of this size, so that they never leave the cache


class Conv2d(Module):
    """y[n, o] = b[o] + Σ_c w[o, c] ⋆ x[n, c], as `torch.nn.Conv2d` (⋆ slides the kernel, unflipped).

    Images are (batch, channels, height, width) outside. Inside they are channels-last, so that a window's
    pixels lie together and *unfolding* (one row per window: rows × kernel·channels) is a few large copies;
    the three passes are

        y     = unfold(x) W            W: the weight as (kernel height · width · in_channels, out_channels)
        dL/dW = unfold(x)ᵀ G           G = dL/dy, one row per window
        dL/dx = fold(G Wᵀ)             fold adds each window's pixels up where unfold took them from

    The output is a channels-first view of channels-last memory, which the next layer finds ready to unfold.

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
        bias: bool = True,
        *,
        rng: np.random.Generator | int | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        """Raises ValueError for channels, a kernel_size, stride or dilation below 1, or a padding below 0."""
        if in_channels < 1 or out_channels < 1:
            raise ValueError(
                f"Conv2d expects in_channels and out_channels ≥ 1, got {in_channels} and {out_channels}"
            )
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
        kernel = self.weight.data.transpose(2, 3, 1, 0)
        bias = None if self.bias is None else self.bias.data
        y = correlate(padded, kernel, bias, self.stride, self.dilation, size)
        self.save_for_backward(padded, x.shape)
        return y.transpose(0, 3, 1, 2)

    def backward(
        self, grad_output: Float[np.ndarray, "batch out_channels out_height out_width"]
    ) -> Float[np.ndarray, "batch in_channels height width"] | None:
        padded, x_shape = self.saved
        size = output_size(self, x_shape[2:], self.kernel_size, self.stride, self.padding, self.dilation)
        check_grad_output(self, grad_output, (x_shape[0], self.out_channels, *size), padded.dtype)
        grad = np.ascontiguousarray(grad_output.transpose(0, 2, 3, 1))  # (N, OH, OW, O)

        grad_weight = np.zeros((*self.kernel_size, self.in_channels, self.out_channels), grad.dtype)
        for images, windows in unfold(padded, self.kernel_size, self.stride, self.dilation, size):
            grad_weight += (windows.T @ grad[images].reshape(-1, self.out_channels)).reshape(
                grad_weight.shape
            )
        self.weight.accumulate(grad_weight.transpose(3, 2, 0, 1))
        if self.bias is not None:
            self.bias.accumulate(sum_rows(grad.reshape(-1, self.out_channels)))
        if not self.needs_input_grad:
            return None
        kernel = self.weight.data.transpose(2, 3, 0, 1)
        grad_padded = correlate_backward(grad, kernel, self.stride, self.dilation, padded.shape)
        (ph, pw), (height, width) = self.padding, x_shape[2:]
        return grad_padded[:, ph : ph + height, pw : pw + width].transpose(0, 3, 1, 2)

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


def unfold(
    images: Float[np.ndarray, "batch height width channels"],
    kernel: Pair,
    stride: Pair,
    dilation: Pair,
    size: Pair,
) -> Iterator[tuple[slice, Float[np.ndarray, "windows pixels"]]]:
    """The windows of the images, one row each, for as many images at a time as stay in the cache.

    Yields:
        which images, and their windows; the array is overwritten by the next block.
    """
    batch, _, _, channels = images.shape
    pixels = kernel[0] * kernel[1] * channels
    buffer = np.empty(0, images.dtype)
    for block in image_blocks(batch, size[0] * size[1] * pixels * images.itemsize, BLOCK_BYTES):
        chosen = images[block]
        shape = (len(chosen), *size, kernel[0] * kernel[1], channels)
        if not buffer.size:  # the first block is the largest
            buffer = np.empty(shape, images.dtype)
        windows = buffer[: len(chosen)]
        for position, (rows, columns) in enumerate(shifts(kernel, stride, dilation, size)):
            windows[:, :, :, position] = chosen[:, rows, columns]
        yield block, windows.reshape(-1, pixels)


def correlate(
    images: Float[np.ndarray, "batch height width channels"],
    kernel: Float[np.ndarray, "kernel_height kernel_width channels filters"],
    bias: Float[np.ndarray, " filters"] | None,
    stride: Pair,
    dilation: Pair,
    size: Pair,
) -> Float[np.ndarray, "batch out_height out_width filters"]:
    """Every window of every image times the kernel, plus the bias."""
    kernel_height, kernel_width, _, filters = kernel.shape
    matrix = kernel.reshape(-1, filters)
    y = np.empty((len(images), *size, filters), images.dtype)
    for chosen, windows in unfold(images, (kernel_height, kernel_width), stride, dilation, size):
        rows = y[chosen].reshape(-1, filters)
        np.matmul(windows, matrix, out=rows)
        if bias is not None:
            rows += bias
    return y


def correlate_backward(
    grad: Float[np.ndarray, "batch out_height out_width filters"],
    kernel: Float[np.ndarray, "kernel_height kernel_width filters channels"],
    stride: Pair,
    dilation: Pair,
    shape: tuple[int, ...],
) -> Float[np.ndarray, "batch height width channels"]:
    """dL/dimages of `correlate`: one kernel position at a time, to all the pixels that it met."""
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
