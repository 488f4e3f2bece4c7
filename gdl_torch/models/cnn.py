"""A convolutional network: chapter 10's, and a deeper one with pooling."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from gdl_numpy.lookup import lookup
from gdl_torch.nn import ACTIVATIONS
from gdl_torch.tasks import Classification, check_sizes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float


class CNN(Classification):
    """Convolutions, then fully connected layers; by default chapter 10's 16 kernels of 3×3 on 28×28 images.

    Args:
        in_shape: (channels, height, width) of one image.
        channels: kernels of each convolution.
        kernel_size: height and width of every kernel.
        padding: zeros around every convolution's input.
        pool_size: side of the max pooling after every convolution; 1 for none.
        hidden_features: width of each fully connected hidden layer; empty to classify the feature maps
            directly.
        out_features: number of classes.
        activation: "relu", "tanh" or "sigmoid".
        dropout: probability that a feature is dropped in training.
        optimizer: name of a class in torch.optim.
        lr: learning rate.

    Raises:
        ValueError: an unknown activation or optimizer, a size below 1, a negative padding, a dropout outside
            [0, 1], a learning rate that is negative or not finite, or images too small to convolve.
    """

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
        optimizer: str = "SGD",
        lr: float = 0.1,
    ) -> None:
        super().__init__(optimizer, lr)
        check_sizes(
            self,
            in_shape=in_shape,
            channels=channels,
            kernel_size=kernel_size,
            pool_size=pool_size,
            hidden_features=hidden_features,
            out_features=out_features,
        )
        if padding < 0:
            raise ValueError(f"CNN expects padding ≥ 0, got {padding}")
        self.save_hyperparameters()
        make_activation = lookup("activation", activation, ACTIVATIONS)
        in_channels, height, width = in_shape
        features: list[nn.Module] = []
        for out_channels in channels:
            features.append(nn.Conv2d(in_channels, out_channels, kernel_size, padding=padding))
            if pool_size > 1:
                features.append(nn.MaxPool2d(pool_size))
            features.append(make_activation())
            height, width = ((side + 2 * padding - kernel_size + 1) // pool_size for side in (height, width))
            in_channels = out_channels
        if min(height, width) < 1:
            raise ValueError(
                "CNN expects images that survive its convolutions and pooling, "
                f"got in_shape {tuple(in_shape)}"
            )
        self.features = nn.Sequential(*features)

        in_features = in_channels * height * width
        classifier: list[nn.Module] = [nn.Flatten(), nn.Dropout(dropout)]
        for out_width in hidden_features:
            classifier += [
                nn.Linear(in_features, out_width),
                make_activation(),
                nn.Dropout(dropout),
            ]
            in_features = out_width
        self.classifier = nn.Sequential(*classifier, nn.Linear(in_features, out_features))

    def forward(self, x: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch out_features"]:
        """Logits of a batch of images of shape in_shape."""
        logits: Tensor = self.classifier(self.features(x))
        return logits
