"""Chapter 5 by autograd: the twin of `gdl_numpy.basics.chapter_05`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from gdl_numpy.basics.checks import check_arrays, check_count, check_indices
from gdl_torch.basics import chapter_03
from gdl_torch.basics.chapter_04 import Descent, descend

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float
    from torch import Tensor


def many_inputs(
    weights: Float[Tensor, " inputs"],
    inputs: Float[Tensor, " inputs"],
    goal: Float[Tensor, ""],
    alpha: float = 0.01,
    rounds: int = 3,
    frozen: Sequence[int] = (),
) -> Descent:
    """Descends with p = Σᵢ inputsᵢ weightsᵢ; the weights at the `frozen` indices do not learn."""
    check_arrays("many_inputs", inputs=(inputs, "inputs"), weights=(weights, "inputs"), goal=(goal, ""))
    check_indices("many_inputs", len(weights), frozen=frozen)
    keeps = torch.zeros_like(weights, dtype=torch.bool)
    keeps[list(frozen)] = True

    def predict(w: Tensor) -> Tensor:
        return chapter_03.many_inputs(inputs, torch.where(keeps, w.detach(), w))

    return descend(weights, goal, predict, alpha, rounds)


def many_outputs(
    weights: Float[Tensor, " outputs"],
    x: Float[Tensor, ""],
    goals: Float[Tensor, " outputs"],
    alpha: float = 0.1,
    rounds: int = 1,
) -> Descent:
    """Descends with pⱼ = x · weightsⱼ."""
    check_arrays("many_outputs", x=(x, ""), weights=(weights, "outputs"), goals=(goals, "outputs"))
    return descend(weights, goals, lambda w: chapter_03.many_outputs(x, w), alpha, rounds)


def matrix(
    weights: Float[Tensor, "outputs inputs"],
    inputs: Float[Tensor, " inputs"],
    goals: Float[Tensor, " outputs"],
    alpha: float = 0.01,
    rounds: int = 1,
) -> Descent:
    """Descends with p = W x."""
    check_arrays(
        "matrix", inputs=(inputs, "inputs"), weights=(weights, "outputs inputs"), goals=(goals, "outputs")
    )
    return descend(weights, goals, lambda w: chapter_03.matrix(inputs, w), alpha, rounds)


def as_pictures(
    weights: Float[Tensor, "outputs pixels"], shape: tuple[int, int]
) -> Float[Tensor, "outputs height width"]:
    """Returns each output's weights as a picture, the largest weight of all 1 or −1."""
    check_arrays("as_pictures", weights=(weights, "outputs pixels"))
    check_count("as_pictures", height=shape[0], width=shape[1])
    if weights.shape[1] != shape[0] * shape[1]:
        raise ValueError(f"as_pictures expects a weight for each of {shape} pixels, got {weights.shape[1]}")
    largest = weights.abs().max()
    return weights.reshape(-1, *shape) / torch.where(largest > 0, largest, torch.ones_like(largest))
