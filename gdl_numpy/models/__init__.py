"""The book's models; each has a twin of the same name and state_dict keys in `gdl_torch.models`."""

from typing import Any

from gdl_numpy.models.cnn import CNN
from gdl_numpy.models.contrastive import ContrastiveEncoder
from gdl_numpy.models.embeddings import FillInTheBlank, SentimentClassifier
from gdl_numpy.models.language_model import LanguageModel
from gdl_numpy.models.lstm import LSTMLanguageModel
from gdl_numpy.models.mlp import MLP
from gdl_numpy.models.pretext import Colorizer, ImagePretext, PatchInpainter, RotationClassifier
from gdl_numpy.models.pretext_text import MaskedWord, SentenceOrder
from gdl_numpy.models.rnn import RNNLanguageModel, TransitionMatrixLM
from gdl_numpy.models.spam import SpamClassifier

# Modules, each with constructor arguments of its own.
MODELS: dict[str, type[Any]] = {
    model.__name__: model
    for model in (
        MLP,
        CNN,
        TransitionMatrixLM,
        RNNLanguageModel,
        LSTMLanguageModel,
        SentimentClassifier,
        FillInTheBlank,
        ContrastiveEncoder,
        RotationClassifier,
        PatchInpainter,
        Colorizer,
        SentenceOrder,
        MaskedWord,
        SpamClassifier,
    )
}

__all__ = [
    "CNN",
    "MLP",
    "MODELS",
    "Colorizer",
    "ContrastiveEncoder",
    "FillInTheBlank",
    "ImagePretext",
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
