"""Chapter 15's spam classifier: one weight for each word."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from gdl_torch.tasks import ProbabilityClassification, ReadsBags, check_sizes, check_sparse

if TYPE_CHECKING:
    from jaxtyping import Float, Int64


class SpamClassifier(ReadsBags, ProbabilityClassification):
    """Is a mail spam? The weights of its words added up, and a sigmoid: p = σ(Σ_w E[w]).

    Args:
        vocab_size: number of words.
        sparse: make gradients of the weights that were looked up only; SGD and Adagrad take them.
        optimizer: name of a class in torch.optim.
        lr: learning rate.

    Raises:
        ValueError: a vocabulary without words, an unknown optimizer, sparse gradients for one that refuses
            them, or a learning rate that is negative or not finite.
    """

    def __init__(
        self, vocab_size: int = 10_000, sparse: bool = True, *, optimizer: str = "SGD", lr: float = 0.1
    ) -> None:
        super().__init__(optimizer, lr)
        check_sizes(self, vocab_size=vocab_size)
        check_sparse(self, sparse)
        self.vocab_size = vocab_size
        self.save_hyperparameters()
        self.embedding = nn.EmbeddingBag(vocab_size, 1, mode="sum", sparse=sparse)
        nn.init.zeros_(self.embedding.weight)
        self.sigmoid = nn.Sigmoid()

    def forward(
        self,
        ids: Int64[Tensor, " words"],
        offsets: Int64[Tensor, " batch"],
        weights: Float[Tensor, " words"] | None = None,
    ) -> Float[Tensor, " batch"]:
        """Probabilities that each mail is spam.

        Args:
            ids: the words of all mails, one mail after the other, in [0, vocab_size).
            offsets: where each mail begins.
            weights: of the words in the sum; None for ones.
        """
        p: Tensor = self.sigmoid(self.embedding(ids, offsets, weights))[:, 0]
        return p
