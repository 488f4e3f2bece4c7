"""Expressions that are written once, as functions of a library and its tensors, and that both sides run."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from gdl_numpy import autograd
from gdl_numpy.autograd import Tensor
from parity_tests.harness import FromAutograd, ParityReport, check

if TYPE_CHECKING:
    from collections.abc import Callable


class TorchFunction(torch.nn.Module):
    """The torch twin of `FromAutograd`, for functions."""

    def __init__(self, function: Callable[..., torch.Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        return self.function(*inputs)


def own_max(x: Tensor, dim: Any, keepdim: bool) -> Tensor:
    return x.max(dim, keepdim)


def torch_max(x: torch.Tensor, dim: Any, keepdim: bool) -> torch.Tensor:
    return torch.amax(x, () if dim is None else dim, keepdim)


def torch_cross_entropy(logits: torch.Tensor, ids: np.ndarray) -> torch.Tensor:
    return torch.nn.functional.cross_entropy(logits, torch.from_numpy(ids))


OWN = SimpleNamespace(
    max=own_max,
    linear=autograd.linear,
    stack=autograd.stack,
    cat=autograd.cat,
    cross_entropy=autograd.cross_entropy,
    softmax=autograd.softmax,
)
TORCH = SimpleNamespace(
    max=torch_max,
    linear=torch.nn.functional.linear,
    stack=torch.stack,
    cat=torch.cat,
    cross_entropy=torch_cross_entropy,
    softmax=torch.softmax,
)


def parity(
    expression: Callable[..., Any], *inputs: np.ndarray, dtype: str = "float64", name: str = "expression"
) -> ParityReport:
    """`expression(library, *inputs)` on both sides."""
    return check(
        FromAutograd(lambda *x: expression(OWN, *x)),
        TorchFunction(lambda *x: expression(TORCH, *x)),
        inputs,
        dtype=dtype,
        name=name,
    )


def numbers(seed: int, *shape: int) -> np.ndarray:
    """Halves, so that zeros and equal numbers are among them."""
    return np.asarray(np.round(3 * np.random.default_rng(seed).standard_normal(shape)) / 2)
