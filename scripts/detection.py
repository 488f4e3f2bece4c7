"""How good is the harness's rule? Mistakes to find, right twins to leave alone, beside the rules of others.

    python scripts/detection.py rules                             a few minutes
    python scripts/detection.py random --count 20000 --seed 0     15 minutes: is any right twin accused?

`rules` asks `check` and five rules of others whether twins are the same: with each of the planted mistakes in
them, and without any, from ten numbers to a million. `check` is asked as anyone calls it, without training
steps; the others about each output and gradient of the twins and of each layer in them by itself. A rule has
found a mistake if it accuses the twins that have it, and not the same twins without it. All weights and data
come from fixed seeds: a second run says the same, but for what another processor rounds otherwise.

`random` draws configurations of layers and of composites, each from a seed of its own and in one dtype, and
runs `check`. Where it was stopped, --seed goes on.

Exit code: 0; 1 if `check` misses a mistake that another rule finds or accuses right twins; 2 for bad usage.
"""

from __future__ import annotations

if __name__ == "__main__":
    from gdl_numpy.interrupts import exit_on_ctrl_c

    exit_on_ctrl_c()

import sys
from dataclasses import dataclass, field
from pathlib import Path  # noqa: TC003 (typer reads the annotations)
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.table import Table

from gdl_numpy.command_line import make_console, run, say
from gdl_numpy.files import check_json, write_json
from gdl_numpy.messages import counted
from gdl_numpy.progress import Bar
from gdl_numpy.tables import print_table
from gdl_torch.device import one_thread
from parity_tests.detection.mistakes import MISTAKES
from parity_tests.detection.patients import one_image_at_a_time
from parity_tests.detection.random_cases import DTYPES, Configuration
from parity_tests.detection.rules import RULES
from parity_tests.detection.twins import TWINS
from parity_tests.detection.verdicts import OURS, accusers

if TYPE_CHECKING:
    from rich.console import Console

    from parity_tests.detection.twins import Twins

BAR: dict[str, Any] = {"leave": False, "dynamic_ncols": True, "disable": None}
app = typer.Typer(add_completion=False, no_args_is_help=True)


@dataclass
class Tally:
    """Who found and who accused what in one dtype.

    Attributes:
        finders: of each mistake, the rules that tell it from the right twins.
        accusers: of each pair of right twins, the rules that call them different.
    """

    dtype: str
    finders: dict[str, set[str]] = field(default_factory=dict)
    accusers: dict[str, set[str]] = field(default_factory=dict)

    def asks(self, rule: str) -> bool:
        return rule == OURS or self.dtype in RULES[rule][1]

    def found(self, rule: str) -> list[str]:
        return [name for name, rules in self.finders.items() if rule in rules]

    def accused(self, rule: str) -> list[str]:
        return [name for name, rules in self.accusers.items() if rule in rules]

    def missed(self) -> list[str]:
        """The mistakes that `check` does not find, and another rule does."""
        return [name for name, rules in self.finders.items() if rules and OURS not in rules]

    def to_json(self) -> dict[str, Any]:
        return {
            "dtype": self.dtype,
            "finders": {name: sorted(rules) for name, rules in self.finders.items()},
            "accusers": {name: sorted(rules) for name, rules in self.accusers.items()},
        }


def tally(dtype: str, bar: Any) -> Tally:
    """Every rule's verdict on every twin."""
    result = Tally(dtype)

    def judge(right: Twins) -> set[str]:
        if right.name not in result.accusers:
            result.accusers[right.name] = accusers(right.make(), dtype)
        return result.accusers[right.name]

    for right in TWINS:
        judge(right)
        bar.update()
    with one_image_at_a_time():
        for mistake in MISTAKES:
            if dtype in mistake.dtypes:
                result.finders[str(mistake)] = accusers(mistake.wrong(), dtype) - judge(mistake.right)
            bar.update()
    return result


def table(tallies: list[Tally]) -> Table:
    shown = Table(title="Mistakes that each rule finds, and right twins that it accuses")
    shown.add_column("rule", min_width=12)
    for head, kind in (("found in", "finders"), ("accused in", "accusers")):
        for result in tallies:
            shown.add_column(f"{head}\n{result.dtype},\nof {len(getattr(result, kind))}", justify="right")
    for rule in (OURS, *RULES):
        counts = [str(len(t.found(rule))) if t.asks(rule) else "–" for t in tallies]
        counts += [str(len(t.accused(rule))) if t.asks(rule) else "–" for t in tallies]
        shown.add_row(rule, *counts)
    return shown


def print_verdict(console: Console, tallies: list[Tally]) -> bool:
    """Says what `check` did wrong; returns whether that is nothing."""
    for result in tallies:
        for name in result.missed():
            others = ", ".join(sorted(result.finders[name]))
            say(console, f"Missed in {result.dtype}: {name}; found by {others}.", style="red")
        for name in result.accused(OURS):
            say(console, f"Accused in {result.dtype}: {name}.", style="red")
    ok = not any(result.missed() or result.accused(OURS) for result in tallies)
    if ok:
        say(console, "check finds all that any other rule finds, and accuses no right twin.", style="green")
    return ok


@app.command()
def rules(
    dtype: Annotated[
        Literal["float32", "float64", "both"], typer.Option(help="What both sides compute in.")
    ] = "both",
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write every verdict to this file too.")
    ] = None,
) -> int:
    """Ask check and five rules of others about wrong and about right twins."""
    check_json(json_file)
    dtypes = DTYPES if dtype == "both" else (dtype,)
    with one_thread(), Bar(total=len(dtypes) * (len(TWINS) + len(MISTAKES)), unit="twins", **BAR) as bar:
        tallies = [tally(name, bar) for name in dtypes]
    console = make_console(110)
    print_table(console, table(tallies))
    ok = print_verdict(console, tallies)
    if json_file:
        write_json(json_file, [result.to_json() for result in tallies])
    return int(not ok)


@app.command()
def random(
    count: Annotated[int, typer.Option(min=1, help="How many configurations.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Of the first one; the others' follow.")] = 0,
) -> int:
    """Hunt for false alarms in random configurations of layers and composites."""
    console = make_console(110)
    alarms, checked, last = 0, 0, seed - 1
    with one_thread(), Bar(range(seed, seed + count), unit="twins", **BAR) as bar:
        try:
            for number in bar:
                alarm = Configuration(number).alarm()
                checked, last = checked + (alarm is not None), number
                if alarm:
                    alarms += 1
                    with bar.external_write_mode():
                        say(console, f"seed {number}: {alarm}", style="red")
        finally:
            bar.close()
            found = f"{counted(alarms, 'false alarm')} in {counted(checked, 'random configuration')}"
            say(console, f"{found}, seeds {seed} to {last}", style="red" if alarms else "green")
    return int(alarms > 0)


def main(arguments: list[str]) -> int:
    """Runs the command line; returns the exit code."""
    return run(app, "detection.py", arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
