"""What a model is trained for under Lightning's Trainer: its steps, its optimizer, what it logs and saves."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import RichProgressBar, TQDMProgressBar
from torch import Tensor, nn
from torchmetrics import Metric

from gdl_numpy.lookup import lookup
from gdl_numpy.tasks import Metrics

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    name: value
    for name, value in vars(torch.optim).items()
    if isinstance(value, type) and issubclass(value, torch.optim.Optimizer) and name != "Optimizer"
}
STAGES = ("train", "val", "test")


def wide(tensor: Tensor) -> Tensor:
    """The values in float64, or in float32 on Apple's GPUs, which have nothing wider."""
    return tensor.to(torch.float32 if tensor.device.type == "mps" else torch.float64)


class Mean(Metric):
    """The mean over targets, from batches that may have different numbers of them, on all devices.

    The sum is kept in float64 (on Apple's GPUs in float32), whatever the model computes in: a sum in bfloat16
    would stop growing where an addend is less than half its last place, after a few hundred batches.
    """

    full_state_update = False
    total: Tensor
    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", torch.tensor(0.0, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, total: Tensor, count: Tensor | int) -> None:
        """Adds the sum over a batch's targets, and their number; of none, the sum is 0 and their mean nan."""
        self.total = self.total + torch.where(torch.as_tensor(count, device=total.device) > 0, wide(total), 0)
        self.count = self.count + count

    def compute(self) -> Tensor:
        return self.total / self.count

    def _apply(self, fn: Callable[[Tensor], Tensor], exclude_state: Sequence[str] = "") -> Mean:
        """Follows the module to another device, but not, as other metrics do, to another dtype."""

        def move(tensor: Tensor) -> Tensor:
            device = fn(torch.empty(0, device=tensor.device, dtype=torch.float32)).device
            if device.type == "mps" and tensor.dtype == torch.float64:
                tensor = tensor.to(torch.float32)
            return tensor.to(device)

        super()._apply(move, exclude_state)
        return self


class Outcome(NamedTuple):
    """What a batch gave.

    Attributes:
        loss: a mean over the targets that count; what training goes down.
        outputs: what the loss was given of the model's.
        targets: what they were compared with.
    """

    loss: Tensor
    outputs: Any
    targets: Any


class Task(pl.LightningModule):
    """Base of all models, which are their task: everything but the layers.

    `gdl_numpy.tasks` holds a model and its loss; here, as Lightning has it, the model is the module that is
    trained, and has its loss. Subclasses say in `compare` what a batch gives: the one function by which they
    are trained, watched and tested, and which the parity suite compares with NumPy's.

    Logged are means over an epoch's targets, all devices together: `train_loss_epoch`, `val_loss`,
    `test_loss`, and the same of each of `metric_classes`; and the loss of those training steps that a logger
    or the progress bar shows, `train_loss_step` (callbacks are given each step's: `outputs["loss"]`).

    Args:
        optimizer: name of a class in torch.optim.
        lr: learning rate.

    Attributes:
        loss: between outputs and targets.
        metrics_class: of `gdl_numpy.tasks`: the numbers by which the model is judged.
        metric_classes: what is logged besides the loss, by its name after that of the stage.
        bar_metric: which of those the progress bar shows.

    Raises:
        ValueError: an unknown optimizer, or a learning rate that is negative or not finite.
    """

    metrics_class: ClassVar[type[Any]] = Metrics
    metric_classes: ClassVar[Mapping[str, type[Mean]]] = {}
    bar_metric: ClassVar[str] = "acc"
    loss: nn.Module

    def __init__(self, optimizer: str, lr: float) -> None:
        super().__init__()
        if not 0 <= lr < math.inf:
            raise ValueError(f"lr must be a finite number ≥ 0, got {lr}")
        self.optimizer_class = lookup("optimizer", optimizer, OPTIMIZERS)
        self.lr = lr
        self._is_to_log = False
        kinds: dict[str, type[Mean]] = {"loss": Mean, **self.metric_classes}
        self.metrics = nn.ModuleDict(
            {f"{stage}_{name}": kind() for stage in STAGES for name, kind in kinds.items()}
        )

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return self.optimizer_class(self.parameters(), lr=self.lr)

    def begin(self, continues: bool = False) -> None:
        """Gets ready for a pass through some batches.

        Args:
            continues: whether each batch goes on where the one before it ended.
        """

    def compare(self, inputs: Any, targets: Any) -> Outcome:
        """The loss of a batch.

        Args:
            inputs: an array, or several in a tuple.
            targets: what the loss takes besides the model's outputs.
        """
        raise TypeError(f"{type(self).__name__} does not define compare")

    def count(self, outcome: Outcome) -> Tensor | int:
        """How many of a batch's targets count."""
        return int(outcome.targets.numel())

    def totals(self, outcome: Outcome, count: Tensor | int) -> dict[str, Tensor]:
        """For each of `metric_classes`, what a batch adds to the sum that is its mean."""
        return {}

    def training_step(self, batch: Sequence[Any], batch_idx: int) -> Tensor:
        loss = self.stage_step("train", batch, batch_idx)
        self._is_to_log = True
        if self._is_shown(batch_idx):
            self.log("train_loss_step", loss.detach(), prog_bar=True)
        if self.trainer.is_last_batch:
            self._log_training()
        return loss

    def _is_shown(self, batch_idx: int) -> bool:
        """Whether a logger or the progress bar takes a step's loss; logging it takes as long as a step."""
        trainer, bar = self.trainer, self.trainer.progress_bar_callback
        rate = bar.refresh_rate if isinstance(bar, TQDMProgressBar | RichProgressBar) else 1
        every: int = trainer.log_every_n_steps  # type: ignore[attr-defined]
        is_due = bool(trainer.loggers) and every > 0 and (trainer.global_step + 1) % every == 0
        is_drawn = bar is not None and rate > 0 and (batch_idx + 1) % rate == 0
        return is_due or is_drawn or trainer.is_last_batch or bool(getattr(trainer, "fast_dev_run", False))

    def on_train_epoch_start(self) -> None:
        self._forget("train")

    def on_validation_epoch_start(self) -> None:
        self._forget("val")

    def on_test_epoch_start(self) -> None:
        self._forget("test")

    def _forget(self, stage: str) -> None:
        """Begins the means of a stage anew, also after an epoch that was interrupted."""
        for name in ("loss", *self.metric_classes):
            metric: Any = self.metrics[f"{stage}_{name}"]
            metric.reset()

    def on_train_epoch_end(self) -> None:
        if self._is_to_log:  # the epoch was broken off
            self._log_training()

    def validation_step(self, batch: Sequence[Any], batch_idx: int) -> None:
        self.stage_step("val", batch, batch_idx)
        self.log_means("val")

    def test_step(self, batch: Sequence[Any], batch_idx: int) -> None:
        self.stage_step("test", batch, batch_idx)
        self.log_means("test")

    def stage_step(self, stage: str, batch: Sequence[Any], batch_idx: int) -> Tensor:
        """Compares a batch, adds what it gave to the means of a stage, and returns the loss."""
        inputs, targets = batch
        outcome = self.compare(inputs, targets)
        count = self.count(outcome)
        totals = {"loss": wide(outcome.loss.detach()) * count, **self.totals(outcome, count)}
        for name, total in totals.items():
            metric: Any = self.metrics[f"{stage}_{name}"]
            metric.update(total.detach(), count)
        return outcome.loss

    def _log_training(self) -> None:
        """Logs the means over a training epoch. Once is enough, and `log` takes longer than a small step."""
        self._is_to_log = False
        self.log_means("train")

    def log_means(self, stage: str) -> None:
        """Logs the means of a stage, for the end of its epoch."""
        for name in ("loss", *self.metric_classes):
            metric: Any = self.metrics[f"{stage}_{name}"]
            key, is_shown = f"{stage}_{name}", name in ("loss", self.bar_metric)
            if key == "train_loss":  # beside that of single steps; callbacks know it by the shorter name, too
                self.log(key, metric, on_step=False, on_epoch=True, logger=False)
                key = "train_loss_epoch"
            self.log(key, metric, on_step=False, on_epoch=True, prog_bar=is_shown)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keeps the class with its arguments, in the way of LightningCLI, which builds the model from both.

        So does `load_from_checkpoint` of the base classes, which need not be told which of their models is in
        the file.
        """
        checkpoint.setdefault("hyper_parameters", {}).update(
            _class_path=f"{type(self).__module__}.{type(self).__qualname__}",
            _instantiator="pytorch_lightning.cli.instantiate_module",
        )


def check_sizes(task: Task, **sizes: int | Sequence[int]) -> None:
    """Refuses sizes below 1, which torch's layers take without a word.

    Raises:
        ValueError: naming the model, the argument and what it got.
    """
    for name, size in sizes.items():
        if min([size] if isinstance(size, int) else size, default=1) < 1:
            raise ValueError(f"{type(task).__name__} expects {name} ≥ 1, got {size}")


# What can do with the rows of a table that were looked up, without the others.
TAKE_SPARSE = ("SGD", "Adagrad")


def check_sparse(task: Task, sparse: bool) -> None:
    """Raises ValueError for sparse gradients where the model's optimizer would refuse them."""
    name = task.optimizer_class.__name__
    if sparse and name not in TAKE_SPARSE:
        raise ValueError(
            f"{type(task).__name__} expects sparse=False for {name}: "
            f"only {' and '.join(TAKE_SPARSE)} take sparse gradients"
        )
