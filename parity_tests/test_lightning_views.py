"""The data modules of views and of pretext tasks on images, under the Trainer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch

from gdl_numpy import data as numpy_data
from gdl_numpy.data import load
from gdl_torch.data import (
    DigitsColoursDataModule,
    DigitsDataModule,
    DigitsPatchesDataModule,
    DigitsRotationsDataModule,
    DigitsViewsDataModule,
)
from gdl_torch.models import MLP, Colorizer, ContrastiveEncoder, PatchInpainter, RotationClassifier
from parity_tests.support import WARNINGS_OF_LIGHTNING

pytestmark = WARNINGS_OF_LIGHTNING

SHAPE: dict[str, Any] = {"in_shape": (1, 8, 8), "hidden_features": (16,)}
PLAIN: dict[str, Any] = {"degrees": 0, "translate": 0, "scale": 0, "shear": 0, "erasing": 0}


def trainer() -> pl.Trainer:
    return pl.Trainer(
        max_epochs=2, accelerator="cpu", logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, log_every_n_steps=1,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("model", "data"),
    [
        (ContrastiveEncoder(**SHAPE), DigitsViewsDataModule(256)),
        (
            ContrastiveEncoder(**SHAPE, loss="TripletMarginLoss"),
            DigitsViewsDataModule(128, views=1, labelled=True, **PLAIN),
        ),
        (RotationClassifier(**SHAPE), DigitsRotationsDataModule(256)),
        (PatchInpainter(**SHAPE, patch_size=3), DigitsPatchesDataModule(256, patch_size=3)),
        (Colorizer(**SHAPE), DigitsColoursDataModule(256)),
    ],
)
def test_each_model_learns_from_its_data(model: pl.LightningModule, data: pl.LightningDataModule) -> None:
    """From first batch to test, with finite losses."""
    run = trainer()
    run.fit(model, data)
    assert torch.isfinite(run.callback_metrics["train_loss_epoch"])
    assert torch.isfinite(run.callback_metrics["val_loss"])
    (tested,) = run.test(model, data, verbose=False)
    assert np.isfinite(tested["test_loss"])


@pytest.mark.parametrize(
    ("module", "twin"),
    [
        (
            DigitsRotationsDataModule(64, seed=3),
            numpy_data.RotationsDataModule(load("digits"), 64, seed=3),
        ),
        (
            DigitsPatchesDataModule(64, seed=3, patch_size=4),
            numpy_data.PatchesDataModule(load("digits"), 64, seed=3, patch_size=4),
        ),
        (DigitsColoursDataModule(64, seed=3), numpy_data.ColoursDataModule(load("digits"), 64, seed=3)),
    ],
)
def test_tasks_are_numpys_batches(module: Any, twin: Any) -> None:
    """In every epoch, step by step."""
    module.setup("fit")
    loader, expected = module.train_dataloader(), twin.train
    for epoch in range(2):
        loader.sampler.set_epoch(epoch)
        expected.set_epoch(epoch)
        for got, want in zip(loader, expected, strict=True):
            for tensor, array in zip(got, want, strict=True):
                np.testing.assert_array_equal(tensor.numpy(), array)


def test_views_are_of_numpys_images_and_do_not_touch_torchs_random_numbers() -> None:
    """The same again, other ones in the next epoch, each image's its own."""
    module = DigitsViewsDataModule(64, labelled=True, seed=5)
    module.setup("fit")
    before = torch.get_rng_state()
    loader: Any = module.train_dataloader()
    (first, second), labels = loader.dataset[0]
    again = loader.dataset[0][0]
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first, again[0])
    assert (first != second).flatten(1).any(1).all()
    expected = numpy_data.ViewsDataModule(load("digits"), 64, labelled=True, seed=5).train
    np.testing.assert_array_equal(labels.numpy(), next(iter(expected))[1])
    loader.sampler.set_epoch(1)
    assert not torch.equal(loader.dataset[0][0][0], first)


@pytest.mark.parametrize(
    ("model", "data"),
    [
        (MLP(64, (16,), 10), DigitsViewsDataModule()),
        (RotationClassifier(**SHAPE), DigitsDataModule()),
        (MLP(64, (16,), 10), DigitsColoursDataModule()),
        (PatchInpainter(**SHAPE, patch_size=3), DigitsPatchesDataModule(patch_size=4)),
    ],
)
def test_a_model_that_cannot_read_the_data_is_refused(model: Any, data: Any) -> None:
    """In one line, before the first batch."""
    with pytest.raises(ValueError, match=r"^[^\n]*(cannot read|give both the same)[^\n]*$"):
        trainer().fit(model, data)


def test_copies_of_an_image_have_different_views() -> None:
    """Given a batch, torchvision's transforms draw once for all of it."""
    transform: Any = DigitsViewsDataModule().transform
    copies = np.repeat(load("digits").train.inputs[:1], 16, axis=0)
    assert len(np.unique(transform(copies, np.random.default_rng(0)), axis=0)) == 16


def test_workers_make_the_same_views() -> None:
    """In the second epoch too: they hear of it."""
    seen = []
    for num_workers in (0, 1):
        module = DigitsViewsDataModule(512, num_workers=num_workers, seed=2)
        module.setup("fit")
        loader: Any = module.train_dataloader()
        for epoch in range(2):
            loader.sampler.set_epoch(epoch)
            seen.append(torch.cat([torch.cat(views) for views, _ in loader]))
    assert torch.equal(seen[0], seen[2])
    assert torch.equal(seen[1], seen[3])
    assert not torch.equal(seen[0], seen[1])
