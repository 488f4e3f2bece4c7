"""Means over all targets of an epoch, on all devices, and what language modelling makes of them."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torchmetrics import Metric


class Mean(Metric):
    """The mean over targets, from batches that may have different numbers of them."""

    full_state_update = False
    total: Tensor
    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", torch.tensor(0.0), dist_reduce_fx="sum")
        self.add_state("count", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, total: Tensor, count: Tensor) -> None:
        """Adds the sum over a batch's targets, and their number."""
        self.total = self.total + total  # not in place, which would round a float64 sum to float32
        self.count = self.count + count

    def compute(self) -> Tensor:
        return self.total / self.count


class Perplexity(Mean):
    """e to the mean loss (not the mean of batches' own): as unsure as a choice among so many symbols."""

    def compute(self) -> Tensor:
        return super().compute().exp()


class BitsPerToken(Mean):
    """The mean loss in bits, not nats: what the best code by this model would need for a symbol."""

    def compute(self) -> Tensor:
        return super().compute() / math.log(2)
