"""A data set in batches for a training run: to learn from, to watch it by, to decide in the end."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gdl_numpy.data.batches import Batches
from gdl_numpy.data.text import Sentences, Streams
from gdl_numpy.training import hold_out

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gdl_numpy.data.batches import Feed
    from gdl_numpy.data.dataset import Dataset
    from gdl_numpy.data.text import Part, SentenceDataset, TextDataset
    from gdl_numpy.data.vocabulary import Kind, Vocabulary


@dataclass(frozen=True)
class Material:
    """What there is to learn from, in the NumPy side's batches.

    Attributes:
        name: of the data set.
        train: the batches to learn from.
        validation: those to watch the training by, if there are any.
        test: those that decide in the end.
        arguments: a model's arguments that the data decides.
        vocabulary: what ids stand for, in text.
        identity: what tells the data from other data of this name, in JSON's types.
    """

    name: str
    train: Feed
    validation: Feed | None
    test: Feed
    arguments: dict[str, Any]
    vocabulary: Vocabulary | None = None
    identity: dict[str, Any] = field(default_factory=dict)

    @property
    def unit(self) -> str:
        """What is predicted, one at a time."""
        return "example" if self.vocabulary is None else self.vocabulary.unit


def images(dataset: Dataset, batch_size: int, validation: float = 0.1, seed: int = 0) -> Material:
    """Return images in shuffled batches, with a fraction of the training images held out to watch it by.

    Args:
        dataset: the images.
        batch_size: images in a batch.
        validation: the fraction; 0 for none.
        seed: decides which are held out, and the order of the others.

    Raises:
        ValueError: an argument is out of its range, or nothing is left to learn from.
    """
    train, held_out = hold_out(dataset.train, validation, seed)
    if not len(train):
        raise ValueError(
            f"validation={validation} holds out all {len(held_out):,} examples: take a smaller one"
        )
    return Material(
        dataset.name,
        Batches(train, batch_size, seed),
        Batches(held_out, batch_size) if len(held_out) else None,
        Batches(dataset.test, batch_size),
        {
            "in_features": math.prod(dataset.in_shape),
            "in_shape": dataset.in_shape,
            "out_features": dataset.num_classes,
        },
    )


def running_text(
    dataset: TextDataset,
    batch_size: int,
    chunk: int,
    ahead: int = 1,
    kind: Kind = "characters",
    unknown: bool = True,
    max_words: int | None = None,
) -> Material:
    """Return a text in streams.

    Args:
        dataset: the text.
        batch_size: streams read side by side.
        chunk: steps in a batch.
        ahead: how many steps the targets are ahead of the inputs.
        kind: what a symbol is; with `unknown` and `max_words`, see `TextDataset.vocabulary`.
        unknown: whether there is a symbol for what the training text lacks.
        max_words: the most symbols to keep; None for all.

    Raises:
        ValueError: an argument is out of its range, or a part of the text is too short for the streams.
    """
    vocabulary = dataset.vocabulary(kind, unknown, max_words)

    def streams(part: Part) -> Streams:
        return Streams(vocabulary.encode(getattr(dataset, part)), batch_size, chunk, ahead, part=part)

    return Material(
        dataset.name,
        streams("train"),
        streams("validation"),
        streams("test"),
        {"vocab_size": len(vocabulary)},
        vocabulary,
        {"text_sha256": dataset.sha256},
    )


def sentences(dataset: SentenceDataset, batch_size: int, ahead: int = 1, seed: int = 0) -> Material:
    """Return sentences in batches, those to learn from shuffled.

    Args:
        dataset: the sentences.
        batch_size: sentences in a batch.
        ahead: how many steps the targets are ahead of the inputs.
        seed: decides the order.

    Raises:
        ValueError: an argument is out of its range.
    """
    vocabulary = dataset.vocabulary()

    def batches(part: Iterable[str], seed: int | None = None) -> Sentences:
        ids = [vocabulary.encode(sentence) for sentence in part]
        return Sentences(ids, batch_size, seed, ahead, last_only=dataset.padded)

    return Material(
        dataset.name,
        batches(dataset.train, seed),
        batches(dataset.validation),
        batches(dataset.test),
        {"vocab_size": len(vocabulary)},
        vocabulary,
    )
