"""Operations that are off by what rounding can do: which, and by how much."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest
import torch

from parity_tests.harness.disturbance import random_signs
from parity_tests.harness.disturbed_numpy import DisturbedArray, Errors, plain
from parity_tests.harness.disturbed_torch import DisturbedOperations
from parity_tests.harness.rounding import OPERATIONS, probable_gamma

if TYPE_CHECKING:
    from collections.abc import Callable

U = 2.0**-20
UP = Errors(U, lambda array: np.ones(np.shape(array)))
X = np.random.default_rng(0).uniform(1, 2, (3, 4))
SUM = (1 + probable_gamma(X.size, U)) * (1 + U)
PRODUCT = (1 + probable_gamma(X.size, U)) ** 2 * (1 + OPERATIONS * U)

# What each function of X is off by, as a factor.
NUMPY: dict[str, tuple[Callable[[Any], Any], float]] = {
    "sum of two": (lambda x: x + X, 1 + U),
    "written to itself": (lambda x: np.multiply(x, X, out=x), 1 + U),
    "in place": (lambda x: x.__itruediv__(X + 1), 1 + U),
    "written to another": (lambda x: np.add(X, x, out=np.empty_like(X)), 1 + U),
    "function": (np.exp, 1 + OPERATIONS * U),
    "sum of all": (lambda x: x.sum(axis=0), SUM),
    "product": (lambda x: x @ X.T, PRODUCT),
    "product of another": (lambda x: X.T @ x, PRODUCT),
    "dot": (lambda x: np.dot(x, X.T), PRODUCT),
    "einsum": (lambda x: np.einsum("ij,kj->ik", x, X), PRODUCT),
    "joined, then a sum of two": (lambda x: np.concatenate([x, X]) + 1, 1 + U),
    "chosen, then a sum of two": (lambda x: np.where(X > 1.5, x, X) + 1, 1 + U),
    "largest": (lambda x: x.max(axis=1), 1),
    "view": (lambda x: x.T[:, ::2].reshape(-1), 1),
    "sign": (lambda x: -x, 1),
    "rows": (lambda x: x[[2, 0, 2]], 1),
    "whole numbers": (lambda x: np.floor(x).astype(int) + 1, 1),
    "flags": (lambda x: x > 1.5, 1),
    "counts": (lambda x: np.floor(x).cumsum(axis=1) * 2 - 1, 1),
    "a small number that is lost": (lambda x: (x * 0 + 1e-30) + np.finfo(float).max, 1),
    "several results": (lambda x: np.modf(x)[0], 1 + OPERATIONS * U),
    "several written": (lambda x: np.divmod(x, 3, out=cast("Any", (np.empty_like(X), None)))[0], 1),
    "added at places": (lambda x: added_at(np.ones((4, 4)), x), 1 + probable_gamma(X.size, U)),
    "counts by einsum": (lambda x: np.einsum("ij,kj->ik", np.floor(x), np.floor(x)), 1),
    "einsum written to another": (lambda x: np.einsum("ij,ij->ij", x, x, out=np.empty_like(x)), 1),
    "where": (lambda x: np.divide(x, 2, out=np.ones_like(x), where=x.astype(bool)), 1 + U),
    "masked": (lambda x: np.ma.masked_where(np.asarray(x) < 1.5, x).filled(0) * 1, 1),
}
TORCH: dict[str, tuple[Callable[[torch.Tensor], torch.Tensor], float]] = {
    "sum of two": (lambda x: x + 1, 1 + U),
    "in place": (lambda x: x.clone().mul_(x), 1 + U),
    "written to another": (lambda x: torch.add(x, x, out=torch.empty_like(x)), 1 + U),
    "function": (torch.exp, 1 + OPERATIONS * U),
    "sum of all": (lambda x: x.sum(0), (1 + probable_gamma(X.size, U)) * (1 + OPERATIONS * U)),
    "product": (lambda x: x @ x.T, PRODUCT),
    "largest": (lambda x: x.max(1).values, 1),
    "view": (lambda x: x.T[:, ::2].reshape(-1), 1),
    "sign": (lambda x: -x, 1),
    "rows": (lambda x: x[[2, 0, 2]], 1),
    "joined": (lambda x: torch.cat([x, x]), 1),
    "whole numbers": (lambda x: x.floor().long() + 1, 1),
    "flags": (lambda x: x > 1.5, 1),
    "counts": (lambda x: x.floor().cumsum(1) * 2 - 1, 1),
    "a small number that is lost": (lambda x: x + torch.finfo(x.dtype).max, 1),
    "a row without a largest": (lambda x: (x * 0 - 1e9).softmax(1), 1 + OPERATIONS * U),
    "index of ties": (lambda x: (x * 0 + 1).argmax(1), 1),
    "sparse": (lambda x: torch.eye(3, dtype=x.dtype).to_sparse_csr() @ x.floor(), 1),
}


def added_at(sums: np.ndarray, x: Any) -> np.ndarray:
    """Of a row's numbers, some are added up in one place."""
    np.add.at(sums, (np.array([0, 1, 2])[:, None], np.array([0, 1, 1, 2])), x)
    return np.asarray(sums - 1)


@pytest.mark.parametrize("name", NUMPY)
def test_numpys_operations(name: str) -> None:
    function, factor = NUMPY[name]
    exact = np.asarray(function(X.copy()))
    found = np.asarray(plain(function(UP.marked(X.copy()))))
    np.testing.assert_allclose(found, factor * exact, rtol=1e-15, strict=factor != 1)


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta:UserWarning")
@pytest.mark.parametrize("name", TORCH)
def test_torchs_operations(name: str) -> None:
    function, factor = TORCH[name]
    x = torch.from_numpy(X)
    with DisturbedOperations(UP):
        found = function(x)
    np.testing.assert_allclose(found.numpy(), factor * function(x).numpy(), rtol=1e-15)
    np.testing.assert_array_equal(x.numpy(), X)


def test_precision_within_stays() -> None:
    """As of a router that computes in float32, whatever the rest does."""
    x = torch.from_numpy(X).float()
    with DisturbedOperations(UP):
        found = torch.zeros(3, 4).index_add_(0, torch.arange(3), x.softmax(1) * 2)
    assert found.dtype == torch.float32
    error = PRODUCT - 1 + (OPERATIONS + 2) * U
    np.testing.assert_allclose(found.numpy(), 2 * x.softmax(1).numpy(), rtol=error)


def test_backward_passes_are_off_too() -> None:
    x = torch.from_numpy(X.copy()).requires_grad_()
    with DisturbedOperations(UP):
        x.exp().sum().backward()  # type: ignore[no-untyped-call]
    assert x.grad is not None
    np.testing.assert_allclose(x.grad.numpy(), np.exp(X) * (1 + OPERATIONS * U) * (1 + U), rtol=1e-15)


def test_random_signs_of_a_single_number() -> None:
    signs = random_signs(0, -1.0)
    with DisturbedOperations(Errors(U, signs)):
        found = torch.tensor(0.5).exp()
    np.testing.assert_allclose(found, math.exp(0.5), rtol=1.001 * OPERATIONS * U)
    assert found.shape == ()


def test_what_is_not_active_is_exact() -> None:
    errors, x = Errors(U, UP.signs, lambda: False), torch.from_numpy(X)
    with DisturbedOperations(errors):
        of_torch = x.exp()
    assert torch.equal(of_torch, x.exp())
    found = np.exp(errors.marked(X))
    np.testing.assert_array_equal(plain(found), np.exp(X))
    assert isinstance(found, DisturbedArray), "operations later on may be off"
