"""Make data sets be there: download what is missing or damaged, check it, say where it is.

    python scripts/fetch_data.py                  what there is, and its state
    python scripts/fetch_data.py mnist            under $GDL_DATA, or the user's cache folder
    python scripts/fetch_data.py mnist --data-dir ~/data

A second run keeps the files that are good. Exit code: 0 when all is there, 1 when something could not be had,
2 for bad usage.
"""

from __future__ import annotations

if __name__ == "__main__":
    from gdl_numpy.interrupts import exit_on_ctrl_c

    exit_on_ctrl_c()

import sys
from pathlib import Path  # noqa: TC003 (typer reads the annotations)
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Column, Table
from rich.text import Text

from gdl_numpy.command_line import make_console, run, say
from gdl_numpy.data import DATASETS, DataError, Source, data_root, fetch, find
from gdl_numpy.tables import print_table

if TYPE_CHECKING:
    from gdl_numpy.data.sets.state import FileState

# Of more files than this in one folder and state, the table says how many there are.
FEW = 4

app = typer.Typer(add_completion=False)
STYLES: dict[FileState, str] = {"good": "green", "missing": "yellow", "damaged": "red"}


@app.command()
def fetch_all(
    names: Annotated[list[str] | None, typer.Argument(help="Data sets; none to list them.")] = None,
    data_dir: Annotated[
        Path | None,
        typer.Option(help="Folder of all data sets (default: $GDL_DATA, else the user's cache folder)."),
    ] = None,
) -> int:
    """Download data sets, check them, and say where they are; without a name, list them all."""
    sources = [find(name) for name in names or DATASETS]
    failed = False
    for source in sources if names else []:
        try:
            fetch(source.name, data_dir)
        except DataError as error:
            failed = True
            typer.echo(f"fetch_data.py: {error}", err=True)
    report(sources, data_root(data_dir))
    return int(failed)


def report(sources: list[Source], root: Path) -> None:
    """Print what is where, and in which state."""
    table = Table("data set", Column("file", min_width=20), Column("bytes", justify="right"), "state")
    for source in sources:
        if not source.files:
            table.add_row(source.name, source.about, "", "always there")
        groups: dict[tuple[Path, FileState], list[tuple[Path, int]]] = {}
        for file in source.files:
            path = file.locate(root) or root / file.path
            groups.setdefault((path.parent.relative_to(root), file.state(root)), []).append(
                (path, file.size(root))
            )
        for (folder, state), found in groups.items():
            rows = [(path.relative_to(root).as_posix(), size) for path, size in found]
            if len(rows) > FEW:
                rows = [(f"{folder.as_posix()}: {len(rows)} files", sum(size for _, size in found))]
            for shown, size in rows:
                count = "" if state == "missing" else f"{size:,}"
                table.add_row(source.name, shown, count, Text(state, STYLES[state]))
    console = make_console()
    say(console, f"data in {root}", root)
    print_table(console, table)


def main(arguments: list[str]) -> int:
    """Runs the command line; returns the exit code."""
    return run(app, "fetch_data.py", arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
