"""The texts and sentences as LightningDataModules, for language models."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, Literal, get_args

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, DistributedSampler

from gdl_numpy.data import (
    Part,
    SentenceDataset,
    Sentences,
    Streams,
    TextDataset,
    Vocabulary,
    find,
    load,
    read_text_file,
)
from gdl_torch.data.loading import Batch, EpochSampler, as_is
from gdl_torch.data.vocabulary import VocabularyDataModule
from gdl_torch.language_model import LanguageModel

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


Symbols = Literal["characters", "words"]


class SymbolDataModule(VocabularyDataModule):
    """Base of the data modules that give ids (time, batch), and as targets those that are to be predicted."""

    gives = "texts"
    reader = LanguageModel
    continues: ClassVar[bool]

    @property
    def ahead(self) -> int:
        """How many steps the targets are ahead of the inputs: as the Trainer's model wants them, else 1."""
        ahead: int = getattr(self.trainer and self.trainer.lightning_module, "ahead", 1)
        return ahead


class TextDataModule(SymbolDataModule):
    """A long text, read in streams side by side, chunk by chunk, for truncated backpropagation through time.

    The batches are those of `gdl_numpy.data.Streams`, in every epoch the same; a model carries its state from
    each to the next. With R devices there are R times as many streams, and each device reads its own.

    Args:
        batch_size: streams read side by side, on each device.
        chunk: steps in a batch, and so the longest way back for a gradient.
        data_dir: where the files are or will be put; else $GDL_DATA, else the user cache.
        vocabulary: what a symbol is: "characters" or "words".
        unknown: whether the vocabulary has a symbol for what is not in it.
        max_words: keep only so many words, the most frequent ones, and the unknown one among them; None for
            all.

    Attributes:
        vocabulary: that of the training text, if it has a symbol for unknown ones, else that of all the text.

    Raises:
        ValueError: a batch_size or chunk below 1, an unknown vocabulary, max_words below 2 or without words
            or `unknown`; by the loaders, a text that is too short for them.
    """

    continues = True

    def __init__(
        self,
        batch_size: int = 32,
        chunk: int = 25,
        data_dir: str | Path | None = None,
        vocabulary: Symbols = "characters",
        unknown: bool = True,
        max_words: int | None = None,
    ) -> None:
        super().__init__(batch_size, data_dir)
        name = type(self).__name__
        if chunk < 1:
            raise ValueError(f"{name}: chunk must be at least 1, got {chunk}")
        if vocabulary not in get_args(Symbols):
            raise ValueError(f"{name}: vocabulary must be 'characters' or 'words', got {vocabulary!r}")
        if max_words is not None:
            if vocabulary != "words":
                raise ValueError(f"{name}: max_words is for vocabulary='words', not for {vocabulary!r}")
            if not unknown:
                raise ValueError(f"{name}: max_words={max_words} leaves words out, which needs unknown=True")
            if max_words < 2:
                raise ValueError(
                    f"{name}: max_words must be at least 2, the unknown one counted, got {max_words}"
                )
        self.chunk = chunk
        self.kind = vocabulary
        self.unknown = unknown
        self.max_words = max_words

    @cached_property
    def vocabulary(self) -> Vocabulary:
        texts: TextDataset = self.texts
        return texts.vocabulary(self.kind, self.unknown, self.max_words)

    def loader(self, part: Part) -> DataLoader[Batch]:
        ids = self.vocabulary.encode(getattr(self.texts, part))
        streams = Streams(ids, self.batch_size, self.chunk, self.ahead, *self.device, part=part)
        batches = [(torch.from_numpy(inputs), torch.from_numpy(targets)) for inputs, targets in streams]
        return DataLoader(
            batches,  # type: ignore[arg-type]  # a list will do
            batch_size=None,
            # Batches in their order, all of them for each device, whose streams these are. With any other
            # sampler, Lightning would deal them out among the devices.
            sampler=DistributedSampler(batches, num_replicas=1, rank=0, shuffle=False),  # type: ignore[arg-type]
            collate_fn=as_is,
            pin_memory=torch.cuda.is_available(),
        )


class SentenceDataModule(SymbolDataModule):
    """Sentences in batches, each filled up to the longest of its batch; words are what spaces divide.

    Training batches are those of `gdl_numpy.data.Sentences(…, batch_size, seed)`, epoch by epoch. With
    several devices each takes its share of a batch that is so many times larger; where the sentences cannot
    be divided evenly, some are repeated. The gradient is then the mean of the devices' means, in which a word
    weighs more on the device that has fewer of them.

    Args:
        batch_size: sentences in a batch, on each device; the last batch of an epoch may be smaller.
        data_dir: where the files are or will be put; else $GDL_DATA, else the user cache.
        seed: decides the order.

    Attributes:
        vocabulary: all words there are, and a symbol for unknown ones.

    Raises:
        ValueError: a batch_size below 1, or a negative seed.
    """

    continues = False

    def __init__(self, batch_size: int = 16, data_dir: str | Path | None = None, seed: int = 0) -> None:
        super().__init__(batch_size, data_dir)
        if seed < 0:
            raise ValueError(f"{type(self).__name__}: seed must be 0 or more, got {seed}")
        self.seed = seed

    @cached_property
    def vocabulary(self) -> Vocabulary:
        texts: SentenceDataset = self.texts
        return texts.vocabulary()

    def loader(self, part: Part) -> DataLoader[Batch]:
        sequences = [self.vocabulary.encode(sentence) for sentence in getattr(self.texts, part)]
        batches = SentenceBatches(sequences, self.ahead, self.texts.padded)
        return DataLoader(
            batches,
            batch_size=self.batch_size,  # by keyword: Lightning builds the loader anew from its arguments
            sampler=EpochSampler(batches, self.seed, *self.device) if part == "train" else None,
            collate_fn=as_is,
            pin_memory=torch.cuda.is_available(),
        )


class SentenceBatches(Dataset[Batch]):
    """A data set that hands out whole batches of sentences, filled up as `gdl_numpy.data.Sentences` does it.

    Args:
        sequences: the ids of each sentence.
        ahead: how many steps the targets are ahead of the inputs.
        last_only: the last id of a sentence is its only target.
    """

    def __init__(self, sequences: Sequence[np.ndarray], ahead: int, last_only: bool) -> None:
        self.sequences = sequences
        self.ahead = ahead
        self.last_only = last_only

    def __len__(self) -> int:
        return len(self.sequences)

    def __getitem__(self, index: int) -> Batch:
        return self.__getitems__([index])

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        sequences = [self.sequences[index] for index in indices]
        (batch,) = Sentences(sequences, len(sequences), ahead=self.ahead, last_only=self.last_only)
        inputs, targets = map(torch.from_numpy, batch)
        return inputs, targets


class PythonDocsDataModule(TextDataModule):
    """Half a million characters of Python's reference manual, which comes with Python."""

    dataset = "python_docs"


class ShakespeareDataModule(TextDataModule):
    """Tiny Shakespeare: a million characters of the plays."""

    dataset = "shakespeare"


class BookShakespeareDataModule(TextDataModule):
    """The 100,000 characters of chapter 14, 62 different ones."""

    dataset = "shakespeare_book"


class TextFileDataModule(TextDataModule):
    """A text of one's own: a file in UTF-8, of which 90 % are to train on, and 5 % each to validate and test.

    Args:
        path: the file.
        batch_size: streams read side by side, on each device.
        chunk: steps in a batch, and so the longest way back for a gradient.
        vocabulary: what a symbol is: "characters" or "words".
        unknown: whether the vocabulary has a symbol for what is not in it.
        max_words: keep only so many words, the most frequent ones, and the unknown one among them; None for
            all.

    Raises:
        ValueError: as TextDataModule; and, as soon as the text is needed, for a file that is missing, empty
            or no text in UTF-8.
    """

    dataset = "text_file"

    def __init__(
        self,
        path: str | Path,
        batch_size: int = 32,
        chunk: int = 25,
        vocabulary: Symbols = "characters",
        unknown: bool = True,
        max_words: int | None = None,
    ) -> None:
        super().__init__(batch_size, chunk, None, vocabulary, unknown, max_words)
        self.path = path

    @cached_property
    def texts(self) -> TextDataset:
        return read_text_file(self.path)

    def prepare_data(self) -> None:
        """There is nothing to download."""


class BabiDataModule(SentenceDataModule):
    """Chapter 12's sentences, those of the first bAbI task line by line, or another task's.

    Args:
        batch_size: sentences in a batch, on each device; the last batch of an epoch may be smaller.
        data_dir: where the files are or will be put; else $GDL_DATA, else the user cache.
        seed: decides the order.
        task: 1 to 20.

    Raises:
        ValueError: a batch_size below 1, a negative seed, or no such task.
    """

    dataset = "babi"

    def __init__(
        self, batch_size: int = 16, data_dir: str | Path | None = None, seed: int = 0, task: int = 1
    ) -> None:
        super().__init__(batch_size, data_dir, seed)
        self.task = task
        self.source = find(f"{self.dataset}/{task}")  # refuses a task that there is not

    @cached_property
    def texts(self) -> SentenceDataset:
        texts: SentenceDataset = load(self.source.name, self.data_dir)
        return texts


class PaddedBabiDataModule(BabiDataModule):
    """Chapter 13's: the same, padded in front to one length; only the last word is to be predicted."""

    dataset = "babi_padded"
