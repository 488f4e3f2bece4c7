"""Every token is predicted once, from the ones before it: in streams of a text, and in sentences."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gdl_numpy import data
from gdl_numpy.data import IGNORED, Sentences, Streams, Vocabulary

sizes = st.integers(1, 4)


@given(extra=st.integers(0, 60), batch_size=sizes, chunk=sizes, ahead=st.integers(0, 2), num_replicas=sizes)
def test_streams_read_every_symbol_once_and_in_order(
    extra: int, batch_size: int, chunk: int, ahead: int, num_replicas: int
) -> None:
    """Side by side on all devices, the columns put one below the other are the text."""
    streams = num_replicas * batch_size
    ids = 1000 + np.arange(streams * chunk + ahead + extra)
    columns: list[np.ndarray] = []
    for rank in range(num_replicas):
        loader = Streams(ids, batch_size, chunk, ahead, num_replicas, rank)
        batches = list(loader)
        assert len(batches) == len(loader)
        assert {len(inputs) for inputs, _ in batches[:-1]} <= {chunk}
        assert 1 <= len(batches[-1][0]) <= chunk
        for inputs, targets in batches:
            assert inputs.shape == targets.shape == (len(inputs), batch_size)
            assert inputs.flags.c_contiguous
            assert targets.flags.c_contiguous
            np.testing.assert_array_equal(targets, inputs + ahead)
        columns.extend(np.concatenate([inputs for inputs, _ in batches]).T)
    read = np.concatenate(columns)
    np.testing.assert_array_equal(read, ids[: len(read)], strict=True)
    assert 0 <= len(ids) - ahead - len(read) < streams


def test_streams_are_the_same_in_every_epoch() -> None:
    loader = Streams(np.arange(50), 4, 5)
    first = list(loader)
    loader.set_epoch(3)
    np.testing.assert_equal(list(loader), first)
    assert loader.continues
    assert json.loads(json.dumps(loader.describe())) == {
        "symbols": 50,
        "batch_size": 4,
        "chunk": 5,
        "ahead": 1,
        "num_replicas": 1,
    }


@pytest.mark.parametrize("batch_size", [1, 3])
def test_batches_of_streams_are_arrays_that_torch_takes(batch_size: int) -> None:
    """It warns of arrays that must not be written to, as views of overlapping windows are."""
    for inputs, targets in Streams(np.arange(50), batch_size, 5):
        assert inputs.flags.writeable
        assert targets.flags.writeable


def test_a_text_too_short_says_how_much_is_needed() -> None:
    """One full chunk for each stream, on all devices, and what is to be predicted after it."""
    for num_replicas, ahead, needed in [(1, 1, 51), (1, 0, 50), (2, 1, 101)]:
        Streams(np.arange(needed), 5, 10, ahead, num_replicas)
        message = (
            f"the text has {needed - 1} tokens, but {5 * num_replicas} streams in chunks of 10 need "
            f"at least {needed}: "
        )
        with pytest.raises(ValueError, match=message):
            Streams(np.arange(needed - 1), 5, 10, ahead, num_replicas)
    with pytest.raises(ValueError, match="the text has 0 tokens"):
        Streams(np.arange(0), 1, 1)
    parts: dict[Any, str] = {"train": "training", "validation": "validation", "test": "test"}
    for part, called in parts.items():
        with pytest.raises(ValueError, match=f"in the {called} part the text has 0 tokens"):
            Streams(np.arange(0), 1, 1, part=part)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 0}, "Streams: batch_size must be at least 1, got 0"),
        ({"chunk": 0}, "Streams: chunk must be at least 1, got 0"),
        ({"ahead": -1}, "Streams: ahead must be at least 0, got -1"),
        ({"num_replicas": 0}, "Streams: num_replicas must be at least 1, got 0"),
        ({"num_replicas": 2, "rank": 2}, "Streams: rank must be from 0 to 1, got 2"),
        ({"rank": -1}, "Streams: rank must be from 0 to 0, got -1"),
    ],
)
def test_streams_refuse_bad_arguments_by_name(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Streams(np.arange(100), **({"batch_size": 2, "chunk": 3} | arguments))
    with pytest.raises(ValueError, match="Streams: epoch must be at least 0, got -1"):
        Streams(np.arange(100), 2, 3).set_epoch(-1)


# --- sentences ---------------------------------------------------------------------------------------------


@given(
    lengths=st.lists(st.integers(2, 6), max_size=12),
    batch_size=st.integers(1, 5),
    seed=st.none() | st.integers(0, 2**40),
    ahead=st.integers(0, 1),
    last_only=st.booleans(),
)
def test_sentences_are_predicted_whole_or_at_their_end(
    lengths: list[int], batch_size: int, seed: int | None, ahead: int, last_only: bool
) -> None:
    """One by one and without padding, each column of the batches is a sentence."""
    sentences = [100 * row + np.arange(1, 1 + length) for row, length in enumerate(lengths)]
    loader = Sentences(sentences, batch_size, seed, ahead, last_only)
    loader.set_epoch(2)
    order = np.arange(len(lengths)) if seed is None else data.epoch_order(len(lengths), seed, 2)
    batches = list(loader)
    assert len(batches) == len(loader)
    rows = iter(order)
    for inputs, targets in batches:
        assert inputs.shape == targets.shape
        assert inputs.dtype == targets.dtype == np.int64
        assert np.any(targets[-1] != IGNORED), "no longer than the longest of the batch"
        for read, wanted in zip(inputs.T, targets.T, strict=True):
            sentence = sentences[next(rows)]
            pairs = list(zip(sentence, sentence[ahead:], strict=False))
            assert [(i, t) for i, t in zip(read, wanted, strict=True) if t != IGNORED] == (
                pairs[-1:] if last_only else pairs
            )
            np.testing.assert_array_equal(read[: len(pairs)], sentence[: len(pairs)])
            assert not read[len(pairs) :].any()
    assert next(rows, None) is None


def test_sentences_say_what_a_resumed_run_must_share() -> None:
    loader = Sentences([np.arange(3), np.arange(4)], 2, seed=5, last_only=True)
    assert not loader.continues
    assert json.loads(json.dumps(loader.describe())) == {
        "examples": 2,
        "batch_size": 2,
        "seed": 5,
        "ahead": 1,
        "last_only": True,
    }


def test_a_sentence_without_a_target_is_named() -> None:
    sentences = [np.arange(3), np.arange(1)]
    assert len(list(Sentences(sentences, 1, ahead=0))) == 2
    with pytest.raises(ValueError, match="sequence 1 has 1 token, but needs at least 2 to have a target"):
        Sentences(sentences, 1)
    with pytest.raises(ValueError, match="sequence 0 has 0 tokens, but needs at least 1"):
        Sentences([np.arange(0)], 1, ahead=0)


def test_sentences_refuse_bad_arguments_by_name() -> None:
    sentences = [np.arange(3)]
    with pytest.raises(ValueError, match="Sentences: batch_size must be at least 1, got 0"):
        Sentences(sentences, 0)
    with pytest.raises(ValueError, match="Sentences: seed must be 0 or more, or None, got -1"):
        Sentences(sentences, 1, seed=-1)
    with pytest.raises(ValueError, match="Sentences: ahead must be at least 0, got -1"):
        Sentences(sentences, 1, ahead=-1)


def test_devices_share_sentences() -> None:
    """Each takes every other one of a batch twice as large."""
    sentences = [100 * row + np.arange(1, 4) for row in range(6)]
    whole = Sentences(sentences, 4, seed=2)
    shares = [Sentences(sentences, 2, 2, num_replicas=2, rank=rank) for rank in range(2)]
    for (inputs, targets), *parts in zip(whole, *shares, strict=True):
        for rank, part in enumerate(parts):
            np.testing.assert_equal(part, (inputs[:, rank::2], targets[:, rank::2]))


def test_the_lines_of_a_text_are_sentences_for_those_who_cannot_read_on() -> None:
    """Neither the empty ones nor those too long; in words, those of all the text."""
    text = data.TextDataset("sample", "a b c\n\n  d e\na b c d e\nb\n", "c b\n", "f a\n")
    module = data.LineDataModule(text, 9, longest=3, ahead=0)
    assert module.vocabulary == Vocabulary.build(text.text, "words")
    lines = [module.vocabulary.encode(line) for line in ("a b c", "d e", "b")]
    np.testing.assert_equal(list(module.train), list(Sentences(lines, 9, seed=0, ahead=0)))
    assert module.validation is not None
    assert [module.test[0][0].shape, module.validation[0][0].shape] == [(2, 1), (2, 1)]
    assert module.identity == {"text_sha256": text.sha256}
    assert len(data.LineDataModule(text, longest=3).train.sequences) == 2  # type: ignore[attr-defined]
    assert len(data.LineDataModule(text, max_words=3).vocabulary) == 3
    with pytest.raises(ValueError, match="LineDataModule: longest must be at least 1, got 0"):
        data.LineDataModule(text, longest=0)
