"""The chapters' scripts, as people run them but within this process, in their short form.

Each ends well on the data that is there, with every published value that it gets to; or says what it lacks.
"""

from __future__ import annotations

import io
import json
import runpy
import sys
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from gdl_numpy import chapter, data
from gdl_numpy.chapter import SIDES, cut
from gdl_numpy.command_line import PlainConsole

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.usefixtures("unchecked_types")  # as people run them, for whom time counts

FOLDER = Path(__file__).parent.parent / "scripts" / "chapters"
SCRIPTS = sorted(FOLDER.glob("ch*.py"))
# How many values the book publishes in the chapters that are quick enough to give them all each time.
PUBLISHED = {3: 11, 4: 9, 5: 9, 6: 8}
# The printed rules that the harness finds not to be the gradient, by chapter; elsewhere none.
ERRATA = {
    8: ["MLP W1", "DropoutMLP W1", "MiniBatchMLP W1"],
    9: ["SoftmaxMLP W1"],
    10: ["CNN K"],
    11: ["WordSum E"],
    12: ["TransitionMatrix E", "TransitionMatrix R", "TransitionMatrix start"],
    14: ["LSTM table", "LSTM xf", "LSTM hf", "LSTM xg", "LSTM hg"],
}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, dict[str, Any]]]:
    """Runs a script with these arguments; returns its exit code and what it wrote of itself."""

    def run(script: Path, *arguments: str) -> tuple[int, dict[str, Any]]:
        summary = tmp_path / "summary.json"
        words = [str(script), *arguments, "--plot", str(tmp_path / "pictures"), "--json", str(summary)]
        monkeypatch.setattr(sys, "argv", words)
        code: Any = 0
        try:
            runpy.run_path(str(script), run_name="__main__")
        except SystemExit as end:
            code = end.code or 0
        return code, json.loads(summary.read_text()) if summary.exists() else {}

    return run


@pytest.fixture
def script(tmp_path: Path) -> Callable[[str], Path]:
    """Writes a script of a chapter 99 whose body is given."""

    def write(body: str) -> Path:
        path = tmp_path / "ch99_test.py"
        path.write_text(f"from gdl_numpy.chapter import Chapter\nchapter = Chapter(99, 'A test')\n{body}\n")
        return path

    return write


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_every_chapter_runs(path: Path, run: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """In its short form, with the published values that this gets to, on both sides, and its picture."""
    code, row = run(path, "--passes", "1")
    last = capsys.readouterr().out.rstrip().splitlines()[-1]
    assert code == 0, last
    assert last.startswith(f"Chapter {int(path.stem[2:4])}, {row['title']}: ")
    if row["skipped"]:
        assert not data.available(row["skipped"])
        assert f"fetch_data.py {row['skipped']}" in last
        pytest.skip(last)
    for side in SIDES:
        reproduced, reached = row[side]
        assert reproduced == reached >= PUBLISHED.get(row["chapter"], 0)
    assert row["errata"] == ERRATA.get(row["chapter"], [])
    assert row["pictures"], "a chapter draws a picture"
    assert all(Path(picture).stat().st_size > 1000 for picture in row["pictures"])


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_scripts_open_as_notebooks(path: Path) -> None:
    """Percent format: jupytext's header, text and code in cells; short enough to read in one sitting."""
    text = path.read_text()
    assert text.startswith("# ---\n# jupyter:\n")
    assert f"# # Chapter {int(path.stem[2:4])}: " in text
    assert text.count("\n# %% [markdown]\n") >= 2
    assert text.count("\n# %%\n") >= 2
    assert len(text.splitlines()) <= 400


@pytest.mark.parametrize(("number", "pictures"), [(3, 1), (9, 0)])
def test_notebooks_have_their_outputs(
    number: int, pictures: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lines and pictures; where the data set is missing, the line that says so, and that is no failure."""
    for library in ("jupytext", "nbclient", "ipykernel"):
        if find_spec(library) is None:
            pytest.skip(f"needs {library}: pip install -e '.[notebooks]'")
    monkeypatch.setenv("GDL_DATA", str(tmp_path / "none"))
    notebooks = runpy.run_path(str(FOLDER / "notebooks.py"))
    assert list(notebooks["SCRIPTS"].values()) == SCRIPTS
    monkeypatch.setattr(sys, "argv", ["notebooks.py", str(number), "--out", str(tmp_path / "out")])
    monkeypatch.chdir(tmp_path)
    assert notebooks["run"](notebooks["app"], "notebooks.py", sys.argv[1:]) == 0
    (path,) = (tmp_path / "out").iterdir()
    cells = json.loads(path.read_text())["cells"]
    outputs = [output for cell in cells for output in cell.get("outputs", ())]
    assert sum("image/png" in output.get("data", {}) for output in outputs) == pictures
    printed = "".join("".join(output.get("text", ())) for output in outputs)
    assert f"Chapter {number}, " in printed
    assert ("skipped, it needs mnist" in printed) == (number == 9)


def test_a_value_that_is_missed_is_said(run: Any, script: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """One digit is enough: the line shows both values, the last one counts, and the exit code is 1."""
    body = """
chapter.published("Error:{} Acc:{}", (0.1 + 0.2, 1.0), ("0.3", "1.0"), "NumPy")
chapter.published("Error:{} Acc:{}", (0.1 + 0.2, 0.5), ("0.30000000000000004", None), "torch")
chapter.not_run("pass 349")
chapter.finish()"""
    code, row = run(script(body))
    lines = capsys.readouterr().out.splitlines()
    assert code == 1
    assert row["NumPy"] == [1, 2]
    assert row["torch"] == [1, 1]
    assert " ".join(lines[0].split()) == "NumPy Error:0.30000000000000004 Acc:1.0 ≠ book: 0.3 1.0"
    assert " ".join(lines[1].split()) == "torch Error:0.30000000000000004 Acc:0.5 = book: 0.30000000000000004"
    counts = "published values reproduced: NumPy 1 of 2, torch 1 of 1; only with --full: pass 349"
    assert lines[-1] == f"Chapter 99, A test: {counts}"


@pytest.mark.parametrize("width", [80, 40])
def test_a_narrow_terminal_cuts_no_number(
    width: int, run: Any, script: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The book's values go below ours, and what does not fit is wrapped between words."""
    out = io.StringIO()
    terminal = partial(PlainConsole, file=out, width=width, force_terminal=True, no_color=True)
    monkeypatch.setattr(chapter, "make_console", lambda *_: terminal())
    body = """
chapter.published("Error:{} Acc:{}", (0.1 + 0.2, 1.0), ("0.30000000000000004", "1.0"), "NumPy")
chapter.say("What is said of it is as long as it takes to be said, and no longer than that, wherever it is")
chapter.table(["side", *map(str, range(100, 120))], [["NumPy", *["0.25"] * 20]])
chapter.finish()"""
    assert run(script(body))[0] == 0
    lines = out.getvalue().splitlines()
    assert "  119: 0.25" in lines
    assert max(map(len, lines)) <= width
    assert "       = book: 0.30000000000000004 1.0" in lines
    words = "What is said of it is as long as it takes to be said, and no longer than that, wherever it is"
    assert words in " ".join(lines)


def test_a_chapter_without_its_data_ends_well(
    run: Any, script: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    code, row = run(script("chapter.load('mnist')\nraise AssertionError"), "--data-dir", str(tmp_path))
    assert code == 0
    assert row["skipped"] == "mnist"
    assert "skipped, it needs mnist: `python scripts/fetch_data.py mnist`" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "passes"), [((), 3), (("--full",), 300), (("--full", "--passes", "7"), 7)]
)
def test_passes_and_full(run: Any, script: Any, arguments: tuple[str, ...], passes: int) -> None:
    """`--passes` goes before `--full`, which goes before the script's own choice."""
    code, row = run(script(f"assert chapter.passes(3, full=300) == {passes}\nchapter.finish()"), *arguments)
    assert (code, row["title"]) == (0, "A test")


@pytest.mark.parametrize("arguments", [("--passes", "0"), ("--passes", "many"), ("--fast",)])
def test_what_makes_no_sense_is_refused(
    run: Any, script: Any, arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """In one line that names the flag, with exit code 2, before anything is computed."""
    assert run(script("raise AssertionError"), *arguments) == (2, {})
    (line,) = capsys.readouterr().err.splitlines()
    assert arguments[0] in line


def test_run_all_has_a_line_for_each_chapter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also for those that miss a value, lack their data or fail; then the exit code is 1."""
    module = runpy.run_path(str(FOLDER / "run_all.py"))
    assert module["SCRIPTS"] == SCRIPTS
    assert len({path.stem[:4] for path in SCRIPTS}) == len(SCRIPTS)
    bodies = {
        "Right": "chapter.published('{}', 0.5, '0.5', 'NumPy'), chapter.erratum('W1'), chapter.finish()",
        "Wrong": "chapter.published('{}', 0.5, '0.4', 'torch'), chapter.finish()",
        "Without": "chapter.load('mnist')",
        "Broken": "raise KeyError('lost')",
    }
    for number, (title, body) in enumerate(bodies.items(), 91):
        text = f"from gdl_numpy.chapter import Chapter\nchapter = Chapter({number}, '{title}')\n{body}\n"
        (tmp_path / f"ch{number}_test.py").write_text(text)
    scripts = sorted(tmp_path.glob("ch*.py"))
    arguments = ["--data-dir", str(tmp_path / "none"), "--plot", str(tmp_path)]

    monkeypatch.setitem(module["main"].__globals__, "SCRIPTS", scripts)
    assert module["main"](arguments) == 1
    out = capsys.readouterr().out
    for words in (
        ["91 │ Right", "1 of 1 │      – │      1 │"],
        ["92 │ Wrong", "0 of 1"],
        ["93 │ Without"],
        ["94 │ ch94_test.py"],
    ):
        assert [line for line in out.splitlines() if all(word in line for word in words)], (words, out)
    assert "skipped: needs mnist" in out
    assert "failed: KeyError: 'lost'" in out

    monkeypatch.setitem(module["main"].__globals__, "SCRIPTS", [scripts[0], scripts[2]])
    assert module["main"](arguments) == 0


@pytest.mark.parametrize(
    "arguments", [["ch03"], ["--x"], ["ch03", "--x"], ["--passes", "0"], ["--json", "f"]]
)
def test_run_all_refuses_at_once_what_no_chapter_takes(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    main = runpy.run_path(str(FOLDER / "run_all.py"))["main"]
    monkeypatch.setitem(main.__globals__, "run_chapter", None)
    assert main(arguments) == 2
    captured = capsys.readouterr()
    (line,) = captured.err.splitlines()
    assert line.startswith("run_all.py: ")
    assert captured.out == ""


@pytest.mark.parametrize(("encoding", "sign"), [("utf-8", "≠"), ("cp1252", "?")])
def test_run_all_says_what_it_can_on_any_terminal(
    encoding: str, sign: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a chapter says of itself is text: no markup, and no reason to lose all the others' lines."""
    main = runpy.run_path(str(FOLDER / "run_all.py"))["main"]
    title = "A ≠ B and [/b]"
    row = {"chapter": 91, "title": title, "skipped": "", "NumPy": [1, 1], "torch": [0, 0]}
    row |= {"not_run": [], "errata": []}
    monkeypatch.setitem(main.__globals__, "SCRIPTS", SCRIPTS[:1])
    monkeypatch.setitem(main.__globals__, "run_chapter", lambda *_: (row, "[/red] went wrong"))
    stream = io.TextIOWrapper(io.BytesIO(), encoding)
    monkeypatch.setattr(sys, "stdout", stream)
    assert main([]) == 1
    stream.flush()
    out = stream.buffer.getvalue().decode(encoding)
    assert f"A {sign} B and [/b]" in out
    assert "failed: [/red] went wrong" in out


def test_errors_are_cut_as_chapter_8_prints_them() -> None:
    assert [cut(value) for value in (0.72249, 1.0, 12.3456)] == ["0.722", "1.0", "12.34"]
