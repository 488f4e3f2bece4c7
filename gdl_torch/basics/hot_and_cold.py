"""Chapter 4 with tensors: the twin of `gdl_numpy.basics.hot_and_cold`; there is no gradient in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from gdl_torch.basics.gradient_descent import Descent

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor


def hot_and_cold(
    weight: Float[Tensor, ""], x: Float[Tensor, ""], goal: Float[Tensor, ""], step: float, rounds: int
) -> Descent:
    """Moves a weight by `step`, up or down, whichever makes the error (prediction − goal)² smaller."""
    weights = [weight]
    for _ in range(rounds):
        up, down = (x * (weight + step) - goal) ** 2, (x * (weight - step) - goal) ** 2
        weight = weight + step * torch.sign(down - up)
        weights.append(weight)
    history = torch.stack(weights)
    predictions = x * history[:-1]
    return Descent(history, predictions, (predictions - goal) ** 2)
