"""What all processes of a distributed training have, in one tensor that gradients flow back from."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, distributed


def is_shared() -> bool:
    """Whether several processes train together, each with a share of every batch."""
    return distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1


def of_all_ranks(rows: Tensor) -> Tensor:
    """The rows of all R processes, (all their rows, …), rank by rank; every process has to call it.

    A loss L of what it returns is the same number on every rank, and with DDP so are the gradients of the
    parameters, those of one process that has all the rows:

        dL/dθ = Σ_r dL/drows_r · drows_r/dθ

    Rank r knows the whole L, but only how its own rows_r came from θ: it finds the r-th term, without asking
    the others. DDP then takes the mean of what the ranks found, 1/R of this sum. So the gradient that goes
    back to rows_r is R dL/drows_r. (Others that average gradients, as FSDP does, need the same.)

    Args:
        rows: this rank's, (rows, …); how many may differ from rank to rank.
    """
    gathered: Tensor = _OfAllRanks.apply(rows)
    return gathered


class _OfAllRanks(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        ranks = distributed.get_world_size()
        counts = [torch.zeros(1, dtype=torch.int64, device=rows.device) for _ in range(ranks)]
        distributed.all_gather(counts, torch.full_like(counts[0], len(rows)))
        ctx.counts = [int(count) for count in counts]
        # What is gathered must have one shape: shorter shares are filled up, and cut again.
        filled = rows.new_zeros(max(ctx.counts), *rows.shape[1:])
        filled[: len(rows)] = rows
        parts = [torch.empty_like(filled) for _ in range(ranks)]
        distributed.all_gather(parts, filled)
        return torch.cat([part[:count] for part, count in zip(parts, ctx.counts, strict=True)])

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Tensor:
        own = torch.split(grad_outputs[0], ctx.counts)[distributed.get_rank()]
        return own * len(ctx.counts)
