"""What turns an image into features, under the head of every model that learns without labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import DTypeLike

from gdl_numpy.lookup import lookup
from gdl_numpy.nn import Conv2d, Flatten, Linear, MaxPool2d, Module, Sequential
from gdl_numpy.nn.activation import ACTIVATIONS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float


class Trunk(Sequential):
    """Convolutions of 3×3, each with pooling, then fully connected layers, each with an activation.

    Args:
        in_shape: (channels, height, width) of one image.
        channels: kernels of each convolution; empty (`none` as an option) for fully connected layers only.
        hidden_features: width of each fully connected layer; empty (`none` as an option) for none.
        activation: "relu", "tanh" or "sigmoid".
        rng: where the weights come from.
        dtype: of the parameters, and so of the inputs.

    Attributes:
        out_features: how many features an image has in the end.

    Raises:
        ValueError: an unknown activation, no layer at all, or images too small to be pooled so often.
    """

    def __init__(
        self,
        in_shape: Sequence[int],
        channels: Sequence[int],
        hidden_features: Sequence[int],
        activation: str,
        *,
        rng: np.random.Generator | int | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        if not channels and not hidden_features:
            raise ValueError("Trunk expects channels or hidden_features, got neither")
        rng = np.random.default_rng(rng)
        make_activation = lookup("activation", activation, ACTIVATIONS)
        in_channels, height, width = in_shape
        layers: list[Module] = []
        for out_channels in channels:
            layers += [
                Conv2d(in_channels, out_channels, 3, padding=1, rng=rng, dtype=dtype),
                MaxPool2d(2),
                make_activation(),
            ]
            in_channels, height, width = out_channels, height // 2, width // 2
        if min(height, width) < 1:
            raise ValueError(f"Trunk expects images that survive its pooling, got in_shape {tuple(in_shape)}")
        layers.append(Flatten())
        in_features = in_channels * height * width
        for out_features in hidden_features:
            layers += [Linear(in_features, out_features, rng=rng, dtype=dtype), make_activation()]
            in_features = out_features
        super().__init__(*layers)
        self.out_features = in_features


class HasTrunk(Module):
    """Base of the models with a trunk, under the name `trunk`."""

    trunk: Trunk

    def features(
        self, x: Float[np.ndarray, "batch channels height width"]
    ) -> Float[np.ndarray, "batch features"]:
        """What the trunk sees in the images: for other tasks."""
        features: np.ndarray = self.trunk(x)
        return features
