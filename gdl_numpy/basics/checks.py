"""What the chapters' functions refuse: arrays on either side, each refusal naming function and argument."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from gdl_numpy.messages import kind_of


def check_arrays(function: str, **arrays: tuple[Any, str]) -> None:
    """Refuses arrays that do not fit together, are empty, or are not all of one floating dtype.

    Args:
        function: who asks.
        arrays: by the argument's name the array, or a number, and the names of its dimensions: one that is
            named twice must be as long both times.

    Raises:
        ValueError: naming the function, the argument, what it got and what it expects.
    """
    sizes: dict[str, int] = {}
    dtypes: dict[str, str] = {}
    for name, (array, dims) in arrays.items():
        if not hasattr(array, "dtype") and not isinstance(array, int | float):
            expected = "an array" if dims else "a number"
            raise ValueError(f"{function} expects {name} to be {expected}, got {kind_of(array)}")
        shape, names = tuple(np.shape(array)), dims.split()
        if len(shape) != len(names) or any(
            sizes.get(dim, n) != n for dim, n in zip(names, shape, strict=True)
        ):
            expected = ", ".join(f"{dim}={sizes[dim]}" if dim in sizes else dim for dim in names)
            raise ValueError(f"{function} expects {name} of shape ({expected}), got {shape}")
        if 0 in shape:
            raise ValueError(f"{function} expects {name} with something in it, got shape {shape}")
        sizes |= zip(names, shape, strict=True)
        dtypes[name] = str(getattr(array, "dtype", "float")).removeprefix("torch.")
        if not dtypes[name].startswith("float"):
            raise ValueError(f"{function} expects {name} to be floats, got {dtypes[name]}")
    different = {dtype: name for name, dtype in dtypes.items() if dtype != "float"}
    if len(different) > 1:
        got = " and ".join(f"{name} {dtype}" for dtype, name in different.items())
        raise ValueError(f"{function} expects one dtype for all, got {got}")


def check_rate(function: str, **rates: float) -> None:
    """Refuses a learning rate, step or penalty that is negative, infinite or no number."""
    for name, rate in rates.items():
        is_number = isinstance(rate, int | float | np.number) and not isinstance(rate, bool)
        if not is_number or not 0 <= rate < math.inf:
            raise ValueError(f"{function} expects {name} to be a number ≥ 0, got {rate!r}")


def check_count(function: str, **counts: int) -> None:
    """Refuses a number of rounds, or of anything else, that is no integer of at least 1."""
    for name, number in counts.items():
        if isinstance(number, bool) or not isinstance(number, int | np.integer) or number < 1:
            raise ValueError(f"{function} expects {name} to be an integer ≥ 1, got {number!r}")


def check_groups(function: str, points: Any, groups: Any) -> None:
    """Refuses more groups than points, and no points at all."""
    if not 0 < len(groups) <= len(points):
        raise ValueError(
            f"{function} expects from 1 group to as many as points, {len(points)}, got {len(groups)}"
        )


def check_finite(function: str, **arrays: Any) -> None:
    """Refuses arrays, on either side, with inf or nan in them: from these, nothing is nearest to anything."""
    for name, array in arrays.items():
        if not bool((abs(array) < math.inf).all()):
            raise ValueError(f"{function} expects {name} to be finite, got inf or nan among them")


def check_outcomes(function: str, inputs: Any, outcomes: Any) -> None:
    """Refuses outcomes that are not a bool for each input: whole numbers would be taken for indices."""
    dtype = str(getattr(outcomes, "dtype", kind_of(outcomes))).removeprefix("torch.")
    if dtype != "bool":
        raise ValueError(f"{function} expects outcomes to be an array of bools, got {dtype}")
    shape, expected = tuple(outcomes.shape), (len(inputs),)
    if shape != expected:
        raise ValueError(f"{function} expects outcomes of shape {expected}, one for each input, got {shape}")


def check_indices(function: str, count: int, **indices: Sequence[int]) -> None:
    """Refuses indices, in a sequence, of what is not there.

    Raises:
        ValueError: no sequence, or what is no integer.
        IndexError: one outside [-count, count).
    """
    for name, given in indices.items():
        if not isinstance(given, Sequence) or not all(isinstance(i, int | np.integer) for i in given):
            raise ValueError(f"{function} expects {name} to be a sequence of integers, got {given!r}")
        for i in given:
            if not -count <= i < count:
                raise IndexError(f"{function} expects {name} to be indices of {count} weights, got {i}")
