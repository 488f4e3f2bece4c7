"""LightningDataModules over the data sets of `gdl_numpy.data`."""

from __future__ import annotations

import pytorch_lightning as pl

from gdl_torch.data.images import DigitsDataModule, ImageDataModule, ImageSetDataModule, MNISTDataModule
from gdl_torch.data.loading import EpochSampler, TensorBatches
from gdl_torch.data.pretext import (
    DigitsColoursDataModule,
    DigitsPatchesDataModule,
    DigitsRotationsDataModule,
    MNISTColoursDataModule,
    MNISTPatchesDataModule,
    MNISTRotationsDataModule,
)
from gdl_torch.data.pretext_text import (
    IMDBMaskedWordsDataModule,
    IMDBSentencesDataModule,
    MaskedWordsDataModule,
    PythonDocsMaskedWordsDataModule,
    PythonDocsSentencesDataModule,
    ShuffledSentencesDataModule,
)
from gdl_torch.data.text import (
    BabiDataModule,
    BookShakespeareDataModule,
    PaddedBabiDataModule,
    PythonDocsDataModule,
    SentenceDataModule,
    ShakespeareDataModule,
    TextDataModule,
    TextFileDataModule,
)
from gdl_torch.data.views import DigitsViewsDataModule, MNISTViewsDataModule, ViewsDataModule
from gdl_torch.data.words import (
    BagsDataModule,
    BlanksDataModule,
    IMDBBlanksDataModule,
    IMDBDataModule,
    PythonDocsBlanksDataModule,
    PythonDocsTopicsDataModule,
    WordDataModule,
)

DATA_MODULES: dict[str, type[pl.LightningDataModule]] = {
    "DigitsDataModule": DigitsDataModule,
    "MNISTDataModule": MNISTDataModule,
    "DigitsViewsDataModule": DigitsViewsDataModule,
    "MNISTViewsDataModule": MNISTViewsDataModule,
    "DigitsRotationsDataModule": DigitsRotationsDataModule,
    "MNISTRotationsDataModule": MNISTRotationsDataModule,
    "DigitsPatchesDataModule": DigitsPatchesDataModule,
    "MNISTPatchesDataModule": MNISTPatchesDataModule,
    "DigitsColoursDataModule": DigitsColoursDataModule,
    "MNISTColoursDataModule": MNISTColoursDataModule,
    "PythonDocsDataModule": PythonDocsDataModule,
    "ShakespeareDataModule": ShakespeareDataModule,
    "BookShakespeareDataModule": BookShakespeareDataModule,
    "TextFileDataModule": TextFileDataModule,
    "BabiDataModule": BabiDataModule,
    "PaddedBabiDataModule": PaddedBabiDataModule,
    "IMDBDataModule": IMDBDataModule,
    "PythonDocsTopicsDataModule": PythonDocsTopicsDataModule,
    "IMDBBlanksDataModule": IMDBBlanksDataModule,
    "PythonDocsBlanksDataModule": PythonDocsBlanksDataModule,
    "IMDBMaskedWordsDataModule": IMDBMaskedWordsDataModule,
    "PythonDocsMaskedWordsDataModule": PythonDocsMaskedWordsDataModule,
    "IMDBSentencesDataModule": IMDBSentencesDataModule,
    "PythonDocsSentencesDataModule": PythonDocsSentencesDataModule,
}

__all__ = [
    "DATA_MODULES",
    "BabiDataModule",
    "BagsDataModule",
    "BlanksDataModule",
    "BookShakespeareDataModule",
    "DigitsColoursDataModule",
    "DigitsDataModule",
    "DigitsPatchesDataModule",
    "DigitsRotationsDataModule",
    "DigitsViewsDataModule",
    "EpochSampler",
    "IMDBBlanksDataModule",
    "IMDBDataModule",
    "IMDBMaskedWordsDataModule",
    "IMDBSentencesDataModule",
    "ImageDataModule",
    "ImageSetDataModule",
    "MNISTColoursDataModule",
    "MNISTDataModule",
    "MNISTPatchesDataModule",
    "MNISTRotationsDataModule",
    "MNISTViewsDataModule",
    "MaskedWordsDataModule",
    "PaddedBabiDataModule",
    "PythonDocsBlanksDataModule",
    "PythonDocsDataModule",
    "PythonDocsMaskedWordsDataModule",
    "PythonDocsSentencesDataModule",
    "PythonDocsTopicsDataModule",
    "SentenceDataModule",
    "ShakespeareDataModule",
    "ShuffledSentencesDataModule",
    "TensorBatches",
    "TextDataModule",
    "TextFileDataModule",
    "ViewsDataModule",
    "WordDataModule",
]
