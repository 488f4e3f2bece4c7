"""Federated averaging with torch: the twin of `gdl_numpy.federated`'s, over state dicts.

Source: McMahan et al. 2017; see there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def weighted_average(states: Sequence[Mapping[str, Tensor]], examples: Sequence[int]) -> dict[str, Tensor]:
    """Returns Σ n_k w_k / Σ n_k for each parameter, added up in float64, in the parameters' own dtypes.

    Args:
        states: each participant's weights, or by how much they moved.
        examples: n_k.

    Raises:
        ValueError: nothing to average, or not one positive weight for each.
    """
    if not states or len(states) != len(examples) or min(examples) < 1:
        raise ValueError(
            f"weighted_average: one weight of at least 1 for each state is needed, got {len(states)} states "
            f"and {list(examples)}"
        )
    shares = torch.tensor(examples, dtype=torch.float64) / sum(examples)
    average = {}
    for name, first in states[0].items():
        stacked = torch.stack([state[name].to(torch.float64) for state in states])
        average[name] = torch.tensordot(shares, stacked, dims=1).to(first.dtype)
    return average
