"""What an update tells of the examples behind it: chapter 15's leak, and a stronger one for images.

Federated learning keeps the examples at home, and sends what was learned from them. That may be as much:

* with one weight a word, the words that moved are the words that were read;
* of a linear layer with one example, the gradient is the example. With y = W x + b, dL/dW = dL/dy xᵀ and
  dL/db = dL/dy: so each row of the one, divided by its number of the other, is x. (L. T. Phong, Y. Aono, T.
  Hayashi, L. Wang and S. Moriai, *Privacy-Preserving Deep Learning via Additively Homomorphic Encryption*,
  2018.) Of several examples it is their mean, weighted by their dL/dy: a blend, in which rows of units that
  only one example makes wrong show that one alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float, Float64, Int64

    from gdl_numpy.data.vocabulary import Vocabulary


def words_moved(
    delta: Float[np.ndarray, "vocab_size size"], count: int | None = None
) -> Int64[np.ndarray, " words"]:
    """Returns the ids of the words whose vectors moved, those that moved the most first.

    Args:
        delta: by how much each word's vector moved.
        count: of no more than so many words; None for all that moved.
    """
    distances: np.ndarray = np.linalg.norm(delta, axis=1)
    order: np.ndarray = np.argsort(-distances, kind="stable")
    found: np.ndarray = order[: int(np.count_nonzero(distances))][:count]
    return found


def reading(
    delta: Float[np.ndarray, "vocab_size size"], vocabulary: Vocabulary, count: int = 20
) -> list[str]:
    """Returns the words that moved, as the server of plain averaging can read them."""
    return [vocabulary.tokens[word] for word in words_moved(delta, count)]


def inputs_of_linear(
    delta_weight: Float[np.ndarray, "out_features in_features"],
    delta_bias: Float[np.ndarray, " out_features"],
) -> Float64[np.ndarray, "out_features in_features"]:
    """Returns what each row of a linear layer's update says that its input was; nan where it says nothing.

    Of a step of plain gradient descent the update is −η times the gradient, and η cancels.

    Args:
        delta_weight: dL/dW, or what it moved W by.
        delta_bias: dL/db, or what it moved b by in the same step.
    """
    weight, bias = np.asarray(delta_weight, np.float64), np.asarray(delta_bias, np.float64)[:, None]
    found: np.ndarray = np.divide(weight, bias, out=np.full(weight.shape, np.nan), where=bias != 0)
    return found


def reconstructed(
    delta_weight: Float[np.ndarray, "out_features in_features"],
    delta_bias: Float[np.ndarray, " out_features"],
) -> Float64[np.ndarray, " in_features"]:
    """Returns the input of a linear layer, from the row whose bias moved the most, and rounding hurts least.

    Raises:
        ValueError: no bias moved.
    """
    row = int(np.abs(delta_bias).argmax())
    if delta_bias[row] == 0:
        raise ValueError("reconstructed: delta_bias must have a number other than 0, got none")
    found: np.ndarray = inputs_of_linear(delta_weight[row : row + 1], delta_bias[row : row + 1])[0]
    return found
