"""Processes that end with this one, with all that they have started: Flower's start others, and those again.

Each carries a mark in its environment, which those that it starts inherit. Linux tells the environments of
processes, so that none is overlooked, whoever is its parent by then. Where ours is killed itself, `keeper`
ends them on Linux; elsewhere they see it and end by themselves (`alive`, and Flower's own watch).
"""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from gdl_numpy.federated.flower import EngineError, alive
from gdl_numpy.federated.flower.keeper import marked_with
from gdl_numpy.messages import as_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

MARK = "GDL_FEDERATED_PROCESSES"
PATIENCE = 3.0  # seconds in which processes may end by themselves


class Processes:
    """A context in which processes run; none of them outlives it.

    Args:
        logs: folder of a file for each, with what it says.

    Raises:
        EngineError: when it begins, and another has processes with the same logs.
    """

    def __init__(self, logs: Path) -> None:
        self.logs = logs
        self.mark = f"{MARK}={secrets.token_hex(16)}"
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.keeper: subprocess.Popen[bytes] | None = None
        self.alive = FileLock(logs.resolve() / "alive.lock", timeout=PATIENCE)

    def __enter__(self) -> Processes:
        try:
            self.alive.acquire()
        except Timeout:
            raise EngineError(f"another run has its processes in {self.logs}") from None
        if sys.platform == "linux":
            command = [
                sys.executable,
                "-m",
                "gdl_numpy.federated.flower.keeper",
                self.alive.lock_file,
                self.mark,
            ]
            null = subprocess.DEVNULL
            self.keeper = subprocess.Popen(
                command, stdin=null, stdout=null, stderr=null, start_new_session=True
            )
        return self

    def __exit__(self, kind: type[BaseException] | None, value: object, trace: TracebackType | None) -> None:
        self.stop()
        self.alive.release()
        if self.keeper is not None:
            self.keeper.wait()

    def start(self, name: str, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Starts a process.

        Args:
            name: also of its log.
            command: a program of the environment that this one runs in, and its arguments.
            environment: what it has besides this one's.

        Raises:
            OSError: its log cannot be written.
        """
        bin_folder = str(Path(sys.executable).parent)
        variables = {**os.environ, **environment, MARK: self.mark.partition("=")[2]}
        variables[alive.VARIABLE] = str(Path(self.alive.lock_file).resolve())
        variables["PATH"] = os.pathsep.join([bin_folder, os.environ.get("PATH", "")])
        with self.log(name).open("wb") as log:
            # A session of its own: Ctrl-C is for this process, which then ends the others.
            self.running[name] = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=variables,
                start_new_session=True,
            )  # fmt: skip

    def log(self, name: str) -> Path:
        """The file with what a process says."""
        return self.logs / f"{name.replace(' ', '-')}.log"

    def last_words(self, name: str) -> str:
        """The last line that a process has said, or all lines of the last frame."""
        lines = self.log(name).read_text(errors="replace").splitlines()
        _, opened, framed = "\n".join(lines).rpartition("╭")
        said = framed.splitlines()[1:] if opened else lines
        words = [line.strip("│╰╯─ ") for line in said if line.strip("│╰╯─ ")]
        return as_line(" ".join(words) if opened else words[-1]) if words else "it said nothing"

    def ended(self, name: str) -> int | None:
        """The exit code of a process; None while it runs."""
        return self.running[name].poll()

    def marked(self) -> list[int]:
        """Every process that was started here, or by one that was: on Linux all, elsewhere the first ones."""
        for process in self.running.values():
            process.poll()  # so that those that ended are not counted
        if sys.platform != "linux":
            return [process.pid for process in self.running.values() if process.returncode is None]
        return marked_with(self.mark)

    def stop(self) -> None:
        """Ends all processes, and returns when there is none."""
        for process in self.running.values():
            with suppress(ProcessLookupError):
                process.terminate()
        deadline = time.monotonic() + PATIENCE
        while left := self.marked():
            if time.monotonic() > deadline:
                for number in left:
                    with suppress(ProcessLookupError):
                        os.kill(number, signal.SIGKILL)
            time.sleep(0.05)
        for process in self.running.values():
            process.wait()
