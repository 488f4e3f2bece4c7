"""Ctrl-C and SIGTERM, whenever they come: an orderly end with its exit code, and never a traceback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from gdl_numpy.interrupts import CTRL_C, TERMINATED
from parity_tests.support import digits_checkpoint

if TYPE_CHECKING:
    from collections.abc import Sequence

pytestmark = pytest.mark.skipif(os.name == "nt", reason="sends signals")

ROOT = Path(__file__).parents[1]
# Each takes some seconds, in the end for tables and pictures.
LINES = {
    "train": "scripts/train.py CNN --epochs 3 --out run --overwrite",
    "train by torch": "scripts/train.py CNN --epochs 3 --out run --overwrite --backend torch --device cpu",
    "compare": "scripts/compare.py MLP --device cpu --json found.json --plot .",
    "benchmark": "scripts/benchmark.py mlp --seconds 1",
    "detection": "scripts/detection.py random --count 50",
    "gradient_flow": "scripts/gradient_flow.py --training-steps 20",
    "federated": "scripts/federated.py --rounds 20 --out run --overwrite",
    "fetch_data": "scripts/fetch_data.py digits",
    "export": "-m gdl_torch.export x.ckpt",
    "gdl_torch": "-m gdl_torch fit --model MLP --data DigitsDataModule --trainer.max_epochs 5 "
    "--trainer.accelerator cpu",
    "a chapter": "scripts/chapters/ch03_prediction.py --plot .",
}
# Python's own start, in which there is no saying what Ctrl-C does.
OURS = 0.15


def run(line: str, folder: Path, seconds: float | None, number: signal.Signals) -> tuple[int, str, float]:
    """Runs a command line, and sends it a signal after some seconds.

    Returns:
        its exit code, what it said on stderr, and how long it took.
    """
    words = [str(ROOT / word) if word.startswith("scripts/") else word for word in line.split()]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    heed = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # which jobs in the background ignore
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, *words],
        cwd=folder,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heed,
    )
    if seconds is not None:
        time.sleep(seconds)
        process.send_signal(number)
    _, error = process.communicate(timeout=120)
    return process.returncode, error, time.perf_counter() - start


def assert_ends_in_order(line: str, folder: Path, moments: Sequence[float]) -> None:
    """At each moment, as a part of the time that the command takes."""
    code, error, duration = run(line, folder, None, signal.SIGINT)
    assert code == 0, error
    for moment in moments:
        seconds = OURS + moment * (duration - OURS)
        for number, expected in ((signal.SIGINT, CTRL_C), (signal.SIGTERM, TERMINATED)):
            code, error, _ = run(line, folder, seconds, number)
            # SIGTERM in the imports ends a process in the system's way; who is done heeds nothing.
            assert code in (expected, -number, 0), (line, moment, number, code, error)
            assert "Traceback" not in error, (line, moment, number, error)


def test_a_command_ends_in_order(tmp_path: Path) -> None:
    """In its imports: that is where this one is, most of the time."""
    assert_ends_in_order(LINES["fetch_data"], tmp_path, [0.5])


@pytest.mark.long
@pytest.mark.parametrize("name", LINES)
def test_any_command_ends_in_order(name: str, tmp_path: Path) -> None:
    """At ten moments, of the whole time."""
    digits_checkpoint(tmp_path).rename(tmp_path / "x.ckpt")
    assert_ends_in_order(LINES[name], tmp_path, np.linspace(0, 1, 10).tolist())
