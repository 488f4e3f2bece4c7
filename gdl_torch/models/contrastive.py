"""An encoder that learns what is alike (chapter 16): images in, points on a sphere out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn

from gdl_numpy.lookup import lookup
from gdl_torch.classifier import ACTIVATIONS
from gdl_torch.metrics import Mean
from gdl_torch.mining import hardest_triplets
from gdl_torch.models.trunk import HasTrunk, Trunk
from gdl_torch.module import Model, check_sizes
from gdl_torch.nn import ContrastiveLoss, Normalize, NTXentLoss

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Bool, Float

LossName = Literal["NTXentLoss", "TripletMarginLoss", "ContrastiveLoss", "CosineEmbeddingLoss"]


class ContrastiveEncoder(HasTrunk, Model):
    """A trunk whose features are kept, and a projection head that training compares images by.

    A batch is inputs and targets. The inputs are images, or several views of the same images; targets say
    which images are alike: their labels, or, without labels, the image that each view is of. `NTXentLoss`
    compares two views of each image with those of all others (Chen et al. 2020). The other losses take each
    image with the farthest of its kind and the nearest of another (Hermans et al. 2017).

    Logged are `train_loss_epoch`, `val_loss`, `test_loss`, the loss of single training steps,
    `train_loss_step`, and as `train_acc`, `val_acc`, `test_acc` how often an image is nearer to its own kind:
    to the other view of it than to all else in the batch; or to the farthest of its kind than to the nearest
    of another.

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
        optimizer: name of a class in torch.optim.
        lr: learning rate.

    Raises:
        ValueError: an unknown activation, loss or optimizer, no layer in the trunk or in the head, images too
            small, a size below 1, a temperature ≤ 0, a negative margin, or a learning rate that is negative
            or not finite.
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
        optimizer: str = "SGD",
        lr: float = 0.1,
    ) -> None:
        super().__init__(optimizer, lr)
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
        losses: dict[str, Any] = {
            "NTXentLoss": lambda: NTXentLoss(temperature),
            "TripletMarginLoss": lambda: nn.TripletMarginLoss(margin),
            "ContrastiveLoss": lambda: ContrastiveLoss(margin),
            "CosineEmbeddingLoss": lambda: nn.CosineEmbeddingLoss(margin),
        }
        self.criterion: nn.Module = lookup("loss", loss, losses)()
        self.train_acc, self.val_acc, self.test_acc = Mean(), Mean(), Mean()

    def forward(self, x: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch projected"]:
        """Points of length 1, the nearer the more alike the images of shape in_shape are to the encoder."""
        z: Tensor = self.normalize(self.head(self.trunk(x)))
        return z

    def predict_step(self, batch: Sequence[Any], batch_idx: int) -> Tensor:
        """The features of each image; targets in the batch are ignored."""
        inputs = batch[0]
        return self.features(inputs if isinstance(inputs, Tensor) else inputs[0])

    def loss(self, batch: Sequence[Any], batch_idx: int, stage: str) -> Tensor:
        inputs, targets = batch
        views = [inputs] if isinstance(inputs, Tensor) else inputs
        z = self(torch.cat(list(views)))
        loss, nearer = self.compare(z, targets.repeat(len(views)))
        self.log_loss(stage, loss, len(targets))
        accuracy: Mean = getattr(self, f"{stage}_acc")
        accuracy.update(nearer.sum(), torch.tensor(nearer.numel(), device=z.device))
        self.log(f"{stage}_acc", accuracy, on_step=False, on_epoch=True, prog_bar=True)
        return loss

    def compare(
        self, z: Float[Tensor, "batch projected"], labels: Any
    ) -> tuple[Tensor, Bool[Tensor, " anchors"]]:
        """The loss, and of which points the next of their kind is nearer than the next of another.

        Args:
            z: what `forward` gave; for `NTXentLoss` the first views, then in the same order the second ones.
            labels: which points are alike, (batch,).
        """
        if isinstance(self.criterion, NTXentLoss):
            first, second = z.chunk(2)
            similarities = (z @ z.T).detach().fill_diagonal_(-torch.inf)
            partner = torch.arange(len(z), device=z.device).roll(len(first))
            return self.criterion(first, second), similarities.argmax(1) == partner
        anchors, positives, negatives = hardest_triplets(z.detach(), labels)
        a, p, n = z[anchors], z[positives], z[negatives]
        nearer = ((a - p) ** 2).sum(1) < ((a - n) ** 2).sum(1)
        if isinstance(self.criterion, nn.TripletMarginLoss):
            return self.criterion(a, p, n), nearer
        alike = torch.ones(2 * len(a), dtype=z.dtype, device=z.device)
        alike[len(a) :] = -1 if isinstance(self.criterion, nn.CosineEmbeddingLoss) else 0
        return self.criterion(torch.cat([a, a]), torch.cat([p, n]), alike), nearer
