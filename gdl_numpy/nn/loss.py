"""Losses: how wrong a prediction is, as one number, and the gradient that says in which direction.

`loss(prediction, target)` gives a float (or, with `reduction="none"`, the array of losses);
`loss.backward()` then gives dLoss/dprediction. `reduction="mean"` divides by the number of losses, as
torch does: by every element of the prediction for MSE and BCE, by every target that is not ignored for
cross-entropy.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from gdl_numpy.nn.activation import log_softmax, sigmoid
from gdl_numpy.nn.checks import (
    FLOATS,
    check_class_ids,
    check_floating,
    check_grad_output,
    check_same_shape,
    real,
)
from gdl_numpy.nn.module import Module

if TYPE_CHECKING:
    from jaxtyping import Float, Int

Reduction = Literal["mean", "sum", "none"]
# torch keeps this constant in float32, also when it computes in float64.
BCE_EPSILON = float(np.float32(1e-12))


class Loss(Module):
    """What all losses share: the reduction of the single losses to one number, forward and backward."""

    def __init__(self, *, reduction: Reduction = "mean") -> None:
        """Raises ValueError for another reduction than "mean", "sum" and "none"."""
        if reduction not in ("mean", "sum", "none"):
            raise ValueError(
                f'{type(self).__name__} expects reduction "mean", "sum" or "none", got {reduction!r}'
            )
        self.reduction = reduction

    def reduce(self, losses: np.ndarray, count: float) -> float | np.ndarray:
        """The mean over `count` (nan if that is 0, as in torch), the sum, or the losses as they are."""
        if self.reduction == "none":
            return losses
        total = float(losses.sum())
        if self.reduction == "sum":
            return total
        return total / count if count else float("nan")

    def grad_losses(
        self, grad_output: float | np.ndarray | None, shape: tuple[int, ...], dtype: np.dtype, count: float
    ) -> np.ndarray:
        """dL/dlosses, of a shape that broadcasts to `shape`, from dL/d(what forward gave), by default 1.

        A mean of nothing is nan, and so is its gradient.
        """
        if self.reduction == "none":
            if grad_output is None:
                return np.ones(shape, dtype)
            grad_losses = np.asarray(grad_output)
            check_grad_output(self, grad_losses, shape, dtype)
            return grad_losses
        if isinstance(grad_output, np.ndarray) and grad_output.ndim:
            raise ValueError(
                f"{self!r} expects grad_output like its output, one number, got shape {grad_output.shape}"
            )
        scale = 1.0
        if self.reduction == "mean":
            scale = 1 / count if count else math.nan
        return np.asarray(scale if grad_output is None else scale * float(grad_output), dtype)

    def backward(self, grad_output: Any = None) -> Any:
        raise TypeError(f"{type(self).__name__} does not define backward")

    def extra_repr(self) -> str:
        return f"reduction={self.reduction!r}"


class MSELoss(Loss):
    """Squared error (p - t)², with the gradient 2 (p - t). Any shape, the same for both."""

    def forward(
        self, prediction: Float[np.ndarray, "*shape"], target: Float[np.ndarray, "*shape"]
    ) -> float | Float[np.ndarray, "*shape"]:
        check_same_shape(self, prediction=prediction, target=target)
        difference = prediction - target
        self.save_for_backward(difference)
        return self.reduce(difference * difference, difference.size)

    def backward(
        self, grad_output: float | Float[np.ndarray, "*shape"] | None = None
    ) -> Float[np.ndarray, "*shape"]:
        (difference,) = self.saved
        scale = self.grad_losses(grad_output, difference.shape, difference.dtype, difference.size)
        grad: np.ndarray = difference * (2 * scale)
        return grad


class BCELoss(Loss):
    """Binary cross-entropy of probabilities, l = -(t log p + (1 - t) log(1 - p)).

        dl/dp = -t / p + (1 - t) / (1 - p) = (-t (1 - p) + (1 - t) p) / (p (1 - p)) = (p - t) / (p (1 - p))

    As in torch, logarithms are cut at -100 and the denominator at 1e-12, so that p = 0 and p = 1 stay finite.
    """

    def forward(
        self, prediction: Float[np.ndarray, "*shape"], target: Float[np.ndarray, "*shape"]
    ) -> float | Float[np.ndarray, "*shape"]:
        """Raises ValueError for a prediction outside [0, 1]; nan passes."""
        check_same_shape(self, prediction=prediction, target=target)
        outside = (prediction < 0) | (prediction > 1)
        if outside.any():
            raise ValueError(f"{self!r} expects probabilities in [0, 1], got {prediction[outside].flat[0]}")
        with np.errstate(divide="ignore"):  # log 0, cut just below
            log_p = np.maximum(np.log(prediction), -100)
            log_q = np.maximum(np.log1p(-prediction), -100)
        self.save_for_backward(prediction, target)
        return self.reduce((target - 1) * log_q - target * log_p, prediction.size)

    def backward(
        self, grad_output: float | Float[np.ndarray, "*shape"] | None = None
    ) -> Float[np.ndarray, "*shape"]:
        p, t = self.saved
        scale = self.grad_losses(grad_output, p.shape, p.dtype, p.size)
        grad: np.ndarray = scale * (p - t) / np.maximum((1 - p) * p, BCE_EPSILON)
        return grad


class BCEWithLogitsLoss(Loss):
    """Binary cross-entropy of p = sigmoid(x), l = -(t log p + (1 - t) log(1 - p)); stable for any x.

    With p = 1 / (1 + e⁻ˣ), log p = -log(1 + e⁻ˣ) and log(1 - p) = -x - log(1 + e⁻ˣ), and so

        l = (1 - t) x + log(1 + e⁻ˣ)
          = (1 - t) x - min(x, 0) + log(1 + e^-|x|)     no overflow: for x < 0, 1 + e⁻ˣ = e⁻ˣ (1 + eˣ)

        dl/dx = 1 - t - e⁻ˣ / (1 + e⁻ˣ) = 1 - t - (1 - p) = p - t
    """

    def forward(
        self, prediction: Float[np.ndarray, "*shape"], target: Float[np.ndarray, "*shape"]
    ) -> float | Float[np.ndarray, "*shape"]:
        check_same_shape(self, prediction=prediction, target=target)
        losses = np.log1p(np.exp(-np.abs(prediction)))
        with np.errstate(invalid="ignore"):  # 0 · ∞ and ∞ - ∞ are nan, as in torch
            losses -= np.minimum(prediction, 0)
            losses += (1 - target) * prediction
        self.save_for_backward(prediction, target)
        return self.reduce(losses, losses.size)

    def backward(
        self, grad_output: float | Float[np.ndarray, "*shape"] | None = None
    ) -> Float[np.ndarray, "*shape"]:
        x, t = self.saved
        # dl/dx = p - t
        grad = sigmoid(x)
        grad -= t
        grad *= self.grad_losses(grad_output, x.shape, x.dtype, x.size)
        return grad


class CrossEntropyLoss(Loss):
    """Cross-entropy of logits x with a class id c: l = -log_p_c, where log_p = log softmax(x).

    The score of the right class lowers the loss, and every score raises it through the sum:

        l = -log_p_c = -x_c + log Σ_j e^{x_j}

        dl/dx_i = -δ_ic + e^{x_i} / Σ_j e^{x_j} = e^{log_p_i} - δ_ic        δ_ic = 1 for i = c, else 0

    The gradient is the probability given to each class, less 1 for the right one.

    With a weight w_i for each class, and labels smoothed by ε, which gives all C classes a share in each
    answer (Szegedy et al. 2016), the answer is q in place of δ:

        q_i = w_i ((1 - ε) δ_ic + ε / C)      l = -Σ_i q_i log_p_i      dl/dx_i = e^{log_p_i} Σ_j q_j - q_i

    and a mean is Σ l / Σ w_c, the weights of the right classes.

    Logits are (N, C) or (N, C, d…), class ids (N,) or (N, d…) with values in [0, C). Targets equal to
    `ignore_index` count neither in the loss nor in the mean's denominator, and their gradient is 0.

    Attributes:
        count: what the latest losses' mean divides by: how many targets counted, or their weights' sum.
    """

    def __init__(
        self,
        weight: Float[np.ndarray, " classes"] | None = None,
        *,
        ignore_index: int = -100,
        reduction: Reduction = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        """Raises ValueError for weights that are no vector of floats, or a smoothing outside [0, 1]."""
        super().__init__(reduction=reduction)
        if weight is not None and (np.ndim(weight) != 1 or getattr(weight, "dtype", None) not in FLOATS):
            got = (
                f"{weight.dtype} of shape {weight.shape}" if isinstance(weight, np.ndarray) else repr(weight)
            )
            raise ValueError(f"CrossEntropyLoss expects weight to be a float for each class, got {got}")
        (label_smoothing,) = real("CrossEntropyLoss", label_smoothing=label_smoothing)
        if not 0 <= label_smoothing <= 1:
            raise ValueError(f"CrossEntropyLoss expects label_smoothing in [0, 1], got {label_smoothing}")
        self.weight, self.ignore_index, self.label_smoothing = weight, ignore_index, label_smoothing

    def forward(
        self, prediction: Float[np.ndarray, "batch classes *rest"], target: Int[np.ndarray, "batch *rest"]
    ) -> float | Float[np.ndarray, "batch *rest"]:
        """The mean, the sum or each of the losses.

        Raises:
            ValueError: other shapes, float targets, or another number of classes than of weights.
            IndexError: a class id out of range.
        """
        check_floating(self, prediction=prediction)
        if prediction.ndim < 2 or np.shape(target) != (len(prediction), *prediction.shape[2:]):
            raise ValueError(
                f"{self!r} expects logits (N, C, …) and class ids (N, …), "
                f"got {prediction.shape} and {np.shape(target)}"
            )
        check_class_ids(self, target, prediction.shape[1], self.ignore_index)
        # One row of classes for each target.
        batch, classes, *rest = prediction.shape
        rows = prediction.reshape(batch, classes, math.prod(rest)).swapaxes(1, 2).reshape(-1, classes)
        ids = target.reshape(-1)
        counted = ids != self.ignore_index
        chosen = np.arange(len(ids)), np.where(counted, ids, 0)
        log_p = log_softmax(rows)
        q = self._answers(chosen, rows)
        if q is None:
            logs = log_p[chosen]
        elif self.label_smoothing:
            logs = np.einsum("nc,nc->n", q, log_p)
        else:  # of the other classes 0 · log 0 would be nan
            logs = q[chosen] * log_p[chosen]
        losses = np.where(counted, -logs, np.zeros((), log_p.dtype)).reshape(target.shape)
        weights = counted if self.weight is None else self.weight[chosen[1]] * counted
        self.count = float(weights.sum())
        self.save_for_backward(log_p, chosen, q, counted, self.count, prediction.shape)
        return self.reduce(losses, self.count)

    def _answers(self, chosen: tuple[np.ndarray, np.ndarray], rows: np.ndarray) -> np.ndarray | None:
        """q, one row for each target; None where it is 1 for the right class and else 0."""
        classes, smoothing = rows.shape[1], self.label_smoothing
        if self.weight is None and smoothing == 0:
            return None
        if self.weight is not None and len(self.weight) != classes:
            raise ValueError(f"{self!r} has {len(self.weight)} weights, got logits of {classes} classes")
        q = np.full_like(rows, smoothing / classes)
        q[chosen] += 1 - smoothing
        if self.weight is not None:
            q *= self.weight.astype(q.dtype)
        return q

    def backward(
        self, grad_output: float | Float[np.ndarray, "batch *rest"] | None = None
    ) -> Float[np.ndarray, "batch classes *rest"]:
        log_p, chosen, q, counted, count, (batch, classes, *rest) = self.saved
        scale = self.grad_losses(grad_output, (batch, *rest), log_p.dtype, count)
        grad: np.ndarray = np.exp(log_p)
        if q is None:
            # dl/dx_i = e^{log_p_i} - δ_ic
            grad[chosen] -= 1
        else:
            # dl/dx_i = e^{log_p_i} Σ_j q_j - q_i
            grad *= q.sum(axis=1, keepdims=True)
            grad -= q
        grad *= np.where(counted, scale.reshape(-1), np.zeros((), log_p.dtype))[:, None]
        return grad.reshape(batch, math.prod(rest), classes).swapaxes(1, 2).reshape(batch, classes, *rest)

    def extra_repr(self) -> str:
        weight = "" if self.weight is None else f"weight of {len(self.weight)} classes, "
        smoothing = f", label_smoothing={self.label_smoothing}" if self.label_smoothing else ""
        return f"{weight}ignore_index={self.ignore_index}, {super().extra_repr()}{smoothing}"
