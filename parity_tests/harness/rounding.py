"""How much rounding can do: the unit roundoff of a dtype, and the textbook bound on a chain of operations."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike

OPERATIONS = 8  # that are not a sum: an exponential alone may be off by as many roundings


class Roundoff(float):
    """The unit roundoff of results, and what sums of products are made with on the way to them.

    Attributes:
        sums: unit roundoff of the partial sums.
        factors: the relative error with which each factor of a product is read.
    """

    def __new__(cls, results: float, sums: float | None = None, factors: float = 0.0) -> Roundoff:
        made = super().__new__(cls, results)
        made.sums, made.factors = results if sums is None else sums, factors
        return made

    sums: float
    factors: float


@dataclass(frozen=True)
class Precision:
    """What a side computes in.

    Attributes:
        name: "float32", "float64"; "bfloat16"; or "tf32", float32 whose products are made with TF32.
        dtype: of the arrays that hold its numbers: NumPy has no bfloat16.
        roundoff: of a result that is held against a truth itself computed in float64.
    """

    name: str
    dtype: np.dtype
    roundoff: Roundoff

    @property
    def is_numpys(self) -> bool:
        """Whether NumPy computes in it."""
        return self.name == self.dtype.name

    def round(self, array: np.ndarray) -> np.ndarray:
        """The nearest numbers that it has, ties to even."""
        rounded = array.astype(self.dtype)
        if self.name != "bfloat16":
            return rounded
        # The upper half of a float32's bits. Half a unit in the last place, less the lowest bit that is left:
        # what carries from it into the upper half rounds.
        bits = np.array(rounded, ndmin=1).view(np.uint32)
        bits += 0x7FFF + (bits >> 16 & 1)
        bits &= 0xFFFF0000
        halves = bits.view(np.float32).reshape(rounded.shape)
        return np.where(np.isfinite(rounded), halves, rounded)


def unit_roundoff(dtype: DTypeLike) -> float:
    """The largest relative error of rounding one number to `dtype`: 2⁻²⁴ for float32, 2⁻⁵³ for float64."""
    return float(np.finfo(dtype).eps) / 2


def precision_of(dtype: DTypeLike | Precision) -> Precision:
    """The precision of a name or a dtype.

    Raises:
        ValueError: it is none of those that can be checked.
    """
    if isinstance(dtype, Precision):
        return dtype
    if isinstance(dtype, str) and dtype in PRECISIONS:
        return PRECISIONS[dtype]
    try:
        name = np.dtype(dtype).name
    except TypeError:  # torch's, perhaps
        name = str(dtype).removeprefix("torch.")
    if name not in PRECISIONS:
        raise ValueError(f"expected dtype {', '.join(PRECISIONS)}, got {name}")
    return PRECISIONS[name]


def comparison_roundoff(dtype: DTypeLike | Precision) -> Roundoff:
    """For a result in `dtype` held against a truth itself computed in float64: both may be off."""
    return precision_of(dtype).roundoff


def _precisions() -> dict[str, Precision]:
    single, double = np.dtype(np.float32), np.dtype(np.float64)
    of_single, of_double = unit_roundoff(single), unit_roundoff(double)
    bfloat16, tf32 = 2.0**-8, 2.0**-11  # of 8 and 11 significant bits; sums are kept in float32
    roundoffs: dict[str, tuple[np.dtype, Roundoff]] = {
        "float32": (single, Roundoff(of_single + of_double)),
        "float64": (double, Roundoff(2 * of_double)),
        "bfloat16": (single, Roundoff(bfloat16 + of_double, of_single + of_double)),
        "tf32": (single, Roundoff(of_single + of_double, factors=tf32)),
    }
    return {name: Precision(name, dtype, u) for name, (dtype, u) in roundoffs.items()}


PRECISIONS = _precisions()


def gamma(operations: np.ndarray | float, u: float) -> np.ndarray:
    """γₙ = n u / (1 - n u): the relative error that n roundings can add up to.

    For a sum of n products in any order, |computed - exact| ≤ γₙ Σ|aᵢ||bᵢ| (Higham, *Accuracy and Stability
    of Numerical Algorithms*, 2nd ed., §3.1). Where n u ≥ 1 nothing is promised and the bound is infinite.
    """
    nu = np.asarray(operations, np.float64) * u
    return np.where(nu < 1, nu / np.where(nu < 1, 1 - nu, 1), np.inf)


def product_gamma(terms: np.ndarray, u: float) -> np.ndarray:
    """The same for a sum of so many products, where the sums are kept in another precision than the results.

    Each product has the errors of its two factors, the sum those of its terms, and the result its own.
    """
    if not isinstance(u, Roundoff):
        return gamma(terms + 1, u)
    more = 2 * u.factors * (1 + u.factors) + (u if u.sums < u else 0)
    return gamma(terms + 1, u.sums) + more * (1 + gamma(terms + 1, u.sums))


def probable_gamma(terms: float, u: float) -> float:
    """The relative error of any few operations and a sum of so many terms, but for one case in a thousand.

    Rounding errors that are as often up as down add up to λ √n u and no more, with probability at least
    1 - 2 exp(-λ²/2), which is 0.9993 for λ = 4 (Higham and Mary, *A New Approach to Probabilistic Rounding
    Error Analysis*, 2019). It says something where γₙ no longer does: for a million terms in float32, γₙ is
    6 % and this is 0.02 %.
    """
    sums, factors = (u.sums, u.factors) if isinstance(u, Roundoff) else (u, 0.0)
    return OPERATIONS * u + 4 * math.sqrt(terms) * sums + 2 * factors


def last_rounding(exact: np.ndarray, u: float) -> np.ndarray:
    """How far off a result may be at least, u |x|, since it is rounded itself; 0 for inf and nan."""
    return u * np.where(np.isfinite(exact), np.abs(exact), 0)
