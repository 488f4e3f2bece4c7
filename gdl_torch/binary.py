"""What every model with yes-or-no answers does with a batch: the logistic loss, and how many are right."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch.nn.functional as F
from torch import Tensor
from torchmetrics.classification import BinaryAccuracy

from gdl_torch.module import Model

if TYPE_CHECKING:
    from collections.abc import Sequence


class BinaryClassifier(Model):
    """Base of the models that give a logit for each question: everything but the layers.

    The loss is the binary cross-entropy, its mean over all answers of a batch; what is logged has the names
    of `Classifier`'s.

    Args:
        optimizer: name of a class in torch.optim.
        lr: learning rate.

    Raises:
        ValueError: an unknown optimizer, or a learning rate that is negative or not finite.
    """

    def __init__(self, optimizer: str, lr: float) -> None:
        super().__init__(optimizer, lr)
        accuracy = BinaryAccuracy(validate_args=False)
        self.train_acc, self.val_acc, self.test_acc = accuracy, accuracy.clone(), accuracy.clone()

    def predict_step(self, batch: Sequence[Sequence[Tensor] | Tensor], batch_idx: int) -> Tensor:
        """The likelier answer, 0 or 1, to each question; the targets in the batch are ignored."""
        answers: Tensor = (self(*batch[0]) > 0).long()
        return answers

    def loss(self, batch: Sequence[Sequence[Tensor] | Tensor], batch_idx: int, stage: str) -> Tensor:
        inputs, targets = batch
        assert isinstance(targets, Tensor)
        logits = self(*inputs)
        loss = F.binary_cross_entropy_with_logits(logits, targets.to(logits.dtype))
        accuracy: BinaryAccuracy = getattr(self, f"{stage}_acc")
        # As 0 and 1: logits that all lie between those would be taken for probabilities.
        accuracy.update((logits > 0).long(), targets.long())
        self.log_loss(stage, loss, targets.numel())
        self.log(f"{stage}_acc", accuracy, on_step=False, on_epoch=True, prog_bar=True)
        return loss
