"""The convolutional network: NumPy and Lightning are the same function, in training too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from parity_tests.harness import ParityReport, check
from parity_tests.harness.cases import MODELS

if TYPE_CHECKING:
    from collections.abc import Callable

CASE = MODELS["CNN"]


@pytest.mark.parametrize("optimizer", ["SGD", "Adam"])
@pytest.mark.parametrize("batch", [1, 6])
@pytest.mark.parametrize("hparams", CASE.variants, ids=str)
def test_parity(
    hparams: dict[str, Any],
    batch: int,
    optimizer: str,
    dtype: str,
    device: str,
    agree: Callable[[ParityReport], None],
) -> None:
    """Every layer, the loss, all gradients and three training steps, with dropout and cross-entropy."""
    rng = np.random.default_rng(0)
    own, twin = CASE.build(hparams)
    inputs = rng.standard_normal((batch, *CASE.in_shape))
    targets = rng.integers(0, hparams.get("out_features", 10), batch)
    settings: dict[str, Any] = {"optimizer": optimizer, "optimizer_args": {"lr": 0.01}, "steps": 3}
    agree(check(own, twin, inputs, targets, CASE.losses(), dtype=dtype, device=device, **settings))


def test_empty_batch(dtype: str, agree: Callable[[ParityReport], None]) -> None:
    """No examples: empty logits, and gradients that are zero, as in torch."""
    own, twin = CASE.build(CASE.variants[0])
    agree(check(own, twin, np.zeros((0, *CASE.in_shape)), dtype=dtype))


def test_book_sizes() -> None:
    """By default chapter 10's network: 16 kernels of 3×3 on 28×28 images, tanh, half the features dropped."""
    own, twin = CASE.build({})
    shapes = {
        "features.0.weight": (16, 1, 3, 3),
        "features.0.bias": (16,),
        "classifier.2.weight": (10, 16 * 26 * 26),
        "classifier.2.bias": (10,),
    }
    assert {name: data.shape for name, data in own.state_dict().items()} == shapes
    assert {name: tuple(data.shape) for name, data in twin.state_dict().items()} == shapes


def test_images_that_vanish_are_refused() -> None:
    with pytest.raises(ValueError, match="in_shape"):
        CASE.build({"in_shape": [1, 8, 8], "channels": [4, 4, 4], "pool_size": 2})
