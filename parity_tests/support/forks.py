"""Processes in which everything is imported already: to fork one takes milliseconds, to start one seconds.

The scripts run in them as people run them, in one thread and without the suite's run-time checks of types.
A process that is to be killed, or that may run out of memory, is one of these.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.context import ForkServerProcess
    from pathlib import Path

# Another number of threads sums in another order, and not to the same bits.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
IMPORTED = [
    "matplotlib.backends.backend_agg",
    "gdl_torch.__main__",
    "gdl_torch.generation",
    "gdl_torch.training",
    "parity_tests.support.damage_runs",
    "parity_tests.support.kills",
]
STDOUT, STDERR = 1, 2

needs_forks = pytest.mark.skipif(os.name == "nt", reason="forks and kills processes as POSIX has it")


def fork(target: Callable[..., object], *arguments: Any) -> ForkServerProcess:
    """Starts `target` in a process of its own; the first call takes as long as all the imports."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(IMPORTED)
    with pytest.MonkeyPatch.context() as patch:
        for variable, value in ONE_THREAD.items():
            patch.setenv(variable, value)
        process = context.Process(target=target, args=arguments, daemon=True)
        process.start()
    return process


def do_imports() -> None:
    """So that what comes first takes no longer than what comes later."""
    fork(int).join()


def send_output_to(path: Path, descriptor: int) -> None:
    """Makes a file of what this process prints to a descriptor from now on, whoever in it prints."""
    sys.stdout.flush()
    sys.stderr.flush()
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(file, descriptor)
    os.close(file)
