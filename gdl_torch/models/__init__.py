"""The torch twin of every model in `gdl_numpy.models`, under the same name."""

from __future__ import annotations

from gdl_torch.models.cnn import CNN
from gdl_torch.models.contrastive import ContrastiveEncoder
from gdl_torch.models.embeddings import FillInTheBlank, SentimentClassifier
from gdl_torch.models.language_model import LanguageModel
from gdl_torch.models.lstm import LSTMLanguageModel
from gdl_torch.models.mlp import MLP
from gdl_torch.models.pretext import Colorizer, PatchInpainter, RotationClassifier
from gdl_torch.models.pretext_text import MaskedWord, SentenceOrder
from gdl_torch.models.rnn import RNNLanguageModel, TransitionMatrixLM
from gdl_torch.models.spam import SpamClassifier
from gdl_torch.tasks import Task

MODELS: dict[str, type[Task]] = {
    "MLP": MLP,
    "CNN": CNN,
    "TransitionMatrixLM": TransitionMatrixLM,
    "RNNLanguageModel": RNNLanguageModel,
    "LSTMLanguageModel": LSTMLanguageModel,
    "SentimentClassifier": SentimentClassifier,
    "FillInTheBlank": FillInTheBlank,
    "ContrastiveEncoder": ContrastiveEncoder,
    "RotationClassifier": RotationClassifier,
    "PatchInpainter": PatchInpainter,
    "Colorizer": Colorizer,
    "SentenceOrder": SentenceOrder,
    "MaskedWord": MaskedWord,
    "SpamClassifier": SpamClassifier,
}

__all__ = [
    "CNN",
    "MLP",
    "MODELS",
    "Colorizer",
    "ContrastiveEncoder",
    "FillInTheBlank",
    "LSTMLanguageModel",
    "LanguageModel",
    "MaskedWord",
    "PatchInpainter",
    "RNNLanguageModel",
    "RotationClassifier",
    "SentenceOrder",
    "SentimentClassifier",
    "SpamClassifier",
    "TransitionMatrixLM",
]
