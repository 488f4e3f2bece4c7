"""What ``scripts/compare.py`` feeds the models: real data in batches, one epoch after the other."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from itertools import count
from typing import Any, NamedTuple

from gdl_numpy.data import (
    Batches,
    Dataset,
    Feed,
    ReviewDataset,
    SentenceDataset,
    Sentences,
    Streams,
    TextDataset,
    Vocabulary,
    material,
)
from gdl_numpy.data.vocabulary import Kind

# Of a text only so many symbols or words, the most frequent ones: the harness keeps many copies of a model.
MAX_SYMBOLS = 1000


class Fed(NamedTuple):
    """A data set for a model.

    Attributes:
        sizes: the constructor arguments that the data decides, of whatever model.
        batches: (inputs, targets) of a training step each, without end.
    """

    sizes: Mapping[str, Any]
    batches: Iterator[tuple[Any, Any]]


Feeding = Callable[[Any, int, int], Fed]  # from data set, batch size and seed


def endless(feed: Feed) -> Iterator[tuple[Any, Any]]:
    """All batches of a feed, epoch after epoch."""
    for epoch in count():
        feed.set_epoch(epoch)
        yield from feed


def images(dataset: Dataset, batch_size: int, seed: int) -> Fed:
    """Mini-batches of the training images."""
    sizes = {
        "in_features": math.prod(dataset.in_shape),
        "in_shape": dataset.in_shape,
        "out_features": dataset.num_classes,
    }
    return Fed(sizes, endless(Batches(dataset.train, batch_size, seed)))


def vocabulary_of(dataset: TextDataset | SentenceDataset, kind: Kind) -> Vocabulary:
    """The words of sentences; of a running text symbols of this kind."""
    if isinstance(dataset, SentenceDataset):
        return Vocabulary.build(dataset.text, "spaces")
    return Vocabulary.build(dataset.text, kind, max_size=MAX_SYMBOLS)


def sentences(kind: Kind, ahead: int = 1) -> Feeding:
    """Shuffled batches of whole sentences; of a running text, of its lines of at most twelve symbols.

    Twelve, since a transition matrix that has learned to grow makes powers of itself along a line.
    """

    def fed(dataset: TextDataset | SentenceDataset, batch_size: int, seed: int) -> Fed:
        vocabulary = vocabulary_of(dataset, kind)
        if isinstance(dataset, SentenceDataset):
            sequences, padded = [vocabulary.encode(sentence) for sentence in dataset.train], dataset.padded
        else:
            lines, padded = [vocabulary.encode(line.strip()) for line in dataset.train.splitlines()], False
            sequences = [line for line in lines if 0 < len(line) <= 12]
        feed = Sentences(sequences, batch_size, seed, ahead, padded)
        return Fed({"vocab_size": len(vocabulary)}, endless(feed))

    return fed


def chunks(steps: int) -> Feeding:
    """A running text in chunks of so many steps, from its beginning, whatever the seed; sentences whole."""

    def fed(dataset: TextDataset | SentenceDataset, batch_size: int, seed: int) -> Fed:
        if isinstance(dataset, SentenceDataset):
            return sentences("characters")(dataset, batch_size, seed)
        vocabulary = vocabulary_of(dataset, "characters")
        feed = Streams(vocabulary.encode(dataset.train), batch_size, steps)
        return Fed({"vocab_size": len(vocabulary)}, endless(feed))

    return fed


def views(dataset: Dataset, batch_size: int, seed: int) -> Fed:
    """Two views of each image."""
    found = material.views(dataset, batch_size, validation=0, seed=seed)
    return Fed(found.arguments, endless(found.train))


def pretext(task: material.ImageTask, **arguments: int) -> Feeding:
    """Images as a task with answers of its own."""

    def fed(dataset: Dataset, batch_size: int, seed: int) -> Fed:
        found = material.pretext_images(dataset, batch_size, task, validation=0, seed=seed, **arguments)
        return Fed(found.arguments, endless(found.train))

    return fed


def words(make: Callable[..., material.Material], **arguments: int) -> Feeding:
    """Texts as `gdl_numpy.data.material` makes them for the models of words."""

    def fed(dataset: ReviewDataset | TextDataset | SentenceDataset, batch_size: int, seed: int) -> Fed:
        found = make(dataset, batch_size, seed=seed, validation=0, max_words=MAX_SYMBOLS, **arguments)
        return Fed(found.arguments, endless(found.train))

    return fed
