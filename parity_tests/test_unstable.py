"""Functions that are no stable evaluations, though each of their steps is: right twins part by more than u.

In attention that is nearly sure, softmax gives 1 but for its last digits, and its gradient p ∘ (g - Σ p g) is
all cancellation: it depends on how p was rounded.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from gdl_numpy import nn
from parity_tests.harness import check
from parity_tests.support.reports import batch

SEEDS = range(4)
SHARPNESS = [1.0, 6.0, 15.0, 50.0]  # of the last, most of softmax underflows


class Attention(torch.nn.Module):
    """Layers inside, and functions between them."""

    def __init__(self, sharpness: float, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.query, self.key, self.value = (torch.nn.Linear(3, width) for width in (4, 4, 2))
        with torch.no_grad():
            self.query.weight *= sharpness
            self.key.weight *= sharpness

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scores = self.query(x) @ self.key(x).T
        found: torch.Tensor = scores.softmax(-1) @ self.value(x)
        return found


class Bare(torch.nn.Module):
    """The same in one layer."""

    def __init__(self, sharpness: float, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.query, self.key = (torch.nn.Parameter(sharpness * torch.randn(3, 4) / 3) for _ in range(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return ((x @ self.query) @ (x @ self.key).T).softmax(-1) @ x


class Own(nn.Module):
    """`Attention`, by hand."""

    def __init__(self, twin: Attention, mistake: float = 0.0) -> None:
        self.query, self.key, self.value = nn.Linear(3, 4), nn.Linear(3, 4), nn.Linear(3, 2)
        self.load_state_dict({name: tensor.numpy() for name, tensor in twin.state_dict().items()})
        self.mistake = mistake

    def forward(self, x: np.ndarray) -> np.ndarray:
        q, k, v = self.query(x), self.key(x), self.value(x)
        scores = q @ k.T
        powers = np.exp(scores - scores.max(axis=1, keepdims=True))
        p = powers / powers.sum(axis=1, keepdims=True)
        self.save_for_backward(q, k, v, p)
        return np.asarray(p @ v)

    def backward(self, grad_output: np.ndarray) -> Any:
        q, k, v, p = self.saved
        grad_p = grad_output @ v.T
        grad_scores = p * (grad_p - (1 - self.mistake) * (p * grad_p).sum(axis=1, keepdims=True))
        calls: list[Any] = [self.query.backward(grad_scores @ k), self.key.backward(grad_scores.T @ q)]
        return sum(calls) + self.value.backward(p.T @ grad_output)


@pytest.mark.parametrize("sharpness", SHARPNESS)
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("layer", [Attention, Bare])
def test_right_twins_of_torch(layer: type[torch.nn.Module], seed: int, sharpness: float, dtype: str) -> None:
    one, other = layer(sharpness, seed), layer(sharpness, seed)
    check(one, other, batch(12, 3, seed=seed), dtype=dtype).raise_if_different()


@pytest.mark.parametrize("sharpness", SHARPNESS)
@pytest.mark.parametrize("seed", SEEDS)
def test_a_right_twin_by_hand(seed: int, sharpness: float, dtype: str) -> None:
    twin = Attention(sharpness, seed)
    check(Own(twin), twin, batch(12, 3, seed=seed), dtype=dtype).raise_if_different()


@pytest.mark.parametrize("sharpness", [1.0, 6.0])
def test_a_wrong_twin_is_found(sharpness: float, dtype: str) -> None:
    """A sum in softmax's gradient that is a thousandth too small."""
    twin = Attention(sharpness, 0)
    report = check(Own(twin, mistake=1e-3), twin, batch(12, 3), dtype=dtype)
    assert report.first_disagreement is not None
    assert report.first_disagreement.tensor.startswith("grad")


class Padded(torch.nn.Module):
    """Attention to earlier places alone, so that the first has none to look at; and a position for each."""

    def __init__(self, fill: float, scale: float = 0.5) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.query, self.key, self.value = (torch.nn.Linear(3, width) for width in (4, 4, 2))
        self.position = torch.nn.Embedding(8, 3)
        self.fill, self.scale = fill, scale

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        ones = torch.ones_like(x[:, 0])
        x = x + self.position(ones.cumsum(0).long() - 1)
        scores = self.query(x) @ self.key(x).T * self.scale
        earlier = torch.ones_like(scores).tril(-1).bool()
        found: torch.Tensor = scores.masked_fill(~earlier, self.fill).softmax(-1) @ self.value(x)
        return found


@pytest.mark.parametrize("fill", [-1e9, torch.finfo(torch.float32).min])
def test_masks_and_counts_hide_nothing(fill: float, dtype: str) -> None:
    """Numbers without a rounding error: those of equal size in a row, and counts, which are places."""
    check(Padded(fill), Padded(fill), batch(6, 3), dtype=dtype).raise_if_different()
    report = check(Padded(fill), Padded(fill, 0.5005), batch(6, 3), dtype=dtype)
    assert report.first_disagreement is not None
    assert report.first_disagreement.tensor.startswith("output of the model")


class Choice(torch.nn.Module):
    """What is computed is decided by what was computed."""

    def __init__(self, factor: float = 3.0) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.one, self.other, self.factor = torch.nn.Linear(3, 4), torch.nn.Linear(4, 2), factor

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.one(x)
        chosen = torch.cond(h.sum() > -1e9, lambda a: a * 2, lambda a: a.clone(), (h,))
        found: torch.Tensor = self.other(self.factor * chosen)
        return found


@pytest.mark.skipif(
    not hasattr(TorchDispatchMode, "ignore_compile_internals"),
    reason="this torch's modes cannot see torch.cond",
)
@pytest.mark.filterwarnings(r"ignore:The \.grad attribute of a Tensor that is not a leaf:UserWarning")
def test_torchs_own_conditions(dtype: str) -> None:
    check(Choice(), Choice(), batch(5, 3), dtype=dtype).raise_if_different()
    assert not check(Choice(), Choice(3.003), batch(5, 3), dtype=dtype).ok
