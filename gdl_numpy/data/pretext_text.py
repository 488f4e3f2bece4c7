"""Texts as tasks with answers of their own: a word under a mask, sentences out of order (chapter 16)."""

from __future__ import annotations

from itertools import permutations
from typing import TYPE_CHECKING, Any

import numpy as np

from gdl_numpy.data.examples import ExampleFeed

if TYPE_CHECKING:
    from jaxtyping import Int64

    from gdl_numpy.data.documents import Documents

# The orders in which three sentences can be shown; the number of one is its target.
ORDERS = np.array(list(permutations(range(3))))


class MaskedWords(ExampleFeed):
    """A word under a mask, with the words around it, each in its place; the target is the word.

    The mask has the id after the last word's, the size of the vocabulary. It also stands where a document has
    no words, before its beginning and behind its end: a model can tell these from the one in the middle by
    their places. Every word that the vocabulary has is a target; those that it lacks are there as neighbours.

    Args:
        documents: the text.
        batch_size: words in a batch, on each device.
        window: words on either side of the mask.
        seed: shuffles the words, differently in each epoch; None keeps the order of the text.
        num_replicas: number of devices; see `ExampleFeed`.
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
        """Return the words around each mask, with it in the middle; and what is under it."""
        places = self.places[rows]
        inputs = self.row[places[:, None] + np.arange(-self.window, self.window + 1)]
        inputs[:, self.window] = self.mask
        return inputs, self.row[places]


class ShuffledSentences(ExampleFeed):
    """Three sentences that follow each other, in one of six orders; the target is the order's number.

    The sentences shown as first, second and third of an example are those at the places `ORDERS[target]`.
    Words that the vocabulary lacks are left out.

    Args:
        sentences: the sentences of all documents.
        document_of: the document that each is from; see `Documents.sentences`.
        batch_size: examples in a batch, on each device.
        seed: shuffles the examples, and the sentences of each, differently in each epoch; None keeps the
            order of the text, and shuffles the sentences in the same way each time.
        num_replicas: number of devices; see `ExampleFeed`.
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
        """Return the words of three sentences an example and where each begins; and the orders' numbers."""
        everywhere = self.num_replicas * len(rows)
        targets = self.generator(number).integers(len(ORDERS), size=everywhere)
        targets = targets[self.rank :: self.num_replicas]
        shown = self.first[rows][:, None] + ORDERS[targets]  # (B, 3)
        return self.sentences.gather(shown.ravel()), targets
