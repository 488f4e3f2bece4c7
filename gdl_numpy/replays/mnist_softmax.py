"""Chapter 9's network: 784-100-10 with tanh, dropout and a softmax, on batches of 100."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from gdl_numpy.nn.module import Parameter
from gdl_numpy.replays.listing import Listing, softmax

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from jaxtyping import Float64, Int


class TanhDropoutSoftmax(Listing):
    """What chapters 9 and 10 have in common: tanh, dropout, softmax, and the printed way back through them.

    t = tanh(z), h = 2m∘t, p = softmax(h W₂), and the loss −Σ y log p / n², of a batch of n: the printed δ₂ is
    (y − p)/n², a further n-th of what the mean needs, which alpha makes up for. As printed the way back from
    h to z is (1 − h²)∘m. Right is 2m∘(1 − t²): where a unit is kept, h is 2t, and 1 − h² = 1 − 4t².
    """

    terms: ClassVar[Mapping[str, str]] = {
        "slope": "tanh's slope: 1 − t² of tanh's own output t, not 1 − h² of h = 2t after dropout",
        "dropout": "the way back through dropout: 2·mask, as on the way forward, not mask",
    }
    W2: Parameter

    def draw_mask(self, batch: int) -> Int[np.ndarray, "batch hidden"]:
        return self.stream.randint(2, size=(batch, len(self.W2.data)))

    def outputs_of(
        self,
        x: Float64[np.ndarray, "*any"],
        t: Float64[np.ndarray, "batch hidden"],
        y: Float64[np.ndarray, "batch classes"],
        mask: Int[np.ndarray, "batch hidden"],
    ) -> float:
        """The forward pass from t on; returns the loss."""
        h = t * (mask * 2)
        self.outputs = softmax(h @ self.W2.data)
        self.save_for_backward(x, t, h, y, mask)
        return -float((y * np.log(self.outputs)).sum()) / len(y) ** 2

    def delta1(self, grad_output: float) -> Float64[np.ndarray, "batch hidden"]:
        """Gathers W₂'s gradient, and returns what the listing takes for that of z."""
        _, t, h, y, mask = self.saved
        delta2 = grad_output * (self.outputs - y) / len(y) ** 2
        delta1: np.ndarray = delta2 @ self.W2.data.T
        output = t if "slope" in self.corrected else h
        delta1 *= 1 - output**2
        delta1 *= 2 * mask if "dropout" in self.corrected else mask
        self.W2.accumulate(h.T @ delta2)
        return delta1


class SoftmaxMLP(TanhDropoutSoftmax):
    """Chapter 9's: z = x W₁.

    Attributes:
        W1: (784, hidden)
        W2: (hidden, 10)
    """

    batch_size = 100

    def __init__(
        self, hidden: int = 100, *, alpha: float = 2.0, seed: int = 1, corrected: Collection[str] = ()
    ) -> None:
        super().__init__(alpha, seed, corrected)
        self.W1 = self.uniform(0.02, 784, hidden)
        self.W2 = self.uniform(0.2, hidden, 10)

    def forward(
        self,
        x: Float64[np.ndarray, "batch pixels"],
        y: Float64[np.ndarray, "batch classes"],
        mask: Int[np.ndarray, "batch hidden"],
    ) -> float:
        return self.outputs_of(x, np.tanh(x @ self.W1.data), y, mask)

    def backward(self, grad_output: float) -> None:
        x = self.saved[0]
        self.W1.accumulate(x.T @ self.delta1(grad_output))

    def predict(self, x: Float64[np.ndarray, "batch pixels"]) -> Float64[np.ndarray, "batch classes"]:
        outputs: np.ndarray = np.tanh(x @ self.W1.data) @ self.W2.data
        return outputs
