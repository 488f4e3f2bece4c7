"""What every classifier does with a batch: the loss, the accuracy, the predicted classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics.classification import MulticlassAccuracy

from gdl_torch.module import Model

if TYPE_CHECKING:
    from collections.abc import Sequence

ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "sigmoid": nn.Sigmoid, "tanh": nn.Tanh}


class Classifier(Model):
    """Base of the models that map inputs to class logits: everything but the layers.

    The loss is the cross-entropy of the logits, its mean over the batch. Logged are means over an epoch's
    examples, all devices together: `train_loss_epoch`, `train_acc`, `val_loss`, `val_acc`, `test_loss`,
    `test_acc`; and the loss of single training steps, `train_loss_step`.

    Args:
        num_classes: number of logits.
        optimizer: name of a class in torch.optim.
        lr: learning rate.

    Raises:
        ValueError: an unknown optimizer, or a learning rate that is negative or not finite.
    """

    def __init__(self, num_classes: int, optimizer: str, lr: float) -> None:
        super().__init__(optimizer, lr)
        # Unvalidated: cross_entropy has refused bad targets already, and looking again makes a GPU wait.
        accuracy = MulticlassAccuracy(num_classes, average="micro", validate_args=False)
        self.train_acc, self.val_acc, self.test_acc = accuracy, accuracy.clone(), accuracy.clone()

    def predict_step(self, batch: Sequence[Any] | Tensor, batch_idx: int) -> Tensor:
        """The most likely class (batch,) of each input; targets in the batch are ignored."""
        classes: Tensor = self.logits(batch if isinstance(batch, Tensor) else batch[0]).argmax(dim=1)
        return classes

    def logits(self, inputs: Sequence[Tensor] | Tensor) -> Tensor:
        """The model's output, of its one input or of several."""
        logits: Tensor = self(inputs) if isinstance(inputs, Tensor) else self(*inputs)
        return logits

    def loss(self, batch: Sequence[Any], batch_idx: int, stage: str) -> Tensor:
        inputs, targets = batch
        logits = self.logits(inputs)
        loss = F.cross_entropy(logits, targets)
        accuracy: MulticlassAccuracy = getattr(self, f"{stage}_acc")
        accuracy.update(logits.detach(), targets)
        self.log_loss(stage, loss, len(targets))
        self.log(f"{stage}_acc", accuracy, on_step=False, on_epoch=True, prog_bar=True)
        return loss
