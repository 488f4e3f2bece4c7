"""Tasks on images whose answers are in the images (chapter 16), with the NumPy side's batches.

`rotate`, `cut_out` and `tint` are the functions of `gdl_numpy.data.pretext` for tensors of one's own.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gdl_numpy.data import pretext as numpy_pretext
from gdl_torch.data.images import ImageSetDataModule

if TYPE_CHECKING:
    from pathlib import Path

    from jaxtyping import Float, Int64
    from torch.utils.data import DataLoader

    from gdl_numpy.data import Dataset

    Images = Float[Tensor, "batch channels height width"]


def rotate(images: Images, turns: Int64[Tensor, " batch"]) -> Images:
    """Turns each image by so many quarters, anticlockwise.

    Raises:
        ValueError: images that are not square.
    """
    if images.shape[2] != images.shape[3]:
        raise ValueError(f"rotate expects square images, got shape {tuple(images.shape)}")
    turned = torch.empty_like(images)
    for quarters in range(4):
        rows = turns % 4 == quarters
        turned[rows] = torch.rot90(images[rows], quarters, dims=(2, 3))
    return turned


def cut_out(
    images: Images, rows: Int64[Tensor, " batch"], columns: Int64[Tensor, " batch"], size: int
) -> tuple[Images, Float[Tensor, "batch channels rows columns"]]:
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
    down = torch.arange(height, device=images.device) - rows[:, None]
    right = torch.arange(width, device=images.device) - columns[:, None]
    inside = ((down >= 0) & (down < size))[:, :, None] & ((right >= 0) & (right < size))[:, None, :]
    inside = inside[:, None].expand_as(images)
    patches = images[inside].reshape(*images.shape[:2], size, size)
    return images.masked_fill(inside, 0), patches


def tint(images: Float[Tensor, "batch 1 height width"]) -> Float[Tensor, "batch 3 height width"]:
    """Colours each grey image by its slant: the hue goes once around while its main axis makes half a turn.

    The main axis is the direction θ in which the ink is spread most: tan 2θ = 2 μxy / (μxx - μyy), with
    second central moments.

    Raises:
        ValueError: images that are not grey.
    """
    if images.ndim != 4 or images.shape[1] != 1:
        raise ValueError(f"tint expects grey images (N, 1, height, width), got shape {tuple(images.shape)}")
    ink = images[:, 0]
    height, width = ink.shape[1:]
    total = ink.sum((1, 2)).clamp(min=1e-6)[:, None]
    x, y = (torch.arange(side, dtype=ink.dtype, device=ink.device) for side in (width, height))
    by_column, by_row = ink.sum(1), ink.sum(2)
    x = x - (by_column * x).sum(1, keepdim=True) / total  # from each image's own centre
    y = y - (by_row * y).sum(1, keepdim=True) / total
    xx, yy = (by_column * x * x).sum(1), (by_row * y * y).sum(1)
    xy = torch.einsum("nhw,nw,nh->n", ink, x, y)
    hue = torch.atan2(2 * xy, xx - yy) / (2 * math.pi) % 1
    sixths = 6 * hue[:, None] + torch.tensor([0, 4, 2], dtype=ink.dtype, device=ink.device)
    colours = ((sixths % 6 - 3).abs() - 1).clamp(0, 1)
    return images * colours[:, :, None, None]


class PretextDataModule(ImageSetDataModule):
    """Base of the tasks: the batches of `gdl_numpy.data.pretext.Pretext`, epoch by epoch.

    Args:
        batch_size: images in a batch, on each device; the last batch of an epoch may be smaller.
        data_dir: where the files are or will be put; else $GDL_DATA, else the user cache.
        validation: fraction of the training images held out to watch the training by; 0 for none.
        seed: decides which are held out, the order of the others, and what is drawn for them.

    Raises:
        ValueError: as ImageSetDataModule.
    """

    def __init__(
        self,
        batch_size: int = 64,
        data_dir: str | Path | None = None,
        validation: float = 0.1,
        seed: int = 0,
    ) -> None:
        super().__init__(batch_size, data_dir, validation, seed)

    def predict_dataloader(self) -> DataLoader[Any]:
        return self.test_dataloader()


class RotationsDataModule(PretextDataModule):
    """Images turned by 0 to 3 quarters, and by how many."""

    twin = numpy_pretext.RotationsDataModule
    suffix = "Rotations"

    def make(self, dataset: Dataset) -> numpy_pretext.RotationsDataModule:
        return numpy_pretext.RotationsDataModule(dataset, self.batch_size, self.held_out_fraction, self.seed)


class PatchesDataModule(PretextDataModule):
    """Images with a square cut out, and what was in it.

    Args:
        batch_size: images in a batch, on each device; the last batch of an epoch may be smaller.
        data_dir: where the files are or will be put; else $GDL_DATA, else the user cache.
        validation: fraction of the training images held out to watch the training by; 0 for none.
        seed: decides which are held out, the order of the others, and where the squares are.
        patch_size: side of the square, the model's too; None for a third of the image's.

    Raises:
        ValueError: as ImageSetDataModule; in `setup`, for a square that is not within the image, or a model
            with another patch_size.
    """

    twin = numpy_pretext.PatchesDataModule
    suffix = "Patches"
    shared = ("patch_size",)

    def __init__(
        self,
        batch_size: int = 64,
        data_dir: str | Path | None = None,
        validation: float = 0.1,
        seed: int = 0,
        patch_size: int | None = None,
    ) -> None:
        super().__init__(batch_size, data_dir, validation, seed)
        self.asked_size = patch_size

    @property
    def patch_size(self) -> int:
        """Side of the square."""
        patch_size: int = self.numpy.model_arguments["patch_size"]
        return patch_size

    def make(self, dataset: Dataset) -> numpy_pretext.PatchesDataModule:
        return numpy_pretext.PatchesDataModule(
            dataset, self.batch_size, self.held_out_fraction, self.seed, self.asked_size
        )


class ColoursDataModule(PretextDataModule):
    """Grey images, and the same in the colours that `tint` gives them."""

    twin = numpy_pretext.ColoursDataModule
    suffix = "Colours"

    def make(self, dataset: Dataset) -> numpy_pretext.ColoursDataModule:
        return numpy_pretext.ColoursDataModule(dataset, self.batch_size, self.held_out_fraction, self.seed)
