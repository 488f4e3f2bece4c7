"""Chapter 6: learning from many examples; correlation; backpropagation in the first deep network.

At a crossing abroad three lights say whether one may walk. First it is the middle light that counts, and its
weight finds it, from six observations taken one at a time, in batches or all at once. Then no single light
tells, and two layers find what does:

    h = relu(x W₁)        p = h W₂        error = Σ (p − g)²

Backpropagation, with the book's deltas (half the error's gradient: the 2 is left to α):

    δ₂ = p − g            W₂ ← W₂ − α hᵀ δ₂
    δ₁ = (δ₂ W₂ᵀ) ∘ [h > 0]        W₁ ← W₁ − α xᵀ δ₁        with W₂ as it was before its step
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gdl_numpy.basics.checks import check_arrays, check_count, check_rate

if TYPE_CHECKING:
    from jaxtyping import Float

LIGHTS = ((1, 0, 1), (0, 1, 1), (0, 0, 1), (1, 1, 1), (0, 1, 1), (1, 0, 1))
WALK = (0, 1, 0, 1, 1, 0)
WEIGHTS = (0.5, 0.48, -0.7)  # the book's first ones

# Of the deep network's, none tells on its own.
DEEP_LIGHTS = ((1, 0, 1), (0, 1, 1), (0, 0, 1), (1, 1, 1))
DEEP_WALK = ((1,), (1,), (0,), (0,))
HIDDEN = 4


class Learning(NamedTuple):
    """What happened, round by round.

    Attributes:
        weights: (rounds + 1, inputs), before the first round, and after each.
        predictions: (rounds, examples), each made when it was the example's turn.
        errors: (rounds,), Σ (prediction − goal)² over the examples.
    """

    weights: Float[np.ndarray, "rounds_and_1 inputs"]
    predictions: Float[np.ndarray, "rounds examples"]
    errors: Float[np.ndarray, " rounds"]


def descend(
    weights: Float[np.ndarray, " inputs"],
    inputs: Float[np.ndarray, "examples inputs"],
    goals: Float[np.ndarray, " examples"],
    alpha: float = 0.1,
    rounds: int = 40,
    batch_size: int = 1,
) -> Learning:
    """Descends with p = x · w, a step after each batch: w ← w − α · mean over the batch of (p − g) x.

    With batches of one, the gradient is stochastic: quick steps, each in the direction that one example
    wants. With all examples in a batch it is the error's own (full, or average, gradient descent); between
    the two lies mini-batch descent. The book's rule, without the error's factor 2.

    Args:
        weights: where to begin.
        inputs: the examples, taken in this order in each round.
        goals: what to predict for each.
        alpha: learning rate.
        rounds: how often to go through all examples.
        batch_size: examples between two steps; the last batch may be smaller.

    Raises:
        ValueError: no examples, shapes that do not fit, a negative α.
    """
    check_rate("descend", alpha=alpha)
    check_count("descend", rounds=rounds, batch_size=batch_size)
    check_arrays(
        "descend",
        inputs=(inputs, "examples inputs"),
        goals=(goals, "examples"),
        weights=(weights, "inputs"),
    )
    history = [weights]
    predictions = np.empty((rounds, len(goals)), inputs.dtype)
    for made in predictions:
        for start in range(0, len(goals), batch_size):
            batch = slice(start, start + batch_size)
            x, g = inputs[batch], goals[batch]
            made[batch] = (x * weights).sum(axis=1)  # in the order of a loop, for the book's last digits
            delta = made[batch] - g
            weights = weights - float(alpha) * (delta @ x / len(g))
        history.append(weights)
    return Learning(np.array(history), predictions, ((predictions - goals) ** 2).sum(axis=1))


def correlation(
    inputs: Float[np.ndarray, "examples inputs"], goals: Float[np.ndarray, "examples outputs"]
) -> Float[np.ndarray, "inputs outputs"]:
    """Pearson's correlation of each input with each goal, from −1 to 1; 0 where one of them never changes.

        r = Σ (x − x̄)(g − ḡ) / √(Σ (x − x̄)² Σ (g − ḡ)²)

    A weight grows with the correlation of its input. Where no input correlates with the goal, only a layer
    between them can make something that does.
    """
    check_arrays("correlation", inputs=(inputs, "examples inputs"), goals=(goals, "examples outputs"))
    x, g = inputs - inputs.mean(axis=0), goals - goals.mean(axis=0)
    scale = np.outer(np.sqrt((x**2).sum(axis=0)), np.sqrt((g**2).sum(axis=0)))
    change = np.logical_and.outer(np.ptp(inputs, axis=0) != 0, np.ptp(goals, axis=0) != 0)
    r: np.ndarray = np.divide(x.T @ g, scale, out=np.zeros_like(scale), where=change)
    return r


def pressures(
    weights: Float[np.ndarray, " inputs"],
    inputs: Float[np.ndarray, "examples inputs"],
    goals: Float[np.ndarray, " examples"],
) -> Float[np.ndarray, "examples inputs"]:
    """Returns where each example pushes each weight: −(p − g) x, up where positive, nowhere where x is 0.

    Examples that push a weight both up and down are in conflict: what is left is their mean, which is what
    a full batch's step follows. An input that always pushes one way correlates with the goal.
    """
    check_arrays(
        "pressures",
        inputs=(inputs, "examples inputs"),
        goals=(goals, "examples"),
        weights=(weights, "inputs"),
    )
    delta = (inputs * weights).sum(axis=1) - goals
    pushed: np.ndarray = -delta[:, np.newaxis] * inputs
    return pushed


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
    network: Network, inputs: Float[np.ndarray, "examples inputs"], nonlinear: bool = True
) -> Float[np.ndarray, "examples hidden"]:
    """Returns relu(x W₁), or without the nonlinearity x W₁."""
    check_arrays("hidden_layer", inputs=(inputs, "examples inputs"), hidden=(network.hidden, "inputs hidden"))
    h = product(inputs, network.hidden)
    return np.maximum(h, 0) if nonlinear else h


def as_one_layer(network: Network) -> Float[np.ndarray, "inputs outputs"]:
    """Returns W₁ W₂: without a nonlinearity between them, two layers are this one, (x W₁) W₂ = x (W₁ W₂).

    So they learn nothing that three weights alone could not: whatever correlation is there, they find, and
    they make none.
    """
    check_arrays(
        "as_one_layer", hidden=(network.hidden, "inputs hidden"), output=(network.output, "hidden outputs")
    )
    return product(network.hidden, network.output)


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
    nonlinear: bool = True,
) -> tuple[Network, Float[np.ndarray, " rounds"]]:
    """Backpropagation, one example at a time, in their order.

    Args:
        network: the first weights.
        inputs: the examples.
        goals: what to predict for each.
        alpha: learning rate.
        rounds: how often to go through all examples.
        nonlinear: whether the hidden layer has its relu.

    Returns:
        the weights in the end, and the error of each round, added up as the examples came by.

    Raises:
        ValueError: no examples, shapes that do not fit, a negative α.
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
    w1, w2, alpha = network.hidden.copy(), network.output.copy(), float(alpha)
    errors = np.zeros(rounds, inputs.dtype)
    for done in range(rounds):
        for example in range(len(inputs)):
            x, g = inputs[[example]], goals[[example]]  # (1, inputs), (1, outputs)
            h = hidden_layer(Network(w1, w2), x, nonlinear)
            delta2 = product(h, w2) - g
            delta1 = product(delta2, w2.T)
            if nonlinear:
                delta1 *= h > 0
            errors[done] += (delta2**2).sum()
            w2 -= alpha * product(h.T, delta2)
            w1 -= alpha * product(x.T, delta1)
    return Network(w1, w2), errors
