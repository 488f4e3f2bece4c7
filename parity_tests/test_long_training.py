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


# --- out of the dtype's range ------------------------------------------------------------------------------


def grow(
    dtype: str, lr: float, last: Callable[[int, int], torch.nn.Module] = torch.nn.Linear, depth: int = 1
) -> ParityReport:
    """A network whose loss grows in every step until there is no number so large."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((20, 3)), rng.standard_normal((20, 3))
    sizes = [(4 if i else 3, 4) for i in range(depth)]
    own = [layer for i, size in enumerate(sizes) for layer in (nn.Linear(*size, rng=i), nn.ReLU())]
    twin = [layer for size in sizes for layer in (torch.nn.Linear(*size), torch.nn.ReLU())]
    return check(
        nn.Sequential(*own, nn.Linear(4, 3, rng=99)),
        torch.nn.Sequential(*twin, last(4, 3)),
        x,
        y,
        (nn.MSELoss(), torch.nn.MSELoss()),
        optimizer_args={"lr": lr},
        steps=30,
        dtype=dtype,
    )


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize(
    ("lr", "depth"), [(10.0, 1), pytest.param(30.0, 5, id="the truth's units are dead, not those of others")]
)
def test_inf_and_nan_of_a_training_that_diverges_are_no_difference(
    lr: float, depth: int, precision: str
) -> None:
    """Where each side has them depends on the order it computes in; the comparison ends there."""
    report = grow(precision, lr, depth=depth)
    report.raise_if_different()
    assert 2 < report.overflow < 30
    assert f"in step {report.overflow} the training leaves the range of {precision}" in str(report)


class Overloaded(torch.nn.Linear):
    """With weights above 10, which it has after two steps, it gives a hundredth more than it should."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x) * (1 + 1e-2 * bool(self.weight.abs().max() > 10))


def test_a_mistake_before_a_training_diverges_is_found(dtype: str) -> None:
    report = grow(dtype, 10.0, Overloaded)
    assert report.first_disagreement is not None
    assert report.first_disagreement.layer == "step 3"


class Exploding(nn.Linear):
    """From its second backward pass on, the gradient is much too large, and so are the weights."""

    passes = 0

    def backward(self, grad_output: np.ndarray) -> Any:
        self.passes += 1
        return super().backward(grad_output * grad_output.dtype.type(1e30 if self.passes > 1 else 1))


def test_a_truth_that_diverges_alone_is_a_difference() -> None:
    """Its own mistake made it so: torch, which is right, stays in the range."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((20, 3)), rng.standard_normal((20, 3))
    losses = nn.MSELoss(), torch.nn.MSELoss()
    report = check(Exploding(3, 3, rng=0), torch.nn.Linear(3, 3), x, y, losses, steps=6, dtype="float32")
    wrong = [c for c in report.comparisons if not c.ok and c.layer == "step 2"]
    assert {c.side for c in wrong} >= {"torch"}


class Masked(torch.nn.Module):
    """Numbers that are large by design, from the first step on, and a mistake from the third on."""

    def __init__(self, factor: float = 1.0) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer, self.factor, self.calls = torch.nn.Linear(3, 3), factor, 0
        self.mask = torch.nn.Parameter(torch.tensor([0.0, 0.0, torch.finfo(torch.float32).min]), False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        logits: torch.Tensor = self.layer(x) * (self.factor if self.calls > 2 else 1) + self.mask
        return logits


@pytest.mark.parametrize("factor", [1.0, 1.01, np.nan])
def test_large_numbers_that_have_not_grown_excuse_nothing(factor: float) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((20, 3)).astype(np.float32), rng.integers(0, 2, 20)
    losses = torch.nn.CrossEntropyLoss(), torch.nn.CrossEntropyLoss()
    report = check(Masked(), Masked(factor), x, y, losses, steps=6)
    assert report.overflow == 0
    assert report.ok == (factor == 1)
    if report.first_disagreement:
        assert report.first_disagreement.layer == "step 3"


# --- what is trained ---------------------------------------------------------------------------------------


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
