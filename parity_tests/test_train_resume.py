"""`scripts/train.py --resume`: to the bits of a run that was left in peace, and only with the same run."""

from __future__ import annotations

import json
import os
import shlex
import signal
import sys
import time
from textwrap import dedent
from typing import TYPE_CHECKING, Any

import pytest

from parity_tests.support.forks import needs_forks, start
from parity_tests.support.train_script import (
    SCRIPT,
    SMALL_TEXT,
    as_run,
    assert_same_weights,
    both_backends,
    saved_history,
    train,
)

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = as_run


@both_backends
def test_a_run_goes_on_only_with_the_text_that_it_began_with(
    backend: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One as long, of the same characters, is another text; the same text in another folder is the same."""
    (tmp_path / "moved").mkdir()
    text, moved = tmp_path / "story.txt", tmp_path / "moved" / "story.txt"
    line = f"{SMALL_TEXT} --batch-size 5 --chunk 20 --backend {backend} --device cpu --epochs 1"
    flags: list[Any] = [line, "--out", tmp_path / "run", "--data"]
    text.write_text("to be or not to be " * 200)
    moved.write_text("to be or not to be " * 200)
    assert train(*flags, text) == 0
    text.write_text("not to be or to be " * 200)
    capsys.readouterr()
    assert train(*flags, text, "--resume") == 2
    assert "text_sha256 was " in capsys.readouterr().err
    assert train(*flags, moved, "--resume") == 0


@both_backends
def test_resume_adds_epochs_or_says_why_not(
    backend: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two epochs and two more are four; anything but the same run, whole, is refused in one line."""
    line = f"MLP --backend {backend} --device cpu --optimizer Adam"
    assert train(line, "--epochs", 4, "--out", tmp_path / "whole") == 0
    flags: list[Any] = [line, "--out", tmp_path / "run"]
    assert train(*flags, "--epochs", 2) == 0
    capsys.readouterr()

    def refused(*words: str | int) -> str:
        assert train(*flags, "--resume", *words) == 2
        (line,) = capsys.readouterr().err.splitlines()
        return line

    assert "lr was 0.001, not 0.01" in refused("--lr", "0.01")
    assert "seed was 0, not 3" in refused("--seed", 3)
    assert "has 2 epochs already" in refused("--epochs", 1)
    assert train(*flags, "--resume", "--epochs", 4) == 0
    assert_same_weights(tmp_path / "run", tmp_path / "whole")

    capsys.readouterr()
    (checkpoint,) = (tmp_path / "run").glob("checkpoint.*")
    content = checkpoint.read_bytes()
    checkpoint.write_bytes(content[: len(content) // 2])
    assert checkpoint.name in refused("--epochs", 5)
    checkpoint.write_bytes(content)
    (tmp_path / "run" / "run.json").write_text("{")
    assert "run.json" in refused("--epochs", 5)
    checkpoint.unlink()
    assert "no run to resume" in refused("--epochs", 5)


@both_backends
def test_a_language_model_goes_on_as_if_never_stopped(
    backend: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With dropout and moments; and only on the text, in the chunks, that it began with."""
    line = f"{SMALL_TEXT} --backend {backend} --device cpu --lr-decay 0.9"
    assert train(line, "--epochs", 2, "--out", tmp_path / "whole") == 0
    flags: list[Any] = [line, "--out", tmp_path / "run"]
    assert train(*flags, "--epochs", 1) == 0
    capsys.readouterr()
    assert train(*flags, "--epochs", 2, "--resume", "--chunk", 50) == 2
    assert "chunk was 100, not 50" in capsys.readouterr().err
    assert train(*flags, "--epochs", 2, "--resume") == 0
    assert_same_weights(tmp_path / "run", tmp_path / "whole")


@pytest.mark.parametrize(
    ("backend", "number", "exit_code"),
    [
        ("numpy", signal.SIGINT, 130),
        pytest.param("numpy", signal.SIGTERM, 143, marks=pytest.mark.long),
        pytest.param("torch", signal.SIGINT, 130, marks=pytest.mark.long),
        ("torch", signal.SIGTERM, 143),
    ],
)
@needs_forks
def test_a_signal_and_the_command_that_goes_on(
    backend: str, number: signal.Signals, exit_code: int, tmp_path: Path
) -> None:
    """A command that works as printed, and in the end the weights of a run left in peace."""
    line = f"CNN --channels 8,8 --backend {backend} --device cpu --epochs 6"
    words = [str(SCRIPT), *line.split(), "--out", str(tmp_path / "run")]
    process, error = start(words, tmp_path)
    history = tmp_path / "run" / "history.json"
    while process.is_alive() and not (history.exists() and json.loads(history.read_text())):
        time.sleep(0.01)
    assert process.pid is not None
    os.kill(process.pid, number)
    process.join(60)
    err = error.read_text()
    assert process.exitcode == exit_code, err
    *_, said, printed = err.splitlines()
    assert "Traceback" not in err
    epochs = len(json.loads(history.read_text()))
    assert 0 < epochs < 6
    assert said == f"Interrupted; whole epochs saved in {tmp_path / 'run'}: {epochs}. To go on:"
    assert len(saved_history(backend, tmp_path / "run")) == epochs
    python, *again = shlex.split(printed)
    assert (python, again) == (sys.executable, [*words, "--resume"])
    process, _ = start(again, tmp_path)
    process.join(60)
    assert process.exitcode == 0
    assert train(line, "--out", tmp_path / "whole") == 0
    assert_same_weights(tmp_path / "run", tmp_path / "whole")


@pytest.mark.parametrize("backend", ["numpy", pytest.param("torch", marks=pytest.mark.long)])
@needs_forks
def test_a_full_disk_costs_one_epoch(backend: str, tmp_path: Path) -> None:
    """The first file that does not fit is named, and what is saved; with room again, the run goes on."""
    out = tmp_path / "run"
    line = f"MLP --optimizer Adam --backend {backend} --device cpu --out {out} --epochs"
    assert train(line, 1) == 0
    (tmp_path / "on_a_full_disk.py").write_text(
        dedent("""
        import resource, runpy, sys
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
        sys.argv = sys.argv[1:]
        runpy.run_path(sys.argv[0], run_name="__main__")
        """)
    )
    words = [str(tmp_path / "on_a_full_disk.py"), str(SCRIPT), *line.split(), "3", "--resume"]
    process, err = start(words, tmp_path)
    process.join(60)
    assert process.exitcode == 2
    assert "Traceback" not in err.read_text()
    *_, said, _, error = err.read_text().splitlines()
    assert said == f"Interrupted; whole epochs saved in {out}: 1. To go on:"
    (checkpoint,) = out.glob("checkpoint.*")
    assert error == f"train.py: {checkpoint}: File too large"
    assert train(line, 3, "--resume") == 0
    assert train(line.replace(str(out), str(tmp_path / "whole")), 3) == 0
    assert_same_weights(out, tmp_path / "whole")


@both_backends
def test_what_came_after_the_last_checkpoint_is_made_up_for(backend: str, tmp_path: Path) -> None:
    """A kill between the checkpoint and the history, which is then one epoch behind, or has none."""
    line = f"MLP --backend {backend} --device cpu --out {tmp_path} --epochs 2"
    assert train(line) == 0
    history, table = tmp_path / "history.json", tmp_path / "history.csv"
    expected = history.read_text(), table.read_text()
    for old in ("[]\n", json.dumps(json.loads(expected[0])[:1])):
        history.write_text(old)
        table.unlink()
        assert train(line, "--resume") == 0
        assert (history.read_text(), table.read_text()) == expected


def test_a_run_from_before_the_loss_was_called_loss(tmp_path: Path) -> None:
    """Its settings say `loss_name`, and nothing of a temperature that was the usual one."""
    flags: list[Any] = [
        "ContrastiveEncoder --hidden-features 8 --projection-features 4 --out",
        tmp_path,
        "--epochs",
    ]
    assert train(*flags, 1) == 0
    settings = json.loads((tmp_path / "run.json").read_text())
    old = settings | {"loss_name": settings.pop("loss"), "temperature": None, "margin": None}
    (tmp_path / "run.json").write_text(json.dumps(old))
    assert train(*flags, 2, "--resume") == 0
    assert train(*flags, 3, "--resume", "--temperature", 0.1) == 2


@pytest.mark.parametrize(
    "settings", ["{}", "[1]", "[[1, 2]]", "null", '{"task": 1}', '{"loss_name": "NTXentLoss"}', "\xff"]
)
def test_settings_that_are_no_settings(
    settings: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A damaged run.json is refused in one line."""
    (tmp_path / "checkpoint.safetensors").touch()
    (tmp_path / "run.json").write_text(settings, encoding="latin-1")
    assert train("MLP --resume --out", tmp_path) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("train.py: ")
