"""The book's models; each has a twin of the same name and state_dict keys in ``gdl_torch.models``."""

from typing import Any

from gdl_numpy.models.cnn import CNN
from gdl_numpy.models.mlp import MLP

MODELS: dict[str, type[Any]] = {"MLP": MLP, "CNN": CNN}  # Modules, each with constructor arguments of its own

__all__ = ["CNN", "MLP", "MODELS"]
