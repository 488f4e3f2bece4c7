"""The checker is checked: a formula is for the function that it describes, and no bound says nothing."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from gdl_numpy import nn
from parity_tests.harness import check
from parity_tests.harness.bounds import has_formula
from parity_tests.harness.rounding import gamma, probable_gamma, unit_roundoff
from parity_tests.support.reports import batch


class ScaledEmbedding(nn.Embedding):
    """As transformers have it: each vector times √d."""

    factor = 4.0  # √16

    def forward(self, ids: np.ndarray) -> Any:
        return super().forward(ids) * self.weight.data.dtype.type(self.factor)

    def backward(self, grad_output: np.ndarray) -> None:
        super().backward(grad_output * grad_output.dtype.type(self.factor))


class TorchScaledEmbedding(torch.nn.Embedding):
    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return super().forward(ids) * math.sqrt(self.embedding_dim)


def test_a_subclass_with_a_forward_of_its_own_has_no_formula(dtype: str) -> None:
    ids, twin = np.random.default_rng(0).integers(0, 9, (5, 3)), TorchScaledEmbedding(9, 16)
    assert not has_formula(twin)
    own = ScaledEmbedding(9, 16, rng=0)
    check(own, twin, ids, dtype=dtype).raise_if_different()
    own.factor = 4.001
    report = check(own, twin, ids, dtype=dtype)
    assert report.first_disagreement is not None
    assert report.first_disagreement.tensor == "output"


class Cosine(nn.Linear):
    """Cosines of the input with each row of the weight."""

    def forward(self, x: np.ndarray) -> np.ndarray:
        n, m = (np.sqrt((a * a).sum(axis=1, keepdims=True)) for a in (x, self.weight.data))
        y: np.ndarray = (x / n) @ (self.weight.data / m).T
        self.save_for_backward(x / n, n, self.weight.data / m, m, y)
        return y

    def backward(self, grad_output: np.ndarray) -> Any:
        x, n, w, m, y = self.saved
        along = grad_output * y
        self.weight.accumulate((grad_output.T @ x - along.sum(axis=0)[:, None] * w) / m)
        return (grad_output @ w - along.sum(axis=1, keepdims=True) * x) / n


class TorchCosine(torch.nn.Linear):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.normalize(x, dim=1) @ F.normalize(self.weight, dim=1).T


def test_a_cosine_layer_is_no_linear_one(dtype: str) -> None:
    own, twin = Cosine(5, 3, bias=False, rng=0), TorchCosine(5, 3, bias=False)
    check(own, twin, batch(6, 5), dtype=dtype).raise_if_different()


@pytest.mark.parametrize(
    "layer",
    [
        torch.nn.MaxPool2d(2, return_indices=True),
        torch.nn.Embedding(3, 4, max_norm=1.0),
        torch.nn.EmbeddingBag(3, 4, mode="max"),
        torch.nn.EmbeddingBag(3, 4, include_last_offset=True),
        torch.nn.LSTM(3, 4, bidirectional=True),
        torch.nn.LSTM(3, 4, proj_size=2),
        torch.nn.RNN(3, 4, 2, dropout=0.5),
        torch.nn.BCEWithLogitsLoss(pos_weight=torch.ones(1)),
        torch.nn.TripletMarginLoss(p=3),
        torch.nn.Softmax(),
        torch.nn.GELU(),
    ],
    ids=str,
)
def test_options_that_no_formula_knows(layer: torch.nn.Module) -> None:
    assert not has_formula(layer)


def test_average_pooling_with_windows_over_the_edge(dtype: str) -> None:
    """`ceil_mode` lets windows begin in the last columns; a mean is of fewer numbers there."""

    class CeilPool(nn.Module):
        def forward(self, x: np.ndarray) -> np.ndarray:
            self.save_for_backward(x.shape)
            whole, edge = x[..., :4].reshape(*x.shape[:-1], 2, 2), x[..., 4:]
            rows = np.concatenate([whole.mean(axis=-1), edge], axis=-1)
            y: np.ndarray = (rows[..., ::2, :] + rows[..., 1::2, :]) / 2
            return y

        def backward(self, grad_output: np.ndarray) -> np.ndarray:
            rows = np.repeat(grad_output / 2, 2, axis=-2)
            return np.concatenate([np.repeat(rows[..., :2] / 2, 2, axis=-1), rows[..., 2:]], axis=-1)

    check(
        CeilPool(), torch.nn.AvgPool2d(2, ceil_mode=True), batch(3, 2, 4, 5), dtype=dtype
    ).raise_if_different()


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.4])
def test_smoothed_labels_are_another_loss(smoothing: float, dtype: str) -> None:
    """Our loss does not smooth: it is torch's exactly where torch's does not either."""
    twin = torch.nn.CrossEntropyLoss(label_smoothing=smoothing)
    report = check(nn.CrossEntropyLoss(), twin, batch(6, 4), np.array([0, 1, 2, 3, 0, 1]), dtype=dtype)
    assert report.ok == (smoothing == 0)


# Bounds without a formula


def gelu(approximate: str) -> type[nn.Module]:
    """Φ(x) x by erf, or by the tanh that is near it."""
    erf = np.vectorize(math.erf, otypes=[np.float64])

    class GELU(nn.Module):
        def forward(self, x: np.ndarray) -> Any:
            wide = x.astype(np.float64)
            inner = math.sqrt(2 / math.pi) * (wide + 0.044715 * wide**3)
            phi = (1 + (np.tanh(inner) if approximate == "tanh" else erf(wide / math.sqrt(2)))) / 2
            slope = (
                (1 - np.tanh(inner) ** 2) / 2 * math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * wide**2)
                if approximate == "tanh"
                else np.exp(-(wide**2) / 2) / math.sqrt(2 * math.pi)
            )
            self.save_for_backward((phi + wide * slope).astype(x.dtype))
            return (wide * phi).astype(x.dtype)

        def backward(self, grad_output: np.ndarray) -> Any:
            return grad_output * self.saved[0]

    return GELU


@pytest.mark.parametrize("size", [100, 10_000, 300_000])
def test_a_near_function_is_another_function_however_large_the_batch(size: int, dtype: str) -> None:
    x = batch(size)
    for kind in ("none", "tanh"):
        check(gelu(kind)(), torch.nn.GELU(kind), x, dtype=dtype).raise_if_different()
    report = check(gelu("none")(), torch.nn.GELU("tanh"), x, dtype=dtype)
    assert report.first_disagreement is not None
    assert report.first_disagreement.tensor.startswith("output")


def test_an_estimate_says_something_where_the_theorem_no_longer_does() -> None:
    u = unit_roundoff(np.float32)
    assert gamma(2**24, u) == np.inf
    assert probable_gamma(2**24, u) < 1e-3


@pytest.mark.parametrize("layer", ["GELU", "Tanh"])
def test_torch_is_held_in_float64_too(layer: str) -> None:
    own = gelu("none")() if layer == "GELU" else nn.Tanh()
    report = check(own, getattr(torch.nn, layer)(), batch(50), dtype="float32")
    assert {("output", "in float64"), ("grad_input", "in float64")} <= {
        (c.tensor, c.run) for c in report.comparisons
    }


@pytest.mark.parametrize("terms", [300, 100_000])
def test_no_mistake_hides_behind_the_bound_of_a_long_sum(terms: int) -> None:
    """One row alone, of which there is no half: in float32 its bound is wider than the mistake."""

    class Wrong(nn.Linear):
        def forward(self, x: np.ndarray) -> Any:
            return super().forward(x) * x.dtype.type(1 + 1e-5)

    twin, x = torch.nn.Linear(terms, 3), batch(1, terms)
    check(nn.Linear(terms, 3, rng=0), twin, x, dtype="float32").raise_if_different()
    report = check(Wrong(terms, 3, rng=0), twin, x, dtype="float32")
    assert "torch output in float64" in str(report.first_disagreement)


def test_a_report_says_which_bounds_are_wide() -> None:
    """Of a difference of nearly equal numbers, rounding alone explains almost anything."""
    assert "bound is more than" not in str(check(nn.Tanh(), torch.nn.Tanh(), batch(4, 3), dtype="float32"))
    own, x = nn.Linear(3, 1, bias=False), np.array([[1.0, 1e4, -1e4]])
    own.weight.data[...] = 1
    report = check(own, torch.nn.Linear(3, 1, bias=False), x, dtype="float32")
    assert report.ok
    assert "the bound is more than 0.001 of the values, most of module: output" in str(report)
    assert report.loose[0].tensor == "output"
