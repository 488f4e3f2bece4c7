"""What a model is trained for: the loss between its outputs and a batch's targets, and what is measured."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from gdl_numpy.nn import Module
from gdl_numpy.optim import clip_grad_norm_

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gdl_numpy.optim import Optimizer

Batch = tuple[Any, Any]  # inputs, an array or a tuple of all that the model takes; and targets


@dataclass(frozen=True)
class Metrics:
    """How good a model is on some examples.

    Attributes:
        loss: mean loss of a target.
        columns: the format of each number in a table, by its name.
        decisive: the number by which models are compared.
        panels: the numbers to draw epoch by epoch, each with its scale, "linear" or "log".
        per_token: whether it is a mean over tokens, not over examples.
        later: the columns that came later: a history from before is nan there.
    """

    columns: ClassVar[Mapping[str, str]] = {"loss": ".4f"}
    panels: ClassVar[Mapping[str, str]] = {"loss": "linear"}
    decisive: ClassVar[str] = "loss"
    per_token: ClassVar[bool] = False
    later: ClassVar[frozenset[str]] = frozenset()

    loss: float

    def row(self) -> dict[str, float]:
        """Every number by its name, also those that follow from others."""
        return asdict(self)

    def summary(self, unit: str) -> str:
        """The decisive number in words, where `unit` is what the targets are."""
        return f"loss {self.loss:.4f}"

    @property
    def warning(self) -> str | None:
        """Why a model with such numbers is of no use, and what may help; None where nothing says so."""
        return None

    def __str__(self) -> str:
        row = self.row()
        return ", ".join(f"{name} {row[name]:{form}}" for name, form in self.columns.items())


class Task(Module):
    """A model and its loss as one module, from a batch's inputs and targets to the loss.

    A training step is written here and nowhere else: `training.fit` takes it, the benchmarks time it, and the
    parity suite proves `forward` and `backward`. The task itself serves for any model whose outputs its loss
    takes together with the targets; subclasses say what is special about a kind of training.

    Args:
        model: what is trained.
        loss: None for the one that this task usually has.

    Attributes:
        default_loss: the class of that loss.
        metrics_class: what `metrics` gives.
        grad_norm: of the latest step, before it was clipped; nan where nothing clips.

    Raises:
        ValueError: no loss, where the task has none of its own.
    """

    default_loss: ClassVar[type[Any] | None] = None  # of Loss, each with arguments of its own
    metrics_class: ClassVar[type[Any]] = Metrics  # of Metrics, each with arguments of its own
    input_layer = "model"
    grad_norm = math.nan

    def __init__(self, model: Module, loss: Module | None = None) -> None:
        if loss is None:
            if self.default_loss is None:
                raise ValueError(f"{type(self).__name__} has no loss of its own: give it one")
            loss = self.default_loss()
        self.model: Any = model
        self.loss: Any = loss
        self.training = model.training

    @classmethod
    def of(cls, model: Module) -> Task:
        """The task of a model as a user names it; what more a subclass takes are options of the user's.

        Args:
            model: what is trained.
        """
        return cls(model)

    @classmethod
    def data_arguments(cls, model: type[Module], given: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments of a data module that depend on what its batches are for.

        Args:
            model: the class of what is trained.
            given: the user's options, which come first.

        Raises:
            ValueError: the options ask for batches that this task cannot learn from.
        """
        return {}

    @property
    def hparams(self) -> dict[str, Any]:
        """What `of` was given besides the model, in the words of the torch side's models."""
        return {}

    def begin(self, continues: bool = False) -> None:
        """Gets ready for a pass through some batches.

        Args:
            continues: whether each batch goes on where the one before it ended.
        """

    def forward(self, inputs: Any, targets: Any = None) -> Any:
        """The loss of a batch: one number, where the loss reduces."""
        self.outputs = self.predict(inputs)
        self.targets = self.prepare(targets)
        self.value = self.loss(*as_arguments(self.outputs), *as_arguments(self.targets))
        return self.value

    def backward(self, grad_output: Any = 1.0) -> Any:
        """Adds to the gradients of the model's parameters; returns those of the inputs."""
        return self.predict_backward(self.loss.backward(grad_output))

    def step(self, optimizer: Optimizer, batch: Batch, clip_norm: float | None = None) -> float:
        """Learns from a batch: predict, compare, and one step of the optimizer down the gradient.

        Args:
            optimizer: over the model's parameters.
            batch: inputs and targets.
            clip_norm: largest norm of the gradient of all parameters together.

        Returns:
            the loss before the step. `metrics` says more.
        """
        loss: float = self(*batch)
        optimizer.zero_grad()
        self.backward()
        if clip_norm is not None:
            self.grad_norm = clip_grad_norm_(self.model.parameters(), clip_norm)
        optimizer.step()
        return loss

    def predict(self, inputs: Any) -> Any:
        """What the loss takes first: the model's outputs."""
        return self.model(*as_arguments(inputs))

    def predict_backward(self, grad_outputs: Any) -> Any:
        """The backward pass of `predict`."""
        return self.model.backward(*as_arguments(grad_outputs))

    def prepare(self, targets: Any) -> Any:
        """The targets as the loss takes them, after the outputs are known."""
        return targets

    @property
    def count(self) -> int:
        """How many of the latest batch's targets count: the loss is their mean."""
        return int(np.size(self.targets))

    @property
    def loss_count(self) -> float:
        """What the loss's mean divides by: `count`, or what the loss says, say the sum of weights."""
        return float(getattr(self.loss, "count", self.count))

    @property
    def metrics(self) -> Metrics:
        """How good the latest batch's outputs were."""
        return Metrics(self.value)


def as_arguments(value: Any) -> tuple[Any, ...]:
    """What a call takes: a tuple is all its arguments, anything else the only one, None none."""
    return value if isinstance(value, tuple) else () if value is None else (value,)
