"""Chapters 4 and 5: gradient descent, from one weight to a matrix.

For each prediction p of a goal g the error is (p − g)². With delta = p − g, and p = Σ x · weight, the
book's rule is

    weight_delta = delta · x        weight ← weight − α · weight_delta

which is half the error's derivative 2 · delta · x: the same direction, with the 2 left to α. (So it is
the gradient of ½ (p − g)².) Since the derivative grows with the input, a large input makes a step overshoot
the goal, and one step larger than the last makes it diverge; α, the learning rate, keeps the step small.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gdl_numpy.basics import prediction

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jaxtyping import Float

    from gdl_numpy.basics.prediction import Number


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


def one_weight(weight: Number, x: Number, goal: Number, alpha: float = 1.0, rounds: int = 20) -> Descent:
    """Descends with p = x · weight; diverges where α · x² > 2.

    Each round multiplies delta by 1 − α · x², since p changes by −α · x² · delta.
    """
    return _descend(
        weight, goal, lambda w: prediction.one_weight(x, w), lambda delta: delta * x, alpha, rounds
    )


def many_inputs(
    weights: Float[np.ndarray, " inputs"],
    inputs: Float[np.ndarray, " inputs"],
    goal: Number,
    alpha: float = 0.01,
    rounds: int = 3,
    frozen: Sequence[int] = (),
) -> Descent:
    """Descends with p = Σᵢ inputsᵢ weightsᵢ: one delta, shared out in proportion to the inputs.

    A frozen weight keeps its value; the others then bring the error to zero all the same, and with it the
    frozen weight's own derivative, so that it would learn nothing more even if it were let go.

    Args:
        weights: where to begin.
        inputs: what the prediction is made from.
        goal: what it should be.
        alpha: learning rate.
        rounds: steps to make.
        frozen: indices of weights that do not learn.
    """
    learns = np.ones_like(weights)
    learns[list(frozen)] = 0
    return _descend(
        weights,
        goal,
        lambda w: prediction.many_inputs(inputs, w),
        lambda delta: delta * inputs * learns,
        alpha,
        rounds,
    )


def many_outputs(
    weights: Float[np.ndarray, " outputs"],
    x: Number,
    goals: Float[np.ndarray, " outputs"],
    alpha: float = 0.1,
    rounds: int = 1,
) -> Descent:
    """Descends with pⱼ = x · weightsⱼ: each output has a delta of its own, for its own weight."""
    return _descend(
        weights,
        goals,
        lambda w: prediction.many_outputs(x, w),
        lambda deltas: deltas * x,
        alpha,
        rounds,
    )


def matrix(
    weights: Float[np.ndarray, "outputs inputs"],
    inputs: Float[np.ndarray, " inputs"],
    goals: Float[np.ndarray, " outputs"],
    alpha: float = 0.01,
    rounds: int = 1,
) -> Descent:
    """Descends with p = W x: the weight from input i to output j changes by −α · deltaⱼ · xᵢ."""
    return _descend(
        weights,
        goals,
        lambda w: prediction.matrix(inputs, w),
        lambda deltas: np.outer(deltas, inputs),
        alpha,
        rounds,
    )


def _descend(
    weights: Any,
    goal: Any,
    predict: Callable[[Any], Any],
    weight_deltas: Callable[[Any], Any],
    alpha: float,
    rounds: int,
) -> Descent:
    """Predict, compare, learn, as often as `rounds` says."""
    history, predictions = [weights], []
    for _ in range(rounds):
        predictions.append(predict(weights))
        delta = predictions[-1] - goal
        weights = weights - alpha * weight_deltas(delta)
        history.append(weights)
    made = np.array(predictions)
    return Descent(np.array(history), made, (made - goal) ** 2)
