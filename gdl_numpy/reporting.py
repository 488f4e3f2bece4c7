"""What a training run tells people: a table and a line at its end, how to go on after Ctrl-C, and a plot."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING

import numpy as np
from rich.table import Table

from gdl_numpy.command_line import PlainConsole, make_console, say
from gdl_numpy.data import IGNORED
from gdl_numpy.messages import counted
from gdl_numpy.run_folder import CHECKPOINTS, FILES
from gdl_numpy.tables import print_table

if TYPE_CHECKING:
    from pathlib import Path

    from gdl_numpy.data import DataModule
    from gdl_numpy.history import History
    from gdl_numpy.tasks import Metrics


def report(
    history: History, test: Metrics, data: DataModule, title: str, out: Path, keeps_best: bool
) -> None:
    """Prints the results and draws the history.

    Args:
        history: what happened.
        test: how good the model is on the test examples.
        data: what it learned from.
        title: what was trained.
        out: the folder of the run.
        keeps_best: whether the model is that of the epoch with the lowest validation loss, not of the last.
    """
    epoch = (keeps_best and history.best_epoch) or len(history)
    row = history.rows[epoch - 1] if epoch else {}
    console = make_console()
    print_table(console, table_of(row, test, data.unit, title))
    unit, test_examples = "example", data.test.describe().get("examples", 0)
    if test.per_token:
        unit = data.unit
        test_examples = sum(np.count_nonzero(targets != IGNORED) for _, targets in data.test)
    result = f"test {test.summary(unit)}"
    if test.decisive == "loss" and "validation_loss" in row:
        result = f"validation loss {row['validation_loss']:.4f}, {result}"
    seconds = sum(row["seconds"] for row in history.rows)
    after = f"after {counted(len(history), 'epoch')} in {seconds:.1f} s"
    draw(history, out, title, type(test))
    say(console, f"saved in {out}: {', '.join(name for name in FILES if (out / name).exists())}", out)
    say(console, f"{title}: {result} on {counted(test_examples, unit)}, {after}")
    if test.warning is not None:
        say(console, f"warning: {test.warning}")


def table_of(row: dict[str, float], test: Metrics, unit: str, title: str) -> Table:
    """The metrics of an epoch, a row of the history, and those on the test data."""
    metrics = test.columns
    heads = {"bits_per_token": f"bits per\n{unit}"}
    table = Table("", title=title, title_justify="left")
    for name in metrics:
        table.add_column(heads.get(name, name), justify="right")
    for part in ("train", "validation"):
        if f"{part}_loss" in row:
            values = [f"{row[f'{part}_{name}']:{form}}" for name, form in metrics.items()]
            table.add_row(f"{part}, epoch {row['epoch']}", *values)
    table.add_row("test", *(f"{test.row()[name]:{form}}" for name, form in metrics.items()), style="bold")
    return table


def say_how_to_go_on(out: Path, saved: History) -> None:
    """Says, on stderr, what of a run that did not come to its end is saved, and the command that goes on.

    Args:
        out: the folder of the run.
        saved: what its checkpoint knows.
    """
    command = [word for word in sys.orig_argv if word not in ("--resume", "--overwrite")]
    if any((out / name).exists() for name in CHECKPOINTS.values()):
        command.append("--resume")
    console = PlainConsole(stderr=True)
    say(console, f"\nInterrupted; whole epochs saved in {out}: {len(saved)}. To go on:", out)
    console.print(f"  {shlex.join(command)}", soft_wrap=True)


def draw(history: History, out: Path, title: str, metrics: type[Metrics]) -> None:
    """Draws the history, if there is any yet."""
    if len(history):
        history.plot(out / "history.png", title, metrics.panels)
