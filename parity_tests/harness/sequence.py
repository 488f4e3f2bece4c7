"""Language models as training runs them: chunk after chunk, the state carried along."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor, nn

from gdl_numpy.models import LanguageModel
from gdl_numpy.nn import Module
from gdl_torch.language_model import detached


class Streamed(Module):
    """A language model from ids to logits with the classes in dimension 1, where losses expect them.

    With ``carry`` it begins each batch in the state in which it left the one before: truncated
    backpropagation through time, in which no gradient goes back into the batch before.
    """

    def __init__(self, model: LanguageModel, carry: bool = True) -> None:
        self.model, self.carry, self.training = model, carry, model.training
        self.state: Any = None

    def forward(self, ids: np.ndarray) -> np.ndarray:
        logits, state = self.model(ids, self.state)
        self.state = state if self.carry else None
        return np.moveaxis(logits, -1, 1)

    def backward(self, grad_output: np.ndarray) -> None:
        self.model.backward(np.moveaxis(grad_output, 1, -1))


class TorchStreamed(nn.Module):
    """The torch twin of ``Streamed``."""

    def __init__(self, model: nn.Module, carry: bool = True) -> None:
        super().__init__()
        self.model, self.carry = model, carry
        self.state: Any = None

    def forward(self, ids: Tensor) -> Tensor:
        logits, state = self.model(ids, self.state)
        self.state = detached(state) if self.carry else None
        moved: Tensor = logits.movedim(-1, 1)
        return moved
