"""Classifying: one of several classes for each example, or yes or no to each question."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from torch import Tensor, nn

from gdl_numpy.tasks import ClassificationMetrics
from gdl_torch.tasks.task import Mean, Outcome, Task

if TYPE_CHECKING:
    from collections.abc import Sequence


class Classification(Task):
    """Base of the models whose logits, the classes in dimension 1, are compared with class ids.

    The loss is the cross-entropy of the logits, its mean over the targets that are not its `ignore_index`;
    `train_acc`, `val_acc` and `test_acc` are logged besides.

    Args:
        optimizer: name of a class in torch.optim.
        lr: learning rate.

    Raises:
        ValueError: an unknown optimizer, or a learning rate that is negative or not finite.
    """

    metrics_class = ClassificationMetrics
    metric_classes: ClassVar = {"acc": Mean}
    loss: nn.CrossEntropyLoss

    def __init__(self, optimizer: str, lr: float) -> None:
        super().__init__(optimizer, lr)
        self.loss = nn.CrossEntropyLoss()

    def predict_step(self, batch: Sequence[Any] | Tensor, batch_idx: int) -> Tensor:
        """The most likely class (batch,) of each input; targets in the batch are ignored."""
        classes: Tensor = self.logits(batch if isinstance(batch, Tensor) else batch[0]).argmax(dim=1)
        return classes

    def logits(self, inputs: Sequence[Tensor] | Tensor) -> Tensor:
        """The model's output, of its one input or of several."""
        logits: Tensor = self(inputs) if isinstance(inputs, Tensor) else self(*inputs)
        return logits

    def compare(self, inputs: Sequence[Tensor] | Tensor, targets: Tensor) -> Outcome:
        logits = self.logits(inputs)
        return Outcome(self.loss(logits, targets), logits, targets)

    def count(self, outcome: Outcome) -> Tensor:
        counted: Tensor = (outcome.targets != self.loss.ignore_index).sum()
        return counted

    def totals(self, outcome: Outcome, count: Tensor | int) -> dict[str, Tensor]:
        counted = outcome.targets != self.loss.ignore_index
        return {"acc": ((outcome.outputs.argmax(dim=1) == outcome.targets) & counted).sum()}


class BinaryClassification(Task):
    """Base of the models that give a logit of yes for each question; targets are 1 for yes and 0 for no.

    The loss is the binary cross-entropy, its mean over all answers of a batch; `train_acc`, `val_acc` and
    `test_acc` are logged besides.

    Args:
        optimizer: name of a class in torch.optim.
        lr: learning rate.

    Raises:
        ValueError: an unknown optimizer, or a learning rate that is negative or not finite.
    """

    metrics_class = ClassificationMetrics
    metric_classes: ClassVar = {"acc": Mean}
    threshold: ClassVar[float] = 0.0  # a larger output means yes

    def __init__(self, optimizer: str, lr: float) -> None:
        super().__init__(optimizer, lr)
        self.loss: nn.Module = nn.BCEWithLogitsLoss()

    def predict_step(self, batch: Sequence[Any], batch_idx: int) -> Tensor:
        """The likelier answer, 0 or 1, to each question; the targets in the batch are ignored."""
        answers: Tensor = (self(*batch[0]) > self.threshold).long()
        return answers

    def compare(self, inputs: Sequence[Tensor], targets: Tensor) -> Outcome:
        logits = self(*inputs)
        return Outcome(self.loss(logits, targets.to(logits.dtype)), logits, targets)

    def totals(self, outcome: Outcome, count: Tensor | int) -> dict[str, Tensor]:
        return {"acc": ((outcome.outputs > self.threshold) == (outcome.targets > 0)).sum()}


class ProbabilityClassification(BinaryClassification):
    """Base of the models that give a probability of yes for each question; targets are 1 for yes, 0 for no.

    The loss is the squared error, its mean over all answers of a batch (the Brier score); `train_acc`,
    `val_acc` and `test_acc` are logged besides.

    Args:
        optimizer: name of a class in torch.optim.
        lr: learning rate.

    Raises:
        ValueError: an unknown optimizer, or a learning rate that is negative or not finite.
    """

    threshold = 0.5

    def __init__(self, optimizer: str, lr: float) -> None:
        super().__init__(optimizer, lr)
        self.loss = nn.MSELoss()
