"""Chapter 8's network with dropout, 784-100-10, one image at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from gdl_numpy.replays.mnist_mlp import MLP, half_square, relu

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from jaxtyping import Float64, Int


class DropoutMLP(MLP):
    """h = relu(x W₁)∘2m with a mask m of zeros and ones, and as printed δ₁ = (δ₂ W₂ᵀ)∘1[h ≥ 0]∘m.

    The forward pass doubles what it keeps, so the way back through it is 2m.
    """

    terms: ClassVar[Mapping[str, str]] = {
        **MLP.terms,
        "dropout": "the way back through dropout: 2·mask, as on the way forward, not mask",
    }

    def __init__(
        self, hidden: int = 100, *, alpha: float = 0.005, seed: int = 1, corrected: Collection[str] = ()
    ) -> None:
        super().__init__(hidden, alpha=alpha, seed=seed, corrected=corrected)

    def draw_mask(self, batch: int) -> Int[np.ndarray, "batch hidden"]:
        return self.stream.randint(2, size=(batch, self.W1.data.shape[1]))

    def forward(  # type: ignore[override]  # there is a mask besides
        self,
        x: Float64[np.ndarray, "batch pixels"],
        y: Float64[np.ndarray, "batch classes"],
        mask: Int[np.ndarray, "batch hidden"],
    ) -> float:
        h = relu(x @ self.W1.data)
        h *= mask * 2
        self.outputs = h @ self.W2.data
        error = self.outputs - y
        self.save_for_backward(x, h, error, mask)
        return half_square(error)

    def backward(self, grad_output: float) -> None:
        x, h, error, _ = self.saved
        delta2 = grad_output * error
        self.W1.accumulate(x.T @ self.delta1(delta2, self.W2.data))
        self.W2.accumulate(h.T @ delta2)

    def delta1(
        self, delta2: Float64[np.ndarray, "batch classes"], w2: Float64[np.ndarray, "hidden classes"]
    ) -> Float64[np.ndarray, "batch hidden"]:
        """What the listing takes for the gradient of x W₁."""
        _, h, _, mask = self.saved
        slope = h > 0 if "slope" in self.corrected else h >= 0
        kept = 2 * mask if "dropout" in self.corrected else mask
        delta1: np.ndarray = delta2 @ w2.T * slope * kept
        return delta1
