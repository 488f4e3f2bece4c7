"""A multilayer perceptron: the network of chapters 6, 8 and 9."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from gdl_numpy.lookup import lookup
from gdl_torch.nn import ACTIVATIONS
from gdl_torch.tasks import Classification, check_sizes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float


class MLP(Classification):
    """Fully connected layers, each hidden one followed by an activation and dropout.

    By default chapter 9's 784-100-10.

    Args:
        in_features: features of one flattened example.
        hidden_features: width of each hidden layer; empty for a linear classifier.
        out_features: number of classes.
        activation: "relu", "tanh" or "sigmoid".
        dropout: probability that a hidden value is dropped in training.
        optimizer: name of a class in torch.optim.
        lr: learning rate.

    Raises:
        ValueError: an unknown activation or optimizer, a size below 1, a dropout outside [0, 1], or a
            learning rate that is negative or not finite.
    """

    def __init__(
        self,
        in_features: int = 784,
        hidden_features: Sequence[int] = (100,),
        out_features: int = 10,
        activation: str = "tanh",
        dropout: float = 0.5,
        *,
        optimizer: str = "SGD",
        lr: float = 0.1,
    ) -> None:
        super().__init__(optimizer, lr)
        check_sizes(self, in_features=in_features, hidden_features=hidden_features, out_features=out_features)
        self.save_hyperparameters()
        make_activation = lookup("activation", activation, ACTIVATIONS)
        layers: list[nn.Module] = [nn.Flatten()]
        for width in hidden_features:
            layers += [
                nn.Linear(in_features, width),
                make_activation(),
                nn.Dropout(dropout),
            ]
            in_features = width
        self.layers = nn.Sequential(*layers, nn.Linear(in_features, out_features))

    def forward(self, x: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch out_features"]:
        """Logits of a batch (batch, …) whose examples have in_features values each."""
        logits: Tensor = self.layers(x)
        return logits
