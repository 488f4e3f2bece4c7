"""Chapter 2: a nonparametric learner, which counts; its number of parameters comes from the data.

The streetlights' parametric learner (`streetlights.descend`) has a weight a light, however much it sees, and
an opinion on every pattern. The counter keeps two numbers for each pattern that it has seen: it learns
whatever there is to learn about those, even what no sum of lights can tell, and nothing about the others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int64


class Counts(NamedTuple):
    """What has been seen.

    Attributes:
        patterns: the different inputs, in lexicographic order.
        seen: how often each was seen.
        yes: how often with the outcome 1.
    """

    patterns: Float[np.ndarray, "patterns inputs"]
    seen: Int64[np.ndarray, " patterns"]
    yes: Int64[np.ndarray, " patterns"]


def count(inputs: Float[np.ndarray, "examples inputs"], outcomes: Bool[np.ndarray, " examples"]) -> Counts:
    """Counts how often each pattern of inputs came, and how often with the outcome 1."""
    patterns, which = np.unique(inputs, axis=0, return_inverse=True)
    which = which.reshape(-1)  # NumPy 2.0 alone gave it the inputs' dimensions
    n = len(patterns)
    seen, yes = np.bincount(which, minlength=n), np.bincount(which[outcomes], minlength=n)
    return Counts(patterns, seen.astype(np.int64), yes.astype(np.int64))


def probability(
    counts: Counts, inputs: Float[np.ndarray, "examples inputs"]
) -> Float[np.ndarray, " examples"]:
    """Returns the fraction of the times that each input was seen in which the outcome was 1; nan if never."""
    same = (inputs[:, np.newaxis] == counts.patterns).all(axis=2)  # (examples, patterns)
    seen, yes = (same @ n.astype(inputs.dtype) for n in (counts.seen, counts.yes))
    fraction: np.ndarray = np.divide(yes, seen, out=np.full_like(seen, np.nan), where=seen > 0)
    return fraction
