"""Tasks on images whose answers the images themselves have (chapter 16): a trunk, and the head for each task.

What comes in and what is to come out is made by `gdl_torch.data.pretext`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from torch import Tensor, nn

from gdl_numpy.models.pretext import TURNS
from gdl_torch.models.trunk import HasTrunk, Trunk
from gdl_torch.tasks import Classification, Reconstruction

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float


class RotationClassifier(HasTrunk, Classification):
    """By how many quarter turns was the image turned? Logits of 0 to 3 (Gidaris et al. 2018).

    Args:
        in_shape: (channels, height, width) of one image.
        channels: kernels of each 3×3 convolution of the trunk, each with pooling; empty for none.
        hidden_features: width of each fully connected layer of the trunk.
        activation: "relu", "tanh" or "sigmoid", in the trunk.
        optimizer: name of a class in torch.optim.
        lr: learning rate.

    Raises:
        ValueError: an unknown activation or optimizer, a size below 1, no layer in the trunk, images too
            small, or a learning rate that is negative or not finite.
    """

    def __init__(
        self,
        in_shape: Sequence[int] = (1, 28, 28),
        channels: Sequence[int] = (),
        hidden_features: Sequence[int] = (512,),
        activation: str = "relu",
        *,
        optimizer: str = "SGD",
        lr: float = 0.1,
    ) -> None:
        super().__init__(optimizer, lr)
        self.save_hyperparameters()
        self.trunk = Trunk(in_shape, channels, hidden_features, activation)
        self.head = nn.Linear(self.trunk.out_features, TURNS)

    def forward(self, x: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch turns"]:
        """Logits of a batch of images of shape in_shape."""
        logits: Tensor = self.head(self.trunk(x))
        return logits


class PatchInpainter(HasTrunk, Reconstruction):
    """What was in the square cut out of the image? Its pixels (Pathak et al. 2016).

    Args:
        in_shape: (channels, height, width) of one image.
        channels: kernels of each 3×3 convolution of the trunk, each with pooling; empty for none.
        hidden_features: width of each fully connected layer of the trunk.
        activation: "relu", "tanh" or "sigmoid", in the trunk.
        patch_size: side of the square.
        optimizer: name of a class in torch.optim.
        lr: learning rate.

    Raises:
        ValueError: as `RotationClassifier`, or a patch that is not within the image.
    """

    def __init__(
        self,
        in_shape: Sequence[int] = (1, 28, 28),
        channels: Sequence[int] = (),
        hidden_features: Sequence[int] = (512,),
        activation: str = "relu",
        patch_size: int = 10,
        *,
        optimizer: str = "SGD",
        lr: float = 0.1,
    ) -> None:
        if not 1 <= patch_size <= min(in_shape[1:]):
            raise ValueError(
                f"PatchInpainter expects patch_size from 1 to {min(in_shape[1:])}, got {patch_size}"
            )
        super().__init__(optimizer, lr)
        self.save_hyperparameters()
        self.patch_shape = (in_shape[0], patch_size, patch_size)
        self.trunk = Trunk(in_shape, channels, hidden_features, activation)
        self.head = nn.Linear(self.trunk.out_features, math.prod(self.patch_shape))

    def forward(self, x: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch ..."]:
        """The patches (batch, channels, patch_size, patch_size) missing in a batch of images."""
        patches: Tensor = self.head(self.trunk(x)).reshape(len(x), *self.patch_shape)
        return patches


class Colorizer(HasTrunk, Reconstruction):
    """Which colours had the grey image? Red, green and blue of each pixel (Zhang, Isola and Efros 2016).

    Args:
        in_shape: (channels, height, width) of one image, with one channel.
        channels: kernels of each 3×3 convolution of the trunk, each with pooling; empty for none.
        hidden_features: width of each fully connected layer of the trunk.
        activation: "relu", "tanh" or "sigmoid", in the trunk.
        optimizer: name of a class in torch.optim.
        lr: learning rate.

    Raises:
        ValueError: as `RotationClassifier`, or images that are not grey.
    """

    def __init__(
        self,
        in_shape: Sequence[int] = (1, 28, 28),
        channels: Sequence[int] = (),
        hidden_features: Sequence[int] = (512,),
        activation: str = "relu",
        *,
        optimizer: str = "SGD",
        lr: float = 0.1,
    ) -> None:
        if in_shape[0] != 1:
            raise ValueError(f"Colorizer expects grey images, of 1 channel, got in_shape {tuple(in_shape)}")
        super().__init__(optimizer, lr)
        self.save_hyperparameters()
        self.coloured_shape = (3, *in_shape[1:])
        self.trunk = Trunk(in_shape, channels, hidden_features, activation)
        self.head = nn.Linear(self.trunk.out_features, math.prod(self.coloured_shape))

    def forward(self, x: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch ..."]:
        """The coloured images (batch, 3, height, width) of a batch of grey ones."""
        coloured: Tensor = self.head(self.trunk(x)).reshape(len(x), *self.coloured_shape)
        return coloured
