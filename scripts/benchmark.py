"""How long one training step takes: NumPy against torch eager, and against its own matrix products alone.

    python scripts/benchmark.py [ROW …] [--threads 2] [--seconds 10] [--interleave] [--json FILE]

A step is forward, loss, backward and SGD, in float32, on the CPU, on both sides with the same number of
threads. The products are the floor: no NumPy code can be faster than them. All three are measured in one
process, in turns.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from dataclasses import asdict, dataclass
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
from gdl_numpy import models, nn, optim
from gdl_numpy.files import replacing
from gdl_numpy.lookup import lookup

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# Seconds of a turn, and between turns. The threads of OpenBLAS and OpenMP go on spinning for a while after
# their work, and would take the cores of whoever comes next: torch's step takes twice as long right after
# one of NumPy's.
TURN, PAUSE = 0.4, 0.2


@dataclass(frozen=True)
class Row:
    """A model at a size."""

    about: str
    model: str
    hparams: Mapping[str, Any]
    batch: int


ROWS = {
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
}


@dataclass(frozen=True)
class Result:
    """Median seconds of one step."""

    row: str
    batch: int
    numpy: float
    torch: float
    products: float


def numpy_step(
    row: Row, inputs: np.ndarray, targets: np.ndarray
) -> tuple[Callable[[], None], list[tuple[int, int, int]]]:
    """One training step on the NumPy side, and the (m, k, n) of each of its matrix products."""
    model = models.MODELS[row.model](**row.hparams, rng=0).requires_input_grad_(False)
    loss, optimizer = nn.CrossEntropyLoss(), optim.SGD(model.parameters(), lr=0.01)

    def step() -> None:
        optimizer.zero_grad()
        loss(model(inputs), targets)
        model.backward(loss.backward())
        optimizer.step()

    step()
    shapes = []
    for _, layer in model.named_modules():
        if isinstance(layer, nn.Linear):
            rows, inside, outside = len(inputs), layer.in_features, layer.out_features
            shapes += [(rows, inside, outside), (outside, rows, inside)]
            shapes += [(rows, outside, inside)] if layer.needs_input_grad else []
        elif isinstance(layer, nn.Conv2d):
            height, width = (
                s + 2 * p - k + 1
                for s, p, k in zip(layer.saved[1][2:], layer.padding, layer.kernel_size, strict=True)
            )
            windows, positions = len(inputs) * height * width, int(np.prod(layer.kernel_size))
            pixels = positions * layer.in_channels
            shapes += [(windows, pixels, layer.out_channels), (pixels, windows, layer.out_channels)]
            if layer.needs_input_grad:
                shapes += [(windows, layer.out_channels, layer.in_channels)] * positions
    return step, shapes


def torch_step(row: Row, inputs: np.ndarray, targets: np.ndarray) -> Callable[[], None]:
    """The same on the torch side, eager, without a Trainer around it."""
    model = gdl_torch.models.MODELS[row.model](**row.hparams).train()
    x, y = torch.from_numpy(inputs), torch.from_numpy(targets)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)

    def step() -> None:
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(x), y).backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return step


def products_alone(shapes: list[tuple[int, int, int]]) -> Callable[[], None]:
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
    rng = np.random.default_rng(0)
    inputs = rng.random((row.batch, 1, 28, 28), dtype=np.float32)
    targets = rng.integers(0, 10, row.batch)
    ours, shapes = numpy_step(row, inputs, targets)
    steps = {"numpy": ours, "torch": torch_step(row, inputs, targets), "products": products_alone(shapes)}
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


def table(results: list[Result]) -> Table:
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
    console.print(table(results))
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
