"""SimCLR's loss: of all vectors in a batch, find those that show the same thing."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from gdl_numpy.nn.checks import real
from gdl_numpy.nn.loss import Loss, Reduction
from gdl_numpy.nn.normalize import normalize, normalize_backward
from gdl_numpy.nn.pair_loss import check_rows

if TYPE_CHECKING:
    from jaxtyping import Float

NORM_EPSILON = 1e-12  # Normalize's eps: vectors of zeros have similarity 0 to all others


class NTXentLoss(Loss):
    """Normalized, temperature-scaled cross-entropy: each vector's positives among all the other vectors.

    The rows of V views z₁ … z_V of N examples, V N in all, are scaled to unit length: Ẑ. S = Ẑ Ẑᵀ / τ are
    their cosine similarities over the temperature, without the diagonal: nobody is compared with himself. Row
    i is the logits of a classification whose right answers are the V - 1 other views of the same example. All
    are equally right, Y_ij = 1 / (V - 1), and so each is sought among all others, the right ones too:

        P = softmax(S)        loss_i = -Σ_j Y_ij log P_ij

    This is at least log(V - 1): with two views, SimCLR's own, 0. With w_i = dL/dloss_i, dL/dS = A,
    A_ij = w_i (P_ij - Y_ij). S_ij is made of two vectors, and each vector goes into a row and a column of S:

        dL/dẐ = (A Ẑ + Aᵀ Ẑ) / τ

    What normalization makes of that is in `Normalize`.

    An image that is twice in a batch is two images: views of one are negatives of the other.

    Sources: Chen, Kornblith, Norouzi, Hinton 2020, https://arxiv.org/abs/2002.05709; for more than two views
    Khosla et al. 2020, *Supervised Contrastive Learning*, equation 2, https://arxiv.org/abs/2004.11362.
    """

    def __init__(self, temperature: float = 0.5, *, reduction: Reduction = "mean") -> None:
        """Raises ValueError for a temperature that is not above 0, or infinite."""
        super().__init__(reduction=reduction)
        (temperature,) = real("NTXentLoss", temperature=temperature)
        if not 0 < temperature < math.inf:
            raise ValueError(f"NTXentLoss expects a finite temperature > 0, got {temperature}")
        self.temperature = temperature

    def forward(self, *views: Float[np.ndarray, "batch size"]) -> float | Float[np.ndarray, " views_batch"]:
        """The mean over all V N rows, or their losses, those of the first view first. One pair has loss 0.

        Args:
            views: two or more; row i of each is of example i.

        Raises:
            ValueError: a single view, other or unequal shapes or dtypes.
        """
        if len(views) < 2:
            raise ValueError(f"{self!r} expects two views or more, got {len(views)}")
        check_rows(self, **{f"z{number}": view for number, view in enumerate(views, 1)})
        z, norm = normalize(np.concatenate(views), 1, NORM_EPSILON)
        scores = z @ z.T.copy()  # of z and its own view BLAS makes half, and copies that slowly to the other
        scores /= self.temperature
        np.fill_diagonal(scores, -np.inf)
        scores -= scores.max(axis=1, keepdims=True, initial=np.finfo(z.dtype).min)
        losses = -scores[self._positives(len(views), len(z))].mean(axis=1)
        odds = np.exp(scores, out=scores)  # P, but for the sum of each row
        sums = odds.sum(axis=1)
        losses += np.log(sums)
        self.save_for_backward(z, norm, odds, sums, len(views))
        return self.reduce(losses, len(losses))

    def _positives(self, views: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        """All rows i, (V N, 1), and the places of their positives, (V N, V - 1): N, 2N … further on."""
        rows = np.arange(count)[:, None]
        return rows, (rows + count // views * np.arange(1, views)) % count

    def backward(
        self, grad_output: float | Float[np.ndarray, " views_batch"] | None = None
    ) -> tuple[Float[np.ndarray, "batch size"], ...]:
        """The gradients of the views."""
        z, norm, odds, sums, views = self.saved
        w = np.broadcast_to(self.grad_losses(grad_output, sums.shape, z.dtype, len(z)), sums.shape)
        a = odds * (w / sums)[:, None]
        a[self._positives(views, len(z))] -= w[:, None] / (views - 1)
        grad_z = a @ z
        grad_z += a.T @ z  # a second product is faster than a + a.T, which goes against the order in memory
        grad_z /= self.temperature
        grad = normalize_backward(grad_z, z, norm, 1, NORM_EPSILON)
        return tuple(np.split(grad, views))

    def extra_repr(self) -> str:
        return f"temperature={self.temperature}, {super().extra_repr()}"
