"""Chapter 3: what a network predicts, from one weight to stacked layers.

All raise ValueError for shapes that do not fit together, empty arrays and whole numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from gdl_numpy.basics.checks import check_arrays

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jaxtyping import Float

Number: TypeAlias = float | np.floating


def one_weight(x: Number, weight: Number) -> Number:
    """Returns x · weight: the weight says how much a change of the input changes the prediction."""
    check_arrays("one_weight", x=(x, ""), weight=(weight, ""))
    return x * weight


def many_inputs(inputs: Float[np.ndarray, " inputs"], weights: Float[np.ndarray, " inputs"]) -> Number:
    """Returns the weighted sum Σᵢ inputsᵢ weightsᵢ: large where the weights resemble the inputs.

    Added up from the first to the last, as a plain loop does, where a dot product of BLAS may fuse and
    reorder: so the last digits are the book's on every machine. The same for `matrix`.
    """
    check_arrays("many_inputs", inputs=(inputs, "inputs"), weights=(weights, "inputs"))
    total: Number = (inputs * weights).sum()
    return total


def many_outputs(x: Number, weights: Float[np.ndarray, " outputs"]) -> Float[np.ndarray, " outputs"]:
    """Returns x · weightsⱼ for each output j: separate predictions from the same input."""
    check_arrays("many_outputs", x=(x, ""), weights=(weights, "outputs"))
    outputs: np.ndarray = x * weights
    return outputs


def matrix(
    inputs: Float[np.ndarray, " inputs"], weights: Float[np.ndarray, "outputs inputs"]
) -> Float[np.ndarray, " outputs"]:
    """Returns W x: a weighted sum for each output, whose weights are a row of W."""
    check_arrays("matrix", inputs=(inputs, "inputs"), weights=(weights, "outputs inputs"))
    outputs: np.ndarray = (weights * inputs).sum(axis=1)
    return outputs


def stacked(
    inputs: Float[np.ndarray, " inputs"], layers: Iterable[Float[np.ndarray, "_ _"]]
) -> Float[np.ndarray, " outputs"]:
    """Returns … W₂ (W₁ x): the predictions of each layer, (outputs, inputs), are the inputs of the next."""
    for weights in layers:
        inputs = matrix(inputs, weights)
    return inputs
