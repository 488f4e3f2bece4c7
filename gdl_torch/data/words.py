"""The data of the models of words: bags of words with labels, and blanks to fill in (chapter 11)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gdl_numpy.data import words as numpy_words
from gdl_torch.data.module import VocabularyDataModule

if TYPE_CHECKING:
    from pathlib import Path

    from gdl_numpy.data import ReviewDataset
    from gdl_numpy.data.corpus import Texts


class WordDataModule(VocabularyDataModule):
    """Base of the data modules that give words.

    Args:
        batch_size: examples in a batch, on each device.
        data_dir: where the files are or will be put; else $GDL_DATA, else the user cache.
        validation: fraction of reviews held out to watch the training by; 0 for none. Texts that have a part
            of their own for it use that.
        seed: decides which are held out, the order of the examples, and what is drawn for them.
        max_words: keep only so many words, the most frequent ones, the unknown one included; None for all.
        arguments: others of the subclass's, to be checked.

    Raises:
        ValueError: a batch_size below 1, a negative seed, a validation outside [0, 1), or max_words below 2.
    """

    def __init__(
        self,
        batch_size: int,
        data_dir: str | Path | None,
        validation: float,
        seed: int,
        max_words: int | None,
        **arguments: Any,
    ) -> None:
        super().__init__(
            batch_size, data_dir, validation=validation, seed=seed, max_words=max_words, **arguments
        )
        self.held_out_fraction = validation
        self.seed = seed
        self.max_words = max_words


class BagsDataModule(WordDataModule):
    """Labelled texts as bags of words: the batches of `gdl_numpy.data.words.Bags`.

    Args:
        batch_size: texts in a batch, on each device; the last batch of an epoch may be smaller.
        data_dir: where the files are or will be put; else $GDL_DATA, else the user cache.
        validation: fraction of the training texts held out to watch the training by; 0 for none.
        seed: decides which are held out, and the order of the others.
        max_words: keep only so many words, the most frequent ones, the unknown one included; None for all.
        distinct: take each word of a text once, as the book does.
        ngrams: take up to so many words in a row for words of their own, too: 2 for pairs, at most 3.
        ratio: weight words by their log-count ratio, how much more often they are in positive texts (Wang and
            Manning 2012). Checkpoints keep the weights, and exported models have them in their vectors.
        ratio_power: take this power of the ratio, its sign kept: below 1, words weigh more alike.
        together: hold out so many neighbours together: reviews of one film are neighbours in IMDB, and what
            names it tells of the one review what is known of the others.

    Raises:
        ValueError: as WordDataModule, ngrams or together below 1, or a ratio_power that is not more than 0.
    """

    twin = numpy_words.BagsDataModule
    numpy: numpy_words.BagsDataModule

    def __init__(
        self,
        batch_size: int = 32,
        data_dir: str | Path | None = None,
        validation: float = 0.1,
        seed: int = 0,
        max_words: int | None = None,
        distinct: bool = True,
        ngrams: int = 1,
        ratio: bool = False,
        ratio_power: float = 1.0,
        together: int = 1,
    ) -> None:
        checked: dict[str, Any] = {"ngrams": ngrams, "ratio_power": ratio_power, "together": together}
        super().__init__(batch_size, data_dir, validation, seed, max_words, **checked)
        self.distinct = distinct
        self.ngrams = ngrams
        self.ratio = ratio
        self.ratio_power = ratio_power
        self.together = together

    @property
    def weights(self) -> Tensor | None:
        """Of words in the sum (vocab_size,): with `ratio` their log-count ratio, else None."""
        weights = self.numpy.weights
        return None if weights is None else torch.from_numpy(weights)

    def make(self, dataset: ReviewDataset) -> numpy_words.BagsDataModule:
        return numpy_words.BagsDataModule(
            dataset,
            self.batch_size,
            self.held_out_fraction,
            self.seed,
            self.max_words,
            self.distinct,
            self.ngrams,
            self.ratio,
            self.ratio_power,
            self.together,
        )


class BlanksDataModule(WordDataModule):
    """Texts as blanks to fill in: the batches of `gdl_numpy.data.words.Blanks`.

    Args:
        batch_size: blanks in a batch, on each device; the last batch of an epoch may be smaller.
        data_dir: where the files are or will be put; else $GDL_DATA, else the user cache.
        validation: fraction of reviews held out to watch the training by; 0 for none. Texts that have a part
            of their own for it use that.
        seed: decides which are held out, the order of the blanks, and the words drawn.
        max_words: keep only so many words, the most frequent ones, the unknown one included; None for all.
        window: the most words to either side of a blank.
        negatives: how many words to draw for each blank.
        subsample: leaves out some of the frequent words of the texts to learn from; see `Blanks`.
        power: draws words in proportion to this power of their frequency: 1 as the book, 0.75 as word2vec.

    Raises:
        ValueError: as WordDataModule, or a window or negatives below 1; by the loaders, for a subsample that
            is not more than 0.
    """

    twin = numpy_words.BlanksDataModule
    suffix = "Blanks"

    def __init__(
        self,
        batch_size: int = 256,
        data_dir: str | Path | None = None,
        validation: float = 0.1,
        seed: int = 0,
        max_words: int | None = None,
        window: int = 2,
        negatives: int = 5,
        subsample: float | None = None,
        power: float = 1.0,
    ) -> None:
        super().__init__(
            batch_size, data_dir, validation, seed, max_words, window=window, negatives=negatives
        )
        self.window = window
        self.negatives = negatives
        self.subsample = subsample
        self.power = power

    def make(self, dataset: Texts) -> numpy_words.BlanksDataModule:
        return numpy_words.BlanksDataModule(
            dataset,
            self.batch_size,
            self.held_out_fraction,
            self.seed,
            self.max_words,
            self.window,
            self.negatives,
            self.subsample,
            self.power,
        )
