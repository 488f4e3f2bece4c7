"""What a data set looks like once it is loaded: images, running text, sentences or labelled texts."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, Literal, TypeVar

import numpy as np

from gdl_numpy.data.documents import Documents
from gdl_numpy.data.vocabulary import Vocabulary

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jaxtyping import Float32, Int64

    from gdl_numpy.data.vocabulary import Kind

Part = Literal["train", "validation", "test"]


@dataclass(frozen=True, eq=False)
class Split:
    """Images and their classes.

    Attributes:
        inputs: pixels in [0, 1], float32 of shape (items, channels, height, width).
        targets: class ids, int64 of shape (items,).
    """

    inputs: Float32[np.ndarray, "items channels height width"]
    targets: Int64[np.ndarray, " items"]

    def __post_init__(self) -> None:
        if len(self.inputs) != len(self.targets):
            raise ValueError(f"Split: {len(self.inputs)} inputs but {len(self.targets)} targets")

    def __len__(self) -> int:
        return len(self.targets)

    def take(self, n: int) -> Split:
        """Returns the first `n` items, as views.

        Raises:
            ValueError: `n` is negative or more than there are.
        """
        if not 0 <= n <= len(self):
            raise ValueError(f"take: n must be from 0 to {len(self)}, the number of items; got {n}")
        return Split(self.inputs[:n], self.targets[:n])

    def select(self, rows: Int64[np.ndarray, " some"]) -> Split:
        """Returns some of the items, in the order of `rows`."""
        return Split(self.inputs[rows], self.targets[rows])


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set with its fixed division into training and test items."""

    kind: ClassVar[str] = "images"
    name: str
    train: Split
    test: Split
    num_classes: int

    @property
    def in_shape(self) -> tuple[int, int, int]:
        """Shape of one input: (channels, height, width)."""
        _, channels, height, width = self.train.inputs.shape
        return channels, height, width


@dataclass(frozen=True)
class TextDataset:
    """One long text, in three pieces that follow each other."""

    kind: ClassVar[str] = "running text"
    name: str
    train: str
    validation: str
    test: str

    @classmethod
    def split(cls, name: str, text: str) -> TextDataset:
        """Returns the data set whose training piece is the first 90 % of the text; 5 % each the others.

        Raises:
            ValueError: the text is empty.
        """
        if not text:
            raise ValueError(f"TextDataset: the text of {name!r} is empty")
        first, second = len(text) * 90 // 100, len(text) * 95 // 100
        return cls(name, text[:first], text[first:second], text[second:])

    @property
    def text(self) -> str:
        """All of it."""
        return self.train + self.validation + self.test

    @property
    def sha256(self) -> str:
        """A digest by which to know the text again."""
        return hashlib.sha256(self.text.encode("utf-8", "surrogatepass")).hexdigest()

    def vocabulary(
        self, kind: Kind = "characters", unknown: bool = True, max_size: int | None = None
    ) -> Vocabulary:
        """Returns the vocabulary to read all pieces with.

        It is that of the training piece, if it has a token for what is unknown in the others. Else it is
        that of all the text, so that nothing in it is.

        Args:
            kind: what the tokens are; this and the others as in `Vocabulary.build`.
            unknown: whether it has such a token.
            max_size: the most tokens to keep; None: all.

        Raises:
            ValueError: the text is empty, there is no such kind, or `max_size` leaves no token of the text.
        """
        return Vocabulary.build(self.train if unknown else self.text, kind, unknown, max_size)


@dataclass(frozen=True)
class SentenceDataset:
    """Sentences whose words are what stands between spaces: the vocabulary's kind is "spaces".

    Attributes:
        padded: all sentences have the same number of words, with "-" in front of the shorter ones, and a
            model has to predict the last word alone.
    """

    kind: ClassVar[str] = "sentences"
    name: str
    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]
    padded: bool = False

    @property
    def text(self) -> str:
        """All sentences, with spaces between them."""
        return " ".join(self.train + self.validation + self.test)

    def vocabulary(self) -> Vocabulary:
        """Returns the vocabulary of all their words, with a token for what is unknown."""
        return Vocabulary.build(self.text, "spaces")


@dataclass(frozen=True, eq=False)
class LabelledTexts:
    """Texts and their classes.

    Attributes:
        documents: the texts as ids of words.
        labels: the class of each, 0 or 1.
        owners: whose each is, from 0 on, where that is known: the mailbox that a mail was in.

    Raises:
        ValueError: there is not one label, or owner, for each text, or a label is neither 0 nor 1.
    """

    documents: Documents
    labels: Int64[np.ndarray, " texts"]
    owners: Int64[np.ndarray, " texts"] | None = None

    def __post_init__(self) -> None:
        if self.owners is not None and len(self.owners) != len(self.documents):
            raise ValueError(f"LabelledTexts: {len(self.documents)} texts but {len(self.owners)} owners")
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
        """Returns some of the texts, in the order of `rows`."""
        owners = None if self.owners is None else self.owners[rows]
        return LabelledTexts(self.documents.select(rows), self.labels[rows], owners)


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
        """Returns the data set of these texts; `is_test` says which are to test with."""
        every = LabelledTexts(Documents.of(texts), labels)
        return cls(name, every.select(np.flatnonzero(~is_test)), every.select(np.flatnonzero(is_test)))

    @property
    def sha256(self) -> str:
        """A digest by which to know the texts and labels again."""
        digest = hashlib.sha256()
        for part in (self.train, self.test):
            digest.update("\n".join(part.documents.vocabulary.tokens).encode())
            for array in (part.documents.ids, part.documents.offsets, part.labels):
                digest.update(array.tobytes())
        return digest.hexdigest()

    def vocabulary(self, max_size: int | None = None, unknown: bool = True) -> Vocabulary:
        """Returns the vocabulary of the training texts; see `Documents.frequent`.

        Raises:
            ValueError: there is no word, or `max_size` leaves none.
        """
        return self.train.documents.frequent(max_size, unknown)


Items = TypeVar("Items", Split, LabelledTexts, Documents)


def hold_out(items: Items, fraction: float, seed: int, together: int = 1) -> tuple[Items, Items]:
    """Divides items at random into what remains and the fraction held out, both in their old order.

    Args:
        items: what to divide.
        fraction: of the items, or what is nearest to it.
        seed: decides which are held out.
        together: so many items in a row are held out together, or none of them.

    Raises:
        ValueError: a fraction outside [0, 1), or one that leaves nothing.
    """
    if not 0 <= fraction < 1:
        raise ValueError(f"validation must be a fraction in [0, 1), got {fraction}")
    n = len(items)
    stretches = -(-n // together)
    held = np.random.default_rng(seed).permutation(stretches)[: round(fraction * stretches)]
    is_held = np.isin(np.arange(n) // together, held)
    if n and is_held.all():
        raise ValueError(f"validation={fraction} holds out all {n:,} examples: take a smaller one")
    return items.select(np.flatnonzero(~is_held)), items.select(np.flatnonzero(is_held))
