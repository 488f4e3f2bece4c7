"""Chapters 4 and 5 by autograd: the twin of `gdl_numpy.basics.gradient_descent`.

The gradient is that of ½ (prediction − goal)², summed over outputs: the book's step, which is half the
gradient of its error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from gdl_torch.basics import prediction

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jaxtyping import Float
    from torch import Tensor


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


def one_weight(
    weight: Float[Tensor, ""],
    x: Float[Tensor, ""],
    goal: Float[Tensor, ""],
    alpha: float = 1.0,
    rounds: int = 20,
) -> Descent:
    """Descends with p = x · weight."""
    return _descend(weight, goal, lambda w: prediction.one_weight(x, w), alpha, rounds)


def many_inputs(
    weights: Float[Tensor, " inputs"],
    inputs: Float[Tensor, " inputs"],
    goal: Float[Tensor, ""],
    alpha: float = 0.01,
    rounds: int = 3,
    frozen: Sequence[int] = (),
) -> Descent:
    """Descends with p = Σᵢ inputsᵢ weightsᵢ; the weights at the `frozen` indices do not learn."""
    keeps = torch.zeros_like(weights, dtype=torch.bool)
    keeps[list(frozen)] = True

    def predict(w: Tensor) -> Tensor:
        return prediction.many_inputs(inputs, torch.where(keeps, w.detach(), w))

    return _descend(weights, goal, predict, alpha, rounds)


def many_outputs(
    weights: Float[Tensor, " outputs"],
    x: Float[Tensor, ""],
    goals: Float[Tensor, " outputs"],
    alpha: float = 0.1,
    rounds: int = 1,
) -> Descent:
    """Descends with pⱼ = x · weightsⱼ."""
    return _descend(weights, goals, lambda w: prediction.many_outputs(x, w), alpha, rounds)


def matrix(
    weights: Float[Tensor, "outputs inputs"],
    inputs: Float[Tensor, " inputs"],
    goals: Float[Tensor, " outputs"],
    alpha: float = 0.01,
    rounds: int = 1,
) -> Descent:
    """Descends with p = W x."""
    return _descend(weights, goals, lambda w: prediction.matrix(inputs, w), alpha, rounds)


def _descend(
    weights: Tensor, goal: Tensor, predict: Callable[[Any], Tensor], alpha: float, rounds: int
) -> Descent:
    """Predict, compare, learn, as often as `rounds` says."""
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
