"""Chapters 13 and 14: a network that reads token by token, with either cell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike

from gdl_numpy.autograd import Tensor, no_grad
from gdl_numpy.autograd.functions import stack
from gdl_numpy.autograd.layers import Cell, Embedding, Linear, Module
from gdl_numpy.nn.checks import check_class_ids

if TYPE_CHECKING:
    from jaxtyping import Int

    from gdl_numpy.generation import Step


class LanguageModel(Module):
    """Embedding, a cell at each time step, linear to the vocabulary; hand-written in `gdl_numpy.models`.

    Args:
        cell: RNNCell or LSTMCell.
        vocab_size: number of tokens.
        embedding_dim: numbers that stand for a token.
        hidden_size: numbers in a state.
        rng: where the weights come from: from the same seed, those of the hand-written model.
        dtype: of the parameters.
    """

    def __init__(
        self,
        cell: type[Cell],
        vocab_size: int,
        embedding_dim: int = 512,
        hidden_size: int = 512,
        *,
        rng: np.random.Generator | int | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        rng = np.random.default_rng(rng)
        self.embedding = Embedding(vocab_size, embedding_dim, rng=rng, dtype=dtype)
        self.rnn = cell(embedding_dim, hidden_size, rng=rng, dtype=dtype)
        self.decoder = Linear(hidden_size, vocab_size, rng=rng, dtype=dtype)

    def forward(self, ids: Int[np.ndarray, "time batch"], state: Any = None) -> tuple[Tensor, Any]:
        """Logits (time, batch, vocab_size) of the token after each id, and the state after the last.

        Args:
            ids: in [0, vocab_size).
            state: what an earlier call returned, `detached` where backpropagation is to end; None for zeros.
        """
        outputs = []
        table = self.embedding.weight
        check_class_ids("LanguageModel", ids, table.shape[0])
        # Each token's embedding is projected once, or, where they are more, those of all ids.
        once = ids.size > table.shape[0]
        z = self.rnn.project(table)[ids] if once else self.rnn.project(table[ids])
        for t in range(len(ids)):
            state = self.rnn.step(z[t], state)
            outputs.append(state[0] if isinstance(state, tuple) else state)
        return self.decoder(stack(outputs)), state

    def stepper(self) -> Step:
        """What `gdl_numpy.generation.write` reads with: one token at a time, nothing recorded."""

        def step(token: int, state: Any) -> tuple[np.ndarray, Any]:
            with no_grad():
                logits, state = self(np.array([[token]]), state)
            return logits.data[0, 0], state

        return step


def detached(state: Any) -> Any:
    """The same state without its history: where truncated backpropagation ends."""
    return tuple(s.detach() for s in state) if isinstance(state, tuple) else state.detach()
