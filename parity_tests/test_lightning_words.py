"""The data modules of the models of words: under the Trainer, the batches are NumPy's, epoch by epoch."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch

from gdl_numpy import data as numpy_data
from gdl_numpy.data import load
from gdl_torch.data import (
    DATA_MODULES,
    PythonDocsBlanksDataModule,
    PythonDocsMaskedWordsDataModule,
    PythonDocsSentencesDataModule,
    PythonDocsTopicsDataModule,
)
from gdl_torch.models import MLP, FillInTheBlank, LSTMLanguageModel, MaskedWord
from parity_tests.support import WARNINGS_OF_LIGHTNING, rows_of

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from gdl_numpy.data import DataLoader
    from gdl_torch.data.words import WordDataModule

pytestmark = WARNINGS_OF_LIGHTNING

BATCH, SEED, WORDS = 64, 3, 200

# A data module, and NumPy's of the same arguments.
PAIRS: list[tuple[Any, Any]] = [
    (
        PythonDocsTopicsDataModule(BATCH, seed=SEED, max_words=WORDS, validation=0.2, distinct=False),
        lambda: numpy_data.BagsDataModule(
            load("python_docs_topics"), BATCH, 0.2, SEED, WORDS, distinct=False
        ),
    ),
    (
        PythonDocsTopicsDataModule(
            BATCH, seed=SEED, max_words=2 * WORDS, ngrams=2, ratio=True, ratio_power=0.5, together=5
        ),
        lambda: numpy_data.BagsDataModule(
            load("python_docs_topics"),
            BATCH,
            0.1,
            SEED,
            2 * WORDS,
            ngrams=2,
            ratio=True,
            ratio_power=0.5,
            together=5,
        ),
    ),
    (
        PythonDocsBlanksDataModule(BATCH, seed=SEED, max_words=WORDS, power=0.75),
        lambda: numpy_data.BlanksDataModule(load("python_docs"), BATCH, 0.1, SEED, WORDS, power=0.75),
    ),
    (
        PythonDocsBlanksDataModule(BATCH, seed=SEED, max_words=WORDS, window=3, negatives=2, subsample=1e-2),
        lambda: numpy_data.BlanksDataModule(load("python_docs"), BATCH, 0.1, SEED, WORDS, 3, 2, 1e-2),
    ),
    (
        PythonDocsMaskedWordsDataModule(BATCH, seed=SEED, max_words=WORDS, window=2),
        lambda: numpy_data.MaskedWordsDataModule(load("python_docs"), BATCH, 0.1, SEED, WORDS, 2),
    ),
    (
        PythonDocsSentencesDataModule(BATCH, seed=SEED, max_words=WORDS),
        lambda: numpy_data.ShuffledSentencesDataModule(load("python_docs"), BATCH, 0.1, SEED, WORDS),
    ),
]
pairs = pytest.mark.parametrize(("module", "make"), PAIRS, ids=[type(module).__name__ for module, _ in PAIRS])


class Recorder(pl.LightningModule):
    """Keeps every batch that it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen: dict[str, list[Any]] = {"train": [], "validation": [], "test": []}

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        self.seen["train"].append(batch)
        return self.weight * 1

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.seen["validation"].append(batch)

    def test_step(self, batch: Any, batch_idx: int) -> None:
        self.seen["test"].append(batch)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def trainer(root: Path, **arguments: Any) -> pl.Trainer:
    return pl.Trainer(
        accelerator="cpu",
        default_root_dir=root,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        **arguments,
    )


def as_numpy(batch: Any) -> tuple[Any, np.ndarray]:
    inputs, targets = batch
    arrays = tuple(map(np.asarray, inputs)) if isinstance(inputs, tuple) else np.asarray(inputs)
    return arrays, np.asarray(targets)


def equal(seen: list[Any], expected: list[Any]) -> None:
    assert len(seen) == len(expected)
    for batch, twin in zip(seen, expected, strict=True):
        (inputs, targets), (other_inputs, other_targets) = as_numpy(batch), twin
        assert type(inputs) is type(other_inputs)
        pairs = [(targets, other_targets)]
        pairs += (
            zip(inputs, other_inputs, strict=True) if isinstance(inputs, tuple) else [(inputs, other_inputs)]
        )
        for array, other in pairs:
            np.testing.assert_array_equal(array, other, strict=True)


def epochs(loader: DataLoader, n: int) -> list[Any]:
    batches = []
    for epoch in range(n):
        loader.set_epoch(epoch)
        batches += list(loader)
    return batches


@pairs
def test_the_trainer_gives_numpys_batches(module: WordDataModule, make: Any, tmp_path: Path) -> None:
    """In two epochs, which differ; validation and test, which do not, in their own order."""
    twin: numpy_data.DataModule = make()
    assert module.vocabulary == twin.vocabulary
    assert module.vocab_size == twin.model_arguments["vocab_size"]
    recorder = Recorder()
    run = trainer(tmp_path, max_epochs=2)
    run.fit(recorder, datamodule=module)
    run.test(recorder, datamodule=module, verbose=False)
    assert twin.validation is not None
    equal(recorder.seen["train"], epochs(twin.train, 2))
    equal(recorder.seen["validation"], 2 * list(twin.validation))
    equal(recorder.seen["test"], list(twin.test))


@pairs
def test_each_device_takes_its_share(module: WordDataModule, make: Any) -> None:
    """The loaders of two devices together are those of one with twice the batch."""
    whole = make().train
    whole.batch_size = 2 * BATCH
    loaders = []
    for rank in range(2):
        module.trainer = SimpleNamespace(world_size=2, global_rank=rank)  # type: ignore[assignment]
        loaders.append(module.train_dataloader())
    module.trainer = None
    for batch, *shares in zip(whole, *loaders, strict=True):
        rows, dealt = rows_of(batch), [rows_of(as_numpy(share)) for share in shares]
        together = [row for turn in zip(*dealt, strict=True) for row in turn]
        assert together[: len(rows)] == rows
        assert len(together) - len(rows) in (0, 1)  # the last of an odd number comes twice


@pytest.mark.parametrize(
    ("data", "model", "message"),
    [
        (
            PythonDocsTopicsDataModule,
            lambda n: MLP(n),
            "PythonDocsTopicsDataModule gives labelled texts, which MLP cannot read: take Sentiment",
        ),
        (
            PythonDocsBlanksDataModule,
            lambda n: LSTMLanguageModel(n),
            "gives blanks to fill in, which LSTMLanguageModel cannot read: take FillInTheBlank",
        ),
        (
            PythonDocsSentencesDataModule,
            lambda n: FillInTheBlank(n),
            "gives sentences out of order, which FillInTheBlank cannot read: take SentenceOrder",
        ),
        (
            PythonDocsMaskedWordsDataModule,
            lambda n: MaskedWord(n, window=2),
            "PythonDocsMaskedWordsDataModule has a window of 3, MaskedWord one of 2: give both the",
        ),
    ],
)
def test_models_that_cannot_read_what_there_is_are_refused(
    data: Any, model: Any, message: str, tmp_path: Path
) -> None:
    module = data()
    with pytest.raises(ValueError, match=message):
        trainer(tmp_path, max_epochs=1).fit(model(module.vocab_size), datamodule=module)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"seed": -1}, "seed must be 0 or more, got -1"),
        ({"validation": 1.0}, r"validation must be a fraction in \[0, 1\), got 1.0"),
        ({"max_words": 1}, "max_words must be at least 2, the unknown one counted, got 1"),
    ],
)
@pytest.mark.parametrize("name", [name for name in DATA_MODULES if "IMDB" in name])
def test_bad_arguments_are_refused_before_anything_is_read(
    name: str, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=f"{name}: {message}"):
        DATA_MODULES[name](**arguments)


def test_without_validation_there_is_no_loader_for_it() -> None:
    assert PythonDocsTopicsDataModule(validation=0).val_dataloader() == []
