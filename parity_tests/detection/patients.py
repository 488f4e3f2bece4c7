"""What mistakes are planted in: each layer, by itself or in a network, with data that every term shows in."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from gdl_numpy import nn
from gdl_numpy.nn import conv, pooling
from gdl_torch import nn as torch_nn
from parity_tests.harness.layer_cases import PACKING

if TYPE_CHECKING:
    from collections.abc import Iterator

PAIR_LOSSES = ("TripletMarginLoss", "CosineEmbeddingLoss", "ContrastiveLoss", "NTXentLoss")


def patient(layer: str) -> tuple[nn.Module, torch.nn.Module, Any, Any]:
    """A layer, or a network that it is in, with its twin, and what both are given: inputs and targets."""
    if layer in ("EmbeddingBag", "Normalize", *PAIR_LOSSES):
        return pairs(layer)
    if layer in ("Embedding", *PACKING):
        return *sequences(layer), None
    if not layer.endswith("Loss"):
        return *zoo(), None
    rng = np.random.default_rng(0)
    own, twin = getattr(nn, layer)(), getattr(torch.nn, layer)()
    if layer == "CrossEntropyLoss":
        return own, twin, rng.standard_normal((6, 4)), np.array([0, 1, -100, 3, 2, -100])
    return own, twin, rng.uniform(0.1, 0.9, (5, 4)), rng.uniform(0.1, 0.9, (5, 4))


def zoo() -> tuple[nn.Sequential, torch.nn.Sequential, np.ndarray]:
    """Every layer, most in the middle, most sizes different; some weights could be transposed unnoticed."""
    layers: list[tuple[str, tuple[Any, ...]]] = [
        ("MaxPool2d", (3, 1, 1)),
        ("Conv2d", (3, 3, (2, 3), (2, 2), (1, 0), (1, 2))),
        ("ReLU", ()),
        ("Conv2d", (3, 4, (3, 2), (2, 1), (2, 1))),
        ("AvgPool2d", (2, 1)),
        ("Tanh", ()),
        ("Flatten", ()),
        ("Dropout", (0.3,)),
        ("Linear", (36, 36)),
        ("Sigmoid", ()),
        ("Softmax", (1,)),
        ("Linear", (36, 5)),
        ("LogSoftmax", (1,)),
    ]
    own = nn.Sequential(*(getattr(nn, name)(*arguments) for name, arguments in layers))
    twin = torch.nn.Sequential(*(getattr(torch.nn, name)(*arguments) for name, arguments in layers))
    next(layer for layer in own if isinstance(layer, nn.Dropout)).rng = np.random.default_rng(7)
    rng = np.random.default_rng(7)
    for parameter in own.parameters():
        parameter.data[...] = rng.standard_normal(parameter.data.shape) / 2
    x = np.round(2 * rng.standard_normal((6, 3, 9, 10))) / 2  # with ties and zeros
    return own, twin, x


def sequences(layer: str) -> tuple[nn.Module, torch.nn.Module, tuple[Any, ...]]:
    """A layer that reads sequences, with all that it can be given."""
    rng = np.random.default_rng(3)
    if layer == "Embedding":
        ids = rng.integers(0, 5, (6, 3))
        return nn.Embedding(5, 4, 2, rng=rng), torch.nn.Embedding(5, 4, 2), (ids,)
    x, (h, c) = rng.standard_normal((4, 4, 4)), rng.standard_normal((2, 2, 4, 4))
    lengths = np.array([4, 2, 1, 3])
    own, twin = getattr(nn, layer)(4, 4, 2, rng=rng), PACKING[layer](4, 4, 2)
    return own, twin, (x, h if layer == "RNN" else (h, c), lengths)


def pairs(layer: str) -> tuple[nn.Module, torch.nn.Module, tuple[Any, ...], np.ndarray | None]:
    """A layer for vectors or bags of ids; some vectors are of zeros, some losses are 0."""
    rng = np.random.default_rng(5)
    if layer == "EmbeddingBag":
        own, twin = nn.EmbeddingBag(5, 4, padding_idx=2, rng=rng), torch.nn.EmbeddingBag(5, 4, padding_idx=2)
        return own, twin, (np.array([0, 2, 1, 1, 4, 3, 2, 0, 1]), np.array([0, 3, 3, 7])), None
    x = rng.standard_normal((3, 6, 4))
    if layer == "Normalize":
        x[0, 2:4] *= np.array([[0], [1e-13]])  # not longer than eps
        return nn.Normalize(), torch_nn.Normalize(), (x[0],), None
    if layer == "TripletMarginLoss":
        x[2, :2] *= 9  # far enough
        x[2, 2:4] = x[1, 2:4] + 0.1  # nearer to the positive than to the anchor
        x[2, 4:] = x[0, 4:] + 0.1
        arguments: dict[str, Any] = {"margin": 0.5, "swap": True}
        return nn.TripletMarginLoss(**arguments), torch.nn.TripletMarginLoss(**arguments), (*x,), None
    if layer == "NTXentLoss":
        return nn.NTXentLoss(), torch_nn.NTXentLoss(), (*x,), None
    alike = np.array([1, 1, 0, 0, 0, 1])
    if layer == "ContrastiveLoss":
        return nn.ContrastiveLoss(3), torch_nn.ContrastiveLoss(3), (x[0], x[1]), alike
    return nn.CosineEmbeddingLoss(0.1), torch.nn.CosineEmbeddingLoss(0.1), (x[0], x[1]), 2 * alike - 1


def find(model: nn.Module, layer: str) -> tuple[str, nn.Module]:
    return next((name, m) for name, m in model.named_modules() if type(m).__name__ == layer)


@contextmanager
def one_image_at_a_time() -> Iterator[None]:
    """Within, convolutions and pooling do so, so that what they accumulate over blocks shows mistakes too."""
    before = conv.BLOCK_BYTES, pooling.BLOCK_BYTES
    conv.BLOCK_BYTES = pooling.BLOCK_BYTES = 1
    try:
        yield
    finally:
        conv.BLOCK_BYTES, pooling.BLOCK_BYTES = before
