"""How long one training step takes: NumPy against torch eager, and against its own matrix products alone.

    python scripts/benchmark.py [ROW …] [--threads 2] [--seconds 15] [--interleave] [--json FILE]

A step is forward, loss, backward and SGD, in float32, on the CPU, on both sides with the same number of
threads. The products are the floor: no NumPy code can be faster than them. Each contender is a process of its
own, and while one has its turn the others sleep; a ratio is the median of the ratios of single rounds of
turns. With --interleave, all are in one process and take turns after every step.

The rows called "projected once" are the same model as above them: the NumPy side multiplies the vocabulary's
embeddings once instead of looking each up first, as training does. Torch's dropout on the CPU takes longer
than the book CNN's whole step: the rows with dropout compare random number generators more than steps.

The rows called "write" time no training: a token drawn from a language model, after the one before. Those
called "autograd" time what recording costs: the step on chapter 13's framework, by hand, and by torch. Those
called "lightning" time what Lightning adds to a step: the plain loop, a bare Trainer around it, and
`gdl_torch` as its command lines run it.
"""

from __future__ import annotations

if __name__ == "__main__":
    from gdl_numpy.interrupts import exit_on_ctrl_c

    exit_on_ctrl_c()

import os
import statistics
import sys
import time
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path  # noqa: TC003 (typer reads the annotations)
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import torch
import typer
from rich.table import Table
from threadpoolctl import threadpool_info, threadpool_limits

from gdl_numpy.command_line import make_console, run
from gdl_numpy.files import check_json, write_json
from gdl_numpy.lookup import lookup
from gdl_numpy.progress import Bar
from gdl_numpy.tables import print_table
from parity_tests.benchmark.framework import FRAMEWORK_ROWS
from parity_tests.benchmark.lightning import TRAINER_ROWS, TrainerRow
from parity_tests.benchmark.rows import ROWS as STEP_ROWS
from parity_tests.benchmark.rows import Row
from parity_tests.benchmark.turns import interleave, side_by_side

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from parity_tests.benchmark.turns import Run

# Variables that would force other kernels on NumPy's OpenBLAS than those made for this processor.
FORCED = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
ROWS: dict[str, Row | TrainerRow] = {**STEP_ROWS, **FRAMEWORK_ROWS, **TRAINER_ROWS}
INTERLEAVED = 20  # steps of each side in a round
app = typer.Typer(add_completion=False)


@dataclass(frozen=True)
class Result:
    """What was measured of a row: for each side, the median time of a step in each round, in seconds."""

    row: str
    rounds: list[dict[str, float]]

    def seconds(self, side: str) -> float:
        return statistics.median(medians[side] for medians in self.rounds)

    def ratio(self, side: str, other: str) -> float:
        return statistics.median(medians[side] / medians[other] for medians in self.rounds)

    def to_json(self) -> dict[str, Any]:
        sides = ROWS[self.row].sides
        return {
            "row": self.row,
            "batch": ROWS[self.row].batch,
            **{side: self.seconds(side) for side in sides},
        }


def contender(row: str, side: str, threads: int) -> Run:
    """What one side's process does."""
    torch.set_num_threads(threads)
    threadpool_limits(threads)
    return ROWS[row].contender(side)


def measure(name: str, threads: int, seconds: float, interleaved: bool) -> Result:
    """Rounds of turns, for so many seconds."""
    row, rounds = ROWS[name], []
    if interleaved and isinstance(row, Row):
        measured = interleave({side: getattr(row, side)() for side in row.sides}, INTERLEAVED)
    else:
        measured = side_by_side({side: partial(contender, name, side, threads) for side in row.sides})
    stop = time.perf_counter() + seconds
    with closing(measured):  # here, where Ctrl-C while it ends its processes can be dealt with
        for medians in measured:
            rounds.append(medians)
            if time.perf_counter() > stop:
                break
    return Result(name, rounds)


def step_table(
    title: str, heads: Sequence[str], ratios: Sequence[tuple[str, str]], results: list[Result]
) -> Table:
    """Milliseconds of each side, and ratios of two sides; `heads` are the columns' from the sides on."""
    shown = Table(title=title)
    shown.add_column("step", min_width=16)
    for column in ("batch", *heads):
        shown.add_column(column, justify="right")
    for r in results:
        shown.add_row(
            ROWS[r.row].about,
            str(ROWS[r.row].batch),
            *(f"{1e3 * r.seconds(side):.2f}" for side in ROWS[r.row].sides),
            *(f"{r.ratio(side, other):.2f}" for side, other in ratios),
        )
    return shown


def writing_table(results: list[Result]) -> Table:
    shown = Table(title="Writing, one character after the other (characters a second)")
    shown.add_column("model")
    for column in ("NumPy", "torch", "products"):
        shown.add_column(column, justify="right")
    for r in results:
        shown.add_row(ROWS[r.row].about, *(f"{1 / r.seconds(side):,.0f}" for side in ROWS[r.row].sides))
    return shown


# By the kind of their rows.
TABLES: dict[str, Callable[[list[Result]], Table]] = {
    "training": partial(
        step_table,
        "One training step (ms; a ratio below 1 is faster than torch)",
        ("NumPy", "torch", "products", "NumPy\n/ torch", "products\n/ torch"),
        (("numpy", "torch"), ("products", "torch")),
    ),
    "writing": writing_table,
    "framework": partial(
        step_table,
        "A training step on chapter 13's framework (ms)",
        ("autograd", "by hand", "torch", "autograd\n/ by hand"),
        (("autograd", "numpy"),),
    ),
    "lightning": partial(
        step_table,
        "What Lightning adds to a training step of torch's (ms)",
        ("plain\nloop", "bare\nTrainer", "gdl_torch", "gdl_torch\n/ bare"),
        (("ours", "bare"),),
    ),
}


@app.command()
def main(
    rows: Annotated[
        list[str] | None, typer.Argument(metavar="ROW", help=f"{', '.join(ROWS)}; none for all.")
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="For each side.")] = os.cpu_count() or 1,
    seconds: Annotated[float, typer.Option(min=0.1, help="Of measuring, for each row.")] = 15.0,
    interleaved: Annotated[
        bool, typer.Option("--interleave", help="One process, and turns of a single step, without pauses.")
    ] = False,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the seconds to this file too.")
    ] = None,
) -> None:
    """Time one training step: NumPy, torch eager, and the step's matrix products alone."""
    # Before any library is loaded, in this process and in those of the contenders.
    environment = {name: value for name, value in os.environ.items() if name not in FORCED}
    if interleaved:
        environment["OMP_WAIT_POLICY"] = "passive"  # or each side would wait for the other's spinning threads
    if environment != os.environ:
        os.execve(sys.executable, [sys.executable, *sys.argv], environment)
    check_json(json_file)
    chosen = [lookup("benchmark row", name, {name: name for name in ROWS}) for name in rows or ROWS]
    torch.set_num_threads(threads)
    with threadpool_limits(threads), Bar(chosen, unit="row", leave=False, disable=None) as bar:
        results = [measure(name, threads, seconds, interleaved) for name in bar]
    console = make_console(110)
    for kind, table in TABLES.items():
        if of_kind := [result for result in results if ROWS[result.row].kind == kind]:
            print_table(console, table(of_kind))
    for r in results:
        if unit := ROWS[r.row].unit:
            rates = (f"{side} {ROWS[r.row].batch / r.seconds(side):,.0f}" for side in ("numpy", "torch"))
            console.print(f"{ROWS[r.row].about}: {unit} a second: {', '.join(rates)}")
    kernels = {
        info.get("architecture", "?") for info in threadpool_info() if info["internal_api"] == "openblas"
    }
    console.print(
        f"threads on each side: {threads}; "
        f"NumPy {np.__version__} with OpenBLAS's {', '.join(kernels) or 'no'} kernels, "
        f"torch {torch.__version__} ({torch.backends.cpu.get_cpu_capability()})"
    )
    if json_file:
        write_json(json_file, [result.to_json() for result in results])


if __name__ == "__main__":
    sys.exit(run(app, "benchmark.py", sys.argv[1:]))
