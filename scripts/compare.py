"""The main job: are the two sides the same? The same weights and the same batches go through both.

    python scripts/compare.py                            every model, on its default data
    python scripts/compare.py cnn --data mnist --steps 50 --plot curves
    python scripts/compare.py LSTMLanguageModel --book --steps 200 --dtype float64

Forward, backward and a short training are held against NumPy in float64. Each error stands beside its bound:
how far rounding alone could take it. For what is compared, and how the bounds come about, see
`parity_tests.harness.check`.

Exit code: 0 when all agree; 1 when something does not, with the first disagreement named; 2 for bad usage.
"""

from __future__ import annotations

if __name__ == "__main__":
    from gdl_numpy.interrupts import exit_on_ctrl_c

    exit_on_ctrl_c()

import re
import sys
import time
from dataclasses import asdict, dataclass
from enum import StrEnum
from itertools import islice
from operator import attrgetter
from pathlib import Path  # noqa: TC003 (typer reads the annotations)
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import torch
import typer
from rich.text import Text

from gdl_numpy.checkpoint import describe_model
from gdl_numpy.command_line import Device, make_console, run, say
from gdl_numpy.data import DATASETS, load
from gdl_numpy.files import check_folder, check_json, naming, write_json
from gdl_numpy.lookup import lookup
from gdl_numpy.messages import counted
from gdl_numpy.progress import Bar
from gdl_numpy.tables import print_sections
from gdl_torch.device import accelerator, one_thread
from parity_tests.benchmark.turns import alternate
from parity_tests.harness import Comparison, ParityReport
from parity_tests.harness.curves import losses, plot
from parity_tests.harness.model_cases import MODELS
from parity_tests.harness.pair import Pair
from parity_tests.harness.report import strict_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from rich.console import Console

# Timing: each side has so many turns, of so many seconds, with a pause before each.
ROUNDS, TURN, PAUSE = 5, 0.15, 0.15
NAMES = {"cpu": "torch", "cuda": "CUDA"}  # of torch's devices, in the table
app = typer.Typer(add_completion=False)


class DType(StrEnum):
    float32 = "float32"
    float64 = "float64"
    both = "both"


@dataclass(frozen=True, eq=False)
class Row:
    """What was found about a pair in one dtype.

    Attributes:
        reports: one for each device.
        milliseconds: of a training step, for "NumPy" and each device; none where the sides disagree.
    """

    pair: Pair
    dtype: str
    reports: list[ParityReport]
    milliseconds: dict[str, float]

    @property
    def ok(self) -> bool:
        return all(report.ok for report in self.reports)

    def final_losses(self) -> dict[str, float]:
        """The loss of the last training step, for "NumPy" and each device; none where there was none."""
        last = {"NumPy": losses(self.reports[0])["numpy"][-1:]}
        last |= {report.device: losses(report)["torch"][-1:] for report in self.reports}
        return {side: values[0] for side, values in last.items() if values}

    def to_json(self) -> dict[str, Any]:
        return {
            "title": self.pair.title,
            **describe_model(self.pair.numpy_module),
            "data": self.pair.data,
            "batch_size": self.pair.batch_size,
            "dtype": self.dtype,
            "ok": self.ok,
            "milliseconds": self.milliseconds,
            "reports": [
                {
                    "first_disagreement": None if report.ok else str(report.first_disagreement),
                    "worst": {name: asdict(found) for name, found in worst(report).items()},
                    "losses": losses(report),
                    **report.to_json(),
                }
                for report in self.reports
            ],
        }


@app.command()
def compare(
    models: Annotated[
        list[str] | None, typer.Argument(metavar="MODEL", help=f"{', '.join(MODELS)}; none for all.")
    ] = None,
    data: Annotated[
        str | None, typer.Option(help=f"Data set: {', '.join(DATASETS)}; else each model's own.")
    ] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="Its folder; else $GDL_DATA, else the user's cache.")
    ] = None,
    device: Annotated[
        Device, typer.Option(help="Where torch computes; auto: on the CPU, and CUDA if there.")
    ] = Device.auto,
    dtype: Annotated[DType, typer.Option(help="What both sides compute in.")] = DType.both,
    steps: Annotated[int, typer.Option(min=1, help="Training steps, each on a batch of its own.")] = 20,
    batch_size: Annotated[
        int | None,
        typer.Option(min=1, help="Examples in a step; else 100, or 16 streams of text."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Decides weights, batches and dropout.")] = 0,
    book: Annotated[
        bool, typer.Option("--book", help="At the book's sizes: language models of 512 units, for minutes.")
    ] = False,
    json_file: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE", dir_okay=False, help="Write all that was compared to FILE."),
    ] = None,
    plot_dir: Annotated[
        Path | None,
        typer.Option(
            "--plot", metavar="DIR", file_okay=False, help="Draw the losses, one PNG a model, in DIR."
        ),
    ] = None,
) -> int:
    """Compare the NumPy and the torch side of models: the same weights and the same batches through both."""
    started = time.perf_counter()
    cases = {case.name: case for case in (lookup("model", name, MODELS) for name in models or MODELS)}
    devices = devices_for(device)
    dtypes = ["float32", "float64"] if dtype is DType.both else [dtype.value]
    check_json(json_file)
    check_folder("--plot", plot_dir)
    dataset = load(data, data_dir) if data else None
    left_out: list[str] = []
    if dataset and not models:
        left_out = [name for name, case in cases.items() if not case.fits(dataset)]
    pairs = [
        pair
        for name, case in cases.items()
        if name not in left_out
        for pair in Pair.all_of(case, dataset or load(case.data, data_dir), steps, batch_size, seed, book)
    ]
    total = len(pairs) * len(dtypes) * (len(devices) * steps + ROUNDS)
    with Bar(total=total, unit="step", leave=False, dynamic_ncols=True, disable=None) as bar:
        rows = [compare_pair(pair, dtype, devices, bar) for pair in pairs for dtype in dtypes]

    console = make_console(110)
    print_errors(console, rows, steps)
    if left_out:
        say(console, f"Not for {data}, and left out: {', '.join(left_out)}.")
    print_verdict(console, rows, time.perf_counter() - started)
    if json_file:
        settings = {"devices": devices, "steps": steps, "seed": seed, "book": book}
        write_json(json_file, report_of(rows, settings))
    if plot_dir:
        for path in draw(rows, plot_dir, steps):
            say(console, f"losses drawn in {path}", path)
    return int(not all(row.ok for row in rows))


def devices_for(device: Device) -> list[str]:
    """The torch devices to compare on.

    Raises:
        ValueError: CUDA is asked for where there is none.
    """
    if device is Device.auto:
        return ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    return [accelerator(device)]


def compare_pair(pair: Pair, dtype: str, devices: Sequence[str], bar: Any) -> Row:
    bar.set_description(f"{pair.title} {dtype}")
    with one_thread():
        reports = [pair.check(dtype, device, lambda _: bar.update()) for device in devices]
    if not all(report.ok for report in reports):  # how fast wrong results come is of no interest
        bar.update(ROUNDS)
        return Row(pair, dtype, reports, {})
    sides = {"NumPy": pair.numpy_step(dtype)}
    sides |= {device: pair.torch_step(dtype, device) for device in devices}
    with np.errstate(over="ignore", invalid="ignore"):  # a training that diverges is reported elsewhere
        return Row(pair, dtype, reports, milliseconds(sides, bar))


def milliseconds(steps: Mapping[str, Callable[[], None]], bar: Any) -> dict[str, float]:
    """The median time of a step in each side's best turn: other work on the machine only ever slows it."""
    rounds = []
    for medians in islice(alternate(steps, TURN, PAUSE), ROUNDS):
        rounds.append(medians)
        bar.update()
    return {side: 1e3 * min(medians[side] for medians in rounds) for side in steps}


def worst(report: ParityReport, side: str | None = None) -> dict[str, Comparison]:
    """What each kind of error comes to: its first disagreement, else the error that is largest for its bound.

    Every comparison counts in some kind. Where all agree, "output" is that of the model, and "training" the
    parameters after the last step; of plain runs, not of those in eval mode and others.

    Args:
        report: of one device.
        side: "numpy" or "torch"; None for both.
    """
    groups: dict[str, list[Comparison]] = {"output": [], "loss": [], "gradient": [], "training": []}
    for comparison in report.comparisons:
        if side in (None, comparison.side):
            groups[kind(comparison)].append(comparison)
    found = {}
    for name, group in groups.items():
        shown = [c for c in group if not c.run and not (name == "training" and "of the model" in c.tensor)]
        if name in ("output", "training"):
            shown = [c for c in shown if c.layer == shown[-1].layer and c.tensor != "loss"]
        disagreement = next((c for c in group if not c.ok), None)
        if disagreement or shown:
            found[name] = disagreement or max(shown, key=lambda c: c.ratio)
    return found


def kind(comparison: Comparison) -> str:
    """The kind of errors in which a comparison counts."""
    if comparison.layer.startswith("step "):
        return "training"
    if comparison.tensor.startswith("grad"):
        return "gradient"
    return "loss" if comparison.layer == "loss" else "output"


def print_errors(console: Console, rows: Sequence[Row], steps: int) -> None:
    """For each model and dtype a line for each side: error and bound beside each other."""
    errors = ("output", "gradient", counted(steps, "step"))
    heads = ["\nside", *(head for error in errors for head in (f"{error:>8}\nerror", " \nbound"))]
    heads += [f"loss at\nstep {steps}", "ms a\nstep"]
    console.print("The same weights and the same batches through both sides\n", style="italic")
    print_sections(console, heads, [section(row) for row in rows])
    console.print(
        "\nError: the distance to NumPy in float64. Bound: how far rounding alone may be from it. "
        "Of all outputs, gradients and parameters, the error that is largest for its bound is shown.",
        style="dim",
    )


def section(row: Row) -> tuple[Text, list[list[Text]]]:
    """What was compared, with the verdict; and each side's name, errors, last loss and time."""
    verdict = ("agree", "green") if row.ok else ("differ", "bold red")
    heading = Text.assemble(row.pair.title, (f" on {row.pair.data}, {row.dtype}: ", "dim"), verdict)
    final = row.final_losses()
    sides = [("NumPy", "NumPy", row.reports[0], "numpy")]
    sides += [(NAMES[report.device], report.device, report, "torch") for report in row.reports]
    lines = []
    for name, key, report, side in sides:
        loss = f"{final[key]:.6f}" if key in final else "–"
        took = f"{row.milliseconds[key]:.2f}" if key in row.milliseconds else "–"
        lines.append([Text(name), *errors_of(report, side), Text(loss), Text(took)])
    return heading, lines


def errors_of(report: ParityReport, side: str) -> list[Text]:
    """Error and bound of each pair of columns; none where the side itself is the truth."""
    found = worst(report, side)
    output = max(
        (found[name] for name in ("output", "loss") if name in found), key=attrgetter("ratio"), default=None
    )
    cells = []
    for comparison in (output, found.get("gradient"), found.get("training")):
        if comparison is None:
            cells += [Text("–", "dim"), Text("–", "dim")]
        elif comparison.fault:
            cells += [Text("differs", "red"), Text("–", "dim")]
        else:
            error, bound = f"{comparison.error:.1e}", f"{comparison.bound:.1e}"
            is_within = comparison.ok
            cells += [
                Text(error, "green" if is_within else "red"),
                Text(bound, "dim") if is_within else Text(f"> {bound}", "red"),
            ]
    return cells


def print_verdict(console: Console, rows: Sequence[Row], seconds: float) -> None:
    """First what to look at, then the result in a line."""
    reports = [report for row in rows for report in row.reports]
    different = [report for report in reports if not report.ok]
    for report in reports:
        if report.first_nan or report.restarts or report.overflow or not report.ok:
            style = "yellow" if report.ok else "red"
            say(console, str(report), style=style)
    tensors = sum(len(report.comparisons) for report in reports)
    if different:
        found = f"{len(different)} of {counted(len(reports), 'comparison')} found a difference."
        say(console, found, style="bold red")
        return
    ratio = max((c.ratio for report in reports for c in report.comparisons), default=0)
    took = f" {counted(tensors, 'tensor')} in {seconds:.0f} s, "
    found = f"{took}and no error above {ratio:.0%} of what rounding explains."
    say(console, Text.assemble(("All agree:", "bold green"), found))


def draw(rows: Sequence[Row], directory: Path, steps: int) -> Iterator[Path]:
    """Draws one picture a model; gives their paths."""
    for pair in dict.fromkeys(row.pair for row in rows):
        reports = [r for row in rows if row.pair is pair for r in row.reports if losses(r)["torch"]]
        if reports:
            path = directory / re.sub("[ /]", "-", f"{pair.title}-{pair.data}.png".lower())
            how = f"{counted(steps, 'step')} of SGD, lr {pair.case.lr}, batches of {pair.batch_size}"
            title = f"{pair.title} on {pair.data}: {how}"
            with naming(path):
                plot(path, title, pair.unit, reports)
            yield path


def report_of(rows: Sequence[Row], settings: dict[str, Any]) -> Any:
    settings |= {"numpy": np.__version__, "torch": torch.__version__, "threads": torch.get_num_threads()}
    ok = all(row.ok for row in rows)
    return strict_json({"settings": settings, "ok": ok, "rows": [row.to_json() for row in rows]})


def main(arguments: list[str]) -> int:
    """Runs the command line; returns the exit code."""
    return run(app, "compare.py", arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
