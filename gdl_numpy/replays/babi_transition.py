"""Chapter 12's network: word vectors summed through a transition matrix, to guess each next word."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from gdl_numpy.nn.module import Parameter
from gdl_numpy.replays.listing import Listing, Record

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from typing import Any

    from jaxtyping import Int


class TransitionMatrix(Listing):
    """p_k = softmax(s_{k−1} D), s_k = s_{k−1} R + E[word_k], k = 1 … n; loss −Σ log p_k[word_k] / n.

    The printed d_k = o_k Dᵀ + d_{k+1} Rᵀ is the gradient of the state *before* word k, that of s_{k−1}. The
    listing's updates take it for that of the state after it, and worse:

        of              the gradient      printed
        start = s₀      d₁                d₁ Rᵀ
        E[word_k]       d_{k+1}           d_{k−1}, with d₀ = d₁ Rᵀ
        R               Σ s_{k−1} ⊗ d_{k+1}     Σ s_{k−1} ⊗ d_k

    where d_{n+1} = 0: after the last word there is nothing to guess. While R is the identity, d₁ Rᵀ is d₁.

    Attributes:
        start: (dim,)
        E: (vocabulary, dim)
        R: (dim, dim)
        D: (dim, vocabulary)
    """

    terms: ClassVar[Mapping[str, str]] = {
        "start": "the start vector's gradient: d₁, not d₁ Rᵀ",
        "embedding": "the word vectors': d_{k+1}, not d_{k−1}",
        "transition": "the transition matrix's: s_{k−1} ⊗ d_{k+1}, not s_{k−1} ⊗ d_k",
    }

    def __init__(
        self,
        vocabulary: int,
        dim: int = 10,
        *,
        alpha: float = 0.001,
        seed: int = 1,
        corrected: Collection[str] = (),
    ) -> None:
        super().__init__(alpha, seed, corrected)
        self.start = Parameter(np.zeros(dim))
        self.E = Parameter((self.stream.random_sample((vocabulary, dim)) - 0.5) * 0.1)
        self.R = Parameter(np.eye(dim))
        self.D = Parameter((self.stream.random_sample((dim, vocabulary)) - 0.5) * 0.1)

    def forward(self, words: Int[np.ndarray, " time"]) -> float:
        states = np.empty((len(words) + 1, len(self.start.data)))  # s₀ … s_n
        states[0] = self.start.data
        for k, word in enumerate(words):
            states[k + 1] = states[k] @ self.R.data + self.E.data[word]
        logits = states[:-1] @ self.D.data  # (time, vocabulary)
        e = np.exp(logits - logits.max(axis=1, keepdims=True))
        self.outputs = e / e.sum(axis=1, keepdims=True)
        self.save_for_backward(words, states[:-1])
        return -float(np.log(self.outputs[np.arange(len(words)), words]).sum()) / len(words)

    def backward(self, grad_output: float) -> None:
        words, before = self.saved  # s₀ … s_{n−1}
        n = len(words)
        o = self.outputs.copy()
        o[np.arange(n), words] -= 1
        o *= grad_output / n
        d = np.zeros((n + 2, before.shape[1]))  # d₀ … d_{n+1}
        d[1 : n + 1] = o @ self.D.data.T
        for k in reversed(range(n)):
            d[k] += d[k + 1] @ self.R.data.T
        after = d[2:]  # of s₁ … s_n

        self.start.accumulate(d[1] if "start" in self.corrected else d[0])
        self.D.accumulate(before.T @ o)
        grad_e = np.zeros_like(self.E.data)
        np.add.at(grad_e, words, after if "embedding" in self.corrected else d[:n])
        self.E.accumulate(grad_e)
        self.R.accumulate(before.T @ (after if "transition" in self.corrected else d[1 : n + 1]))


def replay_sentences(
    listing: Any, sentences: Sequence[Any], steps: int = 30_000, every: int = 1000
) -> Iterator[Record]:
    """Learns from one sentence after the other, cyclically; yields the perplexity of each thousandth.

    With the book's thousand sentences that is the same one each time, the first.
    """
    for step in range(steps):
        loss = listing.learn(sentences[step % len(sentences)])
        if step % every == 0:
            yield Record({"Perplexity": float(np.exp(loss))})


def read_sentences(lines: Sequence[str]) -> tuple[list[str], list[Int[np.ndarray, " time"]]]:
    """The vocabulary of bAbI's lines, in alphabetical order, and each line's ids without its first word.

    (The book's order is that of a Python set, another in each run.)
    """
    words = [line.split(" ") for line in lines]
    vocabulary = sorted({word for line in words for word in line})
    number = {word: i for i, word in enumerate(vocabulary)}
    return vocabulary, [np.array([number[word] for word in line[1:]]) for line in words]
