"""What turns an image into features, under the head of every model that learns without labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from gdl_numpy.lookup import lookup
from gdl_torch.nn import ACTIVATIONS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float


class Trunk(nn.Sequential):
    """Convolutions of 3×3, each with pooling, then fully connected layers, each with an activation.

    Args:
        in_shape: (channels, height, width) of one image.
        channels: kernels of each convolution; empty for fully connected layers only.
        hidden_features: width of each fully connected layer; empty for none.
        activation: "relu", "tanh" or "sigmoid".

    Attributes:
        out_features: how many features an image has in the end.

    Raises:
        ValueError: an unknown activation, a size below 1, no layer at all, or images too small to be pooled
            so often.
    """

    def __init__(
        self,
        in_shape: Sequence[int],
        channels: Sequence[int],
        hidden_features: Sequence[int],
        activation: str,
    ) -> None:
        if not channels and not hidden_features:
            raise ValueError("Trunk expects channels or hidden_features, got neither")
        if min(*in_shape, *channels, *hidden_features) < 1:
            raise ValueError(
                "Trunk expects sizes ≥ 1, got "
                f"in_shape {tuple(in_shape)}, channels {channels}, hidden_features {hidden_features}"
            )
        make_activation = lookup("activation", activation, ACTIVATIONS)
        in_channels, height, width = in_shape
        layers: list[nn.Module] = []
        for out_channels in channels:
            layers += [
                nn.Conv2d(in_channels, out_channels, 3, padding=1),
                nn.MaxPool2d(2),
                make_activation(),
            ]
            in_channels, height, width = out_channels, height // 2, width // 2
        if min(height, width) < 1:
            raise ValueError(f"Trunk expects images that survive its pooling, got in_shape {tuple(in_shape)}")
        layers.append(nn.Flatten())
        in_features = in_channels * height * width
        for out_features in hidden_features:
            layers += [nn.Linear(in_features, out_features), make_activation()]
            in_features = out_features
        super().__init__(*layers)
        self.out_features = in_features


class HasTrunk:
    """Mixed into the models with a trunk, under the name `trunk`."""

    trunk: Trunk

    def features(self, x: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch features"]:
        """What the trunk sees in the images: for other tasks."""
        features: Tensor = self.trunk(x)
        return features
