"""Losses that say which vectors should lie close together, and which apart: rows of (N, D) batches.

`loss.backward()` gives a tuple: the gradient of each batch of vectors, in the order in which they went in.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from gdl_numpy.nn.checks import check_same_shape, real
from gdl_numpy.nn.loss import Loss, Reduction

if TYPE_CHECKING:
    from jaxtyping import Float, Shaped

# torch adds it to squared lengths, and keeps it in float32 also when it computes in float64.
COSINE_EPSILON = float(np.float32(1e-12))


class TripletMarginLoss(Loss):
    """An anchor a nearer to its positive p than to its negative n, as `torch.nn.TripletMarginLoss`.

        max(0, margin + d(a, p) - d(a, n)),   d(x, y) = ‖x - y + eps‖

    With `swap`, the lesser of d(a, n) and d(p, n) takes the place of d(a, n) (Balntas et al. 2016).
    Source: Schroff, Kalenichenko, Philbin 2015, https://arxiv.org/abs/1503.03832.
    """

    def __init__(
        self,
        margin: float = 1.0,
        p: float = 2,
        eps: float = 1e-6,
        swap: bool = False,
        *,
        reduction: Reduction = "mean",
    ) -> None:
        """Raises ValueError for a margin ≤ 0 (as torch) or infinite, or another norm p than 1 and 2."""
        super().__init__(reduction=reduction)
        (margin,) = real("TripletMarginLoss", margin=margin)
        if not 0 < margin < math.inf:
            raise ValueError(f"TripletMarginLoss expects a finite margin > 0, got {margin}")
        if p not in (1, 2):
            raise ValueError(f"TripletMarginLoss expects p to be 1 or 2, got {p}")
        self.margin, self.p, self.eps, self.swap = margin, p, eps, swap

    def forward(
        self,
        anchor: Float[np.ndarray, "batch size"],
        positive: Float[np.ndarray, "batch size"],
        negative: Float[np.ndarray, "batch size"],
    ) -> float | Float[np.ndarray, " batch"]:
        """Raises ValueError for other or unequal shapes or dtypes."""
        check_rows(self, anchor=anchor, positive=positive, negative=negative)
        near, d_near = self._distance(anchor, positive)
        far, d_far = self._distance(anchor, negative)
        # The lesser distance's gradient goes to whichever is the lesser, half to each where they are equal.
        swapped, share, share_swapped = None, np.ones_like(d_far), np.zeros_like(d_far)
        if self.swap:
            swapped, d_swapped = self._distance(positive, negative)
            equal = (d_far == d_swapped) * d_far.dtype.type(0.5)
            share, share_swapped = (d_far < d_swapped) + equal, (d_swapped < d_far) + equal
            d_far = np.minimum(d_far, d_swapped)
        losses = np.maximum(self.margin + d_near - d_far, 0)
        self.save_for_backward(near, far, swapped, share, share_swapped, losses)
        return self.reduce(losses, len(losses))

    def _distance(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """d(x, y) of each pair of rows, after its gradient by x; that by y is the opposite.

        dd/dx = (x - y + eps) / d for p = 2, its sign for p = 1; 0 where that is 0.
        """
        difference = x - y
        difference += self.eps
        if self.p == 1:
            sign = (difference > 0).astype(x.dtype) - (difference < 0)  # of nan 0, as torch's
            return sign, np.abs(difference).sum(axis=1)
        d = length(difference)
        difference /= np.where(d == 0, 1, d)[:, None]
        return difference, d

    def backward(
        self, grad_output: float | Float[np.ndarray, " batch"] | None = None
    ) -> tuple[Float[np.ndarray, "batch size"], ...]:
        """The gradients of anchor, positive and negative."""
        near, far, swapped, share, share_swapped, losses = self.saved
        scale = self.grad_losses(grad_output, losses.shape, losses.dtype, len(losses)) * (losses > 0)
        pull, push = scale[:, None] * near, (scale * share)[:, None] * far
        if swapped is None:
            return pull - push, -pull, push
        push_swapped = (scale * share_swapped)[:, None] * swapped
        return pull - push, -pull - push_swapped, push + push_swapped

    def extra_repr(self) -> str:
        return f"margin={self.margin}, p={self.p}, eps={self.eps}, swap={self.swap}, {super().extra_repr()}"


class CosineEmbeddingLoss(Loss):
    """Pairs that point the same way (target 1) or do not (target -1), as `torch.nn.CosineEmbeddingLoss`.

        1 - cos for target 1,    max(0, cos - margin) for target -1,    cos = x₁·x₂ / √(m₁ m₂)

    with m = x·x + 1e-12, so that a vector of zeros has cos = 0. The gradient of cos by x₁ is

        x₂ / √(m₁ m₂) - cos x₁ / m₁
    """

    def __init__(self, margin: float = 0.0, *, reduction: Reduction = "mean") -> None:
        """Raises ValueError for a margin that is no cosine."""
        super().__init__(reduction=reduction)
        (margin,) = real("CosineEmbeddingLoss", margin=margin)
        if not -1 <= margin <= 1:
            raise ValueError(f"CosineEmbeddingLoss expects margin in [-1, 1], got {margin}")
        self.margin = margin

    def forward(
        self,
        x1: Float[np.ndarray, "batch size"],
        x2: Float[np.ndarray, "batch size"],
        target: Shaped[np.ndarray, " batch"],
    ) -> float | Float[np.ndarray, " batch"]:
        """Raises ValueError for other or unequal shapes or dtypes, or targets that are not 1 and -1."""
        check_rows(self, x1=x1, x2=x2)
        check_targets(self, target, len(x1), (1, -1))
        m1, m2 = ((x * x).sum(axis=1) + COSINE_EPSILON for x in (x1, x2))
        product = np.sqrt(m1 * m2)
        cos = (x1 * x2).sum(axis=1) / product
        losses = np.where(target == 1, 1 - cos, np.maximum(cos - self.margin, 0))
        slope = np.where(target == 1, -1, cos > self.margin).astype(cos.dtype)
        self.save_for_backward(x1, x2, m1, m2, product, cos, slope)
        return self.reduce(losses, len(losses))

    def backward(
        self, grad_output: float | Float[np.ndarray, " batch"] | None = None
    ) -> tuple[Float[np.ndarray, "batch size"], Float[np.ndarray, "batch size"]]:
        """The gradients of x1 and x2."""
        x1, x2, m1, m2, product, cos, slope = self.saved
        scale = slope * self.grad_losses(grad_output, cos.shape, cos.dtype, len(cos))
        across = (scale / product)[:, None]
        return (
            across * x2 - (scale * cos / m1)[:, None] * x1,
            across * x1 - (scale * cos / m2)[:, None] * x2,
        )

    def extra_repr(self) -> str:
        return f"margin={self.margin}, {super().extra_repr()}"


class ContrastiveLoss(Loss):
    """Alike (y = 1) pulled together, unlike (y = 0) pushed apart until they are a margin apart.

        y d² + (1 - y) max(0, margin - d)²,    d = ‖x₁ - x₂‖

    so dL/dx₁ = 2 (y - (1 - y) max(0, margin - d) / d) (x₁ - x₂), dL/dx₂ its opposite. At d = 0 there is no
    direction to push in, and that term is 0.

    Source: Hadsell, Chopra, LeCun 2006, *Dimensionality Reduction by Learning an Invariant Mapping*, without
    the factors ½.
    """

    def __init__(self, margin: float = 1.0, *, reduction: Reduction = "mean") -> None:
        """Raises ValueError for a margin below 0, or infinite."""
        super().__init__(reduction=reduction)
        (margin,) = real("ContrastiveLoss", margin=margin)
        if not 0 <= margin < math.inf:
            raise ValueError(f"ContrastiveLoss expects a finite margin ≥ 0, got {margin}")
        self.margin = margin

    def forward(
        self,
        x1: Float[np.ndarray, "batch size"],
        x2: Float[np.ndarray, "batch size"],
        target: Shaped[np.ndarray, " batch"],
    ) -> float | Float[np.ndarray, " batch"]:
        """Raises ValueError for other or unequal shapes or dtypes, or targets that are not 0 and 1."""
        check_rows(self, x1=x1, x2=x2)
        check_targets(self, target, len(x1), (0, 1))
        difference, alike = x1 - x2, target == 1
        d = length(difference)
        missing = np.maximum(self.margin - d, 0)  # to the margin
        self.save_for_backward(difference, alike, d, missing)
        return self.reduce(np.where(alike, d, missing) ** 2, len(d))

    def backward(
        self, grad_output: float | Float[np.ndarray, " batch"] | None = None
    ) -> tuple[Float[np.ndarray, "batch size"], Float[np.ndarray, "batch size"]]:
        """The gradients of x1 and x2."""
        difference, alike, d, missing = self.saved
        push = np.divide(missing, d, out=np.zeros_like(d), where=d != 0)
        scale = 2 * self.grad_losses(grad_output, d.shape, d.dtype, len(d)) * np.where(alike, 1, -push)
        grad = scale.astype(d.dtype)[:, None] * difference
        return grad, -grad

    def extra_repr(self) -> str:
        return f"margin={self.margin}, {super().extra_repr()}"


def length(rows: Float[np.ndarray, "batch size"]) -> Float[np.ndarray, " batch"]:
    """‖row‖₂ of each."""
    lengths: np.ndarray = np.sqrt((rows * rows).sum(axis=1))
    return lengths


def check_rows(layer: object, **arrays: np.ndarray) -> None:
    """Raises ValueError for anything but (N, D) arrays of one shape and dtype, naming layer and shapes."""
    check_same_shape(layer, **arrays)
    for name, array in arrays.items():
        if array.ndim != 2:
            raise ValueError(f"{layer!r} expects {name} of shape (N, D), got {array.shape}")


def check_targets(layer: object, target: np.ndarray, count: int, allowed: tuple[int, int]) -> None:
    """Raises ValueError for anything but an array (count,) of the two allowed numbers, naming the layer."""
    if not isinstance(target, np.ndarray) or target.shape != (count,):
        raise ValueError(f"{layer!r} expects a target of shape ({count},), got {np.shape(target)}")
    wrong = ~np.isin(target, allowed)
    if wrong.any():
        raise ValueError(
            f"{layer!r} expects each target to be {allowed[0]} or {allowed[1]}, got {target[wrong][0]}"
        )
