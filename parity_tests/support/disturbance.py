"""How far rounding can move the results of a whole training run, found out by trying."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

import numpy as np

from parity_tests.harness.disturbance import Signs, largest_movement
from parity_tests.harness.evaluate import Evaluation

State = dict[str, np.ndarray]


class HasParameters(Protocol):
    """A model of ours, or one on the home-made framework."""

    def parameters(self) -> Iterable[Any]: ...


Disturb = Callable[[HasParameters], None]

DRAWS = 3  # pairs of opposite disturbances


class Weights:
    """Arrays or tensors with `data` that are in no model, for `moved_by_rounding` to disturb."""

    def __init__(self, weights: Iterable[Any]) -> None:
        self.weights = list(weights)

    def parameters(self) -> list[Any]:
        return self.weights


def nothing(model: HasParameters) -> None:
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

    def flat(signs: Signs | None) -> Evaluation:
        def disturb(model: HasParameters) -> None:
            if signs is not None:
                for parameter in model.parameters():
                    moved = parameter.data * (1 + relative * signs(parameter.data))
                    parameter.data = moved.astype(parameter.data.dtype)

        arrays = {
            f"{step} {name}": array
            for step, state in enumerate(run(disturb))
            for name, array in state.items()
        }
        return Evaluation([], [], arrays)

    _, movement = largest_movement(flat, DRAWS)
    bounds: list[dict[str, float]] = []
    for key, moved in movement.grad_params.items():
        step, _, name = key.partition(" ")
        if int(step) == len(bounds):
            bounds.append({})
        bounds[-1][name] = float(moved.max(initial=0))
    return bounds


def assert_within(
    found: Sequence[State],
    expected: Sequence[State],
    bounds: Sequence[dict[str, float]],
    widest: float = 1e-6,
) -> None:
    """Fails with the first array, of the first step, that is further off than its bound.

    Or whose bound is larger than `widest`, and would let mistakes through.
    """
    assert len(found) == len(expected)
    for step, (theirs, ours, bound) in enumerate(zip(found, expected, bounds, strict=True), 1):
        for name in ours:
            error = np.abs(ours[name] - theirs[name]).max()
            assert error <= bound[name], (
                f"{name} after step {step}: off by {error:.3g}, allowed {bound[name]:.3g}"
            )
            assert bound[name] < widest, "a bound this wide would let mistakes through"
