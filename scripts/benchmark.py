"""How long one training step takes: NumPy against torch eager, and against its own matrix products alone.

    python scripts/benchmark.py [ROW …] [--threads 2] [--seconds 10] [--interleave] [--json FILE]

A step is forward, loss, backward and SGD, in float32, on the CPU, on both sides with the same number of
threads. The products are the floor: no NumPy code can be faster than them. All three are measured in one
process, in turns. The rows called "projected" are the same model, whose NumPy side multiplies the
vocabulary's embeddings once instead of looking each up first, as training does (`project_once`).

The rows called "write" time no training: a symbol drawn from a language model, after the one before.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path  # noqa: TC003 (typer reads the annotations)
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import torch
import typer
from rich.console import Console
from rich.table import Table
from threadpoolctl import threadpool_info, threadpool_limits
from tqdm import tqdm

import gdl_torch.models
import gdl_torch.nn
from gdl_numpy import models, nn, optim
from gdl_numpy.files import replacing
from gdl_numpy.generation import generate
from gdl_numpy.lookup import lookup
from gdl_numpy.nn.sequence import Rows
from gdl_numpy.objective import objective_for
from gdl_torch.generation import generate as torch_generate
from gdl_torch.language_model import LanguageModel
from parity_tests.harness.as_trained import TogetherEncoded, TorchTogetherEncoded
from parity_tests.harness.evaluate import as_arguments

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    Shapes = list[tuple[int, int, int]]  # (m, k, n) of matrix products

# Seconds of a turn, and between turns. The threads of OpenBLAS and OpenMP go on spinning for a while after
# their work, and would take the cores of whoever comes next: torch's step takes twice as long right after
# one of NumPy's.
TURN, PAUSE = 0.4, 0.2


VOCABULARY = 65  # symbols, as in tiny Shakespeare
WORDS = 74_000  # as in the reviews of IMDB


@dataclass(frozen=True)
class Row:
    """A model at a size, and what is timed of it: here a training step of a classifier, on MNIST's shape.

    Attributes:
        project_once: set on the NumPy side of a language model.
        loss: class name of what the model is trained by.
    """

    about: str
    model: str
    hparams: Mapping[str, Any]
    batch: int
    project_once: bool = False
    loss: str = "CrossEntropyLoss"

    def numpy_model(self) -> Any:
        model = models.MODELS[self.model](**self.hparams, rng=0).requires_input_grad_(False)
        if self.project_once:
            model.project_once = True
        return model

    def torch_model(self) -> Any:
        return gdl_torch.models.MODELS[self.model](**self.hparams)

    def data(self) -> tuple[Any, np.ndarray]:
        """Inputs, one or several, and targets."""
        rng = np.random.default_rng(0)
        return rng.random((self.batch, 1, 28, 28), dtype=np.float32), rng.integers(0, 10, self.batch)

    def sides(self) -> dict[str, Callable[[], None]]:
        """What is timed on each side, once."""
        model, loss, data = self.numpy_model(), getattr(nn, self.loss)(), self.data()
        own = numpy_step(model, loss, *data)
        own()
        layers = [layer for _, layer in model.named_modules()]
        shapes = [shape for layer in (*layers, loss) for shape in products_of(layer)]
        return {"numpy": own, "torch": self.torch_step(*data), "products": products_alone(shapes)}

    def torch_step(self, inputs: Any, targets: np.ndarray) -> Callable[[], None]:
        """The training step on the torch side."""
        there = torch.nn if hasattr(torch.nn, self.loss) else gdl_torch.nn
        return torch_step(self.torch_model(), getattr(there, self.loss)(), inputs, targets)


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

    loss: str = "BCEWithLogitsLoss"

    def data(self) -> tuple[Any, np.ndarray]:
        rng = np.random.default_rng(0)
        bags = [np.unique(words_as_in_a_text(rng, 275)) for _ in range(self.batch)]
        lengths = [len(bag) for bag in bags]
        offsets = np.cumsum([0, *lengths[:-1]])
        return (np.concatenate(bags), offsets), rng.integers(0, 2, self.batch).astype(np.float32)


@dataclass(frozen=True)
class BlankRow(Row):
    """A training step on blanks with two words to either side, and five words beside the right one."""

    loss: str = "BCEWithLogitsLoss"

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

    loss: str = "NTXentLoss"
    views: int = 2

    def numpy_model(self) -> Any:
        return TogetherEncoded(super().numpy_model())

    def torch_model(self) -> Any:
        return TorchTogetherEncoded(super().torch_model())

    def data(self) -> tuple[Any, Any]:
        rng = np.random.default_rng(0)
        return tuple(rng.random((self.batch, 1, 28, 28), dtype=np.float32) for _ in range(self.views)), ()


def words_as_in_a_text(rng: np.random.Generator, count: int) -> np.ndarray:
    """Ids of words: the k-th most frequent one in proportion to 1 / k (Zipf's law)."""
    weights = 1 / np.arange(1, WORDS + 1)
    return rng.choice(WORDS, count, p=weights / weights.sum())


@dataclass(frozen=True)
class WritingRow(Row):
    """A character that a language model writes."""

    batch: int = 1

    def sides(self) -> dict[str, Callable[[], None]]:
        model, other = self.numpy_model(), self.torch_model()
        layer = model.rnn
        width, hidden = layer.weight_hh_l0.data.shape
        written = {"numpy": generate(model, [0], sys.maxsize, rng=0)}
        written["torch"] = torch_generate(other, [0], sys.maxsize, rng=0)
        sides = {side: partial(next, symbols) for side, symbols in written.items()}
        return {**sides, "products": products_alone([(width, hidden, 1), (VOCABULARY, hidden, 1)])}


ROWS: dict[str, Row] = {
    "mlp": Row("book MLP 784-100-10", "MLP", {}, 100),
    "mlp-1024": Row(
        "MLP 784-1024-1024-10",
        "MLP",
        {"hidden_features": [1024, 1024], "activation": "relu", "dropout": 0.0},
        256,
    ),
    "cnn": Row("book CNN, 16 kernels 3×3", "CNN", {}, 128),
    "cnn-pooled": Row(
        "CNN 32-pool-64-pool-128-10",
        "CNN",
        {"channels": [32, 64], "pool_size": 2, "hidden_features": [128], "activation": "relu"},
        128,
    ),
    "rnn": TextRow("RNN 512, 16 steps", "RNNLanguageModel", {}, 32, steps=16),
    "rnn-projected": TextRow(
        "RNN 512, 16 steps, projected", "RNNLanguageModel", {}, 32, project_once=True, steps=16
    ),
    "lstm": TextRow("LSTM 512, 25 steps", "LSTMLanguageModel", {}, 32, steps=25),
    "lstm-projected": TextRow(
        "LSTM 512, 25 steps, projected", "LSTMLanguageModel", {}, 32, project_once=True, steps=25
    ),
    "sentiment": ReviewRow(
        "sentiment, 150 of 74,000 words", "SentimentClassifier", {"vocab_size": WORDS}, 32
    ),
    "blank": BlankRow("fill in the blank, 74,000 words", "FillInTheBlank", {"vocab_size": WORDS}, 256),
    "nt-xent": EncoderRow("NT-Xent 784-512-128, two views", "ContrastiveEncoder", {}, 256),
    "triplets": EncoderRow(
        "triplets 784-512-128", "ContrastiveEncoder", {}, 256, loss="TripletMarginLoss", views=3
    ),
    "rnn-write": WritingRow("RNN 512", "RNNLanguageModel", {}),
    "lstm-write": WritingRow("LSTM 512", "LSTMLanguageModel", {}),
}


@dataclass(frozen=True)
class Result:
    """Median seconds of one step."""

    row: str
    batch: int
    numpy: float
    torch: float
    products: float


def numpy_step(model: Any, loss: nn.Loss, inputs: Any, targets: Any) -> Callable[[], None]:
    """One training step on the NumPy side."""
    optimizer, objective = optim.SGD(model.parameters(), lr=0.01), objective_for(model, loss)
    targets = as_arguments(targets)
    backward: Any = objective.backward if isinstance(model, models.LanguageModel) else model.backward

    def step() -> None:
        optimizer.zero_grad()
        loss(*as_arguments(objective.predict(inputs)), *targets)
        backward(*as_arguments(loss.backward()))
        optimizer.step()

    return step


def torch_step(model: Any, loss: torch.nn.Module, inputs: Any, targets: Any) -> Callable[[], None]:
    """The same on the torch side, eager, without a Trainer around it."""
    model.train()
    x, y = ([torch.from_numpy(array) for array in as_arguments(part)] for part in (inputs, targets))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    reads_text = isinstance(model, LanguageModel)

    def step() -> None:
        optimizer.zero_grad()
        if reads_text:
            value = loss(model(*x)[0].flatten(0, 1), y[0].flatten())
        else:
            value = loss(*as_arguments(model(*x)), *y)
        value.backward()
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


def products_alone(shapes: Shapes) -> Callable[[], None]:
    """Matrix products of the given sizes, into memory that is there already."""
    factors = [
        (np.ones((m, k), np.float32), np.ones((k, n), np.float32), np.empty((m, n), np.float32))
        for m, k, n in shapes
    ]

    def step() -> None:
        for a, b, out in factors:
            np.matmul(a, b, out=out)

    return step


def measure(name: str, row: Row, seconds: float, interleave: bool) -> Result:
    """Medians over many turns of each side.

    A turn is a pause, three steps that do not count, and TURN seconds of steps; interleaved, a single step.
    """
    steps = row.sides()
    times: dict[str, list[float]] = {side: [] for side in steps}
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for side, step in steps.items():
            if not interleave:
                time.sleep(PAUSE)
                for _ in range(3):
                    step()
            now = time.perf_counter()
            stop = now if interleave else now + TURN
            while now <= stop:
                start = now
                step()
                now = time.perf_counter()
                times[side].append(now - start)
    return Result(name, row.batch, **{side: statistics.median(measured) for side, measured in times.items()})


def print_tables(console: Console, results: list[Result]) -> None:
    writing = [r for r in results if isinstance(ROWS[r.row], WritingRow)]
    training = [r for r in results if r not in writing]
    if training:
        console.print(training_table(training))
    if writing:
        console.print(writing_table(writing))


def training_table(results: list[Result]) -> Table:
    shown = Table(title="One training step (ms; a ratio below 1 is faster than torch)")
    shown.add_column("step", no_wrap=True)
    for column in ("batch", "NumPy", "torch", "products", "NumPy / torch", "products / torch"):
        shown.add_column(column, justify="right")
    for r in results:
        shown.add_row(
            ROWS[r.row].about,
            str(r.batch),
            *(f"{1e3 * seconds:.2f}" for seconds in (r.numpy, r.torch, r.products)),
            *(f"{seconds / r.torch:.2f}" for seconds in (r.numpy, r.products)),
        )
    return shown


def writing_table(results: list[Result]) -> Table:
    shown = Table(title="Writing, one character after the other (characters a second)")
    shown.add_column("model", no_wrap=True)
    for column in ("NumPy", "torch", "products"):
        shown.add_column(column, justify="right")
    for r in results:
        shown.add_row(
            ROWS[r.row].about, *(f"{1 / seconds:,.0f}" for seconds in (r.numpy, r.torch, r.products))
        )
    return shown


def main(
    rows: Annotated[
        list[str] | None, typer.Argument(help=f"of {', '.join(ROWS)}; all if none is given")
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="for each side")] = os.cpu_count() or 1,
    seconds: Annotated[float, typer.Option(min=0.1, help="of measuring, for each row")] = 10.0,
    interleave: Annotated[
        bool, typer.Option("--interleave", help="take turns after every step, without a pause")
    ] = False,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="write the seconds to this file too")
    ] = None,
) -> None:
    """Time one training step: NumPy, torch eager, and the step's matrix products alone."""
    # OPENBLAS_CORETYPE would force other kernels than those made for this processor.
    environment = {k: v for k, v in os.environ.items() if k != "OPENBLAS_CORETYPE"}
    if interleave:
        environment["OMP_WAIT_POLICY"] = "passive"  # or each side would wait for the other's spinning threads
    if environment != os.environ:
        os.execve(sys.executable, [sys.executable, *sys.argv], environment)
    try:
        chosen = {name: lookup("benchmark row", name, ROWS) for name in rows or ROWS}
    except ValueError as error:
        typer.echo(f"benchmark.py: {error}", err=True)
        raise typer.Exit(2) from None
    torch.set_num_threads(threads)
    with threadpool_limits(threads):
        kernels = {
            info.get("architecture", "?") for info in threadpool_info() if info["internal_api"] == "openblas"
        }
        results = [
            measure(name, row, seconds, interleave)
            for name, row in tqdm(chosen.items(), unit="row", leave=False, disable=None)
        ]
    console = Console()
    if not console.is_terminal:
        console.width = max(console.width, 110)  # a file has no edge to wrap at
    print_tables(console, results)
    console.print(
        f"threads on each side: {threads}; "
        f"NumPy {np.__version__} with OpenBLAS's {', '.join(kernels) or 'no'} kernels, "
        f"torch {torch.__version__} ({torch.backends.cpu.get_cpu_capability()})"
    )
    if json_file:
        with replacing(json_file) as path:
            path.write_text(json.dumps([asdict(result) for result in results], indent=1) + "\n")


if __name__ == "__main__":
    typer.run(main)
