"""SIGHUP, as when a terminal is closed, is SIGTERM with another exit code: what can be saved is saved."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest

from parity_tests.support.train_script import SCRIPT, saved_history, train, weights

termios = pytest.importorskip("termios", reason="closes terminals as POSIX has them")
ROOT = Path(__file__).parents[1]
HANGUP = 129
FLAGS = "--hidden-features 64 --batch-size 5 --device cpu"
# In a session of its own, whose terminal stdin is: that is who is told when it is closed, also under nohup.
START = """
import fcntl, os, signal, sys, termios
signal.signal(signal.SIGHUP, signal.SIG_DFL)
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


def read_until(terminal: int, words: bytes, patience: float = 120) -> bytes:
    """What is shown on a terminal until certain words are, or an end."""
    shown, end = b"", time.monotonic() + patience
    while words not in shown and time.monotonic() < end:
        if select.select([terminal], [], [], 1)[0]:
            shown += os.read(terminal, 4096)
    return shown


@pytest.mark.parametrize("backend", ["numpy", pytest.param("torch", marks=pytest.mark.long)])
def test_a_run_whose_terminal_is_closed_can_go_on(backend: str, tmp_path: Path) -> None:
    """The last whole epoch is saved, and nothing is said to a terminal that is gone."""
    out, flags = tmp_path / "run", f"{FLAGS} --backend {backend}"
    terminal, end = os.openpty()
    termios.tcsetwinsize(end, (24, 80))
    command = [str(SCRIPT), "MLP", *flags.split(), "--epochs", "100", "--out", str(out)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-c", START, *command],
        stdin=end,
        stdout=end,
        stderr=end,
        env=environment,
        start_new_session=True,
    )
    os.close(end)
    try:
        first, second = (b"epoch 2", b"epoch 3") if backend == "numpy" else (b"Epoch 1", b"Epoch 2")
        shown = read_until(terminal, first) + read_until(terminal, second)
        assert second in shown, shown
        os.close(terminal)
        assert process.wait(60) == HANGUP
    finally:
        process.kill()
    whole = len(saved_history(backend, out))
    assert 2 <= whole < 100
    assert (out / "history.csv").read_text().count("\n") == whole + 1
    assert train(f"MLP {flags} --epochs {whole + 1} --resume", "--out", out) == 0
    assert weights(out)
