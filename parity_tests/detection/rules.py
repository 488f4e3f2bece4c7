"""Rules by which others call two results the same, each as its authors apply it.

Every rule is asked about one tensor at a time, of which there are three versions: `ours`, which is in
question; `reference`, another implementation's in the same dtype; and `exact`, the reference in float64.
Arrays have the same shape.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch

SAME_TOLERANCE = 1e-4  # torch's default
SIMILAR = 0.999
FIXED = 1e-2


class Versions(NamedTuple):
    """One tensor: the reference in float64, the reference, and what is held against it."""

    exact: np.ndarray
    reference: np.ndarray
    ours: np.ndarray


Rule = Callable[[Versions], bool]


def assert_close(v: Versions) -> bool:
    """`torch.testing.assert_close` with its defaults, relative and absolute.

    Those are 1.3e-6 and 1e-5 in float32, 1e-7 and 1e-7 in float64.
    """
    try:
        torch.testing.assert_close(torch.from_numpy(v.ours), torch.from_numpy(v.reference))
    except AssertionError:
        return False
    return True


def same(v: Versions) -> bool:
    """`torch._dynamo.utils.same`, which torch's benchmarks of compilers ask about float32 and float64.

    Within 1e-4, relative and absolute; or else the root mean square of the error against `exact` is at most
    2 times the reference's own, 3 times for fewer than 1,000 numbers or images of one pixel, and 1e-5.
    """
    if np.allclose(v.ours, v.reference, rtol=SAME_TOLERANCE, atol=SAME_TOLERANCE):
        return True
    small = v.exact.size < 1000 or (v.exact.ndim == 4 and v.exact.shape[2:] == (1, 1))
    allowed = (3 if small else 2) * rms(v.reference - v.exact) + SAME_TOLERANCE / 10
    return bool(rms(v.ours - v.exact) <= allowed)


def twice_the_error(v: Versions) -> bool:
    """FlashAttention's tests: max |ours - exact| ≤ 2 max |reference - exact|.

    Says something only where the reference is not itself `exact`: in float32.
    """
    return bool(largest(v.ours - v.exact) <= 2 * largest(v.reference - v.exact))


def similar(v: Versions) -> bool:
    """The cosine of the angle between the two, all numbers in a row, is above 0.999; of zeros, it is 1."""
    if np.array_equal(v.ours, v.reference):
        return True
    a, b = (np.asarray(array, np.float64).ravel() for array in (v.ours, v.reference))
    return bool(a @ b > SIMILAR * np.linalg.norm(a) * np.linalg.norm(b))


def fixed(v: Versions) -> bool:
    """Within 1e-2, relative and absolute."""
    return np.allclose(v.ours, v.reference, rtol=FIXED, atol=FIXED)


def rms(error: np.ndarray) -> float:
    """The root of the mean square."""
    return float(np.sqrt(np.mean(np.square(error))))


def largest(error: np.ndarray) -> float:
    return float(np.abs(error).max(initial=0))


# By what the table calls them, with the dtypes that they are defined for.
RULES: dict[str, tuple[Rule, tuple[str, ...]]] = {
    "torch.testing.assert_close": (assert_close, ("float32", "float64")),
    "torch's same": (same, ("float32", "float64")),
    "twice the reference's error": (twice_the_error, ("float32",)),
    f"cosine above {SIMILAR}": (similar, ("float32", "float64")),
    f"within {FIXED:g}": (fixed, ("float32", "float64")),
}
