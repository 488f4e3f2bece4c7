"""LightningDataModules over the data sets of `gdl_numpy.data`.

Each data set has a class for each way to make batches of it, named after both: `DigitsDataModule`,
`MNISTViewsDataModule`, `PythonDocsBlanksDataModule`, … `DATA_MODULES` has them all.
"""

from __future__ import annotations

from typing import Any

from gdl_torch.data.images import ImageDataModule, ImageSetDataModule
from gdl_torch.data.loading import EpochSampler, TensorBatches
from gdl_torch.data.module import DataModule, VocabularyDataModule
from gdl_torch.data.pretext import (
    ColoursDataModule,
    PatchesDataModule,
    PretextDataModule,
    RotationsDataModule,
)
from gdl_torch.data.pretext_text import MaskedWordsDataModule, ShuffledSentencesDataModule
from gdl_torch.data.sets import DATA_MODULES, twin_of
from gdl_torch.data.text import (
    LanguageDataModule,
    LineDataModule,
    SentenceDataModule,
    SentenceTaskDataModule,
    TextDataModule,
    TextFileDataModule,
)
from gdl_torch.data.views import ViewsDataModule
from gdl_torch.data.words import BagsDataModule, BlanksDataModule, WordDataModule

# So that they can be imported, pickled and named on the command line like classes that stand in the source.
globals().update(DATA_MODULES)


def __getattr__(name: str) -> Any:
    """Tells type checkers that there are more names than they can see."""
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "DATA_MODULES",
    "BagsDataModule",
    "BlanksDataModule",
    "ColoursDataModule",
    "DataModule",
    "EpochSampler",
    "ImageDataModule",
    "ImageSetDataModule",
    "LanguageDataModule",
    "LineDataModule",
    "MaskedWordsDataModule",
    "PatchesDataModule",
    "PretextDataModule",
    "RotationsDataModule",
    "SentenceDataModule",
    "ShuffledSentencesDataModule",
    "SentenceTaskDataModule",
    "TensorBatches",
    "TextDataModule",
    "TextFileDataModule",
    "ViewsDataModule",
    "VocabularyDataModule",
    "WordDataModule",
    "twin_of",
    *DATA_MODULES,
]
