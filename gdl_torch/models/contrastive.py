"""An encoder that learns what is alike (chapter 16): images in, points on a sphere out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from gdl_numpy.lookup import lookup
from gdl_numpy.tasks.contrastive import LossName, MiningName  # what a checkpoint has is held to these
from gdl_torch.models.trunk import HasTrunk, Trunk
from gdl_torch.nn import ACTIVATIONS, Normalize
from gdl_torch.tasks import Contrastive, check_sizes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float


class ContrastiveEncoder(HasTrunk, Contrastive):
    """A trunk whose features are kept, and a projection head that training compares images by.

    What is learned for the comparison is more than what it shows: the head throws away what it need not tell
    apart, and the features before it serve other tasks better than its output (Chen et al. 2020, SimCLR).

    Args:
        in_shape: (channels, height, width) of one image.
        channels: kernels of each 3×3 convolution, each with pooling; empty for a multilayer perceptron.
        hidden_features: width of each fully connected layer of the trunk; the last one's output, or that of
            the last convolution, is the features.
        projection_features: width of each layer of the head; the last is the dimension of the output.
        activation: "relu", "tanh" or "sigmoid", in the trunk and between layers of the head.
        loss: name of the loss.
        temperature: of `NTXentLoss`; smaller, and the nearest of the others count more.
        margin: of the other losses: how far apart those that are not alike should be.
        mining: of the other losses: which images of a batch are compared, the "hardest" or the "semihard"
            triplets.
        optimizer: name of a class in torch.optim.
        lr: learning rate.

    Raises:
        ValueError: an unknown activation, loss, mining or optimizer, no layer in the trunk or in the head,
            images too small, a size below 1, a temperature ≤ 0, a negative margin, or a learning rate that is
            negative or not finite.
    """

    def __init__(
        self,
        in_shape: Sequence[int] = (1, 28, 28),
        channels: Sequence[int] = (),
        hidden_features: Sequence[int] = (512,),
        projection_features: Sequence[int] = (128,),
        activation: str = "relu",
        *,
        loss: LossName = "NTXentLoss",
        temperature: float = 0.5,
        margin: float = 0.5,
        mining: MiningName = "hardest",
        optimizer: str = "SGD",
        lr: float = 0.1,
    ) -> None:
        super().__init__(loss, temperature, margin, mining, optimizer, lr)
        if not projection_features:
            raise ValueError("ContrastiveEncoder expects projection_features, got none")
        check_sizes(self, projection_features=projection_features)
        self.save_hyperparameters()
        self.trunk = Trunk(in_shape, channels, hidden_features, activation)
        make_activation = lookup("activation", activation, ACTIVATIONS)
        head: list[nn.Module] = []
        in_features = self.trunk.out_features
        for out_features in projection_features:
            head += [nn.Linear(in_features, out_features), make_activation()]
            in_features = out_features
        self.head = nn.Sequential(*head[:-1])
        self.normalize = Normalize(dim=1)

    def forward(self, x: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch projected"]:
        """Points of length 1, the nearer the more alike the images of shape in_shape are to the encoder."""
        z: Tensor = self.normalize(self.head(self.trunk(x)))
        return z

    def predict_step(self, batch: Sequence[Any], batch_idx: int) -> Tensor:
        """The features of each image; targets in the batch are ignored."""
        inputs = batch[0]
        return self.features(inputs if isinstance(inputs, Tensor) else inputs[0])
