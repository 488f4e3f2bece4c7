"""An encoder that learns what is alike (chapter 16): images in, points on a sphere out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike

from gdl_numpy.lookup import lookup
from gdl_numpy.models.trunk import HasTrunk, Trunk
from gdl_numpy.nn import Linear, Module, Normalize, Sequential
from gdl_numpy.nn.activation import ACTIVATIONS
from gdl_numpy.tasks import Contrastive

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float


class ContrastiveEncoder(HasTrunk):
    """A trunk whose features are kept, and a projection head that training compares images by.

    What is learned for the comparison is more than what it shows: the head throws away what it need not tell
    apart, and the features before it serve other tasks better than its output (Chen et al. 2020, SimCLR).

    Args:
        in_shape: (channels, height, width) of one image.
        channels: kernels of each 3×3 convolution, each with pooling; empty (`none` as an option) for a
            multilayer perceptron.
        hidden_features: width of each fully connected layer of the trunk; the last one's output, or that of
            the last convolution, is the features.
        projection_features: width of each layer of the head; the last is the dimension of the output.
        activation: "relu", "tanh" or "sigmoid", in the trunk and between layers of the head.
        rng: where the weights come from.
        dtype: of the parameters, and so of the inputs.

    Raises:
        ValueError: an unknown activation, no layer in the trunk or in the head, one of width 0, or images too
            small.
    """

    task = Contrastive
    input_layer = "trunk"

    def __init__(
        self,
        in_shape: Sequence[int] = (1, 28, 28),
        channels: Sequence[int] = (),
        hidden_features: Sequence[int] = (512,),
        projection_features: Sequence[int] = (128,),
        activation: str = "relu",
        *,
        rng: np.random.Generator | int | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        self.hparams = {
            "in_shape": list(in_shape),
            "channels": list(channels),
            "hidden_features": list(hidden_features),
            "projection_features": list(projection_features),
            "activation": activation,
        }
        if not projection_features:
            raise ValueError("ContrastiveEncoder expects projection_features, got none")
        if min(projection_features) < 1:
            raise ValueError(
                f"ContrastiveEncoder expects projection_features ≥ 1, got {list(projection_features)}"
            )
        rng = np.random.default_rng(rng)
        self.trunk = Trunk(in_shape, channels, hidden_features, activation, rng=rng, dtype=dtype)
        make_activation = lookup("activation", activation, ACTIVATIONS)
        head: list[Module] = []
        in_features = self.trunk.out_features
        for out_features in projection_features:
            head += [Linear(in_features, out_features, rng=rng, dtype=dtype), make_activation()]
            in_features = out_features
        self.head = Sequential(*head[:-1])
        self.normalize = Normalize(dim=1)

    def forward(
        self, x: Float[np.ndarray, "batch channels height width"]
    ) -> Float[np.ndarray, "batch projected"]:
        """Points of length 1, the nearer the more alike the images of shape in_shape are to the encoder."""
        z: np.ndarray = self.normalize(self.head(self.trunk(x)))
        return z

    def backward(
        self, grad_output: Float[np.ndarray, "batch projected"]
    ) -> Float[np.ndarray, "batch channels height width"] | None:
        grad: Any = self.normalize.backward(grad_output)
        grad = self.head.backward(grad)
        return None if grad is None else self.trunk.backward(grad)
