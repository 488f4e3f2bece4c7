"""A language model that reads with a long short-term memory: chapter 14's."""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike

from gdl_numpy.models.language_model import RecurrentLanguageModel
from gdl_numpy.nn import LSTM, Dropout, Embedding, Linear


class LSTMLanguageModel(RecurrentLanguageModel):
    """A character or word language model with an LSTM; by default of the sizes of chapter 14.

    Args:
        vocab_size: number of tokens.
        embedding_dim: numbers that stand for a token.
        hidden_size: numbers in each of the two states of a layer.
        num_layers: recurrent layers, each reading the output of the one before.
        dropout: probability that a number is dropped, before the recurrence and after it, in training.
        zero_decoder: start the decoder at zero, as chapter 14 does: every token is then as likely as any
            other, and the first perplexity is the vocabulary's size.
        rng: where the weights and the dropout masks come from.
        dtype: of the parameters.

    Raises:
        ValueError: sizes below 1, or a dropout outside [0, 1].
    """

    def __init__(
        self,
        vocab_size: int = 65,
        embedding_dim: int = 512,
        hidden_size: int = 512,
        num_layers: int = 1,
        dropout: float = 0.0,
        zero_decoder: bool = False,
        *,
        rng: np.random.Generator | int | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        self.hparams = {
            "vocab_size": vocab_size,
            "embedding_dim": embedding_dim,
            "hidden_size": hidden_size,
            "num_layers": num_layers,
            "dropout": dropout,
            "zero_decoder": zero_decoder,
        }
        rng = np.random.default_rng(rng)
        self.vocab_size = vocab_size
        self.embedding = Embedding(vocab_size, embedding_dim, rng=rng, dtype=dtype)
        self.embedding_dropout = Dropout(dropout, rng=rng)
        self.rnn = LSTM(embedding_dim, hidden_size, num_layers, rng=rng, dtype=dtype)
        self.output_dropout = Dropout(dropout, rng=rng)
        self.decoder = Linear(hidden_size, vocab_size, rng=rng, dtype=dtype)
        if zero_decoder:
            for parameter in self.decoder.parameters():
                parameter.data[...] = 0
