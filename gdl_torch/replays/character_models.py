"""Chapter 14's RNN and LSTM as learners in torch, from the same weights as their twins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional as F

from gdl_numpy.replays import character_models
from gdl_torch import models
from gdl_torch.generation import generate
from gdl_torch.tasks import detached

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from jaxtyping import Int


class CharacterModel:
    """`gdl_numpy.replays.character_models.CharacterModel` on torch's RNN or LSTM."""

    def __init__(self, kind: str, vocabulary: int, size: int = 512) -> None:
        self.vocabulary = vocabulary
        self.model: Any = getattr(models, f"{kind}LanguageModel")(vocabulary, size, size)
        weights = character_models.CharacterModel(kind, vocabulary, size).model.state_dict()
        self.model.load_state_dict(
            {name: torch.from_numpy(weights[name.removesuffix("_l0")]) for name in self.model.state_dict()}
        )
        self.optimizer = torch.optim.SGD(self.model.parameters(), 0.0)
        self.state: Any = None

    def learn(
        self, inputs: Int[np.ndarray, "time batch"], targets: Int[np.ndarray, "time batch"], lr: float
    ) -> float:
        """A step on the mean cross-entropy of a batch; returns it."""
        state = None if self.state is None else detached(self.state)
        logits, self.state = self.model(torch.from_numpy(inputs), state)
        flat = torch.from_numpy(targets).reshape(-1)
        loss = F.cross_entropy(logits.reshape(-1, self.vocabulary), flat)
        self.optimizer.param_groups[0]["lr"] = lr
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        return loss.item()

    def write(self, prompt: Sequence[int], length: int) -> list[int]:
        """Goes on from a prompt with the likeliest token each time."""
        return list(generate(self.model, prompt, length, top_k=1))
