"""Any data set of texts as documents, for tasks that the texts themselves have the answers to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gdl_numpy.data.dataset import ReviewDataset, SentenceDataset, TextDataset, hold_out
from gdl_numpy.data.documents import Documents, paragraphs

if TYPE_CHECKING:
    from jaxtyping import Int64

    from gdl_numpy.data.dataset import Part
    from gdl_numpy.data.vocabulary import Vocabulary

Texts = ReviewDataset | TextDataset | SentenceDataset


@dataclass(frozen=True, eq=False)
class Corpus:
    """Documents in three parts, in one vocabulary. What a document is depends on where they are from.

    Reviews are documents, and so are a text's paragraphs. Sentences are, too, and together they are a text.

    Attributes:
        vocabulary: of the texts to learn from.
        train: the documents to learn from.
        validation: those to watch the training by; there may be none.
        test: those that decide in the end.
        is_sentences: each document is a sentence of one text.
    """

    vocabulary: Vocabulary
    train: Documents
    validation: Documents
    test: Documents
    is_sentences: bool = False

    @classmethod
    def of(
        cls, dataset: Texts, max_words: int | None = None, validation: float = 0.1, seed: int = 0
    ) -> Corpus:
        """Returns the texts of a data set, whatever else is in it.

        Args:
            dataset: reviews, whose labels are ignored, a text or sentences.
            max_words: keep only so many words, the most frequent ones, the unknown one included.
            validation: fraction of the training reviews to hold out; the others have a part for it.
            seed: decides which are held out.

        Raises:
            ValueError: `max_words` or `validation` is out of its range, or there is no word to learn.
        """
        if isinstance(dataset, ReviewDataset):
            vocabulary = dataset.vocabulary(max_words)
            train, held_out = hold_out(dataset.train.documents, validation, seed)
            test = dataset.test.documents
        else:
            train, held_out, test = (
                Documents.of(paragraphs(part) if isinstance(part, str) else part)
                for part in (dataset.train, dataset.validation, dataset.test)
            )
            vocabulary = train.frequent(max_words)
        return cls(
            vocabulary,
            train.translate(vocabulary),
            held_out.translate(vocabulary),
            test.translate(vocabulary),
            isinstance(dataset, SentenceDataset),
        )

    def documents(self, part: Part) -> Documents:
        """Returns one of the parts."""
        documents: Documents = getattr(self, part)
        return documents

    def sentences(self, part: Part) -> tuple[Documents, Int64[np.ndarray, " sentences"]]:
        """Returns the sentences of a part, and the number of the text that each is from."""
        documents = self.documents(part)
        if self.is_sentences:
            return documents, np.zeros(len(documents), np.int64)
        return documents.sentences()
