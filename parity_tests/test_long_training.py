"""Trainings so long, and so chaotic, that rounding alone decides where each run goes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from gdl_numpy import nn
from parity_tests.harness import ParityReport, check, checker
from parity_tests.harness.report import LOOSE

if TYPE_CHECKING:
    from collections.abc import Callable


class Tiring(torch.nn.Linear):
    """From its 60th call on, it gives a ten-thousandth more than it should."""

    calls = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return super().forward(x) * (1 + 1e-4 * (self.calls >= 60))


def train(
    last: type[torch.nn.Module] = torch.nn.Linear,
    optimizer: str = "SGD",
    dtype: str = "float32",
    steps: int = 60,
    **arguments: Any,
) -> ParityReport:
    """A small network; with large learning rates errors double every few steps, and the loss stays finite."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((20, 3)), rng.integers(0, 3, 20)
    own = nn.Sequential(nn.Linear(3, 5, rng=1), nn.Tanh(), nn.Linear(5, 3, rng=2))
    twin = torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.Tanh(), last(5, 3))
    losses = nn.CrossEntropyLoss(), torch.nn.CrossEntropyLoss()
    return check(
        own, twin, x, y, losses, optimizer=optimizer, optimizer_args=arguments, steps=steps, dtype=dtype
    )


@pytest.mark.parametrize(
    ("optimizer", "arguments"),
    [
        ("SGD", {"lr": 8.0}),
        ("SGD", {"lr": 6.0, "momentum": 0.9, "nesterov": True}),
        ("Adam", {"lr": 4.0, "betas": (0.5, 0.5)}),
        ("AdamW", {"lr": 2.0, "betas": (0.5, 0.5), "weight_decay": 0.1}),
    ],
)
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_chaos_is_not_taken_for_a_difference(
    optimizer: str, arguments: dict[str, Any], precision: str
) -> None:
    """All sides go on from the same weights and momenta, as often as it takes."""
    report = train(optimizer=optimizer, dtype=precision, **arguments)
    report.raise_if_different()
    assert report.restarts
    assert f"after step {report.restarts[0]}" in str(report)


def test_without_a_restart_right_twins_would_be_accused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checker, "far_apart", lambda *_: False)
    assert not train(lr=8.0).ok


def test_bounds_are_narrow_again_after_a_restart() -> None:
    """Nearly as narrow as at first, where they had come to all that rounding had done."""
    report = train(steps=10, lr=6.0, momentum=0.9, nesterov=True)
    (restart,) = report.restarts
    width = {
        c.layer: c.bound / c.scale
        for c in report.comparisons
        if (c.tensor, c.side) == ("2.weight", "torch") and c.layer.startswith("step")
    }
    assert width[f"step {restart}"] > LOOSE / 10
    assert width[f"step {restart + 1}"] < 10 * width["step 1"]


def test_a_mistake_that_comes_after_a_restart_is_found_in_its_step() -> None:
    report = train(Tiring, dtype="float64", steps=61, lr=8.0)
    (restart,) = report.restarts
    assert restart < 60
    assert report.first_disagreement is not None
    assert report.first_disagreement.layer == "step 60"


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_quiet_training_runs_through(precision: str) -> None:
    """In bfloat16 too, where each update is off by more than what else is far."""
    report = train(dtype=precision, steps=10, lr=0.5)
    report.raise_if_different()
    assert not report.restarts


def diverging(last: Callable[[int, int], torch.nn.Module], dtype: str, steps: int) -> ParityReport:
    """A network whose loss grows in every step until there is no number so large."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((20, 3)), rng.standard_normal((20, 3))
    own = nn.Sequential(nn.Linear(3, 5, rng=1), nn.ReLU(), nn.Linear(5, 3, rng=2))
    twin = torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.ReLU(), last(5, 3))
    losses = nn.MSELoss(), torch.nn.MSELoss()
    return check(own, twin, x, y, losses, optimizer_args={"lr": 10.0}, steps=steps, dtype=dtype)


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float64"])
def test_a_training_that_diverges_ends(precision: str) -> None:
    """Where squares overflow, each side has its inf and nan somewhere else."""
    report = diverging(torch.nn.Linear, precision, 40)
    report.raise_if_different()
    compared = {c.layer for c in report.comparisons if c.layer.startswith("step")}
    assert 2 < len(compared) < 40
    assert f"compared up to step {len(compared)}:" in str(report)


class Overloaded(torch.nn.Linear):
    """With weights above 10, which it has after two steps, it gives a ten-thousandth more than it should."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x) * (1 + 1e-4 * bool(self.weight.abs().max() > 10))


def test_a_mistake_before_a_training_diverges_is_found() -> None:
    report = diverging(Overloaded, "float64", 40)
    assert report.end
    assert report.first_disagreement is not None
    assert report.first_disagreement.layer == "step 3"


class Network(torch.nn.Module):
    """The small network, and layers that are not trained by what it gives."""

    def __init__(self, large: float = 1.0) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last = torch.nn.Linear(3, 5), torch.nn.Linear(5, 3)
        self.unused, self.unheard = torch.nn.Linear(2, 2), torch.nn.Linear(1, 1)
        torch.nn.init.constant_(self.unheard.weight, large)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        heard, unheard = self.last(torch.tanh(self.first(x))), self.unheard(x[:, :1])
        logits: torch.Tensor = heard + 0 * unheard
        return logits


def train_twice(make: Callable[[], torch.nn.Module], optimizer: str, steps: int, **arguments: Any) -> Any:
    """A torch module beside itself."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((20, 3)).astype(np.float32), rng.integers(0, 3, 20)
    losses = torch.nn.CrossEntropyLoss(), torch.nn.CrossEntropyLoss()
    report = check(make(), make(), x, y, losses, optimizer=optimizer, optimizer_args=arguments, steps=steps)
    report.raise_if_different()
    return report


def test_parameters_without_a_gradient_have_no_momenta_to_take_over() -> None:
    """In torch, which makes them at a parameter's first gradient."""
    assert train_twice(Network, "SGD", 15, lr=6.0, momentum=0.9).restarts
    assert train_twice(Network, "Adam", 15, lr=4.0, betas=(0.5, 0.5)).restarts


def test_large_weights_that_do_not_learn_hide_no_chaos() -> None:
    assert train_twice(lambda: Network(1e4), "SGD", 20, lr=8.0).restarts


class Attention(torch.nn.Module):
    """Its keys' bias moves all scores of a row alike, which softmax does not hear: it has no gradient."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.query, self.key, self.value = (torch.nn.Linear(3, width) for width in (4, 4, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.query(x) @ self.key(x).T
        logits: torch.Tensor = scores.softmax(-1) @ self.value(x)
        return logits


def test_steps_that_adam_makes_of_rounding_are_no_chaos() -> None:
    assert not train_twice(Attention, "Adam", 8, lr=0.1).restarts
