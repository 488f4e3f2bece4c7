"""What the benchmarks time: training steps of the models at the book's sizes, on data of the right shape."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch

import gdl_torch.models
from gdl_numpy import models, nn, optim
from gdl_numpy.generation import generate
from gdl_numpy.nn.sequence import Rows
from gdl_torch.generation import generate as torch_generate
from parity_tests.benchmark.turns import endless

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from gdl_numpy.tasks import Batch, Task
    from parity_tests.benchmark.turns import Run

    Step = Callable[[], None]
    Shapes = list[tuple[int, int, int]]  # (m, k, n) of matrix products

VOCABULARY = 65  # tokens, as in tiny Shakespeare
WORDS = 74_000  # as in the reviews of IMDB


@dataclass(frozen=True)
class Row:
    """A model at a size, and what is timed of it: here a training step of a classifier, on MNIST's shape.

    Attributes:
        project_once: whether the NumPy side of a language model may project its vocabulary once.
        loss: class name of what the model is trained by, where its task leaves a choice.
    """

    kind: ClassVar[str] = "training"
    sides: ClassVar[tuple[str, ...]] = ("numpy", "torch", "products")  # methods that make a step
    unit: ClassVar[str] = ""  # what an example is, where so many of them a second are worth a line

    about: str
    model: str
    hparams: Mapping[str, Any]
    batch: int
    project_once: bool = True
    loss: str | None = None

    def contender(self, side: str) -> Run:
        """What the process of a side runs."""
        return endless(getattr(self, side)())

    def numpy_model(self) -> Any:
        model = models.MODELS[self.model](**self.hparams, rng=0)
        if not self.project_once:
            model.project_once = False
        return model

    def torch_model(self) -> Any:
        model: Any = gdl_torch.models.MODELS[self.model]
        return model(**self.hparams, **({"loss": self.loss} if self.loss else {}))

    def data(self) -> tuple[Any, np.ndarray]:
        """Inputs, one or several, and targets."""
        rng = np.random.default_rng(0)
        return rng.random((self.batch, 1, 28, 28), dtype=np.float32), rng.integers(0, 10, self.batch)

    def task(self) -> Task:
        """What the NumPy side trains, and does not need the gradient of its input for."""
        model = self.numpy_model()
        loss = getattr(nn, self.loss)() if self.loss else None
        task: Task = model.task(model, loss).requires_input_grad_(False)
        return task

    def numpy(self) -> Step:
        """The training step on the NumPy side."""
        return numpy_step(self.task(), self.data())

    def tensors(self) -> tuple[Any, Any]:
        """The data for the torch side."""
        inputs, targets = (
            tuple(map(torch.from_numpy, part)) if isinstance(part, tuple) else torch.from_numpy(part)
            for part in self.data()
        )
        return inputs, targets

    def torch(self) -> Step:
        """The same on the torch side, eager, without a Trainer around it."""
        return torch_step(self.torch_model(), self.tensors())

    def products(self) -> Step:
        """The step's matrix products alone."""
        task = self.task()
        numpy_step(task, self.data())()
        return products_alone([shape for _, layer in task.named_modules() for shape in products_of(layer)])


@dataclass(frozen=True)
class TextRow(Row):
    """A training step of a language model, on a chunk of so many time steps."""

    steps: int = 0

    def data(self) -> tuple[Any, np.ndarray]:
        ids = np.random.default_rng(0).integers(0, VOCABULARY, (self.steps + 1, self.batch))
        return ids[:-1], ids[1:]


@dataclass(frozen=True)
class ReviewRow(Row):
    """A training step on reviews of some 150 different words each."""

    def data(self) -> tuple[Any, np.ndarray]:
        rng = np.random.default_rng(0)
        bags = [np.unique(words_as_in_a_text(rng, 275)) for _ in range(self.batch)]
        lengths = [len(bag) for bag in bags]
        offsets = np.cumsum([0, *lengths[:-1]])
        return (np.concatenate(bags), offsets), rng.integers(0, 2, self.batch).astype(np.float32)


@dataclass(frozen=True)
class BlankRow(Row):
    """A training step on blanks with two words to either side, and five words beside the right one."""

    unit = "words"

    def data(self) -> tuple[Any, np.ndarray]:
        rng = np.random.default_rng(0)
        ids = words_as_in_a_text(rng, 4 * self.batch)
        candidates = words_as_in_a_text(rng, 6 * self.batch).reshape(self.batch, 6)
        targets = np.zeros(candidates.shape, np.float32)
        targets[:, 0] = 1
        return (ids, np.arange(0, 4 * self.batch, 4), candidates), targets


@dataclass(frozen=True)
class EncoderRow(Row):
    """A training step of an encoder on several views of each of MNIST's images, all in one batch."""

    views: int = 2

    def data(self) -> tuple[Any, Any]:
        rng = np.random.default_rng(0)
        views = tuple(rng.random((self.batch, 1, 28, 28), dtype=np.float32) for _ in range(self.views))
        return views, rng.integers(0, 10, self.batch)


def words_as_in_a_text(rng: np.random.Generator, count: int) -> np.ndarray:
    """Ids of words: the k-th most frequent one in proportion to 1 / k (Zipf's law)."""
    weights = 1 / np.arange(1, WORDS + 1)
    return rng.choice(WORDS, count, p=weights / weights.sum())


@dataclass(frozen=True)
class WritingRow(Row):
    """A character that a language model writes."""

    kind = "writing"
    batch: int = 1

    def numpy(self) -> Step:
        return partial(next, generate(self.numpy_model(), [0], sys.maxsize, rng=0))

    def torch(self) -> Step:
        return partial(next, torch_generate(self.torch_model(), [0], sys.maxsize, rng=0))

    def products(self) -> Step:
        width, hidden = self.numpy_model().rnn.weight_hh_l0.data.shape
        return products_alone([(width, hidden, 1), (VOCABULARY, hidden, 1)])


POOLED = {"channels": [32, 64], "pool_size": 2, "hidden_features": [128], "activation": "relu"}
ROWS: dict[str, Row] = {
    "mlp": Row("book MLP 784-100-10", "MLP", {"dropout": 0.0}, 100),
    "mlp-dropout": Row("the same with dropout", "MLP", {}, 100),
    "mlp-1024": Row(
        "MLP 784-1024-1024-10",
        "MLP",
        {"hidden_features": [1024, 1024], "activation": "relu", "dropout": 0.0},
        256,
    ),
    "cnn": Row("book CNN, 16 kernels 3×3", "CNN", {"dropout": 0.0}, 128),
    "cnn-dropout": Row("the same with dropout", "CNN", {}, 128),
    "cnn-pooled": Row("CNN 32-pool-64-pool-128-10", "CNN", {**POOLED, "dropout": 0.0}, 128),
    "cnn-pooled-dropout": Row("the same with dropout", "CNN", POOLED, 128),
    "rnn": TextRow("RNN 512, 16 steps", "RNNLanguageModel", {}, 32, project_once=False, steps=16),
    "rnn-projected": TextRow("the same, projected once", "RNNLanguageModel", {}, 32, steps=16),
    "lstm": TextRow("LSTM 512, 25 steps", "LSTMLanguageModel", {}, 32, project_once=False, steps=25),
    "lstm-projected": TextRow("the same, projected once", "LSTMLanguageModel", {}, 32, steps=25),
    "sentiment": ReviewRow(
        "sentiment, 150 of 74,000 words", "SentimentClassifier", {"vocab_size": WORDS}, 32
    ),
    "blank": BlankRow("fill in the blank, 74,000 words", "FillInTheBlank", {"vocab_size": WORDS}, 256),
    "nt-xent": EncoderRow("NT-Xent 784-512-128, two views", "ContrastiveEncoder", {}, 256),
    "triplets": EncoderRow(
        "triplets 784-512-128", "ContrastiveEncoder", {}, 256, loss="TripletMarginLoss", views=1
    ),
    "rnn-write": WritingRow("RNN 512", "RNNLanguageModel", {}),
    "lstm-write": WritingRow("LSTM 512", "LSTMLanguageModel", {}),
}


def numpy_step(task: Task, batch: Batch) -> Step:
    """One training step on the NumPy side."""
    optimizer = optim.SGD(task.model.parameters(), lr=0.01)

    def step() -> None:
        task.step(optimizer, batch)

    return step


def torch_step(model: Any, batch: Batch) -> Step:
    """The same on the torch side, eager, without a Trainer around it."""
    model.train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)

    def step() -> None:
        optimizer.zero_grad()
        model.compare(*batch).loss.backward()
        optimizer.step()

    return step


def products_of(layer: nn.Module) -> Iterator[tuple[int, int, int]]:
    """The (m, k, n) of a layer's matrix products, forward and backward, in the training step just made."""
    if isinstance(layer, nn.Linear):
        rows = layer.saved[0].size // layer.in_features
        yield rows, layer.in_features, layer.out_features
        yield layer.out_features, rows, layer.in_features
        if layer.needs_input_grad:
            yield rows, layer.out_features, layer.in_features
    elif isinstance(layer, nn.Conv2d):
        batch, _, *sides = layer.saved[1]
        height, width = (
            s + 2 * p - k + 1 for s, p, k in zip(sides, layer.padding, layer.kernel_size, strict=True)
        )
        windows, positions = batch * height * width, int(np.prod(layer.kernel_size))
        pixels = positions * layer.in_channels
        yield windows, pixels, layer.out_channels
        yield pixels, windows, layer.out_channels
        if layer.needs_input_grad:
            yield from [(windows, layer.out_channels, layer.in_channels)] * positions
    elif isinstance(layer, nn.RNN | nn.LSTM):
        yield from recurrent_products(layer)
    elif isinstance(layer, nn.NTXentLoss):
        rows, size = layer.saved[0].shape
        yield rows, size, rows
        yield rows, rows, size


def recurrent_products(layer: nn.RNN | nn.LSTM) -> Iterator[tuple[int, int, int]]:
    """Those of a recurrence: of the inputs of all steps at once, of each step, of the weights as a whole."""
    ((x, _), *_), *_, (steps, batch, hidden) = layer.saved
    width = layer.blocks * hidden
    elements = len(x.table) if isinstance(x, Rows) else steps * batch
    yield width, layer.input_size, elements
    yield from [(width, hidden, batch)] * steps
    yield from [(hidden, width, batch)] * steps
    yield width, steps * batch, hidden
    yield width, elements, layer.input_size
    yield elements, width, layer.input_size
    if isinstance(x, Rows):  # adding up what belongs to one row of the table is a product as well
        yield width, steps * batch, elements


def products_alone(shapes: Shapes) -> Step:
    """Matrix products of the given sizes, into memory that is there already."""
    factors = [
        (np.ones((m, k), np.float32), np.ones((k, n), np.float32), np.empty((m, n), np.float32))
        for m, k, n in shapes
    ]

    def step() -> None:
        for a, b, out in factors:
            np.matmul(a, b, out=out)

    return step
