"""Tasks on images whose answers the images themselves have (chapter 16): a trunk, and the head for each task.

What comes in and what is to come out is made by `gdl_numpy.data.pretext`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike

from gdl_numpy.models.trunk import HasTrunk, Trunk
from gdl_numpy.nn import Linear
from gdl_numpy.tasks import Classification, Reconstruction

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float

TURNS = 4  # a quarter each


class ImagePretext(HasTrunk):
    """Base of the tasks on images: a trunk, and a linear head from its features.

    Args:
        in_shape: (channels, height, width) of one image.
        channels: kernels of each 3×3 convolution of the trunk, each with pooling; empty (`none` as an
            option) for none.
        hidden_features: width of each fully connected layer of the trunk.
        activation: "relu", "tanh" or "sigmoid", in the trunk.
        out_features: numbers that the head gives.
        rng: where the weights come from.
        dtype: of the parameters, and so of the inputs.

    Raises:
        ValueError: an unknown activation, no layer in the trunk, or images too small.
    """

    input_layer = "trunk"

    def __init__(
        self,
        in_shape: Sequence[int],
        channels: Sequence[int],
        hidden_features: Sequence[int],
        activation: str,
        out_features: int,
        rng: np.random.Generator | int | None,
        dtype: DTypeLike,
    ) -> None:
        self.hparams: dict[str, Any] = {
            "in_shape": list(in_shape),
            "channels": list(channels),
            "hidden_features": list(hidden_features),
            "activation": activation,
        }
        rng = np.random.default_rng(rng)
        self.trunk = Trunk(in_shape, channels, hidden_features, activation, rng=rng, dtype=dtype)
        self.head = Linear(self.trunk.out_features, out_features, rng=rng, dtype=dtype)

    def forward(self, x: Float[np.ndarray, "batch channels height width"]) -> Float[np.ndarray, "batch ..."]:
        """What the task asks of a batch of images of shape in_shape."""
        answer: np.ndarray = self.head(self.trunk(x))
        return answer

    def backward(
        self, grad_output: Float[np.ndarray, "batch ..."]
    ) -> Float[np.ndarray, "batch channels height width"] | None:
        grad = self.head.backward(grad_output.reshape(len(grad_output), self.head.out_features))
        return None if grad is None else self.trunk.backward(grad)


class RotationClassifier(ImagePretext):
    """By how many quarter turns was the image turned? Logits of 0 to 3 (Gidaris et al. 2018).

    The arguments are those of the trunk; see `ImagePretext`.
    """

    task = Classification

    def __init__(
        self,
        in_shape: Sequence[int] = (1, 28, 28),
        channels: Sequence[int] = (),
        hidden_features: Sequence[int] = (512,),
        activation: str = "relu",
        *,
        rng: np.random.Generator | int | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        super().__init__(in_shape, channels, hidden_features, activation, TURNS, rng, dtype)


class PatchInpainter(ImagePretext):
    """What was in the square cut out of the image? Its pixels (Pathak et al. 2016).

    Args:
        in_shape: (channels, height, width) of one image.
        channels: kernels of each 3×3 convolution of the trunk, each with pooling; empty (`none` as an
            option) for none.
        hidden_features: width of each fully connected layer of the trunk.
        activation: "relu", "tanh" or "sigmoid", in the trunk.
        patch_size: side of the square.
        rng: where the weights come from.
        dtype: of the parameters, and so of the inputs.

    Raises:
        ValueError: as for every trunk, or a patch that is not within the image.
    """

    task = Reconstruction
    input_layer = "trunk"

    def __init__(
        self,
        in_shape: Sequence[int] = (1, 28, 28),
        channels: Sequence[int] = (),
        hidden_features: Sequence[int] = (512,),
        activation: str = "relu",
        patch_size: int = 10,
        *,
        rng: np.random.Generator | int | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        if not 1 <= patch_size <= min(in_shape[1:]):
            raise ValueError(
                f"PatchInpainter expects patch_size from 1 to {min(in_shape[1:])}, got {patch_size}"
            )
        self.patch_shape = (in_shape[0], patch_size, patch_size)
        super().__init__(
            in_shape, channels, hidden_features, activation, math.prod(self.patch_shape), rng, dtype
        )
        self.hparams["patch_size"] = patch_size

    def forward(self, x: Float[np.ndarray, "batch channels height width"]) -> Float[np.ndarray, "batch ..."]:
        """The patches (batch, channels, patch_size, patch_size) missing in a batch of images."""
        return super().forward(x).reshape(len(x), *self.patch_shape)


class Colorizer(ImagePretext):
    """Which colours had the grey image? Red, green and blue of each pixel (Zhang, Isola and Efros 2016).

    The arguments are those of the trunk; see `ImagePretext`. In in_shape there is one channel.
    """

    task = Reconstruction
    input_layer = "trunk"

    def __init__(
        self,
        in_shape: Sequence[int] = (1, 28, 28),
        channels: Sequence[int] = (),
        hidden_features: Sequence[int] = (512,),
        activation: str = "relu",
        *,
        rng: np.random.Generator | int | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        if in_shape[0] != 1:
            raise ValueError(f"Colorizer expects grey images, of 1 channel, got in_shape {tuple(in_shape)}")
        self.coloured_shape = (3, *in_shape[1:])
        super().__init__(
            in_shape, channels, hidden_features, activation, math.prod(self.coloured_shape), rng, dtype
        )

    def forward(self, x: Float[np.ndarray, "batch channels height width"]) -> Float[np.ndarray, "batch ..."]:
        """The coloured images (batch, 3, height, width) of a batch of grey ones."""
        return super().forward(x).reshape(len(x), *self.coloured_shape)
