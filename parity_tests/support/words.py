"""Documents of few words, and batches of them in what can be compared."""

from __future__ import annotations

from typing import Any

import numpy as np

from gdl_numpy.data import ReviewDataset


def small_reviews(n: int = 20) -> ReviewDataset:
    texts = [f"w{row} is {'good' if row % 2 else 'bad'} . so it is ! yes" for row in range(n)]
    return ReviewDataset.of("small", texts, np.arange(n) % 2, np.arange(n) >= n // 2)


def bags_in(ids: np.ndarray, offsets: np.ndarray) -> list[list[int]]:
    assert offsets[0] == 0
    return [bag.tolist() for bag in np.split(ids, offsets[1:])]


def rows_of(batch: tuple[Any, np.ndarray]) -> list[Any]:
    """A batch, example by example, in what can be compared."""
    inputs, targets = batch
    if not isinstance(inputs, tuple):
        return list(zip(inputs.tolist(), targets.tolist(), strict=True))
    ids, offsets, *others = inputs
    bags: list[Any] = bags_in(ids, offsets)
    if others and others[0].ndim == 1:  # weights of the words
        weights = np.split(others.pop(0), offsets[1:])
        bags = [list(zip(bag, own.tolist(), strict=True)) for bag, own in zip(bags, weights, strict=True)]
    each = len(bags) // len(targets)
    grouped = [bags[each * row : each * (row + 1)] for row in range(len(targets))]
    return list(zip(grouped, *(other.tolist() for other in others), targets.tolist(), strict=True))
