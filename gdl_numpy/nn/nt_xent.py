"""SimCLR's loss: of all vectors in a batch, find the one that shows the same thing."""

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
    """Normalized, temperature-scaled cross-entropy: each vector's positive among all the other vectors.

    The rows of z₁ and z₂, 2N in all, are scaled to unit length: Ẑ. S = Ẑ Ẑᵀ / τ are their cosine similarities
    over the temperature, without the diagonal: nobody is compared with himself. Row i is the logits of a
    classification whose right answer p(i) is the other view of the same example:

        P = softmax(S)        loss_i = -log P[i, p(i)]

    With w_i = dL/dloss_i and Y the matrix of right answers, dL/dS = A, A_ij = w_i (P_ij - Y_ij). S_ij is made
    of two vectors, and each vector goes into a row and a column of S:

        dL/dẐ = (A Ẑ + Aᵀ Ẑ) / τ

    What normalization makes of that is in `Normalize`.

    An image that is twice in a batch is two images: views of one are negatives of the other.

    Source: Chen, Kornblith, Norouzi, Hinton 2020, https://arxiv.org/abs/2002.05709.
    """

    def __init__(self, temperature: float = 0.5, *, reduction: Reduction = "mean") -> None:
        """Raises ValueError for a temperature that is not above 0, or infinite."""
        super().__init__(reduction=reduction)
        (temperature,) = real("NTXentLoss", temperature=temperature)
        if not 0 < temperature < math.inf:
            raise ValueError(f"NTXentLoss expects a finite temperature > 0, got {temperature}")
        self.temperature = temperature

    def forward(
        self, z1: Float[np.ndarray, "batch size"], z2: Float[np.ndarray, "batch size"]
    ) -> float | Float[np.ndarray, " twice_batch"]:
        """The mean over all 2N rows, or their losses, those of z1 first. A single pair has loss 0.

        Raises:
            ValueError: other or unequal shapes or dtypes.
        """
        check_rows(self, z1=z1, z2=z2)
        z, norm = normalize(np.concatenate([z1, z2]), 1, NORM_EPSILON)
        scores = z @ z.T.copy()  # of z and its own view BLAS makes half, and copies that slowly to the other
        scores /= self.temperature
        np.fill_diagonal(scores, -np.inf)
        scores -= scores.max(axis=1, keepdims=True, initial=np.finfo(z.dtype).min)
        rows, positives = self._pairs(len(z1))
        losses = -scores[rows, positives]
        odds = np.exp(scores, out=scores)  # P, but for the sum of each row
        sums = odds.sum(axis=1)
        losses += np.log(sums)
        self.save_for_backward(z, norm, odds, sums)
        return self.reduce(losses, len(losses))

    def _pairs(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """All rows i, and p(i): N further on, or back."""
        rows = np.arange(2 * count)
        return rows, np.roll(rows, count)

    def backward(
        self, grad_output: float | Float[np.ndarray, " twice_batch"] | None = None
    ) -> tuple[Float[np.ndarray, "batch size"], Float[np.ndarray, "batch size"]]:
        """The gradients of z1 and z2."""
        z, norm, odds, sums = self.saved
        count = len(z) // 2
        w = np.broadcast_to(self.grad_losses(grad_output, sums.shape, z.dtype, len(z)), sums.shape)
        a = odds * (w / sums)[:, None]
        a[self._pairs(count)] -= w
        grad_z = a @ z
        grad_z += a.T @ z  # a second product is faster than a + a.T, which goes against the order in memory
        grad_z /= self.temperature
        grad = normalize_backward(grad_z, z, norm, 1, NORM_EPSILON)
        return grad[:count], grad[count:]

    def extra_repr(self) -> str:
        return f"temperature={self.temperature}, {super().extra_repr()}"
