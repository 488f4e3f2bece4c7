"""The loop that all the book's networks learn by: predict, compare, learn.

    model = MLP(rng=0)
    optimizer = SGD(model.parameters(), lr=0.1)
    history = fit(Classification(model), optimizer, Batches(digits.train, 100, seed=0), epochs=10)

and language models in the same way:

    history = fit(LanguageModelling(model), optimizer, Streams(ids, batch_size=32, chunk=25), epochs=10)

A run can be stopped at any moment and resumed. After every epoch `fit` saves all that the next one depends
on. What an unfinished epoch learned is given up, on purpose: its batches (a pure function of seed and epoch)
and its dropout masks (the generators' states are saved) come again as they would have, and the resumed run
ends with the same weights, bit for bit, as one that was never stopped.
"""

from __future__ import annotations

import copy
import json
import time
from contextlib import contextmanager
from dataclasses import astuple, dataclass, field, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from gdl_numpy.checkpoint import (
    CheckpointError,
    check_model,
    describe_model,
    load_checkpoint,
    save_checkpoint,
)
from gdl_numpy.history import History
from gdl_numpy.messages import counted
from gdl_numpy.nn import evaluating, modes_kept
from gdl_numpy.nn.checks import state_dict_faults
from gdl_numpy.progress import Bar
from gdl_numpy.schema import completed, same_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from gdl_numpy.data.batches import DataLoader
    from gdl_numpy.data.vocabulary import Vocabulary
    from gdl_numpy.nn import Module
    from gdl_numpy.optim import Optimizer
    from gdl_numpy.tasks import Metrics, Task


FEW = 5  # faults that a message names


def saved_history(checkpoint: Path, metrics: type[Metrics]) -> History:
    """Returns what the checkpoint of a training knows of it.

    Args:
        checkpoint: the file.
        metrics: what the training's task measures.

    Raises:
        CheckpointError: the file cannot be used, or is not of a training.
    """
    _, metadata = load_checkpoint(checkpoint)
    try:
        return History.from_rows(metadata["history"], metrics)
    except (KeyError, ValueError) as error:
        raise CheckpointError(f"{checkpoint} is of no training ({error}): give another checkpoint") from error


def evaluate(task: Task, batches: DataLoader, *, progress: bool = False) -> Metrics:
    """Returns how good a model is over all batches, in eval mode (no dropout), which it leaves again.

    Args:
        task: with the model, and a loss with reduction "mean".
        batches: what to go through.
        progress: show a bar, which disappears at the end.

    Returns:
        the means over all targets that count.

    Raises:
        ValueError: there is nothing to go through, or another reduction.
    """
    check_reduction("evaluate", task)
    mean = _Mean(task.metrics_class)
    task = copy.copy(task)  # with the same model; a training that is under way keeps its own state
    with (
        evaluating(task),
        # Closed by `with`, also after Ctrl-C: else it would be drawn again after what is said of that.
        Bar(
            batches, desc="evaluate", unit="step", leave=False, dynamic_ncols=True, disable=not progress
        ) as bar,
    ):
        task.begin(batches.continues)
        for inputs, targets in bar:
            task(inputs, targets)
            mean.add(task.metrics, task)
    return mean.metrics


def fit(
    task: Task,
    optimizer: Optimizer,
    train: DataLoader,
    *,
    epochs: int,
    validation: DataLoader | None = None,
    patience: int | None = None,
    checkpoint: Path | None = None,
    resume: bool = False,
    clip_norm: float | None = None,
    lr_decay: float = 1.0,
    vocabulary: Vocabulary | None = None,
    progress: bool = True,
    on_step: Callable[[int, Metrics], None] | None = None,
    on_epoch: Callable[[History], None] | None = None,
) -> History:
    """Trains a task's model, in place.

    What is reported of an epoch are means over all targets that count.

    Args:
        task: with the model, and a loss with reduction "mean"; begins anew with each epoch.
        optimizer: over the model's parameters.
        train: the batches to learn from; `set_epoch` is called with 0, 1, … before each pass through them.
        epochs: passes in all, those of a resumed run included.
        validation: batches to watch the training by, after each epoch.
        patience: stop early once the validation loss has had no new minimum for this many epochs, and at
            the end go back to the weights that had the minimum.
        checkpoint: file to save to: before the first epoch and after each.
        resume: go on from `checkpoint` with a model, optimizer and batches made by the same arguments.
        clip_norm: largest norm of the gradient of all parameters together.
        lr_decay: the learning rate of epoch e = 0, 1, … is `optimizer.lr · lr_decayᵉ`.
        vocabulary: what the ids that a model reads stand for; kept in the checkpoint.
        progress: show a bar for each epoch.
        on_step: called after each step with the number of steps since the first epoch and the step's metrics.
        on_epoch: called with the history so far after each epoch, once that is saved, and at the start of a
            resumed run.

    Returns:
        the history, of a resumed run from its very start.

    Raises:
        ValueError: arguments that cannot be meant.
        CheckpointError: the checkpoint is missing, damaged, or belongs to another run.
    """
    if epochs < 0:
        raise ValueError(f"fit: epochs must be 0 or more, got {epochs}")
    if patience is not None and (patience < 1 or validation is None):
        raise ValueError(f"fit: patience must be 1 or more and needs validation, got patience={patience}")
    if clip_norm is not None and not clip_norm > 0:
        raise ValueError(f"fit: clip_norm must be more than 0, got {clip_norm}")
    check_reduction("fit", task)
    model, lr = task.model, optimizer.lr
    run = _Run(model, optimizer, train, task.metrics_class, vocabulary)
    run.begin(checkpoint, resume)
    history = run.history
    if len(history) > epochs:
        raise ValueError(
            f"fit: {checkpoint} has {counted(len(history), 'epoch')} already, more than epochs={epochs}: "
            "give more, or start over"
        )
    if resume and on_epoch is not None:  # a kill may have come between the last checkpoint and this
        on_epoch(history)

    with _in_training(task):
        while len(history) < epochs and not history.stalled(patience):
            epoch, start = len(history), time.perf_counter()
            train.set_epoch(epoch)
            optimizer.lr = lr * lr_decay**epoch
            with _bar(f"epoch {epoch + 1}/{epochs}", len(train), progress) as bar:
                learned = _train_epoch(task, optimizer, train, clip_norm, on_step, bar)
                held_out = None
                if validation is not None:
                    held_out = evaluate(task, validation, progress=progress)
                    bar.set_postfix_str(f"{learned}; validation {held_out}")
            history.append(learned, held_out, optimizer.lr, time.perf_counter() - start)
            if patience is not None and history.best_epoch == len(history):
                run.best = {name: array.copy() for name, array in model.state_dict().items()}
            if checkpoint is not None:
                run.save(checkpoint)
            if on_epoch is not None:
                on_epoch(history)
    if run.best:
        model.load_state_dict(run.best)
    return history


def _bar(title: str, steps: int, shown: bool) -> Bar:
    return Bar(total=steps, desc=title, unit="step", dynamic_ncols=True, disable=not shown)


def check_reduction(function: str, task: Task) -> None:
    """Raises ValueError for a loss that is no mean: those of batches could not be averaged."""
    reduction = getattr(task.loss, "reduction", "mean")
    if reduction != "mean":
        raise ValueError(f'{function} expects a loss with reduction "mean", got {reduction!r}')


@contextmanager
def _in_training(task: Task) -> Iterator[None]:
    """Within, a model is in training mode and skips what only others need; at the end, it is as it was.

    Of a model in training mode already, what its owner has put in eval mode stays there.
    """
    needed_input_grad = task.needs_input_grad
    with modes_kept(task):
        if not task.model.training:
            task.train()
        task.requires_input_grad_(False)
        try:
            yield
        finally:
            task.requires_input_grad_(needed_input_grad)


def _train_epoch(
    task: Task,
    optimizer: Optimizer,
    batches: DataLoader,
    clip_norm: float | None,
    on_step: Callable[[int, Metrics], None] | None,
    bar: Any,
) -> Metrics:
    mean = _Mean(task.metrics_class)
    task.begin(batches.continues)
    for batch in batches:
        task.step(optimizer, batch, clip_norm)
        metrics = task.metrics
        mean.add(metrics, task)
        if mean.count.any():
            bar.set_postfix_str(str(mean.metrics), refresh=False)
        bar.update()
        if on_step is not None:
            on_step(optimizer.steps, metrics)
    return mean.metrics


class _Mean:
    """The mean over targets, of metrics that are means over batches of different sizes."""

    def __init__(self, kind: type[Metrics]) -> None:
        self.kind = kind
        self.total = np.zeros(len(fields(kind)))
        self.count = np.zeros(len(fields(kind)))

    def add(self, metrics: Metrics, task: Task) -> None:
        """What a task has measured of its latest batch."""
        if task.count:  # the mean of nothing is nan, and 0 · nan as well
            count = [task.loss_count if f.name == "loss" else task.count for f in fields(self.kind)]
            self.total += np.multiply(astuple(metrics), count)
            self.count += count

    @property
    def metrics(self) -> Metrics:
        if not self.count.any():
            raise ValueError("no examples to train on or to evaluate")
        return self.kind(*(self.total / self.count).tolist())


@dataclass
class _Run:
    """All that the next epoch depends on: kept in one place, saved to one file, taken back from it.

    Attributes:
        batches: not saved, since their order is a function of seed and epoch; only checked to be the same.
        metrics_class: what the rows of the history are of.
        vocabulary: what the ids in the batches stand for, in text; saved, and checked to be the same.
        best: a copy of the weights with the lowest validation loss, where early stopping will want them.
    """

    model: Module
    optimizer: Optimizer
    batches: DataLoader
    metrics_class: type[Metrics]
    vocabulary: Vocabulary | None = None
    history: History = field(default_factory=History)
    best: dict[str, np.ndarray] = field(default_factory=dict)

    def begin(self, checkpoint: Path | None, resume: bool) -> None:
        """Saves the start of a new run, or takes back where an old one has got to."""
        if checkpoint is None:
            if resume:
                raise ValueError("fit: resume needs the checkpoint to resume from")
        elif resume:
            self.load(checkpoint)
        else:
            self.save(checkpoint)

    def save(self, path: Path) -> None:
        best = {f"best.{name}": array for name, array in self.best.items()}
        metadata = describe_model(self.model, self.vocabulary) | {
            "training": self._settings(),
            "history": self.history.rows,
            "generators": {name: state_of(rng) for name, rng in self._generators().items()},
        }
        save_checkpoint(path, self._tensors() | best, metadata)

    def _tensors(self) -> dict[str, np.ndarray]:
        parts = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}
        return {f"{part}.{name}": array for part, state in parts.items() for name, array in state.items()}

    def load(self, path: Path) -> None:
        tensors, metadata = load_checkpoint(path)
        check_model(path, metadata, self.model)
        if "training" not in metadata:
            raise CheckpointError(
                f"{path} holds a model, but no training to resume: give a training checkpoint"
            )
        before, now = completed(metadata["training"], self._settings()), self._settings()
        if before != now:
            raise CheckpointError(f"{path} was trained with {before}, not {now}")
        vocabulary = describe_model(self.model, self.vocabulary).get("vocabulary")
        if not same_json(metadata.get("vocabulary"), vocabulary):
            raise CheckpointError(
                f"{path} was trained with another vocabulary: give the text that it was trained on"
            )
        parts: dict[str, dict[str, np.ndarray]] = {"model": {}, "optimizer": {}, "best": {}}
        try:
            self.history = History.from_rows(metadata["history"], self.metrics_class)
            self._check_tensors(tensors)
            for key, array in tensors.items():
                part, name = key.split(".", 1)
                parts[part][name] = array
            self.optimizer.load_state_dict(parts["optimizer"])
            self.model.load_state_dict(parts["model"])
            self._set_generators(metadata["generators"])
        except (ValueError, TypeError, KeyError, ArithmeticError) as error:
            raise CheckpointError(
                f"{path} is not of a whole training ({error}): give another checkpoint"
            ) from error
        self.best = parts["best"]

    def _check_tensors(self, tensors: Mapping[str, np.ndarray]) -> None:
        """Raises ValueError for tensors that `save` would not have saved."""
        expected = self._tensors()
        if any(name.startswith("best.") for name in tensors):
            expected |= {f"best.{name}": array for name, array in self.model.state_dict().items()}
        faults = state_dict_faults(expected, tensors) or [
            f"{name!r} is {tensors[name].dtype}, expected {array.dtype}"
            for name, array in expected.items()
            if tensors[name].dtype != array.dtype
        ]
        if faults:
            raise ValueError("; ".join(faults[:FEW]))

    def _set_generators(self, states: Mapping[str, Any]) -> None:
        """Raises ValueError for states that are not just those of the layers' generators."""
        generators = self._generators()
        if states.keys() != generators.keys():
            raise ValueError("its generators are not those of the model's layers")
        for name, rng in generators.items():
            rng.bit_generator.state = states[name]
            if not same_json(state_of(rng), states[name]):  # which NumPy would take, and round
                raise ValueError(f"its generator {name!r} is in no state of a generator")

    def _settings(self) -> dict[str, Any]:
        """What must be the same for a resumed run to go on as the same run, beside the model."""
        return {"optimizer": type(self.optimizer).__name__, **self.batches.describe()}

    def _generators(self) -> dict[str, np.random.Generator]:
        """The generators that layers draw from (dropout), by the name of the layer; layers may share one."""
        candidates = ((name, getattr(module, "rng", None)) for name, module in self.model.named_modules())
        return {name: rng for name, rng in candidates if isinstance(rng, np.random.Generator)}


def state_of(rng: np.random.Generator) -> dict[str, Any]:
    """The state of a generator of any kind; what some keep in arrays, in lists."""
    state: dict[str, Any] = json.loads(json.dumps(rng.bit_generator.state, default=lambda a: a.tolist()))
    return state
