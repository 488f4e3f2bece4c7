"""The data modules of images and of text: whole batches of NumPy's arrays, and classes like any others."""

from __future__ import annotations

import importlib
import inspect
import pickle
import re
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from gdl_numpy.data import DATASETS, Split, TextDataset, Vocabulary, available, load
from gdl_torch.data import (
    DATA_MODULES,
    BabiDataModule,
    DigitsDataModule,
    PaddedBabiDataModule,
    PythonDocsDataModule,
    TensorBatches,
)
from gdl_torch.models import MLP
from parity_tests.support import FewSentences, ShortText, some_digits, trainer


@pytest.fixture(scope="module")
def digits() -> DigitsDataModule:
    return some_digits()


def test_batches_are_taken_whole_from_the_arrays_that_numpy_has(
    digits: DigitsDataModule, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No example is fetched and stacked by itself, which is much slower; and nothing is copied before."""

    def fetch_one(self: TensorBatches, index: int) -> None:
        pytest.fail("an example was fetched by itself")

    monkeypatch.setattr(TensorBatches, "__getitem__", fetch_one)
    inputs, targets = next(iter(digits.train_dataloader()))
    assert inputs.shape == (100, 1, 8, 8)
    assert targets.shape == (100,)
    assert np.shares_memory(TensorBatches(digits.train).inputs.numpy(), digits.train.inputs)


def test_held_out_examples_are_others_than_those_trained_on() -> None:
    """The same ones for the same seed, and none that is trained on or tested with."""
    data = [DigitsDataModule(validation=0.25, seed=seed) for seed in (0, 0, 1)]
    for module in data:
        module.setup("fit")
    assert [len(data[0].train), len(data[0].validation), len(data[0].test)] == [1078, 359, 360]

    def images(split: Split) -> set[bytes]:
        return {image.tobytes() for image in split.inputs}

    assert not images(data[0].train) & images(data[0].validation)
    assert not (images(data[0].train) | images(data[0].validation)) & images(data[0].test)
    assert images(data[0].validation) == images(data[1].validation) != images(data[2].validation)
    none = DigitsDataModule(validation=0.0)
    none.setup("fit")
    assert len(none.train) == 1437
    assert none.val_dataloader() == []


@pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec:FutureWarning")
def test_that_nothing_is_held_out_is_no_matter_for_a_warning() -> None:
    """Of loaders that are empty, Lightning still warns."""
    model = MLP(64, (4,)).double()
    trainer(max_epochs=1, limit_val_batches=1.0).fit(model, DigitsDataModule(validation=0.0))
    with pytest.warns(UserWarning, match="is zero"):
        warnings.warn("Total length of `DataLoader` across ranks is zero.", UserWarning, stacklevel=1)


def test_augmentation_changes_each_training_image_by_itself() -> None:
    """Not one change for a whole batch, which torchvision would draw for it; and none to what is held out."""
    data = DigitsDataModule(augment=True, batch_size=50, validation=0.5)
    data.setup("fit")
    image = data.train.inputs[:1]
    data.train = Split(np.repeat(image, 50, axis=0), np.repeat(data.train.targets[:1], 50))
    inputs, _ = next(iter(data.train_dataloader()))
    assert inputs.shape == (50, 1, 8, 8)
    assert len({one.numpy().tobytes() for one in inputs}) > 40
    held_out, _ = next(iter(data.val_dataloader()[0]))
    np.testing.assert_array_equal(held_out.numpy(), data.validation.inputs[:50])
    np.testing.assert_array_equal(image, data.train.inputs[:1])

    mirrored = DigitsDataModule(augment=nn.Identity(), validation=0.0)
    mirrored.setup("fit")
    assert isinstance(mirrored.train_dataloader().dataset, TensorBatches)


@pytest.mark.usefixtures("unchecked_types")
def test_a_vocabulary_that_there_is_not() -> None:
    """For those who make the data module themselves; sentences' vocabulary is not for running text."""
    for kind in ("letters", "spaces"):
        wrong: Any = kind
        with pytest.raises(ValueError, match=f"vocabulary must be 'characters' or 'words', got '{kind}'"):
            PythonDocsDataModule(vocabulary=wrong)


def test_a_part_that_is_too_short_is_named() -> None:
    data = PythonDocsDataModule(chunk=20_000)
    loaders = {
        "training": data.train_dataloader,
        "validation": data.val_dataloader,
        "test": data.test_dataloader,
    }
    for part, loader in loaders.items():
        with pytest.raises(ValueError, match=f"Streams: in the {part} part the text has"):
            loader()


@pytest.mark.skipif(not available("babi"), reason="needs babi under $GDL_DATA")
@pytest.mark.parametrize("module", [BabiDataModule, PaddedBabiDataModule])
def test_the_other_tasks_of_babi(module: type[BabiDataModule]) -> None:
    assert module(task=7).loaded == load(f"{module.dataset}/7")
    assert module().loaded == load(module.dataset)


@pytest.mark.parametrize("name", DATA_MODULES)
def test_every_data_module_can_be_imported_pickled_and_read_about(name: str) -> None:
    """Classes made of a data set and a way to make batches are like those that stand in the source."""
    module = getattr(importlib.import_module("gdl_torch.data"), name)
    assert module is DATA_MODULES[name]
    arguments = {"path": "story.txt"} if "path" in inspect.signature(module).parameters else {}
    again = pickle.loads(pickle.dumps(module(batch_size=7, **arguments)))
    assert (type(again), again.batch_size) == (module, 7)
    _, _, arguments_and_more = (module.__doc__ or "").partition("Args:")
    documented = re.findall(r"^ +(\w+): ", arguments_and_more, re.MULTILINE)
    assert set(inspect.signature(module).parameters) <= set(documented)


def test_every_data_set_has_a_data_module_of_its_own() -> None:
    for source in DATASETS.values():
        assert DATA_MODULES[f"{source.title}DataModule"].dataset == source.name


def test_unknown_symbols_and_words() -> None:
    """A vocabulary of the training text reads the others, if it has a token for the unknown."""
    text = "a b " * 30 + "b c " * 3 + "c d " * 3
    for arguments, vocabulary in (
        ({}, Vocabulary.build(text[:118])),
        ({"unknown": False}, Vocabulary.build(text, unknown=False)),
        ({"vocabulary": "words", "max_words": 3}, Vocabulary.build(text[:118], "words", max_size=3)),
    ):
        data = ShortText(1, 2, **arguments)
        data.loaded = TextDataset("letters", text[:118], text[118:130], text[130:])
        assert data.vocabulary == vocabulary
        assert data.vocab_size == len(vocabulary)
        read = torch.cat([ids for ids, _ in data.test_dataloader()])
        np.testing.assert_array_equal(read[:, 0], vocabulary.encode(text[130:])[: len(read)])


def test_only_the_last_word_of_a_padded_sentence_counts() -> None:
    """Chapter 13's task: the data set says so, and the batches follow."""
    (loader,) = FewSentences(batch_size=5, last_only=True).val_dataloader()
    ids, targets = next(iter(loader))
    assert ids.shape == targets.shape == (5, 5)
    assert (targets != -100).sum(dim=0).tolist() == [1] * 5
