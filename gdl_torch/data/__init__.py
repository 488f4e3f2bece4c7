"""LightningDataModules over the data sets of `gdl_numpy.data`."""

from __future__ import annotations

import pytorch_lightning as pl

from gdl_torch.data.images import DigitsDataModule, ImageDataModule, MNISTDataModule
from gdl_torch.data.loading import EpochSampler, TensorBatches
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

DATA_MODULES: dict[str, type[pl.LightningDataModule]] = {
    "DigitsDataModule": DigitsDataModule,
    "MNISTDataModule": MNISTDataModule,
    "PythonDocsDataModule": PythonDocsDataModule,
    "ShakespeareDataModule": ShakespeareDataModule,
    "BookShakespeareDataModule": BookShakespeareDataModule,
    "TextFileDataModule": TextFileDataModule,
    "BabiDataModule": BabiDataModule,
    "PaddedBabiDataModule": PaddedBabiDataModule,
}

__all__ = [
    "DATA_MODULES",
    "BabiDataModule",
    "BookShakespeareDataModule",
    "DigitsDataModule",
    "EpochSampler",
    "ImageDataModule",
    "MNISTDataModule",
    "PaddedBabiDataModule",
    "PythonDocsDataModule",
    "SentenceDataModule",
    "ShakespeareDataModule",
    "TensorBatches",
    "TextDataModule",
    "TextFileDataModule",
]
