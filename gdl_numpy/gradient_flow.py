"""How far back in time gradients reach: chapter 14's demonstration, and the same asked of real models.

Backpropagation through time multiplies a gradient with the same matrix, and with the slopes of the same
activation, once a step. Where that makes it smaller it vanishes, where larger it explodes, both exponentially
(Hochreiter 1991; Bengio et al. 1994). The cell of an LSTM is there against the one, clipping (Pascanu et al.
2013) against the other.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from gdl_numpy.messages import kind_of, with_article
from gdl_numpy.models import LSTMLanguageModel, RNNLanguageModel
from gdl_numpy.nn import CrossEntropyLoss, Module, ReLU, Sigmoid, no_grad
from gdl_numpy.optim import SGD
from gdl_numpy.tasks import LanguageModelling

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jaxtyping import Float64, Int

    from gdl_numpy.models import LanguageModel

# The book's: W, and the a_0 that its recurrence a_k = f(a_{k-1} W) starts from.
WEIGHT = ((1.0, 4.0), (4.0, 1.0))
START = (1 / (1 + np.exp(-1.0)), 1 / (1 + np.exp(-0.01)))
ACTIVATIONS: dict[str, type[Module]] = {"sigmoid": Sigmoid, "relu": ReLU}


def demonstration(
    activation: Literal["sigmoid", "relu"], steps: int = 10
) -> tuple[Float64[np.ndarray, "states 2"], Float64[np.ndarray, "states 2"]]:
    """Chapter 14's: a_k = f(a_{k-1} W), and the gradient of the sum of the last, back through all of them.

    With f = sigmoid the slopes a (1 - a) are near 0 at a = 1, and the gradient vanishes; with f = relu they
    are 1, and the gradient of ones grows by W's largest eigenvalue, 5, in each step.

    Returns:
        a_0 … a_steps and their gradients, the last of which are ones. (The published ReLU run starts from
        what an earlier cell left behind; the gradients are the same from any positive start.)

    Raises:
        ValueError: another activation.
    """
    if activation not in ACTIVATIONS:
        raise ValueError(f"activation must be one of {', '.join(ACTIVATIONS)}, got {activation!r}")
    layers = [ACTIVATIONS[activation]() for _ in range(steps)]
    weight, a = np.array(WEIGHT), np.empty((steps + 1, 2))
    a[0] = START
    for k, layer in enumerate(layers):
        a[k + 1] = layer(a[k] @ weight)
    grads = np.ones_like(a)
    for k in reversed(range(steps)):
        grads[k] = layers[k].backward(grads[k + 1]) @ weight.T
    return a, grads


def gradient_reach(
    model: LanguageModel, ids: Int[np.ndarray, "time batch"], steps: int
) -> dict[str, Float64[np.ndarray, " steps"]]:
    """How much the state of some steps ago matters: ‖dL/ds_{T-k}‖ for k = 1 … steps, mean over the batch.

    L is the loss of one prediction alone, that of the last id from all those before, and s_{T-k} the state
    before the last k of these were read. All in float64 and without dropout. The model is not changed.

    Args:
        model: an RNNLanguageModel or LSTMLanguageModel.
        ids: columns of running text. All but the last steps + 1 are read first, to arrive at a state.
        steps: how far to go back.

    Returns:
        under the name of each state, "h" and for an LSTM "c", the norm over all its layers, for each k.

    Raises:
        ValueError: another model, or less text than that.
    """
    check_reach(model, (RNNLanguageModel, LSTMLanguageModel), ids.shape, steps)
    exact: Any = copy.deepcopy(model).astype(np.float64).eval()
    *read, target = ids
    logits, states = np.empty(0), [None]
    with no_grad():
        for row in read:
            logits, state = exact(row[None], states[-1])
            states.append(state)
    loss = CrossEntropyLoss(reduction="sum")  # each column's own loss, whatever the others are
    loss(logits[0], target)
    grad_logits, grad, norms = loss.backward()[None], None, []
    for k in range(1, steps + 1):
        exact(read[-k][None], states[-1 - k])  # once more, for what backward needs of this step
        grad = exact.backward(grad_logits, grad)
        grad_logits = np.zeros_like(grad_logits)
        parts = grad if isinstance(grad, tuple) else (grad,)  # each (layers, batch, hidden)
        norms.append([np.sqrt((part * part).sum(axis=(0, 2))).mean() for part in parts])
    return dict(zip("hc", np.array(norms).T, strict=False))


def check_reach(model: Any, known: tuple[type, ...], shape: tuple[int, ...], steps: int) -> None:
    """Raises ValueError for what `gradient_reach` cannot go back through, here or in torch."""
    if not isinstance(model, known):
        names = " or ".join(kind.__name__ for kind in known)
        raise ValueError(f"gradient_reach expects {with_article(names)}, got {kind_of(model)}")
    if steps < 1:
        raise ValueError(f"gradient_reach expects steps of at least 1, got {steps}")
    if len(shape) != 2 or shape[0] < steps + 2 or shape[1] < 1:
        raise ValueError(
            f"gradient_reach expects ids (time, batch) with at least steps + 2 = {steps + 2} of time "
            f"and one of batch, got shape {shape}"
        )


def gradient_norms(
    model: LanguageModel,
    batches: Iterable[tuple[Int[np.ndarray, "time batch"], Int[np.ndarray, "time batch"]]],
    lr: float,
    clip_norm: float = np.inf,
) -> tuple[Float64[np.ndarray, " steps"], Float64[np.ndarray, " steps"]]:
    """Trains a copy of a model, a step of SGD for each batch, and watches the gradient.

    Args:
        model: where to begin. It is not changed.
        batches: chunks of text that go on from each other.
        lr: learning rate.
        clip_norm: longer gradients are scaled to this length.

    Returns:
        the norm of the gradient of all parameters together, before it is clipped, and the loss, in each step.
        They may be inf and nan: that is what exploding means.
    """
    model = copy.deepcopy(model)
    task, optimizer = LanguageModelling(model), SGD(model.parameters(), lr)
    task.begin(continues=True)
    norms, losses = [], []
    with np.errstate(over="ignore", invalid="ignore"):
        for batch in batches:
            losses.append(task.step(optimizer, batch, clip_norm))
            norms.append(task.grad_norm)
    return np.array(norms), np.array(losses)
