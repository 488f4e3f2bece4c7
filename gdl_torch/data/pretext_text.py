"""Texts as tasks with answers of their own: a word under a mask, sentences out of order (chapter 16)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gdl_numpy.data import pretext_text as numpy_pretext_text
from gdl_torch.data.words import WordDataModule

if TYPE_CHECKING:
    from pathlib import Path

    from gdl_numpy.data.corpus import Texts


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
        ValueError: as WordDataModule, or a window below 1; in `setup`, for a model with another window.
    """

    twin = numpy_pretext_text.MaskedWordsDataModule
    suffix = "MaskedWords"
    shared = ("window",)

    def __init__(
        self,
        batch_size: int = 256,
        data_dir: str | Path | None = None,
        validation: float = 0.1,
        seed: int = 0,
        max_words: int | None = None,
        window: int = 3,
    ) -> None:
        super().__init__(batch_size, data_dir, validation, seed, max_words, window=window)
        self.window = window

    def make(self, dataset: Texts) -> numpy_pretext_text.MaskedWordsDataModule:
        return numpy_pretext_text.MaskedWordsDataModule(
            dataset, self.batch_size, self.held_out_fraction, self.seed, self.max_words, self.window
        )


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

    twin = numpy_pretext_text.ShuffledSentencesDataModule
    suffix = "Sentences"

    def __init__(
        self,
        batch_size: int = 32,
        data_dir: str | Path | None = None,
        validation: float = 0.1,
        seed: int = 0,
        max_words: int | None = None,
    ) -> None:
        super().__init__(batch_size, data_dir, validation, seed, max_words)

    def make(self, dataset: Texts) -> numpy_pretext_text.ShuffledSentencesDataModule:
        return numpy_pretext_text.ShuffledSentencesDataModule(
            dataset, self.batch_size, self.held_out_fraction, self.seed, self.max_words
        )
