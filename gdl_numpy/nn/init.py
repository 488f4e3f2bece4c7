"""How parameters start: torch's defaults, drawn from a generator that the caller owns.

Numbers are drawn in float64 and rounded, so a model starts from the same weights whatever its dtype.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import DTypeLike

from gdl_numpy.nn.module import Parameter


def uniform(shape: tuple[int, ...], bound: float, rng: np.random.Generator, dtype: DTypeLike) -> Parameter:
    """Independent draws from U(-bound, bound)."""
    return Parameter(rng.uniform(-bound, bound, shape).astype(dtype))


def fan_in_uniform(
    shape: tuple[int, ...], fan_in: int, rng: np.random.Generator, dtype: DTypeLike
) -> Parameter:
    """U(-1/√fan_in, 1/√fan_in): what torch gives the weight and the bias of Linear and Conv2d.

    torch writes the weight's as kaiming_uniform_(a=√5): gain √(2 / (1 + a²)) = √(1/3), and the bound is
    gain · √(3 / fan_in) (He et al. 2015, https://arxiv.org/abs/1502.01852).
    """
    return uniform(shape, 1 / math.sqrt(fan_in) if fan_in else 0.0, rng, dtype)
