"""Chapter 6 by autograd: the twin of `gdl_numpy.basics.streetlights`."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor


class Learning(NamedTuple):
    """What happened, round by round.

    Attributes:
        weights: (rounds + 1, inputs), before the first round, and after each.
        predictions: (rounds, examples), each made when it was the example's turn.
        errors: (rounds,), Σ (prediction − goal)² over the examples.
    """

    weights: Float[Tensor, "rounds_and_1 inputs"]
    predictions: Float[Tensor, "rounds examples"]
    errors: Float[Tensor, " rounds"]


def descend(
    weights: Float[Tensor, " inputs"],
    inputs: Float[Tensor, "examples inputs"],
    goals: Float[Tensor, " examples"],
    alpha: float = 0.1,
    rounds: int = 40,
    batch_size: int = 1,
) -> Learning:
    """Descends with p = x · w, a step after each batch, along the gradient of the mean of ½ (p − g)²."""
    history, predictions = [weights], []
    errors = torch.zeros(rounds, dtype=inputs.dtype, device=inputs.device)
    for done in range(rounds):
        for x, g in zip(torch.split(inputs, batch_size), torch.split(goals, batch_size), strict=True):
            weights = weights.detach().requires_grad_()
            made = (x * weights).sum(dim=1)
            error = ((made - g) ** 2).sum()
            (grad,) = torch.autograd.grad(error / (2 * len(g)), weights)
            weights = weights.detach() - alpha * grad
            errors[done] += error.detach()
            predictions.append(made.detach())
        history.append(weights)
    return Learning(torch.stack(history), torch.cat(predictions).reshape(rounds, -1), errors)


def correlation(
    inputs: Float[Tensor, "examples inputs"], goals: Float[Tensor, "examples outputs"]
) -> Float[Tensor, "inputs outputs"]:
    """Pearson's correlation of each input with each goal, 0 where one of them never changes."""
    both = torch.cat([inputs, goals], dim=1)
    r = torch.corrcoef(both.T)[: inputs.shape[1], inputs.shape[1] :]
    change = both.amax(dim=0) > both.amin(dim=0)
    return torch.where(torch.outer(change[: len(r)], change[len(r) :]), r, 0)
