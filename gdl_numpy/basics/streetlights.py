"""Chapter 6: learning from many examples, one at a time, in batches or all at once; and correlation.

At a crossing abroad three lights say whether one may walk. Their meaning is to be found out from six
observations: it is the middle light that counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float

LIGHTS = ((1, 0, 1), (0, 1, 1), (0, 0, 1), (1, 1, 1), (0, 1, 1), (1, 0, 1))
WALK = (0, 1, 0, 1, 1, 0)
WEIGHTS = (0.5, 0.48, -0.7)  # the book's first ones


class Learning(NamedTuple):
    """What happened, round by round.

    Attributes:
        weights: (rounds + 1, inputs), before the first round, and after each.
        predictions: (rounds, examples), each made when it was the example's turn.
        errors: (rounds,), Σ (prediction − goal)² over the examples.
    """

    weights: Float[np.ndarray, "rounds_and_1 inputs"]
    predictions: Float[np.ndarray, "rounds examples"]
    errors: Float[np.ndarray, " rounds"]


def descend(
    weights: Float[np.ndarray, " inputs"],
    inputs: Float[np.ndarray, "examples inputs"],
    goals: Float[np.ndarray, " examples"],
    alpha: float = 0.1,
    rounds: int = 40,
    batch_size: int = 1,
) -> Learning:
    """Descends with p = x · w, a step after each batch: w ← w − α · mean over the batch of (p − g) x.

    With batches of one, the gradient is stochastic: quick steps, each in the direction that one example
    wants. With all examples in a batch it is the error's own (full, or average, gradient descent); between
    the two lies mini-batch descent. The book's rule, without the error's factor 2.

    Args:
        weights: where to begin.
        inputs: the examples, taken in this order in each round.
        goals: what to predict for each.
        alpha: learning rate.
        rounds: how often to go through all examples.
        batch_size: examples between two steps; the last batch may be smaller.
    """
    history = [weights]
    predictions = np.empty((rounds, len(goals)), inputs.dtype)
    for made in predictions:
        for start in range(0, len(goals), batch_size):
            batch = slice(start, start + batch_size)
            x, g = inputs[batch], goals[batch]
            made[batch] = (x * weights).sum(axis=1)  # in the order of a loop, for the book's last digits
            delta = made[batch] - g
            weights = weights - alpha * (delta @ x / len(g))
        history.append(weights)
    return Learning(np.array(history), predictions, ((predictions - goals) ** 2).sum(axis=1))


def correlation(
    inputs: Float[np.ndarray, "examples inputs"], goals: Float[np.ndarray, "examples outputs"]
) -> Float[np.ndarray, "inputs outputs"]:
    """Pearson's correlation of each input with each goal, from −1 to 1; 0 where one of them never changes.

        r = Σ (x − x̄)(g − ḡ) / √(Σ (x − x̄)² Σ (g − ḡ)²)

    A weight grows with the correlation of its input. Where no input correlates with the goal, only a layer
    between them can make something that does.
    """
    x, g = inputs - inputs.mean(axis=0), goals - goals.mean(axis=0)
    scale = np.sqrt(np.outer((x**2).sum(axis=0), (g**2).sum(axis=0)))
    change = np.outer(np.ptp(inputs, axis=0), np.ptp(goals, axis=0)) > 0
    r: np.ndarray = np.divide(x.T @ g, scale, out=np.zeros_like(scale), where=change)
    return r
