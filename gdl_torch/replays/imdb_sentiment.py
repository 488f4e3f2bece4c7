"""Chapter 11's network of sentiment in torch; see its twin for the rule."""

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


class WordSum(Listing):
    """h = σ(Σ_w E[w]), p = σ(h W₂); printed: E[w] −= α δ₂ W₂ᵀ, without the slope of h."""

    twin = replays.WordSum
    E: nn.Parameter
    W2: nn.Parameter

    def forward(self, words: Tensor, y: Tensor) -> Tensor:
        h = torch.sigmoid(F.embedding(words, self.E, sparse=True).sum(0))
        logit = h @ self.W2
        self.outputs, self.saved = logit.detach().sigmoid(), (h.detach(),)
        return F.binary_cross_entropy_with_logits(logit, y.to(logit.dtype))

    def printed(self, words: Tensor, y: Tensor) -> None:
        (h,) = self.saved
        delta2 = self.outputs - y
        delta1 = self.W2 @ delta2
        self.W2.grad = torch.outer(h, delta2)
        rows = delta1.expand(len(words), -1)
        self.E.grad = torch.sparse_coo_tensor(words[None], rows, self.E.shape, check_invariants=False)

    @torch.no_grad()
    def predict(self, x: Tensor) -> Tensor:
        return torch.sigmoid(torch.sigmoid(F.embedding(x, self.E).sum(0)) @ self.W2)


def replay_reviews(
    listing: WordSum,
    reviews: Sequence[np.ndarray],
    labels: np.ndarray,
    passes: int = 2,
    held_out: int = 1000,
) -> Iterator[Record]:
    """`gdl_numpy.replays.replay_reviews`, with arrays made into tensors."""
    tensors = [torch.from_numpy(words) for words in reviews]
    return replays.replay_reviews(listing, tensors, torch.from_numpy(labels), passes, held_out)
