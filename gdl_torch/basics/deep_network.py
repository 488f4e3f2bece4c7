"""Chapter 6's deep network by autograd: the twin of `gdl_numpy.basics.deep_network`."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch

from gdl_numpy.basics import deep_network

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor


class Network(NamedTuple):
    """The weights of both layers.

    Attributes:
        hidden: W₁, (inputs, hidden).
        output: W₂, (hidden, outputs).
    """

    hidden: Float[Tensor, "inputs hidden"]
    output: Float[Tensor, "hidden outputs"]


def first_weights(seed: int = 1) -> Network:
    """The book's draws: NumPy's, since torch's stream is another."""
    return Network(*map(torch.from_numpy, deep_network.first_weights(seed)))


def hidden_layer(
    network: Network, inputs: Float[Tensor, "examples inputs"]
) -> Float[Tensor, "examples hidden"]:
    """Returns relu(x W₁)."""
    return torch.relu(product(inputs, network.hidden))


def product(a: Float[Tensor, "rows inner"], b: Float[Tensor, "inner columns"]) -> Tensor:
    """Returns a b, each product rounded before it is added, for the last digits' sake."""
    return (a.unsqueeze(-1) * b).sum(dim=1)


def learn(
    network: Network,
    inputs: Float[Tensor, "examples inputs"],
    goals: Float[Tensor, "examples outputs"],
    alpha: float = 0.2,
    rounds: int = 60,
) -> tuple[Network, Float[Tensor, " rounds"]]:
    """Descends along the gradient of ½ (p − g)², one example at a time, in their order.

    Returns:
        the weights in the end, and the error Σ (p − g)² of each round.
    """
    errors = torch.zeros(rounds, dtype=inputs.dtype, device=inputs.device)
    for done in range(rounds):
        for x, g in zip(torch.split(inputs, 1), torch.split(goals, 1), strict=True):
            network = Network(*(weights.detach().requires_grad_() for weights in network))
            h = hidden_layer(network, x)
            error = ((product(h, network.output) - g) ** 2).sum()
            grads = torch.autograd.grad(error / 2, network)
            errors[done] += error.detach()
            network = Network(*(w.detach() - alpha * grad for w, grad in zip(network, grads, strict=True)))
    return network, errors
