"""Texts with labels, for models of words that tell two classes apart: positive or negative reviews."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from gdl_numpy.data.documents import Documents

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jaxtyping import Int64

    from gdl_numpy.data.vocabulary import Vocabulary


@dataclass(frozen=True, eq=False)
class LabelledTexts:
    """Texts and their classes.

    Attributes:
        documents: the texts as ids of words.
        labels: the class of each, 0 or 1.

    Raises:
        ValueError: there is not one label for each text, or one is neither 0 nor 1.
    """

    documents: Documents
    labels: Int64[np.ndarray, " texts"]

    def __post_init__(self) -> None:
        if len(self.documents) != len(self.labels):
            raise ValueError(f"LabelledTexts: {len(self.documents)} texts but {len(self.labels)} labels")
        wrong = self.labels[~np.isin(self.labels, (0, 1))]
        if wrong.size:
            raise ValueError(f"LabelledTexts: labels must be 0 or 1, got {wrong[0]}")

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def texts(self) -> tuple[str, ...]:
        """The texts as the models read them: see `words_of`."""
        return tuple(map(self.documents.text, range(len(self))))

    def select(self, rows: Int64[np.ndarray, " some"]) -> LabelledTexts:
        """Return some of the texts, in the order of `rows`."""
        return LabelledTexts(self.documents.select(rows), self.labels[rows])


@dataclass(frozen=True, eq=False)
class ReviewDataset:
    """Labelled texts with their fixed division into those to learn from and those to test with."""

    kind: ClassVar[str] = "labelled texts"
    name: str
    train: LabelledTexts
    test: LabelledTexts

    @classmethod
    def of(
        cls, name: str, texts: Iterable[str], labels: Int64[np.ndarray, " texts"], is_test: np.ndarray
    ) -> ReviewDataset:
        """Return the data set of these texts; `is_test` says which are to test with."""
        every = LabelledTexts(Documents.of(texts), labels)
        return cls(name, every.select(np.flatnonzero(~is_test)), every.select(np.flatnonzero(is_test)))

    @property
    def sha256(self) -> str:
        """A digest by which to know the texts and labels again."""
        digest = hashlib.sha256()
        for part in (self.train, self.test):
            digest.update("\n".join(part.documents.vocabulary.symbols).encode())
            for array in (part.documents.ids, part.documents.offsets, part.labels):
                digest.update(array.tobytes())
        return digest.hexdigest()

    def vocabulary(self, max_size: int | None = None, unknown: bool = True) -> Vocabulary:
        """Return the vocabulary of the training texts; see `Documents.frequent`.

        Raises:
            ValueError: there is no word, or `max_size` leaves none.
        """
        return self.train.documents.frequent(max_size, unknown)
