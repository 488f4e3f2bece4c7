"""What comes after the work loses none of it: places are tried before, and what fails is one line."""

from __future__ import annotations

import errno
import json
import os
import runpy
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from matplotlib.figure import Figure

from gdl_numpy.checkpoint import save_model
from gdl_numpy.data import Vocabulary, load
from gdl_numpy.files import check_file, check_folder, check_json, naming, save_figure, write_json
from gdl_numpy.models import ContrastiveEncoder, LSTMLanguageModel

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.usefixtures("unchecked_types")  # as people run it, for whom time counts

SCRIPTS = Path(__file__).parent.parent / "scripts"
COMPARE = ("compare.py", "MLP", "--steps", "2", "--batch-size", "20", "--device", "cpu", "--dtype", "float32")
DOWNSTREAM = (
    "downstream.py",
    "FOLDER/encoder.safetensors",
    "--steps",
    "0",
    "--draws",
    "1",
    "--labels",
    "10%",
)
GRADIENT_FLOW = ("gradient_flow.py", "--checkpoint", "FOLDER/writer.safetensors", "--steps", "2")
FEDERATED = ("federated.py", "--rounds", "1", "--participants", "2")
BENCHMARK = ("benchmark.py", "mlp")
FAST: dict[str, dict[str, Any]] = {  # what takes time in a script, by the names that it has there
    "compare.py": {"TURN": 1e-3, "PAUSE": 0.0},
    "gradient_flow.py": {"SIZES": {"embedding_dim": 4, "hidden_size": 8}, "CLIPPED_STEPS": 2},
}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Runs a script in this process, where FOLDER is one with small models; returns its exit code."""
    save_model(tmp_path / "encoder.safetensors", ContrastiveEncoder((1, 8, 8), (), (8,), (4,), rng=0))
    vocabulary = Vocabulary.build(load("python_docs").train)
    writer = LSTMLanguageModel(len(vocabulary), 4, 8, rng=0)
    save_model(tmp_path / "writer.safetensors", writer, vocabulary)

    def run(script: str, *words: str, **names: Any) -> int:
        monkeypatch.setattr(sys, "argv", [script])
        found = runpy.run_path(str(SCRIPTS / script))
        for variable in found.get("FORCED", ()):  # benchmark.py would start anew without them
            monkeypatch.delenv(variable, raising=False)
        for name, value in {**FAST.get(script, {}), **names}.items():
            monkeypatch.setitem(found["app"].registered_commands[0].callback.__globals__, name, value)
        arguments = [word.replace("FOLDER", str(tmp_path)) for word in words]
        if "main" in found and script != "benchmark.py":
            code: int = found["main"](arguments)
        else:
            code = found["run"](found["app"], script, arguments)
        return code

    return run


def no_work(*_: Any) -> None:
    raise AssertionError("it worked before it looked")


@pytest.mark.parametrize(
    ("words", "option", "work"),
    [
        (COMPARE, "--json", "compare_pair"),
        (COMPARE, "--plot", "compare_pair"),
        (DOWNSTREAM, "--json", "try_all"),
        (DOWNSTREAM, "--out", "try_all"),
        (GRADIENT_FLOW, "--out", "load"),
        (FEDERATED, "--out", "train_centralised"),
        (BENCHMARK, "--json", "measure"),
    ],
    ids=lambda words: words[0] if isinstance(words, tuple) else words,
)
def test_where_nothing_can_be_written_no_work_is_done(
    words: tuple[str, ...],
    option: str,
    work: str,
    run: Callable[..., int],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One line names the place and the option. A file in the way stops the superuser too."""
    place = tmp_path / "encoder.safetensors" / "report.json"
    assert run(*words, option, str(place), **{work: no_work}) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    expected = f"{words[0]}: cannot write to {place} (Not a directory): choose another with {option}\n"
    assert captured.err == expected


@pytest.mark.parametrize("option", ["--json", "--plot"])
def test_chapters_look_first_as_well(
    option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(sys, "argv", ["ch03.py", option, str(tmp_path / "file" / "report")])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(SCRIPTS / "chapters" / "ch03_prediction.py"), run_name="__main__")
    assert end.value.code == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.endswith(f"(Not a directory): choose another with {option}\n")


def full(*_: Any, **__: Any) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize(
    ("words", "table", "picture"),
    [
        ((*COMPARE, "--plot", "FOLDER/new", "--json", "FOLDER/a.json"), "All agree", "new/mlp-digits.png"),
        (
            (*DOWNSTREAM, "--out", "FOLDER/new", "--json", "FOLDER/a.json"),
            "linear probe",
            "new/embedding.png",
        ),
        ((*GRADIENT_FLOW, "--out", "FOLDER/new"), "writer, h", "new/gradient-flow.png"),
    ],
    ids=["compare.py", "downstream.py", "gradient_flow.py"],
)
def test_a_full_disk_loses_a_picture_and_no_result(
    words: tuple[str, ...],
    table: str,
    picture: str,
    run: Callable[..., int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The table is printed and the JSON written; the line names the picture, and nothing of it is left."""
    monkeypatch.setattr(Figure, "savefig", full)
    assert run(*words) == 2
    captured = capsys.readouterr()
    assert table in captured.out
    assert captured.err == f"{words[0]}: cannot write {tmp_path / picture} (No space left on device)\n"
    assert list((tmp_path / "new").iterdir()) == []
    if "--json" in words:
        assert json.loads((tmp_path / "a.json").read_text())


@pytest.mark.parametrize(("words", "table"), [(COMPARE, "All agree"), (DOWNSTREAM, "linear probe")])
def test_a_full_disk_loses_the_json_and_no_table(
    words: tuple[str, ...],
    table: str,
    run: Callable[..., int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What was in its place is kept."""
    (tmp_path / "a.json").write_text('"of the run before"')
    monkeypatch.setattr(Path, "write_text", full)
    assert run(*words, "--json", "FOLDER/a.json") == 2
    captured = capsys.readouterr()
    assert table in captured.out
    assert captured.err == f"{words[0]}: cannot write {tmp_path / 'a.json'} (No space left on device)\n"
    assert (tmp_path / "a.json").read_text() == '"of the run before"'


def test_a_chapter_goes_on_without_its_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its last line and its JSON are written all the same; the exit code is 2."""
    summary = tmp_path / "a.json"
    words = ["ch03.py", "--json", str(summary), "--plot", str(tmp_path / "new")]
    monkeypatch.setattr(sys, "argv", words)
    monkeypatch.setattr(Figure, "savefig", full)
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(SCRIPTS / "chapters" / "ch03_prediction.py"), run_name="__main__")
    assert end.value.code == 2
    captured = capsys.readouterr()
    assert "published values reproduced: NumPy 11 of 11" in captured.out
    assert (
        captured.err
        == f"ch03_prediction.py: cannot write {tmp_path / 'new' / 'ch03.png'} (No space left on device)\n"
    )
    assert json.loads(summary.read_text())["pictures"] == []


@pytest.mark.parametrize("check", [check_file, check_folder], ids=["file", "folder"])
def test_a_place_is_tried_by_writing_there(
    check: Callable[[str, Path | None], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Folders are made, and nothing else; that one may be read tells nothing of writing."""
    check("--json", tmp_path / "new" / "place")
    check("--json", None)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []

    def forbidden(*_: Any, **__: Any) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(tempfile, "TemporaryFile", forbidden)
    monkeypatch.setattr(tempfile, "NamedTemporaryFile", forbidden)
    place = tmp_path / "place"
    with pytest.raises(ValueError, match=r"cannot write to .*place \(Permission denied\): .* with --json$"):
        check("--json", place)


def test_a_file_is_no_folder_and_has_a_name_that_is_not_too_long(tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text("of the run before")
    check_file("--json", tmp_path / "report.json")
    assert (tmp_path / "report.json").read_text() == "of the run before"
    with pytest.raises(ValueError, match=r"\(Is a directory\)"):
        check_file("--json", tmp_path)
    with pytest.raises(ValueError, match=r"\(File name too long\)"):
        check_file("--json", tmp_path / ("a" * 250 + ".json"))
    with pytest.raises(ValueError, match=r"\(Not a directory\)"):
        check_folder("--out", tmp_path / "report.json")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError("odd"), "odd"),
        (ValueError("two\n  lines"), "two lines"),
        (RuntimeError("no glyph"), "no glyph"),
        (MemoryError(), "MemoryError"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_whatever_goes_wrong_is_a_line_that_names_the_file(error: Exception, reason: str) -> None:
    with pytest.raises(ValueError) as refusal, naming("a.png"):  # noqa: PT011 (compared in full)
        raise error
    assert str(refusal.value) == f"cannot write a.png ({reason})"


def test_what_is_no_json_leaves_the_file_before(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, [1])
    with pytest.raises(TypeError):
        write_json(path, [object()])
    assert json.loads(path.read_text()) == [1]
    assert list(tmp_path.iterdir()) == [path]


def test_json_takes_the_place_of_json_only(tmp_path: Path) -> None:
    """A checkpoint, or somebody's notes, given to --json are a slip of the hand."""
    path = tmp_path / "report.json"
    for content in (b"", b'{"rows": []}\n'):
        path.write_bytes(content)
        check_json(path)
    for content in (b"notes", b"\x08\x00\x00\x00\x00\x00\x00\x00{}      ", b"[" * 100_000):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"report\.json is there, and is no JSON"):
            check_json(path)
        assert path.read_bytes() == content


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_a_picture_takes_the_place_of_ours_only(suffix: str, tmp_path: Path) -> None:
    """A user's picture may be called as one of ours."""
    path, figure = tmp_path / f"words{suffix}", Figure()
    save_figure(figure, path)
    figure.suptitle("again")
    save_figure(figure, path)
    path.write_bytes(b"a photograph")
    with (
        pytest.raises(ValueError, match=r"cannot write .*words\..* is no picture of this program"),
        naming(path),
    ):
        save_figure(figure, path)
    assert path.read_bytes() == b"a photograph"
    save_figure(figure, path, replace=True)
    assert path.read_bytes() != b"a photograph"


def test_what_a_killed_process_left_goes_with_the_next_write(tmp_path: Path) -> None:
    """If nobody has written to it for an hour, nobody will."""
    old, new, other = (tmp_path / f".{name}.json" for name in ("a-0123abcd", "a-4567abcd", "b-0123abcd"))
    for path in (old, new, other):
        path.write_text("{")
    for path in (old, other):
        os.utime(path, (0, 0))
    write_json(tmp_path / "a.json", {})
    assert sorted(path.name for path in tmp_path.iterdir()) == [new.name, other.name, "a.json"]
