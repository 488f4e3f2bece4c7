"""`gdl_numpy.training` for the torch twins: the same arguments and results, by Lightning's Trainer."""

from __future__ import annotations

import time
import warnings
from contextlib import suppress
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, Checkpoint

from gdl_numpy.checkpoint import CheckpointError
from gdl_numpy.history import History
from gdl_numpy.messages import counted
from gdl_numpy.schema import completed, fault
from gdl_torch.checkpoint import path_of, read_checkpoint
from gdl_torch.checkpoint_io import ReplacingCheckpointIO
from gdl_torch.interrupts import plain_ctrl_c
from gdl_torch.progress import FittingProgressBar
from gdl_torch.restoring import Restoring, check_resumable
from gdl_torch.tasks import Task

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from gdl_numpy.tasks import Metrics

CHECKPOINT = "checkpoint.ckpt"
BEST = "best.ckpt"
# What a training leaves in its checkpoint beside what Lightning does.
RECORDED = {"rows": list[dict[str, float]], "settings": dict[str, Any]}
# How `metric_classes` call a number of `metrics_class`, where not as that does.
LOGGED_AS = {"accuracy": "acc"}
# What decides the batches of a data module, of those it has.
SETTINGS = (
    *("dataset", "batch_size", "chunk", "seed", "held_out_fraction", "max_words", "distinct", "window"),
    *(
        "negatives",
        "subsample",
        "power",
        "ngrams",
        "ratio",
        "ratio_power",
        "together",
        "views",
        "labelled",
        "patch_size",
    ),
)


def fit(
    model: Task,
    optimizer: torch.optim.Optimizer,
    data: pl.LightningDataModule,
    *,
    epochs: int,
    directory: Path,
    seed: int = 0,
    patience: int | None = None,
    resume: bool = False,
    clip_norm: float | None = None,
    lr_decay: float = 1.0,
    accelerator: str = "auto",
    progress: bool = True,
    on_epoch: Callable[[History], None] | None = None,
) -> History:
    """Trains a model, in place.

    Args:
        model: with its task.
        optimizer: over the model's parameters; takes the place of the model's own.
        data: gives the batches of epoch e the order that belongs to e, as those of `gdl_torch.data` do.
        epochs: passes in all, those of a resumed run included.
        directory: where the checkpoints go: `checkpoint.ckpt` before the first epoch and after each, and with
            patience `best.ckpt`, the weights with the lowest validation loss.
        seed: of the dropout masks.
        patience: stop early once the validation loss has had no new minimum for this many epochs, and at the
            end go back to the weights that had the minimum.
        resume: go on from the checkpoint, with a model, optimizer and data made by the same arguments.
        clip_norm: largest norm of the gradient of all parameters together.
        lr_decay: the learning rate of epoch e = 0, 1, … is the optimizer's times `lr_decayᵉ`.
        accelerator: as Lightning's Trainer takes it.
        progress: show bars.
        on_epoch: called with the history so far after each epoch, once that is saved, and at the start of a
            resumed run.

    Returns:
        the history, of a resumed run from its very start.

    Raises:
        ValueError: arguments that cannot be meant.
        CheckpointError: the checkpoint is missing, damaged, or belongs to another run.
        KeyboardInterrupt: Ctrl-C; the checkpoint is that of the last whole epoch.
    """
    if epochs < 0:
        raise ValueError(f"fit: epochs must be 0 or more, got {epochs}")
    if clip_norm is not None and not clip_norm > 0:  # which Lightning would take for no clipping
        raise ValueError(f"fit: clip_norm must be more than 0, got {clip_norm}")
    settings = _settings(optimizer, data)
    history = _take_back(directory / CHECKPOINT, model, optimizer, settings) if resume else History()
    if len(history) > epochs:
        raise ValueError(
            f"fit: {directory} has {counted(len(history), 'epoch')} already, more than epochs={epochs}: "
            "give more, or start over"
        )
    if resume and on_epoch is not None:  # a kill may have come between the last checkpoint and this
        on_epoch(history)
    if len(history) < epochs and not history.stalled(patience):
        # Lightning asks the model for the optimizer, by this method.
        model.configure_optimizers = lambda: optimizer  # type: ignore[method-assign]
        resumed = directory / CHECKPOINT if resume else None
        restoring = Restoring(resumed)
        recorder = _Recorder(history, settings, directory, patience, on_epoch)
        trainer = _trainer(
            accelerator,
            progress,
            max_epochs=epochs,
            gradient_clip_val=clip_norm,
            callbacks=[restoring, _EpochStart(seed, lr_decay), recorder],
            num_sanity_val_steps=0,
        )
        with restoring.blaming(), plain_ctrl_c(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*exists and is not empty")
            # Of runs from when other callbacks saved the checkpoints.
            warnings.filterwarnings("ignore", ".*callbacks used to create the checkpoint")
            trainer.fit(model, datamodule=data, ckpt_path=resumed, weights_only=True)
    if patience is not None and history.best_epoch:
        model.load_state_dict(read_checkpoint(directory / BEST)["state_dict"])
    return history


def evaluate(
    model: Task, data: pl.LightningDataModule, *, accelerator: str = "auto", progress: bool = False
) -> Metrics:
    """Returns the metrics of a model on the test examples of `data`."""
    with plain_ctrl_c():
        (logged,) = _trainer(accelerator, progress).test(model, datamodule=data, verbose=False)
    return _metrics(model, logged, "test")


def last_metrics(task: Task, logged: Mapping[str, Any]) -> Metrics | None:
    """What a model logged in its last epoch, in validation if there was any; None of a run without one.

    Args:
        task: the model.
        logged: the Trainer's `callback_metrics`.
    """
    for stage in ("val", "train"):
        with suppress(KeyError):  # no epoch came to its end, or a subclass logs something else
            return _metrics(task, {name: float(value) for name, value in logged.items()}, stage)
    return None


def _metrics(task: Task, logged: Mapping[str, float], stage: str) -> Metrics:
    """What a model logged in a stage; perplexity and bits follow from the loss, as they do in NumPy."""
    names = {field.name: LOGGED_AS.get(field.name, field.name) for field in fields(task.metrics_class)}
    metrics: Metrics = task.metrics_class(**{name: logged[f"{stage}_{key}"] for name, key in names.items()})
    return metrics


def _trainer(
    accelerator: str, progress: bool, callbacks: list[Callback] | None = None, **arguments: Any
) -> pl.Trainer:
    bars: list[Callback] = [FittingProgressBar(refresh_rate=10, leave=True)] if progress else []
    return pl.Trainer(
        accelerator=accelerator,
        devices=1,
        logger=False,
        enable_model_summary=False,
        enable_checkpointing=callbacks is not None,
        enable_progress_bar=progress,
        callbacks=[*bars, *(callbacks or [])],
        plugins=[ReplacingCheckpointIO()],
        **arguments,
    )


class _EpochStart(Callback):
    """Makes what an epoch starts with depend on its number only, so that a resumed run loses nothing."""

    def __init__(self, seed: int, lr_decay: float) -> None:
        self.seed = seed
        self.lr_decay = lr_decay
        self.base_lr: list[float] = []

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        # Before a checkpoint overwrites it with the decayed one.
        self.base_lr = [group["lr"] for group in trainer.optimizers[0].param_groups]

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        # Not at the epoch's start: the loader draws a number after it, except in the first epoch of a run.
        if batch_idx > 0:
            return
        epoch = trainer.current_epoch
        for group, lr in zip(trainer.optimizers[0].param_groups, self.base_lr, strict=True):
            group["lr"] = lr * self.lr_decay**epoch
        # Dropout draws from torch's global generators.
        torch.manual_seed(int(np.random.SeedSequence((self.seed, epoch)).generate_state(1)[0]))


class _Recorder(Checkpoint):
    """Writes the history and saves it, with all else, after each epoch and before the first one.

    With patience also the weights of the best epoch so far; and it ends the training when none is better.

    A Checkpoint, since the Trainer calls those last: what other callbacks remember is saved, too.
    """

    def __init__(
        self,
        history: History,
        settings: dict[str, Any],
        directory: Path,
        patience: int | None,
        on_epoch: Callable[[History], None] | None,
    ) -> None:
        self.history = history
        self.settings = settings
        self.directory = directory
        self.patience = patience
        self.on_epoch = on_epoch
        self.start = 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.ckpt_path is None:
            trainer.save_checkpoint(self.directory / CHECKPOINT)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.start = time.perf_counter()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        logged = {name: float(value) for name, value in trainer.callback_metrics.items()}
        assert isinstance(pl_module, Task)
        train = _metrics(pl_module, logged, "train")
        validation = _metrics(pl_module, logged, "val") if "val_loss" in logged else None
        lr = trainer.optimizers[0].param_groups[0]["lr"]
        self.history.append(train, validation, lr, time.perf_counter() - self.start)
        if self.patience is not None and self.history.best_epoch == len(self.history):
            trainer.save_checkpoint(self.directory / BEST, weights_only=True)
        trainer.should_stop |= self.history.stalled(self.patience)
        trainer.save_checkpoint(self.directory / CHECKPOINT)
        if self.on_epoch is not None:
            self.on_epoch(self.history)

    def state_dict(self) -> dict[str, Any]:
        return {"rows": self.history.rows, "settings": self.settings}


def _settings(optimizer: torch.optim.Optimizer, data: pl.LightningDataModule) -> dict[str, Any]:
    """What must be the same for a resumed run to go on as the same run, beside the model."""
    of_data = {name: getattr(data, name) for name in SETTINGS if hasattr(data, name)}
    return {"optimizer": type(optimizer).__name__, **of_data}


def _take_back(
    path: Path, model: Task, optimizer: torch.optim.Optimizer, settings: dict[str, Any]
) -> History:
    """Puts a checkpoint's weights into the model, and returns its history.

    Raises:
        CheckpointError: it is not of a run of `fit` with just such a model and settings.
    """
    saved = read_checkpoint(path)
    recorded = _recorded(path, saved)
    kind = saved["hyper_parameters"].get("_class_path")
    if kind != path_of(type(model)):
        raise CheckpointError(f"{path} holds a {kind}, not a {path_of(type(model))}: give another checkpoint")
    hparams = completed(saved["hyper_parameters"], model.hparams)
    arguments = {name: hparams.get(name) for name in model.hparams}
    if arguments != dict(model.hparams):
        raise CheckpointError(
            f"{path} holds a model with {arguments}, not with {dict(model.hparams)}: "
            "give the same arguments, or another checkpoint"
        )
    before = completed(recorded.get("settings", settings), settings)  # which the oldest checkpoints lack
    if before != settings:
        raise CheckpointError(f"{path} was trained with {before}, not {settings}")
    check_resumable(path, saved, len(recorded["rows"]))
    try:
        _check_groups(saved["optimizer_states"][0]["param_groups"], optimizer)
        model.load_state_dict(saved["state_dict"])
        return History.from_rows(recorded["rows"], model.metrics_class)
    except (ValueError, RuntimeError) as error:
        raise CheckpointError(
            f"{path} is not of a whole training ({error}): give another checkpoint"
        ) from error


def _check_groups(saved: list[dict[str, Any]], optimizer: torch.optim.Optimizer) -> None:
    """Raises ValueError for the groups of parameters of another optimizer, or of one with other arguments."""
    own = optimizer.state_dict()["param_groups"]
    if len(own) != len(saved):
        raise ValueError("its optimizer has other groups of parameters")
    for mine, theirs in zip(own, saved, strict=True):
        for name in mine.keys() & theirs.keys() - {"lr"}:  # lr is set anew for each epoch
            if type(mine[name]) is not type(theirs[name]) or mine[name] != theirs[name]:
                raise ValueError(f"its optimizer's {name} is another one")


def saved_history(checkpoint: Path, metrics: type[Metrics]) -> History:
    """Returns what the checkpoint of a training knows of it.

    Args:
        checkpoint: the file.
        metrics: what the training's task measures.

    Raises:
        CheckpointError: the file cannot be used, or is not of a training.
    """
    try:
        return History.from_rows(_recorded(checkpoint, read_checkpoint(checkpoint))["rows"], metrics)
    except ValueError as error:
        raise CheckpointError(f"{checkpoint} is of no training ({error}): give another checkpoint") from error


def _recorded(path: Path, checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """What `_Recorder` left in a checkpoint.

    Raises:
        CheckpointError: it left nothing, or something else has taken its place.
    """
    recorded: dict[str, Any] = checkpoint.get("callbacks", {}).get(_Recorder.__qualname__, {})
    if "rows" not in recorded or fault(recorded, RECORDED):
        raise CheckpointError(f"{path} is of another kind of training: give a checkpoint that train.py wrote")
    return recorded
