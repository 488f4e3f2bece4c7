"""What the scripts' command lines have in common: who computes, where, and errors that are one line."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import typer

# typer may bring its own copy of click, so that the class is not always click's.
UsageError: type[Any] = typer.BadParameter.__base__ or Exception


class Backend(StrEnum):
    numpy = "numpy"
    torch = "torch"


class Device(StrEnum):
    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


def run(app: typer.Typer, script: str, arguments: list[str]) -> int:
    """Runs a command line, and says in one line what was wrong with it.

    Args:
        app: the command.
        script: its file, which the line begins with.
        arguments: those after the script's name.

    Returns:
        the exit code: the command's own, 2 for bad usage and bad files, 130 for Ctrl-C.
    """
    try:
        return int(app(arguments, standalone_mode=False) or 0)
    except (KeyboardInterrupt, typer.Abort):
        return 130
    except UsageError as error:
        message = str(error.format_message())
    except (ValueError, IndexError, OSError) as error:
        message = str(error)
    if message:  # there is none with the help that stands in for a missing command line
        typer.echo(f"{script}: {message}", err=True)
    return 2
