"""What is special about the convolutional network; its parity is proved in `test_models.py`."""

from __future__ import annotations

import pytest

from parity_tests.harness.model_cases import MODELS

CASE = MODELS["CNN"]


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
