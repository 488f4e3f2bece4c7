"""Every data set as arrays, by name.

digits = load("digits")
for inputs, targets in Batches(digits.train, batch_size=100, seed=0): ...

text = load("shakespeare")
vocabulary = Vocabulary.build(text.train)
for inputs, targets in Streams(vocabulary.encode(text.train), batch_size=16, chunk=25): ...
"""

from __future__ import annotations

from gdl_numpy.data.batches import Batches, Feed, epoch_order
from gdl_numpy.data.dataset import Dataset, Split
from gdl_numpy.data.documents import Documents, words_of
from gdl_numpy.data.held_out import hold_out
from gdl_numpy.data.reviews import LabelledTexts, ReviewDataset
from gdl_numpy.data.sets import DATASETS, available, fetch, find, load, names_of
from gdl_numpy.data.sets.source import AnyDataset, Source, data_root
from gdl_numpy.data.sets.state import DataError
from gdl_numpy.data.sets.text_file import read_text_file
from gdl_numpy.data.text import IGNORED, Part, SentenceDataset, Sentences, Streams, TextDataset
from gdl_numpy.data.vocabulary import UNKNOWN, Kind, Vocabulary

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
    "find",
    "hold_out",
    "load",
    "names_of",
    "read_text_file",
    "words_of",
]
