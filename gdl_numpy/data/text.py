"""Texts and sentences, and the batches in which a language model reads them.

A text is one long line of symbols, read by `Streams`; sentences are many short ones, read by `Sentences`.
Both give ids of shape (time, batch), and with them the ids to be predicted.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from gdl_numpy.data.batches import Feed, epoch_order
from gdl_numpy.data.vocabulary import Vocabulary

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from jaxtyping import Int64

    from gdl_numpy.data.vocabulary import Kind

# The target where there is nothing to predict: CrossEntropyLoss's ignore_index, here and in torch.
IGNORED = -100

Part = Literal["train", "validation", "test"]
# What people call them.
PARTS: dict[Part, str] = {"train": "training", "validation": "validation", "test": "test"}


@dataclass(frozen=True)
class TextDataset:
    """One long text, in three pieces that follow each other."""

    kind: ClassVar[str] = "running text"
    name: str
    train: str
    validation: str
    test: str

    @classmethod
    def split(cls, name: str, text: str) -> TextDataset:
        """Return the data set whose training piece is the first 90 % of the text, and 5 % each the other two.

        Raises:
            ValueError: the text is empty.
        """
        if not text:
            raise ValueError(f"TextDataset: the text of {name!r} is empty")
        first, second = len(text) * 90 // 100, len(text) * 95 // 100
        return cls(name, text[:first], text[first:second], text[second:])

    @property
    def text(self) -> str:
        """All of it."""
        return self.train + self.validation + self.test

    @property
    def sha256(self) -> str:
        """A digest by which to know the text again."""
        return hashlib.sha256(self.text.encode("utf-8", "surrogatepass")).hexdigest()

    def vocabulary(
        self, kind: Kind = "characters", unknown: bool = True, max_size: int | None = None
    ) -> Vocabulary:
        """Return the vocabulary to read all pieces with.

        It is that of the training piece, if it has a symbol for what is unknown in the others. Else it is
        that of all the text, so that nothing in it is.

        Args:
            kind: what the symbols are; this and the others as in `Vocabulary.build`.
            unknown: whether it has such a symbol.
            max_size: the most symbols to keep; None: all.

        Raises:
            ValueError: the text is empty, there is no such kind, or `max_size` leaves no symbol of the text.
        """
        return Vocabulary.build(self.train if unknown else self.text, kind, unknown, max_size)


@dataclass(frozen=True)
class SentenceDataset:
    """Sentences whose words are what stands between spaces: the vocabulary's kind is "spaces".

    Attributes:
        padded: all sentences have the same number of words, with "-" in front of the shorter ones, and a
            model has to predict the last word alone.
    """

    kind: ClassVar[str] = "sentences"
    name: str
    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]
    padded: bool = False

    @property
    def text(self) -> str:
        """All sentences, with spaces between them."""
        return " ".join(self.train + self.validation + self.test)

    def vocabulary(self) -> Vocabulary:
        """Return the vocabulary of all their words, with a symbol for what is unknown."""
        return Vocabulary.build(self.text, "spaces")


class Streams(Feed):
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
        ids: Int64[np.ndarray, " symbols"],
        batch_size: int,
        chunk: int,
        ahead: int = 1,
        num_replicas: int = 1,
        rank: int = 0,
        part: Part | None = None,
    ) -> None:
        super().__init__(batch_size)
        self._check_at_least(1, chunk=chunk, num_replicas=num_replicas)
        self._check_at_least(0, ahead=ahead)
        if not 0 <= rank < num_replicas:
            raise ValueError(f"Streams: rank must be from 0 to {num_replicas - 1}, got {rank}")
        streams = num_replicas * batch_size
        needed = streams * chunk + ahead
        if len(ids) < needed:
            where = f"in the {PARTS[part]} part " if part else ""
            raise ValueError(
                f"Streams: {where}the text has {len(ids):,} symbols, but {streams} streams in chunks of "
                f"{chunk} need at least {needed:,}: take a longer text, or a smaller batch_size or chunk"
            )
        self.ids = ids
        self.chunk = chunk
        self.ahead = ahead
        self.num_replicas = num_replicas
        self.steps = (len(ids) - ahead) // streams  # of each stream in an epoch
        windows = sliding_window_view(ids, self.steps + ahead)[:: self.steps]
        mine = windows[rank * batch_size : (rank + 1) * batch_size]  # (B, steps + ahead)
        # A copy, time first: a chunk's rows lie together, and every batch is a view of it.
        self._columns = np.array(mine.T, order="C")  # (steps + ahead, B)

    def describe(self) -> dict[str, Any]:
        return {
            "symbols": len(self.ids),
            "batch_size": self.batch_size,
            "chunk": self.chunk,
            "ahead": self.ahead,
            "num_replicas": self.num_replicas,
        }

    def __len__(self) -> int:
        return -(-self.steps // self.chunk)

    def __iter__(self) -> Iterator[tuple[Int64[np.ndarray, "time batch"], Int64[np.ndarray, "time batch"]]]:
        for start in range(0, self.steps, self.chunk):
            stop = min(start + self.chunk, self.steps)
            yield self._columns[start:stop], self._columns[start + self.ahead : stop + self.ahead]


class Sentences(Feed):
    """Whole sequences in batches, each filled up at its end to the longest of its batch.

    Args:
        sequences: the ids of each sentence.
        batch_size: sentences in a batch; the last batch holds what is left over.
        seed: shuffle by `epoch_order(len(sequences), seed, epoch)`; None keeps their own order.
        ahead: how many steps the targets are ahead of the inputs: 0 for a model that speaks before it reads.
        last_only: the last id of a sequence is its only target.

    Raises:
        ValueError: `batch_size` is less than 1, `seed` or `ahead` negative, or a sequence has no target.
    """

    def __init__(
        self,
        sequences: Sequence[Int64[np.ndarray, " _"]],
        batch_size: int,
        seed: int | None = None,
        ahead: int = 1,
        last_only: bool = False,
    ) -> None:
        super().__init__(batch_size, seed)
        self._check_at_least(0, ahead=ahead)
        for index, sequence in enumerate(sequences):
            if len(sequence) <= ahead:
                raise ValueError(
                    f"Sentences: sequence {index} has {len(sequence)} symbols, but needs at least "
                    f"{ahead + 1} to have a target (ahead = {ahead})"
                )
        self.sequences = sequences
        self.ahead = ahead
        self.last_only = last_only

    def describe(self) -> dict[str, Any]:
        return {
            "examples": len(self.sequences),
            "batch_size": self.batch_size,
            "seed": self.seed,
            "ahead": self.ahead,
            "last_only": self.last_only,
        }

    def __len__(self) -> int:
        return -(-len(self.sequences) // self.batch_size)

    def __iter__(self) -> Iterator[tuple[Int64[np.ndarray, "time batch"], Int64[np.ndarray, "time batch"]]]:
        """Give inputs, 0 where a sequence has ended, and targets, -100 where there is nothing to predict."""
        n = len(self.sequences)
        order = np.arange(n) if self.seed is None else epoch_order(n, self.seed, self.epoch)
        for start in range(0, n, self.batch_size):
            yield self._batch([self.sequences[row] for row in order[start : start + self.batch_size]])

    def _batch(
        self, sequences: Sequence[Int64[np.ndarray, " _"]]
    ) -> tuple[Int64[np.ndarray, "time batch"], Int64[np.ndarray, "time batch"]]:
        shape = max(map(len, sequences)) - self.ahead, len(sequences)
        inputs = np.zeros(shape, np.int64)
        targets = np.full(shape, IGNORED, np.int64)
        for column, sequence in enumerate(sequences):
            length = len(sequence) - self.ahead
            first = length - 1 if self.last_only else 0
            inputs[:length, column] = sequence[:length]
            targets[first:length, column] = sequence[first + self.ahead :]
        return inputs, targets
