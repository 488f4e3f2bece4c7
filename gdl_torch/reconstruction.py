"""What every model that gives back numbers, not classes, does with a batch: the squared error."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch.nn.functional as F
from torch import Tensor

from gdl_torch.module import Model

if TYPE_CHECKING:
    from collections.abc import Sequence


class Reconstruction(Model):
    """Base of the models that fill in what is missing: everything but the layers.

    The loss is the squared error, its mean over all numbers of a batch; logged are `train_loss_epoch`,
    `val_loss`, `test_loss`, and the loss of single training steps, `train_loss_step`.
    """

    def predict_step(self, batch: Sequence[Tensor], batch_idx: int) -> Tensor:
        """What the model puts in; the targets in the batch are ignored."""
        filled: Tensor = self(batch[0])
        return filled

    def loss(self, batch: Sequence[Tensor], batch_idx: int, stage: str) -> Tensor:
        inputs, targets = batch
        loss = F.mse_loss(self(inputs), targets)
        self.log_loss(stage, loss, targets.numel())
        return loss
