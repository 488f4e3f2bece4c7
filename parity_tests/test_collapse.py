"""A contrastive encoder that gives all images the same code has learned nothing, and the run says so.

Its loss does not tell: it goes down, to that of codes that are all the same, and stays there.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from gdl_numpy.models import ContrastiveEncoder
from gdl_numpy.tasks import Contrastive, ContrastiveMetrics, loss_at_collapse
from gdl_numpy.tasks.contrastive import spread
from gdl_torch.export import from_numpy
from gdl_torch.tasks.contrastive import spread as torch_spread
from parity_tests.harness.rounding import OPERATIONS, gamma, unit_roundoff
from parity_tests.support import (
    ONE_EPOCH,
    Disturb,
    State,
    assert_within,
    gdl_torch,
    moved_by_rounding,
)
from parity_tests.support.train_script import as_run, both_backends, train

if TYPE_CHECKING:
    from pathlib import Path

    from gdl_numpy.tasks.contrastive import LossName

pytestmark = as_run

LABELS = np.array([0, 1, 0, 1, 2, 2, 0])
D = 5
VALUES: dict[LossName, float] = {
    "NTXentLoss": math.log(13),
    "TripletMarginLoss": 0.3,
    "ContrastiveLoss": 0.045,
    "CosineEmbeddingLoss": 0.35,
}
every_loss = pytest.mark.parametrize("loss", VALUES)


def encoder() -> ContrastiveEncoder:
    return ContrastiveEncoder((1, 8, 8), (), (12,), (D,), "tanh", rng=0, dtype=np.float64)


def views(count: int = 2) -> tuple[np.ndarray, ...]:
    return tuple(np.random.default_rng(0).random((count, len(LABELS), 1, 8, 8)))


def measured(model: ContrastiveEncoder, loss: LossName, count: int = 2) -> tuple[State, State]:
    """What NumPy and torch measure of one batch."""
    task = Contrastive.of(model, loss, margin=None if loss == "NTXentLoss" else 0.3)
    task(views(count), LABELS)
    own = {name: np.array(value) for name, value in task.metrics.row().items()}
    twin: Any = from_numpy(model, **task.hparams)
    outcome = twin.compare([torch.from_numpy(view) for view in views(count)], torch.from_numpy(LABELS))
    totals = {name: total.detach().numpy() for name, total in twin.totals(outcome, 1).items()}
    return own, {"loss": outcome.loss.detach().numpy(), "accuracy": totals.pop("acc"), **totals}


@every_loss
@pytest.mark.parametrize("count", [2, 3])
def test_both_sides_measure_the_same(count: int, loss: LossName) -> None:
    """Loss, accuracy, spread and distance from the collapse, within rounding."""
    model = encoder()
    start = {name: array.copy() for name, array in model.state_dict().items()}

    def run(disturb: Disturb) -> list[State]:
        model.load_state_dict(start)
        disturb(model)
        return [measured(model, loss, count)[0]]

    relative = float(gamma(views()[0].size, unit_roundoff(np.float64)))
    own, found = measured(model, loss, count)
    assert own.keys() == found.keys() == ContrastiveMetrics.columns.keys()
    assert 0 < own["spread"] < 1
    assert_within([found], [own], moved_by_rounding(run, relative))


@every_loss
def test_codes_that_are_the_same_have_the_loss_of_a_collapse(loss: LossName) -> None:
    """The value of each loss by hand, and by both sides' losses; and that is a collapse."""
    assert loss_at_collapse(loss, 2 * len(LABELS), margin=0.3) == pytest.approx(VALUES[loss])
    model = encoder()
    model.state_dict()["head.0.weight"][:] = 0  # the biases are left
    # Cosines are sums of D products, here over a temperature of 0.5, and exponentials of them are added up.
    bound = float(gamma(4 * D + 2 * len(LABELS) + OPERATIONS, unit_roundoff(np.float64))) * max(
        VALUES[loss], 1
    )
    for side in measured(model, loss):
        assert abs(side["loss"] - VALUES[loss]) <= bound
        assert abs(side["collapse_gap"]) <= bound
        # Of D components up to 1, each the mean of as many equal numbers as there are codes.
        assert side["spread"] <= math.sqrt(D) * gamma(2 * len(LABELS), unit_roundoff(np.float64))
        assert ContrastiveMetrics(**{name: float(value) for name, value in side.items()}).has_collapsed


@pytest.mark.parametrize("count", [2, 3])
def test_views_of_no_images_have_no_mean(count: int) -> None:
    """As on torch's side."""
    model, nothing = encoder(), (np.zeros((0, 1, 8, 8)),) * count
    task = Contrastive.of(model)
    assert math.isnan(task(nothing, LABELS[:0]))
    assert [grad.shape for grad in task.backward()] == [(0, 1, 8, 8)] * count
    outcome = from_numpy(model, **task.hparams).compare(
        [torch.from_numpy(view) for view in nothing], torch.from_numpy(LABELS[:0])
    )
    assert outcome.loss.isnan()


def test_spread_of_codes_all_over_the_sphere() -> None:
    """Both ways along each axis: variances of 1 / d, and so exactly 1. In half of the directions, √½."""
    axes = np.concatenate([np.eye(16), -np.eye(16)])
    assert spread(axes) == torch_spread(torch.from_numpy(axes)) == 1
    assert spread(axes[axes[:, :8].any(axis=1)]) == pytest.approx(math.sqrt(0.5))


@pytest.mark.parametrize(
    ("loss", "spread", "collapse_gap", "collapsed"),
    [
        (0.5, 0.0, 0.0, True),
        (0.4951, 0.09, 0.0049, True),
        (0.55, 0.01, -0.05, True),  # the hardest triplets, with what differs still
        (0.36, 0.09, 0.14, False),  # enough to tell them apart by
        (0.5, 0.11, 0.0, False),  # a network that has not learned yet
        (math.nan, math.nan, math.nan, False),  # that is another fault
    ],
)
def test_what_a_collapse_is(loss: float, spread: float, collapse_gap: float, collapsed: bool) -> None:
    """Both spread and loss have to say so."""
    metrics = ContrastiveMetrics(loss, 0.0, spread, collapse_gap)
    assert metrics.has_collapsed is (metrics.warning is not None) is collapsed


# Steps so large that nothing is left of what the encoder tells apart; and an ordinary training.
COLLAPSES = "--loss TripletMarginLoss --optimizer SGD --lr 100"
SAYS = "warning: the encoder has collapsed"


@both_backends
@pytest.mark.parametrize(("flags", "collapsed"), [(COLLAPSES, True), ("", False)])
def test_a_run_says_so_at_its_end(
    flags: str, collapsed: bool, backend: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On one line; and the history has the numbers, of every epoch."""
    words = ("--backend", backend, "--device", "cpu", "--epochs", 2, "--batch-size", 64, "--out", tmp_path)
    assert train(f"ContrastiveEncoder --hidden-features 32 --projection-features 16 {flags}", *words) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith(SAYS) is collapsed
    for row in json.loads((tmp_path / "history.json").read_text()):
        for part in ("train", "validation"):
            assert 0 <= row[f"{part}_spread"] < 1.1
            assert math.isfinite(row[f"{part}_collapse_gap"])
    assert (row["validation_spread"] < 0.1) is collapsed


@pytest.mark.parametrize("collapsed", [True, False])
def test_lightning_says_so_at_its_end(
    collapsed: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the numbers of the last validation."""
    model, data = ("--model.loss", "TripletMarginLoss", "--model.lr", "100"), ("--data.labelled", "true")
    gdl_torch(
        tmp_path, "fit", "--model", "ContrastiveEncoder", "--model.hidden_features", "[32]",
        *(model if collapsed else ()), "--data", "DigitsViewsDataModule", "--data.batch_size", "64",
        *(data if collapsed else ()), "--trainer.logger", "false", "--trainer.enable_checkpointing", "false",
        *ONE_EPOCH,
    )  # fmt: skip
    assert capsys.readouterr().err.count(SAYS) == collapsed
