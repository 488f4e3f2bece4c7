"""Models as training runs them: language models chunk after chunk, encoders on all views at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gdl_numpy.models import ContrastiveEncoder, LanguageModel
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


class TogetherEncoded(Module):
    """An encoder from some views of a batch to their codes, which it makes in one pass of all of them."""

    def __init__(self, model: ContrastiveEncoder) -> None:
        self.model, self.training = model, model.training

    def forward(self, *views: np.ndarray) -> tuple[np.ndarray, ...]:
        return tuple(np.split(self.model(np.concatenate(views)), len(views)))

    def backward(self, *grad_outputs: np.ndarray) -> Any:
        grad = self.model.backward(np.concatenate(grad_outputs))
        return None if grad is None else tuple(np.split(grad, len(grad_outputs)))


class TorchTogetherEncoded(nn.Module):
    """The torch twin of ``TogetherEncoded``."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, *views: Tensor) -> tuple[Tensor, ...]:
        z: Tensor = self.model(torch.cat(views))
        return z.chunk(len(views))
