"""What convolution and pooling have in common: windows that slide over height and width of an image."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gdl_numpy.nn.module import Module

Pair = tuple[int, int]


def pair(layer: str, name: str, value: int | Pair, at_least: int) -> Pair:
    """(height, width) from one int for both or from two.

    Raises:
        ValueError: naming the layer and the argument, if it is not one or two ints of at least `at_least`.
    """
    values = tuple(value) if isinstance(value, Iterable) else (value, value)
    if len(values) != 2 or any(not isinstance(v, int | np.integer) or v < at_least for v in values):
        raise ValueError(f"{layer} expects {name} to be one or two ints ≥ {at_least}, got {value!r}")
    return int(values[0]), int(values[1])


def output_size(layer: Module, size: Pair, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair) -> Pair:
    """How many windows fit, down and across: ⌊(size + 2 padding - dilation (kernel - 1) - 1) / stride⌋ + 1.

    Raises:
        ValueError: the kernel, spread out by its dilation, is larger than the padded input.
    """
    padded = [s + 2 * p for s, p in zip(size, padding, strict=True)]
    extent = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    if any(e > s for e, s in zip(extent, padded, strict=True)):
        raise ValueError(
            f"{layer!r}: the kernel covers {tuple(extent)}, more than the padded input {tuple(padded)}"
        )
    height, width = ((s - e) // st + 1 for s, e, st in zip(padded, extent, stride, strict=True))
    return height, width


def shifts(kernel: Pair, stride: Pair, dilation: Pair, size: Pair) -> Iterator[tuple[slice, slice]]:
    """For each position in the kernel, row by row, the index of what it meets in all `size` windows."""
    for i in range(kernel[0]):
        for j in range(kernel[1]):
            top, left = i * dilation[0], j * dilation[1]
            yield (
                slice(top, top + stride[0] * (size[0] - 1) + 1, stride[0]),
                slice(left, left + stride[1] * (size[1] - 1) + 1, stride[1]),
            )


def image_blocks(count: int, bytes_per_image: int, block_bytes: int) -> Iterator[slice]:
    """Slices of a batch, each of as many images as make up `block_bytes`.

    A pass over a whole batch fetches it from memory. Passes over a block that fits the cache fetch it once.
    """
    block = max(1, block_bytes // max(1, bytes_per_image))
    return (slice(start, min(start + block, count)) for start in range(0, count, block))
