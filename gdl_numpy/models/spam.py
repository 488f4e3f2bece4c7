"""Chapter 15's spam classifier: one weight for each word."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike

from gdl_numpy.nn import EmbeddingBag, ReadsIds, Sigmoid
from gdl_numpy.tasks import ProbabilityClassification

if TYPE_CHECKING:
    from jaxtyping import Float, Int


class SpamClassifier(ReadsIds):
    """Is a mail spam? The weights of its words added up, and a sigmoid: p = σ(Σ_w E[w]).

    All weights start at zero, so p at ½. The loss is the squared error. Its gradient, 2 (p − t) p (1 − p), is
    the same for all words of a mail and 0 for all others: that is what chapter 15's leak reads.

    The book pads its mails to 500 words, with a word whose weight is held at zero; here a mail is a bag of as
    many words as it has, which is the same sum. It adds the squared errors of a batch of 500 up and steps by
    0.01: by the mean, as here, that is a learning rate of 5.

    Args:
        vocab_size: number of words.
        sparse: make gradients of the weights that were looked up only: plain SGD takes them, and is then as
            fast with a large vocabulary as with a small one.
        rng: without effect, as no weight is drawn; taken since all models take it.
        dtype: of the parameters.

    Raises:
        ValueError: a vocabulary without words.
    """

    task = ProbabilityClassification

    def __init__(
        self,
        vocab_size: int = 10_000,
        sparse: bool = True,
        *,
        rng: np.random.Generator | int | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        self.hparams = {"vocab_size": vocab_size, "sparse": sparse}
        self.embedding = EmbeddingBag(vocab_size, 1, mode="sum", sparse=sparse, rng=rng, dtype=dtype)
        self.embedding.weight.data[...] = 0
        self.sigmoid = Sigmoid()

    def forward(
        self,
        ids: Int[np.ndarray, " words"],
        offsets: Int[np.ndarray, " batch"],
        weights: Float[np.ndarray, " words"] | None = None,
    ) -> Float[np.ndarray, " batch"]:
        """Probabilities that each mail is spam.

        Args:
            ids: the words of all mails, one mail after the other, in [0, vocab_size).
            offsets: where each mail begins.
            weights: of the words in the sum; None for ones.
        """
        p: np.ndarray = self.sigmoid(self.embedding(ids, offsets, weights))[:, 0]
        return p

    def backward(self, grad_output: Float[np.ndarray, " batch"]) -> Float[np.ndarray, " words"] | None:
        """Adds to the gradients; returns that of the weights in the sum, if there are any."""
        grad: Any = self.sigmoid.backward(grad_output[:, None])
        grad_weights: np.ndarray | None = self.embedding.backward(grad)
        return grad_weights
