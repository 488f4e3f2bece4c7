"""Run every chapter and print one line for each: how many of the book's published values come out, and in how
many places the harness finds a printed rule that is not the gradient (errata; docs/errata.md).

    python scripts/chapters/run_all.py                  (or make chapters)
    python scripts/chapters/run_all.py --passes 2       quickly

A chapter whose data set is not there is left out, and its line says so. Exit code 1 if a chapter fails or
misses a published value.
"""

from __future__ import annotations

if __name__ == "__main__":
    from gdl_numpy.interrupts import exit_on_ctrl_c

    exit_on_ctrl_c()

import inspect
import json
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import typer
from rich.live import Live
from rich.table import Column, Table
from rich.text import Text

from gdl_numpy.chapter import SIDES, Chapter
from gdl_numpy.command_line import make_console, run
from gdl_numpy.tables import fitted

SCRIPTS = sorted(Path(__file__).parent.glob("ch[0-9][0-9]_*.py"))


def run_chapter(script: Path, arguments: list[str]) -> tuple[dict[str, Any], str]:
    """Returns what a script wrote of itself, and what it complained about where it failed."""
    with TemporaryDirectory() as folder:
        summary = Path(folder) / "summary.json"
        command = [sys.executable, str(script), *arguments, "--json", str(summary)]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        row = json.loads(summary.read_text()) if summary.exists() else {}
    wrote = row and (result.returncode == 0 or any(row[side][0] < row[side][1] for side in SIDES))
    complaint = (result.stderr.strip() or f"exit code {result.returncode}").splitlines()[-1]
    return row, "" if wrote else complaint


def line_of(script: Path, row: dict[str, Any], failure: str, seconds: float) -> list[str | Text]:
    """The cells of a chapter's line."""
    number, title = (
        (str(row["chapter"]), row["title"]) if row else (script.stem[2:4].lstrip("0"), script.name)
    )
    if failure or row["skipped"]:
        said = (f"failed: {failure}", "red") if failure else (f"skipped: needs {row['skipped']}", "yellow")
        return [number, Text.assemble(title, "\n", said), "", "", "", f"{seconds:.1f}"]
    counts = []
    for side in SIDES:
        reproduced, reached = row[side]
        colour = "red" if reproduced < reached else "green"
        counts.append(Text(f"{reproduced} of {reached}", colour) if reached else Text("–"))
    later = f"\nonly with --full: {', '.join(row['not_run'])}" if row["not_run"] else ""
    errata = str(len(row["errata"]) or "–")
    return [number, Text.assemble(title, (later, "dim")), *counts, errata, f"{seconds:.1f}"]


def run_all(arguments: list[str]) -> int:
    """Runs every chapter with these arguments, and prints the table; returns the exit code."""
    table = Table(
        Column("", justify="right"),
        Column("chapter", min_width=24),
        *(Column(side, justify="right") for side in SIDES),
        Column("errata", justify="right"),
        Column("seconds", justify="right"),
        title="Published values reproduced",
    )
    console = make_console(100)
    ok = True
    with Live(fitted(console, table), console=console) as live:
        for script in SCRIPTS:
            start = time.perf_counter()
            row, failure = run_chapter(script, arguments)
            table.add_row(*line_of(script, row, failure, time.perf_counter() - start))
            live.update(fitted(console, table))
            ok = ok and not failure and all(row[side][0] == row[side][1] for side in SIDES)
    if not console.is_terminal:  # where a live table ends without an end of line
        console.print()
    return 0 if ok else 1


def main(arguments: list[str]) -> int:
    """Runs the command line; returns the exit code."""

    def command(**_: Any) -> int:
        return run_all(arguments)

    # A chapter's own options, so that what it would refuse is refused before the first one is started.
    own = inspect.signature(Chapter.flags, eval_str=True).parameters.items()
    flags = [flag for name, flag in own if name not in ("self", "summary")]
    command.__signature__ = inspect.Signature(flags)  # type: ignore[attr-defined]
    app = typer.Typer(add_completion=False)
    app.command(help="Run every chapter, each with the options that are given here.")(command)
    return run(app, "run_all.py", arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
