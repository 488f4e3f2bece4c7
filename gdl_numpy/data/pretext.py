"""Tasks on images whose answers are in the images (chapter 16): what comes in, and what is to come out.

Each task is a function of images and a generator; `Pretext` makes batches with it.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np

from gdl_numpy.data.batches import ExampleLoader
from gdl_numpy.data.images import ImageSetDataModule

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxtyping import Float32, Int64

    from gdl_numpy.data.dataset import Dataset, Part, Split

    Images = Float32[np.ndarray, "batch channels height width"]
    Task = Callable[[Images, np.random.Generator], tuple[np.ndarray, np.ndarray]]


def rotate(images: Images, turns: Int64[np.ndarray, " batch"]) -> Images:
    """Turns each image by so many quarters, anticlockwise.

    Raises:
        ValueError: images that are not square.
    """
    if images.shape[2] != images.shape[3]:
        raise ValueError(f"rotate expects square images, got shape {images.shape}")
    turned = np.empty_like(images)
    for quarters in range(4):
        rows = turns % 4 == quarters
        turned[rows] = np.rot90(images[rows], quarters, axes=(2, 3))
    return turned


def cut_out(
    images: Images, rows: Int64[np.ndarray, " batch"], columns: Int64[np.ndarray, " batch"], size: int
) -> tuple[Images, Float32[np.ndarray, "batch channels rows columns"]]:
    """Sets a square of each image to zero; returns the images, and the squares that were there.

    Args:
        images: the images.
        rows: the upper row of each square.
        columns: the left column of each square.
        size: side of the squares.

    Raises:
        ValueError: a square that is not within its image.
    """
    height, width = images.shape[2:]
    for name, first, side in (("rows", rows, height), ("columns", columns, width)):
        outside = (first < 0) | (first > side - size)
        if outside.any():
            raise ValueError(
                f"cut_out expects {name} from 0 to {side - size}, for squares of {size} in images of "
                f"{height}×{width}, got {first[outside][0]}"
            )
    down = np.arange(height) - rows[:, None]  # (N, H): each row of an image, counted from its square's
    right = np.arange(width) - columns[:, None]
    inside = ((down >= 0) & (down < size))[:, :, None] & ((right >= 0) & (right < size))[:, None, :]
    inside = np.broadcast_to(inside[:, None], images.shape)
    patches = images[inside].reshape(*images.shape[:2], size, size)
    return np.where(inside, np.float32(0), images), patches


def tint(images: Float32[np.ndarray, "batch 1 height width"]) -> Float32[np.ndarray, "batch 3 height width"]:
    """Colours each grey image by its slant: the hue goes once around while its main axis makes half a turn.

    So the colour can be seen from the grey image, and not from any single pixel of it. The main axis is the
    direction θ in which the ink is spread most: tan 2θ = 2 μxy / (μxx - μyy), with second central moments.

    Raises:
        ValueError: images that are not grey.
    """
    if images.ndim != 4 or images.shape[1] != 1:
        raise ValueError(f"tint expects grey images (N, 1, height, width), got shape {images.shape}")
    ink = images[:, 0]
    height, width = ink.shape[1:]
    total = np.maximum(ink.sum((1, 2)), 1e-6)
    x, y = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)
    by_column, by_row = ink.sum(1), ink.sum(2)
    x = x - (by_column @ x / total)[:, None]  # from each image's own centre
    y = y - (by_row @ y / total)[:, None]
    xx, yy = (by_column * x * x).sum(1), (by_row * y * y).sum(1)
    xy = (np.matmul(ink, x[:, :, None])[:, :, 0] * y).sum(1)
    hue = np.arctan2(2 * xy, xx - yy) / (2 * np.pi) % 1
    # Red, green and blue of the pure hue: each is 1 for a third of the circle and goes up and down beside it.
    sixths = 6 * hue[:, None] + np.array([0, 4, 2], np.float32)
    colours = np.clip(np.abs(sixths % 6 - 3) - 1, 0, 1).astype(np.float32)
    tinted: np.ndarray = images * colours[:, :, None, None]
    return tinted


def rotation(images: Images, rng: np.random.Generator) -> tuple[Images, Int64[np.ndarray, " batch"]]:
    """Images turned by 0 to 3 quarters, and by how many (Gidaris et al. 2018)."""
    turns = rng.integers(0, 4, len(images))
    return rotate(images, turns), turns


def missing_patch(patch_size: int) -> Task:
    """Images with a square cut out, anywhere, and what was in it (Pathak et al. 2016).

    The task raises ValueError for a square that does not fit into the images.
    """

    def task(images: Images, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        patch_side(patch_size, images.shape[1:])
        rows, columns = (rng.integers(0, side - patch_size + 1, len(images)) for side in images.shape[2:])
        return cut_out(images, rows, columns, patch_size)

    return task


def patch_side(patch_size: int | None, in_shape: tuple[int, ...]) -> int:
    """The side of the square cut out of images (channels, height, width): a third of theirs, unless given.

    Raises:
        ValueError: a square that does not fit into them.
    """
    smaller = min(in_shape[1:])
    if patch_size is None:
        return -(-smaller // 3)
    if not 1 <= patch_size <= smaller:
        raise ValueError(f"patch_size must be from 1 to {smaller}, got {patch_size}")
    return patch_size


def colour(images: Images, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Grey images, and the same in the colours that `tint` gives them (Zhang, Isola and Efros 2016)."""
    return images, tint(images)


class Pretext(ExampleLoader):
    """The batches of a task.

    Args:
        split: the images; their labels are not looked at.
        batch_size: images in a batch, on each device; the last batch holds what is left over.
        task: makes inputs and targets of a batch of images.
        seed: shuffles the images, and draws what the task needs, differently in each epoch; None keeps their
            order, and draws the same each time.
        num_replicas: number of devices; see `ExampleLoader`.
        rank: which of them this one is.

    Raises:
        ValueError: an argument is out of its range.
    """

    def __init__(
        self,
        split: Split,
        batch_size: int,
        task: Task,
        seed: int | None = None,
        num_replicas: int = 1,
        rank: int = 0,
    ) -> None:
        super().__init__(len(split), batch_size, seed, num_replicas, rank)
        self.split, self.task = split, task

    def batch(self, rows: Int64[np.ndarray, " batch"], number: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns what the task makes of some images."""
        return self.task(self.split.inputs[rows], self.generator(number * self.num_replicas + self.rank))


class PretextDataModule(ImageSetDataModule):
    """Base of the tasks: the batches of `Pretext`.

    Args:
        dataset: the images.
        batch_size: images in a batch, on each device; the last batch of an epoch may be smaller.
        validation: fraction of the training images held out to watch the training by; 0 for none.
        seed: decides which are held out, the order of the others, and what is drawn for them.

    Raises:
        ValueError: an argument is out of its range, or nothing is left to learn from.
    """

    def __init__(
        self, dataset: Dataset, batch_size: int = 64, validation: float = 0.1, seed: int = 0
    ) -> None:
        super().__init__(dataset, batch_size, validation, seed)

    @abstractmethod
    def task(self) -> Task:
        """Returns what makes inputs and targets of images."""

    def batches(self, part: Part, num_replicas: int = 1, rank: int = 0) -> Pretext:
        split, seed = self.splits[part], self.seed_of(part)
        return Pretext(split, self.batch_size, self.task(), seed, num_replicas, rank)


class RotationsDataModule(PretextDataModule):
    """Images turned by 0 to 3 quarters, and by how many."""

    gives = "turned images"
    readers = ("RotationClassifier",)

    def task(self) -> Task:
        return rotation


class PatchesDataModule(PretextDataModule):
    """Images with a square cut out, and what was in it.

    Args:
        dataset: the images.
        batch_size: images in a batch, on each device; the last batch of an epoch may be smaller.
        validation: fraction of the training images held out to watch the training by; 0 for none.
        seed: decides which are held out, the order of the others, and where the squares are.
        patch_size: side of the square, the model's too; None for a third of the image's.

    Raises:
        ValueError: an argument is out of its range, or nothing is left to learn from.
    """

    gives = "images with a square cut out"
    readers = ("PatchInpainter",)

    def __init__(
        self,
        dataset: Dataset,
        batch_size: int = 64,
        validation: float = 0.1,
        seed: int = 0,
        patch_size: int | None = None,
    ) -> None:
        super().__init__(dataset, batch_size, validation, seed)
        self.patch_size = patch_side(patch_size, dataset.in_shape)

    @property
    def model_arguments(self) -> dict[str, Any]:
        return super().model_arguments | {"patch_size": self.patch_size}

    def task(self) -> Task:
        return missing_patch(self.patch_size)


class ColoursDataModule(PretextDataModule):
    """Grey images, and the same in the colours that `tint` gives them."""

    gives = "grey images to colour"
    readers = ("Colorizer",)

    def task(self) -> Task:
        return colour
