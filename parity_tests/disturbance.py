"""How far rounding can move the results of a whole training run, found out by trying."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gdl_numpy.nn import Module

    State = dict[str, np.ndarray]
    Disturb = Callable[[Module], None]

DRAWS = 6


def nothing(model: Module) -> None:
    """Leaves the model as it is."""


def moved_by_rounding(run: Callable[[Disturb], Sequence[State]], relative: float) -> list[dict[str, float]]:
    """The largest move of any element of each array that `run` gives, when its parameters are disturbed.

    A stable computation gives nearly the right answer to nearly the right question: what a step's rounding
    does is no more than disturbing the parameters it starts from by γₙ, relatively, n being the length of the
    longest sum. So the float64 run is made again with such disturbances, in random directions. The largest
    move of any element of an array is the bound for all of its elements: all move alike.

    Args:
        run: returns arrays after each of its steps; before each step it calls its argument with the model.
        relative: size of a disturbance, γₙ.
    """
    exact = run(nothing)
    bounds = [dict.fromkeys(state, 0.0) for state in exact]
    for seed in range(DRAWS):
        rng = np.random.default_rng(seed)

        def disturb(model: Module, rng: np.random.Generator = rng) -> None:
            for parameter in model.parameters():
                parameter.data *= 1 + relative * rng.choice([-1, 1], parameter.data.shape)

        for bound, state, moved in zip(bounds, exact, run(disturb), strict=True):
            for name in bound:
                bound[name] = max(bound[name], float(np.abs(moved[name] - state[name]).max()))
    return bounds


def assert_within(
    found: Sequence[State], expected: Sequence[State], bounds: Sequence[dict[str, float]]
) -> None:
    """Fails with the first array, of the first step, that is further off than its bound."""
    assert len(found) == len(expected)
    for step, (theirs, ours, bound) in enumerate(zip(found, expected, bounds, strict=True), 1):
        for name in ours:
            error = np.abs(ours[name] - theirs[name]).max()
            assert error <= bound[name], (
                f"{name} after step {step}: off by {error:.3g}, allowed {bound[name]:.3g}"
            )
            assert bound[name] < 1e-6, "a bound this wide would let mistakes through"
