"""Images in batches, some of those to learn from held out."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from gdl_numpy.data.batches import Batches
from gdl_numpy.data.dataset import Dataset, hold_out
from gdl_numpy.data.module import DataModule

if TYPE_CHECKING:
    from gdl_numpy.data.dataset import Part, Split


class ImageSetDataModule(DataModule):
    """Base of all data modules of images: a data set in three parts.

    Args:
        dataset: the images.
        batch_size: images in a batch, on each device.
        validation: fraction of the training images held out to watch the training by; 0 for none.
        seed: decides which images are held out, the order of the others, and what is drawn for them.

    Attributes:
        splits: the images of each part.

    Raises:
        ValueError: an argument is out of its range, or nothing is left to learn from.
    """

    takes = (Dataset,)

    def __init__(
        self, dataset: Dataset, batch_size: int, validation: float, seed: int, **arguments: Any
    ) -> None:
        super().__init__(dataset, batch_size, validation=validation, seed=seed, **arguments)
        train, held_out = hold_out(dataset.train, validation, seed)
        self.splits: dict[Part, Split] = {"train": train, "validation": held_out, "test": dataset.test}

    @property
    def model_arguments(self) -> dict[str, Any]:
        return {"in_shape": self.dataset.in_shape}

    def has(self, part: Part) -> bool:
        return len(self.splits[part]) > 0


class ImageDataModule(ImageSetDataModule):
    """Images with their classes: the batches of `Batches`.

    Args:
        dataset: the images.
        batch_size: images in a batch, on each device; the last batch of an epoch may be smaller.
        validation: fraction of the training images held out to watch the training by; 0 for none.
        seed: decides which images are held out, and the order of the others.

    Raises:
        ValueError: an argument is out of its range, or nothing is left to learn from.
    """

    gives = "labelled images"
    readers = ("MLP", "CNN")

    def __init__(
        self, dataset: Dataset, batch_size: int = 64, validation: float = 0.1, seed: int = 0
    ) -> None:
        super().__init__(dataset, batch_size, validation, seed)

    @property
    def model_arguments(self) -> dict[str, Any]:
        in_shape = self.dataset.in_shape
        return {
            "in_features": math.prod(in_shape),
            "in_shape": in_shape,
            "out_features": self.dataset.num_classes,
        }

    def batches(self, part: Part, num_replicas: int = 1, rank: int = 0) -> Batches:
        return Batches(self.splits[part], self.batch_size, self.seed_of(part), num_replicas, rank)
