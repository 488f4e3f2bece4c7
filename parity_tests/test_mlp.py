"""The multilayer perceptron: NumPy and Lightning are the same function, in training too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from parity_tests.harness import ParityReport, check
from parity_tests.harness.cases import MODELS

if TYPE_CHECKING:
    from collections.abc import Callable

CASE = MODELS["MLP"]


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
    """By default the network of chapter 9: 784-100-10, tanh, half of the hidden layer dropped."""
    own, twin = CASE.build({})
    shapes = {
        "layers.1.weight": (100, 784),
        "layers.1.bias": (100,),
        "layers.4.weight": (10, 100),
        "layers.4.bias": (10,),
    }
    assert {name: data.shape for name, data in own.state_dict().items()} == shapes
    assert {name: tuple(data.shape) for name, data in twin.state_dict().items()} == shapes
    assert "Tanh" in repr(own)
    assert "p=0.5" in repr(own)
