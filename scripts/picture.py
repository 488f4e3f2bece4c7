"""A model as a picture: layers with their shapes, the same as algebra with its backward, and both sources.

    python scripts/picture.py MLP                           MLP.svg and MLP.png
    python scripts/picture.py lstm rnn --out pictures

Drawn is what ran: both sides are run once, at the book's sizes or, of other models, on a small example.
Exit code 2, and one line that says why, for bad usage.
"""

from __future__ import annotations

if __name__ == "__main__":
    from gdl_numpy.interrupts import exit_on_ctrl_c

    exit_on_ctrl_c()

import sys
from pathlib import Path
from typing import Annotated

import typer

from gdl_numpy import network_picture
from gdl_numpy.command_line import make_console, run, say
from gdl_numpy.files import check_folder, naming, save_figure
from gdl_numpy.lookup import lookup
from parity_tests.harness.model_cases import MODELS
from parity_tests.picture import example_of, sides_of

app = typer.Typer(add_completion=False)


@app.command()
def draw(
    models: Annotated[list[str], typer.Argument(metavar="MODEL", help=f"{', '.join(MODELS)}.")],
    out: Annotated[
        Path, typer.Option(metavar="DIR", file_okay=False, help="Where the pictures go.")
    ] = Path(),
) -> None:
    """Draw models: layers and shapes, algebra, both sources side by side; as SVG and PNG."""
    check_folder("--out", out)
    names = [lookup("model", model, {name: name for name in MODELS}) for model in models]
    for name in names:
        picture = network_picture.draw(name, sides_of(name, example_of(name)))
        for suffix in ("svg", "png"):
            path = out / f"{name}.{suffix}"
            with naming(path):
                save_figure(picture, path)
            say(make_console(), f"drawn in {path}", path)


def main(arguments: list[str]) -> int:
    """Runs the command line; returns the exit code."""
    return run(app, "picture.py", arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
