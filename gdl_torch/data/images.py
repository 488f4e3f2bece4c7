"""The image data sets as LightningDataModules."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.utils.data import DataLoader
from torchvision.transforms import v2

from gdl_numpy.data import Dataset, Split
from gdl_numpy.data import images as numpy_images
from gdl_torch.data.loading import Batch, EpochSampler, TensorBatches, as_is
from gdl_torch.data.module import DataModule
from gdl_torch.models.trunk import HasTrunk

if TYPE_CHECKING:
    from pathlib import Path


class ImageSetDataModule(DataModule):
    """Base of all data modules of images: a data set in three parts.

    Args:
        batch_size: images in a batch, on each device.
        data_dir: where the files are or will be put; else $GDL_DATA, else the user cache.
        validation: fraction of the training images held out to watch the training by; 0 for none.
        seed: decides which images are held out, the order of the others, and what is drawn for them.
        arguments: others of the subclass's, to be checked.

    Attributes:
        train: what is trained on, after `setup`.
        validation: what was held out, after `setup`.
        test: the data set's own test images, after `setup`.

    Raises:
        ValueError: an argument is out of its range; in `setup`, for a model of this package that cannot read
            what there is.
    """

    train: Split
    validation: Split
    test: Split

    def __init__(
        self,
        batch_size: int,
        data_dir: str | Path | None,
        validation: float,
        seed: int,
        **arguments: Any,
    ) -> None:
        super().__init__(batch_size, data_dir, validation=validation, seed=seed, **arguments)
        self.held_out_fraction = validation
        self.seed = seed

    @property
    def in_shape(self) -> tuple[int, int, int]:
        """Shape of an image: (channels, height, width)."""
        in_shape: tuple[int, int, int] = self.loaded.in_shape
        return in_shape

    @property
    def in_features(self) -> int:
        """Numbers in one flattened image."""
        return math.prod(self.in_shape)

    @property
    def num_classes(self) -> int:
        """Classes that an image can be of."""
        num_classes: int = self.loaded.num_classes
        return num_classes

    def setup(self, stage: str) -> None:
        super().setup(stage)
        assert isinstance(self.numpy, numpy_images.ImageSetDataModule)
        splits = self.numpy.splits
        self.train, self.validation, self.test = splits["train"], splits["validation"], splits["test"]


class ImageDataModule(ImageSetDataModule):
    """Images with their classes, in memory.

    Training batches come in the order of `gdl_numpy.data.Batches(split, batch_size, seed)`, epoch by epoch:
    made here, not taken from there, for the sake of augmentation and workers.

    Args:
        batch_size: examples in a batch, on each device; the last batch of an epoch may be smaller.
        data_dir: where the files are or will be put; else $GDL_DATA, else the user cache.
        num_workers: processes that prepare batches. More than 0 pays off with augmentation only.
        augment: change the training images a little, at random: true for small rotations, shifts and changes
            of scale, or a transform of torchvision.transforms.v2. The random numbers are torch's own.
        validation: fraction of the training images held out to watch the training by; 0 for none.
        seed: decides which images are held out, and the order of the others.

    Raises:
        ValueError: as ImageSetDataModule.
    """

    twin = numpy_images.ImageDataModule

    def __init__(
        self,
        batch_size: int = 64,
        data_dir: str | Path | None = None,
        num_workers: int = 0,
        augment: bool | nn.Module = False,
        validation: float = 0.1,
        seed: int = 0,
    ) -> None:
        super().__init__(batch_size, data_dir, validation, seed)
        self.num_workers = num_workers
        self.transform = self.augmentation() if augment is True else augment or None

    def make(self, dataset: Dataset) -> numpy_images.ImageDataModule:
        return numpy_images.ImageDataModule(dataset, self.batch_size, self.held_out_fraction, self.seed)

    def can_be_read_by(self, model: type[Any], stage: str) -> bool:
        """A model with a trunk does not learn from labelled images, but says what it sees in them."""
        return super().can_be_read_by(model, stage) or (stage == "predict" and issubclass(model, HasTrunk))

    def augmentation(self) -> nn.Module:
        """Rotations up to 10°, shifts up to a fourteenth of the image and changes of scale up to 10 %."""
        transform: nn.Module = v2.RandomAffine(
            degrees=10,
            translate=(1 / 14, 1 / 14),
            scale=(0.9, 1.1),
            interpolation=v2.InterpolationMode.BILINEAR,
        )
        return transform

    def train_dataloader(self) -> DataLoader[Batch]:
        dataset = TensorBatches(self.train, self.transform)
        return self._loader(dataset, EpochSampler(dataset, self.seed, *self.device))

    def val_dataloader(self) -> list[DataLoader[Batch]]:
        return [self._loader(TensorBatches(self.validation))] if len(self.validation) else []

    def test_dataloader(self) -> DataLoader[Batch]:
        return self._loader(TensorBatches(self.test))

    def predict_dataloader(self) -> DataLoader[Batch]:
        return self.test_dataloader()

    def _loader(self, dataset: TensorBatches, sampler: EpochSampler | None = None) -> DataLoader[Batch]:
        return DataLoader(
            dataset,
            batch_size=self.batch_size,  # by keyword: Lightning builds the loader anew from its arguments
            sampler=sampler,
            collate_fn=as_is,
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
            pin_memory=torch.cuda.is_available(),
        )
