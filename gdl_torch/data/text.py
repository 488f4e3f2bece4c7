"""The texts and sentences as LightningDataModules, for language models."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from gdl_numpy.data import find, read_text_file
from gdl_numpy.data import text as numpy_text
from gdl_numpy.data.text import Tokens, check_tokens
from gdl_torch.data.module import VocabularyDataModule

if TYPE_CHECKING:
    from pathlib import Path

    from torch.utils.data import DataLoader

    from gdl_numpy.data import Part, SentenceDataset, TextDataset


class LanguageDataModule(VocabularyDataModule):
    """Base of the data modules that give ids (time, batch), and as targets those that are to be predicted."""

    @property
    def continues(self) -> bool:
        """Whether each batch goes on where the one before it ended, so that a model's state carries over."""
        return self.twin.continues

    @property
    def ahead(self) -> int:
        """How many steps the targets are ahead of the inputs: as the Trainer's model wants them, else 1."""
        ahead: int = getattr(self.trainer and self.trainer.lightning_module, "ahead", 1)
        return ahead

    def loader(self, part: Part) -> DataLoader[Any]:
        twin: Any = self.numpy
        twin.ahead = self.ahead
        return super().loader(part)


class TextDataModule(LanguageDataModule):
    """A long text, read in streams side by side, chunk by chunk, for truncated backpropagation through time.

    The batches are those of `gdl_numpy.data.Streams`, in every epoch the same; a model carries its state from
    each to the next. With R devices there are R times as many streams, and each device reads its own.

    Args:
        batch_size: streams read side by side, on each device.
        chunk: steps in a batch, and so the longest way back for a gradient.
        data_dir: where the files are or will be put; else $GDL_DATA, else the user cache.
        vocabulary: what a token is: "characters" or "words".
        unknown: whether the vocabulary has a token for what is not in it.
        max_words: keep only so many words, the most frequent ones, and the unknown one among them; None for
            all.

    Attributes:
        vocabulary: that of the training text, if it has a token for unknown ones, else that of all the text.

    Raises:
        ValueError: a batch_size or chunk below 1, an unknown vocabulary, max_words below 2 or without words
            or `unknown`; by the loaders, a text that is too short for them.
    """

    twin = numpy_text.TextDataModule

    def __init__(
        self,
        batch_size: int = 32,
        chunk: int = 25,
        data_dir: str | Path | None = None,
        vocabulary: Tokens = "characters",
        unknown: bool = True,
        max_words: int | None = None,
    ) -> None:
        super().__init__(batch_size, data_dir, chunk=chunk, max_words=max_words)
        check_tokens(type(self).__name__, vocabulary, unknown, max_words)
        self.chunk = chunk
        self.kind = vocabulary
        self.unknown = unknown
        self.max_words = max_words

    def make(self, dataset: TextDataset) -> numpy_text.TextDataModule:
        return numpy_text.TextDataModule(
            dataset, self.batch_size, self.chunk, self.kind, self.unknown, self.max_words
        )


class SentenceDataModule(LanguageDataModule):
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
        vocabulary: all words there are, and a token for unknown ones.

    Raises:
        ValueError: a batch_size below 1, or a negative seed.
    """

    twin = numpy_text.SentenceDataModule

    def __init__(self, batch_size: int = 16, data_dir: str | Path | None = None, seed: int = 0) -> None:
        super().__init__(batch_size, data_dir, seed=seed)
        self.seed = seed

    def make(self, dataset: SentenceDataset) -> numpy_text.SentenceDataModule:
        return numpy_text.SentenceDataModule(dataset, self.batch_size, self.seed)


class SentenceTaskDataModule(SentenceDataModule):
    """The sentences of a data set that has tasks, of the first one unless another is asked for.

    Args:
        batch_size: sentences in a batch, on each device; the last batch of an epoch may be smaller.
        data_dir: where the files are or will be put; else $GDL_DATA, else the user cache.
        seed: decides the order.
        task: the number of the task.

    Raises:
        ValueError: a batch_size below 1, a negative seed, or no such task.
    """

    def __init__(
        self, batch_size: int = 16, data_dir: str | Path | None = None, seed: int = 0, task: int = 1
    ) -> None:
        super().__init__(batch_size, data_dir, seed)
        self.task = task
        find(self.source_name)  # refuses a task that there is not

    @property
    def source_name(self) -> str:
        return f"{self.dataset}/{self.task}"


class LineDataModule(LanguageDataModule):
    """The lines of a text as sentences, for a model that cannot read a long text.

    Args:
        batch_size: lines in a batch, on each device; the last batch of an epoch may be smaller.
        data_dir: where the files are or will be put; else $GDL_DATA, else the user cache.
        seed: decides the order.
        max_words: keep only so many words, the most frequent ones, the unknown one among them; None for all.
        longest: leave out the lines of more words.

    Attributes:
        vocabulary: the words of all the text, and one for unknown ones.

    Raises:
        ValueError: a batch_size or longest below 1, a negative seed, or max_words below 2.
    """

    twin = numpy_text.LineDataModule
    suffix = "Lines"

    def __init__(
        self,
        batch_size: int = 16,
        data_dir: str | Path | None = None,
        seed: int = 0,
        max_words: int | None = None,
        longest: int = 12,
    ) -> None:
        super().__init__(batch_size, data_dir, seed=seed, max_words=max_words, longest=longest)
        self.seed = seed
        self.max_words = max_words
        self.longest = longest

    def make(self, dataset: TextDataset) -> numpy_text.LineDataModule:
        return numpy_text.LineDataModule(dataset, self.batch_size, self.seed, self.max_words, self.longest)


class TextFileDataModule(TextDataModule):
    """A text of one's own: a file in UTF-8, of which 90 % are to train on, and 5 % each to validate and test.

    Args:
        path: the file.
        batch_size: streams read side by side, on each device.
        chunk: steps in a batch, and so the longest way back for a gradient.
        vocabulary: what a token is: "characters" or "words".
        unknown: whether the vocabulary has a token for what is not in it.
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
        vocabulary: Tokens = "characters",
        unknown: bool = True,
        max_words: int | None = None,
    ) -> None:
        super().__init__(batch_size, chunk, None, vocabulary, unknown, max_words)
        self.path = path

    @cached_property
    def loaded(self) -> TextDataset:
        return read_text_file(self.path)

    def prepare_data(self) -> None:
        """There is nothing to download."""
