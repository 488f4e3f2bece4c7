"""Contrast: an encoder learns which images are alike, from views of them or from their labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from gdl_numpy.lookup import lookup
from gdl_numpy.tasks import ClassificationMetrics
from gdl_torch.nn import ContrastiveLoss, NTXentLoss
from gdl_torch.tasks.gathering import is_shared, of_all_ranks
from gdl_torch.tasks.mining import hardest_triplets
from gdl_torch.tasks.task import Mean, Outcome, Task

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gdl_numpy.tasks.contrastive import LossName


class Contrastive(Task):
    """Base of the encoders whose codes are to be near where the images are alike.

    A batch is images, or several views of the same images, and labels. All views go through the encoder
    together. By its loss a task compares

    * `NTXentLoss`: the two views of each image, against all other views (Chen et al. 2020);
    * `TripletMarginLoss`: each image with the farthest of its label and the nearest of another (Hermans et
      al. 2017, "batch hard");
    * `ContrastiveLoss` and `CosineEmbeddingLoss`: the same as one pair that is alike and one that is not.

    With several devices, a batch is what all of them have: each image is compared with those of every device,
    and what is learned and logged is what one device would with the whole batch. So a label must mean the
    same on all of them.

    `train_acc`, `val_acc` and `test_acc` are logged besides: how often the other view is the nearest of all;
    or how often the farthest of an image's label is nearer than the nearest of another.

    Args:
        loss: name of the loss.
        temperature: of `NTXentLoss`; smaller, and the nearest of the others count more.
        margin: of the other losses: how far apart those that are not alike should be.
        optimizer: name of a class in torch.optim.
        lr: learning rate.

    Raises:
        ValueError: an unknown loss or optimizer, a temperature ≤ 0, a negative margin, or a learning rate
            that is negative or not finite.
    """

    metrics_class = ClassificationMetrics
    metric_classes: ClassVar = {"acc": Mean}

    def __init__(self, loss: LossName, temperature: float, margin: float, optimizer: str, lr: float) -> None:
        super().__init__(optimizer, lr)
        losses: dict[str, Any] = {
            "NTXentLoss": lambda: NTXentLoss(temperature),
            "TripletMarginLoss": lambda: nn.TripletMarginLoss(margin),
            "ContrastiveLoss": lambda: ContrastiveLoss(margin),
            "CosineEmbeddingLoss": lambda: nn.CosineEmbeddingLoss(margin),
        }
        self.loss: nn.Module = lookup("loss", loss, losses)()

    def compare(self, inputs: Sequence[Tensor] | Tensor, targets: Tensor) -> Outcome:
        views = [inputs] if isinstance(inputs, Tensor) else list(inputs)
        codes = self(torch.cat(views))
        if is_shared():  # an image's views stay together, so that all codes are view by view again
            together = of_all_ranks(torch.stack(codes.chunk(len(views)), dim=1))
            codes, targets = torch.cat(together.unbind(dim=1)), of_all_ranks(targets)
        if isinstance(self.loss, NTXentLoss):
            return Outcome(self.loss(*codes.chunk(2)), codes, targets)
        triplets = hardest_triplets(codes.detach(), targets.repeat(len(views)))
        a, p, n = (codes[places] for places in triplets)
        if isinstance(self.loss, nn.TripletMarginLoss):
            return Outcome(self.loss(a, p, n), (a, p, n), targets)
        alike = torch.ones(2 * len(a), dtype=codes.dtype, device=codes.device)
        alike[len(a) :] = -1 if isinstance(self.loss, nn.CosineEmbeddingLoss) else 0
        return Outcome(self.loss(torch.cat([a, a]), torch.cat([p, n]), alike), (a, p, n), targets)

    def totals(self, outcome: Outcome, count: Tensor | int) -> dict[str, Tensor]:
        if isinstance(outcome.outputs, Tensor):  # the codes of two views of each image
            codes = outcome.outputs.detach()
            similarities = (codes @ codes.T).fill_diagonal_(-torch.inf)
            other_view = torch.arange(len(codes), device=codes.device).roll(len(codes) // 2)
            nearer = similarities.argmax(dim=1) == other_view
        else:
            a, p, n = outcome.outputs
            nearer = ((a - p) ** 2).sum(dim=1) < ((a - n) ** 2).sum(dim=1)
        return {"acc": count * nearer.double().mean()}
