"""What the scripts in `scripts/chapters/` share: their flags, lines in the book's format, and the last line.

    chapter = Chapter(8, "Learning signal and ignoring noise")
    mnist = chapter.load("mnist")                      # where it is not there, the chapter ends here
    passes = chapter.passes(30, full=350)              # or what --passes says
    chapter.published("I:{} Train-Err:{}", (0, cut(error)), (None, "0.722"), "NumPy")
    chapter.erratum("MLP W1")                          # a printed rule that is not the gradient
    chapter.picture(figure)                            # runs/chapters/ch08.png
    chapter.finish()                                   # published values reproduced: NumPy 1 of 1, …

Opened as a notebook, where there is no command line, a script runs with the defaults.
"""

from __future__ import annotations

import re
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

import typer
from matplotlib import rc_context
from rich.table import Table

from gdl_numpy import data
from gdl_numpy.command_line import make_console, run, say
from gdl_numpy.files import check_folder, check_json, naming, save_figure, write_json
from gdl_numpy.tables import print_table, text_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from gdl_numpy.files import Drawing

Side: TypeAlias = Literal["NumPy", "torch"]
Value: TypeAlias = float | str
SIDES: tuple[Side, ...] = ("NumPy", "torch")
COLUMN = 72  # where the book's values begin


class Chapter:
    """A chapter on its way: its flags, and how much of what it printed is what the book printed."""

    def __init__(self, number: int, title: str) -> None:
        """Reads the command line; ends the process after --help, with exit code 2 where it makes no sense."""
        self.number, self.title, self.start = number, title, time.perf_counter()
        self.reached, self.reproduced = dict.fromkeys(SIDES, 0), dict.fromkeys(SIDES, 0)
        self.later: list[str] = []
        self.errata: list[str] = []
        self.pictures: list[str] = []
        self.has_written_all = True
        shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
        self.is_notebook = hasattr(shell, "kernel")
        app = typer.Typer(add_completion=False)
        app.command(help=f"Chapter {number}: {title}.")(self.flags)
        exit_code = run(app, Path(sys.argv[0]).name, [] if self.is_notebook else sys.argv[1:])
        if not hasattr(self, "plot"):
            sys.exit(exit_code)

    def flags(
        self,
        passes: Annotated[
            int | None, typer.Option(min=1, help="Passes over the data; fewer are quicker, more learn more.")
        ] = None,
        full: Annotated[bool, typer.Option("--full", help="The chapter's whole training.")] = False,
        data_dir: Annotated[
            Path | None, typer.Option(help="Folder of the data sets; else $GDL_DATA, else the user's cache.")
        ] = None,
        plot: Annotated[
            Path, typer.Option(metavar="DIR", file_okay=False, help="Where the picture goes.")
        ] = Path("runs", "chapters"),
        summary: Annotated[
            Path | None,
            typer.Option("--json", metavar="FILE", dir_okay=False, help="Write the last line as JSON too."),
        ] = None,
    ) -> None:
        """The command line."""
        check_folder("--plot", plot)
        check_json(summary)
        self.chosen_passes, self.full, self.data_dir = passes, full, data_dir
        self.plot, self.summary = plot, summary

    def passes(self, default: int, full: int | None = None) -> int:
        """How many passes to make: `--passes`, else with `--full` the book's `full`, else `default`."""
        return self.chosen_passes or (self.full and full) or default

    def load(self, name: str) -> Any:
        """`gdl_numpy.data.load`; ends the chapter where the data set is not there, or is damaged."""
        try:
            if data.available(name, self.data_dir):
                return data.load(name, self.data_dir)
        except data.DataError as error:
            typer.echo(f"{Path(sys.argv[0]).name}: {error}", err=True)
            sys.exit(2)
        self.conclude(f"skipped, it needs {name}: `python scripts/fetch_data.py {name}`", skipped=name)
        sys.exit(0 if self.has_written_all else 2)

    def say(self, text: object = "", *whole: object) -> None:
        """Prints a line; `whole` are parts of it that are to be copied, as in `command_line.say`."""
        if self.is_notebook:  # where rich's consoles write HTML
            print(text)
        else:
            say(make_console(), str(text), *whole)

    def table(self, heads: Sequence[str], rows: Iterable[Sequence[str]], left: int = 1) -> None:
        """Prints rows in columns, the first `left` of them of words; as lists where they do not fit."""
        table = Table(box=None, pad_edge=False)
        for i, head in enumerate(heads):
            table.add_column(head, justify="left" if i < left else "right")
        for row in rows:
            table.add_row(*map(text_of, row))
        print_table(make_console(110), table)

    def published(
        self,
        line: str,
        ours: Value | Iterable[Value],
        book: Value | Iterable[Value | None] | None,
        side: Side,
    ) -> bool:
        """Prints one of the book's lines with our values, beside it the book's; counts which are the same.

        Args:
            line: in the book's format, with {} for each value; where it has none, they go after it.
            ours: one value or all, text or numbers. Numbers are compared by all their digits (`repr`).
            book: the same of the book; None in the place of a value that it does not give, or of them all.
            side: who computed ours.

        Returns:
            whether all of ours are the book's, digit for digit.
        """
        found = [as_printed(value) for value in as_row(ours)]
        row = [None] * len(found) if book is None else as_row(book)
        expected = [None if value is None else as_printed(value) for value in row]
        given = [(f, e) for f, e in zip(found, expected, strict=True) if e is not None]
        same = sum(f == e for f, e in given)
        self.reached[side] += len(given)
        self.reproduced[side] += same
        text = line.format(*found) if "{}" in line else " ".join([line, *found])
        beside = f"  {'=' if same == len(given) else '≠'} book: {' '.join(e for _, e in given)}"
        line = f"{side:<5}  {text:<{COLUMN}}{beside if given else ''}".rstrip()
        console = make_console()
        if given and console.is_terminal and len(line) > console.width:  # the book's goes below ours
            line = f"{side:<5}  {text}\n     {beside}"
        self.say(line)
        return same == len(given)

    def not_run(self, what: str) -> None:
        """Notes what the book publishes and this run is too short for; the last line names it."""
        if what not in self.later:
            self.later.append(what)

    def erratum(self, rule: str) -> None:
        """Notes a printed update that the harness found not to be the gradient; the last line names it."""
        if rule not in self.errata:
            self.errata.append(rule)

    def picture(self, figure: Drawing, name: str = "", suffix: str = "png") -> Path:
        """Saves a picture as `ch08.png`, or `ch08-name.png`; a notebook shows it as well."""
        path = self.plot / f"ch{self.number:02}{name and '-'}{name}.{suffix}"
        with self.going_on(), naming(path), rc_context({"svg.fonttype": "none"}):  # text that can be copied
            save_figure(figure, path)
            self.pictures.append(str(path))
            if self.is_notebook:
                from IPython.display import SVG, Image, display

                display((SVG if suffix == "svg" else Image)(filename=path))  # type: ignore[no-untyped-call]
        return path

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """Within, a file is written; where it cannot be, that is said, and the chapter goes on without it."""
        try:
            yield
        except ValueError as error:
            typer.echo(f"{Path(sys.argv[0]).name}: {error}", err=True)
            self.has_written_all = False

    def finish(self) -> None:
        """Prints the last line, and ends the process unless all is well.

        The exit code is 1 where a published value was missed, 2 where a file could not be written.
        """
        self.say(f"\ndrawn in {', '.join(self.pictures)}" if self.pictures else "", *self.pictures)
        counts = ", ".join(f"{side} {self.reproduced[side]} of {self.reached[side]}" for side in SIDES)
        later = f"; only with --full: {', '.join(self.later)}" if self.later else ""
        publishes = any(self.reached.values()) or self.later
        result = f"published values reproduced: {counts}{later}" if publishes else "no published values"
        self.conclude(result + (f"; errata: {', '.join(self.errata)}" if self.errata else ""))
        exit_code = int(self.reached != self.reproduced) if self.has_written_all else 2
        if exit_code and not self.is_notebook:
            sys.exit(exit_code)

    def conclude(self, result: str, skipped: str = "") -> None:
        """Prints the last line, and writes it where `--json` says."""
        self.say(f"Chapter {self.number}, {self.title}: {result}", *re.findall("`(.*?)`", result))
        if self.summary:
            row: dict[str, Any] = {"chapter": self.number, "title": self.title, "skipped": skipped}
            row |= {side: [self.reproduced[side], self.reached[side]] for side in SIDES}
            row |= {"not_run": self.later, "errata": self.errata, "pictures": self.pictures}
            with self.going_on():
                write_json(self.summary, row)


def as_printed(value: Value) -> str:
    """A number as Python prints it: with every digit that tells it from its neighbours in float64."""
    return value if isinstance(value, str) else repr(float(value))


def as_row(values: Any) -> list[Any]:
    return [values] if isinstance(values, str) or not hasattr(values, "__iter__") else list(values)


def cut(value: float, characters: int = 5) -> str:
    """The first characters of a number as Python prints it: `0.722`, as chapter 8 prints its errors."""
    return as_printed(value)[:characters]
