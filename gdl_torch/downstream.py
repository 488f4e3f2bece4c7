"""`gdl_numpy.downstream` for the torch twins: the part of it that computes with a model."""

from __future__ import annotations

import copy
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from gdl_numpy.downstream.encoding import BATCH_SIZE, in_batches
from gdl_numpy.downstream.fine_tuning import LABELLED_BATCH, STEPS, epoch_bar, schedule
from gdl_numpy.downstream.probe import linear_probe
from gdl_torch.data.loading import Batch, EpochSampler, TensorBatches, as_is, ignore_advice
from gdl_torch.data.views import ViewsDataModule
from gdl_torch.models.trunk import HasTrunk, Trunk
from gdl_torch.tasks import Classification
from gdl_torch.training import fit

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxtyping import Float

    from gdl_numpy.data import Split
    from gdl_numpy.data.views import Transform
    from gdl_torch.models import ContrastiveEncoder

    Images = Float[np.ndarray, "images channels height width"]


def features_of(
    model: HasTrunk, images: Images, batch_size: int = BATCH_SIZE, progress: bool = False
) -> Float[np.ndarray, "images features"]:
    """What a model's trunk sees in images, computed on the model's device.

    Args:
        model: has a trunk.
        images: any number of them, at least one.
        batch_size: images that go through it at a time.
        progress: show a bar, which disappears at the end.

    Raises:
        ValueError: no images, or a batch_size below 1.
    """
    return in_batches(on_arrays(model.trunk), images, batch_size, "features", progress)


def embeddings_of(
    model: ContrastiveEncoder, features: Float[np.ndarray, "images features"]
) -> Float[np.ndarray, "images projected"]:
    """Where on the sphere the encoder's head puts images with these features: what it was trained by."""
    return on_arrays(nn.Sequential(model.head, model.normalize))(features)


def answers_of(model: nn.Module, inputs: Images) -> Float[np.ndarray, "images ..."]:
    """What a model of a pretext task says of a few inputs, computed on the model's device."""
    return on_arrays(model)(inputs)


def random_view(degrees: float, translate: float, scale: float, shear: float, erasing: float) -> Transform:
    """`gdl_numpy.downstream.random_view`, by transforms of torchvision: see `ViewsDataModule`."""
    return ViewsDataModule(
        degrees=degrees, translate=translate, scale=scale, shear=shear, erasing=erasing
    ).transform


def on_arrays(module: nn.Module) -> Callable[[np.ndarray], np.ndarray]:
    """The function that a module without dropout is, from arrays to arrays, on its device."""
    device = next(module.parameters()).device

    @torch.inference_mode()
    def function(inputs: np.ndarray) -> np.ndarray:
        outputs: np.ndarray = module(torch.from_numpy(inputs).to(device)).numpy(force=True)
        return outputs

    return function


class FineTuned(HasTrunk, Classification):
    """A trunk, and a linear head for classes.

    Args:
        trunk: learns on, in place.
        num_classes: number of logits.
        optimizer: name of a class in torch.optim.
        lr: learning rate.
    """

    def __init__(self, trunk: Trunk, num_classes: int, *, optimizer: str = "Adam", lr: float = 1e-3) -> None:
        super().__init__(optimizer, lr)
        self.trunk = trunk
        self.head = nn.Linear(trunk.out_features, num_classes)

    def forward(self, x: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch classes"]:
        """Logits of a batch of images."""
        logits: Tensor = self.head(self.trunk(x))
        return logits


def fine_tune(
    model: HasTrunk,
    labelled: Split,
    test: Split,
    *,
    steps: int = STEPS,
    lr: float = 1e-3,
    seed: int = 0,
    progress: bool = False,
) -> float:
    """Trains a copy of the model's trunk, under a new head, to tell classes; returns the test accuracy.

    As `gdl_numpy.downstream.fine_tune` in everything, on the model's device.

    Args:
        model: has a trunk; is not changed.
        labelled: what to learn from, of every class at least one image.
        test: what decides.
        steps: the least number of steps.
        lr: learning rate of the first epoch.
        seed: of the order of the batches.
        progress: show a bar, which disappears at the end.

    Raises:
        ValueError: labelled lacks a class, or has only one; or steps is below 1.
    """
    epochs, lr_decay = schedule(labelled, steps)
    weight, bias = map(torch.from_numpy, linear_probe(features_of(model, labelled.inputs), labelled.targets))
    device = next(model.trunk.parameters()).device
    tuned = FineTuned(copy.deepcopy(model.trunk), len(bias), lr=lr).to(device, weight.dtype).train()
    tuned.head.load_state_dict({"weight": weight, "bias": bias})
    with (
        TemporaryDirectory() as folder,
        epoch_bar(epochs, progress) as on_epoch,
        warnings.catch_warnings(),
    ):
        warnings.filterwarnings("ignore", "You defined a `validation_step` but have no")
        fit(
            tuned,
            tuned.configure_optimizers(),
            LabelledImages(labelled, seed),
            epochs=epochs,
            directory=Path(folder),
            seed=seed,
            lr_decay=lr_decay,
            accelerator=device.type,
            progress=False,
            on_epoch=on_epoch,
        )
    logits = in_batches(on_arrays(tuned.eval().to(device)), test.inputs, BATCH_SIZE, "predictions", progress)
    return float(np.mean(logits.argmax(axis=1) == test.targets))


class LabelledImages(pl.LightningDataModule):
    """Images with labels, in the order of `gdl_numpy.data.Batches(split, LABELLED_BATCH, seed)`."""

    def __init__(self, split: Split, seed: int) -> None:
        super().__init__()
        self.split, self.seed, self.batch_size = split, seed, LABELLED_BATCH

    def train_dataloader(self) -> DataLoader[Batch]:
        ignore_advice()
        dataset = TensorBatches(self.split)
        sampler = EpochSampler(dataset, self.seed)
        return DataLoader(dataset, batch_size=self.batch_size, sampler=sampler, collate_fn=as_is)
