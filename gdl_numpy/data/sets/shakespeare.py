"""Shakespeare: a million characters of the plays, and the text that chapter 14 of the book trains on.

Sources: A. Karpathy, *char-rnn*, 2015 (tiny Shakespeare); A. Trask, *Grokking Deep Learning*, 2019, whose
99,993 characters, 62 different ones, were themselves written by a network.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gdl_numpy.data.dataset import TextDataset
from gdl_numpy.data.sets.source import DataFile, Source

if TYPE_CHECKING:
    from pathlib import Path


def _source(name: str, title: str, about: str, file: DataFile) -> Source:
    def read(root: Path) -> TextDataset:
        return TextDataset.split(name, file.read(root).decode())

    return Source(name, title, about, TextDataset, read, (file,))


TINY = _source(
    "shakespeare",
    "Shakespeare",
    "tiny Shakespeare, 1,115,394 characters",
    DataFile.plain(
        dataset="shakespeare",
        path="shakespeare/tinyshakespeare.txt",
        url="https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt",
        size=1_115_394,
        sha256="86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
    ),
)

BOOK = _source(
    "shakespeare_book",
    "BookShakespeare",
    "the Shakespeare of the book's chapter 14, 99,993 characters",
    DataFile.plain(
        dataset="shakespeare_book",
        path="shakespeare/book_shakespear.txt",
        url="https://raw.githubusercontent.com/iamtrask/Grokking-Deep-Learning/master/shakespear.txt",
        size=99_993,
        sha256="c879e55c5e318b9d978064e246306e01d60be15a50f64d9438daeaeacbc119e8",
    ),
)

SOURCES = (TINY, BOOK)
