"""Right twins, from ten numbers to a million, with what is hard about them in their names."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from gdl_numpy import nn
from gdl_numpy.tasks import Contrastive
from gdl_torch import nn as torch_nn
from parity_tests.detection.composites import Residual, TorchResidual
from parity_tests.harness.layer_cases import PACKING, Example
from parity_tests.harness.model_cases import MODELS, ModelCase

if TYPE_CHECKING:
    from collections.abc import Callable

FUNCTIONS = ("ReLU", "Sigmoid", "Tanh", "Softmax", "LogSoftmax", "GELU")


@dataclass(frozen=True)
class Twins:
    """Right twins with data, made anew each time, and what tells them from others."""

    name: str
    make: Callable[[], Example] = field(compare=False)


class GELU(nn.Module):
    """y = x Φ(x), Φ the normal distribution; dy/dx = Φ(x) + x φ(x), as `torch.nn.GELU`."""

    def forward(self, x: np.ndarray) -> np.ndarray:
        self.save_for_backward(x)
        y: np.ndarray = x * distribution(x)
        return y

    def backward(self, grad_output: np.ndarray) -> np.ndarray:
        (x,) = self.saved
        density = np.exp(-x * x / 2) / math.sqrt(2 * math.pi)
        grad: np.ndarray = grad_output * (distribution(x) + x * density)
        return grad


def distribution(x: np.ndarray) -> np.ndarray:
    """Φ(x) = erfc(-x / √2) / 2, without cancellation for x < 0."""
    phi: np.ndarray = torch.special.erfc(torch.from_numpy(-x / math.sqrt(2))).numpy() / 2
    return phi


def approximate_distribution(x: np.ndarray) -> np.ndarray:
    """Φ as Hendrycks and Gimpel 2016 approximate it, by tanh."""
    phi: np.ndarray = (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) / 2
    return phi


def normal(*shape: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def linear(inside: int, outside: int, rows: int, size: float = 1.0) -> Twins:
    return Twins(
        f"Linear({inside}, {outside}) of {rows} rows of numbers of {size:g}",
        lambda: Example(
            nn.Linear(inside, outside, rng=0), torch.nn.Linear(inside, outside), size * normal(rows, inside)
        ),
    )


def cancelling(terms: int) -> Twins:
    """Sums in which each term has another that is its opposite, but for a ten-thousandth."""

    def make() -> Example:
        example = linear(2 * terms, 3, 4).make()
        assert isinstance(example.numpy_module, nn.Linear)
        weight = example.numpy_module.weight.data
        weight[:, terms:] = -weight[:, :terms]
        example.inputs[:, terms:] = example.inputs[:, :terms] * (1 + 1e-4 * normal(4, terms, seed=2))
        return example

    return Twins(f"Linear of {2 * terms} terms that cancel", make)


def conv2d(batch: int, inside: int, outside: int, side: int) -> Twins:
    return Twins(
        f"Conv2d({inside}, {outside}, 3) of {batch} images of {side}×{side}",
        lambda: Example(
            nn.Conv2d(inside, outside, 3, 1, 1, rng=0),
            torch.nn.Conv2d(inside, outside, 3, 1, 1),
            normal(batch, inside, side, side),
        ),
    )


def pool2d(name: str) -> Twins:
    return Twins(
        name,
        lambda: Example(getattr(nn, name)(3, 2, 1), getattr(torch.nn, name)(3, 2, 1), normal(4, 8, 12, 12)),
    )


def recurrent(name: str, steps: int, size: int) -> Twins:
    return Twins(
        f"{name}(16, {size}) of {steps} steps",
        lambda: Example(
            getattr(nn, name)(16, size, rng=0), PACKING[name](16, size), (normal(steps, 8, 16), None, None)
        ),
    )


def plain(name: str, size: float = 1.0, shape: tuple[int, int] = (64, 100)) -> Twins:
    """A function of each number, or of each row."""
    arguments = (-1,) if name.endswith("max") else ()
    own = GELU if name == "GELU" else getattr(nn, name)
    return Twins(
        f"{name} of {shape[0]}×{shape[1]} numbers of {size:g}",
        lambda: Example(own(*arguments), getattr(torch.nn, name)(*arguments), size * normal(*shape)),
    )


def dropout(p: float) -> Twins:
    return Twins(f"Dropout({p})", lambda: Example(nn.Dropout(p, rng=0), torch.nn.Dropout(p), normal(64, 100)))


def normalized(size: float) -> Twins:
    return Twins(
        f"Normalize of numbers of {size:g}",
        lambda: Example(nn.Normalize(), torch_nn.Normalize(), size * normal(64, 16)),
    )


def looked_up(rows: int, ids: int) -> Twins:
    """Every row in turn, and at the end the first once more."""

    def make() -> Example:
        chosen = np.arange(ids) % rows
        chosen[-1] = chosen[0]
        return Example(nn.Embedding(rows, 8, rng=0), torch.nn.Embedding(rows, 8), chosen)

    return Twins(f"Embedding({rows}, 8) of {ids} ids", make)


def bags(mode: str, ids: int) -> Twins:
    offsets = np.array([0, ids // 3, ids // 2])
    return Twins(
        f"EmbeddingBag, {mode} of {ids} ids",
        lambda: Example(
            nn.EmbeddingBag(50, 8, mode=mode, rng=0),  # type: ignore[arg-type]
            torch.nn.EmbeddingBag(50, 8, mode=mode),
            (np.random.default_rng(0).integers(0, 50, ids), offsets),
        ),
    )


def loss(name: str, count: int, reduction: str = "mean") -> Twins:
    """Logits to 40, probabilities to a millionth."""

    def make() -> Example:
        rng = np.random.default_rng(1)
        predictions = {
            "MSELoss": normal(count),
            "BCELoss": 10 ** -rng.uniform(0.01, 6, count),
            "BCEWithLogitsLoss": 10 * normal(count),
        }
        own, twin = getattr(nn, name)(reduction=reduction), getattr(torch.nn, name)(reduction=reduction)
        return Example(own, twin, predictions[name], rng.random(count))

    return Twins(f"{name}, {reduction} of {count}", make)


def classified(count: int, classes: int, size: float = 1.0, ignored: int = 0) -> Twins:
    def make() -> Example:
        targets = np.random.default_rng(0).integers(0, classes, count)
        targets[:ignored] = -100
        logits = size * normal(count, classes)
        return Example(nn.CrossEntropyLoss(), torch.nn.CrossEntropyLoss(), logits, targets)

    return Twins(f"CrossEntropyLoss of {count}×{classes} logits of {size:g}, {ignored} ignored", make)


def triplets() -> Twins:
    return Twins(
        "TripletMarginLoss",
        lambda: Example(nn.TripletMarginLoss(), torch.nn.TripletMarginLoss(), tuple(normal(3, 64, 16))),
    )


def alike(own: Any, twin: Any, different: int) -> Twins:
    """Pairs, half of them alike; the others' target is `different`."""
    return Twins(
        own.__name__,
        lambda: Example(own(), twin(), tuple(normal(2, 64, 16)), np.repeat([1, different], 32)),
    )


def views(temperature: float) -> Twins:
    return Twins(
        f"NTXentLoss({temperature:g})",
        lambda: Example(
            nn.NTXentLoss(temperature), torch_nn.NTXentLoss(temperature), tuple(normal(2, 64, 16))
        ),
    )


def residual(size: int, rows: int = 64) -> Twins:
    def make() -> Example:
        body = nn.Sequential(nn.Linear(size, size, rng=0), nn.Tanh(), nn.Linear(size, size, rng=1))
        twin = torch.nn.Sequential(torch.nn.Linear(size, size), torch.nn.Tanh(), torch.nn.Linear(size, size))
        return Example(Residual(body), TorchResidual(twin), normal(rows, size))

    return Twins(f"a residual block of {size}", make)


def model(case: ModelCase, number: int) -> Twins:
    """A variant of a model of the registry by itself, without its loss."""

    def make() -> Example:
        hparams = case.variants[number]
        inputs, _ = case.example(hparams, 6, np.random.default_rng(0))
        if issubclass(case.model.task, Contrastive):  # views, which go through the encoder in one batch
            inputs = np.concatenate(inputs)
        return Example(*case.build(hparams), inputs)

    return Twins(f"{case.name}, variant {number}", make)


TWINS = (
    *(linear(10**k, 3, 4) for k in range(1, 7)),
    *(linear(3, 4, 10**k) for k in range(1, 6)),
    *(linear(100, 50, 8, size) for size in (1e-6, 1e-3, 30.0, 1e4)),
    *(cancelling(10**k) for k in range(1, 5)),
    linear(512, 512, 128),
    conv2d(4, 3, 4, 8),
    conv2d(8, 64, 64, 14),
    *map(pool2d, ("MaxPool2d", "AvgPool2d")),
    *(recurrent(name, *sizes) for name in PACKING for sizes in ((5, 4), (25, 32), (100, 16))),
    *(plain(name, size) for name in FUNCTIONS for size in (1e-3, 1, 30)),
    *(plain(name, 1, (1, 100_000)) for name in FUNCTIONS),
    dropout(0.1),
    *map(normalized, (1e-4, 1, 1e4)),
    looked_up(5, 100_000),
    looked_up(5000, 1001),
    *(bags(mode, ids) for mode in ("mean", "sum") for ids in (30, 30_000)),
    *(
        loss(name, count, reduction)
        for name in ("MSELoss", "BCELoss", "BCEWithLogitsLoss")
        for reduction in ("mean", "sum")
        for count in (10, 10_000, 1_000_000)
    ),
    *(classified(64, classes, 3) for classes in (2, 10, 1000)),
    classified(64, 10, 100),
    classified(4096, 10, ignored=1),
    triplets(),
    alike(nn.CosineEmbeddingLoss, torch.nn.CosineEmbeddingLoss, -1),
    alike(nn.ContrastiveLoss, torch_nn.ContrastiveLoss, 0),
    *map(views, (0.02, 0.1, 0.5)),
    *map(residual, (3, 20, 300)),
    *(model(case, number) for case in MODELS.values() for number in range(len(case.variants))),
)
