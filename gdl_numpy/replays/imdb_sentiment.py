"""Chapter 11's network of sentiment: the vectors of a review's words summed, two sigmoids, one at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from gdl_numpy.nn import SparseRows
from gdl_numpy.optim import SGD
from gdl_numpy.replays.listing import Listing, Record

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from jaxtyping import Float64, Int


class WordSum(Listing):
    """h = σ(Σ_w E[w]), p = σ(h W₂), loss −log p of a positive review, −log(1 − p) of a negative one.

    As printed, δ₂ = p − y, δ₁ = δ₂ W₂ᵀ, and each word's vector moves by δ₁: the slope of the hidden sigmoid,
    h(1 − h), is left out. It is at most ¼, and the same sign everywhere.

    Attributes:
        E: (vocabulary, hidden); of its gradient only the rows of the review's words are made.
        W2: (hidden, 1)
    """

    terms: ClassVar[Mapping[str, str]] = {"slope": "the hidden sigmoid's slope: δ₂ W₂ᵀ∘h(1 − h), not δ₂ W₂ᵀ"}

    def __init__(
        self,
        vocabulary: int,
        hidden: int = 100,
        *,
        alpha: float = 0.01,
        seed: int = 1,
        corrected: Collection[str] = (),
    ) -> None:
        super().__init__(alpha, seed, corrected)
        self.E = self.uniform(0.2, vocabulary, hidden)
        self.W2 = self.uniform(0.2, hidden, 1)

    def forward(self, words: Int[np.ndarray, " words"], y: Int[np.ndarray, " 1"]) -> float:
        """Takes the distinct words of a review, in ascending order, and its label, 1 or 0."""
        h = sigmoid(self.E.data[words].sum(axis=0))
        logit = h @ self.W2.data
        self.outputs = sigmoid(logit)
        self.save_for_backward(words, h, self.outputs - y)
        return float((np.logaddexp(0, logit) - y * logit)[0])

    def backward(self, grad_output: float) -> None:
        words, h, error = self.saved
        delta2 = grad_output * error
        delta1 = self.W2.data @ delta2
        if "slope" in self.corrected:
            delta1 = delta1 * h * (1 - h)
        self.W2.accumulate(np.outer(h, delta2))
        rows = np.broadcast_to(delta1, (len(words), len(h)))
        self.E.accumulate(SparseRows(words, rows, self.E.data.shape))

    def learn(self, *example: Any) -> float:
        """One step of the printed rule, on a review and its label; returns the loss before it."""
        self.zero_grad()
        loss: float = self(*example)
        self.backward(1.0)
        SGD([self.E, self.W2], lr=self.alpha).step()
        return loss

    def predict(self, x: Int[np.ndarray, " words"]) -> Float64[np.ndarray, " 1"]:
        """The probability that a review of these words is positive."""
        return sigmoid(sigmoid(self.E.data[x].sum(axis=0)) @ self.W2.data)


def sigmoid(x: Float64[np.ndarray, " n"]) -> Float64[np.ndarray, " n"]:
    """1 / (1 + e⁻ˣ), as printed."""
    y: np.ndarray = 1 / (1 + np.exp(-x))
    return y


def replay_reviews(
    listing: Any, reviews: Sequence[Any], labels: Any, passes: int = 2, held_out: int = 1000
) -> Iterator[Record]:
    """Learns from one review after the other; yields a record a pass, and at the end the test's.

    As printed, training accuracy is that of all passes so far, each review under the weights of its moment.

    Args:
        listing: of either side.
        reviews: the distinct words of each, arrays or tensors.
        labels: 1 or 0 of each.
        passes: over the reviews to learn from.
        held_out: so many reviews at the end are the test.
    """
    train = len(reviews) - held_out
    right = 0
    for i in range(passes):
        for row in range(train):
            y = labels[row : row + 1]
            listing.learn(reviews[row], y)
            right += is_right(listing.outputs, y)
        yield Record({"Iter": i, "Training Accuracy": right / ((i + 1) * train)})
    right = sum(is_right(listing.predict(reviews[i]), labels[i : i + 1]) for i in range(train, len(reviews)))
    yield Record({"Test Accuracy": right / held_out})


def is_right(probability: Any, y: Any) -> bool:
    return bool(abs(probability - y)[0] < 0.5)
