"""A multilayer perceptron: the network of chapters 6, 8 and 9."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import DTypeLike

from gdl_numpy.lookup import lookup
from gdl_numpy.nn import Dropout, Flatten, Linear, Module, Sequential
from gdl_numpy.nn.activation import ACTIVATIONS
from gdl_numpy.tasks import Classification

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float


class MLP(Module):
    """Fully connected layers, hidden ones with activation and dropout; by default chapter 9's 784-100-10.

    Args:
        in_features: features of one flattened example.
        hidden_features: width of each hidden layer; empty (`none` as an option) for a linear classifier.
        out_features: number of classes.
        activation: "relu", "tanh" or "sigmoid".
        dropout: probability that a hidden value is dropped in training.
        rng: where the weights and the dropout masks come from.
        dtype: of the parameters, and so of the inputs.

    Raises:
        ValueError: an unknown activation, or a dropout outside [0, 1].
    """

    task = Classification
    input_layer = "layers"

    def __init__(
        self,
        in_features: int = 784,
        hidden_features: Sequence[int] = (100,),
        out_features: int = 10,
        activation: str = "tanh",
        dropout: float = 0.5,
        *,
        rng: np.random.Generator | int | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        self.hparams = {
            "in_features": in_features,
            "hidden_features": list(hidden_features),
            "out_features": out_features,
            "activation": activation,
            "dropout": dropout,
        }
        rng = np.random.default_rng(rng)
        make_activation = lookup("activation", activation, ACTIVATIONS)
        layers: list[Module] = [Flatten()]
        for width in hidden_features:
            layers += [
                Linear(in_features, width, rng=rng, dtype=dtype),
                make_activation(),
                Dropout(dropout, rng=rng),
            ]
            in_features = width
        self.layers = Sequential(*layers, Linear(in_features, out_features, rng=rng, dtype=dtype))

    def forward(self, x: Float[np.ndarray, "batch ..."]) -> Float[np.ndarray, "batch out_features"]:
        """Logits of a batch (batch, …) whose examples have in_features values each."""
        logits: np.ndarray = self.layers(x)
        return logits

    def backward(
        self, grad_output: Float[np.ndarray, "batch out_features"]
    ) -> Float[np.ndarray, "batch ..."] | None:
        return self.layers.backward(grad_output)
