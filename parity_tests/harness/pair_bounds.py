"""How far normalization and the losses of pairs may be off. See `bounds`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from torch import nn

from gdl_numpy.nn.pair_loss import COSINE_EPSILON
from gdl_torch.nn import ContrastiveLoss, Normalize, NTXentLoss
from parity_tests.harness.bounds import bound_of, log_softmax_error, reduced, softmax
from parity_tests.harness.evaluate import Arrays, Evaluation
from parity_tests.harness.rounding import gamma

if TYPE_CHECKING:
    from collections.abc import Sequence


def unit(x: np.ndarray, dim: int, eps: float, u: float) -> tuple[np.ndarray, np.ndarray, float]:
    """Unit vectors y = x / n, n = max(‖x‖, eps), and the relative error of y: of ‖x‖², root and quotient."""
    n = np.maximum(np.sqrt((x * x).sum(axis=dim, keepdims=True)), eps)
    return x / n, n, float(gamma(x.shape[dim] / 2 + 4, u))


def unit_backward(
    y: np.ndarray, n: np.ndarray, g: np.ndarray, g_error: np.ndarray, dim: int, eps: float, u: float
) -> np.ndarray:
    """The error of (g - (y · g) y) / n where g is off by `g_error`; without the term in y where n = eps."""
    relative = gamma(
        2.5 * y.shape[dim] + 20, u
    )  # of the longest term: a sum of three factors y, each off, and n
    y, g = np.abs(y) * (n > eps), np.abs(g)
    along = (y * g).sum(axis=dim, keepdims=True)
    along_error = (y * g_error).sum(axis=dim, keepdims=True)
    error: np.ndarray = (g_error + along_error * y + relative * (g + along * y)) / n
    return error


@bound_of.register(Normalize)
def normalize_bound(
    layer: Normalize, inputs: Sequence[Any], targets: Sequence[Any], grads: Arrays, u: float
) -> Evaluation:
    y, n, relative = unit(inputs[0], layer.dim, layer.eps, u)
    error = unit_backward(y, n, grads[0], np.zeros_like(y), layer.dim, layer.eps, u)
    return Evaluation([relative * np.abs(y)], [error])


@bound_of.register(NTXentLoss)
def nt_xent_loss_bound(
    layer: NTXentLoss, inputs: Sequence[Any], targets: Sequence[Any], grads: Arrays, u: float
) -> Evaluation:
    """Errors of unit vectors, of their similarities s, of P = softmax(s), of (P - Y + (P - Y)ᵀ) Ẑ, in turn.

    Where all s of a row are off by at most e, its log softmax is off by 2e, and P by 2e relatively. With V
    views, a loss is the mean over V - 1 positives, which is itself where that is one.
    """
    (count, size), views = inputs[0].shape, len(inputs)
    z, n, relative = unit(np.concatenate(inputs), 1, 1e-12, u)
    magnitude = np.abs(z) @ np.abs(z.T) / layer.temperature
    s = z @ z.T / layer.temperature
    np.fill_diagonal(s, -np.inf)
    s_error = ((2 * relative + gamma(size + 3, u)) * magnitude).max(axis=1, initial=0, keepdims=True)
    log_error, p_relative = log_softmax_error(s, 1, u)
    p, p_itself = softmax(s, 1, u)
    rows = np.arange(len(z))
    positives = rows[:, None], np.stack([np.roll(rows, k * count) for k in range(1, views)], axis=1)
    with np.errstate(divide="ignore"):
        losses = np.abs(np.log(p[positives])).mean(axis=1)
    errors = (log_error[positives] + 2 * s_error).mean(axis=1) + gamma(2 * (views - 2), u) * losses
    error, scale = reduced(layer, losses, errors, len(z), grads[0], u)
    scale = np.broadcast_to(scale, len(z))[:, None]
    answers = np.zeros_like(p)
    answers[positives] = 1 / (views - 1)
    a = scale * (p + answers)
    a_error = scale * p * (np.maximum(p_relative, p_itself) + 2 * s_error) + (6 + (views > 2)) * u * a
    both, both_error = a + a.T, a_error + a_error.T
    g = both @ np.abs(z) / layer.temperature
    g_error = both_error @ np.abs(z) / layer.temperature + (relative + gamma(2 * views * count + 4, u)) * g
    grad_z = unit_backward(z, n, g, g_error, 1, 1e-12, u)
    return Evaluation([error], np.split(grad_z, views))


@bound_of.register(ContrastiveLoss)
def contrastive_loss_bound(
    layer: ContrastiveLoss, inputs: Sequence[Any], targets: Sequence[Any], grads: Arrays, u: float
) -> Evaluation:
    """The difference of the inputs is off by u |difference|, d relatively by half its sum's error."""
    (x1, x2), alike = inputs, targets[0] == 1
    difference = np.abs(x1 - x2)
    d = np.sqrt((difference**2).sum(axis=1))
    relative = gamma(x1.shape[1] / 2 + 5, u)
    missing = np.maximum(layer.margin - d, 0)
    # Beyond the margin, rounding may still see a little missing. The margin is rounded itself.
    missing_error = u * (2 * layer.margin + d) + relative * d
    missing_error = np.where(d * (1 - 2 * relative) > layer.margin, 0, missing_error)
    errors = np.where(
        alike, 2 * relative * d**2, (2 * missing + missing_error) * missing_error + 3 * u * missing**2
    )
    error, scale = reduced(layer, np.where(alike, d, missing) ** 2, errors, len(d), grads[0], u)
    apart = np.divide(missing, d, out=np.zeros_like(d), where=d > 0)
    apart_error = np.divide(missing_error, d, out=np.zeros_like(d), where=d > 0) + 2 * relative * apart
    factor = 2 * scale * np.where(alike, gamma(8, u), apart_error + gamma(8, u) * apart)
    return Evaluation([error], [factor[:, None] * difference] * 2)


@bound_of.register(nn.CosineEmbeddingLoss)
def cosine_embedding_loss_bound(
    layer: nn.CosineEmbeddingLoss, inputs: Sequence[Any], targets: Sequence[Any], grads: Arrays, u: float
) -> Evaluation:
    """The cosine is off by the error of its sums; on the margin, rounding decides if there is a gradient."""
    (x1, x2), alike = inputs, targets[0] == 1
    squares = [(x * x).sum(axis=1) + COSINE_EPSILON for x in inputs]
    product = np.sqrt(squares[0] * squares[1])
    relative = gamma(2 * x1.shape[1] + 8, u)
    cos = (x1 * x2).sum(axis=1) / product
    size = np.abs(x1 * x2).sum(axis=1) / product  # of cos, if its terms did not cancel
    cos_error = relative * size
    losses = np.where(alike, 1 - cos, np.maximum(cos - layer.margin, 0))
    over = np.where(alike, True, cos > layer.margin)
    undecided = ~alike & (np.abs(cos - layer.margin) <= cos_error + 2 * u * np.abs(layer.margin))
    errors = np.where(over | undecided, cos_error + 2 * u * (1 + np.abs(layer.margin)), 0)
    error, scale = reduced(layer, losses, errors, len(cos), grads[0], u)

    def gradient(x: np.ndarray, other: np.ndarray, m: np.ndarray) -> np.ndarray:
        terms = np.abs(other) / product[:, None] + np.abs(x) * (size / m)[:, None]
        part = np.where(undecided, 1, np.where(over, relative + gamma(8, u), 0))
        return np.asarray((scale * part)[:, None] * terms)

    return Evaluation([error], [gradient(x1, x2, squares[0]), gradient(x2, x1, squares[1])])


@bound_of.register(nn.TripletMarginLoss)
def triplet_margin_loss_bound(
    layer: nn.TripletMarginLoss, inputs: Sequence[Any], targets: Sequence[Any], grads: Arrays, u: float
) -> Evaluation:
    """Distances are off relatively, their difference by what cancels; on a kink rounding picks the branch."""
    a, p, n = inputs
    near, near_error, near_slope = distance_error(layer, a, p, u)
    far, far_error, far_slope = distance_error(layer, a, n, u)
    swapped, swapped_error, swapped_slope = distance_error(layer, p, n, u)
    if not layer.swap:
        swapped, swapped_error = np.full_like(far, np.inf), np.zeros_like(far)
    least, least_error = np.minimum(far, swapped), np.maximum(far_error, swapped_error)
    missing = layer.margin + near - least
    # The margin is rounded itself, then the sum, then the difference.
    missing_error = near_error + least_error + u * (3 * layer.margin + 2 * near + 2 * least)
    active, undecided = missing > 0, np.abs(missing) <= missing_error
    error, scale = reduced(
        layer, np.maximum(missing, 0), np.where(active | undecided, missing_error, 0), len(near), grads[0], u
    )
    # Of the slopes of all three distances: 1 where their part in the gradient is undecided.
    either = np.abs(far - swapped) <= far_error + swapped_error if layer.swap else np.zeros_like(active)

    def part(chosen: np.ndarray, unsure: np.ndarray, slope: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        value, value_error = slope
        weight = (active | undecided) & (chosen | unsure)
        off = np.where(
            (unsure | undecided)[:, None], np.abs(value), value_error + gamma(4, u) * np.abs(value)
        )
        return np.asarray((scale * weight)[:, None] * off)

    always, never = np.ones_like(active), np.zeros_like(active)
    pull = part(always, never, near_slope)
    push = part(far <= swapped, either, far_slope)
    push_swapped = part(swapped <= far, either, swapped_slope)
    return Evaluation([error], [pull + push, pull + push_swapped, push + push_swapped])


def distance_error(
    layer: nn.TripletMarginLoss, x: np.ndarray, y: np.ndarray, u: float
) -> tuple[np.ndarray, np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """Distances d = ‖x - y + eps‖ and their error; dd/dx and its error.

    x - y + eps is off by u |x - y| and u of itself: little, unless eps cancels x - y.
    """
    difference = x - y + layer.eps
    off = u * (np.abs(x - y) + np.abs(difference) + layer.eps)
    if layer.p == 1:
        d = np.abs(difference).sum(axis=1)
        d_error = off.sum(axis=1) + gamma(x.shape[1] + 1, u) * d
        return d, d_error, (np.sign(difference), 1.0 * (np.abs(difference) <= off))
    d = np.sqrt((difference**2).sum(axis=1))
    d_error = np.sqrt((off**2).sum(axis=1)) + gamma(x.shape[1] / 2 + 4, u) * d
    safe = np.where(d == 0, 1, d)[:, None]
    slope = difference / safe
    return d, d_error, (slope, off / safe + np.abs(slope) * (d_error[:, None] / safe + 3 * u))
