"""Contrast: an encoder learns which images are alike, from views of them or from their labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from gdl_numpy import nn
from gdl_numpy.nn import CosineEmbeddingLoss, NTXentLoss, TripletMarginLoss
from gdl_numpy.nn.sparse import add_rows
from gdl_numpy.tasks.classification import ClassificationMetrics
from gdl_numpy.tasks.mining import hardest_triplets
from gdl_numpy.tasks.task import Metrics, Task, as_arguments

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jaxtyping import Bool, Float

    from gdl_numpy.nn import Module

LossName = Literal["NTXentLoss", "TripletMarginLoss", "ContrastiveLoss", "CosineEmbeddingLoss"]


class Contrastive(Task):
    """Codes of images, or of several views of each, that are to be near where the images are alike.

    All views go through the encoder in one batch. By its loss a task compares

    * `NTXentLoss`: the two views of each image, against all other views (Chen et al. 2020);
    * `TripletMarginLoss`: each image with the farthest of its label and the nearest of another (Hermans et
      al. 2017, "batch hard");
    * `ContrastiveLoss` and `CosineEmbeddingLoss`: the same as one pair that is alike and one that is not.

    Targets are labels. Accuracy is how often the other view is the nearest of all; or how often the farthest
    of an image's label is nearer than the nearest of another.
    """

    default_loss = NTXentLoss
    metrics_class = ClassificationMetrics
    input_layer = "model"

    @classmethod
    def of(
        cls,
        model: Module,
        loss: LossName = "NTXentLoss",
        temperature: float | None = None,
        margin: float | None = None,
    ) -> Contrastive:
        """The task with a loss by its name.

        Args:
            model: what is trained.
            loss: how images are compared.
            temperature: of NTXentLoss, above 0: smaller, and the nearest of the others count more; else 0.5.
            margin: of the other losses: how far apart those that are not alike should be; else 0.5.

        Raises:
            ValueError: an argument is another loss's, or out of its range.
        """
        own, others = ("temperature", "margin") if loss == "NTXentLoss" else ("margin", "temperature")
        values = {"temperature": temperature, "margin": margin}
        if values[others] is not None:
            raise ValueError(f"--{others} is not for --loss {loss}")
        value = 0.5 if values[own] is None else values[own]
        return cls(model, getattr(nn, loss)(**{own: value}))

    @classmethod
    def data_arguments(cls, model: type[Module], given: Mapping[str, Any]) -> dict[str, Any]:
        is_nt_xent = given.get("loss", "NTXentLoss") == "NTXentLoss"
        labelled = given.get("labelled", not is_nt_xent)
        count = given.get("count", 1 if labelled else 2)
        if is_nt_xent and (labelled or count != 2):
            raise ValueError("--loss NTXentLoss compares two views and no labels: see the other losses")
        if not labelled and count < 2:
            raise ValueError("--no-labelled needs --views 2 or more: nothing else says what is alike")
        return {"labelled": labelled, "count": count}

    @property
    def hparams(self) -> dict[str, Any]:
        name = "temperature" if isinstance(self.loss, NTXentLoss) else "margin"
        return {"loss": type(self.loss).__name__, name: getattr(self.loss, name)}

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
            half = len(self.codes) // 2
            return [slice(half), slice(half, None)], []
        self.triplets = hardest_triplets(self.codes, np.tile(self.targets, self.views))
        anchors, positives, negatives = self.triplets
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
        return ClassificationMetrics(self.value, float(np.mean(self._nearer())))

    def _nearer(self) -> Bool[np.ndarray, " anchors"]:
        """Which codes have the next of their own kind nearer than the next of another."""
        if isinstance(self.loss, NTXentLoss):
            similarities = self.codes @ self.codes.T
            np.fill_diagonal(similarities, -np.inf)
            other_view = np.roll(np.arange(len(self.codes)), len(self.codes) // 2)
            nearest: np.ndarray = similarities.argmax(axis=1) == other_view
            return nearest
        a, p, n = (self.codes[places] for places in self.triplets)
        nearer: np.ndarray = ((a - p) ** 2).sum(axis=1) < ((a - n) ** 2).sum(axis=1)
        return nearer
