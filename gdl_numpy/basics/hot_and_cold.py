"""Chapter 4: learning without a derivative, by trying both directions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from gdl_numpy.basics.gradient_descent import Descent

if TYPE_CHECKING:
    from gdl_numpy.basics.prediction import Number


def hot_and_cold(weight: Number, x: Number, goal: Number, step: float, rounds: int) -> Descent:
    """Moves a weight by `step`, up or down, whichever makes the error (prediction − goal)² smaller.

    It needs three predictions a round, takes steps that are always of the same size, and so never arrives
    unless the goal is a whole number of them away.

    Args:
        weight: where to begin.
        x: the input, from which the prediction x · weight is made.
        goal: what the prediction should be.
        step: how far to move.
        rounds: how often.
    """

    def error(weight: Any) -> Any:
        return (x * weight - goal) ** 2

    weights = [weight]
    for _ in range(rounds):
        up, down = weight + step, weight - step
        if error(up) != error(down):  # else there is nothing to be gained on either side
            weight = up if error(up) < error(down) else down
        weights.append(weight)
    history = np.array(weights)
    return Descent(history, x * history[:-1], error(history[:-1]))
