"""The torch twin of every model in `gdl_numpy.models`, under the same name."""

from __future__ import annotations

from gdl_torch.classifier import Classifier
from gdl_torch.models.cnn import CNN
from gdl_torch.models.mlp import MLP

MODELS: dict[str, type[Classifier]] = {"MLP": MLP, "CNN": CNN}

__all__ = ["CNN", "MLP", "MODELS"]
