"""Randomised response: yes or no answers of which none can be held against anyone, and the share of yes.

Each answers truly with probability p > ½, and else the opposite. Of a share π of true yes, there come

    λ = p π + (1 − p) (1 − π),    so    π = (λ − (1 − p)) / (2 p − 1)

and the estimate from n answers has the standard error √(λ (1 − λ) / (n − 1)) / (2 p − 1). Whatever one
answers, its odds differ by a factor of p / (1 − p) at most between true yes and true no: ε = log(p / (1 −
p)), and δ = 0.

The numbers come from NumPy's generators, whose next ones can be computed from enough of those before. For
answers that matter, take `random.SystemRandom`'s.

Source: S. L. Warner, *Randomized Response: A Survey Technique for Eliminating Evasive Answer Bias*, 1965.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Bool


class Estimate(NamedTuple):
    """A share, and how far it may be off.

    Attributes:
        share: unbiased, so that few answers may give less than 0 or more than 1.
        standard_error: estimated from the same answers.
    """

    share: float
    standard_error: float


def respond(
    answers: Bool[np.ndarray, " people"], p: float, rng: np.random.Generator | int | None = None
) -> Bool[np.ndarray, " people"]:
    """Returns what is said instead of the true answers.

    Args:
        answers: the true ones.
        p: the probability of each to be said.
        rng: decides which are.

    Raises:
        ValueError: p is not more than ½, or more than 1.
    """
    _check(p)
    is_true = np.random.default_rng(rng).random(len(answers)) < p
    said: np.ndarray = answers == is_true
    return said


def estimate(said: Bool[np.ndarray, " people"], p: float) -> Estimate:
    """Returns the share of true yes, from what was said.

    Raises:
        ValueError: fewer than two answers, or a p that is not more than ½, or more than 1.
    """
    _check(p)
    if len(said) < 2:
        raise ValueError(f"estimate: at least 2 answers are needed for an error, got {len(said)}")
    said_yes = float(np.mean(said))
    error = math.sqrt(said_yes * (1 - said_yes) / (len(said) - 1)) / (2 * p - 1)
    return Estimate((said_yes - (1 - p)) / (2 * p - 1), error)


def epsilon(p: float) -> float:
    """Returns the privacy that an answer costs: log(p / (1 − p)).

    Raises:
        ValueError: p is not more than ½, or more than 1.
    """
    _check(p)
    return math.inf if p == 1 else math.log(p / (1 - p))


def _check(p: float) -> None:
    if not 0.5 < p <= 1:
        raise ValueError(f"randomised response: p must be more than 0.5, and at most 1, got {p}")
