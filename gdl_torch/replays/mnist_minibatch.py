"""Chapter 8's network with dropout on mini-batches in torch; see its twin for the rule."""

from __future__ import annotations

from torch import Tensor

from gdl_numpy import replays
from gdl_torch.replays.mnist_dropout import DropoutMLP


class MiniBatchMLP(DropoutMLP):
    """Printed: a hundred steps from each batch, with the h and out of the first, taken here as one."""

    twin = replays.MiniBatchMLP

    def printed(  # type: ignore[override]  # there is a mask besides
        self, x: Tensor, y: Tensor, mask: Tensor
    ) -> None:
        (h,) = self.saved
        delta2 = self.outputs - y
        self.W2.grad = h.T @ delta2
        n = self.batch_size
        mean_w2 = self.W2 - (n - 1) / 2 * self.source.alpha / n * self.W2.grad
        self.W1.grad = x.T @ (delta2 @ mean_w2.T * (h >= 0) * mask)
