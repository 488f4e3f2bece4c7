"""IMDB: 50,000 reviews of films, half of them positive, half negative; 25,000 to learn from.

Source: A. L. Maas et al., *Learning Word Vectors for Sentiment Analysis*, ACL 2011; the archive and its
layout as Stanford publishes them.
"""

from __future__ import annotations

import hashlib
import re
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from gdl_numpy.data.dataset import LabelledTexts, ReviewDataset
from gdl_numpy.data.documents import LINE_BREAK, WORD, Documents, split_words
from gdl_numpy.data.sets.archive import Archive, Folder
from gdl_numpy.data.sets.kept import recall, remember
from gdl_numpy.data.sets.source import Source
from gdl_numpy.data.sets.state import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from gdl_numpy.data.sets.archive import Entry

ARCHIVE = Archive(
    dataset="imdb",
    path="aclImdb_v1.tar.gz",
    urls=("https://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz",),
    published_size=84_125_825,
    sha256="c40f74a18d3b61f90feba1e17730e0d38e8b97c05fde7008942e91923d1658fe",
)
COUNT = 12_500
NAME = re.compile(r"(\d+)_\d+\.txt")
FOLDERS = tuple(
    Folder(ARCHIVE, f"aclImdb/{part}/{label}", COUNT, NAME, "NUMBER_RATING.txt")
    for part in ("train", "test")
    for label in ("pos", "neg")
)


def split_at_spaces(text: str) -> list[str]:
    """Returns what stands between white space, in lower case: the words of chapter 11."""
    return text.lower().split()


# How the words of each data set are told apart; a name for that, which changes when it does; and where, in
# the data's folder, the reviews are kept as ids of words.
WORDS = {
    "imdb": (split_words, f"1 {LINE_BREAK.pattern} {WORD.pattern}", "aclImdb/words.safetensors"),
    "imdb_spaces": (split_at_spaces, "spaces", "aclImdb/words-between-spaces.safetensors"),
}


def read(root: Path, name: str = "imdb") -> ReviewDataset:
    """Returns the 25,000 training and 25,000 test reviews under `root`; label 1 is positive.

    Positive and negative reviews take turns, as in the book, each kind in the order of its files' numbers: so
    half of any even number of reviews in a row are positive. The words of all reviews are kept beside the
    files, or else in the user's cache folder, and are used again as long as the files stay the same.

    Args:
        root: the folder that has aclImdb.
        name: of the data set, which says how words are told apart.

    Raises:
        DataError: a folder does not hold the reviews that it should, or one cannot be read.
    """
    folders = [sorted(folder.entries(root), key=_number) for folder in FOLDERS]
    split, version, cache = WORDS[name]
    key = hashlib.sha256(repr((version, folders)).encode()).hexdigest()
    if kept := recall(root, cache, key):
        documents, _ = kept
    else:
        documents = Documents.of(_texts(root, folders), split)
        remember(root, cache, key, documents)
    labels = np.tile([1, 0], COUNT)
    train, test = documents.split(2 * COUNT)
    return ReviewDataset(name, LabelledTexts(train, labels), LabelledTexts(test, labels))


def _number(entry: Entry) -> tuple[int, str]:
    return int(entry.name.split("_")[0]), entry.name


def _texts(root: Path, folders: list[list[Entry]]) -> Iterator[str]:
    """Yields the reviews in their order, those of the training part first."""
    from gdl_numpy.progress import Bar

    train_pos, train_neg, test_pos, test_neg = (
        [root / folder.path / entry.name for entry in entries]
        for folder, entries in zip(FOLDERS, folders, strict=True)
    )
    paths = chain(*zip(train_pos, train_neg, strict=True), *zip(test_pos, test_neg, strict=True))
    for path in Bar(paths, "read imdb", 4 * COUNT, unit="review", disable=None, leave=False):
        try:
            yield path.read_bytes().decode()
        except OSError as error:
            raise DataError(f"{path} cannot be read ({error.strerror})") from error
        except UnicodeDecodeError as error:
            raise DataError(
                f"{path} is damaged (no UTF-8 at byte {error.start:,}): delete {path.parent} and run "
                f"`python scripts/fetch_data.py imdb --data-dir {root}`"
            ) from error


SOURCES = (
    Source(
        name="imdb",
        title="IMDB",
        about="50,000 reviews of films, positive or negative",
        kind=ReviewDataset,
        read=read,
        files=FOLDERS,
    ),
    Source(
        name="imdb_spaces",
        title="IMDBSpaces",
        about="IMDB, where a word is whatever stands between spaces, as in chapter 11",
        kind=ReviewDataset,
        read=partial(read, name="imdb_spaces"),
        files=FOLDERS,
    ),
)
