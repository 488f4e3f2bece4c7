"""Chapter 6: the first deep network. Two layers find in the streetlights what no single light tells.

    h = relu(x W₁)        p = h W₂        error = Σ (p − g)²

Backpropagation, with the book's deltas (half the error's gradient: the 2 is left to α):

    δ₂ = p − g            W₂ ← W₂ − α hᵀ δ₂
    δ₁ = (δ₂ W₂ᵀ) ∘ [h > 0]        W₁ ← W₁ − α xᵀ δ₁        with W₂ as it was before its step
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float

LIGHTS = ((1, 0, 1), (0, 1, 1), (0, 0, 1), (1, 1, 1))
WALK = ((1,), (1,), (0,), (0,))
HIDDEN = 4


class Network(NamedTuple):
    """The weights of both layers.

    Attributes:
        hidden: W₁, (inputs, hidden).
        output: W₂, (hidden, outputs).
    """

    hidden: Float[np.ndarray, "inputs hidden"]
    output: Float[np.ndarray, "hidden outputs"]


def first_weights(seed: int = 1) -> Network:
    """The book's draws, from NumPy's legacy stream: uniform on (−1, 1), the hidden layer first."""
    random = np.random.RandomState(seed)
    return Network(2 * random.random_sample((3, HIDDEN)) - 1, 2 * random.random_sample((HIDDEN, 1)) - 1)


def hidden_layer(
    network: Network, inputs: Float[np.ndarray, "examples inputs"]
) -> Float[np.ndarray, "examples hidden"]:
    """Returns relu(x W₁)."""
    h: np.ndarray = np.maximum(product(inputs, network.hidden), 0)
    return h


def product(a: Float[np.ndarray, "rows inner"], b: Float[np.ndarray, "inner columns"]) -> np.ndarray:
    """Returns a b, added up as a plain loop does.

    BLAS fuses and reorders, each of its kernels in its own way: at this size there is nothing to gain from
    it, and the last digits, which sixty rounds carry on, would not be the book's on every machine.
    """
    total: np.ndarray = (a[:, :, np.newaxis] * b).sum(axis=1)
    return total


def learn(
    network: Network,
    inputs: Float[np.ndarray, "examples inputs"],
    goals: Float[np.ndarray, "examples outputs"],
    alpha: float = 0.2,
    rounds: int = 60,
) -> tuple[Network, Float[np.ndarray, " rounds"]]:
    """Backpropagation, one example at a time, in their order.

    Returns:
        the weights in the end, and the error of each round, added up as the examples came by.
    """
    w1, w2 = network.hidden.copy(), network.output.copy()
    errors = np.zeros(rounds, inputs.dtype)
    for done in range(rounds):
        for example in range(len(inputs)):
            x, g = inputs[[example]], goals[[example]]  # (1, inputs), (1, outputs)
            h = hidden_layer(Network(w1, w2), x)
            delta2 = product(h, w2) - g
            delta1 = product(delta2, w2.T) * (h > 0)
            errors[done] += (delta2**2).sum()
            w2 -= alpha * product(h.T, delta2)
            w1 -= alpha * product(x.T, delta1)
    return Network(w1, w2), errors
