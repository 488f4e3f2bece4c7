"""What the command lines of the scripts share: which side computes, where, tables, and errors in one line."""

from __future__ import annotations

import io
import os
import re
import sys
from enum import StrEnum
from typing import IO, Any

import typer
from rich.cells import cell_len
from rich.console import Console
from rich.containers import Lines
from rich.text import Text

from gdl_numpy.help_pages import fit_help_pages
from gdl_numpy.interrupts import CTRL_C, Terminated, as_exceptions
from gdl_numpy.messages import as_line, plain

# Stands for a space at which no line may end; of Unicode's private use.
HELD = "\ue000"
# In torch's words, on the CPU and on CUDA; what it raises is a RuntimeError.
OUT_OF_MEMORY = re.compile(r"can't allocate memory|out of memory")

# typer may bring its own copy of click, so that the class is not always click's.
UsageError: type[Any] = typer.BadParameter.__base__ or Exception


class Backend(StrEnum):
    numpy = "numpy"
    torch = "torch"


class Device(StrEnum):
    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


class PlainConsole(Console):
    """A console to which what it is given to print is text: no markup, no names of emoji, no commands."""

    def __init__(self, **options: Any) -> None:
        super().__init__(highlight=False, markup=False, emoji=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(plain(text).expandtabs(), **options)

    def on_broken_pipe(self) -> None:
        """Goes on where nobody reads on, as in `| head`: what goes into files is written all the same."""
        send_nowhere(self.file)


def send_nowhere(stream: IO[str]) -> None:
    """What is left in the buffer of a closed stream has to go somewhere, or Python complains at its exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def make_console(width: int = 0) -> Console:
    """Where a script prints its tables; a file, which has no edge to wrap at, is at least `width` wide.

    Names, paths and words may look like markup: styles go beside them, as `style=` or in a `Text`.
    """
    made = PlainConsole()
    if not made.is_terminal:
        made.width = max(made.width, width)
    return made


def say(console: Console, text: str | Text, *whole: object, style: str | None = None) -> None:
    """Prints prose: wrapped at words on a terminal, and in no word; a file has no edge.

    Args:
        console: where to.
        text: the prose.
        whole: parts of it that are to be copied, as paths are: no line ends in them, even at a space.
        style: of it all.
    """
    if not console.is_terminal:
        console.print(text, soft_wrap=True, style=style)
        return
    prose = Text(plain(text)) if isinstance(text, str) else text.copy()
    for part in (plain(str(part)) for part in whole):
        prose.plain = prose.plain.replace(part, part.replace(" ", HELD))
    for given in prose.split("\n", allow_blank=True):
        for line in at_words(given, console.width):
            line.plain = line.plain.replace(HELD, " ")
            console.print(line, soft_wrap=True, style=style)


def at_words(line: Text, width: int) -> Lines:
    """A line in lines of at most `width`, but for words that are longer: rich itself would break those."""
    starts, used = [], 0
    for word in re.finditer(r"^\s*\S*\s*|\S+\s*", line.plain):
        if used and used + cell_len(word[0].rstrip()) > width:
            starts.append(word.start())
            used = 0
        used += cell_len(word[0])
    lines = line.divide(starts)
    for part in lines:
        part.rstrip()
    return lines


def check_cpu(device: Device) -> None:
    """Raises ValueError where the hand-written code is to compute on a GPU."""
    if device is Device.cuda:
        raise ValueError("--device cuda is for --backend torch: the numpy backend computes on the CPU")


def replace_what_cannot_be_said() -> None:
    """Makes question marks of what the terminal's encoding lacks, so that no result is lost to a "≤"."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def run(app: typer.Typer, script: str, arguments: list[str]) -> int:
    """Runs a command line, and says in one line what was wrong with it.

    Args:
        app: the command.
        script: its file, which the line begins with.
        arguments: those after the script's name.

    Returns:
        the exit code: the command's own; 0 where nobody reads on, as in `| head`; 2 for bad usage and bad
        files; 130 for Ctrl-C, 143 for SIGTERM, 129 for SIGHUP.
    """
    replace_what_cannot_be_said()
    if not arguments or "--help" in arguments:
        fit_help_pages()
    code = 0
    try:
        with as_exceptions():
            code = int(app(arguments, standalone_mode=False) or 0)
            sys.stdout.flush()  # here, where it can be dealt with that nobody reads on
            return code
    except (KeyboardInterrupt, typer.Abort):
        return CTRL_C
    except Terminated as end:
        return end.code
    except RuntimeError as error:
        # Before Python 3.12, all becomes one that is raised while a class is made.
        if isinstance(error.__cause__, KeyboardInterrupt):
            return CTRL_C
        if isinstance(error.__cause__, Terminated):
            return error.__cause__.code
        if not OUT_OF_MEMORY.search(str(error)):
            raise
        message = f"not enough memory: {error}"
    except SystemExit as end:
        if not isinstance(end.__context__, BrokenPipeError):  # which click makes an exit code of
            raise
        send_nowhere(sys.stdout)
        return 0
    except UsageError as error:
        message = what_is_wrong(error)
    except BrokenPipeError:
        send_nowhere(sys.stdout)
        return code
    except OSError as error:
        message = f"{error.filename}: {error.strerror}" if error.filename else str(error)
    except (ValueError, IndexError) as error:
        message = str(error)
    except MemoryError as error:
        message = f"not enough memory: {error}"
    if message:  # there is none with the help that stands in for a missing command line
        typer.echo(f"{script}: {as_line(message)}", err=True)
    return 2


def what_is_wrong(error: Any) -> str:
    """A usage error in words: the option, what is allowed, and what it got.

    Typer hands on the words of pydantic, which checks the values; they leave out the value, or repeat it.
    Before 0.21 click checks them, in words of its own, of which the same are made here.
    """
    param = getattr(error, "param", None)
    if param is None or type(error).__name__ != "BadParameter":
        return str(error.format_message())
    name = max(param.opts, key=len) if param.param_type_name == "option" else param.name
    cause = error.__cause__ or error.__context__
    if not (isinstance(cause, ValueError) and hasattr(cause, "errors")):
        return f"{name}: {in_pydantics_words(str(error.message)).rstrip('.')}"
    (found, *_) = cause.errors()
    reason = found["msg"].removeprefix("Value error, ").partition(", unable to parse")[0].rstrip(".")
    value = repr(found["input"])
    return f"{name}: {reason}" if value in reason else f"{name}: {reason}, got {value}"


KINDS = {"integer": "integer", "float": "number", "boolean": "boolean"}
NO_NUMBER = re.compile(r"('.*') is not a valid (integer|float|boolean)(?: range)?\.", re.DOTALL)
OUTSIDE = re.compile(r"(\S+) is not in the range (?:(\S+?)<=)?x(?:([<>]=)(\S+?))?\.")


def in_pydantics_words(message: str) -> str:
    """What click says of a value that is no number, or outside its range, as pydantic would say it."""
    if found := NO_NUMBER.fullmatch(message):
        return f"Input should be a valid {KINDS[found[2]]}, got {found[1]}"
    if found := OUTSIDE.fullmatch(message):
        value, least, sign, limit = found.groups()
        if sign == ">=":  # a range without a largest value
            least, limit = limit, None
        if least is not None and float(value) < float(least):
            return f"Input should be greater than or equal to {least}, got {value!r}"
        return f"Input should be less than or equal to {limit}, got {value!r}"
    return message
