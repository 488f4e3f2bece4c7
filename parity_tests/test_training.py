"""`fit` on both sides: when it stops, that stopping loses nothing, and what it leaves behind or refuses.

That the single steps are the same on both sides is the business of test_lightning.py; what is computed of
them that of test_training_metrics.py.
"""

from __future__ import annotations

import itertools
import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

import gdl_torch.training
from gdl_numpy.checkpoint import CheckpointError, load_checkpoint, load_model, save_model
from gdl_numpy.data import Batches, hold_out, load
from gdl_numpy.history import History
from gdl_numpy.models import CNN, MLP
from gdl_numpy.nn import CrossEntropyLoss
from gdl_numpy.optim import SGD, Adam
from gdl_numpy.tasks import Classification, ClassificationMetrics, Metrics
from gdl_numpy.training import fit
from gdl_torch.data import DigitsDataModule
from gdl_torch.export import from_numpy
from parity_tests.support import (
    State,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from gdl_numpy.nn import Module

pytestmark = pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec:FutureWarning")

# Small enough for milliseconds, with everything that has a state: dropout in two places, moments, a schedule.
BATCH_SIZE, HELD_OUT, SEED = 100, 0.7, 3


def new_model(kind: str = "MLP") -> Module:
    if kind == "CNN":
        return CNN((1, 8, 8), channels=(3,), hidden_features=(8,), rng=SEED)
    return MLP(64, hidden_features=(16, 12), dropout=0.3, rng=SEED)


def assert_equal(state: State, expected: State) -> None:
    """The same bits; `assert_array_equal` alone would take -0 for 0."""
    assert state.keys() == expected.keys()
    for name, array in state.items():
        assert array.tobytes() == expected[name].tobytes(), name


class Interrupt:
    """An `on_step` that is Ctrl-C at the end of a step."""

    def __init__(self, at: int) -> None:
        self.at = at

    def __call__(self, step: int, metrics: Metrics) -> None:
        if step == self.at:
            raise KeyboardInterrupt


def numpy_run(
    directory: Path, epochs: int, kind: str = "MLP", lr: float = 0.02, interrupt_at: int = 0, **arguments: Any
) -> tuple[State, History]:
    """A run of 5 steps an epoch from the same start each time; the final weights and the history."""
    train, validation = hold_out(load("digits").train, HELD_OUT, SEED)
    model = new_model(kind)
    history = fit(
        Classification(model),
        Adam(model.parameters(), lr=lr),
        Batches(train, BATCH_SIZE, SEED),
        epochs=epochs,
        validation=Batches(validation, BATCH_SIZE),
        checkpoint=directory / "checkpoint.safetensors",
        lr_decay=0.9,
        clip_norm=1.0,
        progress=False,
        on_step=Interrupt(interrupt_at),
        **arguments,
    )
    return model.state_dict(), history


def torch_run(
    directory: Path, epochs: int, kind: str = "MLP", lr: float = 0.02, interrupt_at: int = 0, **arguments: Any
) -> tuple[State, History]:
    """The same with Lightning's Trainer."""
    model = from_numpy(new_model(kind))
    steps = itertools.count(1)
    training_step = model.training_step

    def interrupted(batch: Any, batch_idx: int) -> torch.Tensor:
        if next(steps) == interrupt_at:
            raise KeyboardInterrupt
        return training_step(batch, batch_idx)

    model.training_step = interrupted  # type: ignore[method-assign]
    history = gdl_torch.training.fit(
        model,
        torch.optim.Adam(model.parameters(), lr=lr),
        DigitsDataModule(BATCH_SIZE, validation=HELD_OUT, seed=SEED),
        epochs=epochs,
        directory=directory,
        seed=SEED,
        lr_decay=0.9,
        clip_norm=1.0,
        accelerator="cpu",
        progress=False,
        **arguments,
    )
    return {name: tensor.numpy() for name, tensor in model.state_dict().items()}, history


RUNS = {"numpy": numpy_run, "torch": torch_run}
both_sides = pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)


@both_sides
@pytest.mark.parametrize("kind", ["MLP", "CNN"])
def test_a_stopped_and_resumed_run_is_the_uninterrupted_one(
    run: Callable[..., Any], kind: str, tmp_path: Path
) -> None:
    """To the bit, wherever it stops: before the first epoch ends, between epochs, in the middle of one."""
    expected, history = run(tmp_path / "whole", 4, kind)
    assert [row["lr"] for row in history.rows] == [0.02 * 0.9**e for e in range(4)]

    stopped = tmp_path / "stopped"
    with pytest.raises(KeyboardInterrupt):
        run(stopped, 4, kind, interrupt_at=3)
    run(stopped, 2, kind, resume=True)
    with pytest.raises(KeyboardInterrupt):
        run(stopped, 4, kind, resume=True, interrupt_at=13 if run is numpy_run else 3)
    state, resumed = run(stopped, 4, kind, resume=True)
    assert_equal(state, expected)
    for row, wanted in zip(resumed.rows, history.rows, strict=True):
        assert row | {"seconds": 0} == wanted | {"seconds": 0}


@both_sides
def test_early_stopping_goes_back_to_the_best_weights(run: Callable[..., Any], tmp_path: Path) -> None:
    """Also when interrupted between the best epoch and the end; resumed once more, it does not train on."""
    wild = {"lr": 0.3}  # steps too large for the validation loss to fall forever
    state, history = run(tmp_path / "whole", 40, patience=2, **wild)
    best = history.best_epoch
    assert len(history) == best + 2 < 40
    expected, _ = run(tmp_path / "short", best, **wild)
    assert_equal(state, expected)

    stopped = tmp_path / "stopped"
    with pytest.raises(KeyboardInterrupt):
        run(stopped, 40, patience=2, interrupt_at=5 * (best + 1) + 3, **wild)
    for _ in range(2):
        again, resumed = run(stopped, 40, patience=2, resume=True, **wild)
        assert len(resumed) == len(history)
        assert_equal(again, expected)


def test_fit_leaves_the_model_usable_for_other_things() -> None:
    """The gradient of the input, which training does without, is there again; and so is eval mode."""
    model = new_model().eval()
    batches = Batches(load("digits").train.take(100), 50, seed=0)
    fit(Classification(model), SGD(model.parameters()), batches, epochs=1, progress=False)
    assert not model.training
    logits = model(batches.split.inputs)
    assert model.backward(np.ones_like(logits)).shape == batches.split.inputs.shape


def test_a_training_checkpoint_is_a_model_too(tmp_path: Path) -> None:
    """`load_model` takes the last weights from it."""
    state, _ = numpy_run(tmp_path, 1)
    assert_equal(load_model(tmp_path / "checkpoint.safetensors").state_dict(), state)


def test_nan_is_never_the_best_epoch() -> None:
    history = History()
    for loss in (math.nan, 2.0, 1.0, 1.0, math.nan):
        history.append(
            ClassificationMetrics(loss, 0.5), ClassificationMetrics(loss, 0.5), lr=0.1, seconds=1.0
        )
    assert history.best_epoch == 3
    assert history.stalled(2)
    assert not history.stalled(3)
    assert not history.stalled(None)
    assert History(history.rows[:1]).best_epoch == 0
    assert History(history.rows[:1]).stalled(1), "a loss that is nan from the start is no progress"


def test_history_is_saved_as_json_csv_and_picture(tmp_path: Path) -> None:
    """With and without validation, and before there is any epoch."""
    history = History()
    history.save(tmp_path)
    assert json.loads((tmp_path / "history.json").read_text()) == []
    history.append(ClassificationMetrics(2.0, 0.25), None, lr=0.1, seconds=1.5)
    history.plot(tmp_path / "training.png", "without validation", ClassificationMetrics.panels)
    history = History()
    for loss in (2.0, 1.0):
        history.append(
            ClassificationMetrics(loss, 0.25), ClassificationMetrics(loss + 1, 0.2), lr=0.1, seconds=1.5
        )
    history.save(tmp_path)
    history.plot(tmp_path / "both.png", "with validation", ClassificationMetrics.panels)
    assert json.loads((tmp_path / "history.json").read_text()) == history.rows
    header, *lines = (tmp_path / "history.csv").read_text().splitlines()
    assert header == "epoch,lr,seconds,train_loss,train_accuracy,validation_loss,validation_accuracy"
    assert lines[1] == "2,0.1,1.5,1.0,0.25,2.0,0.2"
    for name in ("training.png", "both.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


def small_fit(**arguments: Any) -> History:
    """An epoch of two steps; `arguments` replace those of `fit`, and its task's model and loss."""
    model = new_model()
    own = {"model": model, "loss": CrossEntropyLoss()}
    own |= {name: arguments.pop(name) for name in own.keys() & arguments.keys()}
    batches = Batches(load("digits").train.take(100), 50, seed=0)
    defaults: dict[str, Any] = {
        "task": Classification(own["model"], own["loss"]),
        "optimizer": Adam(model.parameters()),
        "train": batches,
        "epochs": 1,
        "progress": False,
    }
    return fit(**defaults | arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"epochs": -1}, "epochs must be 0 or more, got -1"),
        ({"patience": 2}, "patience must be 1 or more and needs validation"),
        ({"resume": True}, "resume needs the checkpoint"),
        ({"train": Batches(load("digits").train.take(0), 50, seed=0)}, "no examples"),
    ],
)
def test_arguments_that_cannot_be_meant(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        small_fit(**arguments)


@pytest.mark.parametrize("fraction", [-0.1, 1.0, math.nan])
def test_a_fraction_that_leaves_nothing_to_train_on(fraction: float) -> None:
    with pytest.raises(ValueError, match=r"fraction in \[0, 1\)"):
        hold_out(load("digits").train, fraction, seed=0)


def other_model(optimizer: type[Adam | SGD] = Adam, **arguments: Any) -> dict[str, Any]:
    same: dict[str, Any] = {"in_features": 64, "hidden_features": (16, 12), "dropout": 0.3, "rng": 0}
    model = MLP(**same | arguments)
    return {"model": model, "optimizer": optimizer(model.parameters(), lr=0.1)}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (other_model(hidden_features=(16,)), r"holds MLP\(.*not MLP\("),
        (other_model(dropout=0.5), "dropout=0.3.*not.*dropout=0.5"),
        (other_model(optimizer=SGD), "'optimizer': 'Adam'.*not.*'SGD'"),
        ({"train": Batches(load("digits").train.take(100), 20, seed=0)}, "'batch_size': 50.*not.*20"),
        ({"train": Batches(load("digits").train.take(90), 50, seed=0)}, "'examples': 100.*not.*90"),
        ({"train": Batches(load("digits").train.take(100), 50, seed=1)}, "'seed': 0.*not.*1"),
        ({"epochs": 1}, "has 2 epochs already, more than epochs=1"),
    ],
    ids=["layers", "dropout", "optimizer", "batch size", "examples", "seed", "epochs"],
)
def test_resuming_refuses_another_run(arguments: dict[str, Any], message: str, tmp_path: Path) -> None:
    """A checkpoint goes on as the run it is from, or not at all; it is still whole afterwards."""
    checkpoint = tmp_path / "checkpoint.safetensors"
    small_fit(epochs=2, checkpoint=checkpoint)
    content = checkpoint.read_bytes()
    with pytest.raises(ValueError, match=message):
        small_fit(**{"epochs": 3, "checkpoint": checkpoint, "resume": True} | arguments)
    assert checkpoint.read_bytes() == content


def test_resuming_needs_a_training_checkpoint(tmp_path: Path) -> None:
    """Not a missing one, a damaged one, or a model alone."""
    checkpoint = tmp_path / "checkpoint.safetensors"
    with pytest.raises(CheckpointError, match="no checkpoint"):
        small_fit(checkpoint=checkpoint, resume=True)
    save_model(checkpoint, new_model())
    with pytest.raises(CheckpointError, match="no training to resume"):
        small_fit(checkpoint=checkpoint, resume=True)
    small_fit(checkpoint=checkpoint)
    checkpoint.write_bytes(checkpoint.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match=r"checkpoint\.safetensors"):
        small_fit(checkpoint=checkpoint, resume=True)


def test_resuming_on_the_torch_side_refuses_the_same(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no checkpoint"):
        torch_run(tmp_path, 2, resume=True)
    torch_run(tmp_path, 2)
    with pytest.raises(CheckpointError, match=r"holds a .*MLP, not a .*CNN"):
        torch_run(tmp_path, 3, "CNN", resume=True)
    with pytest.raises(ValueError, match="has 2 epochs already, more than epochs=1"):
        torch_run(tmp_path, 1, resume=True)
    checkpoint = tmp_path / gdl_torch.training.CHECKPOINT
    checkpoint.write_bytes(checkpoint.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match=r"checkpoint\.ckpt"):
        torch_run(tmp_path, 3, resume=True)


def test_generators_of_all_layers_are_in_the_checkpoint(tmp_path: Path) -> None:
    """Also where layers have generators of their own."""
    model = new_model()
    for number, name in enumerate(("3", "6")):
        getattr(model.layers, name).rng = np.random.default_rng(number)  # type: ignore[attr-defined]
    small_fit(model=model, optimizer=Adam(model.parameters()), checkpoint=tmp_path / "c.safetensors")
    _, metadata = load_checkpoint(tmp_path / "c.safetensors")
    first, second = metadata["generators"].values()
    assert first != second
    assert first["state"] != np.random.default_rng(0).bit_generator.state["state"], "it has been drawn from"
