"""The registry: one row a layer, one row a model. A row puts a new one under every test there is.

A layer's row draws a random configuration: shapes, arguments, and data that includes empty batches, batches
of one, ties and large and small numbers. A model's row lists configurations, and the data that
``scripts/compare.py`` runs it on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any, NamedTuple

import numpy as np
import torch
from hypothesis import strategies as st

from gdl_numpy import models, nn
from gdl_numpy.data import Batches, Dataset, SentenceDataset, Sentences, Streams, TextDataset, Vocabulary
from gdl_numpy.data.text import IGNORED
from gdl_numpy.data.vocabulary import Kind
from gdl_torch import models as torch_models
from parity_tests.harness.evaluate import as_arguments
from parity_tests.harness.recurrent import PackingLSTM, PackingRNN
from parity_tests.harness.sequence import Streamed, TorchStreamed

PACKING: dict[str, Any] = {"RNN": PackingRNN, "LSTM": PackingLSTM}
Draw = Callable[[st.SearchStrategy[Any]], Any]


class Example(NamedTuple):
    """Twins with data; what ``check`` takes."""

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


def shuffled_batches(dataset: Dataset, batch_size: int, seed: int) -> Iterator[tuple[Any, Any]]:
    """Mini-batches (inputs, targets) of the training examples, one epoch after the other, without end."""
    batches = Batches(dataset.train, batch_size, seed)
    for epoch in count():
        batches.set_epoch(epoch)
        yield from batches


def vocabulary_of(dataset: TextDataset | SentenceDataset, kind: Kind) -> Vocabulary:
    """The words of sentences; of a running text symbols of this kind, the most frequent thousand of them."""
    if isinstance(dataset, SentenceDataset):
        return Vocabulary.build(dataset.text, "spaces")
    return Vocabulary.build(dataset.text, kind, max_size=1000)


def sentences(kind: Kind, ahead: int = 1) -> Callable[[Any, int, int], Iterator[tuple[Any, Any]]]:
    """Shuffled batches of whole sentences; of a running text, of its lines of at most twelve symbols.

    Twelve, since a transition matrix that has learned to grow makes powers of itself along a line.
    """

    def batches(dataset: TextDataset | SentenceDataset, batch_size: int, seed: int) -> Iterator[Any]:
        vocabulary = vocabulary_of(dataset, kind)
        if isinstance(dataset, SentenceDataset):
            sequences, padded = [vocabulary.encode(sentence) for sentence in dataset.train], dataset.padded
        else:
            lines, padded = [vocabulary.encode(line.strip()) for line in dataset.train.splitlines()], False
            sequences = [line for line in lines if 0 < len(line) <= 12]
        feed = Sentences(sequences, batch_size, seed, ahead, padded)
        for epoch in count():
            feed.set_epoch(epoch)
            yield from feed

    return batches


def chunks(steps: int) -> Callable[[Any, int, int], Iterator[tuple[Any, Any]]]:
    """A running text in chunks of so many steps, from its beginning, whatever the seed; sentences whole."""

    def batches(dataset: TextDataset | SentenceDataset, batch_size: int, seed: int) -> Iterator[Any]:
        if isinstance(dataset, SentenceDataset):
            yield from sentences("characters")(dataset, batch_size, seed)
        else:
            ids = vocabulary_of(dataset, "characters").encode(dataset.train)
            for _ in count():
                yield from Streams(ids, batch_size, steps)

    return batches


def image_example(shape: tuple[int, ...]) -> Callable[..., tuple[np.ndarray, np.ndarray]]:
    """Random images and classes."""

    def example(hparams: Mapping[str, Any], batch: int, rng: np.random.Generator) -> Any:
        return rng.standard_normal((batch, *shape)), rng.integers(0, hparams.get("out_features", 10), batch)

    return example


def text_example(hparams: Mapping[str, Any], batch: int, rng: np.random.Generator) -> Any:
    """Random ids, some of them often, and targets, some of which are not counted."""
    ids = rng.integers(0, hparams["vocab_size"], (7, batch)) // rng.integers(1, 3, (7, batch))
    targets = rng.integers(0, hparams["vocab_size"], (7, batch))
    targets[5:, ::2] = IGNORED
    return ids, targets


@dataclass(frozen=True)
class ModelCase:
    """A model that both sides have under ``name``.

    Attributes:
        variants: constructor arguments, small enough to test: together they use all that the model can have.
        example: inputs and targets that fit the variants, from their arguments, a batch size and a generator.
        sizes: the constructor arguments that a data set decides.
        compared: further arguments of each row of ``compare.py``, under what tells it from the model's other
            rows; without any, the book's model.
        loss: class name of its loss, on both sides.
        lr: learning rate of the SGD steps in ``compare.py``.
        data: what ``compare.py`` feeds it by default.
        carries_state: whether each batch goes on where the one before ended.
        batches: how it is fed, from data set, batch size and seed.
    """

    name: str
    variants: tuple[Mapping[str, Any], ...]
    example: Callable[[Mapping[str, Any], int, np.random.Generator], tuple[np.ndarray, np.ndarray]]
    sizes: Callable[[Any], Mapping[str, Any]]
    compared: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: {"": {}})
    loss: str = "CrossEntropyLoss"
    lr: float = 0.1
    data: str = "digits"
    carries_state: bool = False
    batches: Callable[[Any, int, int], Iterator[tuple[Any, Any]]] = shuffled_batches

    @property
    def reads_text(self) -> bool:
        return issubclass(models.MODELS[self.name], models.LanguageModel)

    def as_trained(
        self, numpy_module: nn.Module, torch_module: torch.nn.Module, carry: bool = True
    ) -> tuple[nn.Module, torch.nn.Module]:
        """The two as training runs them: from a batch's inputs to what the loss takes.

        With ``carry``, a language model begins each batch in the state in which it left the one before.
        """
        if not isinstance(numpy_module, models.LanguageModel):
            return numpy_module, torch_module
        return Streamed(numpy_module, carry), TorchStreamed(torch_module, carry)

    def build(self, hparams: Mapping[str, Any], seed: int = 0) -> tuple[nn.Module, torch.nn.Module]:
        """The model on both sides, with the NumPy side's weights from ``seed``."""
        return models.MODELS[self.name](**hparams, rng=seed), torch_models.MODELS[self.name](**hparams)

    def losses(self) -> tuple[nn.Module, torch.nn.Module]:
        return getattr(nn, self.loss)(), getattr(torch.nn, self.loss)()


def sizes_of_text(kind: Kind = "characters") -> Callable[[Any], Mapping[str, Any]]:
    return lambda dataset: {"vocab_size": len(vocabulary_of(dataset, kind))}


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
    return Example(nn.Flatten(), torch.nn.Flatten(), values(draw, rng, shapes(draw)))


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
    arguments = (draw(st.integers(1, 5)), draw(st.integers(1, 5)), kernel, stride, padding, dilation)
    bias = draw(st.booleans())
    return Example(
        nn.Conv2d(*arguments, bias, rng=rng),
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
            getattr(nn, name)(reduction), getattr(torch.nn, name)(reduction=reduction), prediction, target
        )

    return LayerCase(name, draw_case)


def cross_entropy(draw: Draw, rng: np.random.Generator) -> Example:
    classes = draw(st.integers(1, 12))
    shape = (draw(batch_sizes()), *draw(st.lists(st.integers(1, 4), max_size=2)))
    target = rng.integers(0, classes, shape)
    ignore_index = draw(st.sampled_from([-100, 0]))
    if draw(st.booleans()):
        target[rng.random(shape) < draw(st.sampled_from([0.3, 1.0]))] = ignore_index
    reduction = draw(reductions())
    return Example(
        nn.CrossEntropyLoss(ignore_index, reduction),
        torch.nn.CrossEntropyLoss(ignore_index=ignore_index, reduction=reduction),
        values(draw, rng, (shape[0], classes, *shape[1:])),
        target,
    )


def embedding(draw: Draw, rng: np.random.Generator) -> Example:
    rows, columns = draw(st.integers(1, 9)), draw(st.integers(1, 6))
    padding = draw(st.one_of(st.none(), st.integers(-rows, rows - 1)))
    sparse = draw(st.booleans())
    shape = draw(st.sampled_from([(0,), (1,), (12,), (3, 0), (5, 4)]))
    return Example(
        nn.Embedding(rows, columns, padding, sparse, rng=rng),
        torch.nn.Embedding(rows, columns, padding, sparse=sparse),
        rng.integers(0, rows, shape),
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
        recurrent("RNN", states=1),
        recurrent("LSTM", states=2),
        elementwise_loss("MSELoss"),
        elementwise_loss("BCELoss"),
        elementwise_loss("BCEWithLogitsLoss"),
        LayerCase("CrossEntropyLoss", cross_entropy),
    )
}

MODELS: dict[str, ModelCase] = {
    case.name: case
    for case in (
        ModelCase(
            "MLP",
            example=image_example((1, 5, 5)),
            sizes=lambda data: {"in_features": math.prod(data.in_shape), "out_features": data.num_classes},
            variants=(
                {"in_features": 25},
                {"in_features": 25, "hidden_features": [], "dropout": 0.0},
                {"in_features": 25, "hidden_features": [12, 7], "activation": "relu", "dropout": 0.2},
                {"in_features": 25, "hidden_features": [12], "activation": "sigmoid", "out_features": 3},
            ),
        ),
        ModelCase(
            "CNN",
            example=image_example((2, 9, 8)),
            sizes=lambda data: {"in_shape": data.in_shape, "out_features": data.num_classes},
            compared={
                "": {},
                "pooled": {"channels": [32, 64], "padding": 1, "pool_size": 2, "hidden_features": [128],
                           "activation": "relu"},
            },
            variants=(
                {"in_shape": [2, 9, 8]},
                {"in_shape": [2, 9, 8], "channels": [3, 4], "padding": 1, "pool_size": 2,
                 "hidden_features": [11], "activation": "relu", "dropout": 0.25},
                {"in_shape": [2, 9, 8], "channels": [5], "kernel_size": 4, "activation": "sigmoid",
                 "dropout": 0.0},
            ),
        ),
        ModelCase(
            "TransitionMatrixLM",
            example=text_example,
            sizes=sizes_of_text("words"),
            data="python_docs",
            batches=sentences("words", ahead=0),
            variants=({"vocab_size": 11}, {"vocab_size": 5, "embedding_dim": 3}),
        ),
        ModelCase(
            "RNNLanguageModel",
            example=text_example,
            sizes=sizes_of_text(),
            data="python_docs",
            carries_state=True,
            batches=chunks(16),
            lr=0.2,
            compared={"": {"embedding_dim": 128, "hidden_size": 128}},
            variants=(
                {"vocab_size": 11, "embedding_dim": 6, "hidden_size": 8},
                {"vocab_size": 11, "embedding_dim": 6, "hidden_size": 8, "num_layers": 2,
                 "nonlinearity": "relu", "dropout": 0.3},
            ),
        ),
        ModelCase(
            "LSTMLanguageModel",
            example=text_example,
            sizes=sizes_of_text(),
            data="python_docs",
            carries_state=True,
            batches=chunks(25),
            lr=0.2,
            compared={"": {"embedding_dim": 128, "hidden_size": 128}},
            variants=(
                {"vocab_size": 11, "embedding_dim": 6, "hidden_size": 8},
                {"vocab_size": 11, "embedding_dim": 6, "hidden_size": 8, "num_layers": 2, "dropout": 0.3},
                {"vocab_size": 11, "embedding_dim": 6, "hidden_size": 8, "zero_decoder": True},
            ),
        ),
    )
}  # fmt: skip
