"""What the scripts' command lines share: one line for what is wrong, and whole results on any terminal."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from enum import StrEnum
from textwrap import dedent
from typing import TYPE_CHECKING, Annotated

import pytest
import torch
import typer

from gdl_numpy.command_line import PlainConsole, make_console, run, say
from gdl_numpy.interrupts import Terminated

if TYPE_CHECKING:
    from pathlib import Path


class Colour(StrEnum):
    red = "red"
    blue = "blue"


@pytest.fixture
def app() -> typer.Typer:
    app = typer.Typer(add_completion=False)

    @app.command()
    def command(
        mode: str = "print", colour: Colour = Colour.red, count: Annotated[int, typer.Option(min=1)] = 1
    ) -> int:
        if mode == "interrupt":
            raise KeyboardInterrupt
        if mode == "allocate":
            torch.empty(1 << 50)
        if mode == "fail":
            raise RuntimeError("a bug")
        if mode == "refuse":
            raise ValueError("mode must be ≤ 1")
        make_console(60).print("│ error ≤ bound ⁻⁴ │")
        return 3

    return app


def test_memory_that_torch_cannot_have_is_one_line(
    app: typer.Typer, capsys: pytest.CaptureFixture[str]
) -> None:
    """It raises no MemoryError; other RuntimeErrors are bugs, and keep their traceback."""
    assert run(app, "script.py", ["--mode", "allocate"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("script.py: not enough memory: ")
    assert "4503599627370496 bytes" in line
    with pytest.raises(RuntimeError, match="a bug"):
        run(app, "script.py", ["--mode", "fail"])


@pytest.mark.parametrize("encoding", ["cp1252", "utf-8"])
def test_what_a_terminal_cannot_say_loses_nothing_else(
    encoding: str, app: typer.Typer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After all the work, a table must not be lost to a character."""
    streams = [io.TextIOWrapper(io.BytesIO(), encoding) for _ in range(2)]
    monkeypatch.setattr(sys, "stdout", streams[0])
    monkeypatch.setattr(sys, "stderr", streams[1])
    assert run(app, "script.py", []) == 3
    assert run(app, "script.py", ["--mode", "refuse"]) == 2
    for stream in streams:
        stream.flush()
    out, err = (stream.buffer.getvalue().decode(encoding) for stream in streams)
    sign = "≤" if encoding == "utf-8" else "?"
    assert f"error {sign} bound" in out
    assert err == f"script.py: mode must be {sign} 1\n"


@pytest.mark.parametrize("width", [80, 40, 20])
@pytest.mark.parametrize("is_terminal", [True, False])
def test_prose_is_wrapped_at_words_and_paths_never(width: int, is_terminal: bool) -> None:
    """A path or a command is printed so that it can be copied, also where there are spaces in it."""
    out = io.StringIO()
    console = PlainConsole(file=out, width=width, force_terminal=is_terminal, no_color=True)
    path = "/home/somebody/a folder with spaces/and a long name/run.json"
    prose = "A model that has learned a lot was saved in"
    say(console, f"\n{prose} {path}: and here is\nhow it ended", path)
    lines = out.getvalue().splitlines()
    assert path in out.getvalue()
    assert out.getvalue().split() == f"{prose} {path}: and here is how it ended".split()
    assert lines[0] == ""
    if is_terminal:
        assert all(len(line) <= width for line in lines if path not in line)
    else:
        assert len(lines) == 3


def test_exit_codes(app: typer.Typer, capsys: pytest.CaptureFixture[str]) -> None:
    """Those that shells know: 2 for bad usage, 130 for Ctrl-C."""
    assert run(app, "script.py", ["--mode", "interrupt"]) == 130
    assert capsys.readouterr().err == ""
    assert run(app, "script.py", ["--mood", "bad"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("script.py: No such option: --mood")


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("--colour", "green", "'green' is not one of 'red', 'blue'"),
        ("--count", "many", "Input should be a valid integer, got 'many'"),
        ("--count", "0", "Input should be greater than or equal to 1, got '0'"),
    ],
)
def test_a_wrong_value_is_named_with_its_option_and_what_is_allowed(
    option: str, value: str, expected: str, app: typer.Typer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(app, "script.py", [option, value]) == 2
    assert capsys.readouterr().err == f"script.py: {option}: {expected}\n"


def run_unread(program: str, *arguments: str) -> None:
    """Runs a program whose stdout is closed before its `input()` returns: it ends well, and says nothing."""
    command = [sys.executable, "-c", dedent(program), *arguments]
    with subprocess.Popen(command, stdin=-1, stdout=-1, stderr=-1) as process:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        process.stdin.write(b"go\n")
        process.stdin.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


@pytest.mark.skipif(os.name == "nt", reason="closes a pipe as POSIX does")
@pytest.mark.parametrize("lines", [1, 10_000])
def test_a_script_that_nobody_reads_on_ends_quietly(lines: int) -> None:
    """As in `| head -1`: whether the lines are written at once or at the end."""
    program = f"""
        import sys, typer
        from gdl_numpy.command_line import run
        app = typer.Typer()
        @app.command()
        def command() -> int:
            input()
            for _ in range({lines}):
                typer.echo("a line")
            return 0
        sys.exit(run(app, "script.py", []))
    """
    run_unread(program)


@pytest.mark.skipif(os.name == "nt", reason="closes a pipe as POSIX does")
def test_what_nobody_reads_costs_no_file(tmp_path: Path) -> None:
    """As in `compare.py --json FILE | true`, where the table comes first."""
    program = """
        import sys
        from pathlib import Path
        from gdl_numpy.command_line import make_console
        console = make_console()
        input()
        for _ in range(2):
            console.print("a table")
        print("a line", flush=True)
        Path(sys.argv[1]).write_text("whole")
    """
    run_unread(program, str(tmp_path / "found.json"))
    assert (tmp_path / "found.json").read_text() == "whole"


@pytest.mark.parametrize(("end", "code"), [(KeyboardInterrupt(), 130), (Terminated(143), 143)])
def test_an_end_while_a_class_is_made_is_an_end(end: BaseException, code: int) -> None:
    """Libraries are imported at work, too; Python 3.11 wraps what is raised while they make their classes."""
    app = typer.Typer()

    class Attribute:
        def __set_name__(self, owner: type, name: str) -> None:
            raise end

    @app.command()
    def command() -> None:
        type("Made", (), {"attribute": Attribute()})

    assert run(app, "script.py", []) == code
