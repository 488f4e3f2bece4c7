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
from gdl_numpy.nn.checks import check_class_ids, check_floating, check_grad_output, check_same_shape
from gdl_numpy.nn.module import Module

if TYPE_CHECKING:
    from jaxtyping import Float, Int

Reduction = Literal["mean", "sum", "none"]
# torch keeps this constant in float32, also when it computes in float64.
BCE_EPSILON = float(np.float32(1e-12))


class Loss(Module):
    """What all losses share: the reduction of the single losses to one number, forward and backward."""

    def __init__(self, reduction: Reduction = "mean") -> None:
        """Raises ValueError for another reduction than "mean", "sum" and "none"."""
        if reduction not in ("mean", "sum", "none"):
            raise ValueError(
                f'{type(self).__name__} expects reduction "mean", "sum" or "none", got {reduction!r}'
            )
        self.reduction = reduction

    def reduce(self, losses: np.ndarray, count: int) -> float | np.ndarray:
        """The mean over `count` (nan if that is 0, as in torch), the sum, or the losses as they are."""
        if self.reduction == "none":
            return losses
        total = float(losses.sum())
        if self.reduction == "sum":
            return total
        return total / count if count else float("nan")

    def grad_losses(
        self, grad_output: float | np.ndarray | None, shape: tuple[int, ...], dtype: np.dtype, count: int
    ) -> np.ndarray:
        """dL/dlosses, of a shape that broadcasts to `shape`, from dL/d(what forward gave), by default 1."""
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
        scale = 1 / max(count, 1) if self.reduction == "mean" else 1.0
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

    Logits are (N, C) or (N, C, d…), class ids (N,) or (N, d…) with values in [0, C). Targets equal to
    `ignore_index` count neither in the loss nor in the mean's denominator, and their gradient is 0.
    """

    def __init__(self, ignore_index: int = -100, reduction: Reduction = "mean") -> None:
        super().__init__(reduction)
        self.ignore_index = ignore_index

    def forward(
        self, prediction: Float[np.ndarray, "batch classes *rest"], target: Int[np.ndarray, "batch *rest"]
    ) -> float | Float[np.ndarray, "batch *rest"]:
        """Raises ValueError for other shapes or float targets, IndexError for a class id out of range."""
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
        count = int(np.count_nonzero(counted))
        chosen = np.arange(len(ids)), np.where(counted, ids, 0)
        log_p = log_softmax(rows)
        losses = np.where(counted, -log_p[chosen], np.zeros((), log_p.dtype)).reshape(target.shape)
        self.save_for_backward(log_p, chosen, counted, count, prediction.shape)
        return self.reduce(losses, count)

    def backward(
        self, grad_output: float | Float[np.ndarray, "batch *rest"] | None = None
    ) -> Float[np.ndarray, "batch classes *rest"]:
        log_p, chosen, counted, count, (batch, classes, *rest) = self.saved
        scale = self.grad_losses(grad_output, (batch, *rest), log_p.dtype, count)
        # dl/dx_i = e^{log_p_i} - δ_ic
        grad: np.ndarray = np.exp(log_p)
        grad[chosen] -= 1
        grad *= np.where(counted, scale.reshape(-1), np.zeros((), log_p.dtype))[:, None]
        return grad.reshape(batch, math.prod(rest), classes).swapaxes(1, 2).reshape(batch, classes, *rest)

    def extra_repr(self) -> str:
        return f"ignore_index={self.ignore_index}, {super().extra_repr()}"
