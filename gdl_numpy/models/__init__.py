"""The book's models; each has a twin of the same name in ``gdl_torch.models`` with the same state_dict keys."""

from gdl_numpy.models.cnn import CNN
from gdl_numpy.models.mlp import MLP
from gdl_numpy.nn import Module

MODELS: dict[str, type[Module]] = {"MLP": MLP, "CNN": CNN}

__all__ = ["CNN", "MLP", "MODELS"]
