"""Chapter 6 by autograd: the twin of `gdl_numpy.basics.chapter_06`."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch

from gdl_numpy.basics import chapter_06
from gdl_numpy.basics.checks import check_arrays, check_count, check_rate

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor


class Learning(NamedTuple):
    """What happened, round by round.

    Attributes:
        weights: (rounds + 1, inputs), before the first round, and after each.
        predictions: (rounds, examples), each made when it was the example's turn.
        errors: (rounds,), Σ (prediction − goal)² over the examples.
    """

    weights: Float[Tensor, "rounds_and_1 inputs"]
    predictions: Float[Tensor, "rounds examples"]
    errors: Float[Tensor, " rounds"]


def descend(
    weights: Float[Tensor, " inputs"],
    inputs: Float[Tensor, "examples inputs"],
    goals: Float[Tensor, " examples"],
    alpha: float = 0.1,
    rounds: int = 40,
    batch_size: int = 1,
) -> Learning:
    """Descends with p = x · w, a step after each batch, along the gradient of the mean of ½ (p − g)²."""
    check_rate("descend", alpha=alpha)
    check_count("descend", rounds=rounds, batch_size=batch_size)
    check_arrays(
        "descend",
        inputs=(inputs, "examples inputs"),
        goals=(goals, "examples"),
        weights=(weights, "inputs"),
    )
    history, predictions = [weights], []
    errors = torch.zeros(rounds, dtype=inputs.dtype, device=inputs.device)
    for done in range(rounds):
        for x, g in zip(torch.split(inputs, batch_size), torch.split(goals, batch_size), strict=True):
            weights = weights.detach().requires_grad_()
            made = (x * weights).sum(dim=1)
            error = ((made - g) ** 2).sum()
            (grad,) = torch.autograd.grad(error / (2 * len(g)), weights)
            weights = weights.detach() - alpha * grad
            errors[done] += error.detach()
            predictions.append(made.detach())
        history.append(weights)
    return Learning(torch.stack(history), torch.cat(predictions).reshape(rounds, -1), errors)


def correlation(
    inputs: Float[Tensor, "examples inputs"], goals: Float[Tensor, "examples outputs"]
) -> Float[Tensor, "inputs outputs"]:
    """Pearson's correlation of each input with each goal, 0 where one of them never changes."""
    check_arrays("correlation", inputs=(inputs, "examples inputs"), goals=(goals, "examples outputs"))
    both = torch.cat([inputs, goals], dim=1)
    r = torch.corrcoef(both.T)[: inputs.shape[1], inputs.shape[1] :]
    change = both.amax(dim=0) != both.amin(dim=0)
    return torch.where(torch.outer(change[: len(r)], change[len(r) :]), r, 0)


def pressures(
    weights: Float[Tensor, " inputs"],
    inputs: Float[Tensor, "examples inputs"],
    goals: Float[Tensor, " examples"],
) -> Float[Tensor, "examples inputs"]:
    """Returns where each example pushes each weight: its own gradient of ½ (p − g)², turned around."""
    check_arrays(
        "pressures",
        inputs=(inputs, "examples inputs"),
        goals=(goals, "examples"),
        weights=(weights, "inputs"),
    )
    copies = (
        weights.detach().expand(inputs.shape).clone().requires_grad_()
    )  # its own weights for each example
    error = (((inputs * copies).sum(dim=1) - goals) ** 2).sum()
    (grad,) = torch.autograd.grad(error / 2, copies)
    return -grad


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
    return Network(*map(torch.from_numpy, chapter_06.first_weights(seed)))


def hidden_layer(
    network: Network, inputs: Float[Tensor, "examples inputs"], nonlinear: bool = True
) -> Float[Tensor, "examples hidden"]:
    """Returns relu(x W₁), or without the nonlinearity x W₁."""
    check_arrays("hidden_layer", inputs=(inputs, "examples inputs"), hidden=(network.hidden, "inputs hidden"))
    h = product(inputs, network.hidden)
    return torch.relu(h) if nonlinear else h


def as_one_layer(network: Network) -> Float[Tensor, "inputs outputs"]:
    """Returns W₁ W₂, which two layers are without a nonlinearity between them."""
    check_arrays(
        "as_one_layer", hidden=(network.hidden, "inputs hidden"), output=(network.output, "hidden outputs")
    )
    return product(network.hidden, network.output)


def product(a: Float[Tensor, "rows inner"], b: Float[Tensor, "inner columns"]) -> Tensor:
    """Returns a b, each product rounded before it is added, for the last digits' sake."""
    return (a.unsqueeze(-1) * b).sum(dim=1)


def learn(
    network: Network,
    inputs: Float[Tensor, "examples inputs"],
    goals: Float[Tensor, "examples outputs"],
    alpha: float = 0.2,
    rounds: int = 60,
    nonlinear: bool = True,
) -> tuple[Network, Float[Tensor, " rounds"]]:
    """Descends along the gradient of ½ (p − g)², one example at a time, in their order.

    Returns:
        the weights in the end, and the error Σ (p − g)² of each round.
    """
    check_rate("learn", alpha=alpha)
    check_count("learn", rounds=rounds)
    check_arrays(
        "learn",
        inputs=(inputs, "examples inputs"),
        goals=(goals, "examples outputs"),
        hidden=(network.hidden, "inputs hidden"),
        output=(network.output, "hidden outputs"),
    )
    errors = torch.zeros(rounds, dtype=inputs.dtype, device=inputs.device)
    for done in range(rounds):
        for x, g in zip(torch.split(inputs, 1), torch.split(goals, 1), strict=True):
            network = Network(*(weights.detach().requires_grad_() for weights in network))
            h = hidden_layer(network, x, nonlinear)
            error = ((product(h, network.output) - g) ** 2).sum()
            grads = torch.autograd.grad(error / 2, network)
            errors[done] += error.detach()
            network = Network(*(w.detach() - alpha * grad for w, grad in zip(network, grads, strict=True)))
    return network, errors
