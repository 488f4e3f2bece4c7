"""Contrast: an encoder learns which images are alike, from views of them or from their labels."""

from __future__ import annotations

import math
from collections.abc import Mapping  # noqa: TC003 (dataclasses are read under beartype)
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from gdl_numpy import nn
from gdl_numpy.nn import CosineEmbeddingLoss, NTXentLoss, TripletMarginLoss
from gdl_numpy.nn.sparse import add_rows
from gdl_numpy.tasks.classification import ClassificationMetrics
from gdl_numpy.tasks.mining import MINING, hardest_triplets
from gdl_numpy.tasks.task import Metrics, Task, as_arguments

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

    from gdl_numpy.nn import Module

LossName = Literal["NTXentLoss", "TripletMarginLoss", "ContrastiveLoss", "CosineEmbeddingLoss"]
MiningName = Literal["hardest", "semihard"]
# A collapse: see `ContrastiveMetrics.has_collapsed`.
LEAST_SPREAD, LEAST_GAP = 0.1, 0.01


@dataclass(frozen=True)
class ContrastiveMetrics(ClassificationMetrics):
    """How good the codes of some images are, and how far from a collapse, where all codes are the same.

    Attributes:
        spread: of the codes, see `spread`: about 1 all over the sphere, 0 at a collapse.
        collapse_gap: how far the loss is below its value at a collapse; negative above it.
    """

    columns: ClassVar[Mapping[str, str]] = {
        **ClassificationMetrics.columns,
        "spread": ".3f",
        "collapse_gap": ".4f",
    }
    panels: ClassVar[Mapping[str, str]] = {
        **ClassificationMetrics.panels,
        "spread": "linear",
        "collapse_gap": "linear",  # which does not depend on how many others a batch has, as NTXentLoss does
    }
    later: ClassVar[frozenset[str]] = frozenset({"spread", "collapse_gap"})

    spread: float
    collapse_gap: float

    @property
    def has_collapsed(self) -> bool:
        """Whether the codes hardly differ, and the loss hardly does from that of codes that are the same.

        With a spread s, alike in all directions, two codes have a mean cosine of 1 - s²: 0.99 for s = 0.1.
        Such codes may still tell images apart, at a low temperature or on their way to more spread; but then
        the loss is lower than at a collapse, by more than 1 %. It may be higher: the hardest triplets cost
        more than the margin until all codes are the same.
        """
        at_collapse = self.loss + self.collapse_gap
        return self.spread < LEAST_SPREAD and self.collapse_gap <= LEAST_GAP * at_collapse

    @property
    def warning(self) -> str | None:
        if not self.has_collapsed:
            return None
        at_collapse = self.loss + self.collapse_gap
        return (
            "the encoder has collapsed: it gives all images nearly the same code (the spread is "
            f"{self.spread:.3f}, where 1 is all over the sphere; the loss is {self.loss:.4f}, where codes "
            f"that are the same have {at_collapse:.4f}). What may help: a lower learning rate or milder "
            "views; with labels, also smaller batches or more epochs"
        )


def spread(codes: Float[np.ndarray, "codes size"]) -> float:
    """√d times the standard deviation of a component, its mean over the d components.

    Of codes of length 1 evenly spread over the sphere it is about 1, since a component's variance is then
    1 / d; of codes that are all the same it is 0.

    Source: Chen, He 2021, *Exploring Simple Siamese Representation Learning*, section 4.1,
    https://arxiv.org/abs/2011.10566.
    """
    return float(math.sqrt(codes.shape[1]) * codes.std(axis=0).mean())


def loss_at_collapse(loss: str, codes: int, margin: float = 0.0) -> float:
    """The loss of a batch whose codes, of length 1, are all the same.

    NTXentLoss: all the others are equally similar. TripletMarginLoss: positive and negative are equally far.
    The other two: half of the pairs are alike and cost nothing, half are not, with d = 0 and cos = 1.

    Args:
        loss: the name of its class; of others than `LossName` nan is all that is known.
        codes: how many there are, of all views.
        margin: of all but NTXentLoss.
    """
    known = {
        "NTXentLoss": math.log(max(codes - 1, 1)),
        "TripletMarginLoss": margin,
        "ContrastiveLoss": margin**2 / 2,
        "CosineEmbeddingLoss": (1 - margin) / 2,
    }
    return known.get(loss, math.nan)


class Contrastive(Task):
    """Codes of images, or of several views of each, that are to be near where the images are alike.

    All views go through the encoder in one batch. By its loss a task compares

    * `NTXentLoss`: the views of each image, two or more, against all other views (Chen et al. 2020);
    * `TripletMarginLoss`: each image with the farthest of its label and the nearest of another (Hermans et
      al. 2017, "batch hard"); or, with `mining` "semihard", each two of a label with the nearest of another
      that is farther than they are apart (Schroff et al. 2015);
    * `ContrastiveLoss` and `CosineEmbeddingLoss`: the same as one pair that is alike and one that is not.

    Targets are labels. Accuracy is how often the nearest of all is a view of the same image; or how often the
    farthest of an image's label is nearer than the nearest of another. What tells of a collapse, where all
    images have the same code, is in `ContrastiveMetrics`.
    """

    default_loss = NTXentLoss
    metrics_class = ContrastiveMetrics
    input_layer = "model"
    mining: MiningName = "hardest"

    @classmethod
    def of(
        cls,
        model: Module,
        loss: LossName = "NTXentLoss",
        temperature: float | None = None,
        margin: float | None = None,
        mining: MiningName | None = None,
    ) -> Contrastive:
        """The task with a loss by its name.

        Args:
            model: what is trained.
            loss: how images are compared.
            temperature: of NTXentLoss, above 0: smaller, and the nearest of the others count more; else 0.5.
            margin: of the other losses: how far apart those that are not alike should be; else 0.5.
            mining: of the other losses: which images of a batch are compared, the hardest or the semi-hard
                triplets; else the hardest.

        Raises:
            ValueError: an argument is another loss's, or out of its range.
        """
        is_nt_xent = loss == "NTXentLoss"
        others = {"margin": margin, "mining": mining} if is_nt_xent else {"temperature": temperature}
        for name, value in others.items():
            if value is not None:
                raise ValueError(f"--{name} is not for --loss {loss}")
        own, value = ("temperature", temperature) if is_nt_xent else ("margin", margin)
        task = cls(model, getattr(nn, loss)(**{own: 0.5 if value is None else value}))
        task.mining = mining or cls.mining
        return task

    @classmethod
    def data_arguments(cls, model: type[Module], given: Mapping[str, Any]) -> dict[str, Any]:
        is_nt_xent = given.get("loss", "NTXentLoss") == "NTXentLoss"
        labelled = given.get("labelled", not is_nt_xent)
        views = given.get("views", 1 if labelled else 2)
        if is_nt_xent and (labelled or views < 2):
            raise ValueError(
                "--loss NTXentLoss compares two views or more, and no labels: see the other losses"
            )
        if not labelled and views < 2:
            raise ValueError("--no-labelled needs --views 2 or more: nothing else says what is alike")
        return {"labelled": labelled, "views": views}

    @property
    def hparams(self) -> dict[str, Any]:
        if isinstance(self.loss, NTXentLoss):
            return {"loss": "NTXentLoss", "temperature": self.loss.temperature}
        return {"loss": type(self.loss).__name__, "margin": self.loss.margin, "mining": self.mining}

    def forward(self, inputs: Any, targets: Any = None) -> Any:
        """The loss of a batch.

        Args:
            inputs: images, or a tuple of several views of them, each (batch, channels, height, width).
            targets: the label of each image, (batch,); `NTXentLoss` does without.

        Raises:
            ValueError: targets that are all the same or all different, where labels say what is alike.
        """
        views = as_arguments(inputs)
        self.views, self.targets = len(views), targets
        self.codes: Float[np.ndarray, "views_batch size"] = self.model(
            np.concatenate(views) if len(views) > 1 else views[0]
        )
        self.places, labels = self._compared()
        self.value = self.loss(*(self.codes[places] for places in self.places), *labels)
        return self.value

    def backward(self, grad_output: Any = 1.0) -> Any:
        grads = self.loss.backward(grad_output)
        if isinstance(self.loss, NTXentLoss):
            grad_codes = np.concatenate(grads)
        else:
            grad_codes = np.zeros_like(self.codes)
            for places, grad in zip(self.places, grads, strict=True):
                add_rows(grad_codes, places, grad, np.arange(len(grad)))  # some codes are compared often
        grad = self.model.backward(grad_codes)
        if grad is None or self.views == 1:
            return grad
        return tuple(np.split(grad, self.views))

    def _compared(self) -> tuple[list[Any], list[np.ndarray]]:
        """Which codes are the loss's arguments, and what it takes after them."""
        if isinstance(self.loss, NTXentLoss):
            ends = [self.count * view for view in range(self.views + 1)]
            return [slice(*each) for each in pairwise(ends)], []
        labels = np.tile(self.targets, self.views)
        anchors, positives, negatives = MINING[self.mining](self.codes, labels)
        if isinstance(self.loss, TripletMarginLoss):
            return [anchors, positives, negatives], []
        unlike = -1 if isinstance(self.loss, CosineEmbeddingLoss) else 0
        alike = np.repeat(np.array([1, unlike], self.codes.dtype), len(anchors))
        return [np.concatenate([anchors, anchors]), np.concatenate([positives, negatives])], [alike]

    @property
    def count(self) -> int:
        return len(self.codes) // self.views

    @property
    def metrics(self) -> Metrics:
        at_collapse = loss_at_collapse(
            type(self.loss).__name__, len(self.codes), getattr(self.loss, "margin", 0.0)
        )
        accuracy = float(np.mean(self._nearer()))
        return ContrastiveMetrics(self.value, accuracy, spread(self.codes), at_collapse - self.value)

    def _nearer(self) -> Bool[np.ndarray, " anchors"]:
        """Which codes have the next of their own kind nearer than the next of another."""
        if isinstance(self.loss, NTXentLoss):
            similarities = self.codes @ self.codes.T
            np.fill_diagonal(similarities, -np.inf)
            images = np.arange(len(self.codes)) % self.count
            nearest: np.ndarray = images[similarities.argmax(axis=1)] == images
            return nearest
        hardest = hardest_triplets(self.codes, np.tile(self.targets, self.views))
        a, p, n = (self.codes[places] for places in hardest)
        nearer: np.ndarray = ((a - p) ** 2).sum(axis=1) < ((a - n) ** 2).sum(axis=1)
        return nearer
