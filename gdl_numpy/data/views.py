"""Images in several views at once, for an encoder that learns which views are of one thing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from gdl_numpy.data.augment import random_view
from gdl_numpy.data.batches import ExampleLoader
from gdl_numpy.data.images import ImageSetDataModule

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxtyping import Float32, Int64

    from gdl_numpy.data.dataset import Dataset, Part, Split

    Images = Float32[np.ndarray, "batch channels height width"]
    Transform = Callable[[Images, np.random.Generator], Images]


class Views(ExampleLoader):
    """Batches of views of images: inputs are a tuple of them, targets say which are alike.

    What is left over at the end of an epoch is left out, so that every image has equally many to be told
    from.

    Args:
        split: the images.
        batch_size: images in a batch, on each device.
        transform: makes a view of each of a batch of images.
        views: of each image.
        labelled: targets are the images' labels; else each image is alike to itself alone.
        seed: shuffles the images, and draws views, differently in each epoch; None keeps their order, and
            draws the same views each time.
        num_replicas: number of devices; see `ExampleLoader`.
        rank: which of them this one is.

    Raises:
        ValueError: an argument is out of its range, there are fewer images than are in a batch, a batch of
            all devices is of one image, or labels of one class only.
    """

    def __init__(
        self,
        split: Split,
        batch_size: int,
        transform: Transform,
        views: int = 2,
        labelled: bool = False,
        seed: int | None = None,
        num_replicas: int = 1,
        rank: int = 0,
    ) -> None:
        super().__init__(len(split), batch_size, seed, num_replicas, rank)
        self._check_at_least(1, views=views)
        if not len(self):
            raise ValueError(
                f"Views: there are {self.n} images, fewer than in a batch of {num_replicas * batch_size}: "
                "take a smaller batch_size"
            )
        if num_replicas * batch_size < 2:
            raise ValueError(
                "Views: batch_size, and the images of each part, must be at least 2, got 1: "
                "an image needs others to be told from"
            )
        if labelled and len(np.unique(split.targets)) < 2:
            raise ValueError("Views: all images have the same label: there is nothing to tell them from")
        self.split, self.transform, self.views, self.labelled = split, transform, views, labelled

    def describe(self) -> dict[str, Any]:
        return super().describe() | {
            "views": self.views,
            "labelled": self.labelled,
            "transform": getattr(self.transform, "__name__", str(self.transform)),
        }

    def __len__(self) -> int:
        return self.n // (self.num_replicas * self.batch_size)

    def batch(
        self, rows: Int64[np.ndarray, " batch"], number: int
    ) -> tuple[tuple[Images, ...], Int64[np.ndarray, " batch"]]:
        """Returns the views of some images; and their labels, or else numbers of their own.

        Those are the places in the batch that all devices have together.
        """
        images, rng = self.split.inputs[rows], self.generator(number * self.num_replicas + self.rank)
        views = tuple(self.transform(images, rng) for _ in range(self.views))
        if self.labelled:
            return views, self.split.targets[rows]
        return views, self.rank + self.num_replicas * np.arange(len(rows))


class ViewsDataModule(ImageSetDataModule):
    """Images in several views at once: the batches of `Views`.

    Args:
        dataset: the images.
        batch_size: images in a batch, on each device; a part of fewer held-out or test images is one batch.
        views: of each image.
        labelled: images of the same label are alike; else the views of the same image.
        validation: fraction of the training images held out to watch the training by; 0 for none.
        seed: decides which are held out, the order of the others, and their views.
        degrees: largest angle, to either side; with `translate` and `shear`, see `RandomAffine`.
        translate: largest shift, as a fraction of height and width.
        scale: largest change of scale, less than 1.
        shear: largest angle of shear.
        erasing: probability that a rectangle is erased, see `RandomErasing`; with all five 0, views are the
            images themselves.
        transform: makes a view of each of a batch of images, instead of what these five describe.

    Raises:
        ValueError: an argument is out of its range; by the batches, for a batch larger than what there is to
            learn from, or labels of one class only.
    """

    gives = "views of images"
    readers = ("ContrastiveEncoder",)

    def __init__(
        self,
        dataset: Dataset,
        batch_size: int = 256,
        views: int = 2,
        labelled: bool = False,
        validation: float = 0.1,
        seed: int = 0,
        degrees: float = 25.0,
        translate: float = 0.1,
        scale: float = 0.2,
        shear: float = 15.0,
        erasing: float = 0.0,
        transform: Transform | None = None,
    ) -> None:
        super().__init__(dataset, batch_size, validation, seed, views=views)
        self.views = views
        self.labelled = labelled
        self.transform = transform or random_view(degrees, translate, scale, shear, erasing)

    def batches(self, part: Part, num_replicas: int = 1, rank: int = 0) -> Views:
        split, size = self.splits[part], self.batch_size
        if part != "train":
            size = max(1, min(size, len(split) // num_replicas))
        return Views(
            split, size, self.transform, self.views, self.labelled, self.seed_of(part), num_replicas, rank
        )
