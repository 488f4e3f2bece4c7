"""The IDX format: a header that says what the array is, then the array.

Bytes 0 and 1 are zero, byte 2 is the type of an element, byte 3 the number of dimensions; then each dimension
as a big-endian 32-bit number, then the elements in C order. (The MNIST database's page describes the format.)
"""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import UInt8

UNSIGNED_BYTE = 0x08


def parse_idx(content: bytes) -> UInt8[np.ndarray, "*shape"]:
    """Returns the array of unsigned bytes that `content`, an IDX file, holds: a read-only view of `content`.

    Raises:
        ValueError: `content` is no IDX file of unsigned bytes, or not as long as its header says.
    """
    if len(content) < 4 or content[:2] != b"\0\0":
        raise ValueError(f"not an IDX file: it begins with bytes [{content[:4].hex(' ')}], not 00 00")
    element, ndim = content[2], content[3]
    if element != UNSIGNED_BYTE:
        raise ValueError(f"IDX elements of type 0x{element:02x}, expected 0x08 (unsigned bytes)")
    header = 4 + 4 * ndim
    if ndim == 0 or len(content) < header:
        raise ValueError(f"IDX header for {ndim} dimensions does not fit in {len(content)} bytes")
    shape = struct.unpack(f">{ndim}I", content[4:header])
    if len(content) - header != math.prod(shape):
        wanted = " × ".join(map(str, shape))
        raise ValueError(f"IDX header announces {wanted} bytes, but {len(content) - header} follow it")
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)
