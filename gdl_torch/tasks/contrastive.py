"""Contrast: an encoder learns which images are alike, from views of them or from their labels."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from gdl_numpy.lookup import lookup
from gdl_numpy.tasks import ContrastiveMetrics, loss_at_collapse
from gdl_torch.nn import ContrastiveLoss, NTXentLoss
from gdl_torch.tasks.gathering import is_shared, of_all_ranks
from gdl_torch.tasks.mining import MINING, hardest_triplets
from gdl_torch.tasks.task import Mean, Outcome, Task, wide

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Bool, Float, Int64

    from gdl_numpy.tasks.contrastive import LossName, MiningName


class Contrastive(Task):
    """Base of the encoders whose codes are to be near where the images are alike.

    A batch is images, or several views of the same images, and labels. All views go through the encoder
    together. By its loss a task compares

    * `NTXentLoss`: the views of each image, two or more, against all other views (Chen et al. 2020);
    * `TripletMarginLoss`: each image with the farthest of its label and the nearest of another (Hermans et
      al. 2017, "batch hard"); or, with `mining` "semihard", each two of a label with the nearest of another
      that is farther than they are apart (Schroff et al. 2015);
    * `ContrastiveLoss` and `CosineEmbeddingLoss`: the same as one pair that is alike and one that is not.

    With several devices, a batch is what all of them have: each image is compared with those of every device,
    and what is learned and logged is what one device would with the whole batch. So a label must mean the
    same on all of them.

    Logged besides, as `train_acc`, `val_acc`, `test_acc` and so on, are

    * `acc`: how often the nearest of all is a view of the same image; or how often the farthest of an image's
      label is nearer than the nearest of another;
    * `spread` of the codes: about 1 all over the sphere, 0 where all are the same, at a collapse;
    * `collapse_gap`: how far the loss is below its value at a collapse.

    Args:
        loss: name of the loss.
        temperature: of `NTXentLoss`; smaller, and the nearest of the others count more.
        margin: of the other losses: how far apart those that are not alike should be.
        mining: of the other losses: which images of a batch are compared.
        optimizer: name of a class in torch.optim.
        lr: learning rate.

    Raises:
        ValueError: an unknown loss, mining or optimizer, a temperature ≤ 0, a negative margin, or a learning
            rate that is negative or not finite.
    """

    metrics_class = ContrastiveMetrics
    metric_classes: ClassVar = {"acc": Mean, "spread": Mean, "collapse_gap": Mean}

    def __init__(
        self,
        loss: LossName,
        temperature: float,
        margin: float,
        mining: MiningName,
        optimizer: str,
        lr: float,
    ) -> None:
        super().__init__(optimizer, lr)
        self.triplets = lookup("mining", mining, MINING)
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
        return Outcome(self.loss(*self._compared(codes, targets, len(views))), codes, targets)

    def _compared(self, codes: Tensor, targets: Tensor, views: int) -> tuple[Tensor, ...]:
        """The loss's arguments."""
        if isinstance(self.loss, NTXentLoss):
            return codes.chunk(views)
        triplets = self.triplets(codes.detach(), targets.repeat(views))
        a, p, n = (codes[places] for places in triplets)
        if isinstance(self.loss, nn.TripletMarginLoss):
            return a, p, n
        alike = torch.ones(2 * len(a), dtype=codes.dtype, device=codes.device)
        alike[len(a) :] = -1 if isinstance(self.loss, nn.CosineEmbeddingLoss) else 0
        return torch.cat([a, a]), torch.cat([p, n]), alike

    def totals(self, outcome: Outcome, count: Tensor | int) -> dict[str, Tensor]:
        codes = outcome.outputs.detach()
        if isinstance(self.loss, NTXentLoss):
            near = finds_own_view(codes, len(outcome.targets))
        else:
            labels = outcome.targets.repeat(len(codes) // len(outcome.targets))
            near = nearer(codes, hardest_triplets(codes, labels))
        margin = getattr(self.loss, "margin", 0.0)
        at_collapse = loss_at_collapse(type(self.loss).__name__, len(codes), margin)
        means = {
            "acc": wide(near).mean(),
            "spread": spread(wide(codes)),
            "collapse_gap": at_collapse - wide(outcome.loss.detach()),
        }
        return {name: count * mean for name, mean in means.items()}


def finds_own_view(codes: Float[Tensor, "codes size"], count: int) -> Bool[Tensor, " codes"]:
    """Which codes, view by view of `count` images, are most similar to another view of the same image."""
    similarities = (codes @ codes.T).fill_diagonal_(-torch.inf)
    images = torch.arange(len(codes), device=codes.device) % count
    return images[similarities.argmax(dim=1)] == images


def nearer(
    codes: Float[Tensor, "codes size"], triplets: tuple[Int64[Tensor, " triplets"], ...]
) -> Bool[Tensor, " triplets"]:
    """Of which triplets, by places in the codes, the positive is nearer to the anchor than the negative."""
    a, p, n = (codes[places] for places in triplets)
    return ((a - p) ** 2).sum(dim=1) < ((a - n) ** 2).sum(dim=1)


def spread(codes: Float[Tensor, "codes size"]) -> Float[Tensor, ""]:
    """√d times the standard deviation of a component, its mean over the d components.

    About 1 of codes of length 1 all over the sphere, 0 of codes that are all the same (Chen, He 2021).
    """
    return math.sqrt(codes.shape[1]) * codes.std(dim=0, correction=0).mean()
