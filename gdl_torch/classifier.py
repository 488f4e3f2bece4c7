"""What every classifier does under Lightning's Trainer: the loss, the accuracy, the optimizer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics.classification import MulticlassAccuracy

from gdl_numpy.lookup import lookup

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "sigmoid": nn.Sigmoid, "tanh": nn.Tanh}
OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    name: value
    for name, value in vars(torch.optim).items()
    if isinstance(value, type) and issubclass(value, torch.optim.Optimizer) and name != "Optimizer"
}


class Classifier(pl.LightningModule):
    """Base of the models that map inputs to class logits: everything but the layers.

    The loss is the cross-entropy of the logits, its mean over the batch. Logged are means over an epoch's
    examples, all devices together: `train_loss_epoch`, `train_acc`, `val_loss`, `val_acc`, `test_loss`,
    `test_acc`; and the loss of single training steps, `train_loss_step`.

    Args:
        num_classes: number of logits.
        optimizer: name of a class in torch.optim.
        lr: learning rate.

    Raises:
        ValueError: an unknown optimizer or a negative learning rate.
    """

    def __init__(self, num_classes: int, optimizer: str, lr: float) -> None:
        super().__init__()
        if not lr >= 0:
            raise ValueError(f"lr must not be negative, got {lr}")
        self.optimizer_class = lookup("optimizer", optimizer, OPTIMIZERS)
        self.lr = lr
        # Unvalidated: cross_entropy has refused bad targets already, and looking again makes a GPU wait.
        accuracy = MulticlassAccuracy(num_classes, average="micro", validate_args=False)
        self.train_acc, self.val_acc, self.test_acc = accuracy, accuracy.clone(), accuracy.clone()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return self.optimizer_class(self.parameters(), lr=self.lr)

    def training_step(self, batch: Sequence[Tensor], batch_idx: int) -> Tensor:
        return self._loss(batch, "train")

    def validation_step(self, batch: Sequence[Tensor], batch_idx: int) -> None:
        self._loss(batch, "val")

    def test_step(self, batch: Sequence[Tensor], batch_idx: int) -> None:
        self._loss(batch, "test")

    def predict_step(self, batch: Sequence[Tensor] | Tensor, batch_idx: int) -> Tensor:
        """The most likely class (batch,) of each input; targets in the batch are ignored."""
        inputs = batch if isinstance(batch, Tensor) else batch[0]
        classes: Tensor = self(inputs).argmax(dim=1)
        return classes

    def _loss(self, batch: Sequence[Tensor], stage: str) -> Tensor:
        """The loss of one batch, logged together with the accuracy under the stage's name."""
        inputs, targets = batch
        logits = self(inputs)
        loss = F.cross_entropy(logits, targets)
        accuracy: MulticlassAccuracy = getattr(self, f"{stage}_acc")
        accuracy.update(logits.detach(), targets)
        self.log(
            f"{stage}_loss",
            loss,
            on_step=stage == "train",
            on_epoch=True,
            prog_bar=True,
            sync_dist=True,
            batch_size=len(targets),  # the weight of this batch in the epoch's mean
        )
        self.log(f"{stage}_acc", accuracy, on_step=False, on_epoch=True, prog_bar=True)
        return loss

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keeps the class with its arguments, in the way of LightningCLI, which builds the model from both.

        So does `Classifier.load_from_checkpoint`, which need not be told which of the models is in the file.
        """
        checkpoint.setdefault("hyper_parameters", {}).update(
            _class_path=f"{type(self).__module__}.{type(self).__qualname__}",
            _instantiator="pytorch_lightning.cli.instantiate_module",
        )
