"""Chapter 10's network: 16 kernels of 3×3, tanh, dropout and a softmax, on batches of 128."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from gdl_numpy.replays.mnist_softmax import TanhDropoutSoftmax

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from jaxtyping import Float64, Int

SIDE, KERNEL = 28, 3
# The listing's loops end one short, so that the last row and column of sections is left out: 25, not 26.
PLACES = SIDE - KERNEL
BLOCK = 25  # test images whose hidden layer (2 MB) stays near the processor


class CNN(TanhDropoutSoftmax):
    """z = the 625 sections of each image, times K; then as chapter 9, but K moves up the slope.

    The listing subtracts alpha·sectionsᵀδ₁, and its δ is y − p, which points down already. So W₂ descends,
    and K climbs.

    Attributes:
        K: (9, kernels)
        W2: (625 · kernels, 10), the section's index before the kernel's
    """

    terms: ClassVar[Mapping[str, str]] = {
        **TanhDropoutSoftmax.terms,
        "sign": "K += α·sectionsᵀδ₁, since δ is y − p, not K −=, which climbs",
    }
    batch_size = 128

    def __init__(
        self, kernels: int = 16, *, alpha: float = 2.0, seed: int = 1, corrected: Collection[str] = ()
    ) -> None:
        super().__init__(alpha, seed, corrected)
        self.K = self.uniform(0.02, KERNEL * KERNEL, kernels)
        self.W2 = self.uniform(0.2, PLACES * PLACES * kernels, 10)

    def forward(
        self,
        x: Float64[np.ndarray, "batch pixels"],
        y: Float64[np.ndarray, "batch classes"],
        mask: Int[np.ndarray, "batch hidden"],
    ) -> float:
        flat = sections(x)
        z = flat @ self.K.data
        return self.outputs_of(flat, np.tanh(z, out=z).reshape(len(x), -1), y, mask)

    def backward(self, grad_output: float) -> None:
        flat = self.saved[0]
        grad = flat.T @ self.delta1(grad_output).reshape(len(flat), -1)
        self.K.accumulate(grad if "sign" in self.corrected else -grad)

    def predict(self, x: Float64[np.ndarray, "batch pixels"]) -> Float64[np.ndarray, "batch classes"]:
        outputs = np.empty((len(x), self.W2.data.shape[1]))
        for start in range(0, len(x), BLOCK):
            z = sections(x[start : start + BLOCK]) @ self.K.data
            h = np.tanh(z, out=z).reshape(-1, len(self.W2.data))
            outputs[start : start + BLOCK] = h @ self.W2.data
        return outputs


def sections(x: Float64[np.ndarray, "batch pixels"]) -> Float64[np.ndarray, "sections pixels_of_one"]:
    """The 3×3 sections of each image whose corner is in rows and columns 0 … 24, one a row."""
    images = x.reshape(-1, SIDE, SIDE)
    found = np.empty((len(images), PLACES, PLACES, KERNEL, KERNEL))
    for row in range(KERNEL):
        for column in range(KERNEL):  # nine slices: long copies, where a window at a time would be short ones
            found[..., row, column] = images[:, row : row + PLACES, column : column + PLACES]
    return found.reshape(-1, KERNEL * KERNEL)
