"""Chapter 2's counter with tensors: the twin of `gdl_numpy.basics.counting`."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int64
    from torch import Tensor


class Counts(NamedTuple):
    """What has been seen.

    Attributes:
        patterns: the different inputs, in lexicographic order.
        seen: how often each was seen.
        yes: how often with the outcome 1.
    """

    patterns: Float[Tensor, "patterns inputs"]
    seen: Int64[Tensor, " patterns"]
    yes: Int64[Tensor, " patterns"]


def count(inputs: Float[Tensor, "examples inputs"], outcomes: Bool[Tensor, " examples"]) -> Counts:
    """Counts how often each pattern of inputs came, and how often with the outcome 1."""
    patterns, which, seen = torch.unique(inputs, dim=0, return_inverse=True, return_counts=True)
    return Counts(patterns, seen, torch.bincount(which[outcomes], minlength=len(patterns)))


def probability(counts: Counts, inputs: Float[Tensor, "examples inputs"]) -> Float[Tensor, " examples"]:
    """Returns the fraction of the times that each input was seen in which the outcome was 1; nan if never."""
    same = (inputs[:, None] == counts.patterns).all(dim=2).to(inputs.dtype)  # (examples, patterns)
    return (same @ counts.yes.to(inputs.dtype)) / (same @ counts.seen.to(inputs.dtype))
