"""Chapter 8's network with dropout in torch; see its twin for the rule."""

from __future__ import annotations

import torch
from torch import Tensor

from gdl_numpy import replays
from gdl_torch.replays.mnist_mlp import MLP


class DropoutMLP(MLP):
    """h = relu(x W₁)∘2m; printed: δ₁ = (δ₂ W₂ᵀ)∘1[h ≥ 0]∘m."""

    twin = replays.DropoutMLP

    def forward(  # type: ignore[override]  # there is a mask besides
        self, x: Tensor, y: Tensor, mask: Tensor
    ) -> Tensor:
        h = torch.relu(x @ self.W1) * (mask * 2)
        out = h @ self.W2
        self.outputs, self.saved = out.detach(), (h.detach(),)
        return 0.5 * ((out - y) ** 2).sum()

    def printed(  # type: ignore[override]
        self, x: Tensor, y: Tensor, mask: Tensor
    ) -> None:
        (h,) = self.saved
        delta2 = self.outputs - y
        delta1 = delta2 @ self.W2.T * (h >= 0) * mask
        self.W2.grad = h.T @ delta2
        self.W1.grad = x.T @ delta1
