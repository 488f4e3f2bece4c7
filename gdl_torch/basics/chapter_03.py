"""Chapter 3 with tensors: the twin of `gdl_numpy.basics.chapter_03`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gdl_numpy.basics.checks import check_arrays

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jaxtyping import Float
    from torch import Tensor


def one_weight(x: Float[Tensor, ""], weight: Float[Tensor, ""]) -> Float[Tensor, ""]:
    """Returns x · weight."""
    check_arrays("one_weight", x=(x, ""), weight=(weight, ""))
    return x * weight


def many_inputs(inputs: Float[Tensor, " inputs"], weights: Float[Tensor, " inputs"]) -> Float[Tensor, ""]:
    """Returns the weighted sum Σᵢ inputsᵢ weightsᵢ.

    Multiplied and then added up, as in NumPy: a product of matrices may fuse the two, and then the last
    digits would depend on the machine. The same for `matrix`.
    """
    check_arrays("many_inputs", inputs=(inputs, "inputs"), weights=(weights, "inputs"))
    return (inputs * weights).sum()


def many_outputs(x: Float[Tensor, ""], weights: Float[Tensor, " outputs"]) -> Float[Tensor, " outputs"]:
    """Returns x · weightsⱼ for each output j."""
    check_arrays("many_outputs", x=(x, ""), weights=(weights, "outputs"))
    return x * weights


def matrix(
    inputs: Float[Tensor, " inputs"], weights: Float[Tensor, "outputs inputs"]
) -> Float[Tensor, " outputs"]:
    """Returns W x."""
    check_arrays("matrix", inputs=(inputs, "inputs"), weights=(weights, "outputs inputs"))
    return (weights * inputs).sum(dim=1)


def stacked(
    inputs: Float[Tensor, " inputs"], layers: Iterable[Float[Tensor, "_ _"]]
) -> Float[Tensor, " outputs"]:
    """Returns … W₂ (W₁ x)."""
    for weights in layers:
        inputs = matrix(inputs, weights)
    return inputs
