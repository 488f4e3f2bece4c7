"""Trainings so long, and so chaotic, that rounding alone decides where each run goes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from gdl_numpy import nn
from parity_tests.harness import ParityReport, check, checker
from parity_tests.harness.report import LOOSE


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
def test_chaos_is_not_taken_for_a_difference(optimizer: str, arguments: dict[str, Any]) -> None:
    """All sides go on from the same weights and momenta, as often as it takes."""
    report = train(optimizer=optimizer, **arguments)
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


def test_a_quiet_training_runs_through() -> None:
    report = train(lr=0.5)
    report.raise_if_different()
    assert not report.restarts
