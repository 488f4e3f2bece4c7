"""Images in several views at once, for an encoder that learns which views are of one thing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from gdl_numpy.data.examples import ExampleFeed

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxtyping import Float32, Int64

    from gdl_numpy.data.dataset import Split

    Images = Float32[np.ndarray, "batch channels height width"]
    Transform = Callable[[Images, np.random.Generator], Images]


class Views(ExampleFeed):
    """Batches of views of images: inputs are a tuple of them, targets say which are alike.

    What is left over at the end of an epoch is left out, so that every image has equally many to be told
    from.

    Args:
        split: the images.
        batch_size: images in a batch, on each device.
        transform: makes a view of each of a batch of images.
        count: views of each image.
        labelled: targets are the images' labels; else each image is alike to itself alone.
        seed: shuffles the images, and draws views, differently in each epoch; None keeps their order, and
            draws the same views each time.
        num_replicas: number of devices; see `ExampleFeed`.
        rank: which of them this one is.

    Raises:
        ValueError: an argument is out of its range, there are fewer images than are in a batch, or labels of
            one class only.
    """

    def __init__(
        self,
        split: Split,
        batch_size: int,
        transform: Transform,
        count: int = 2,
        labelled: bool = False,
        seed: int | None = None,
        num_replicas: int = 1,
        rank: int = 0,
    ) -> None:
        super().__init__(len(split), batch_size, seed, num_replicas, rank)
        self._check_at_least(1, count=count)
        if not len(self):
            raise ValueError(
                f"Views: there are {self.n} images, fewer than in a batch of {num_replicas * batch_size}: "
                "take a smaller batch_size"
            )
        if labelled and len(np.unique(split.targets)) < 2:
            raise ValueError("Views: all images have the same label: there is nothing to tell them from")
        self.split, self.transform, self.count, self.labelled = split, transform, count, labelled

    def describe(self) -> dict[str, Any]:
        return super().describe() | {
            "views": self.count,
            "labelled": self.labelled,
            "transform": getattr(self.transform, "__name__", str(self.transform)),
        }

    def __len__(self) -> int:
        return self.n // (self.num_replicas * self.batch_size)

    def batch(
        self, rows: Int64[np.ndarray, " batch"], number: int
    ) -> tuple[tuple[Images, ...], Int64[np.ndarray, " batch"]]:
        """Return the views of some images; and their labels, or else numbers of their own."""
        images, rng = self.split.inputs[rows], self.generator(number * self.num_replicas + self.rank)
        views = tuple(self.transform(images, rng) for _ in range(self.count))
        return views, self.split.targets[rows] if self.labelled else np.arange(len(rows))
