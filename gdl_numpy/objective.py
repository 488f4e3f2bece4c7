"""How a model is compared with the targets of a batch, and how it learns from the difference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from gdl_numpy.data.text import IGNORED
from gdl_numpy.history import Metrics, TextMetrics
from gdl_numpy.models.language_model import LanguageModel
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

    metrics: type[Metrics] = Metrics

    def __init__(self, model: Module, loss: Loss) -> None:
        self.model = model
        self.loss = loss

    def predict(self, inputs: Shaped[np.ndarray, "batch ..."]) -> Float[np.ndarray, "batch classes ..."]:
        """The logits of a batch, the classes in dimension 1, where losses expect them."""
        logits: np.ndarray = self.model(inputs)
        return logits

    def backward(self, grad_logits: Float[np.ndarray, "batch classes ..."]) -> None:
        """Adds to the parameters' gradients, from the gradient of what `predict` gave."""
        self.model.backward(grad_logits)

    def compare(
        self, inputs: Shaped[np.ndarray, "batch ..."], targets: Int[np.ndarray, "batch ..."]
    ) -> Metrics:
        """Predicts a batch and compares the prediction with the targets, class ids or −100 for none."""
        logits = self.predict(inputs)
        right = np.count_nonzero(logits.argmax(1) == targets)  # −100 is no class, and never right
        return self.metrics(self.loss(logits, targets), right / max(count(targets), 1))

    def learn(
        self,
        optimizer: Optimizer,
        inputs: Shaped[np.ndarray, "batch ..."],
        targets: Int[np.ndarray, "batch ..."],
        clip_norm: float | None = None,
    ) -> Metrics:
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

    def backward(self, grad_logits: Float[np.ndarray, "time vocabulary batch"]) -> None:
        self.model.backward(np.moveaxis(grad_logits, 1, -1))


def objective_for(model: Module, loss: Loss, continues: bool = False) -> Objective:
    """The objective of a model for one pass through some batches, which may continue one another."""
    if isinstance(model, LanguageModel):
        return TextObjective(model, loss, continues)
    return Objective(model, loss)


def count(targets: Int[np.ndarray, "..."]) -> int:
    """How many of the targets count."""
    return int(np.count_nonzero(targets != IGNORED))
