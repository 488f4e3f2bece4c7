"""Tasks on texts whose answers the texts themselves have (chapter 16): each a table of words and some layers.

What comes in and what is to come out is made by `gdl_numpy.data.pretext_text`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from gdl_numpy.models.pretext_text import ORDERS
from gdl_torch.tasks import Classification, ReadsTokens, check_sizes, check_sparse

if TYPE_CHECKING:
    from jaxtyping import Float, Int64


class SentenceOrder(ReadsTokens, Classification):
    """In which order did three sentences stand? Logits of the six there are.

    Each sentence is the mean of its words' vectors; the three together go through a hidden layer.

    Args:
        vocab_size: number of words.
        embedding_dim: numbers that stand for a word.
        hidden_features: width of the hidden layer.
        sparse: make gradients of the table's rows that were looked up only; SGD and Adagrad take them.
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
        hidden_features: int = 100,
        sparse: bool = True,
        *,
        optimizer: str = "SGD",
        lr: float = 0.1,
    ) -> None:
        super().__init__(optimizer, lr)
        check_sizes(self, vocab_size=vocab_size, embedding_dim=embedding_dim, hidden_features=hidden_features)
        check_sparse(self, sparse)
        self.vocab_size = vocab_size
        self.save_hyperparameters()
        self.embedding = nn.EmbeddingBag(vocab_size, embedding_dim, mode="mean", sparse=sparse)
        self.layers = nn.Sequential(
            nn.Linear(3 * embedding_dim, hidden_features), nn.Tanh(), nn.Linear(hidden_features, ORDERS)
        )

    def forward(
        self, ids: Int64[Tensor, " words"], offsets: Int64[Tensor, " sentences"]
    ) -> Float[Tensor, "batch orders"]:
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
        logits: Tensor = self.layers(sentences.reshape(len(offsets) // 3, 3 * sentences.shape[1]))
        return logits


class MaskedWord(ReadsTokens, Classification):
    """Which word is under the mask? Logits of every word, from those around it, each in its place.

    Args:
        vocab_size: number of words. The mask is one more: its id is vocab_size.
        embedding_dim: numbers that stand for a word.
        window: words on either side of the mask.
        hidden_features: width of the hidden layer.
        sparse: make gradients of the table's rows that were looked up only; SGD and Adagrad take them.
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
        window: int = 3,
        hidden_features: int = 100,
        sparse: bool = True,
        *,
        optimizer: str = "SGD",
        lr: float = 0.1,
    ) -> None:
        super().__init__(optimizer, lr)
        check_sizes(
            self,
            vocab_size=vocab_size,
            embedding_dim=embedding_dim,
            window=window,
            hidden_features=hidden_features,
        )
        check_sparse(self, sparse)
        self.vocab_size = vocab_size
        self.save_hyperparameters()
        self.window = window
        self.embedding = nn.Embedding(vocab_size + 1, embedding_dim, sparse=sparse)
        self.layers = nn.Sequential(
            nn.Flatten(),
            nn.Linear((2 * window + 1) * embedding_dim, hidden_features),
            nn.Tanh(),
            nn.Linear(hidden_features, vocab_size),
        )

    def forward(self, ids: Int64[Tensor, "batch places"]) -> Float[Tensor, "batch vocab_size"]:
        """Logits of the word in the middle.

        Args:
            ids: the mask in the middle, `window` words before it and as many after it.
        """
        logits: Tensor = self.layers(self.embedding(ids))
        return logits
