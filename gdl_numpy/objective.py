"""How a model is compared with the targets of a batch, and how it learns from the difference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from gdl_numpy.data.text import IGNORED
from gdl_numpy.history import LossMetrics, Metrics, TextMetrics
from gdl_numpy.mining import hardest_triplets
from gdl_numpy.models.language_model import LanguageModel
from gdl_numpy.nn import (
    BCEWithLogitsLoss,
    ContrastiveLoss,
    CosineEmbeddingLoss,
    MSELoss,
    NTXentLoss,
    TripletMarginLoss,
)
from gdl_numpy.optim import clip_grad_norm_

if TYPE_CHECKING:
    from jaxtyping import Float, Int, Shaped

    from gdl_numpy.nn import Loss, Module
    from gdl_numpy.optim import Optimizer


class Objective:
    """A classifier and its loss, on their way through some batches.

    Attributes:
        metrics: what a comparison gives.
    """

    metrics: type[Any] = Metrics  # of LossMetrics, each with arguments of its own

    def __init__(self, model: Module, loss: Loss) -> None:
        self.model = model
        self.loss = loss

    def predict(self, inputs: Any) -> np.ndarray:
        """What the model makes of a batch: logits, with the classes in dimension 1, where losses expect them.

        Args:
            inputs: an array, or a tuple of all that the model takes.
        """
        logits: np.ndarray = self.model(*inputs) if isinstance(inputs, tuple) else self.model(inputs)
        return logits

    def backward(self, grad_prediction: np.ndarray) -> None:
        """Adds to the parameters' gradients, from the gradient of what `predict` gave."""
        self.model.backward(grad_prediction)

    def compare(self, inputs: Any, targets: Shaped[np.ndarray, "batch ..."]) -> LossMetrics:
        """Predicts a batch and compares the prediction with the targets, class ids or −100 for none."""
        logits = self.predict(inputs)
        right = np.count_nonzero(logits.argmax(1) == targets)  # −100 is no class, and never right
        metrics: LossMetrics = self.metrics(self.loss(logits, targets), right / max(count(targets), 1))
        return metrics

    def learn(
        self,
        optimizer: Optimizer,
        inputs: Any,
        targets: Shaped[np.ndarray, "batch ..."],
        clip_norm: float | None = None,
    ) -> LossMetrics:
        """Predicts a batch, compares, and learns from it: one step of the optimizer.

        Returns:
            the metrics of the prediction, made before the step.
        """
        metrics = self.compare(inputs, targets)
        optimizer.zero_grad()
        self.backward(self.loss.backward())
        if clip_norm is not None:
            clip_grad_norm_(self.model.parameters(), clip_norm)
        optimizer.step()
        return metrics


class BinaryObjective(Objective):
    """A model that gives logits of yes, and targets of the same shape, 1 for yes and 0 for no."""

    def compare(self, inputs: Any, targets: Float[np.ndarray, "batch ..."]) -> Metrics:
        logits = self.predict(inputs)
        right = np.count_nonzero((logits > 0) == (targets > 0))
        loss = self.loss(logits, targets.astype(logits.dtype, copy=False))
        return Metrics(loss, right / max(targets.size, 1))


class ReconstructionObjective(Objective):
    """A model that fills in numbers, and targets that say which numbers were there."""

    metrics = LossMetrics

    def compare(self, inputs: Any, targets: Float[np.ndarray, "batch ..."]) -> LossMetrics:
        prediction = self.predict(inputs)
        return LossMetrics(self.loss(prediction, targets.astype(prediction.dtype, copy=False)))


class TextObjective(Objective):
    """A language model, by truncated backpropagation through time (Williams and Peng 1990; chapter 14).

    Where a batch goes on where the one before ended, the model starts it in the state that it was in at that
    end. No gradient flows back through this state: a step learns from the symbols of its own batch only.

    Args:
        model: what predicts.
        loss: of logits (time, vocabulary, batch).
        continues: whether each batch goes on where the one before ended.

    Attributes:
        state: what the model remembers from the batch before; None at the start.
    """

    metrics = TextMetrics

    def __init__(self, model: LanguageModel, loss: Loss, continues: bool) -> None:
        super().__init__(model, loss)
        self.continues = continues
        self.state: Any = None

    def predict(self, inputs: Int[np.ndarray, "time batch"]) -> Float[np.ndarray, "time vocabulary batch"]:
        logits, state = self.model(inputs, self.state)
        if self.continues:
            self.state = state
        return np.moveaxis(logits, -1, 1)

    def backward(self, grad_prediction: Float[np.ndarray, "time vocabulary batch"]) -> None:
        self.model.backward(np.moveaxis(grad_prediction, 1, -1))


class ViewsObjective(Objective):
    """An encoder that learns to find the other view of each image among all others (Chen et al. 2020).

    All views go through the encoder in one batch. Its accuracy is how often the other view is the nearest.
    """

    def compare(
        self, inputs: tuple[Float[np.ndarray, "batch ..."], ...], targets: Int[np.ndarray, " batch"]
    ) -> Metrics:
        """Encodes two views of each image; targets, which say what is in the images, are ignored."""
        z = self.predict(np.concatenate(inputs))
        first, second = np.split(z, 2)
        loss = self.loss(first, second)
        similarities = z @ z.T
        np.fill_diagonal(similarities, -np.inf)
        partner = np.roll(np.arange(len(z)), len(first))
        return Metrics(loss, float(np.mean(similarities.argmax(1) == partner)))

    def backward(self, grad_prediction: Any) -> None:
        self.model.backward(np.concatenate(grad_prediction))


class TripletsObjective(Objective):
    """An encoder that learns from each image, the farthest of its kind and the nearest of another.

    The harder half of all there is to learn from a batch (Hermans et al. 2017). `TripletMarginLoss` takes the
    three as they are, the other losses as a pair of the same kind and a pair of two. Accuracy is how often
    the farthest of an image's kind is still nearer than the nearest of another.
    """

    def compare(self, inputs: Any, targets: Int[np.ndarray, " batch"]) -> Metrics:
        """Encodes images, or several views of each, whose targets say which are of one kind.

        Raises:
            ValueError: all are of one kind, or all of different ones.
        """
        views = inputs if isinstance(inputs, tuple) else (inputs,)
        z = self.predict(np.concatenate(views))
        self.triplets = hardest_triplets(z, np.tile(targets, len(views)))
        a, p, n = (z[rows] for rows in self.triplets)
        self.shape = z.shape
        nearer = ((a - p) ** 2).sum(1) < ((a - n) ** 2).sum(1)
        if isinstance(self.loss, TripletMarginLoss):
            loss = self.loss(a, p, n)
        else:
            unlike = -1 if isinstance(self.loss, CosineEmbeddingLoss) else 0
            alike = np.repeat(np.array([1, unlike], z.dtype), len(a))
            loss = self.loss(np.concatenate([a, a]), np.concatenate([p, n]), alike)
        return Metrics(loss, float(nearer.mean()))

    def backward(self, grad_prediction: Any) -> None:
        a, p, n = self.triplets
        rows = (a, p, n) if len(grad_prediction) == 3 else (np.concatenate([a, a]), np.concatenate([p, n]))
        grad_z = np.zeros(self.shape, grad_prediction[0].dtype)
        for indices, grad in zip(rows, grad_prediction, strict=True):
            np.add.at(grad_z, indices, grad)  # an image may be the farthest, or the nearest, of several
        self.model.backward(grad_z)


OBJECTIVES: dict[type[Loss], type[Objective]] = {
    BCEWithLogitsLoss: BinaryObjective,
    MSELoss: ReconstructionObjective,
    NTXentLoss: ViewsObjective,
    TripletMarginLoss: TripletsObjective,
    ContrastiveLoss: TripletsObjective,
    CosineEmbeddingLoss: TripletsObjective,
}


def objective_for(model: Module, loss: Loss, continues: bool = False) -> Objective:
    """The objective of a model for one pass through some batches, which may continue one another."""
    if isinstance(model, LanguageModel):
        return TextObjective(model, loss, continues)
    return OBJECTIVES.get(type(loss), Objective)(model, loss)


def count(targets: Shaped[np.ndarray, "..."]) -> int:
    """How many of the targets count."""
    return int(np.count_nonzero(targets != IGNORED))
