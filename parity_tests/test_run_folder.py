"""The folder of a run: whose files are in it, and who may write there."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from filelock import FileLock

from gdl_numpy.files import replacing
from gdl_numpy.run_folder import FILES, LOCK, RESULTS, holding

if TYPE_CHECKING:
    from pathlib import Path

SETTINGS = {"model": "MLP", "data": "digits", "backend": "numpy", "seed": 1}


def start(out: Path, overwrite: bool = False) -> None:
    with holding(out, SETTINGS, resume=False, overwrite=overwrite):
        pass


def contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir() if path.name != LOCK}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_users_own_file_is_never_written_over(name: str, overwrite: bool, tmp_path: Path) -> None:
    """What no run has left may be anybody's, whatever its name, and with any flag."""
    (tmp_path / name).write_text('{"model": "my own"}')
    with pytest.raises(ValueError, match=f"holds {name}, and no run.json"):
        start(tmp_path, overwrite)
    assert contents(tmp_path) == {name: '{"model": "my own"}'}


@pytest.mark.parametrize(
    "other",
    [{"model": 1}, {"model": "resnet18"}, {"data": ["a.csv"]}, {"backend": "jax"}, {"seed": None}],
    ids=str,
)
def test_a_users_own_run_json_is_not_taken_for_a_runs(other: dict[str, object], tmp_path: Path) -> None:
    """Others, too, say in it which model, data and backend they have."""
    theirs = {"run.json": json.dumps(SETTINGS | other), "history.csv": "mine"}
    for name, text in theirs.items():
        (tmp_path / name).write_text(text)
    for overwrite in (False, True):
        with pytest.raises(ValueError, match=r"and no run\.json of a run"):
            start(tmp_path, overwrite)
    assert contents(tmp_path) == theirs


def test_starting_over_takes_away_the_old_run_and_nothing_else(tmp_path: Path) -> None:
    """A model or a plot of the old run, beside the new run's history, would be taken for the new one's."""
    start(tmp_path)
    mine = ["best.jpg", "checkpoint.tar.gz", "checkpoint.safetensors.bak", "notes.txt", "model.pt"]
    for name in [*RESULTS, *mine]:
        (tmp_path / name).write_text("old")
    with pytest.raises(ValueError, match="holds a run already"):
        start(tmp_path)
    start(tmp_path, overwrite=True)
    assert contents(tmp_path).keys() == {*mine, "run.json", "history.json", "history.csv"}


def test_a_folder_in_the_place_of_a_file_is_found_before_anything_is_removed(tmp_path: Path) -> None:
    start(tmp_path)
    (tmp_path / "checkpoint.ckpt").write_text("old")
    (tmp_path / "history.png").mkdir()
    with pytest.raises(ValueError, match=r"history\.png is a folder"):
        start(tmp_path, overwrite=True)
    assert (tmp_path / "checkpoint.ckpt").read_text() == "old"


@pytest.mark.parametrize("name", RESULTS)
def test_any_result_is_a_run(name: str, tmp_path: Path) -> None:
    start(tmp_path)
    start(tmp_path)  # nothing of worth yet: a run that was stopped at once may begin again
    (tmp_path / name).write_text("all that was kept of a run")
    with pytest.raises(ValueError, match="holds a run already: --resume"):
        start(tmp_path)


def test_a_kill_while_starting_over_leaves_a_folder_that_can_be_started_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start(tmp_path)
    (tmp_path / "checkpoint.ckpt").write_text("old")

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    for function in ("unlink", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(os, function, killed)
            with pytest.raises(KeyboardInterrupt):
                start(tmp_path, overwrite=True)
        assert json.loads((tmp_path / "run.json").read_text()) == SETTINGS
    start(tmp_path, overwrite=True)


def test_two_runs_in_one_folder(tmp_path: Path) -> None:
    """The second one is refused, also when it would resume; a killed one keeps nobody out."""
    program = (
        "import sys, time; from pathlib import Path; from gdl_numpy.run_folder import holding\n"
        f"with holding(Path(sys.argv[1]), {SETTINGS}, resume=False, overwrite=False):\n"
        "    print('in', flush=True); time.sleep(60)"
    )
    other = subprocess.Popen([sys.executable, "-c", program, tmp_path], stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == "in\n"
        (tmp_path / "checkpoint.safetensors").write_text("the other's")
        for resume in (False, True):
            with (
                pytest.raises(ValueError, match="another run is going on"),
                holding(tmp_path, SETTINGS, resume=resume, overwrite=not resume),
            ):
                pass
    finally:
        other.kill()
        other.communicate()
    with holding(tmp_path, SETTINGS, resume=True, overwrite=False):
        assert (tmp_path / "checkpoint.safetensors").read_text() == "the other's"


def test_a_run_that_another_one_has_left_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the first look at the folder and its lock."""
    start(tmp_path)

    def acquire(lock: FileLock, **_: object) -> FileLock:
        (tmp_path / "model.safetensors").write_text("the other's")
        return lock

    monkeypatch.setattr(FileLock, "acquire", acquire)
    with pytest.raises(ValueError, match="holds a run already"):
        start(tmp_path)
    assert (tmp_path / "model.safetensors").read_text() == "the other's"


def test_a_file_system_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Is one that people train on; they are told."""

    def none(*_: object, **__: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(FileLock, "acquire", none)
    with pytest.warns(UserWarning, match="has no locks"):
        start(tmp_path)
    assert (tmp_path / "run.json").exists()


def test_what_killed_runs_left_is_removed_by_the_next(tmp_path: Path) -> None:
    """Of files that a run writes, and of no others."""
    start(tmp_path)
    for name in FILES:
        with replacing(tmp_path / name) as temporary:
            temporary.touch()
            os.link(temporary, keep := temporary.with_name(temporary.name + ".kept"))
        keep.rename(temporary)
        (tmp_path / name).unlink()
        assert temporary.exists()
    start_settings = json.dumps(SETTINGS)
    (tmp_path / "run.json").write_text(start_settings)
    mine = [".notes-0123abcd.txt", ".model-0123abc.safetensors", "best-0123abcd.ckpt"]
    for name in mine:
        (tmp_path / name).write_text("mine")
    start(tmp_path)
    assert contents(tmp_path).keys() == {*mine, "run.json", "history.json", "history.csv"}


def test_an_error_names_the_file_and_not_the_temporary_one(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No space left") as caught, replacing(tmp_path / "x.json"):
        raise OSError(28, "No space left on device")
    assert caught.value.filename == str(tmp_path / "x.json")
    with pytest.raises(OSError, match="gone") as caught, replacing(tmp_path / "x.json"):
        raise FileNotFoundError(2, "gone", "another.txt")
    assert caught.value.filename == "another.txt"
