"""The torch twin of every model in `gdl_numpy.models`, under the same name."""

from __future__ import annotations

from gdl_torch.models.cnn import CNN
from gdl_torch.models.lstm import LSTMLanguageModel
from gdl_torch.models.mlp import MLP
from gdl_torch.models.rnn import RNNLanguageModel, TransitionMatrixLM
from gdl_torch.module import Model

MODELS: dict[str, type[Model]] = {
    "MLP": MLP,
    "CNN": CNN,
    "TransitionMatrixLM": TransitionMatrixLM,
    "RNNLanguageModel": RNNLanguageModel,
    "LSTMLanguageModel": LSTMLanguageModel,
}

__all__ = ["CNN", "MLP", "MODELS", "LSTMLanguageModel", "RNNLanguageModel", "TransitionMatrixLM"]
