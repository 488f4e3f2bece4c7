"""Chapter 14's RNN and LSTM as learners, on chapter 13's framework, with the gradient as it should be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from gdl_numpy.autograd import SGD, LSTMCell, RNNCell, cross_entropy
from gdl_numpy.generation import Sampler, write
from gdl_numpy.replays.language_model import LanguageModel, detached

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Int

CELLS = {"RNN": RNNCell, "LSTM": LSTMCell}


class CharacterModel:
    """A language model that learns from batch to batch, by truncated backpropagation.

    Attributes:
        state: where the last batch ended; None at the beginning.
    """

    def __init__(self, kind: str, vocabulary: int, size: int = 512) -> None:
        """An "RNN" or "LSTM", all vectors of that size; the LSTM's output weights start at zero."""
        self.vocabulary = vocabulary
        self.model = LanguageModel(CELLS[kind], vocabulary, size, size, rng=0)
        if kind == "LSTM":
            for parameter in self.model.decoder.parameters():
                parameter.data = np.zeros_like(parameter.data)
        self.optimizer = SGD(self.model.parameters(), 0.0)
        self.state: Any = None

    def learn(
        self, inputs: Int[np.ndarray, "time batch"], targets: Int[np.ndarray, "time batch"], lr: float
    ) -> float:
        """A step on the mean cross-entropy of a batch; returns it."""
        state = None if self.state is None else detached(self.state)
        logits, self.state = self.model(inputs, state)
        loss = cross_entropy(logits.reshape(-1, self.vocabulary), targets.reshape(-1))
        self.optimizer.lr = lr
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.item()

    def write(self, prompt: Sequence[int], length: int) -> list[int]:
        """Goes on from a prompt with the likeliest token each time, as the book does."""
        step = self.model.stepper()
        return list(write(step, self.vocabulary, prompt, length, Sampler(top_k=1), rng=None))
