"""Means over all targets of an epoch, on all devices, and what language modelling makes of them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torchmetrics import Metric

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def wide(tensor: Tensor) -> Tensor:
    """The values in float64, or in float32 on Apple's GPUs, which have nothing wider."""
    return tensor.to(torch.float32 if tensor.device.type == "mps" else torch.float64)


class Mean(Metric):
    """The mean over targets, from batches that may have different numbers of them.

    The sum is kept in float64 (on Apple's GPUs in float32), whatever the model computes in: a sum in bfloat16
    would stop growing where an addend is less than half its last place, after a few hundred batches.
    """

    full_state_update = False
    total: Tensor
    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", torch.tensor(0.0, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, total: Tensor, count: Tensor) -> None:
        """Adds the sum over a batch's targets, and their number."""
        self.total = self.total + wide(total)
        self.count = self.count + count

    def compute(self) -> Tensor:
        return self.total / self.count

    def _apply(self, fn: Callable[[Tensor], Tensor], exclude_state: Sequence[str] = "") -> Mean:
        """Follows the module to another device, but not, as other metrics do, to another dtype."""

        def move(tensor: Tensor) -> Tensor:
            device = fn(torch.empty(0, device=tensor.device, dtype=torch.float32)).device
            if device.type == "mps" and tensor.dtype == torch.float64:
                tensor = tensor.to(torch.float32)
            return tensor.to(device)

        super()._apply(move, exclude_state)
        return self


class Perplexity(Mean):
    """e to the mean loss (not the mean of batches' own): as unsure as a choice among so many symbols."""

    def compute(self) -> Tensor:
        return super().compute().exp()


class BitsPerToken(Mean):
    """The mean loss in bits, not nats: what the best code by this model would need for a symbol."""

    def compute(self) -> Tensor:
        return super().compute() / math.log(2)
