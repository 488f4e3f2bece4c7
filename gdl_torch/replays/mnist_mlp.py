"""Chapter 8's first network in torch; see its twin for the rule."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from gdl_numpy import replays
from gdl_torch.replays.listing import Listing


class MLP(Listing):
    """h = relu(x W₁), out = h W₂, loss ½ Σ (out − y)²; printed: δ₁ = (δ₂ W₂ᵀ)∘1[h ≥ 0]."""

    twin: ClassVar[type[replays.Listing]] = replays.MLP
    W1: nn.Parameter
    W2: nn.Parameter

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        h = torch.relu(x @ self.W1)
        out = h @ self.W2
        self.outputs, self.saved = out.detach(), (h.detach(),)
        return 0.5 * ((out - y) ** 2).sum()

    def printed(self, x: Tensor, y: Tensor) -> None:
        (h,) = self.saved
        delta2 = self.outputs - y
        delta1 = delta2 @ self.W2.T * (h >= 0)
        self.W2.grad = h.T @ delta2
        self.W1.grad = x.T @ delta1

    @torch.no_grad()
    def predict(self, x: Tensor) -> Tensor:
        return torch.relu(x @ self.W1) @ self.W2
