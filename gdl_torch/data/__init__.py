"""LightningDataModules over the data sets of `gdl_numpy.data`."""

from __future__ import annotations

from gdl_torch.data.images import DigitsDataModule, ImageDataModule, MNISTDataModule
from gdl_torch.data.loading import EpochSampler, TensorBatches

DATA_MODULES: dict[str, type[ImageDataModule]] = {
    "DigitsDataModule": DigitsDataModule,
    "MNISTDataModule": MNISTDataModule,
}

__all__ = [
    "DATA_MODULES",
    "DigitsDataModule",
    "EpochSampler",
    "ImageDataModule",
    "MNISTDataModule",
    "TensorBatches",
]
