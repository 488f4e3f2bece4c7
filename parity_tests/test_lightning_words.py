"""The data modules of the models of words: under the Trainer, the batches are NumPy's, epoch by epoch."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch

from gdl_numpy.data import load
from gdl_numpy.data.material import Material, blanks, masked_words, reviews, shuffled_sentences
from gdl_torch.data import (
    DATA_MODULES,
    PythonDocsBlanksDataModule,
    PythonDocsMaskedWordsDataModule,
    PythonDocsSentencesDataModule,
    PythonDocsTopicsDataModule,
)
from gdl_torch.models import MLP, FillInTheBlank, LSTMLanguageModel, MaskedWord
from parity_tests.test_words_data import rows_of

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from gdl_numpy.data import Feed
    from gdl_torch.data.words import WordDataModule

pytestmark = [
    # Lightning's own use of torch's interface.
    pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec:FutureWarning"),
    # On a machine with a GPU.
    pytest.mark.filterwarnings("ignore:GPU available but not used"),
]

BATCH, SEED, WORDS = 64, 3, 200

# A data module, and NumPy's material of the same arguments.
PAIRS: list[tuple[Any, Any]] = [
    (
        PythonDocsTopicsDataModule(BATCH, seed=SEED, max_words=WORDS, validation=0.2, distinct=False),
        lambda: reviews(load("python_docs_topics"), BATCH, 0.2, SEED, WORDS, distinct=False),
    ),
    (
        PythonDocsBlanksDataModule(BATCH, seed=SEED, max_words=WORDS, window=3, negatives=2, subsample=1e-2),
        lambda: blanks(load("python_docs"), BATCH, 3, 2, 1e-2, seed=SEED, max_words=WORDS),
    ),
    (
        PythonDocsMaskedWordsDataModule(BATCH, seed=SEED, max_words=WORDS, window=2),
        lambda: masked_words(load("python_docs"), BATCH, 2, seed=SEED, max_words=WORDS),
    ),
    (
        PythonDocsSentencesDataModule(BATCH, seed=SEED, max_words=WORDS),
        lambda: shuffled_sentences(load("python_docs"), BATCH, seed=SEED, max_words=WORDS),
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


def epochs(feed: Feed, n: int) -> list[Any]:
    batches = []
    for epoch in range(n):
        feed.set_epoch(epoch)
        batches += list(feed)
    return batches


@pairs
def test_the_trainer_gives_numpys_batches(module: WordDataModule, make: Any, tmp_path: Path) -> None:
    """In two epochs, which differ; validation and test, which do not, in their own order."""
    material: Material = make()
    assert module.vocabulary == material.vocabulary
    assert module.vocab_size == material.arguments["vocab_size"]
    recorder = Recorder()
    run = trainer(tmp_path, max_epochs=2)
    run.fit(recorder, datamodule=module)
    run.test(recorder, datamodule=module, verbose=False)
    assert material.validation is not None
    equal(recorder.seen["train"], epochs(material.train, 2))
    equal(recorder.seen["validation"], 2 * list(material.validation))
    equal(recorder.seen["test"], list(material.test))


@pairs
def test_each_device_takes_its_share(module: WordDataModule, make: Any) -> None:
    """The loaders of two devices together are those of one with twice the batch."""
    whole = module.feed("train", SEED, 1, 0)
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
            "PythonDocsTopicsDataModule gives labelled texts, which MLP cannot read: take a SentimentCl",
        ),
        (
            PythonDocsBlanksDataModule,
            lambda n: LSTMLanguageModel(n),
            "gives blanks to fill in, which LSTMLanguageModel cannot read: take a FillInTheBlank",
        ),
        (
            PythonDocsSentencesDataModule,
            lambda n: FillInTheBlank(n),
            "gives sentences out of order, which FillInTheBlank cannot read: take a SentenceOrder",
        ),
        (
            PythonDocsMaskedWordsDataModule,
            lambda n: MaskedWord(n, window=2),
            "PythonDocsMaskedWordsDataModule has a window of 3 words, MaskedWord one of 2: give both the",
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
