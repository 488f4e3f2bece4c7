"""Chapter 12's network in torch; see its twin for the rule."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gdl_numpy import replays
from gdl_torch.replays.listing import Listing

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np

    from gdl_numpy.replays import Record


class TransitionMatrix(Listing):
    """p_k = softmax(s_{k−1} D), s_k = s_{k−1} R + E[word_k]; loss −Σ log p_k[word_k] / n."""

    twin = replays.TransitionMatrix
    start: nn.Parameter
    E: nn.Parameter
    R: nn.Parameter
    D: nn.Parameter

    def forward(self, words: Tensor) -> Tensor:
        states: list[Tensor] = [self.start]
        for vector in self.E[words[:-1]]:
            states.append(states[-1] @ self.R + vector)
        before = torch.stack(states)  # s₀ … s_{n−1}
        logits = before @ self.D
        self.outputs, self.saved = logits.detach().softmax(1), (before.detach(),)
        return F.cross_entropy(logits, words)

    def printed(self, words: Tensor) -> None:
        (before,) = self.saved
        n = len(words)
        o = (self.outputs - F.one_hot(words, self.outputs.shape[1])) / n
        d = [*torch.cat([torch.zeros_like(before[:1]), o @ self.D.T])]  # d₀ … d_n
        for k in reversed(range(n)):
            d[k] = d[k] + d[k + 1] @ self.R.T
        self.start.grad = d[0]
        self.D.grad = before.T @ o
        self.E.grad = torch.zeros_like(self.E).index_add(0, words, torch.stack(d[:n]))
        self.R.grad = before.T @ torch.stack(d[1:])


def replay_sentences(
    listing: TransitionMatrix, sentences: Sequence[np.ndarray], steps: int = 30_000, every: int = 1000
) -> Iterator[Record]:
    """`gdl_numpy.replays.replay_sentences`, with arrays made into tensors."""
    return replays.replay_sentences(listing, [torch.from_numpy(ids) for ids in sentences], steps, every)
