"""How much rounding can do: the unit roundoff of a dtype, and the textbook bound on a chain of operations."""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike


def unit_roundoff(dtype: DTypeLike) -> float:
    """The largest relative error of rounding one number to `dtype`: 2⁻²⁴ for float32, 2⁻⁵³ for float64."""
    return float(np.finfo(dtype).eps) / 2


def comparison_roundoff(dtype: DTypeLike) -> float:
    """For a result in `dtype` held against a truth itself computed in float64: both may be off."""
    return unit_roundoff(dtype) + unit_roundoff(np.float64)


def gamma(operations: np.ndarray | float, u: float) -> np.ndarray:
    """γₙ = n u / (1 - n u): the relative error that n roundings can add up to.

    For a sum of n products in any order, |computed - exact| ≤ γₙ Σ|aᵢ||bᵢ| (Higham, *Accuracy and Stability
    of Numerical Algorithms*, 2nd ed., §3.1). Where n u ≥ 1 nothing is promised and the bound is infinite.
    """
    nu = np.asarray(operations, np.float64) * u
    return np.where(nu < 1, nu / np.where(nu < 1, 1 - nu, 1), np.inf)


def last_rounding(exact: np.ndarray, u: float) -> np.ndarray:
    """How far off a result may be at least, u |x|, since it is rounded itself; 0 for inf and nan."""
    return u * np.where(np.isfinite(exact), np.abs(exact), 0)
