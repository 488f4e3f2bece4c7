"""Run chapters as notebooks, and keep them with what they printed and drew.

    python scripts/chapters/notebooks.py                (or make notebooks)
    python scripts/chapters/notebooks.py 3 9 --out runs/notebooks

Each script of a chapter becomes a .ipynb of the same name. Needs the extra `notebooks`:
`pip install -e '.[notebooks]' -c constraints.txt`. A chapter whose data set is not there ends with the line
that says so, and is kept as far as it came. Exit code 1 if a chapter fails; 2, and one line, for bad usage.
"""

from __future__ import annotations

if __name__ == "__main__":
    from gdl_numpy.interrupts import exit_on_ctrl_c

    exit_on_ctrl_c()

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from gdl_numpy.command_line import make_console, run, say
from gdl_numpy.files import check_folder, naming, replacing
from gdl_numpy.progress import Bar

FOLDER = Path(__file__).parent
SCRIPTS = {int(path.name[2:4]): path for path in sorted(FOLDER.glob("ch[0-9][0-9]_*.py"))}
app = typer.Typer(add_completion=False)


@app.command()
def main(
    chapters: Annotated[list[int] | None, typer.Argument(metavar="CHAPTER", help="None for all.")] = None,
    out: Annotated[Path, typer.Option(file_okay=False, help="Folder of the notebooks.")] = Path(
        "runs", "notebooks"
    ),
) -> None:
    """Write chapters as notebooks with their outputs."""
    if unknown := [number for number in chapters or () if number not in SCRIPTS]:
        raise typer.BadParameter(f"there is no script of chapter {unknown[0]}, only of {[*SCRIPTS]}")
    check_folder("--out", out)
    failed = []
    with Bar(chapters or SCRIPTS, unit="chapter", leave=False, disable=None) as bar:
        for number in bar:
            bar.set_description(f"chapter {number}")
            path = out / f"{SCRIPTS[number].stem}.ipynb"
            failure = execute(SCRIPTS[number], path)
            failed += [number] if failure else []
            say(make_console(), f"{path}{failure and ': failed: '}{failure}", path)
    if failed:
        raise typer.Exit(1)


def execute(script: Path, path: Path) -> str:
    """Runs a script in a kernel of this Python, in the working directory; returns what it failed with, or "".

    Raises:
        ValueError: the libraries are missing, or the file cannot be written.
    """
    try:
        import jupytext
        import nbformat
        from nbclient import NotebookClient
        from nbclient.exceptions import CellExecutionError
    except ImportError as error:
        raise ValueError(
            f"notebooks need {error.name}: pip install -e '.[notebooks]' -c constraints.txt"
        ) from error
    notebook: Any = jupytext.read(script)
    client: Any = NotebookClient(notebook, kernel_name="python3", timeout=None)
    if os.name == "posix":
        client.create_kernel_manager().transport = "ipc"  # where nobody on the network can listen
    failure = ""
    try:
        client.execute()
    except CellExecutionError as error:
        if (error.ename, error.evalue) != ("SystemExit", "0"):  # with 0, data is missing, which it has said
            failure = f"{error.ename}: {error.evalue}"
    with naming(path), replacing(path) as temporary:
        nbformat.write(notebook, temporary)  # type: ignore[no-untyped-call]
    return failure


if __name__ == "__main__":
    sys.exit(run(app, "notebooks.py", sys.argv[1:]))
