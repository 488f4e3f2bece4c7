"""What is special about looking up rows: repeated ids, and gradients that hold only the rows looked up.

Parity of the layer is proved in `test_layers.py`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from gdl_numpy import nn, optim
from parity_tests.harness import check
from parity_tests.harness.evaluate import dense

IDS = np.array([[3, 0, 3], [5, 3, 0]])


def step(layer: nn.Embedding, optimizer: optim.Optimizer, times: int = 1) -> None:
    """A step on the sum of squares of what is looked up, its gradient gathered `times` times over."""
    optimizer.zero_grad()
    for _ in range(times):
        layer.backward(2 * layer(IDS))
    optimizer.step()


def pair_of_layers() -> tuple[nn.Embedding, nn.Embedding]:
    return nn.Embedding(7, 4, sparse=True, rng=0), nn.Embedding(7, 4, rng=0)


def test_a_sparse_gradient_holds_the_rows_looked_up() -> None:
    """Of a table that would not fit as a dense gradient many times over: three rows."""
    layer = nn.Embedding(1_000_000, 2, sparse=True, rng=0)
    layer(IDS)
    layer.backward(np.ones((2, 3, 2), np.float32))
    grad = layer.weight.grad
    assert isinstance(grad, nn.SparseRows)
    np.testing.assert_array_equal(grad.indices, [0, 3, 5])
    np.testing.assert_array_equal(grad.values, [[2, 2], [3, 3], [1, 1]])
    assert grad.shape == (1_000_000, 2)


@pytest.mark.parametrize("times", [1, 3])
def test_sparse_or_dense_the_step_is_the_same(times: int) -> None:
    """Also where several backward passes add up: bit by bit the same weights."""
    sparse, full = pair_of_layers()
    optimizers = [optim.SGD(layer.parameters(), lr=0.1) for layer in (sparse, full)]
    for _ in range(3):
        step(sparse, optimizers[0], times)
        step(full, optimizers[1], times)
    np.testing.assert_array_equal(sparse.weight.data, full.weight.data)


def test_dense_and_sparse_gradients_of_one_table_add_up() -> None:
    """A table that is looked up and also used whole."""
    sparse, full = pair_of_layers()
    for layer in (sparse, full):
        layer(IDS)
        layer.backward(np.ones((2, 3, 4), np.float32))
        layer.weight.accumulate(np.full((7, 4), 0.5, np.float32))
        layer.backward(np.ones((2, 3, 4), np.float32))
    assert isinstance(sparse.weight.grad, np.ndarray)
    np.testing.assert_array_equal(sparse.weight.grad, dense(full.weight.grad))  # type: ignore[arg-type]


def test_clipping_sees_the_rows() -> None:
    sparse, full = pair_of_layers()
    norms = []
    for layer in (sparse, full):
        layer(IDS)
        layer.backward(np.ones((2, 3, 4), np.float32))
        norms.append(optim.clip_grad_norm_(layer.parameters(), 0.5))
    assert norms == [pytest.approx(np.sqrt(4 * (4 + 9 + 1)))] * 2
    np.testing.assert_array_equal(dense(sparse.weight.grad), dense(full.weight.grad))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "make",
    [
        lambda params: optim.SGD(params, momentum=0.9),
        lambda params: optim.SGD(params, weight_decay=0.1),
        optim.Adam,
        optim.AdamW,
    ],
)
def test_an_optimizer_that_moves_every_row_refuses(make: object) -> None:
    """And changes nothing, not even the parameters before the one that it cannot use."""
    linear, layer = nn.Linear(2, 2, rng=0), nn.Embedding(7, 4, sparse=True, rng=0)
    optimizer = make([*linear.parameters(), *layer.parameters()])  # type: ignore[operator]
    linear.backward(linear(np.ones((1, 2), np.float32)))
    layer.backward(layer(IDS))
    before = {**linear.state_dict(), "table": layer.weight.data}
    before = {name: array.copy() for name, array in before.items()}
    with pytest.raises(ValueError, match="cannot use a sparse gradient: take SGD without momentum"):
        optimizer.step()
    for name, array in {**linear.state_dict(), "table": layer.weight.data}.items():
        np.testing.assert_array_equal(array, before[name])
    assert optimizer.steps == 0


def test_repeated_ids_that_overwrite_each_other_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mistake that NumPy invites: of several rows with one id, `a[ids] += rows` adds one."""

    def overwriting(
        ids: np.ndarray, rows: np.ndarray, sources: np.ndarray, shape: tuple[int, int], factors: Any
    ) -> nn.SparseRows:
        table = np.zeros(shape, rows.dtype)
        table[ids] += rows[sources]
        return nn.SparseRows(np.arange(len(table)), table, shape)

    layer = nn.Embedding(7, 4, rng=0)
    assert check(layer, torch.nn.Embedding(7, 4), IDS).ok
    monkeypatch.setattr(nn.SparseRows, "sum_of", overwriting)
    report = check(layer, torch.nn.Embedding(7, 4), IDS)
    assert report.first_disagreement is not None
    assert report.first_disagreement.tensor == "grad weight"


@pytest.mark.parametrize("length", [1, 4, 100])
@pytest.mark.parametrize("padding_idx", [None, 2])
def test_bags_short_and_long(length: int, padding_idx: int | None) -> None:
    """Both ways in which bags are added up, against the plain sum; some bags are empty, one is padding.

    Of integers, whose sums are exact in any order.
    """
    rng = np.random.default_rng(0)
    layer = nn.EmbeddingBag(9, 3, mode="sum", padding_idx=padding_idx, rng=0, dtype=np.float64)
    layer.weight.data[:] = rng.integers(-1000, 1000, (9, 3))
    bags = [rng.integers(0, 9, n) for n in (length, 0, 2 * length, length)]
    bags += [np.full(length, 2), np.zeros(0, np.int64)]
    starts = np.cumsum([0, *(len(bag) for bag in bags)])
    expected = [sum((layer.weight.data[i] for i in bag if i != padding_idx), np.zeros(3)) for bag in bags]
    np.testing.assert_array_equal(layer(np.concatenate(bags), starts[:-1]), expected)


def test_no_bags_at_all() -> None:
    layer, none = nn.EmbeddingBag(9, 3, sparse=True, rng=0), np.zeros(0, np.int64)
    assert layer(none, none).shape == (0, 3)
    layer.backward(np.zeros((0, 3), np.float32))
    assert isinstance(layer.weight.grad, nn.SparseRows)
    assert layer.weight.grad.values.shape == (0, 3)


@pytest.mark.parametrize("given", [2, 40, 400])  # many takers of few rows, or each its own
@pytest.mark.parametrize("weighed", [False, True])
def test_rows_add_up_however_they_repeat(given: int, weighed: bool) -> None:
    """Both ways in which rows are added, against adding one after the other: integers, exact in any order."""
    rng = np.random.default_rng(given)
    ids, sources = rng.integers(0, 30, 400) ** 2 // 30, rng.integers(0, given, 400)
    rows = rng.integers(-1000, 1000, (given, 5)).astype(np.float64)
    factors = rng.integers(-9, 9, 400).astype(np.float64) if weighed else np.ones(400)
    grad = nn.SparseRows.sum_of(ids, rows, sources, (50, 5), factors if weighed else None)
    expected = np.zeros((50, 5))
    for i, source, factor in zip(ids, sources, factors, strict=True):
        expected[i] += factor * rows[source]
    np.testing.assert_array_equal(grad.indices, np.unique(ids))
    np.testing.assert_array_equal(grad.to_dense(), expected)


def test_an_infinite_row_stays_in_its_place() -> None:
    """Of repeated ids, too, only those that took the infinite row are infinite; none is nan."""
    ids, sources = np.array([0, 0, 1, 1, 2]), np.array([0, 1, 1, 1, 0])
    rows = np.array([[np.inf, 1.0], [1.0, 1.0]])
    grad = nn.SparseRows.sum_of(ids, rows, sources, (3, 2))
    np.testing.assert_array_equal(grad.values, [[np.inf, 2], [2, 2], [np.inf, 1]])
