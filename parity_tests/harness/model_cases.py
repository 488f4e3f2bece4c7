"""The registry of models: a row puts a new one under every test there is, and into `scripts/compare.py`."""

from __future__ import annotations

import inspect
from collections.abc import Mapping  # noqa: TC003 (dataclasses are read under beartype)
from dataclasses import dataclass, field
from typing import Any

from gdl_numpy import models, nn, tasks
from gdl_numpy.data import (
    AnyDataset,
    DataModule,
    LineDataModule,
    SentenceDataModule,
    data_module_for,
    data_modules_of,
)
from gdl_torch import models as torch_models
from gdl_torch import tasks as torch_tasks
from parity_tests.harness import examples

# Of a text only so many words, the most frequent ones: the harness keeps many copies of a model.
MAX_WORDS = 1000


@dataclass(frozen=True)
class ModelCase:
    """A model that both sides have under `name`.

    Attributes:
        variants: constructor arguments, small enough to test: together they use all that the model can have.
        example: inputs and targets that fit the variants.
        data: the data set that `compare.py` takes its batches from by default.
        data_modules: what makes batches of it, where that is not what makes them for a training.
        data_arguments: of the data module, apart from batch size and seed.
        compared: constructor arguments of each row of `compare.py`, apart from sizes that are the data's,
            under what tells it from the model's other rows; without any, the book's model.
        lr: learning rate of the SGD steps in `compare.py`.
        batch_size: examples, streams of text or sentences in a batch in `compare.py`.
        carries_state: whether each batch goes on where the one before ended.
    """

    name: str
    variants: tuple[Mapping[str, Any], ...]
    example: examples.Example
    data: str = "digits"
    data_modules: tuple[type[DataModule], ...] = ()
    data_arguments: Mapping[str, Any] = field(default_factory=dict)
    compared: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: {"": {}})
    lr: float = 0.1
    batch_size: int = 100
    carries_state: bool = False

    @property
    def model(self) -> type[Any]:
        """The NumPy side's class."""
        return models.MODELS[self.name]

    def fits(self, dataset: AnyDataset) -> bool:
        """Whether there are batches of this data set for it."""
        modules = self.data_modules or data_modules_of(self.model)
        return any(module.accepts(dataset) for module in modules)

    def data_module(self, dataset: AnyDataset, batch_size: int, seed: int) -> DataModule:
        """The data set in batches for `compare.py`.

        Raises:
            ValueError: a data set of another kind than the model takes.
        """
        module = data_module_for(self.model, dataset, self.data_modules)
        wanted = self.model.task.data_arguments(self.model, self.data_arguments) | {"validation": 0.0}
        return module.fitting(dataset, batch_size=batch_size, seed=seed, **{**wanted, **self.data_arguments})

    def sizes(self, data: DataModule) -> dict[str, Any]:
        """The constructor arguments that a data set decides."""
        parameters = inspect.signature(self.model).parameters
        return {name: size for name, size in data.model_arguments.items() if name in parameters}

    def build(self, hparams: Mapping[str, Any], seed: int = 0) -> tuple[nn.Module, torch_tasks.Task]:
        """The model on both sides, with the NumPy side's weights from `seed`."""
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
            data="python_docs",
            # Short lines, since a matrix that has learned to grow makes powers of itself along a line.
            data_modules=(LineDataModule, SentenceDataModule),
            data_arguments={"max_words": MAX_WORDS, "longest": 12},
            batch_size=16,
            variants=({"vocab_size": 11}, {"vocab_size": 5, "embedding_dim": 3}),
        ),
        ModelCase(
            "RNNLanguageModel",
            example=examples.text,
            data="python_docs",
            data_arguments={"chunk": 16},
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
            data="python_docs",
            data_arguments={"chunk": 25},
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
            data="python_docs_topics",
            data_arguments={"max_words": MAX_WORDS},
            lr=1.0,
            variants=(
                {"vocab_size": 11, "embedding_dim": 6, "sparse": False},
                {"vocab_size": 11, "embedding_dim": 6, "mode": "mean", "activation": "relu", "dropout": 0.3,
                 "sparse": False},
                {"vocab_size": 11, "embedding_dim": 6, "activation": "tanh", "zero_embedding": True,
                 "sparse": False},
            ),
        ),
        ModelCase(
            "SpamClassifier",
            example=examples.reviews,
            data="python_docs_topics",
            data_arguments={"max_words": MAX_WORDS},
            lr=5.0,
            variants=({"vocab_size": 11, "sparse": False},),
        ),
        ModelCase(
            "FillInTheBlank",
            example=examples.blanks,
            data="python_docs",
            data_arguments={"max_words": MAX_WORDS},
            lr=1.0,
            variants=(
                {"vocab_size": 11, "embedding_dim": 6, "sparse": False},
                {"vocab_size": 11, "embedding_dim": 6, "zero_output": False, "sparse": False},
            ),
        ),
        ModelCase(
            "ContrastiveEncoder",
            example=examples.views((2, 8, 8)),
            compared={"": {}, "convolutions": {"channels": [16, 32], "hidden_features": [128]}},
            variants=(
                {"in_shape": [2, 8, 8], "hidden_features": [12], "projection_features": [5]},
                {"in_shape": [2, 8, 8], "channels": [3, 4], "hidden_features": [9],
                 "projection_features": [7, 5], "activation": "tanh"},
            ),
        ),
        ModelCase(
            "RotationClassifier",
            example=examples.turned((1, 6, 6)),
            variants=(
                {"in_shape": [1, 6, 6], "hidden_features": [12]},
                {"in_shape": [1, 6, 6], "channels": [3], "hidden_features": [], "activation": "tanh"},
            ),
        ),
        ModelCase(
            "PatchInpainter",
            example=examples.filled((1, 6, 7), lambda hparams: (1, *2 * (hparams["patch_size"],))),
            data_arguments={"patch_size": 4},
            compared={"": {"patch_size": 4}},
            variants=(
                {"in_shape": [1, 6, 7], "hidden_features": [12], "patch_size": 3},
                {"in_shape": [1, 6, 7], "channels": [3], "hidden_features": [8, 5], "patch_size": 1},
            ),
        ),
        ModelCase(
            "Colorizer",
            example=examples.filled((1, 6, 7), lambda _: (3, 6, 7)),
            variants=(
                {"in_shape": [1, 6, 7], "hidden_features": [12]},
                {"in_shape": [1, 6, 7], "channels": [3], "hidden_features": [8], "activation": "sigmoid"},
            ),
        ),
        ModelCase(
            "SentenceOrder",
            example=examples.sentences,
            data="python_docs",
            data_arguments={"max_words": MAX_WORDS},
            variants=({"vocab_size": 11, "embedding_dim": 6, "hidden_features": 7, "sparse": False},),
        ),
        ModelCase(
            "MaskedWord",
            example=examples.masked,
            data="python_docs",
            data_arguments={"max_words": MAX_WORDS},
            variants=(
                {"vocab_size": 11, "embedding_dim": 6, "window": 2, "hidden_features": 7, "sparse": False},
            ),
        ),
    )
}  # fmt: skip
