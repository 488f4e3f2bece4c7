"""The image data sets as LightningDataModules."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import pytorch_lightning as pl
import torch
from torch import nn
from torch.utils.data import DataLoader
from torchvision.transforms import v2

from gdl_numpy.data import Split, fetch, hold_out, load
from gdl_torch.data.loading import Batch, EpochSampler, TensorBatches, as_is, ignore_advice_on_workers
from gdl_torch.models import CNN, MLP, MODELS
from gdl_torch.models.trunk import HasTrunk
from gdl_torch.tasks import Task

if TYPE_CHECKING:
    from pathlib import Path


class ImageSetDataModule(pl.LightningDataModule):
    """Base of all data modules of images: a data set in three parts, and models that can read what it gives.

    Args:
        batch_size: images in a batch, on each device.
        data_dir: where the files are or will be put; else $GDL_DATA, else the user cache.
        validation: fraction of the training images held out to watch the training by; 0 for none.
        seed: decides which images are held out, the order of the others, and what is drawn for them.

    Attributes:
        train: what is trained on, after `setup`.
        validation: what was held out, after `setup`.
        test: the data set's own test images, after `setup`.

    Raises:
        ValueError: a batch_size below 1, or a negative seed; in `setup`, a validation outside [0, 1), or a
            model of this package that cannot read what there is.
    """

    dataset: ClassVar[Literal["digits", "mnist"]]
    in_shape: ClassVar[tuple[int, int, int]]
    num_classes: ClassVar[int]
    gives: ClassVar[str]  # for people
    reader: ClassVar[tuple[type[Task], ...]]  # the models of this package that learn from it

    train: Split
    validation: Split
    test: Split

    def __init__(self, batch_size: int, data_dir: str | Path | None, validation: float, seed: int) -> None:
        super().__init__()
        name = type(self).__name__
        if batch_size < 1:
            raise ValueError(f"{name}: batch_size must be at least 1, got {batch_size}")
        if seed < 0:
            raise ValueError(f"{name}: seed must be 0 or more, got {seed}")
        self.batch_size = batch_size
        self.data_dir = data_dir
        self.held_out_fraction = validation
        self.seed = seed

    @property
    def in_features(self) -> int:
        """Numbers in one flattened image."""
        return math.prod(self.in_shape)

    @property
    def device(self) -> tuple[int, int]:
        """How many devices there are, and which of them this one is."""
        return (self.trainer.world_size, self.trainer.global_rank) if self.trainer else (1, 0)

    def can_read(self, model: type[Task], stage: str) -> bool:
        """Whether a model of this package can do with the batches what the stage asks for."""
        return issubclass(model, self.reader)

    def prepare_data(self) -> None:
        fetch(self.dataset, self.data_dir)

    def setup(self, stage: str) -> None:
        model: Any = type(self.trainer.lightning_module) if self.trainer else None
        if model in MODELS.values() and not self.can_read(model, stage):
            raise ValueError(
                f"{type(self).__name__} gives {self.gives}, which {model.__name__} cannot read: "
                f"take {' or '.join(reader.__name__ for reader in self.reader)}, or other data"
            )
        dataset = load(self.dataset, self.data_dir)
        self.train, self.validation = hold_out(dataset.train, self.held_out_fraction, self.seed)
        self.test = dataset.test
        ignore_advice_on_workers()


class ImageDataModule(ImageSetDataModule):
    """An image data set of `gdl_numpy.data`, in memory; subclasses say which one and how it looks.

    Training batches come in the order of `gdl_numpy.data.Batches(split, batch_size, seed)`, epoch by epoch.
    With several devices each takes its share of a batch that is so many times larger; where the examples
    cannot be divided evenly, some are repeated, in training, validation and test.

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

    gives = "labelled images"
    reader = (MLP, CNN)

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

    def can_read(self, model: type[Task], stage: str) -> bool:
        """A model with a trunk does not learn from labelled images, but says what it sees in them."""
        return super().can_read(model, stage) or (stage == "predict" and issubclass(model, HasTrunk))

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


class DigitsDataModule(ImageDataModule):
    """1,797 handwritten digits of 8×8 pixels, which scikit-learn carries."""

    dataset = "digits"
    in_shape = (1, 8, 8)
    num_classes = 10


class MNISTDataModule(ImageDataModule):
    """MNIST: 60,000 and 10,000 handwritten digits of 28×28 pixels."""

    dataset = "mnist"
    in_shape = (1, 28, 28)
    num_classes = 10
