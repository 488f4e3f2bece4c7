"""What is special about the convolutional network; its parity is proved in `test_models.py`."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from gdl_numpy import nn
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


@pytest.mark.parametrize("channels", [3, 40])
def test_the_order_of_images_in_memory_makes_no_difference(channels: int) -> None:
    """Nor that of their gradient. In whole numbers, and so without rounding."""
    rng = np.random.default_rng(0)
    layer = nn.Conv2d(channels, channels, 3, rng=0, dtype=np.float64)
    for parameter in layer.parameters():
        parameter.data[...] = rng.integers(-3, 4, parameter.data.shape)
    x = rng.integers(-3, 4, (4, channels, 6, 7)).astype(float)
    grad = rng.integers(-3, 4, (4, channels, 4, 5)).astype(float)
    found = []
    for axes in itertools.product([(0, 1, 2, 3), (0, 2, 3, 1)], repeat=2):
        x_there, grad_there = (
            np.ascontiguousarray(a.transpose(order)).transpose(np.argsort(order))
            for a, order in zip((x, grad), axes, strict=True)
        )
        layer.zero_grad()
        y = layer(x_there)
        found.append([y, layer.backward(grad_there), *(p.grad for p in layer.parameters())])
    for others in found[1:]:
        for one, other in zip(found[0], others, strict=True):
            np.testing.assert_array_equal(one, other)
