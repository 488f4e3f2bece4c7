"""Chapter 8's first network: 784-40-10, ReLU, squared error, one image at a time; and chapter 6's."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from gdl_numpy.replays.listing import Listing

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from jaxtyping import Float64


class MLP(Listing):
    """h = relu(x W₁), out = h W₂, loss ½ Σ (out − y)², and as printed δ₁ = (δ₂ W₂ᵀ)∘1[h ≥ 0].

    No h is below 0 once the ReLU is done, so the printed slope is 1 everywhere, and units that were off learn
    as if they had been on. Chapter 6's deep network has the same rule with 1[h > 0], the ReLU's slope.

    Attributes:
        W1: (in_features, hidden)
        W2: (hidden, out_features)
    """

    terms: ClassVar[Mapping[str, str]] = {
        "slope": "the ReLU's slope: 1[h > 0], not 1[h ≥ 0], which is 1 for every h"
    }
    logs_errors = True

    def __init__(
        self,
        hidden: int = 40,
        *,
        in_features: int = 784,
        out_features: int = 10,
        spread: float = 0.2,
        alpha: float = 0.005,
        seed: int = 1,
        corrected: Collection[str] = (),
    ) -> None:
        super().__init__(alpha, seed, corrected)
        self.W1 = self.uniform(spread, in_features, hidden)
        self.W2 = self.uniform(spread, hidden, out_features)

    def forward(
        self, x: Float64[np.ndarray, "batch pixels"], y: Float64[np.ndarray, "batch classes"]
    ) -> float:
        h = relu(x @ self.W1.data)
        self.outputs = h @ self.W2.data
        error = self.outputs - y
        self.save_for_backward(x, h, error)
        return half_square(error)

    def backward(self, grad_output: float) -> None:
        x, h, error = self.saved
        delta2 = grad_output * error  # the book's is y − out, which it adds; this is subtracted
        slope = h > 0 if "slope" in self.corrected else h >= 0
        delta1 = delta2 @ self.W2.data.T * slope
        self.W2.accumulate(h.T @ delta2)
        self.W1.accumulate(x.T @ delta1)

    def predict(self, x: Float64[np.ndarray, "batch pixels"]) -> Float64[np.ndarray, "batch classes"]:
        outputs: np.ndarray = relu(x @ self.W1.data) @ self.W2.data
        return outputs


def relu(x: Float64[np.ndarray, "batch hidden"]) -> Float64[np.ndarray, "batch hidden"]:
    h: np.ndarray = (x >= 0) * x
    return h


def half_square(error: Float64[np.ndarray, "batch classes"]) -> float:
    """½ Σ (out − y)²: the printed error's half, since the book leaves out the 2 of its derivative."""
    return 0.5 * float((error * error).sum())
