"""Language modelling: each token of a text predicted from those before it."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping  # noqa: TC003 (dataclasses are read under beartype)
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from gdl_numpy.tasks.classification import Classification, ClassificationMetrics

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    from gdl_numpy.nn import Module

LARGEST_EXPONENT = math.log(sys.float_info.max)


@dataclass(frozen=True)
class LanguageMetrics(ClassificationMetrics):
    """How well a language model predicts some text.

    Attributes:
        loss: mean cross-entropy of a token, in nats.
        accuracy: fraction of the tokens that were thought the most likely, from 0 to 1.
    """

    columns: ClassVar[Mapping[str, str]] = {
        "loss": ".4f",
        "perplexity": ".3f",
        "bits_per_token": ".4f",
        "accuracy": ".2%",
    }
    # Bits per token are the loss in another unit. Equal steps down are equal gains, at 60 as at 4.
    panels: ClassVar[Mapping[str, str]] = {"loss": "linear", "accuracy": "linear", "perplexity": "log"}
    decisive: ClassVar[str] = "loss"
    per_token: ClassVar[bool] = True

    @property
    def perplexity(self) -> float:
        """e^loss: among how many equally likely tokens the model would be as much at a loss."""
        return math.inf if self.loss > LARGEST_EXPONENT else math.exp(self.loss)

    @property
    def bits_per_token(self) -> float:
        """The loss in bits: bits a character, where the tokens are characters."""
        return self.loss / math.log(2)

    def row(self) -> dict[str, float]:
        return asdict(self) | {"perplexity": self.perplexity, "bits_per_token": self.bits_per_token}

    def summary(self, unit: str) -> str:
        return f"loss {self.loss:.4f} nats a {unit}"

    def __str__(self) -> str:
        return f"loss {self.loss:.4f}, perplexity {self.perplexity:.3g}, accuracy {self.accuracy:.2%}"


class LanguageModelling(Classification):
    """Ids of tokens (time, batch) against those to be predicted, by truncated backpropagation through time.

    Where a batch goes on where the one before it ended, the model starts it in the state in which it ended
    that one. No gradient flows back through this state: a step learns from the tokens of its own batch only
    (Williams and Peng 1990; chapter 14).

    Args:
        model: from ids and a state to logits (time, batch, vocabulary) and the state after the last id.
        loss: of logits (time, vocabulary, batch); None for the cross-entropy.

    Attributes:
        continues: whether the state is carried from batch to batch.
        state: what the model remembers from the batch before; None at the start.
    """

    metrics_class = LanguageMetrics

    def __init__(self, model: Module, loss: Module | None = None) -> None:
        super().__init__(model, loss)
        self.begin()

    @classmethod
    def data_arguments(cls, model: type[Any], given: Mapping[str, Any]) -> dict[str, Any]:
        return {"ahead": model.ahead}

    def begin(self, continues: bool = False) -> None:
        self.continues = continues
        self.state: Any = None

    def predict(self, inputs: Int[np.ndarray, "time batch"]) -> Float[np.ndarray, "time vocabulary batch"]:
        logits, state = self.model(inputs, self.state)
        self.state = state if self.continues else None
        return np.moveaxis(logits, -1, 1)

    def predict_backward(self, grad_outputs: Float[np.ndarray, "time vocabulary batch"]) -> None:
        self.model.backward(np.moveaxis(grad_outputs, 1, -1))
