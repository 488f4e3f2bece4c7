"""Data sets of images: what is loaded is what was published, in the promised order, or a clear refusal."""

from __future__ import annotations

import hashlib
import inspect
import itertools
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from sklearn.datasets import load_digits
from torchvision.datasets import MNIST
from torchvision.transforms.functional import to_tensor

from gdl_numpy import data
from gdl_numpy.data.sets import mnist
from gdl_numpy.data.sets.idx import parse_idx
from gdl_numpy.models import MODELS


def idx_bytes(array: np.ndarray) -> bytes:
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    return header + array.tobytes()


# --- order and batches -------------------------------------------------------------------------------------


def test_epoch_order_is_a_function_of_seed_and_epoch_alone() -> None:
    """Torch's side and a resumed run compute the order anew: it must not depend on anything else."""
    order = data.epoch_order(100, seed=3, epoch=7)
    np.random.default_rng(0).random(5)
    np.testing.assert_array_equal(order, data.epoch_order(100, seed=3, epoch=7))
    np.testing.assert_array_equal(np.sort(order), np.arange(100))
    assert not np.array_equal(order, data.epoch_order(100, seed=3, epoch=8))
    assert not np.array_equal(order, data.epoch_order(100, seed=4, epoch=7))
    # Seeds and epochs must not be added up: epoch 1 of seed 0 is not epoch 0 of seed 1.
    assert not np.array_equal(data.epoch_order(100, 0, 1), data.epoch_order(100, 1, 0))


def test_batches_say_what_a_resumed_run_must_share() -> None:
    batches = data.Batches(numbered_split(9), 2, seed=3)
    assert not batches.continues
    assert batches.describe() == {"examples": 9, "batch_size": 2, "seed": 3}


def numbered_split(n: int) -> data.Split:
    """Items that can be told apart: input i is filled with i, and so is target i."""
    inputs = np.broadcast_to(np.arange(n, dtype=np.float32)[:, None, None, None], (n, 1, 2, 3))
    return data.Split(inputs, np.arange(n))


@given(n=st.integers(0, 30), batch_size=st.integers(1, 12), seed=st.none() | st.integers(0, 2**40))
def test_batches_give_every_item_once_in_order(n: int, batch_size: int, seed: int | None) -> None:
    split = data.Split(np.zeros((n, 1, 2, 3), np.float32), np.arange(n))
    batches = data.Batches(split, batch_size, seed)
    batches.set_epoch(4)
    sizes = [len(targets) for _, targets in batches]
    assert len(batches) == len(sizes)
    assert sizes == [batch_size] * (n // batch_size) + [n % batch_size] * (n % batch_size > 0)
    seen = np.concatenate([np.arange(0), *(targets for _, targets in batches)])
    expected = np.arange(n) if seed is None else data.epoch_order(n, seed, 4)
    np.testing.assert_array_equal(seen, expected)


@pytest.mark.parametrize("seed", [None, 5])
def test_batches_keep_inputs_and_targets_together(seed: int | None) -> None:
    for inputs, targets in data.Batches(numbered_split(11), 4, seed):
        np.testing.assert_array_equal(inputs[:, 0, 1, 2], targets)


def test_batches_repeat_an_epoch_until_told_otherwise() -> None:
    batches = data.Batches(numbered_split(10), 10, seed=1)
    ((_, first),) = batches
    ((_, again),) = batches
    np.testing.assert_array_equal(first, again)
    batches.set_epoch(1)
    ((_, second),) = batches
    assert not np.array_equal(first, second)


def test_bad_arguments_are_refused_by_name() -> None:
    split = numbered_split(4)
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        data.Batches(split, 0)
    with pytest.raises(ValueError, match="seed must be 0 or more, or None, got -1"):
        data.Batches(split, 2, seed=-1)
    with pytest.raises(ValueError, match="epoch must be at least 0, got -2"):
        data.Batches(split, 2).set_epoch(-2)
    for n in (-1, 5):
        with pytest.raises(ValueError, match=f"n must be from 0 to 4, the number of items; got {n}"):
            split.take(n)


def test_a_split_has_as_many_targets_as_inputs() -> None:
    split = numbered_split(4)
    # The tests' own check of annotated shapes, where it is on, comes first, with a TypeError.
    with pytest.raises((ValueError, TypeError), match=r"4 inputs but 3 targets|Type-check error"):
        data.Split(split.inputs, split.targets[:3])


def test_take_gives_the_first_items() -> None:
    first = numbered_split(9).take(3)
    assert len(first) == 3
    np.testing.assert_array_equal(first.targets, [0, 1, 2])
    np.testing.assert_array_equal(first.inputs[:, 0, 0, 0], [0, 1, 2])


# --- digits ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def digits() -> data.Dataset:
    dataset: data.Dataset = data.load("digits")
    return dataset


def test_digits_are_scikit_learns_scaled_and_divided(digits: data.Dataset) -> None:
    """Every image is in exactly one of the two splits, with its own label."""
    assert (len(digits.train), len(digits.test), digits.num_classes) == (1437, 360, 10)
    assert digits.in_shape == (1, 8, 8)
    pixels, labels = load_digits(return_X_y=True)
    published = sorted((image.tobytes(), label) for image, label in zip(pixels, labels, strict=True))
    loaded = [
        ((image.reshape(64) * 16).astype(np.float64).tobytes(), label)
        for split in (digits.train, digits.test)
        for image, label in zip(split.inputs, split.targets, strict=True)
    ]
    assert sorted(loaded) == published


def test_digits_test_split_is_stratified(digits: data.Dataset) -> None:
    of_all = np.bincount(np.concatenate([digits.train.targets, digits.test.targets]))
    assert np.all(np.abs(np.bincount(digits.test.targets) - of_all / 5) < 1)


def test_digits_division_never_changes(digits: data.Dataset) -> None:
    """Published figures are about these 360 images."""
    digest = hashlib.sha256(digits.test.inputs.tobytes() + digits.test.targets.tobytes()).hexdigest()
    assert digest == "91d6f9fec853c9d0f20e80515365175adc522618847198f44b0a39cb86cf57ee"


# --- the IDX format ----------------------------------------------------------------------------------------


@given(array=arrays(np.uint8, array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=5)))
def test_idx_round_trip(array: np.ndarray) -> None:
    np.testing.assert_array_equal(parse_idx(idx_bytes(array)), array, strict=True)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"not an IDX file: it begins with bytes \[\]"),
        (b"\x1f\x8b\x08\x00rest", r"not an IDX file: it begins with bytes \[1f 8b 08 00\]"),
        (b"\0\0\x0d\x01" + b"\0\0\0\x01" + b"\0\0\0\0", "elements of type 0x0d, expected 0x08"),
        (b"\0\0\x08\x00" + b"\x05", "0 dimensions"),
        (b"\0\0\x08\x03" + b"\0\0\0\x01" * 2, "header for 3 dimensions does not fit in 12 bytes"),
        (idx_bytes(np.zeros((3, 2), np.uint8))[:-1], "announces 3 × 2 bytes, but 5 follow"),
        (idx_bytes(np.zeros((3, 2), np.uint8)) + b"\0", "announces 3 × 2 bytes, but 7 follow"),
        (b"\0\0\x08\x03" + b"\xff" * 12, "announces 4294967295 × 4294967295 × 4294967295 bytes"),
    ],
    ids=["empty", "gzip", "floats", "no dimensions", "half a header", "short", "long", "enormous"],
)
def test_idx_refuses(content: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_idx(content)


# --- MNIST -------------------------------------------------------------------------------------------------

needs_mnist = pytest.mark.skipif(
    not data.available("mnist"), reason="MNIST is not there: run scripts/fetch_data.py mnist"
)


def test_mnist_files_are_those_of_torchvision() -> None:
    """One folder serves both: the same names at the same places, first from one of the same mirrors."""
    assert [Path(file.path).name for file in mnist.FILES] == [name for name, _ in MNIST.resources]
    assert {Path(file.path).parent.as_posix() for file in mnist.FILES} == {"MNIST/raw"}
    for file in mnist.FILES:
        assert file.urls[0] in [mirror + Path(file.path).name for mirror in MNIST.mirrors]


@needs_mnist
def test_mnist_is_what_torchvision_reads(tmp_path: Path) -> None:
    """From the unpacked files that torchvision leaves: the same pixels, scaled to the same bits."""
    for file in mnist.FILES:
        unpacked = (tmp_path / file.path).with_suffix("")
        unpacked.parent.mkdir(parents=True, exist_ok=True)
        unpacked.write_bytes(file.read(data.data_root()))
    ours = data.load("MNIST", tmp_path)
    assert isinstance(ours, data.Dataset)
    assert ours.in_shape == (1, 28, 28)
    for train, split in ((True, ours.train), (False, ours.test)):
        theirs = MNIST(tmp_path, train=train)
        assert len(theirs) == len(split)
        np.testing.assert_array_equal(split.targets, theirs.targets.numpy(), strict=True)
        for index in range(0, len(split), 97):
            image, _ = theirs[index]
            np.testing.assert_array_equal(split.inputs[index], to_tensor(image).numpy(), strict=True)


# --- data modules ------------------------------------------------------------------------------------------


def test_each_model_has_a_data_module_and_a_data_set_for_it() -> None:
    """Of a data set that is always there; its arguments are some of the model's."""
    load = cache(data.load)  # most models learn from the same ones
    for model in MODELS.values():
        module, *_ = data.data_modules_of(model)
        name = next(name for name in data.names_of(module).split(", ") if data.available(name))
        made = data.data_module_for(model, load(name)).fitting(load(name), batch_size=8, task=9)
        parameters = inspect.signature(model).parameters
        assert any(argument in parameters for argument in made.model_arguments)
        assert made.batch_size == 8
        assert made.name == name
        assert made.unit in ("example", "character", "word")


@pytest.mark.usefixtures("unchecked_types")
def test_data_that_a_model_cannot_learn_from_is_refused(digits: data.Dataset) -> None:
    with pytest.raises(ValueError, match="LSTMLanguageModel takes running text or sentences, but digits is"):
        data.data_module_for(MODELS["LSTMLanguageModel"], digits)
    with pytest.raises(ValueError, match="TextDataModule takes running text, but digits is images"):
        data.TextDataModule(digits)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 0}, "ImageDataModule: batch_size must be at least 1, got 0"),
        ({"seed": -1}, "ImageDataModule: seed must be 0 or more, got -1"),
        ({"validation": 1.0}, r"ImageDataModule: validation must be a fraction in \[0, 1\), got 1.0"),
    ],
)
def test_data_modules_refuse_bad_arguments_by_name(
    digits: data.Dataset, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        data.ImageDataModule(digits, **arguments)


def test_images_are_held_out_to_watch_the_training_by(digits: data.Dataset) -> None:
    """Batches are those of `Batches`, those to learn from shuffled."""
    module = data.ImageDataModule(digits, 100, validation=0.25, seed=4)
    train, held_out = data.hold_out(digits.train, 0.25, 4)
    assert module.model_arguments == {"in_features": 64, "in_shape": (1, 8, 8), "out_features": 10}
    assert (module.vocabulary, module.identity, module.unit) == (None, {}, "example")
    parts = [(module.train, train, 4), (module.validation, held_out, None), (module.test, digits.test, None)]
    for batches, split, seed in parts:
        np.testing.assert_equal(list(batches or ()), list(data.Batches(split, 100, seed)))
    assert data.ImageDataModule(digits, validation=0).validation is None


def test_batches_of_an_epoch_follow_those_of_the_one_before() -> None:
    batches = data.Batches(numbered_split(7), 3, seed=1)
    seen = [targets.tolist() for _, targets in itertools.islice(batches.endless(), 6)]
    for epoch in (0, 1):
        together = [row for batch in seen[3 * epoch : 3 * epoch + 3] for row in batch]
        assert together == data.epoch_order(7, 1, epoch).tolist()


def test_devices_share_the_batches_of_one() -> None:
    """Every other image of a batch twice as large."""
    whole = data.Batches(numbered_split(7), 4, seed=1)
    shares = [data.Batches(numbered_split(7), 2, 1, 2, rank) for rank in range(2)]
    for (_, targets), *parts in zip(whole, *shares, strict=True):
        for rank, (inputs, own) in enumerate(parts):
            np.testing.assert_array_equal(inputs[:, 0, 0, 0], own)
            np.testing.assert_array_equal(own[: len(targets[rank::2])], targets[rank::2])
