"""Words as vectors: chapter 11's two networks, whose losses decide which words are alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from torch import Tensor, nn

from gdl_numpy.lookup import lookup
from gdl_numpy.models.embeddings import check_learns
from gdl_torch.nn import ACTIVATIONS, DotProduct
from gdl_torch.tasks import (
    BinaryClassification,
    NegativeSampling,
    ReadsBags,
    ReadsTokens,
    check_sizes,
    check_sparse,
)

if TYPE_CHECKING:
    from jaxtyping import Float, Int64


class SentimentClassifier(ReadsBags, BinaryClassification):
    """Is a review positive? The vectors of its words added up, an activation, and a linear layer.

    Args:
        vocab_size: number of words.
        embedding_dim: numbers that stand for a word.
        mode: "sum" of the vectors, as in the book, or "mean", which long reviews do not saturate.
        activation: "sigmoid" as in the book, "tanh" or "relu".
        dropout: probability that one of the activations is dropped in training.
        zero_embedding: start the table of vectors at zero: what was seldom seen says little then.
        sparse: make gradients of the table's rows that were looked up only; SGD and Adagrad take them.
        optimizer: name of a class in torch.optim.
        lr: learning rate.

    Raises:
        ValueError: sizes below 1, an unknown mode, activation or optimizer, a dropout outside [0, 1], a table
            of zeros before "relu", sparse gradients for an optimizer that refuses them, or a learning rate
            that is negative or not finite.
    """

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
        optimizer: str = "SGD",
        lr: float = 0.1,
    ) -> None:
        super().__init__(optimizer, lr)
        check_sizes(self, vocab_size=vocab_size, embedding_dim=embedding_dim)
        check_sparse(self, sparse)
        self.vocab_size = vocab_size
        if mode not in ("sum", "mean"):
            raise ValueError(f'SentimentClassifier expects mode "sum" or "mean", got {mode!r}')
        check_learns(zero_embedding, activation)
        self.save_hyperparameters()
        self.embedding = nn.EmbeddingBag(vocab_size, embedding_dim, mode=mode, sparse=sparse)
        nn.init.uniform_(self.embedding.weight, -0.1, 0.1)
        if zero_embedding:
            nn.init.zeros_(self.embedding.weight)
        self.activation = lookup("activation", activation, ACTIVATIONS)()
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(embedding_dim, 1)

    def forward(
        self,
        ids: Int64[Tensor, " words"],
        offsets: Int64[Tensor, " batch"],
        weights: Float[Tensor, " words"] | None = None,
    ) -> Float[Tensor, " batch"]:
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
        logits: Tensor = self.classifier(hidden)[:, 0]
        return logits


class FillInTheBlank(ReadsTokens, NegativeSampling):
    """Which word was left out? The words around it, averaged, against the word itself and some others.

    Continuous bag of words with negative sampling (Mikolov et al. 2013; chapter 11): with h the mean of the
    context's vectors in one table and W the other, logit_k = h · W[candidate_k].

    Args:
        vocab_size: number of words.
        embedding_dim: numbers that stand for a word.
        zero_output: start the table of candidates at zero, as the book does.
        sparse: make gradients of the rows that were looked up only; SGD and Adagrad take them.
        optimizer: name of a class in torch.optim.
        lr: learning rate.

    Raises:
        ValueError: sizes below 1, an unknown optimizer, sparse gradients for one that refuses them, or a
            learning rate that is negative or not finite.
    """

    def __init__(
        self,
        vocab_size: int = 10_000,
        embedding_dim: int = 50,
        zero_output: bool = True,
        sparse: bool = True,
        *,
        optimizer: str = "SGD",
        lr: float = 0.1,
    ) -> None:
        super().__init__(optimizer, lr)
        check_sizes(self, vocab_size=vocab_size, embedding_dim=embedding_dim)
        check_sparse(self, sparse)
        self.vocab_size = vocab_size
        self.save_hyperparameters()
        self.embedding = nn.EmbeddingBag(vocab_size, embedding_dim, mode="mean", sparse=sparse)
        nn.init.uniform_(self.embedding.weight, -0.1, 0.1)
        self.output = nn.Embedding(vocab_size, embedding_dim, sparse=sparse)
        if zero_output:
            nn.init.zeros_(self.output.weight)
        self.score = DotProduct()

    def forward(
        self,
        ids: Int64[Tensor, " words"],
        offsets: Int64[Tensor, " batch"],
        candidates: Int64[Tensor, "batch candidates"],
    ) -> Float[Tensor, "batch candidates"]:
        """Logits: positive where a candidate is thought to be the word left out.

        Args:
            ids: the words around each blank, one blank after the other, in [0, vocab_size).
            offsets: where the words of each blank begin.
            candidates: what might stand there, in [0, vocab_size).
        """
        logits: Tensor = self.score(self.embedding(ids, offsets), self.output(candidates))
        return logits
