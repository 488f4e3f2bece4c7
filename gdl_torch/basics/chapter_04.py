"""Chapter 4 with tensors, the slope by autograd: the twin of `gdl_numpy.basics.chapter_04`.

The gradient is that of ½ (prediction − goal)², summed over outputs: the book's step, which is half the
gradient of its error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from gdl_numpy.basics.checks import check_arrays, check_count, check_rate
from gdl_torch.basics import chapter_03

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxtyping import Float
    from torch import Tensor

    Number = Float[Tensor, ""]


class Descent(NamedTuple):
    """What happened, round by round.

    Attributes:
        weights: (rounds + 1, *weights), before the first round, and after each.
        predictions: (rounds, *outputs), each before that round's step.
        errors: (rounds, *outputs), theirs.
    """

    weights: Float[Tensor, "rounds_and_1 ..."]
    predictions: Float[Tensor, "rounds ..."]
    errors: Float[Tensor, "rounds ..."]


def error(weight: Number, x: Number, goal: Number) -> Number:
    """Returns (x · weight − goal)²."""
    return (chapter_03.one_weight(x, weight) - goal) ** 2


def derivative(weight: Number, x: Number, goal: Number) -> Number:
    """Returns the error's derivative by the weight."""
    weight = weight.detach().requires_grad_()
    (grad,) = torch.autograd.grad(error(weight, x, goal), weight)
    return grad


def slope(weight: Number, x: Number, goal: Number, run: float = 1e-6) -> Number:
    """Returns the rise over the run of the line through the error at weight ± run / 2."""
    return (error(weight + run / 2, x, goal) - error(weight - run / 2, x, goal)) / run


def hot_and_cold(weight: Number, x: Number, goal: Number, step: float, rounds: int) -> Descent:
    """Moves a weight by `step`, up or down, whichever makes the error smaller; there is no gradient in it."""
    check_arrays("hot_and_cold", weight=(weight, ""), x=(x, ""), goal=(goal, ""))
    check_rate("hot_and_cold", step=step)
    check_count("hot_and_cold", rounds=rounds)
    weights = [weight]
    for _ in range(rounds):
        weight = weight + step * torch.sign(error(weight - step, x, goal) - error(weight + step, x, goal))
        weights.append(weight)
    history = torch.stack(weights)
    return Descent(history, x * history[:-1], (x * history[:-1] - goal) ** 2)


def one_weight(weight: Number, x: Number, goal: Number, alpha: float = 1.0, rounds: int = 20) -> Descent:
    """Descends with p = x · weight."""
    check_arrays("one_weight", weight=(weight, ""), x=(x, ""), goal=(goal, ""))
    return descend(weight, goal, lambda w: chapter_03.one_weight(x, w), alpha, rounds)


def descend(
    weights: Tensor, goal: Tensor, predict: Callable[[Any], Tensor], alpha: float, rounds: int
) -> Descent:
    """Predict, compare, learn, as often as `rounds` says."""
    check_rate("gradient descent", alpha=alpha)
    check_count("gradient descent", rounds=rounds)
    history, predictions = [weights], []
    for _ in range(rounds):
        weights = weights.detach().requires_grad_()
        made = predict(weights)
        (grad,) = torch.autograd.grad(((made - goal) ** 2).sum() / 2, weights)
        weights = weights.detach() - alpha * grad
        history.append(weights)
        predictions.append(made.detach())
    made = torch.stack(predictions)
    return Descent(torch.stack(history).detach(), made, (made - goal) ** 2)
