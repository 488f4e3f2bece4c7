r"""Are two modules the same function? For layers of your own, on the command line.

    python -m parity_tests.check my_layer.py:MyLayer torch.nn:Linear \
        --args '{"in_features": 3, "out_features": 4}' --input 5,3
    python -m parity_tests.check my_layer.py:Table torch.nn:Embedding --args '[10, 3]' --input 4,6:10
    python -m parity_tests.check my_net.py:Net net_for_torch.py:Net --input images.npy --names order

The first is a `gdl_numpy.nn.Module`, or a torch module too; the second, torch's, gets its weights. Both are
run forward and backward on the same data, and in training; what is compared, and within what, says
`parity_tests.harness.check`. What the report means: docs/your-own-layer.md.

Exit code: 0 when they agree; 1 when they do not, with the first disagreement named; 2 for bad usage.
"""

from __future__ import annotations

if __name__ == "__main__":
    from gdl_numpy.interrupts import exit_on_ctrl_c

    exit_on_ctrl_c()

import json
import re
import sys
import traceback
from contextlib import contextmanager
from enum import StrEnum
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import torch
import typer
from rich.text import Text

from gdl_numpy import nn
from gdl_numpy.command_line import Device, make_console, run, say
from gdl_numpy.files import check_json, write_json
from gdl_numpy.lookup import lookup
from gdl_numpy.tables import print_sections
from gdl_torch.device import accelerator
from parity_tests.harness import ParityReport, check
from parity_tests.harness.report import strict_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from parity_tests.harness import Comparison

app = typer.Typer(add_completion=False)


class DType(StrEnum):
    float32 = "float32"
    float64 = "float64"
    both = "both"
    bfloat16 = "bfloat16"
    tf32 = "tf32"


@app.command()
def compare(
    ours: Annotated[str, typer.Argument(help="Yours: FILE.py:NAME or MODULE:NAME, a class or a function.")],
    theirs: Annotated[str, typer.Argument(help="Torch's, named in the same way.")],
    args: Annotated[str, typer.Option(help="What both are made with: a JSON object, or a list.")] = "{}",
    torch_args: Annotated[
        str | None, typer.Option(help="What the second is made with, where that is something else.")
    ] = None,
    inputs: Annotated[
        list[str] | None,
        typer.Option(
            "--input",
            help="An argument of forward: a shape, 5,3, of normal numbers; 5,3:10 of ids below 10; or a .npy "
            "file. Once for each argument.",
        ),
    ] = None,
    targets: Annotated[
        list[str] | None,
        typer.Option("--target", help="The same of what the loss takes besides, which gets no gradient."),
    ] = None,
    loss: Annotated[
        str | None, typer.Option(help="Train by this loss of both sides, CrossEntropyLoss for example.")
    ] = None,
    names: Annotated[
        str | None,
        typer.Option(
            help='What parts of the first are called in the second, {"fc": "layers.0"}, null where it has '
            "none; or: order."
        ),
    ] = None,
    steps: Annotated[int, typer.Option(min=0, help="Training steps.")] = 2,
    dtype: Annotated[
        DType,
        typer.Option(
            metavar="DTYPE",
            help="float32, float64, or both of them; bfloat16 or tf32, in which torch alone computes.",
        ),
    ] = DType.both,
    device: Annotated[
        Device, typer.Option(help="Where torch computes; auto: on CUDA if there.")
    ] = Device.cpu,
    eval_mode: Annotated[bool, typer.Option("--eval", help="Compare in eval mode alone.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Decides the data, and torch's initial weights.")] = 0,
    json_file: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE", dir_okay=False, help="Write all that was compared to FILE."),
    ] = None,
) -> int:
    """Compare a module of yours with one of torch's: the same weights and the same data through both."""
    check_json(json_file)
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    given = tuple(array_of("--input", text, rng) for text in inputs or [])
    compared = tuple(array_of("--target", text, rng) for text in targets or [])
    first = built(ours, args)
    second = built(theirs, args if torch_args is None else torch_args)
    if not isinstance(first, nn.Module | torch.nn.Module):
        raise ValueError(f"{ours} makes {type(first).__name__}, which is no gdl_numpy.nn.Module")
    if not isinstance(second, torch.nn.Module):
        raise ValueError(f"{theirs} makes {type(second).__name__}, which is no torch.nn.Module")
    if dtype is DType.tf32 and accelerator(device) != "cuda":
        raise ValueError("--dtype tf32 is for --device cuda: nothing here computes in it")
    if eval_mode:
        first.eval(), second.eval()
    reports = []
    for name in ("float32", "float64") if dtype is DType.both else (dtype.value,):
        with told_where(ours, theirs):
            reports.append(
                check(
                    first,
                    second,
                    given,
                    compared if len(compared) != 1 else compared[0],
                    losses(loss, isinstance(first, torch.nn.Module)) if loss else None,
                    steps=steps,
                    dtype=name,
                    device=accelerator(device),
                    rng=seed,
                    names=names_of(names),
                )
            )
    print_reports(reports)
    if json_file:
        write_json(json_file, strict_json([report.to_json() for report in reports]))
    return int(not all(report.ok for report in reports))


def array_of(option: str, text: str, rng: np.random.Generator) -> np.ndarray:
    """The array that a word of the command line asks for."""
    if text.endswith(".npy"):
        try:
            loaded: np.ndarray = np.load(text, allow_pickle=False)
        except EOFError:
            raise ValueError(f"{option} {text}: the file is empty") from None
        return loaded
    found = re.fullmatch(r"(\d+(?:,\d+)*)(?::(\d+))?", text)
    if not found:
        raise ValueError(
            f"{option} expects a shape such as 5,3, or of ids below 10 5,3:10, or a .npy file, got {text!r}"
        )
    shape = tuple(map(int, found[1].split(",")))
    if found[2] is None:
        return rng.standard_normal(shape)
    if not int(found[2]):
        raise ValueError(f"{option} {text}: there are no ids below 0")
    return rng.integers(int(found[2]), size=shape)


def built(reference: str, arguments: str) -> Any:
    """What the class or function makes of its arguments.

    Args:
        reference: FILE.py:NAME or MODULE:NAME.
        arguments: in JSON, by name or in their places.

    Raises:
        ValueError: there is no such thing, it does not take these arguments, or they are no JSON.
    """
    where, _, name = reference.rpartition(":")
    if not where or not name:
        raise ValueError(f"expected FILE.py:NAME or MODULE:NAME, got {reference!r}")
    given = from_json("--args", arguments)
    if not isinstance(given, dict | list):
        raise ValueError(f"--args expects a JSON object or list, got {arguments}")
    with told_where(reference):
        found = vars(from_file(Path(where)) if where.endswith(".py") else import_module(where))
    public = {key: value for key, value in found.items() if callable(value) and not key.startswith("_")}
    make = found.get(name) or lookup(f"name in {where}", name, public)
    with told_where(reference):
        return make(*given) if isinstance(given, list) else make(**given)


def from_file(path: Path) -> Any:
    """The module in a file. It finds other modules beside it."""
    if not path.is_file():
        raise ValueError(f"{path}: there is no such file")
    spec = spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ValueError(f"{path} cannot be imported")
    module = module_from_spec(spec)
    sys.path.insert(0, str(path.resolve().parent))
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


@contextmanager
def told_where(*references: str) -> Iterator[None]:
    """Says of an exception that user's code raises in one line what and where, instead of a traceback."""
    try:
        yield
    except (ValueError, MemoryError, KeyboardInterrupt):
        raise  # these say themselves what is wrong
    except (Exception, SystemExit) as error:
        files = {Path(reference.rpartition(":")[0]).resolve() for reference in references}
        frames = traceback.extract_tb(error.__traceback__)
        inside = [frame for frame in frames if Path(frame.filename).resolve() in files]
        place = f"{Path(inside[-1].filename).name}, line {inside[-1].lineno}" if inside else references[0]
        raise ValueError(f"{place}: {type(error).__name__}: {error}") from error


def from_json(option: str, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise ValueError(f"{option} expects JSON, got {text!r}: {error}") from None


def names_of(text: str | None) -> Any:
    """What `check` takes as `names`."""
    if text in (None, "order"):
        return text
    names = from_json("--names", str(text))
    if not isinstance(names, dict) or not all(isinstance(name, str | None) for name in names.values()):
        raise ValueError(f"--names expects names by names, or: order, got {text}")
    return names


def losses(name: str, both_torch: bool) -> Any:
    """The loss of each side."""
    of_torch = {key: value for key, value in vars(torch.nn).items() if key.endswith("Loss")}
    ours = {key: value for key, value in vars(nn).items() if key.endswith("Loss") and key in of_torch}
    first = lookup("loss", name, of_torch if both_torch else ours)
    return first(), lookup("loss", name, of_torch)()


def print_reports(reports: list[ParityReport]) -> None:
    """A table of the layers, with the worst of each; then what differs, or that nothing does."""
    console = make_console(100)
    print_sections(
        console, ["layer", "worst of it", "error", "bound", "of bound"], [section(r) for r in reports]
    )
    console.print()
    for report in reports:
        say(console, str(report), style="green" if report.ok else "red")


def section(report: ParityReport) -> tuple[Text, list[list[Text]]]:
    """The verdict, and a line for each layer in the order of computation: what is worst there."""
    verdict = ("agree", "green") if report.ok else ("differ", "bold red")
    by_layer: dict[str, list[Comparison]] = {}
    for comparison in report.comparisons:
        by_layer.setdefault(comparison.layer, []).append(comparison)
    lines = []
    for layer, found in by_layer.items():
        worst = next((c for c in found if not c.ok), None) or max(found, key=lambda c: c.ratio)
        what = f"{worst.side} {worst.tensor} {worst.run}".rstrip()
        numbers = [
            f"{worst.error:.1e}",
            f"{worst.bound:.1e}",
            f"{worst.ratio:.0%}" if worst.ok else "differs",
        ]
        if worst.fault:  # which the lines below the table say in full
            numbers = ["", "", "differs"]
        style = "" if worst.ok else "red"
        lines.append([Text(layer or "module"), *(Text(cell, style) for cell in (what, *numbers))])
    return Text.assemble(report.name, (f", {report.dtype} on {report.device}: ", "dim"), verdict), lines


def main(arguments: list[str]) -> int:
    """Runs the command line; returns the exit code."""
    return run(app, "parity_tests.check", arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
