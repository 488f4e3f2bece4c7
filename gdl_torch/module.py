"""What every model here is under Lightning's Trainer: its steps, its optimizer, what its checkpoints say."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from gdl_numpy.lookup import lookup

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    name: value
    for name, value in vars(torch.optim).items()
    if isinstance(value, type) and issubclass(value, torch.optim.Optimizer) and name != "Optimizer"
}


class Model(pl.LightningModule):
    """Base of all models: `Classifier`, `LanguageModel` and the others say what the loss of a batch is.

    Args:
        optimizer: name of a class in torch.optim.
        lr: learning rate.

    Raises:
        ValueError: an unknown optimizer, or a learning rate that is negative or not finite.
    """

    def __init__(self, optimizer: str, lr: float) -> None:
        super().__init__()
        if not 0 <= lr < math.inf:
            raise ValueError(f"lr must be a finite number ≥ 0, got {lr}")
        self.optimizer_class = lookup("optimizer", optimizer, OPTIMIZERS)
        self.lr = lr

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return self.optimizer_class(self.parameters(), lr=self.lr)

    def training_step(self, batch: Sequence[Any], batch_idx: int) -> Tensor:
        return self.loss(batch, batch_idx, "train")

    def validation_step(self, batch: Sequence[Any], batch_idx: int) -> None:
        self.loss(batch, batch_idx, "val")

    def test_step(self, batch: Sequence[Any], batch_idx: int) -> None:
        self.loss(batch, batch_idx, "test")

    def loss(self, batch: Sequence[Any], batch_idx: int, stage: str) -> Tensor:
        """The loss of one batch, logged with whatever else there is to log, by names that begin with `stage`.

        Args:
            batch: inputs, or several in a tuple, and targets.
            batch_idx: number of the batch in its epoch.
            stage: "train", "val" or "test".
        """
        raise NotImplementedError

    def log_loss(self, stage: str, loss: Tensor, count: int | Tensor) -> None:
        """Logs a batch's loss, a mean over `count` targets, and the mean over those of all the epoch."""
        self.log(
            f"{stage}_loss",
            loss,
            on_step=stage == "train",
            on_epoch=True,
            prog_bar=True,
            sync_dist=True,
            batch_size=count,  # type: ignore[arg-type]  # a tensor will do, and no GPU need be waited for
        )

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keeps the class with its arguments, in the way of LightningCLI, which builds the model from both.

        So does `load_from_checkpoint` of the base classes, which need not be told which of their models is in
        the file.
        """
        checkpoint.setdefault("hyper_parameters", {}).update(
            _class_path=f"{type(self).__module__}.{type(self).__qualname__}",
            _instantiator="pytorch_lightning.cli.instantiate_module",
        )


def check_sizes(model: Model, **sizes: int | Sequence[int]) -> None:
    """Refuses sizes below 1, which torch's layers take without a word.

    Raises:
        ValueError: naming the model, the argument and what it got.
    """
    for name, size in sizes.items():
        if min([size] if isinstance(size, int) else size, default=1) < 1:
            raise ValueError(f"{type(model).__name__} expects {name} ≥ 1, got {size}")


# What can do with the rows of a table that were looked up, without the others.
TAKE_SPARSE = ("SGD", "Adagrad")


def check_sparse(model: Model, sparse: bool) -> None:
    """Raises ValueError for sparse gradients where the model's optimizer would refuse them."""
    name = model.optimizer_class.__name__
    if sparse and name not in TAKE_SPARSE:
        raise ValueError(
            f"{type(model).__name__} expects sparse=False for {name}: "
            f"only {' and '.join(TAKE_SPARSE)} take sparse gradients"
        )
