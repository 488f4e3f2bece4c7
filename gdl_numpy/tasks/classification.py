"""Classifying: one of several classes for each example, or yes or no to each question."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 (dataclasses are read under beartype)
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from gdl_numpy.nn import BCEWithLogitsLoss, CrossEntropyLoss, MSELoss
from gdl_numpy.tasks.task import Metrics, Task

if TYPE_CHECKING:
    from jaxtyping import Float, Num


@dataclass(frozen=True)
class ClassificationMetrics(Metrics):
    """How good a classifier is on some examples.

    Attributes:
        loss: mean loss of a target.
        accuracy: fraction of the targets that were predicted, from 0 to 1.
    """

    columns: ClassVar[Mapping[str, str]] = {"loss": ".4f", "accuracy": ".2%"}
    panels: ClassVar[Mapping[str, str]] = {"loss": "linear", "accuracy": "linear"}
    decisive: ClassVar[str] = "accuracy"

    accuracy: float

    def summary(self, unit: str) -> str:
        return f"accuracy {self.accuracy:.2%}"


class Classification(Task):
    """A model's logits, the classes in dimension 1, against class ids, by the cross-entropy.

    Targets that are the loss's `ignore_index` do not count.
    """

    default_loss = CrossEntropyLoss
    metrics_class = ClassificationMetrics

    @property
    def count(self) -> int:
        return int(np.count_nonzero(self.targets != self.loss.ignore_index))

    @property
    def right(self) -> int:
        """How many of the latest batch's targets had the largest logit."""
        counted = self.targets != self.loss.ignore_index
        return int(np.count_nonzero((self.outputs.argmax(axis=1) == self.targets) & counted))

    @property
    def metrics(self) -> Metrics:
        metrics: Metrics = self.metrics_class(self.value, self.right / max(self.count, 1))
        return metrics


class BinaryClassification(Task):
    """A model's logits of yes against targets of the same shape, 1 for yes and 0 for no.

    Attributes:
        threshold: a larger output means yes.
    """

    default_loss: ClassVar[type[Any] | None] = BCEWithLogitsLoss
    metrics_class = ClassificationMetrics
    threshold: ClassVar[float] = 0.0

    def prepare(self, targets: Num[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
        return targets.astype(self.outputs.dtype, copy=False)

    @property
    def metrics(self) -> Metrics:
        right = np.count_nonzero((self.outputs > self.threshold) == (self.targets > 0))
        return ClassificationMetrics(self.value, right / max(self.count, 1))


class ProbabilityClassification(BinaryClassification):
    """A model's probabilities of yes against 1 for yes and 0 for no, by their squared error.

    The mean of the squares is the Brier score (1950). It is bounded: a certain answer that is wrong
    costs 1, where the logarithm has no limit.
    """

    default_loss = MSELoss
    threshold = 0.5
