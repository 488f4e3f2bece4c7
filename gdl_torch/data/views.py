"""Images in several views at once, by transforms of torchvision, for an encoder that learns what is alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torchvision.transforms import v2

from gdl_numpy.data import views as numpy_views
from gdl_numpy.data.augment import random_view, unchanged
from gdl_torch.data.images import ImageSetDataModule
from gdl_torch.data.loading import as_torch_loader

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np
    from torch import Tensor, nn
    from torch.utils.data import DataLoader

    from gdl_numpy.data import Dataset, Part


class Transformed:
    """A transform of tensors as one of arrays: each image gets random numbers of its own.

    They are torch's, seeded by the generator: the same views whatever else draws random numbers, in however
    many processes.

    Args:
        transform: makes a view of one image (channels, height, width).
    """

    def __init__(self, transform: Callable[[Tensor], Tensor]) -> None:
        self.transform = transform

    def __repr__(self) -> str:
        return repr(self.transform)

    def __call__(self, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(int(rng.integers(2**63)))
            # Given a batch, a transform of torchvision draws once for all of it.
            views = torch.stack([self.transform(image) for image in torch.from_numpy(images)])
        array: np.ndarray = views.numpy()
        return array


class ViewsDataModule(ImageSetDataModule):
    """Views of images: the batches of `gdl_numpy.data.views.Views`, by a transform of torchvision.

    The images are NumPy's, epoch by epoch; the views are others, but the same ones for the same seed. What is
    left over at the end of an epoch is left out. Validation and test draw the same views each time.

    Args:
        batch_size: images in a batch, on each device; a part of fewer held-out or test images is one batch.
        data_dir: where the files are or will be put; else $GDL_DATA, else the user cache.
        num_workers: processes that prepare batches.
        views: of each image.
        labelled: images of the same label are alike; else the views of the same image.
        validation: fraction of the training images held out to watch the training by; 0 for none.
        seed: decides which are held out, the order of the others, and their views.
        degrees: largest angle, to either side.
        translate: largest shift, as a fraction of height and width.
        scale: largest change of scale, less than 1.
        shear: largest angle of shear along x, to either side.
        erasing: probability that a rectangle is erased, by `v2.RandomErasing`; with all five 0, views are the
            images themselves.
        transform: makes a view of one image, instead of the transforms that these five describe.

    Raises:
        ValueError: as ImageSetDataModule, or an argument is out of its range; by the loaders, for a batch
            that is larger than what there is to learn from, or labels of one class only.
    """

    twin = numpy_views.ViewsDataModule
    suffix = "Views"

    def __init__(
        self,
        batch_size: int = 256,
        data_dir: str | Path | None = None,
        num_workers: int = 0,
        views: int = 2,
        labelled: bool = False,
        validation: float = 0.1,
        seed: int = 0,
        degrees: float = 25.0,
        translate: float = 0.1,
        scale: float = 0.2,
        shear: float = 15.0,
        erasing: float = 0.0,
        transform: nn.Module | None = None,
    ) -> None:
        super().__init__(batch_size, data_dir, validation, seed, views=views)
        self.num_workers = num_workers
        self.views = views
        self.labelled = labelled
        self.transform = random_view(degrees, translate, scale, shear, erasing)  # refuses bad arguments
        if transform is not None:
            self.transform = Transformed(transform)
        elif self.transform is not unchanged:
            bilinear = v2.InterpolationMode.BILINEAR
            shifts, scales = (translate, translate), (1 - scale, 1 + scale)
            affine = v2.RandomAffine(degrees, shifts, scales, shear, bilinear)
            self.transform = Transformed(
                v2.Compose([affine, v2.RandomErasing(erasing)]) if erasing else affine
            )

    def make(self, dataset: Dataset) -> numpy_views.ViewsDataModule:
        return numpy_views.ViewsDataModule(
            dataset,
            self.batch_size,
            self.views,
            self.labelled,
            self.held_out_fraction,
            self.seed,
            transform=self.transform,
        )

    def loader(self, part: Part) -> DataLoader[Any]:
        self.numpy.batch_size = self.batch_size
        return as_torch_loader(self.numpy.batches(part, *self.device), self.num_workers)
