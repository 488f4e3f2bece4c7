"""Processes in which everything is imported already: to fork one takes milliseconds, to start one seconds.

The scripts run in them as people run them, in one thread and without the suite's run-time checks of types.
A process that is to be killed, or that may run out of memory, is one of these.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import signal
import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
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

needs_forks = pytest.mark.forks


def fork(target: Callable[..., object], *arguments: Any, daemon: bool = True) -> ForkServerProcess:
    """Starts `target` in a process of its own; the first call takes as long as all the imports.

    Args:
        target: can be imported, as can the class of each argument.
        arguments: its own.
        daemon: whether it ends with this process, and starts none itself.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(IMPORTED)
    with pytest.MonkeyPatch.context() as patch:
        for variable, value in ONE_THREAD.items():
            patch.setenv(variable, value)
        process = context.Process(target=target, args=arguments, daemon=daemon)
        process.start()
    return process


def start(
    words: Sequence[str], folder: Path, *, daemon: bool = True, **environment: str
) -> tuple[ForkServerProcess, Path]:
    """Starts a command line, of `python` and what comes after it, in a folder.

    Args:
        words: "-m" and a module's name, or a script; and the arguments.
        folder: where it runs.
        daemon: as of `fork`.
        environment: variables of its own.

    Returns:
        the process, and the file with what it says on stderr.
    """
    error = folder / "stderr.txt"
    return fork(_run, list(words), folder, environment, error, daemon=daemon), error


def _run(words: list[str], folder: Path, environment: dict[str, str], error: Path) -> None:
    send_output_to(error, STDERR)
    os.chdir(folder)
    os.environ.update(environment)
    sys.orig_argv = [sys.executable, *words]
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which jobs in the background ignore
    if words[0] == "-m":
        sys.argv = words[1:]
        sys.modules.pop(f"{words[1]}.__main__", None)  # imported already, of which runpy would warn
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = words
        runpy.run_path(words[0], run_name="__main__")


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
