"""Contrast on several devices: each image is compared with those of all, and what is learned is one device's.

Several libraries have had a gradient that was wrong by a factor of the number of processes, or compared each
image with those of its own process alone; a loss that goes down shows neither.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from gdl_numpy.data import ViewsDataModule, load
from gdl_numpy.models import ContrastiveEncoder
from gdl_numpy.optim import SGD
from gdl_numpy.tasks import Contrastive
from parity_tests.harness.rounding import gamma, unit_roundoff
from parity_tests.support import (
    Disturb,
    State,
    assert_within,
    contrast_of_a_share,
    moved_by_rounding,
    nothing,
    same_end,
    two_processes,
    weights,
)
from parity_tests.support.forks import fork, needs_forks

if TYPE_CHECKING:
    from pathlib import Path

    from gdl_numpy.tasks.contrastive import LossName

SIZES: dict[str, Any] = {"in_shape": (1, 8, 8), "hidden_features": (12,), "projection_features": (5,)}
# Smooth, and of a different size in each direction: no gradient is 0 that should not be.
ENCODER: dict[str, Any] = {**SIZES, "activation": "tanh"}
LR, STEPS = 0.3, 5
MEASURED = ("loss", "spread", "collapse_gap")  # and accuracy, which torch calls otherwise
Batch = tuple[tuple[np.ndarray, ...], np.ndarray]


def learned_by_one(start: State, loss: LossName, batches: list[Batch], disturb: Disturb) -> list[State]:
    """NumPy's metrics and gradients, and then the weights, of each step of one process with whole batches."""
    model = ContrastiveEncoder(**ENCODER, dtype=np.float64)
    model.load_state_dict(start)
    task, optimizer = Contrastive.of(model, loss), SGD(model.parameters(), lr=LR)
    states = []
    for batch in batches:
        disturb(model)
        task.step(optimizer, batch)
        grads = {f"grad.{name}": np.array(parameter.grad) for name, parameter in model.named_parameters()}
        measured = {name: np.array(number) for name, number in task.metrics.row().items()}
        states.append({**measured, **grads})
    states[-1] |= {f"end.{name}": array.copy() for name, array in model.state_dict().items()}
    return states


def assert_learned(found: list[State], start: State, loss: LossName, batches: list[Batch]) -> None:
    """Fails where what processes have found is not what one would, within rounding."""

    def run(disturb: Disturb) -> list[State]:
        states = learned_by_one(start, loss, batches, disturb)
        return [{name: state[name] for name in wanted} for state, wanted in zip(states, found, strict=True)]

    values = sum(view.size for view in batches[0][0])  # no sum of a step is longer: it goes over a batch
    bounds = moved_by_rounding(run, float(gamma(values, unit_roundoff(np.float64))))
    assert_within(found, run(nothing), bounds)


@needs_forks
@pytest.mark.parametrize(("loss", "count"), [("NTXentLoss", 2), ("NTXentLoss", 3), ("TripletMarginLoss", 2)])
def test_two_processes_compare_with_all(loss: LossName, count: int, tmp_path: Path) -> None:
    """By flags of the Trainer alone: loss and gradients of each step, and the last weights.

    The two have 6 images each, in two views or three; NumPy has the 12. No labels say which are alike: that
    two images of two processes are not, says that each has a number of its own.
    """
    ranks = two_processes(
        tmp_path, "ddp_fork", "--model", "ContrastiveEncoder", "--model.hidden_features", "[12]",
        "--model.projection_features", "[5]", "--model.activation", "tanh", "--model.lr", str(LR),
        "--model.loss", loss, "--data", "DigitsViewsDataModule", "--data.batch_size", "6", "--data.seed", "5",
        "--data.views", str(count),
    )  # fmt: skip
    batches = []
    for step in range(STEPS):
        views = [np.concatenate([seen[f"batch.{step}.{place}"] for seen in ranks]) for place in range(count)]
        assert views[0].shape == (12, 1, 8, 8)
        batches.append((tuple(view.astype(np.float64) for view in views), np.arange(12)))
    ends = {f"end.{name}": array for name, array in same_end(ranks).items()}
    for seen in ranks:
        states = [{"loss": seen[f"loss.{step}"]} for step in range(STEPS)]
        for step, state in enumerate(states):
            state |= {f"grad.{name}": array for name, array in weights(seen, f"grad.{step}").items()}
        states[-1] |= ends
        assert_learned(states, weights(seen, "start"), loss, batches)


@needs_forks
@pytest.mark.parametrize(
    "loss", ["NTXentLoss", "TripletMarginLoss", "ContrastiveLoss", "CosineEmbeddingLoss"]
)
def test_shares_may_be_of_different_sizes(loss: LossName, tmp_path: Path) -> None:
    """11 images in two views, of which one process has 8 and the other 3: also where no label is in both."""
    rng = np.random.default_rng(0)
    model = ContrastiveEncoder(**ENCODER, rng=0, dtype=np.float64)
    first, second = rng.random((2, 11, 1, 8, 8))
    labels = np.array([0, 1, 2, 0, 1, 2, 0, 0, 1, 3, 3])
    shares = [tuple(array[part] for array in (first, second, labels)) for part in np.s_[:8, 8:]]
    arguments = {**ENCODER, "loss": loss}
    processes = [
        fork(contrast_of_a_share, rank, len(shares), tmp_path, arguments, model.state_dict(), share)
        for rank, share in enumerate(shares)
    ]
    for process in processes:
        process.join(120)
        assert process.exitcode == 0
    for rank in range(len(shares)):
        found = dict(np.load(tmp_path / f"rank{rank}.npz"))
        grads = {f"grad.{name}": found[name] for name in model.state_dict()}
        measured = {"accuracy": found["acc"], **{name: found[name] for name in MEASURED}}
        state = {**measured, **grads}
        assert_learned([state], model.state_dict(), loss, [((first, second), labels)])


def test_images_have_numbers_of_their_own_on_all_devices() -> None:
    """Where no labels say which are alike: those of two devices are not, and one device has the same."""
    data = ViewsDataModule(load("digits"), 4, validation=0)
    shares = [next(iter(data.batches("train", 2, rank)))[1] for rank in range(2)]
    whole = next(iter(ViewsDataModule(load("digits"), 8, validation=0).train))[1]
    np.testing.assert_array_equal(np.stack(shares, axis=1).ravel(), whole)
