"""Tasks on texts whose answers the texts themselves have (chapter 16): each a table of words and some layers.

What comes in and what is to come out is made by `gdl_numpy.data.pretext_text`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import DTypeLike

from gdl_numpy.nn import Embedding, EmbeddingBag, Flatten, Linear, ReadsIds, Sequential, Tanh
from gdl_numpy.tasks import Classification

if TYPE_CHECKING:
    from jaxtyping import Float, Int

ORDERS = 6  # of three sentences


class SentenceOrder(ReadsIds):
    """In which order did three sentences stand? Logits of the six there are.

    Each sentence is the mean of its words' vectors; the three together go through a hidden layer.

    Args:
        vocab_size: number of words.
        embedding_dim: numbers that stand for a word.
        hidden_features: width of the hidden layer.
        sparse: make gradients of the table's rows that were looked up only: plain SGD takes them.
        rng: where the weights come from.
        dtype: of the parameters.

    Raises:
        ValueError: sizes below 1.
    """

    task = Classification

    def __init__(
        self,
        vocab_size: int = 10_000,
        embedding_dim: int = 50,
        hidden_features: int = 100,
        sparse: bool = True,
        *,
        rng: np.random.Generator | int | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        self.hparams = {
            "vocab_size": vocab_size,
            "embedding_dim": embedding_dim,
            "hidden_features": hidden_features,
            "sparse": sparse,
        }
        rng = np.random.default_rng(rng)
        self.embedding = EmbeddingBag(vocab_size, embedding_dim, sparse=sparse, rng=rng, dtype=dtype)
        self.layers = Sequential(
            Linear(3 * embedding_dim, hidden_features, rng=rng, dtype=dtype),
            Tanh(),
            Linear(hidden_features, ORDERS, rng=rng, dtype=dtype),
        )

    def forward(
        self, ids: Int[np.ndarray, " words"], offsets: Int[np.ndarray, " sentences"]
    ) -> Float[np.ndarray, "batch orders"]:
        """Logits of a batch of three sentences each.

        Args:
            ids: the words of all sentences, one sentence after the other, in [0, vocab_size).
            offsets: where each sentence begins.

        Raises:
            ValueError: a number of sentences that is no multiple of three.
        """
        if len(offsets) % 3:
            raise ValueError(f"SentenceOrder expects three sentences an example, got {len(offsets)} in all")
        sentences = self.embedding(ids, offsets)
        threes = sentences.reshape(len(offsets) // 3, 3 * self.embedding.embedding_dim)
        logits: np.ndarray = self.layers(threes)
        return logits

    def backward(self, grad_output: Float[np.ndarray, "batch orders"]) -> None:
        grad = self.layers.backward(grad_output)
        assert grad is not None  # the table's gradient goes through it
        self.embedding.backward(grad.reshape(3 * len(grad), self.embedding.embedding_dim))


class MaskedWord(ReadsIds):
    """Which word is under the mask? Logits of every word, from those around it, each in its place.

    Args:
        vocab_size: number of words. The mask is one more: its id is vocab_size.
        embedding_dim: numbers that stand for a word.
        window: words on either side of the mask.
        hidden_features: width of the hidden layer.
        sparse: make gradients of the table's rows that were looked up only: plain SGD takes them.
        rng: where the weights come from.
        dtype: of the parameters.

    Raises:
        ValueError: sizes below 1.
    """

    task = Classification

    def __init__(
        self,
        vocab_size: int = 10_000,
        embedding_dim: int = 50,
        window: int = 3,
        hidden_features: int = 100,
        sparse: bool = True,
        *,
        rng: np.random.Generator | int | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        self.hparams = {
            "vocab_size": vocab_size,
            "embedding_dim": embedding_dim,
            "window": window,
            "hidden_features": hidden_features,
            "sparse": sparse,
        }
        if window < 1:
            raise ValueError(f"MaskedWord expects window ≥ 1, got {window}")
        rng = np.random.default_rng(rng)
        self.window = window
        self.embedding = Embedding(vocab_size + 1, embedding_dim, sparse=sparse, rng=rng, dtype=dtype)
        self.layers = Sequential(
            Flatten(),
            Linear((2 * window + 1) * embedding_dim, hidden_features, rng=rng, dtype=dtype),
            Tanh(),
            Linear(hidden_features, vocab_size, rng=rng, dtype=dtype),
        )

    def forward(self, ids: Int[np.ndarray, "batch places"]) -> Float[np.ndarray, "batch vocab_size"]:
        """Logits of the word in the middle.

        Args:
            ids: the mask in the middle, `window` words before it and as many after it.
        """
        logits: np.ndarray = self.layers(self.embedding(ids))
        return logits

    def backward(self, grad_output: Float[np.ndarray, "batch vocab_size"]) -> None:
        grad = self.layers.backward(grad_output)
        assert grad is not None  # the table's gradient goes through it
        self.embedding.backward(grad)
