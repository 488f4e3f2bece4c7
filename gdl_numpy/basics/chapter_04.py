"""Chapter 4: predict, compare, learn; with one weight, first by trying both directions, then by the slope.

The prediction is x · weight, and its error (x · weight − goal)². With delta = x · weight − goal, the book's
rule is

    weight_delta = delta · x        weight ← weight − α · weight_delta

which is half the error's derivative 2 · delta · x: the same direction, with the 2 left to α. (So it is the
gradient of ½ (prediction − goal)².) Since the derivative grows with the input, a large input makes a step
overshoot the goal, and one step larger than the last makes it diverge; α, the learning rate, keeps the step
small.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gdl_numpy.basics import chapter_03
from gdl_numpy.basics.checks import check_arrays, check_count, check_rate

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxtyping import Float

    from gdl_numpy.basics.chapter_03 import Number


class Descent(NamedTuple):
    """What happened, round by round.

    Attributes:
        weights: (rounds + 1, *weights), before the first round, and after each.
        predictions: (rounds, *outputs), each before that round's step.
        errors: (rounds, *outputs), theirs.
    """

    weights: Float[np.ndarray, "rounds_and_1 ..."]
    predictions: Float[np.ndarray, "rounds ..."]
    errors: Float[np.ndarray, "rounds ..."]


def error(weight: Number, x: Number, goal: Number) -> Number:
    """Returns (x · weight − goal)²: how wrong the prediction is, always positive, large misses above all."""
    return (chapter_03.one_weight(x, weight) - goal) ** 2


def derivative(weight: Number, x: Number, goal: Number) -> Number:
    """Returns the error's derivative by the weight, 2 · (x · weight − goal) · x."""
    return 2 * (chapter_03.one_weight(x, weight) - goal) * x


def slope(weight: Number, x: Number, goal: Number, run: Number = 1e-6) -> Number:
    """Returns the derivative as it is seen in a drawing: how far the error rises where the weight moves on.

    The rise over the run of the line through the error at weight ± run / 2. The error being a parabola, that
    is the derivative whatever the run, but for rounding, which a short run magnifies.
    """
    return (error(weight + run / 2, x, goal) - error(weight - run / 2, x, goal)) / run


def hot_and_cold(weight: Number, x: Number, goal: Number, step: float, rounds: int) -> Descent:
    """Learns without a derivative: moves a weight by `step`, up or down, whichever makes the error smaller.

    It needs three predictions a round, takes steps that are always of the same size, and so never arrives
    unless the goal is a whole number of them away.

    Args:
        weight: where to begin.
        x: the input, from which the prediction x · weight is made.
        goal: what the prediction should be.
        step: how far to move.
        rounds: how often.

    Raises:
        ValueError: what is no number, a negative step, or no rounds.
    """
    check_arrays("hot_and_cold", weight=(weight, ""), x=(x, ""), goal=(goal, ""))
    check_rate("hot_and_cold", step=step)
    check_count("hot_and_cold", rounds=rounds)
    weights = [weight]
    for _ in range(rounds):
        up, down = weight + float(step), weight - float(step)  # else a float64 step carries others along
        if error(up, x, goal) != error(down, x, goal):  # else there is nothing to be gained on either side
            weight = up if error(up, x, goal) < error(down, x, goal) else down
        weights.append(weight)
    history = np.array(weights)
    predictions = x * history[:-1]
    return Descent(history, predictions, (predictions - goal) ** 2)


def one_weight(weight: Number, x: Number, goal: Number, alpha: float = 1.0, rounds: int = 20) -> Descent:
    """Descends with p = x · weight; diverges where α · x² > 2.

    Each round multiplies delta by 1 − α · x², since p changes by −α · x² · delta. Raises ValueError for a
    negative α, or no rounds.
    """
    check_arrays("one_weight", weight=(weight, ""), x=(x, ""), goal=(goal, ""))
    return descend(
        weight, goal, lambda w: chapter_03.one_weight(x, w), lambda delta: delta * x, alpha, rounds
    )


def descend(
    weights: Any,
    goal: Any,
    predict: Callable[[Any], Any],
    weight_deltas: Callable[[Any], Any],
    alpha: float,
    rounds: int,
) -> Descent:
    """Predict, compare, learn, as often as `rounds` says, with weights of any kind (chapter 5 has more)."""
    check_rate("gradient descent", alpha=alpha)
    check_count("gradient descent", rounds=rounds)
    history, predictions = [weights], []
    for _ in range(rounds):
        predictions.append(predict(weights))
        delta = predictions[-1] - goal
        weights = weights - float(alpha) * weight_deltas(delta)  # NumPy's float64 would carry float32 along
        history.append(weights)
    made = np.array(predictions)
    return Descent(np.array(history), made, (made - goal) ** 2)
