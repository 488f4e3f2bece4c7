"""Documents: many texts as the ids of their words, all in one array, for the models of words.

documents = Documents.of(["A fine film.", "Not so fine!"])
known = documents.translate(documents.frequent(max_size=10_000))
ids, offsets = known.gather(np.array([1, 0]))
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gdl_numpy.data.letters import MARKS
from gdl_numpy.data.vocabulary import UNKNOWN, Vocabulary

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from jaxtyping import Bool, Int64

LINE_BREAK = re.compile(r"<br\s*/?>")


LETTERS = rf"[^\W_]+(?:[{MARKS}]+[^\W_]*)*"
# A word, to which the apostrophes inside it belong, or a punctuation mark; combining marks belong to both.
WORD = re.compile(rf"{LETTERS}(?:'{LETTERS})*|[^\w\s][{MARKS}]*|_")

BLANK_LINES = re.compile(r"\n(?:[^\S\n]*\n)+")
SENTENCE_ENDS = (".", "!", "?")


def split_words(text: str) -> list[str]:
    """Returns a text's words in lower case, and its punctuation marks as words of their own.

    What is combined with a letter, as accents can be, and vowel signs are in Indian scripts, belongs to it.
    HTML's line breaks, which IMDB's reviews have, count as white space, and ’ is the apostrophe ' that it
    looks like.
    """
    return WORD.findall(LINE_BREAK.sub(" ", text.lower()).replace("’", "'"))


def words_of(text: str) -> str:
    """Returns a text as the word models read it: its words, as `split_words` finds them, with spaces between.

    A text like this again is left as it is, and is read by vocabularies of the kind "spaces".
    """
    return " ".join(split_words(text))


def paragraphs(text: str) -> list[str]:
    """Returns the parts of a text between its blank lines, in their order, none of them blank."""
    return [part for part in BLANK_LINES.split(text) if part and not part.isspace()]


@dataclass(frozen=True, eq=False)
class Documents:
    """Texts as ids, one after the other.

    Attributes:
        vocabulary: what the ids mean, of the kind "spaces".
        ids: the words of all documents.
        offsets: where each document begins, and at last where the last one ends.

    Raises:
        ValueError: the offsets do not go from 0 to the number of ids, upwards.
    """

    vocabulary: Vocabulary
    ids: Int64[np.ndarray, " words"]
    offsets: Int64[np.ndarray, " bounds"]

    def __post_init__(self) -> None:
        outer = *self.offsets[:1].tolist(), *self.offsets[-1:].tolist()
        if outer != (0, len(self.ids)) or np.any(np.diff(self.offsets) < 0):
            raise ValueError(
                f"Documents: offsets must go up from 0 to {len(self.ids)}, the number of ids, "
                f"got {self.offsets}"
            )

    @classmethod
    def of(cls, texts: Iterable[str], split: Callable[[str], list[str]] = split_words) -> Documents:
        """Returns the texts, in the vocabulary of all their words, which are sorted by code points.

        Args:
            texts: each a document.
            split: finds the words of a text, in none of which is a space.
        """
        places: defaultdict[str, int] = defaultdict(lambda: len(places))  # each word's, as they first appear
        places[UNKNOWN] = 0
        pieces, lengths = [np.zeros(0, np.int32)], [0]
        for text in texts:
            words = split(text)
            pieces.append(np.fromiter(map(places.__getitem__, words), np.int32, len(words)))
            lengths.append(len(words))
        first, *others = places
        tokens = (first, *sorted(others))
        ids = np.empty(len(tokens), np.int64)
        ids[[places[token] for token in tokens]] = np.arange(len(tokens))
        return cls(Vocabulary(tokens, "spaces"), ids[np.concatenate(pieces)], np.cumsum(lengths))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> Int64[np.ndarray, " documents"]:
        """Words in each document."""
        return np.diff(self.offsets)

    @property
    def document_of(self) -> Int64[np.ndarray, " words"]:
        """The document that each word is in."""
        return np.repeat(np.arange(len(self)), self.lengths)

    @property
    def is_known(self) -> Bool[np.ndarray, " words"]:
        """Which words the vocabulary has."""
        return self.ids != 0 if self.vocabulary.unknown else np.ones(len(self.ids), dtype=bool)

    def text(self, document: int) -> str:
        """Returns a document's words, with spaces between them."""
        start, end = self.offsets[document : document + 2]
        return self.vocabulary.decode(self.ids[start:end])

    def gather(
        self, rows: Int64[np.ndarray, " batch"]
    ) -> tuple[Int64[np.ndarray, " _"], Int64[np.ndarray, " batch"]]:
        """Returns some documents' ids, one document after the other, and where each begins among them."""
        starts = self.offsets[rows]
        lengths = self.offsets[rows + 1] - starts
        ends = np.cumsum(lengths)
        begins = ends - lengths
        places = np.repeat(starts - begins, lengths)
        places += np.arange(len(places))
        return self.ids[places], begins

    def select(self, rows: Int64[np.ndarray, " some"]) -> Documents:
        """Returns some of the documents, in the order of `rows`."""
        ids, begins = self.gather(rows)
        return Documents(self.vocabulary, ids, np.append(begins, len(ids)))

    def split(self, n: int) -> tuple[Documents, Documents]:
        """Returns the first `n` documents and the others, as views."""
        cut = self.offsets[n]
        return (
            Documents(self.vocabulary, self.ids[:cut], self.offsets[: n + 1]),
            Documents(self.vocabulary, self.ids[cut:], self.offsets[n:] - cut),
        )

    def keep(self, kept: Bool[np.ndarray, " words"]) -> Documents:
        """Returns the documents without some of their words; a document may become empty."""
        before = np.concatenate([[0], np.cumsum(kept)])  # words kept before each place
        return Documents(self.vocabulary, self.ids[kept], before[self.offsets])

    def distinct(self) -> Documents:
        """Returns the documents with each of their words once, in the order of the ids."""
        size = len(self.vocabulary)
        keys = np.sort(self.document_of * size + self.ids)
        keys = keys[np.diff(keys, prepend=-1) > 0]  # np.unique would be several times slower
        documents, ids = np.divmod(keys, size)
        lengths = np.bincount(documents, minlength=len(self))
        return Documents(self.vocabulary, ids, np.concatenate([[0], np.cumsum(lengths)]))

    def spread(self, gap: int, fill: int) -> tuple[Int64[np.ndarray, " spread"], Int64[np.ndarray, " words"]]:
        """Returns all ids in a row, with gaps between documents and at both ends, and the place of each word.

        In a window around a word, no more than `gap` words to either side, are only words of its document.

        Args:
            gap: places between two documents.
            fill: what stands there.
        """
        places = np.arange(len(self.ids)) + gap * (1 + self.document_of)
        row = np.full(len(self.ids) + gap * (len(self) + 1), fill)
        row[places] = self.ids
        return row, places

    def frequent(self, max_size: int | None = None, unknown: bool = True) -> Vocabulary:
        """Returns the vocabulary of the words that are there, as `Vocabulary.build` makes it of a text.

        Args:
            max_size: keep no more than this many words, the most frequent ones, the unknown one included.
            unknown: have a token for what the vocabulary lacks.

        Raises:
            ValueError: there are no words, or `max_size` leaves none.
        """
        if max_size is not None and max_size < 1 + unknown:
            raise ValueError(
                f"Documents: max_size must be at least {1 + unknown} (with unknown={unknown}), got {max_size}"
            )
        tokens = self.vocabulary.tokens
        counts = np.bincount(self.ids, minlength=len(tokens))
        if unknown and self.vocabulary.unknown:
            counts[0] = 0
        present = np.flatnonzero(counts)
        if not len(present):
            raise ValueError("Documents: a vocabulary needs at least one word, and there is none")
        if max_size is not None:
            first = np.empty(len(tokens), np.int64)
            first[self.ids[::-1]] = np.arange(len(self.ids))[::-1]  # of several places the last one stays
            by_frequency = np.lexsort((first[present], -counts[present]))
            present = present[by_frequency[: max_size - unknown]]
        kept = sorted(tokens[id_] for id_ in present)
        return Vocabulary((UNKNOWN,) * unknown + tuple(kept), "spaces", unknown)

    def translate(self, vocabulary: Vocabulary) -> Documents:
        """Returns the same documents in another vocabulary.

        Raises:
            ValueError: a word is not in it, and it has no token for what is unknown.
        """
        tokens = self.vocabulary.tokens
        used = np.flatnonzero(np.bincount(self.ids, minlength=len(tokens)))
        table = np.zeros(len(tokens), np.int64)
        table[used] = vocabulary.encode(" ".join(tokens[id_] for id_ in used))
        return Documents(vocabulary, table[self.ids], self.offsets)

    def sentences(self) -> tuple[Documents, Int64[np.ndarray, " sentences"]]:
        """Returns the documents' sentences, and the document that each is from.

        A sentence ends with a full stop, an exclamation or a question mark, or several of them together, and
        with its document.
        """
        marks = [mark for mark in SENTENCE_ENDS if not self.vocabulary.unknown_in(mark)]
        is_mark = np.isin(self.ids, self.vocabulary.encode(" ".join(marks)))
        ends = 1 + np.flatnonzero(is_mark & ~np.append(is_mark[1:], False))
        offsets = np.union1d(ends, self.offsets)
        documents = np.searchsorted(self.offsets, offsets[:-1], side="right") - 1
        return Documents(self.vocabulary, self.ids, offsets), documents
