"""Texts as tasks with answers of their own: a word under a mask, sentences out of order (chapter 16)."""

from __future__ import annotations

from itertools import permutations
from typing import TYPE_CHECKING, Any

import numpy as np

from gdl_numpy.data.batches import ExampleLoader
from gdl_numpy.data.words import WordDataModule

if TYPE_CHECKING:
    from jaxtyping import Int64

    from gdl_numpy.data.corpus import Texts
    from gdl_numpy.data.dataset import Part
    from gdl_numpy.data.documents import Documents

# The orders in which three sentences can be shown; the number of one is its target.
ORDERS = np.array(list(permutations(range(3))))


class MaskedWords(ExampleLoader):
    """A word under a mask, with the words around it, each in its place; the target is the word.

    The mask has the id after the last word's, the size of the vocabulary. It also stands where a document has
    no words, before its beginning and after its end: a model can tell these from the one in the middle by
    their places. Every word that the vocabulary has is a target; those that it lacks are there as neighbours.

    Args:
        documents: the text.
        batch_size: words in a batch, on each device.
        window: words on either side of the mask.
        seed: shuffles the words, differently in each epoch; None keeps the order of the text.
        num_replicas: number of devices; see `ExampleLoader`.
        rank: which of them this one is.

    Raises:
        ValueError: an argument is out of its range, or there is no known word.
    """

    def __init__(
        self,
        documents: Documents,
        batch_size: int,
        window: int = 3,
        seed: int | None = None,
        num_replicas: int = 1,
        rank: int = 0,
    ) -> None:
        self.mask = len(documents.vocabulary)
        self.row, places = documents.spread(max(window, 0), self.mask)
        self.places = places[documents.is_known]
        super().__init__(len(self.places), batch_size, seed, num_replicas, rank)
        self._check_at_least(1, window=window)
        if not self.n:
            raise ValueError("MaskedWords: the text has no word of the vocabulary: take a longer text")
        self.window = window

    def describe(self) -> dict[str, Any]:
        return super().describe() | {"window": self.window}

    def batch(
        self, rows: Int64[np.ndarray, " batch"], number: int
    ) -> tuple[Int64[np.ndarray, "batch places"], Int64[np.ndarray, " batch"]]:
        """Returns the words around each mask, with it in the middle; and what is under it."""
        places = self.places[rows]
        inputs = self.row[places[:, None] + np.arange(-self.window, self.window + 1)]
        inputs[:, self.window] = self.mask
        return inputs, self.row[places]


class ShuffledSentences(ExampleLoader):
    """Three sentences that follow each other, in one of six orders; the target is the order's number.

    The sentences shown as first, second and third of an example are those at the places `ORDERS[target]`.
    Words that the vocabulary lacks are left out.

    Args:
        sentences: the sentences of all documents.
        document_of: the document that each is from; see `Documents.sentences`.
        batch_size: examples in a batch, on each device.
        seed: shuffles the examples, and the sentences of each, differently in each epoch; None keeps the
            order of the text, and shuffles the sentences in the same way each time.
        num_replicas: number of devices; see `ExampleLoader`.
        rank: which of them this one is.

    Raises:
        ValueError: an argument is out of its range, or no document has three sentences.
    """

    def __init__(
        self,
        sentences: Documents,
        document_of: Int64[np.ndarray, " sentences"],
        batch_size: int,
        seed: int | None = None,
        num_replicas: int = 1,
        rank: int = 0,
    ) -> None:
        if len(sentences) != len(document_of):
            raise ValueError(
                f"ShuffledSentences: {len(sentences)} sentences but {len(document_of)} in document_of"
            )
        self.sentences = sentences.keep(sentences.is_known)
        self.first = np.flatnonzero(document_of[:-2] == document_of[2:])
        super().__init__(len(self.first), batch_size, seed, num_replicas, rank)
        if not self.n:
            raise ValueError("ShuffledSentences: no document has three sentences: take a longer text")

    def batch(
        self, rows: Int64[np.ndarray, " batch"], number: int
    ) -> tuple[
        tuple[Int64[np.ndarray, " words"], Int64[np.ndarray, " sentences"]], Int64[np.ndarray, " batch"]
    ]:
        """Returns the words of three sentences an example and where each begins; and the orders' numbers."""
        everywhere = self.num_replicas * len(rows)
        targets = self.generator(number).integers(len(ORDERS), size=everywhere)
        targets = targets[self.rank :: self.num_replicas]
        shown = self.first[rows][:, None] + ORDERS[targets]  # (B, 3)
        return self.sentences.gather(shown.ravel()), targets


class MaskedWordsDataModule(WordDataModule):
    """Texts as words under a mask: the batches of `MaskedWords`.

    Args:
        dataset: reviews, a text or sentences.
        batch_size: words in a batch, on each device; the last batch of an epoch may be smaller.
        validation: fraction of reviews held out to watch the training by; other texts have a part for it.
        seed: decides which are held out, and the order of the words.
        max_words: keep only so many words, the most frequent ones, the unknown one included; None for all.
        window: words on either side of the mask, the model's too.

    Raises:
        ValueError: an argument is out of its range; by the batches, for a part that is too short.
    """

    gives = "masked words"
    readers = ("MaskedWord",)

    def __init__(
        self,
        dataset: Texts,
        batch_size: int = 256,
        validation: float = 0.1,
        seed: int = 0,
        max_words: int | None = None,
        window: int = 3,
    ) -> None:
        super().__init__(dataset, batch_size, validation, seed, max_words, window=window)
        self.window = window

    @property
    def model_arguments(self) -> dict[str, Any]:
        return super().model_arguments | {"window": self.window}

    def batches(self, part: Part, num_replicas: int = 1, rank: int = 0) -> MaskedWords:
        documents, seed = self.corpus.documents(part), self.seed_of(part)
        return MaskedWords(documents, self.batch_size, self.window, seed, num_replicas, rank)


class ShuffledSentencesDataModule(WordDataModule):
    """Texts as sentences out of order: the batches of `ShuffledSentences`.

    Args:
        dataset: reviews, a text or sentences.
        batch_size: threes of sentences in a batch, on each device; the last batch of an epoch may be smaller.
        validation: fraction of reviews held out to watch the training by; other texts have a part for it.
        seed: decides which are held out, the order of the examples, and that of their sentences.
        max_words: keep only so many words, the most frequent ones, the unknown one included; None for all.

    Raises:
        ValueError: an argument is out of its range; by the batches, for a part that is too short.
    """

    gives = "sentences out of order"
    readers = ("SentenceOrder",)

    def __init__(
        self,
        dataset: Texts,
        batch_size: int = 32,
        validation: float = 0.1,
        seed: int = 0,
        max_words: int | None = None,
    ) -> None:
        super().__init__(dataset, batch_size, validation, seed, max_words)

    def batches(self, part: Part, num_replicas: int = 1, rank: int = 0) -> ShuffledSentences:
        sentences, seed = self.corpus.sentences(part), self.seed_of(part)
        return ShuffledSentences(*sentences, self.batch_size, seed, num_replicas, rank)
