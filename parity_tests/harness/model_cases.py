"""The registry of models: a row puts a new one under every test there is, and into ``scripts/compare.py``."""

from __future__ import annotations

import inspect
from collections.abc import Mapping  # noqa: TC003 (dataclasses are read under beartype)
from dataclasses import dataclass, field
from typing import Any

import torch

from gdl_numpy import models, nn, tasks
from gdl_numpy.data import AnyDataset, Dataset, ReviewDataset, SentenceDataset, TextDataset, material
from gdl_torch import models as torch_models
from parity_tests.harness import examples, feeding

TEXT = (TextDataset, SentenceDataset)
ANY_TEXT = (ReviewDataset, TextDataset, SentenceDataset)


@dataclass(frozen=True)
class ModelCase:
    """A model that both sides have under ``name``.

    Attributes:
        variants: constructor arguments, small enough to test: together they use all that the model can have.
        example: inputs and targets that fit the variants.
        feed: how ``compare.py`` feeds it.
        takes: the kinds of data set that it can be fed.
        data: what ``compare.py`` feeds it by default.
        compared: constructor arguments of each row of ``compare.py``, apart from sizes that are the data's,
            under what tells it from the model's other rows; without any, the book's model.
        lr: learning rate of the SGD steps in ``compare.py``.
        batch_size: examples, streams of text or sentences in a batch in ``compare.py``.
        carries_state: whether each batch goes on where the one before ended.
    """

    name: str
    variants: tuple[Mapping[str, Any], ...]
    example: examples.Example
    feed: feeding.Feeding = feeding.images
    takes: tuple[type[AnyDataset], ...] = (Dataset,)
    data: str = "digits"
    compared: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: {"": {}})
    lr: float = 0.1
    batch_size: int = 100
    carries_state: bool = False

    @property
    def model(self) -> type[Any]:
        """The NumPy side's class."""
        return models.MODELS[self.name]

    @property
    def kind(self) -> str:
        """What it can be fed, in words."""
        return " or ".join(dataset.kind for dataset in self.takes)

    def fits(self, dataset: AnyDataset) -> bool:
        """Whether it can be fed this data set."""
        return isinstance(dataset, self.takes)

    def sizes(self, fed: feeding.Fed) -> dict[str, Any]:
        """The constructor arguments that a data set decides."""
        parameters = inspect.signature(self.model).parameters
        return {name: size for name, size in fed.sizes.items() if name in parameters}

    def build(self, hparams: Mapping[str, Any], seed: int = 0) -> tuple[nn.Module, torch.nn.Module]:
        """The model on both sides, with the NumPy side's weights from ``seed``."""
        return self.model(**hparams, rng=seed), torch_models.MODELS[self.name](**hparams)

    def task(self, model: nn.Module, continues: bool = False) -> tasks.Task:
        """What the NumPy side trains, for batches that may go on from each other."""
        task: tasks.Task = self.model.task(model)
        task.begin(continues)
        return task


MODELS: dict[str, ModelCase] = {
    case.name: case
    for case in (
        ModelCase(
            "MLP",
            example=examples.classified((1, 5, 5)),
            variants=(
                {"in_features": 25},
                {"in_features": 25, "hidden_features": [], "dropout": 0.0},
                {"in_features": 25, "hidden_features": [12, 7], "activation": "relu", "dropout": 0.2},
                {"in_features": 25, "hidden_features": [12], "activation": "sigmoid", "out_features": 3},
            ),
        ),
        ModelCase(
            "CNN",
            example=examples.classified((2, 9, 8)),
            compared={
                "": {},
                "pooled": {"channels": [32, 64], "padding": 1, "pool_size": 2, "hidden_features": [128],
                           "activation": "relu"},
            },
            variants=(
                {"in_shape": [2, 9, 8]},
                {"in_shape": [2, 9, 8], "channels": [3, 4], "padding": 1, "pool_size": 2,
                 "hidden_features": [11], "activation": "relu", "dropout": 0.25},
                {"in_shape": [2, 9, 8], "channels": [5], "kernel_size": 4, "activation": "sigmoid",
                 "dropout": 0.0},
            ),
        ),
        ModelCase(
            "TransitionMatrixLM",
            example=examples.text,
            feed=feeding.sentences("words", ahead=0),
            takes=TEXT,
            data="python_docs",
            batch_size=16,
            variants=({"vocab_size": 11}, {"vocab_size": 5, "embedding_dim": 3}),
        ),
        ModelCase(
            "RNNLanguageModel",
            example=examples.text,
            feed=feeding.chunks(16),
            takes=TEXT,
            data="python_docs",
            carries_state=True,
            lr=0.2,
            batch_size=16,
            compared={"": {"embedding_dim": 128, "hidden_size": 128}},
            variants=(
                {"vocab_size": 11, "embedding_dim": 6, "hidden_size": 8},
                {"vocab_size": 11, "embedding_dim": 6, "hidden_size": 8, "num_layers": 2,
                 "nonlinearity": "relu", "dropout": 0.3},
            ),
        ),
        ModelCase(
            "LSTMLanguageModel",
            example=examples.text,
            feed=feeding.chunks(25),
            takes=TEXT,
            data="python_docs",
            carries_state=True,
            lr=0.2,
            batch_size=16,
            compared={"": {"embedding_dim": 128, "hidden_size": 128}},
            variants=(
                {"vocab_size": 11, "embedding_dim": 6, "hidden_size": 8},
                {"vocab_size": 11, "embedding_dim": 6, "hidden_size": 8, "num_layers": 2, "dropout": 0.3},
                {"vocab_size": 11, "embedding_dim": 6, "hidden_size": 8, "zero_decoder": True},
            ),
        ),
        ModelCase(
            "SentimentClassifier",
            example=examples.reviews,
            feed=feeding.words(material.reviews),
            takes=(ReviewDataset,),
            data="python_docs_topics",
            lr=1.0,
            variants=(
                {"vocab_size": 11, "embedding_dim": 6, "sparse": False},
                {"vocab_size": 11, "embedding_dim": 6, "mode": "mean", "activation": "relu", "dropout": 0.3,
                 "sparse": False},
            ),
        ),
        ModelCase(
            "FillInTheBlank",
            example=examples.blanks,
            feed=feeding.words(material.blanks),
            takes=ANY_TEXT,
            data="python_docs",
            lr=1.0,
            variants=(
                {"vocab_size": 11, "embedding_dim": 6, "sparse": False},
                {"vocab_size": 11, "embedding_dim": 6, "zero_output": False, "sparse": False},
            ),
        ),
        ModelCase(
            "ContrastiveEncoder",
            example=examples.views((2, 8, 8)),
            feed=feeding.views,
            variants=(
                {"in_shape": [2, 8, 8], "hidden_features": [12], "projection_features": [5]},
                {"in_shape": [2, 8, 8], "channels": [3, 4], "hidden_features": [9],
                 "projection_features": [7, 5], "activation": "tanh"},
            ),
        ),
        ModelCase(
            "RotationClassifier",
            example=examples.turned((1, 6, 6)),
            feed=feeding.pretext("rotation"),
            variants=(
                {"in_shape": [1, 6, 6], "hidden_features": [12]},
                {"in_shape": [1, 6, 6], "channels": [3], "hidden_features": [], "activation": "tanh"},
            ),
        ),
        ModelCase(
            "PatchInpainter",
            example=examples.filled((1, 6, 7), lambda hparams: (1, *2 * (hparams["patch_size"],))),
            feed=feeding.pretext("patch", patch_size=4),
            compared={"": {"patch_size": 4}},
            variants=(
                {"in_shape": [1, 6, 7], "hidden_features": [12], "patch_size": 3},
                {"in_shape": [1, 6, 7], "channels": [3], "hidden_features": [8, 5], "patch_size": 1},
            ),
        ),
        ModelCase(
            "Colorizer",
            example=examples.filled((1, 6, 7), lambda _: (3, 6, 7)),
            feed=feeding.pretext("colour"),
            variants=(
                {"in_shape": [1, 6, 7], "hidden_features": [12]},
                {"in_shape": [1, 6, 7], "channels": [3], "hidden_features": [8], "activation": "sigmoid"},
            ),
        ),
        ModelCase(
            "SentenceOrder",
            example=examples.sentences,
            feed=feeding.words(material.shuffled_sentences),
            takes=ANY_TEXT,
            data="python_docs",
            variants=({"vocab_size": 11, "embedding_dim": 6, "hidden_features": 7, "sparse": False},),
        ),
        ModelCase(
            "MaskedWord",
            example=examples.masked,
            feed=feeding.words(material.masked_words),
            takes=ANY_TEXT,
            data="python_docs",
            variants=(
                {"vocab_size": 11, "embedding_dim": 6, "window": 2, "hidden_features": 7, "sparse": False},
            ),
        ),
    )
}  # fmt: skip
