"""Reconstruction: filling in what was taken away, the pixels of a patch or the colours of an image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from gdl_torch.tasks.task import Outcome, Task

if TYPE_CHECKING:
    from collections.abc import Sequence


class Reconstruction(Task):
    """Base of the models whose outputs are compared with the numbers that were there.

    The loss is the squared error, its mean over all numbers of a batch.

    Args:
        optimizer: name of a class in torch.optim.
        lr: learning rate.

    Raises:
        ValueError: an unknown optimizer, or a learning rate that is negative or not finite.
    """

    def __init__(self, optimizer: str, lr: float) -> None:
        super().__init__(optimizer, lr)
        self.loss = nn.MSELoss()

    def predict_step(self, batch: Sequence[Tensor], batch_idx: int) -> Tensor:
        """What the model puts in; the targets in the batch are ignored."""
        filled: Tensor = self(batch[0])
        return filled

    def compare(self, inputs: Tensor, targets: Tensor) -> Outcome:
        outputs = self(inputs)
        return Outcome(self.loss(outputs, targets.to(outputs.dtype)), outputs, targets)
