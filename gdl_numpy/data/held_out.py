"""Examples to watch a training by: a part of those to learn from, held out at random."""

from __future__ import annotations

from typing import TypeVar

import numpy as np

from gdl_numpy.data.dataset import Split
from gdl_numpy.data.documents import Documents
from gdl_numpy.data.reviews import LabelledTexts

Items = TypeVar("Items", Split, LabelledTexts, Documents)


def hold_out(items: Items, fraction: float, seed: int) -> tuple[Items, Items]:
    """Divides items at random into what remains and the fraction held out, both in their old order.

    Raises:
        ValueError: a fraction outside [0, 1), or one that leaves nothing.
    """
    if not 0 <= fraction < 1:
        raise ValueError(f"validation must be a fraction in [0, 1), got {fraction}")
    n = len(items)
    is_held = np.zeros(n, dtype=bool)
    is_held[np.random.default_rng(seed).permutation(n)[: round(fraction * n)]] = True
    if n and is_held.all():
        raise ValueError(f"validation={fraction} holds out all {n:,} examples: take a smaller one")
    return items.select(np.flatnonzero(~is_held)), items.select(np.flatnonzero(is_held))
