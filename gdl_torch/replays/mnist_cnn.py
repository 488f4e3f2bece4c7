"""Chapter 10's network in torch; see its twin for the rule."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gdl_numpy import replays
from gdl_numpy.replays.mnist_cnn import BLOCK, KERNEL, PLACES, SIDE
from gdl_torch.replays.mnist_softmax import TanhDropoutSoftmax


class CNN(TanhDropoutSoftmax):
    """z = sections K; printed: K −= α·sectionsᵀδ₁ where δ is y − p."""

    twin = replays.CNN
    K: nn.Parameter

    def forward(self, x: Tensor, y: Tensor, mask: Tensor) -> Tensor:
        return self.loss_of((sections(x) @ self.K).reshape(len(x), -1), y, mask)

    def printed(self, x: Tensor, y: Tensor, mask: Tensor) -> None:
        delta1 = self.printed_delta1(y, mask)
        self.K.grad = -(sections(x).T @ delta1.reshape(-1, self.K.shape[1]))

    @torch.no_grad()
    def predict(self, x: Tensor) -> Tensor:
        hidden = ((sections(block) @ self.K).tanh_() for block in torch.split(x, BLOCK))
        return torch.cat([h.reshape(-1, len(self.W2)) @ self.W2 for h in hidden])


def sections(x: Tensor) -> Tensor:
    """The 3×3 sections of each image whose corner is in rows and columns 0 … 24, one a row."""
    windows = x.reshape(-1, SIDE, SIDE).unfold(1, KERNEL, 1).unfold(2, KERNEL, 1)
    return windows[:, :PLACES, :PLACES].reshape(-1, KERNEL * KERNEL)
