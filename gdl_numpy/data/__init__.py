"""Every data set as arrays, by name.

digits = load("digits")
for inputs, targets in Batches(digits.train, batch_size=100, seed=0): ...

text = load("shakespeare")
vocabulary = Vocabulary.build(text.train)
for inputs, targets in Streams(vocabulary.encode(text.train), batch_size=16, chunk=25): ...
"""

from __future__ import annotations

from gdl_numpy.data.batches import Batches, DataLoader, epoch_order
from gdl_numpy.data.choice import DATA_MODULES, data_module_for, data_modules_of, names_of
from gdl_numpy.data.dataset import (
    Dataset,
    LabelledTexts,
    Part,
    ReviewDataset,
    SentenceDataset,
    Split,
    TextDataset,
    hold_out,
)
from gdl_numpy.data.documents import Documents, words_of
from gdl_numpy.data.images import ImageDataModule
from gdl_numpy.data.module import DataModule
from gdl_numpy.data.pretext import ColoursDataModule, PatchesDataModule, RotationsDataModule
from gdl_numpy.data.pretext_text import MaskedWordsDataModule, ShuffledSentencesDataModule
from gdl_numpy.data.sets import DATASETS, available, fetch, find, load, load_or_read
from gdl_numpy.data.sets.source import AnyDataset, Source, data_root
from gdl_numpy.data.sets.state import DataError
from gdl_numpy.data.sets.text_file import read_text_file
from gdl_numpy.data.text import (
    IGNORED,
    LineDataModule,
    SentenceDataModule,
    Sentences,
    Streams,
    TextDataModule,
)
from gdl_numpy.data.views import ViewsDataModule
from gdl_numpy.data.vocabulary import UNKNOWN, Kind, Vocabulary
from gdl_numpy.data.words import BagsDataModule, BlanksDataModule

__all__ = [
    "DATASETS",
    "DATA_MODULES",
    "IGNORED",
    "UNKNOWN",
    "AnyDataset",
    "BagsDataModule",
    "Batches",
    "BlanksDataModule",
    "ColoursDataModule",
    "DataError",
    "DataLoader",
    "DataModule",
    "Dataset",
    "Documents",
    "ImageDataModule",
    "Kind",
    "LabelledTexts",
    "LineDataModule",
    "MaskedWordsDataModule",
    "Part",
    "PatchesDataModule",
    "ReviewDataset",
    "RotationsDataModule",
    "SentenceDataModule",
    "SentenceDataset",
    "Sentences",
    "ShuffledSentencesDataModule",
    "Source",
    "Split",
    "Streams",
    "TextDataModule",
    "TextDataset",
    "ViewsDataModule",
    "Vocabulary",
    "available",
    "data_module_for",
    "data_modules_of",
    "data_root",
    "epoch_order",
    "fetch",
    "find",
    "hold_out",
    "load",
    "load_or_read",
    "names_of",
    "read_text_file",
    "words_of",
]
