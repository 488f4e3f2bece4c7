"""Words as vectors: chapter 11's two networks, whose losses decide which words are alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import DTypeLike

from gdl_numpy.lookup import lookup
from gdl_numpy.nn import DotProduct, Dropout, Embedding, EmbeddingBag, Linear, ReadsIds
from gdl_numpy.nn.activation import ACTIVATIONS
from gdl_numpy.tasks import BinaryClassification, NegativeSampling

if TYPE_CHECKING:
    from jaxtyping import Float, Int


class SentimentClassifier(ReadsIds):
    """Is a review positive? The vectors of its words added up, an activation, and a linear layer.

    With E the table of vectors, logit = f(Σ_w E[w]) · v + b; the loss is the logistic one. Each word's vector
    moves by the same gradient, wherever in the review it stands. Words may be given weights in the sum.

    Args:
        vocab_size: number of words.
        embedding_dim: numbers that stand for a word.
        mode: "sum" of the vectors, as in the book, or "mean", which long reviews do not saturate.
        activation: "sigmoid" as in the book, "tanh" or "relu".
        dropout: probability that one of the activations is dropped in training.
        zero_embedding: start the table of vectors at zero: what was seldom seen says little then.
        sparse: make gradients of the table's rows that were looked up only: plain SGD takes them, and is
            then as fast with a large vocabulary as with a small one.
        rng: where the weights come from, the table's from U(-0.1, 0.1) as in the book, and the dropout masks.
        dtype: of the parameters.

    Raises:
        ValueError: sizes below 1, an unknown mode or activation, a dropout outside [0, 1], or a table of
            zeros before "relu", which has no slope there.
    """

    task = BinaryClassification

    def __init__(
        self,
        vocab_size: int = 10_000,
        embedding_dim: int = 100,
        mode: Literal["sum", "mean"] = "sum",
        activation: str = "sigmoid",
        dropout: float = 0.0,
        zero_embedding: bool = False,
        sparse: bool = True,
        *,
        rng: np.random.Generator | int | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        self.hparams = {
            "vocab_size": vocab_size,
            "embedding_dim": embedding_dim,
            "mode": mode,
            "activation": activation,
            "dropout": dropout,
            "zero_embedding": zero_embedding,
            "sparse": sparse,
        }
        check_learns(zero_embedding, activation)
        rng = np.random.default_rng(rng)
        self.embedding = EmbeddingBag(
            vocab_size, embedding_dim, mode=mode, sparse=sparse, rng=rng, dtype=dtype
        )
        self.embedding.weight.data[...] = rng.uniform(-0.1, 0.1, (vocab_size, embedding_dim))
        if zero_embedding:
            self.embedding.weight.data[...] = 0
        self.activation = lookup("activation", activation, ACTIVATIONS)()
        self.dropout = Dropout(dropout, rng=rng)
        self.classifier = Linear(embedding_dim, 1, rng=rng, dtype=dtype)

    def forward(
        self,
        ids: Int[np.ndarray, " words"],
        offsets: Int[np.ndarray, " batch"],
        weights: Float[np.ndarray, " words"] | None = None,
    ) -> Float[np.ndarray, " batch"]:
        """Logits: positive where a review is thought to be.

        Args:
            ids: the words of all reviews, one review after the other, in [0, vocab_size).
            offsets: where each review begins.
            weights: of the words in the sum; None for ones.

        Raises:
            ValueError: weights for a mean.
        """
        if weights is not None and self.embedding.mode != "sum":
            raise ValueError(
                "SentimentClassifier: weights of words (--ratio) are for the mode 'sum', not 'mean'"
            )
        hidden = self.dropout(self.activation(self.embedding(ids, offsets, weights)))
        logits: np.ndarray = self.classifier(hidden)[:, 0]
        return logits

    def backward(self, grad_output: Float[np.ndarray, " batch"]) -> Float[np.ndarray, " words"] | None:
        """Adds to the gradients; returns that of the weights, if there are any."""
        grad: Any = self.classifier.backward(grad_output[:, None])
        grad = self.dropout.backward(grad)
        grad_weights: np.ndarray | None = self.embedding.backward(self.activation.backward(grad))
        return grad_weights


def check_learns(zero_embedding: bool, activation: str) -> None:
    """Raises ValueError for sums that start at zero, where "relu" has no slope."""
    if zero_embedding and activation.casefold() == "relu":
        raise ValueError(
            "SentimentClassifier: zero_embedding is for sigmoid and tanh, relu would never learn"
        )


class FillInTheBlank(ReadsIds):
    """Which word was left out? The words around it, averaged, against the word itself and some others.

    Continuous bag of words with negative sampling (Mikolov et al. 2013; chapter 11): with h the mean of the
    context's vectors in one table and W the other, logit_k = h · W[candidate_k].

    Args:
        vocab_size: number of words.
        embedding_dim: numbers that stand for a word.
        zero_output: start the table of candidates at zero, as the book does.
        sparse: make gradients of the rows that were looked up only: plain SGD takes them.
        rng: where the weights come from: those of the contexts' table from U(-0.1, 0.1), as in the book.
        dtype: of the parameters.

    Raises:
        ValueError: sizes below 1.
    """

    task = NegativeSampling

    def __init__(
        self,
        vocab_size: int = 10_000,
        embedding_dim: int = 50,
        zero_output: bool = True,
        sparse: bool = True,
        *,
        rng: np.random.Generator | int | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        self.hparams = {
            "vocab_size": vocab_size,
            "embedding_dim": embedding_dim,
            "zero_output": zero_output,
            "sparse": sparse,
        }
        rng = np.random.default_rng(rng)
        self.embedding = EmbeddingBag(vocab_size, embedding_dim, sparse=sparse, rng=rng, dtype=dtype)
        self.embedding.weight.data[...] = rng.uniform(-0.1, 0.1, (vocab_size, embedding_dim))
        self.output = Embedding(vocab_size, embedding_dim, sparse=sparse, rng=rng, dtype=dtype)
        if zero_output:
            self.output.weight.data[...] = 0
        self.score = DotProduct()

    def forward(
        self,
        ids: Int[np.ndarray, " words"],
        offsets: Int[np.ndarray, " batch"],
        candidates: Int[np.ndarray, "batch candidates"],
    ) -> Float[np.ndarray, "batch candidates"]:
        """Logits: positive where a candidate is thought to be the word left out.

        Args:
            ids: the words around each blank, one blank after the other, in [0, vocab_size).
            offsets: where the words of each blank begin.
            candidates: what might stand there, in [0, vocab_size).

        Raises:
            ValueError: candidates of another batch size than the blanks.
        """
        if candidates.ndim != 2 or len(candidates) != len(offsets):
            raise ValueError(
                f"FillInTheBlank expects candidates ({len(offsets)}, any number), got {candidates.shape}"
            )
        logits: np.ndarray = self.score(self.embedding(ids, offsets), self.output(candidates))
        return logits

    def backward(self, grad_output: Float[np.ndarray, "batch candidates"]) -> None:
        grads: Any = self.score.backward(grad_output)
        grad_context, grad_candidates = grads
        self.output.backward(grad_candidates)
        self.embedding.backward(grad_context)
