"""Chapter 5: gradient descent with many weights, one for each input, each output, or each pair.

The error is Σ (p − g)² over the outputs, the rule chapter 4's: delta = p − g, and each weight's share of the
step is delta times the input that it multiplies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gdl_numpy.basics import chapter_03
from gdl_numpy.basics.chapter_04 import Descent, descend
from gdl_numpy.basics.checks import check_arrays, check_count, check_indices

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float

    from gdl_numpy.basics.chapter_03 import Number


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

    Raises:
        ValueError: shapes that do not fit, a negative α.
        IndexError: a frozen weight that is not there.
    """
    check_arrays("many_inputs", inputs=(inputs, "inputs"), weights=(weights, "inputs"), goal=(goal, ""))
    check_indices("many_inputs", len(weights), frozen=frozen)

    def weight_deltas(delta: Number) -> np.ndarray:
        step: np.ndarray = delta * inputs
        step[list(frozen)] = 0  # set, since times 0 an infinite one would be nan
        return step

    return descend(
        weights,
        goal,
        lambda w: chapter_03.many_inputs(inputs, w),
        weight_deltas,
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
    check_arrays("many_outputs", x=(x, ""), weights=(weights, "outputs"), goals=(goals, "outputs"))
    return descend(
        weights,
        goals,
        lambda w: chapter_03.many_outputs(x, w),
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
    check_arrays(
        "matrix", inputs=(inputs, "inputs"), weights=(weights, "outputs inputs"), goals=(goals, "outputs")
    )
    return descend(
        weights,
        goals,
        lambda w: chapter_03.matrix(inputs, w),
        lambda deltas: np.outer(deltas, inputs),
        alpha,
        rounds,
    )


def as_pictures(
    weights: Float[np.ndarray, "outputs pixels"], shape: tuple[int, int]
) -> Float[np.ndarray, "outputs height width"]:
    """Returns each output's weights as a picture of what it looks for: 1 speaks for it, −1 against it.

    The largest weight of all is 1 or −1; of weights that are all zero, nothing is seen.
    """
    check_arrays("as_pictures", weights=(weights, "outputs pixels"))
    check_count("as_pictures", height=shape[0], width=shape[1])
    if weights.shape[1] != shape[0] * shape[1]:
        raise ValueError(f"as_pictures expects a weight for each of {shape} pixels, got {weights.shape[1]}")
    largest = np.abs(weights).max()
    pictures: np.ndarray = weights.reshape(-1, *shape) / (largest if largest > 0 else largest + 1)
    return pictures
