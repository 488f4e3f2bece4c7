"""How far a layer's results may be off: computed from rounding unit, reduction length and magnitudes.

`error_bound` gives, for every number that a layer produces forward and backward, the largest error that
arithmetic with unit roundoff u can make on these very inputs. It knows a layer by its *torch* class, so a
home-made NumPy layer is held to the bound of the function that it says it is. A class that it does not know
gets `perturbation_bound`.

Everything here is computed in float64 on the CPU, and to first order in u.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from functools import singledispatch
from typing import Any

import numpy as np
import torch
from torch import nn

from gdl_numpy.nn.loss import BCE_EPSILON
from gdl_torch.nn import DotProduct
from parity_tests.harness.evaluate import Arrays, Evaluation, flatten, is_floating
from parity_tests.harness.evaluate_torch import run_torch
from parity_tests.harness.naming import Renamed
from parity_tests.harness.perturbation import perturbation_bound
from parity_tests.harness.rounding import gamma, product_gamma

# exp, log, tanh: vectorised libraries promise at most 4 units in the last place, of at most 2 u each.
ELEMENTARY = 8
# Below it numbers lie on a coarser grid, and some hardware flushes them to zero.
UNDERFLOW = float(np.finfo(np.float32).tiny)

# With a hook a layer computes something else than its class does.
HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
# With other values a class computes something that its formula does not describe.
KNOWN_OPTIONS: dict[type[nn.Module], dict[str, tuple[Any, ...]]] = {
    nn.MaxPool2d: {"return_indices": (False,)},
    nn.Embedding: {"max_norm": (None,), "scale_grad_by_freq": (False,)},
    nn.EmbeddingBag: {
        "mode": ("sum", "mean"),
        "max_norm": (None,),
        "scale_grad_by_freq": (False,),
        "include_last_offset": (False,),
    },
    nn.BCELoss: {"weight": (None,)},
    nn.BCEWithLogitsLoss: {"weight": (None,), "pos_weight": (None,)},
    nn.TripletMarginLoss: {"p": (1, 2)},
    nn.RNN: {"bidirectional": (False,), "dropout": (0.0,), "proj_size": (0,)},
    nn.LSTM: {"bidirectional": (False,), "dropout": (0.0,), "proj_size": (0,)},
}


def error_bound(
    layer: nn.Module, inputs: Sequence[Any], targets: Sequence[Any], grad_outputs: Arrays, u: float
) -> Evaluation:
    """A bound on the error of each output and each gradient.

    Args:
        layer: a float64 module on the CPU with the parameters that the computation used.
        inputs: what went in, as float64.
        targets: further arguments that get no gradient.
        grad_outputs: the gradient of each output, as float64.
        u: unit roundoff of the computation; see `rounding.comparison_roundoff`.
    """
    if isinstance(layer, Renamed):
        known = error_bound(layer.renamed, inputs, targets, grad_outputs, u)
        grad_params = {
            ours: known.grad_params[name]
            for ours, name in layer.of_parameters.items()
            if name in known.grad_params
        }
        return Evaluation(known.outputs, known.grad_inputs, grad_params)
    # Where the layer itself gives inf or nan, so may the bound.
    with np.errstate(invalid="ignore", over="ignore"):
        formula = bound_of if has_formula(layer) else perturbation_bound
        bound = formula(layer, inputs, targets, grad_outputs, u)
        return bound.map(lambda b: np.abs(b) + UNDERFLOW)


def has_formula(layer: nn.Module) -> bool:
    """Whether a formula is about this very function: the forward of its class, with options that it knows."""
    if isinstance(layer, Renamed):
        return has_formula(layer.renamed)
    known: Any = next(cls for cls in type(layer).__mro__ if cls in bound_of.registry)
    if known is object or getattr(layer.forward, "__func__", None) is not known.forward:
        return False
    if any(getattr(layer, hooks) for hooks in HOOKS):
        return False
    options = [option for cls in known.__mro__ for option in KNOWN_OPTIONS.get(cls, {}).items()]
    return (
        all(getattr(layer, name) in values for name, values in options)
        and getattr(layer, "dim", 0) is not None
    )


@singledispatch
def bound_of(
    layer: nn.Module, inputs: Sequence[Any], targets: Sequence[Any], grads: Arrays, u: float
) -> Evaluation:
    """`error_bound` of one class of layer; register a formula for a new one here."""
    return perturbation_bound(layer, inputs, targets, grads, u)


def with_parameters(layer: nn.Module, function: Callable[[torch.Tensor], torch.Tensor]) -> nn.Module:
    """A copy of the layer whose parameters are `function` of the original's."""
    clone = copy.deepcopy(layer)
    with torch.no_grad():
        for parameter in clone.parameters():
            parameter.copy_(function(parameter.detach()))
    return clone


def magnitudes(arrays: Sequence[Any]) -> list[Any]:
    return [np.abs(a) if is_floating(a) else a for a in flatten(tuple(arrays))]


def ones(arrays: Sequence[Any]) -> list[Any]:
    return [np.ones_like(a) if is_floating(a) else a for a in flatten(tuple(arrays))]


@bound_of.register(nn.Linear)
@bound_of.register(nn.Conv2d)
@bound_of.register(DotProduct)
def linear_bound(
    layer: nn.Module, inputs: Sequence[Any], targets: Sequence[Any], grads: Arrays, u: float
) -> Evaluation:
    """γₙ Σ|a||b| for each sum of products a b, forward and backward.

    The layer itself finds both factors: fed magnitudes, with magnitudes for parameters, every sum becomes
    Σ|a||b|; fed ones, it counts its own terms.
    """
    size = run_torch(
        with_parameters(layer, torch.abs), magnitudes(inputs), targets, lambda _: magnitudes(grads)
    )
    terms = run_torch(with_parameters(layer, torch.ones_like), ones(inputs), targets, lambda _: ones(grads))
    return size.map(lambda s, n: product_gamma(n, u) * s, terms)


@bound_of.register
def average_pooling_bound(
    layer: nn.AvgPool2d, inputs: Sequence[Any], targets: Sequence[Any], grads: Arrays, u: float
) -> Evaluation:
    """A sum of k terms, one division; counted by the layer that does not divide."""
    counting = copy.deepcopy(layer)
    counting.divisor_override = 1
    size = run_torch(layer, magnitudes(inputs), targets, lambda _: magnitudes(grads))
    terms = run_torch(counting, ones(inputs), targets, lambda _: ones(grads))
    return size.map(lambda s, n: gamma(n + 1, u) * s, terms)


@bound_of.register
def max_pooling_bound(
    layer: nn.MaxPool2d, inputs: Sequence[Any], targets: Sequence[Any], grads: Arrays, u: float
) -> Evaluation:
    """Choosing is exact; a pixel's gradient sums over the windows that chose it."""
    size = run_torch(layer, inputs, targets, lambda _: magnitudes(grads))
    terms = run_torch(layer, inputs, targets, lambda _: ones(grads))
    return Evaluation(
        [np.zeros_like(y) for y in size.outputs],
        [gamma(n, u) * s for s, n in zip(size.grad_inputs, terms.grad_inputs, strict=True)],
    )


@bound_of.register
def embedding_bound(
    layer: nn.Embedding, inputs: Sequence[Any], targets: Sequence[Any], grads: Arrays, u: float
) -> Evaluation:
    """Looking up is exact; a row's gradient sums over the places where it was looked up."""
    size = run_torch(layer, inputs, targets, lambda _: magnitudes(grads))
    terms = run_torch(layer, inputs, targets, lambda _: ones(grads))
    outputs = [np.zeros_like(y) for y in size.outputs]
    return Evaluation(
        outputs, [], {key: gamma(terms.grad_params[key], u) * s for key, s in size.grad_params.items()}
    )


@bound_of.register
def embedding_bag_bound(
    layer: nn.EmbeddingBag, inputs: Sequence[Any], targets: Sequence[Any], grads: Arrays, u: float
) -> Evaluation:
    """Sums over a bag, over the places of a row, and over a row's columns; one rounding more in each term.

    For a mean that is the division, of terms or of the sum, else the product with a weight.
    """
    size = run_torch(
        with_parameters(layer, torch.abs), magnitudes(inputs), targets, lambda _: magnitudes(grads)
    )
    counting = copy.deepcopy(layer)
    counting.mode = "sum"
    terms = run_torch(
        with_parameters(counting, torch.ones_like), ones(inputs), targets, lambda _: ones(grads)
    )
    return size.map(lambda s, n: gamma(n + 2, u) * s, terms)


@bound_of.register(nn.ReLU)
@bound_of.register(nn.Flatten)
@bound_of.register(nn.Identity)
def exact_bound(
    layer: nn.Module, inputs: Sequence[Any], targets: Sequence[Any], grads: Arrays, u: float
) -> Evaluation:
    """Nothing is rounded."""
    return run_torch(layer, inputs, targets, lambda _: grads).map(np.zeros_like)


@bound_of.register
def dropout_bound(
    layer: nn.Dropout, inputs: Sequence[Any], targets: Sequence[Any], grads: Arrays, u: float
) -> Evaluation:
    """One factor, itself rounded twice (1 - p, and its inverse), and one product."""
    scale = gamma(3, u) / (1 - layer.p if layer.p < 1 else 1)
    return Evaluation([scale * np.abs(inputs[0])], [scale * np.abs(grads[0])])


@bound_of.register
def tanh_bound(
    layer: nn.Tanh, inputs: Sequence[Any], targets: Sequence[Any], grads: Arrays, u: float
) -> Evaluation:
    """With y off by ELEMENTARY u |y|, y² by twice that relatively; both terms of 1 - y² are at most 1."""
    y = np.tanh(inputs[0])
    return Evaluation([gamma(ELEMENTARY, u) * np.abs(y)], [gamma(2 * ELEMENTARY + 4, u) * np.abs(grads[0])])


@bound_of.register
def sigmoid_bound(
    layer: nn.Sigmoid, inputs: Sequence[Any], targets: Sequence[Any], grads: Arrays, u: float
) -> Evaluation:
    """An exponential, a sum, a quotient. y (1 - y) is off by at most y's relative error times y."""
    y = sigmoid(inputs[0])
    return Evaluation([gamma(ELEMENTARY + 3, u) * y], [gamma(ELEMENTARY + 6, u) * y * np.abs(grads[0])])


@bound_of.register
def softmax_bound(
    layer: nn.Softmax, inputs: Sequence[Any], targets: Sequence[Any], grads: Arrays, u: float
) -> Evaluation:
    """Backward is y ∘ (G - Σ G y), with y's error carried along and n terms in the sum."""
    assert layer.dim is not None
    (x,), (g,), dim = inputs, grads, layer.dim
    y, relative = softmax(x, dim, u)
    total = (np.abs(g) * y).sum(axis=dim, keepdims=True)
    total_error = (np.abs(g) * y * relative).sum(axis=dim, keepdims=True) + gamma(x.shape[dim] + 2, u) * total
    return Evaluation([y * relative], [y * ((relative + 3 * u) * (np.abs(g) + total) + total_error)])


@bound_of.register
def log_softmax_bound(
    layer: nn.LogSoftmax, inputs: Sequence[Any], targets: Sequence[Any], grads: Arrays, u: float
) -> Evaluation:
    """Backward is G - e^y Σ G, with y's error carried along and n terms in the sum."""
    assert layer.dim is not None
    (x,), (g,), dim = inputs, grads, layer.dim
    error, p_relative = log_softmax_error(x, dim, u)
    p, _ = softmax(x, dim, u)
    total = np.abs(g).sum(axis=dim, keepdims=True)
    return Evaluation([error], [p * total * (p_relative + gamma(x.shape[dim] + 2, u)) + 2 * u * np.abs(g)])


def sigmoid(x: np.ndarray) -> np.ndarray:
    y: np.ndarray = np.exp(-np.logaddexp(0, -x))
    return y


def softmax(x: np.ndarray, dim: int, u: float) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities y, and the relative error of computing them.

    With t = x - max x, rounding t is off by u |t|, which is the relative error of eᵗ; the sum below averages
    those errors and adds one for each of its n terms.
    """
    t = x - x.max(axis=dim, keepdims=True, initial=-np.inf)
    e = np.exp(t)
    y = e / e.sum(axis=dim, keepdims=True)
    y_t = np.where(y == 0, 0, y * np.abs(t))  # 0 · ∞ is 0 here
    relative = u * (np.abs(t) + y_t.sum(axis=dim, keepdims=True) + 2 * ELEMENTARY + x.shape[dim] + 3)
    return y, np.where(y == 0, 0, relative * (1 + relative))


def log_softmax_error(x: np.ndarray, dim: int, u: float) -> tuple[np.ndarray, np.ndarray]:
    """The error of y = x - log Σ eˣ (shifted by the maximum m), and the relative error of e^y from it."""
    m = x.max(axis=dim, keepdims=True, initial=-np.inf)
    t = x - m
    e = np.exp(t)
    total = e.sum(axis=dim, keepdims=True)
    log_total = np.log(total)
    y = t - log_total
    e_t = np.where(e == 0, 0, e * np.abs(t))
    sum_relative = u * (e_t.sum(axis=dim, keepdims=True) / total + ELEMENTARY + x.shape[dim])
    error = sum_relative + u * (np.abs(x) + np.abs(m) + 2 * np.abs(y) + (ELEMENTARY + 1) * log_total)
    relative = error * (1 + error) + ELEMENTARY * u
    return error, np.where(np.exp(y) == 0, 0, relative)


def reduced(
    layer: Any, losses: np.ndarray, errors: np.ndarray, count: float, grad: np.ndarray, u: float
) -> tuple[np.ndarray, np.ndarray]:
    """The bound on the reduced loss, from the single losses and their errors; and |dL/dloss| of each."""
    if layer.reduction == "none":
        return errors, np.abs(grad)
    error = errors.sum() + gamma(losses.size + 2, u) * np.abs(losses).sum()
    scale = 1 / (count or 1) if layer.reduction == "mean" else 1.0
    return error * scale, np.abs(grad) * scale


@bound_of.register
def mse_loss_bound(
    layer: nn.MSELoss, inputs: Sequence[Any], targets: Sequence[Any], grads: Arrays, u: float
) -> Evaluation:
    difference = np.abs(inputs[0] - targets[0])
    losses = difference**2
    error, scale = reduced(layer, losses, gamma(4, u) * losses, losses.size, grads[0], u)
    return Evaluation([error], [gamma(6, u) * 2 * difference * scale])


@bound_of.register
def bce_loss_bound(
    layer: nn.BCELoss, inputs: Sequence[Any], targets: Sequence[Any], grads: Arrays, u: float
) -> Evaluation:
    """Both logarithms are taken of exact inputs (log1p), so each term is off relatively to itself."""
    p, t = inputs[0], targets[0]
    with np.errstate(divide="ignore"):
        log_p, log_q = np.maximum(np.log(p), -100), np.maximum(np.log1p(-p), -100)
    losses = np.abs(t * log_p) + np.abs((1 - t) * log_q)
    error, scale = reduced(layer, losses, gamma(ELEMENTARY + 5, u) * losses, losses.size, grads[0], u)
    return Evaluation([error], [gamma(10, u) * np.abs(p - t) / np.maximum((1 - p) * p, BCE_EPSILON) * scale])


@bound_of.register
def bce_with_logits_loss_bound(
    layer: nn.BCEWithLogitsLoss, inputs: Sequence[Any], targets: Sequence[Any], grads: Arrays, u: float
) -> Evaluation:
    """In whatever grouping: the terms add up to at most |x| + |x t| + log(1 + e^-|x|)."""
    x, t = inputs[0], targets[0]
    losses = np.abs(x) + np.abs(x * t) + np.logaddexp(0, -np.abs(x))
    error, scale = reduced(layer, losses, gamma(2 * ELEMENTARY + 6, u) * losses, losses.size, grads[0], u)
    return Evaluation([error], [gamma(ELEMENTARY + 8, u) * (sigmoid(x) + np.abs(t)) * scale])


@bound_of.register
def cross_entropy_loss_bound(
    layer: nn.CrossEntropyLoss, inputs: Sequence[Any], targets: Sequence[Any], grads: Arrays, u: float
) -> Evaluation:
    """Of the answers q and log softmax: l = -Σ q log p; backward is p Σ q - q, times the loss's gradient.

    Without weights and smoothing q is one 1 among zeros, exactly. Else it is rounded itself, l is a sum of
    as many terms as there are classes, and a mean divides by a sum of weights.
    """
    x, ids = inputs[0], targets[0]
    if is_floating(ids):  # probabilities of the classes
        return perturbation_bound(layer, inputs, targets, grads, u)
    classes, counted = x.shape[1], ids != layer.ignore_index
    log_error, p_relative = log_softmax_error(x, 1, u)
    p, _ = softmax(x, 1, u)
    q, count, more = np.zeros_like(p), float(counted.sum()), np.zeros(())
    np.put_along_axis(q, np.expand_dims(np.where(counted, ids, 0), 1), 1, 1)
    if layer.weight is not None or layer.label_smoothing:
        weight = np.ones(classes) if layer.weight is None else layer.weight.numpy()
        count = float(weight[ids[counted]].sum())
        smoothing, more = layer.label_smoothing, gamma(classes + ids.size + 8, u)
        q = weight.reshape(-1, *[1] * (x.ndim - 2)) * ((1 - smoothing) * q + smoothing / classes)
    q, total = q * counted[:, None], q.sum(axis=1, keepdims=True)
    # What is no part of an answer adds nothing, be it inf or nan.
    losses = np.where(q == 0, 0, q * np.abs(np.log(np.maximum(p, 1e-300)))).sum(axis=1)
    errors = np.where(q == 0, 0, q * log_error).sum(axis=1) + more * losses
    error, scale = reduced(layer, losses, errors, count, grads[0], u)
    scale = np.expand_dims(np.broadcast_to(scale, counted.shape), 1)
    p = p * total
    grad_error = scale * (p * (p_relative + gamma(classes + 4, u)) + (4 * u + more) * (p + q))
    return Evaluation([error], [np.where(counted[:, None], grad_error, 0)])
