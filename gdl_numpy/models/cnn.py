"""A convolutional network: chapter 10's, and a deeper one with pooling."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import DTypeLike

from gdl_numpy.lookup import lookup
from gdl_numpy.nn import Conv2d, Dropout, Flatten, Linear, MaxPool2d, Module, Sequential
from gdl_numpy.nn.activation import ACTIVATIONS
from gdl_numpy.tasks import Classification

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float


class CNN(Module):
    """Convolutions, then fully connected layers; by default chapter 10's 16 kernels of 3×3 on 28×28 images.

    Args:
        in_shape: (channels, height, width) of one image.
        channels: kernels of each convolution.
        kernel_size: height and width of every kernel.
        padding: zeros around every convolution's input.
        pool_size: side of the max pooling after every convolution; 1 for none.
        hidden_features: width of each fully connected hidden layer; empty (`none` as an option) to classify
            feature maps directly.
        out_features: number of classes.
        activation: "relu", "tanh" or "sigmoid".
        dropout: probability that a feature is dropped in training.
        rng: where the weights and the dropout masks come from.
        dtype: of the parameters, and so of the inputs.

    Raises:
        ValueError: an unknown activation, a dropout outside [0, 1], or images too small to convolve.
    """

    task = Classification
    input_layer = "features"

    def __init__(
        self,
        in_shape: Sequence[int] = (1, 28, 28),
        channels: Sequence[int] = (16,),
        kernel_size: int = 3,
        padding: int = 0,
        pool_size: int = 1,
        hidden_features: Sequence[int] = (),
        out_features: int = 10,
        activation: str = "tanh",
        dropout: float = 0.5,
        *,
        rng: np.random.Generator | int | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        self.hparams = {
            "in_shape": list(in_shape),
            "channels": list(channels),
            "kernel_size": kernel_size,
            "padding": padding,
            "pool_size": pool_size,
            "hidden_features": list(hidden_features),
            "out_features": out_features,
            "activation": activation,
            "dropout": dropout,
        }
        if pool_size < 1:
            raise ValueError(f"CNN expects pool_size ≥ 1, got {pool_size}")
        rng = np.random.default_rng(rng)
        make_activation = lookup("activation", activation, ACTIVATIONS)
        in_channels, height, width = in_shape
        features: list[Module] = []
        for out_channels in channels:
            features.append(
                Conv2d(in_channels, out_channels, kernel_size, padding=padding, rng=rng, dtype=dtype)
            )
            # A maximum before a monotone activation gives the same as after it, for a quarter of the work.
            if pool_size > 1:
                features.append(MaxPool2d(pool_size))
            features.append(make_activation())
            height, width = ((side + 2 * padding - kernel_size + 1) // pool_size for side in (height, width))
            in_channels = out_channels
        if min(height, width) < 1:
            raise ValueError(
                "CNN expects images that survive its convolutions and pooling, "
                f"got in_shape {tuple(in_shape)}"
            )
        self.features = Sequential(*features)

        in_features = in_channels * height * width
        classifier: list[Module] = [Flatten(), Dropout(dropout, rng=rng)]
        for out_width in hidden_features:
            classifier += [
                Linear(in_features, out_width, rng=rng, dtype=dtype),
                make_activation(),
                Dropout(dropout, rng=rng),
            ]
            in_features = out_width
        self.classifier = Sequential(*classifier, Linear(in_features, out_features, rng=rng, dtype=dtype))

    def forward(
        self, x: Float[np.ndarray, "batch channels height width"]
    ) -> Float[np.ndarray, "batch out_features"]:
        """Logits of a batch of images of shape in_shape."""
        logits: np.ndarray = self.classifier(self.features(x))
        return logits

    def backward(
        self, grad_output: Float[np.ndarray, "batch out_features"]
    ) -> Float[np.ndarray, "batch channels height width"] | None:
        grad = self.classifier.backward(grad_output)
        return None if grad is None else self.features.backward(grad)
