"""The registry of layers and losses: a row puts a new one under every test there is.

It draws a random configuration: shapes, arguments, and data that includes empty batches, batches of one, ties
and large and small numbers. The models' registry is `model_cases`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from hypothesis import strategies as st

from gdl_numpy import nn
from gdl_numpy.tasks import as_arguments
from gdl_torch import nn as torch_nn
from parity_tests.harness.recurrent import PackingLSTM, PackingRNN

PACKING: dict[str, Any] = {"RNN": PackingRNN, "LSTM": PackingLSTM}
Draw = Callable[[st.SearchStrategy[Any]], Any]


class Example(NamedTuple):
    """Twins with data; what `check` takes."""

    numpy_module: nn.Module
    torch_module: torch.nn.Module
    inputs: Any
    targets: np.ndarray | None = None

    @property
    def arguments(self) -> tuple[Any, ...]:
        """All that the modules are called with."""
        return as_arguments(self.inputs) + as_arguments(self.targets)


@dataclass(frozen=True)
class LayerCase:
    """A layer or loss, and how to draw a random configuration of it."""

    name: str
    draw: Callable[[Draw, np.random.Generator], Example]

    def example(self, draw: Draw) -> Example:
        return self.draw(draw, np.random.default_rng(draw(st.integers(0, 2**32 - 1))))


def values(draw: Draw, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Normal numbers, small, large, or rounded so that many are equal and some are zero."""
    kind = draw(st.sampled_from(["unit", "large", "small", "ties"]))
    x = rng.standard_normal(shape)
    return {"unit": x, "large": 30 * x, "small": 1e-3 * x, "ties": np.round(x)}[kind]


def batch_sizes() -> st.SearchStrategy[int]:
    return st.one_of(st.sampled_from([0, 1]), st.integers(2, 9))


def shapes(draw: Draw) -> tuple[int, ...]:
    return (draw(batch_sizes()), *draw(st.lists(st.integers(1, 7), min_size=1, max_size=3)))


def linear(draw: Draw, rng: np.random.Generator) -> Example:
    inside, outside, bias = draw(st.integers(1, 40)), draw(st.integers(1, 40)), draw(st.booleans())
    batch = draw(st.sampled_from([(), (0,), (1,), (7,), (3, 5), (2, 0, 3)]))
    return Example(
        nn.Linear(inside, outside, bias, rng=rng),
        torch.nn.Linear(inside, outside, bias),
        values(draw, rng, (*batch, inside)),
    )


def flatten(draw: Draw, rng: np.random.Generator) -> Example:
    """From a dimension to another, each counted from the start or the end; of a single number too."""
    shape = shapes(draw)
    x = np.asarray(values(draw, rng, shape[draw(st.sampled_from([0, 0, 1, len(shape)])) :]))
    if draw(st.booleans()):
        x = np.asfortranarray(x)  # as a convolution's output, in an order of its own in memory
    ndim = max(x.ndim, 1)
    start = draw(st.integers(0, ndim - 1))
    dims = [dim - draw(st.sampled_from([0, ndim])) for dim in (start, draw(st.integers(start, ndim - 1)))]
    return Example(nn.Flatten(*dims), torch.nn.Flatten(*dims), x)


def elementwise(name: str) -> LayerCase:
    def draw_case(draw: Draw, rng: np.random.Generator) -> Example:
        return Example(getattr(nn, name)(), getattr(torch.nn, name)(), values(draw, rng, shapes(draw)))

    return LayerCase(name, draw_case)


def over_dimension(name: str) -> LayerCase:
    def draw_case(draw: Draw, rng: np.random.Generator) -> Example:
        x = values(draw, rng, shapes(draw))
        dim = draw(st.integers(1 - x.ndim, x.ndim - 1).filter(lambda d: x.shape[d] > 0))
        return Example(getattr(nn, name)(dim), getattr(torch.nn, name)(dim), x)

    return LayerCase(name, draw_case)


def dropout(draw: Draw, rng: np.random.Generator) -> Example:
    p, training = draw(st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0])), draw(st.booleans())
    layer = nn.Dropout(p, rng=rng).train(training)
    return Example(layer, torch.nn.Dropout(p), values(draw, rng, shapes(draw)))


def window_pair(draw: Draw, low: int, high: int) -> tuple[int, int]:
    return draw(st.integers(low, high)), draw(st.integers(low, high))


def conv2d(draw: Draw, rng: np.random.Generator) -> Example:
    kernel, stride = window_pair(draw, 1, 4), window_pair(draw, 1, 3)
    padding, dilation = window_pair(draw, 0, 3), window_pair(draw, 1, 3)
    sides = [max(1, d * (k - 1) + 1 - 2 * p) for k, p, d in zip(kernel, padding, dilation, strict=True)]
    height, width = (side + draw(st.integers(0, 6)) for side in sides)
    inside, outside = draw(st.sampled_from([1, 2, 3, 5, 8])), draw(st.sampled_from([1, 2, 3, 5, 32]))
    arguments = (inside, outside, kernel, stride, padding, dilation)
    bias = draw(st.booleans())
    return Example(
        nn.Conv2d(*arguments, bias=bias, rng=rng),
        torch.nn.Conv2d(*arguments, bias=bias),
        values(draw, rng, (draw(batch_sizes()), arguments[0], height, width)),
    )


def pool2d(name: str) -> LayerCase:
    def draw_case(draw: Draw, rng: np.random.Generator) -> Example:
        kernel = window_pair(draw, 1, 4)
        stride = draw(st.one_of(st.none(), st.tuples(st.integers(1, 4), st.integers(1, 4))))
        padding = tuple(draw(st.integers(0, k // 2)) for k in kernel)
        height, width = (
            max(1, k - 2 * p) + draw(st.integers(0, 6)) for k, p in zip(kernel, padding, strict=True)
        )
        shape = (draw(batch_sizes()), draw(st.integers(1, 4)), height, width)
        return Example(
            getattr(nn, name)(kernel, stride, padding),
            getattr(torch.nn, name)(kernel, stride, padding),
            values(draw, rng, shape),
        )

    return LayerCase(name, draw_case)


def reductions() -> st.SearchStrategy[str]:
    return st.sampled_from(["mean", "sum", "none"])


def elementwise_loss(name: str) -> LayerCase:
    def draw_case(draw: Draw, rng: np.random.Generator) -> Example:
        reduction, shape = draw(reductions()), shapes(draw)
        if name == "MSELoss":
            prediction, target = values(draw, rng, shape), values(draw, rng, shape)
        else:
            target = rng.random(shape) if draw(st.booleans()) else rng.integers(0, 2, shape).astype(float)
            prediction = values(draw, rng, shape)
        if name == "BCELoss":
            prediction = np.clip(np.abs(prediction), 0, 1)
        return Example(
            getattr(nn, name)(reduction=reduction),
            getattr(torch.nn, name)(reduction=reduction),
            prediction,
            target,
        )

    return LayerCase(name, draw_case)


def cross_entropy(draw: Draw, rng: np.random.Generator) -> Example:
    classes = draw(st.integers(1, 12))
    shape = (draw(batch_sizes()), *draw(st.lists(st.integers(1, 4), max_size=2)))
    target = rng.integers(0, classes, shape)
    ignore_index = draw(st.sampled_from([-100, 0]))
    if draw(st.booleans()):
        target[rng.random(shape) < draw(st.sampled_from([0.3, 1.0]))] = ignore_index
    options: dict[str, Any] = {
        "ignore_index": ignore_index,
        "reduction": draw(reductions()),
        "label_smoothing": draw(st.sampled_from([0.0, 0.0, 0.1, 1.0])),
    }
    weight = np.asarray(rng.random(classes) + 0.1) if draw(st.booleans()) else None
    tensor = None if weight is None else torch.from_numpy(weight)
    return Example(
        nn.CrossEntropyLoss(weight, **options),
        torch.nn.CrossEntropyLoss(tensor, **options),
        values(draw, rng, (shape[0], classes, *shape[1:])),
        target,
    )


def embedding(draw: Draw, rng: np.random.Generator) -> Example:
    rows, columns = draw(st.integers(1, 9)), draw(st.integers(1, 6))
    padding = draw(st.one_of(st.none(), st.integers(-rows, rows - 1)))
    sparse = draw(st.booleans())
    shape = draw(st.sampled_from([(0,), (1,), (12,), (3, 0), (5, 4)]))
    return Example(
        nn.Embedding(rows, columns, padding, sparse=sparse, rng=rng),
        torch.nn.Embedding(rows, columns, padding, sparse=sparse),
        rng.integers(0, rows, shape),
    )


def embedding_bag(draw: Draw, rng: np.random.Generator) -> Example:
    rows, columns = draw(st.integers(1, 9)), draw(st.integers(1, 6))
    padding = draw(st.one_of(st.none(), st.integers(-rows, rows - 1)))
    mode, sparse = draw(st.sampled_from(["mean", "sum"])), draw(st.booleans())
    lengths = np.array(draw(st.lists(st.sampled_from([0, 1, 2, 5, 40]), max_size=6)), np.int64)
    weights = [values(draw, rng, (int(lengths.sum()),))] if mode == "sum" and draw(st.booleans()) else []
    return Example(
        nn.EmbeddingBag(rows, columns, mode=mode, padding_idx=padding, sparse=sparse, rng=rng),
        torch.nn.EmbeddingBag(rows, columns, mode=mode, padding_idx=padding, sparse=sparse),
        (rng.integers(0, rows, lengths.sum()), np.cumsum(lengths) - lengths, *weights),
    )


def normalize(draw: Draw, rng: np.random.Generator) -> Example:
    x = values(draw, rng, shapes(draw))
    dim = draw(st.integers(-x.ndim, x.ndim - 1))
    zero = rng.random(x.shape[:1]) < draw(st.sampled_from([0.0, 0.3, 1.0]))
    x[zero] = 0
    return Example(nn.Normalize(dim), torch_nn.Normalize(dim), x)


def dot_product(draw: Draw, rng: np.random.Generator) -> Example:
    batch, count, size = draw(batch_sizes()), draw(st.integers(0, 7)), draw(st.integers(1, 40))
    inputs = values(draw, rng, (batch, size)), values(draw, rng, (batch, count, size))
    return Example(nn.DotProduct(), torch_nn.DotProduct(), inputs)


def pairs(draw: Draw, rng: np.random.Generator, count: int) -> list[np.ndarray]:
    """Batches of vectors: some of zeros, some the same in two batches, some that point the same way."""
    shape = draw(batch_sizes()), draw(st.integers(1, 8))
    batches = [values(draw, rng, shape) for _ in range(count)]
    batches[0][rng.random(shape[0]) < draw(st.sampled_from([0.0, 0.3]))] = 0
    for x in batches[1:]:
        same = rng.random(shape[0]) < draw(st.sampled_from([0.0, 0.3, 1.0]))
        x[same] = draw(st.sampled_from([1, 1, 3])) * batches[0][same]
    return batches


def triplet_margin_loss(draw: Draw, rng: np.random.Generator) -> Example:
    # Without eps, whole numbers meet a margin of 1 or 2 exactly.
    arguments = {
        "margin": draw(st.sampled_from([0.3, 1.0, 2.0])),
        "p": draw(st.sampled_from([1, 2])),
        "eps": draw(st.sampled_from([1e-6, 0.0])),
        "swap": draw(st.booleans()),
        "reduction": draw(reductions()),
    }
    inputs = tuple(pairs(draw, rng, 3))
    return Example(nn.TripletMarginLoss(**arguments), torch.nn.TripletMarginLoss(**arguments), inputs)


def cosine_embedding_loss(draw: Draw, rng: np.random.Generator) -> Example:
    margin, reduction = draw(st.sampled_from([-0.5, 0.0, 0.3, 1.0])), draw(reductions())
    x1, x2 = pairs(draw, rng, 2)
    target = rng.choice([1, -1], len(x1))
    return Example(
        nn.CosineEmbeddingLoss(margin, reduction=reduction),
        torch.nn.CosineEmbeddingLoss(margin, reduction=reduction),
        (x1, x2),
        target if draw(st.booleans()) else target.astype(float),
    )


def contrastive_loss(draw: Draw, rng: np.random.Generator) -> Example:
    margin, reduction = draw(st.sampled_from([0.0, 0.5, 1.0, 2.0])), draw(reductions())
    x1, x2 = pairs(draw, rng, 2)
    alike = rng.integers(0, 2, len(x1))
    return Example(
        nn.ContrastiveLoss(margin, reduction=reduction),
        torch_nn.ContrastiveLoss(margin, reduction),
        (x1, x2),
        alike if draw(st.booleans()) else alike.astype(float),
    )


def nt_xent_loss(draw: Draw, rng: np.random.Generator) -> Example:
    temperature, reduction = draw(st.sampled_from([0.02, 0.1, 0.5, 2.0])), draw(reductions())
    views = pairs(draw, rng, draw(st.integers(2, 4)))
    if draw(st.booleans()):  # all much alike
        views = [view + 100 for view in views]
    return Example(
        nn.NTXentLoss(temperature, reduction=reduction),
        torch_nn.NTXentLoss(temperature, reduction),
        tuple(views),
    )


def recurrent(name: str, states: int) -> LayerCase:
    """Some layers, on a batch of sequences or on one, with initial states or without, some ending early."""

    def draw_case(draw: Draw, rng: np.random.Generator) -> Example:
        inside, hidden, layers = draw(st.integers(1, 6)), draw(st.integers(1, 6)), draw(st.integers(1, 3))
        steps, batch = draw(st.integers(1, 6)), draw(st.integers(0, 4))
        bias, batch_first, batched = draw(st.booleans()), draw(st.booleans()), draw(st.booleans())
        arguments: dict[str, Any] = {"num_layers": layers, "bias": bias, "batch_first": batch_first}
        if name == "RNN":
            arguments["nonlinearity"] = draw(st.sampled_from(["tanh", "relu"]))
        outer = (batch, steps) if batch_first else (steps, batch)
        x = values(draw, rng, (*(outer if batched else (steps,)), inside))
        state: Any = None
        if draw(st.booleans()):
            shape = (layers, batch, hidden) if batched else (layers, hidden)
            drawn = tuple(values(draw, rng, shape) for _ in range(states))
            state = drawn if states > 1 else drawn[0]
        lengths = rng.integers(1, steps + 1, batch) if batched and batch and draw(st.booleans()) else None
        return Example(
            getattr(nn, name)(inside, hidden, **arguments, rng=rng),
            PACKING[name](inside, hidden, **arguments),
            (x, state, lengths),
        )

    return LayerCase(name, draw_case)


LAYERS: dict[str, LayerCase] = {
    case.name: case
    for case in (
        LayerCase("Linear", linear),
        LayerCase("Flatten", flatten),
        elementwise("ReLU"),
        elementwise("Sigmoid"),
        elementwise("Tanh"),
        over_dimension("Softmax"),
        over_dimension("LogSoftmax"),
        LayerCase("Dropout", dropout),
        LayerCase("Conv2d", conv2d),
        pool2d("MaxPool2d"),
        pool2d("AvgPool2d"),
        LayerCase("Embedding", embedding),
        LayerCase("EmbeddingBag", embedding_bag),
        LayerCase("Normalize", normalize),
        LayerCase("DotProduct", dot_product),
        recurrent("RNN", states=1),
        recurrent("LSTM", states=2),
        elementwise_loss("MSELoss"),
        elementwise_loss("BCELoss"),
        elementwise_loss("BCEWithLogitsLoss"),
        LayerCase("CrossEntropyLoss", cross_entropy),
        LayerCase("TripletMarginLoss", triplet_margin_loss),
        LayerCase("CosineEmbeddingLoss", cosine_embedding_loss),
        LayerCase("ContrastiveLoss", contrastive_loss),
        LayerCase("NTXentLoss", nt_xent_loss),
    )
}
