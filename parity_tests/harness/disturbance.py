"""Run exactly, run disturbed, take the largest distance: how far rounding moves a computation, by trial.

An estimate, not a theorem: random errors, each as large as rounding's may be, come close to the worst that
rounding does, and opposite ones make sure that whatever is about to tip over tips in one of the two runs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from parity_tests.harness.report import distance

if TYPE_CHECKING:
    from collections.abc import Iterator

    from parity_tests.harness.evaluate import Evaluation

# For an array, 1 and -1 at random in its shape: the signs of its errors.
Signs = Callable[[Any], np.ndarray]


def largest_movement(
    run: Callable[[Signs | None], Evaluation], draws: int, rng: np.random.Generator | int = 0
) -> tuple[Evaluation, Evaluation]:
    """What a computation gives, and how far each of its arrays moves at most when it is disturbed.

    The largest movement anywhere in an array stands for all of its elements: draws are few, elements many.

    Args:
        run: makes the computation, with `signs(result)` times its error added to each result; exactly,
            where signs are None.
        draws: pairs of opposite disturbances.
        rng: for the signs.
    """
    exact = run(None)
    movement = exact.map(lambda array: np.zeros(np.shape(array)))
    for signs in opposite_signs(draws, np.random.default_rng(rng)):
        movement = movement.map(
            lambda most, e, d: np.maximum(most, distance(e, d).max(initial=0)), exact, run(signs)
        )
    return exact, movement


def movement_of_copies(exact: Evaluation, copies: Evaluation) -> Evaluation:
    """How far each array of `exact` is at most from its copies, which lie along the first dimension."""
    return exact.map(lambda e, c: np.asarray(distance(e, c).max(initial=0)), copies)


def opposite_copies(pairs: int, rng: np.random.Generator) -> Signs:
    """For 2 `pairs` copies of an array, along its first dimension: random signs, and then their opposites."""
    random = random_signs(int(rng.integers(2**32)), 1.0)

    def signs(copies: Any) -> np.ndarray:
        half = random(copies[:pairs])
        return np.concatenate([half, -half])

    return signs


def opposite_signs(draws: int, rng: np.random.Generator) -> Iterator[Signs]:
    """Random signs, and after each their opposite."""
    for seed in rng.integers(2**32, size=draws):
        for sign in (1.0, -1.0):
            yield random_signs(int(seed), sign)


def random_signs(seed: int, sign: float) -> Signs:
    """A stream of random signs, times `sign`."""
    rng = np.random.default_rng(seed)

    def signs(array: Any) -> np.ndarray:
        shape = np.shape(array)
        count = math.prod(shape)
        bits = np.unpackbits(np.frombuffer(rng.bytes(-(-count // 8)), np.uint8), count=count).view(np.int8)
        bits *= 2  # in whole numbers of one byte: many times faster than np.where
        bits -= 1
        return np.asarray(sign * bits.reshape(shape))

    return signs
