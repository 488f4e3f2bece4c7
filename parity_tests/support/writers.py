"""Untrained language models that write, each in its own way, and the text whose characters they know."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from gdl_numpy.data import Vocabulary
from gdl_numpy.models import LSTMLanguageModel, RNNLanguageModel, TransitionMatrixLM
from gdl_torch.export import from_numpy
from gdl_torch.models import LanguageModel

if TYPE_CHECKING:
    from collections.abc import Callable

WRITERS_TEXT = "Née à l'aube,\n☃ 字字 𝄞 e\u0301 — 'twas said.\n"
WRITERS_VOCABULARY = Vocabulary.build(WRITERS_TEXT)

WRITERS: dict[str, Callable[..., Any]] = {
    "TransitionMatrixLM": partial(TransitionMatrixLM, embedding_dim=6),
    "RNNLanguageModel": partial(RNNLanguageModel, embedding_dim=9, hidden_size=16, num_layers=2, dropout=0.5),
    "relu": partial(RNNLanguageModel, embedding_dim=9, hidden_size=16, nonlinearity="relu"),
    "LSTMLanguageModel": partial(
        LSTMLanguageModel, embedding_dim=9, hidden_size=16, num_layers=2, dropout=0.5
    ),
    "one layer": partial(LSTMLanguageModel, embedding_dim=9, hidden_size=16),
}


def writer(name: str, vocab_size: int = len(WRITERS_VOCABULARY), dtype: str = "float32") -> Any:
    """A model with opinions: its first weights are all but indifferent to what comes next."""
    model = WRITERS[name](vocab_size=vocab_size, rng=3, dtype=dtype)
    model.decoder.weight.data[...] *= 100 if name == "TransitionMatrixLM" else 10
    return model


def twin_of(model: Any) -> Any:
    twin = from_numpy(model)
    assert isinstance(twin, LanguageModel)
    twin.vocabulary = WRITERS_VOCABULARY
    return twin
