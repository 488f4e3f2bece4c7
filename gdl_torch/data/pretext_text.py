"""Texts as tasks with answers of their own: a word under a mask, sentences out of order (chapter 16)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gdl_numpy.data import Part
from gdl_numpy.data.pretext_text import MaskedWords, ShuffledSentences
from gdl_torch.data.words import WordDataModule
from gdl_torch.models.pretext_text import MaskedWord, SentenceOrder

if TYPE_CHECKING:
    from pathlib import Path


class MaskedWordsDataModule(WordDataModule):
    """Texts as words under a mask: the batches of `gdl_numpy.data.pretext_text.MaskedWords`.

    Args:
        batch_size: words in a batch, on each device; the last batch of an epoch may be smaller.
        data_dir: where the files are or will be put; else $GDL_DATA, else the user cache.
        validation: fraction of reviews held out to watch the training by; 0 for none. Texts that have a part
            of their own for it use that.
        seed: decides which are held out, and the order of the words.
        max_words: keep only so many words, the most frequent ones, the unknown one included; None for all.
        window: words on either side of the mask; the model's must be the same.

    Raises:
        ValueError: as WordDataModule; in `setup`, for a model with another window; and by the loaders, for a
            window below 1.
    """

    gives = "masked words"
    reader = MaskedWord

    def __init__(
        self,
        batch_size: int = 256,
        data_dir: str | Path | None = None,
        validation: float = 0.1,
        seed: int = 0,
        max_words: int | None = None,
        window: int = 3,
    ) -> None:
        super().__init__(batch_size, data_dir, validation, seed, max_words)
        self.window = window

    def setup(self, stage: str) -> None:
        super().setup(stage)
        model = self.trainer and self.trainer.lightning_module
        if isinstance(model, MaskedWord) and model.window != self.window:
            raise ValueError(
                f"{type(self).__name__} has a window of {self.window} words, {type(model).__name__} one of "
                f"{model.window}: give both the same"
            )

    def feed(self, part: Part, seed: int | None, num_replicas: int, rank: int) -> MaskedWords:
        documents = self.corpus.documents(part)
        return MaskedWords(documents, self.batch_size, self.window, seed, num_replicas, rank)


class IMDBMaskedWordsDataModule(MaskedWordsDataModule):
    """Words of 25,000 reviews of films, and of 25,000 to test with."""

    dataset = "imdb"


class PythonDocsMaskedWordsDataModule(MaskedWordsDataModule):
    """Words of Python's reference manual, which comes with Python."""

    dataset = "python_docs"


class ShuffledSentencesDataModule(WordDataModule):
    """Texts as sentences out of order: the batches of `gdl_numpy.data.pretext_text.ShuffledSentences`.

    Args:
        batch_size: threes of sentences in a batch, on each device; the last batch of an epoch may be smaller.
        data_dir: where the files are or will be put; else $GDL_DATA, else the user cache.
        validation: fraction of reviews held out to watch the training by; 0 for none. Texts that have a part
            of their own for it use that.
        seed: decides which are held out, the order of the examples, and that of their sentences.
        max_words: keep only so many words, the most frequent ones, the unknown one included; None for all.

    Raises:
        ValueError: as WordDataModule.
    """

    gives = "sentences out of order"
    reader = SentenceOrder

    def __init__(
        self,
        batch_size: int = 32,
        data_dir: str | Path | None = None,
        validation: float = 0.1,
        seed: int = 0,
        max_words: int | None = None,
    ) -> None:
        super().__init__(batch_size, data_dir, validation, seed, max_words)

    def feed(self, part: Part, seed: int | None, num_replicas: int, rank: int) -> ShuffledSentences:
        return ShuffledSentences(*self.corpus.sentences(part), self.batch_size, seed, num_replicas, rank)


class IMDBSentencesDataModule(ShuffledSentencesDataModule):
    """Sentences of 25,000 reviews of films, and of 25,000 to test with."""

    dataset = "imdb"


class PythonDocsSentencesDataModule(ShuffledSentencesDataModule):
    """Sentences of Python's reference manual, which comes with Python."""

    dataset = "python_docs"
