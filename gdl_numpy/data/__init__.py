"""Every data set as arrays, by name.

    digits = load("digits")
    for inputs, targets in Batches(digits.train, batch_size=100, seed=0): ...

    text = load("shakespeare")
    vocabulary = Vocabulary.build(text.train)
    for inputs, targets in Streams(vocabulary.encode(text.train), batch_size=16, chunk=25): ...

A new data set is a module with a `Source`, and its place in `DATASETS`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, overload

from gdl_numpy.data import babi, digits, imdb, mnist, python_docs, python_docs_topics, shakespeare
from gdl_numpy.data.batches import Batches, Feed, epoch_order
from gdl_numpy.data.dataset import Dataset, Split
from gdl_numpy.data.documents import Documents, words_of
from gdl_numpy.data.download import download
from gdl_numpy.data.held_out import hold_out
from gdl_numpy.data.reviews import LabelledTexts, ReviewDataset
from gdl_numpy.data.source import AnyDataset, Source, data_root
from gdl_numpy.data.state import DataError
from gdl_numpy.data.text import IGNORED, Part, SentenceDataset, Sentences, Streams, TextDataset
from gdl_numpy.data.text_file import read_text_file
from gdl_numpy.data.vocabulary import UNKNOWN, Kind, Vocabulary
from gdl_numpy.lookup import lookup

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "DATASETS",
    "IGNORED",
    "UNKNOWN",
    "AnyDataset",
    "Batches",
    "DataError",
    "Dataset",
    "Documents",
    "Feed",
    "Kind",
    "LabelledTexts",
    "Part",
    "ReviewDataset",
    "SentenceDataset",
    "Sentences",
    "Source",
    "Split",
    "Streams",
    "TextDataset",
    "Vocabulary",
    "available",
    "data_root",
    "epoch_order",
    "fetch",
    "hold_out",
    "load",
    "load_task",
    "read_text_file",
    "words_of",
]

SOURCES = (
    digits.SOURCE,
    mnist.SOURCE,
    python_docs.SOURCE,
    shakespeare.TINY,
    shakespeare.BOOK,
    babi.SENTENCES,
    babi.PADDED,
    imdb.SOURCE,
    python_docs_topics.SOURCE,
)
DATASETS: dict[str, Source] = {source.name: source for source in SOURCES}


@overload
def load(name: Literal["digits", "mnist"], data_dir: str | Path | None = None) -> Dataset: ...


@overload
def load(
    name: Literal["python_docs", "shakespeare", "shakespeare_book"], data_dir: str | Path | None = None
) -> TextDataset: ...


@overload
def load(name: Literal["babi", "babi_padded"], data_dir: str | Path | None = None) -> SentenceDataset: ...


@overload
def load(
    name: Literal["imdb", "python_docs_topics"], data_dir: str | Path | None = None
) -> ReviewDataset: ...


@overload
def load(name: str, data_dir: str | Path | None = None) -> AnyDataset: ...


def load(name: str, data_dir: str | Path | None = None) -> AnyDataset:
    """Return the data set called `name`.

    Files that are there are used as they are, after a check of their content; what is missing is downloaded.

    Args:
        name: one of `DATASETS`, in upper or lower case.
        data_dir: folder of all data sets; see `data_root`.

    Raises:
        ValueError: there is no such data set.
        DataError: a file is damaged, or is missing and cannot be downloaded.
    """
    source = lookup("data set", name, DATASETS)
    return source.read(_complete(source, data_dir))


def load_task(task: int, padded: bool = False, data_dir: str | Path | None = None) -> SentenceDataset:
    """Return the sentences of a bAbI task, as `load("babi")` and `load("babi_padded")` return the first's.

    Args:
        task: 1 to 20.
        padded: chapter 13's form; see `babi.read_task`.
        data_dir: folder of all data sets; see `data_root`.

    Raises:
        ValueError: there is no such task.
        DataError: a file is damaged, or is missing and cannot be downloaded.
    """
    source = babi.PADDED if padded else babi.SENTENCES
    return babi.read_task(_complete(source, data_dir), task, padded)


def _complete(source: Source, data_dir: str | Path | None) -> Path:
    """Return the data root, once every file of the data set is there."""
    root = data_root(data_dir)
    download([file for file in source.files if file.locate(root) is None], root)
    return root


def fetch(name: str, data_dir: str | Path | None = None, progress: bool = True) -> list[Path]:
    """Make every file of a data set be there and be right; return where they are.

    Good files are kept, so a second run goes on where the first was interrupted. Damaged ones are replaced.

    Args:
        name: one of `DATASETS`, in upper or lower case.
        data_dir: folder of all data sets; see `data_root`.
        progress: show a progress bar for each download, where the output is a terminal.

    Raises:
        ValueError: there is no such data set.
        DataError: a file cannot be downloaded or written.
    """
    source = lookup("data set", name, DATASETS)
    root = data_root(data_dir)
    download([file for file in source.files if file.state(root) != "good"], root, progress)
    return [path for file in source.files if (path := file.locate(root))]


def available(name: str, data_dir: str | Path | None = None) -> bool:
    """Return whether all files of a data set are there, so that `load` downloads nothing.

    Raises:
        ValueError: there is no such data set.
    """
    root = data_root(data_dir)
    return all(file.locate(root) is not None for file in lookup("data set", name, DATASETS).files)
