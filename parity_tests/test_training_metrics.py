"""What `fit` and `evaluate` compute on both sides: losses and metrics of epochs, of a step, of a part.

When they stop, and that stopping loses nothing, is the business of test_training.py.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pytest
import torch

import gdl_torch.training
from gdl_numpy.data import hold_out, load
from gdl_numpy.models import MLP
from gdl_numpy.nn import CrossEntropyLoss
from gdl_numpy.optim import SGD
from gdl_numpy.tasks import Classification, ClassificationMetrics
from gdl_numpy.training import evaluate, fit
from gdl_torch import models as torch_models
from gdl_torch.data import DigitsDataModule
from gdl_torch.export import from_numpy
from gdl_torch.tasks import Mean, Outcome
from parity_tests.harness.rounding import gamma, unit_roundoff
from parity_tests.support import (
    Disturb,
    DoubleBatches,
    State,
    assert_within,
    moved_by_rounding,
    nothing,
)

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec:FutureWarning")

BATCH_SIZE, HELD_OUT, SEED = 100, 0.7, 3


def as_state(row: dict[str, Any]) -> State:
    """Numbers of a history, but for the time."""
    return {name: np.asarray(value) for name, value in row.items() if name != "seconds"}


def test_both_sides_see_the_same_examples(tmp_path: Path) -> None:
    """The same first weights, held-out examples and order: without dropout the two histories agree.

    No sum of a float32 step is longer than a batch.
    """
    twin = from_numpy(MLP(64, hidden_features=(16,), dropout=0, rng=SEED))
    data = DigitsDataModule(BATCH_SIZE, validation=HELD_OUT, seed=SEED)
    torch_history = gdl_torch.training.fit(
        twin,
        torch.optim.SGD(twin.parameters(), lr=0.1),
        data,
        epochs=2,
        directory=tmp_path,
        accelerator="cpu",
        progress=False,
    )
    train, validation = hold_out(load("digits").train, HELD_OUT, SEED)
    np.testing.assert_array_equal(train.inputs, data.train.inputs)
    np.testing.assert_array_equal(validation.targets, data.validation.targets)
    torch_test = gdl_torch.training.evaluate(twin, data, accelerator="cpu")

    def run(disturb: Disturb) -> list[State]:
        """By NumPy in float64: what the history has of each epoch, and what of the test images is known."""
        model = MLP(64, hidden_features=(16,), dropout=0, rng=SEED).astype(np.float64)
        disturb(model)
        history = fit(
            Classification(model),
            SGD(model.parameters(), lr=0.1),
            DoubleBatches(train, BATCH_SIZE, SEED),
            epochs=2,
            validation=DoubleBatches(validation, BATCH_SIZE),
            progress=False,
            on_step=lambda *_: disturb(model),
        )
        test = evaluate(Classification(model), DoubleBatches(load("digits").test, BATCH_SIZE))
        return [as_state(row) for row in (*history.rows, test.row())]

    expected, u = run(nothing), unit_roundoff(np.float32)
    bounds = moved_by_rounding(run, float(gamma(BATCH_SIZE + 8, u)))
    for row, bound in zip(expected, bounds, strict=True):
        for name, value in row.items():
            if "accuracy" in name:  # that of one image on the border, of 360 or more
                bound[name] = max(bound[name], 1 / 360)
            else:  # a mean of a few losses
                bound[name] += float(gamma(8, u) * value)
    found = [as_state(row) for row in (*torch_history.rows, torch_test.row())]
    assert max(bound[name] for bound in bounds for name in bound if "loss" in name) < 1e-5
    assert_within(found, expected, bounds, widest=3e-3)  # which is for accuracies


def test_a_step_is_one_step_down_the_gradient() -> None:
    """By hand: p - lr · gradient, clipped; old gradients do not count; the metrics are those before it."""
    model, loss = MLP(64, hidden_features=(), rng=0), CrossEntropyLoss()
    inputs, targets = load("digits").train.take(20).inputs, load("digits").train.take(20).targets
    before = {name: array.copy() for name, array in model.state_dict().items()}
    expected_loss = loss(model(inputs), targets)
    model.backward(loss.backward())
    gradients = {name: parameter.grad.copy() for name, parameter in model.named_parameters()}  # type: ignore[union-attr]
    norm = math.sqrt(sum(float(np.sum(gradient**2)) for gradient in gradients.values()))

    task = Classification(model)
    assert task.step(SGD(model.parameters(), lr=0.5), (inputs, targets), clip_norm=norm / 2) == expected_loss
    assert task.metrics.loss == expected_loss
    assert task.grad_norm == pytest.approx(norm)
    u = unit_roundoff(np.float32)
    # Both norms are sums over all gradients, to one of which clipping adds 1e-6.
    off = 1e-6 / norm + gamma(sum(gradient.size for gradient in gradients.values()) + 8, u)
    for name, array in model.state_dict().items():
        step = 0.5 * gradients[name] / 2
        bound = off * np.abs(step) + 2 * u * np.abs(before[name])
        assert (np.abs(array - (before[name] - step)) <= bound).all()


def test_evaluate_counts_every_example_once_and_drops_nothing() -> None:
    """A last, smaller batch weighs less; dropout is off; the model's mode is left as it was."""
    test = load("digits").test
    model = MLP(64, hidden_features=(16, 12), dropout=0.3, rng=SEED).astype(np.float64)
    whole = evaluate(Classification(model), DoubleBatches(test, len(test)))
    in_parts = evaluate(Classification(model), DoubleBatches(test, 350))  # 350 and 10
    assert model.training
    logits = model.eval()(test.inputs.astype(np.float64))
    assert isinstance(whole, ClassificationMetrics)
    assert isinstance(in_parts, ClassificationMetrics)
    assert whole.accuracy == in_parts.accuracy == np.mean(logits.argmax(1) == test.targets)
    assert whole.loss == pytest.approx(CrossEntropyLoss()(logits, test.targets))
    assert in_parts.loss == pytest.approx(whole.loss, rel=float(gamma(len(test), unit_roundoff(np.float64))))
    evaluate(Classification(model), DoubleBatches(test, 350))
    assert not model.training


@dataclass(frozen=True)
class SureMetrics(ClassificationMetrics):
    """With a number that is no other task's."""

    sure: float


class SureMLP(torch_models.MLP):
    """A model of a task with metrics of its own."""

    metrics_class: ClassVar[Any] = SureMetrics
    metric_classes: ClassVar = {"acc": Mean, "sure": Mean}

    def totals(self, outcome: Outcome, count: torch.Tensor | int) -> dict[str, torch.Tensor]:
        sure = (outcome.outputs.softmax(dim=1).amax(dim=1) > 0.12).sum()
        return {**super().totals(outcome, count), "sure": sure}


def test_metrics_of_a_new_task_come_back_from_lightning() -> None:
    """By the names that the task gives them: nothing outside lists those there are."""
    data = DigitsDataModule(batch_size=BATCH_SIZE)
    torch.manual_seed(SEED)  # of these first weights some answers are sure, and some are not
    model = SureMLP(64)
    found = gdl_torch.training.evaluate(model, data, accelerator="cpu")
    assert isinstance(found, SureMetrics)
    with torch.no_grad():
        logits = model.eval()(torch.from_numpy(data.test.inputs))
    assert found.sure == float((logits.softmax(dim=1).amax(dim=1) > 0.12).double().mean())
    assert 0 < found.sure < 1
