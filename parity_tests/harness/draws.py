"""Modules that draw at random, and so give something else each time, cannot be compared."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import numpy as np

from parity_tests.harness.evaluate import Arrays, as_dtype, copied, flatten
from parity_tests.harness.evaluate_torch import TORCH_DTYPES, fixed_dropout, run_torch

if TYPE_CHECKING:
    from torch import nn

    from gdl_numpy.nn import Module
    from parity_tests.harness.rounding import Precision


def refuse_draws(
    numpy_module: Module, torch_module: nn.Module, batch: tuple[Any, Any], precision: Precision, device: str
) -> None:
    """Raises ValueError for a model that gives something else each time, be it by what it calls.

    In torch, functions draw from one generator for all, as does `MultiheadAttention` within.
    """
    inputs, targets = (as_dtype(a, precision) for a in batch)
    runs: dict[str, list[Arrays]] = {"numpy_module": [], "torch_module": []}
    for _ in range(2):
        model, torch_model = copy.deepcopy(numpy_module), copy.deepcopy(torch_module)
        runs["numpy_module"].append(flatten(model(*copied((*inputs, *targets)))))
        with fixed_dropout(torch_model, None):
            dtype = TORCH_DTYPES[precision.name]
            result = run_torch(torch_model, inputs, targets, lambda _: [], device, dtype)
        runs["torch_module"].append(result.outputs)
    for side, (first, second) in runs.items():
        if not all(np.array_equal(a, b, equal_nan=True) for a, b in zip(first, second, strict=True)):
            raise ValueError(draws_at_random(side))


def draws_at_random(what: str) -> str:
    """A message about it."""
    return (
        f"{what} draws at random, and the other side would draw otherwise: layers derived from "
        "gdl_numpy.nn.Dropout and torch.nn.Dropout are given the same masks; check others in eval mode"
    )
