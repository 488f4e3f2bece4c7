"""Chapter 9's network in torch; see its twin for the rule."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gdl_numpy import replays
from gdl_torch.replays.listing import Listing


class TanhDropoutSoftmax(Listing):
    """What chapters 9 and 10 have in common: tanh, dropout, softmax, loss −Σ y log p / n²."""

    W2: nn.Parameter

    def loss_of(self, z: Tensor, y: Tensor, mask: Tensor) -> Tensor:
        """The forward pass from z on."""
        h = torch.tanh(z) * (mask * 2)
        logits = h @ self.W2
        self.outputs, self.saved = logits.detach().softmax(1), (h.detach(),)
        return F.cross_entropy(logits, y, reduction="sum") / len(y) ** 2

    def printed_delta1(self, y: Tensor, mask: Tensor) -> Tensor:
        """δ₁ = (δ₂ W₂ᵀ)∘(1 − h²)∘m, with h after dropout; and W₂'s gradient."""
        (h,) = self.saved
        delta2 = (self.outputs - y) / len(y) ** 2
        self.W2.grad = h.T @ delta2
        return delta2 @ self.W2.T * (1 - h**2) * mask


class SoftmaxMLP(TanhDropoutSoftmax):
    """z = x W₁."""

    twin = replays.SoftmaxMLP
    W1: nn.Parameter

    def forward(self, x: Tensor, y: Tensor, mask: Tensor) -> Tensor:
        return self.loss_of(x @ self.W1, y, mask)

    def printed(self, x: Tensor, y: Tensor, mask: Tensor) -> None:
        self.W1.grad = x.T @ self.printed_delta1(y, mask)

    @torch.no_grad()
    def predict(self, x: Tensor) -> Tensor:
        return torch.tanh(x @ self.W1) @ self.W2
