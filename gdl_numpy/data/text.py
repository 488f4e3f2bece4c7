"""Batches in which a language model reads texts and sentences.

A text is one long line of tokens, read by `Streams`; sentences are many short ones, read by `Sentences`.
Both give ids of shape (time, batch), and with them the ids to be predicted.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from gdl_numpy.data.batches import DataLoader, ExampleLoader
from gdl_numpy.data.dataset import SentenceDataset, TextDataset
from gdl_numpy.data.module import VocabularyDataModule, check_arguments
from gdl_numpy.data.vocabulary import Vocabulary
from gdl_numpy.messages import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Int64

    from gdl_numpy.data.dataset import Part

Tokens = Literal["characters", "words"]  # of running text

# The target where there is nothing to predict: CrossEntropyLoss's ignore_index, here and in torch.
IGNORED = -100

# What people call the parts of a text.
PARTS: dict[Part, str] = {"train": "training", "validation": "validation", "test": "test"}


class Streams(DataLoader):
    """A text cut into streams of equal length that are read side by side, a chunk of steps at a time.

    Column b of each batch goes on where column b of the batch before it ended, so that a model's state
    carries over: truncated backpropagation through time. Nothing between two streams is left out, since the
    last target of one is the first input of the next (with `ahead` = 1); what does not fit evenly at the end
    of the text is.

    Args:
        ids: the text.
        batch_size: streams read side by side on each device, B.
        chunk: steps in a batch, T; the last one of an epoch may be shorter.
        ahead: how many steps the targets are ahead of the inputs: 0 for a model that speaks before it reads.
        num_replicas: devices that share the work. The text is cut into `num_replicas` · B streams.
        rank: which of them this one is: it reads streams `rank` · B up to (`rank` + 1) · B.
        part: which part of a data set the text is, if it is one; a text too short is refused by this name.

    Raises:
        ValueError: an argument is out of its range, or the text is too short for a full chunk of each stream.
    """

    continues = True

    def __init__(
        self,
        ids: Int64[np.ndarray, " tokens"],
        batch_size: int,
        chunk: int,
        ahead: int = 1,
        num_replicas: int = 1,
        rank: int = 0,
        part: Part | None = None,
    ) -> None:
        super().__init__(batch_size, None, num_replicas, rank)
        self._check_at_least(1, chunk=chunk)
        self._check_at_least(0, ahead=ahead)
        streams = num_replicas * batch_size
        needed = streams * chunk + ahead
        if len(ids) < needed:
            where = f"in the {PARTS[part]} part " if part else ""
            raise ValueError(
                f"Streams: {where}the text has {counted(len(ids), 'token')}, but "
                f"{counted(streams, 'stream')} in chunks of {chunk} need at least {needed:,}: "
                "take a longer text, or a smaller batch_size or chunk"
            )
        self.ids = ids
        self.chunk = chunk
        self.ahead = ahead
        self.steps = (len(ids) - ahead) // streams  # of each stream in an epoch
        windows = sliding_window_view(ids, self.steps + ahead)[:: self.steps]
        mine = windows[rank * batch_size : (rank + 1) * batch_size]  # (B, steps + ahead)
        # A copy, time first: a chunk's rows lie together, and every batch is a view of it.
        self._columns = np.array(mine.T, order="C")  # (steps + ahead, B)

    def describe(self) -> dict[str, Any]:
        return {
            "symbols": len(self.ids),  # the tokens, as checkpoints call them
            "batch_size": self.batch_size,
            "chunk": self.chunk,
            "ahead": self.ahead,
            "num_replicas": self.num_replicas,
        }

    def __len__(self) -> int:
        return -(-self.steps // self.chunk)

    def _get(self, number: int) -> tuple[Int64[np.ndarray, "time batch"], Int64[np.ndarray, "time batch"]]:
        start = number * self.chunk
        stop = min(start + self.chunk, self.steps)
        return self._columns[start:stop], self._columns[start + self.ahead : stop + self.ahead]


class Sentences(ExampleLoader):
    """Whole sequences in batches, each filled up at its end to the longest of its batch.

    Args:
        sequences: the ids of each sentence.
        batch_size: sentences in a batch, on each device; the last batch holds what is left over.
        seed: shuffle by `epoch_order(len(sequences), seed, epoch)`; None keeps their own order.
        ahead: how many steps the targets are ahead of the inputs: 0 for a model that speaks before it reads.
        last_only: the last id of a sequence is its only target.
        num_replicas: number of devices; see `ExampleLoader`.
        rank: which of them this one is.

    Raises:
        ValueError: an argument is out of its range, or a sequence has no target.
    """

    def __init__(
        self,
        sequences: Sequence[Int64[np.ndarray, " _"]],
        batch_size: int,
        seed: int | None = None,
        ahead: int = 1,
        last_only: bool = False,
        num_replicas: int = 1,
        rank: int = 0,
    ) -> None:
        super().__init__(len(sequences), batch_size, seed, num_replicas, rank)
        self._check_at_least(0, ahead=ahead)
        for index, sequence in enumerate(sequences):
            if len(sequence) <= ahead:
                raise ValueError(
                    f"Sentences: sequence {index} has {counted(len(sequence), 'token')}, but needs at least "
                    f"{ahead + 1} to have a target (ahead = {ahead})"
                )
        self.sequences = sequences
        self.ahead = ahead
        self.last_only = last_only

    def describe(self) -> dict[str, Any]:
        return {
            "examples": self.n,
            "batch_size": self.batch_size,
            "seed": self.seed,
            "ahead": self.ahead,
            "last_only": self.last_only,
        }

    def batch(
        self, rows: Int64[np.ndarray, " batch"], number: int
    ) -> tuple[Int64[np.ndarray, "time batch"], Int64[np.ndarray, "time batch"]]:
        """Returns inputs, 0 where a sequence has ended; and targets, -100 where there is none."""
        sequences = [self.sequences[row] for row in rows]
        shape = max(map(len, sequences)) - self.ahead, len(sequences)
        inputs = np.zeros(shape, np.int64)
        targets = np.full(shape, IGNORED, np.int64)
        for column, sequence in enumerate(sequences):
            length = len(sequence) - self.ahead
            first = length - 1 if self.last_only else 0
            inputs[:length, column] = sequence[:length]
            targets[first:length, column] = sequence[first + self.ahead :]
        return inputs, targets


def check_tokens(owner: str, vocabulary: str, unknown: bool, max_words: int | None) -> None:
    """Refuses arguments of a data module that do not make a vocabulary together.

    Raises:
        ValueError: an unknown kind of token; or words are to be left out of what has no words, or no token
            for those left out.
    """
    if vocabulary not in get_args(Tokens):
        raise ValueError(f"{owner}: vocabulary must be 'characters' or 'words', got {vocabulary!r}")
    if max_words is not None and vocabulary != "words":
        raise ValueError(f"{owner}: max_words is for vocabulary='words', not for {vocabulary!r}")
    if max_words is not None and not unknown:
        raise ValueError(f"{owner}: max_words={max_words} leaves words out, which needs unknown=True")


class TextDataModule(VocabularyDataModule):
    """A long text, read in streams side by side, chunk by chunk: the batches of `Streams`.

    Args:
        dataset: the text.
        batch_size: streams read side by side, on each device.
        chunk: steps in a batch, and so the longest way back for a gradient.
        vocabulary: what a token is; see `TextDataset.vocabulary`.
        unknown: whether the vocabulary has a token for what is not in it.
        max_words: keep only so many words, the most frequent ones, the unknown one included; None for all.
        ahead: how many steps the targets are ahead of the inputs; 0 for a model that speaks before it reads.

    Raises:
        ValueError: an argument is out of its range; by the batches, for a part too short for the streams.
    """

    takes = (TextDataset,)
    gives = "texts"
    readers = ("LanguageModel",)
    continues = True

    def __init__(
        self,
        dataset: TextDataset,
        batch_size: int = 32,
        chunk: int = 25,
        vocabulary: Tokens = "characters",
        unknown: bool = True,
        max_words: int | None = None,
        ahead: int = 1,
    ) -> None:
        super().__init__(dataset, batch_size, chunk=chunk, max_words=max_words, ahead=ahead)
        check_tokens(type(self).__name__, vocabulary, unknown, max_words)
        self.chunk = chunk
        self.kind = vocabulary
        self.unknown = unknown
        self.max_words = max_words
        self.ahead = ahead

    @cached_property
    def vocabulary(self) -> Vocabulary:
        found: Vocabulary = self.dataset.vocabulary(self.kind, self.unknown, self.max_words)
        return found

    def batches(self, part: Part, num_replicas: int = 1, rank: int = 0) -> Streams:
        ids = self.vocabulary.encode(getattr(self.dataset, part))
        return Streams(ids, self.batch_size, self.chunk, self.ahead, num_replicas, rank, part)


class SentenceDataModule(VocabularyDataModule):
    """Sentences, each filled up to the longest of its batch, those to learn from shuffled: `Sentences`.

    Args:
        dataset: the sentences.
        batch_size: sentences in a batch, on each device; the last batch of an epoch may be smaller.
        seed: decides the order.
        ahead: how many steps the targets are ahead of the inputs; 0 for a model that speaks before it reads.

    Raises:
        ValueError: an argument is out of its range.
    """

    takes: ClassVar[tuple[type[Any], ...]] = (SentenceDataset,)
    gives = "sentences"
    readers = ("LanguageModel",)

    def __init__(self, dataset: Any, batch_size: int = 16, seed: int = 0, ahead: int = 1) -> None:
        super().__init__(dataset, batch_size, seed=seed, ahead=ahead)
        self.ahead = ahead

    @cached_property
    def vocabulary(self) -> Vocabulary:
        found: Vocabulary = self.dataset.vocabulary()
        return found

    def sentences(self, part: Part) -> list[Int64[np.ndarray, " _"]]:
        """Returns the sentences of a part, each as its ids."""
        return [self.vocabulary.encode(sentence) for sentence in getattr(self.dataset, part)]

    def batches(self, part: Part, num_replicas: int = 1, rank: int = 0) -> Sentences:
        sentences, seed = self.sentences(part), self.seed_of(part)
        last_only = getattr(self.dataset, "padded", False)
        return Sentences(sentences, self.batch_size, seed, self.ahead, last_only, num_replicas, rank)


class LineDataModule(SentenceDataModule):
    """The lines of a text as sentences: for a model that cannot read a long text.

    Args:
        dataset: the text.
        batch_size: lines in a batch, on each device; the last batch of an epoch may be smaller.
        seed: decides the order.
        max_words: keep only so many words, the most frequent ones, the unknown one among them; None for all.
        longest: leave out the lines of more words.
        ahead: how many steps the targets are ahead of the inputs; 0 for a model that speaks before it reads.

    Attributes:
        vocabulary: the words of all the text, and one for unknown ones.

    Raises:
        ValueError: an argument is out of its range.
    """

    takes = (TextDataset,)
    gives = "lines of text"

    def __init__(
        self,
        dataset: TextDataset,
        batch_size: int = 16,
        seed: int = 0,
        max_words: int | None = None,
        longest: int = 12,
        ahead: int = 1,
    ) -> None:
        super().__init__(dataset, batch_size, seed, ahead)
        check_arguments(type(self).__name__, max_words=max_words, longest=longest)
        self.max_words = max_words
        self.longest = longest

    @cached_property
    def vocabulary(self) -> Vocabulary:
        return Vocabulary.build(self.dataset.text, "words", max_size=self.max_words)

    def sentences(self, part: Part) -> list[Int64[np.ndarray, " _"]]:
        text: str = getattr(self.dataset, part)
        lines = [self.vocabulary.encode(line.strip()) for line in text.splitlines()]
        return [line for line in lines if self.ahead < len(line) <= self.longest]
