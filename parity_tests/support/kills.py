"""Training runs that are killed, at a moment or at a rename, and go on; and what must have come of them."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parity_tests.support.forks import ONE_THREAD, STDERR, STDOUT, do_imports, fork, send_output_to
from parity_tests.support.train_script import SCRIPT, script

ROOT = SCRIPT.parents[1]
TEMPORARY = re.compile(r"\..*-[0-9a-f]{8}(\.\w+)?")  # as `files.replacing` names them
PATIENCE = 240  # seconds that a run may take on a busy machine


@dataclass(frozen=True)
class AtRename:
    """SIGKILL in the moment before or after one of this process's renames.

    Where a rename fails because it would be to another file system, the moment after is within the copy that
    is made instead.

    Attributes:
        n: which, counted from 1.
        before: or after.
        name: count only those that give a file this name.
    """

    n: int
    before: bool
    name: str | None = None

    def arm(self) -> None:
        """Makes it come, in this process."""
        count = 0

        def deadly(rename: Any) -> Any:
            def renamed(source: Any, target: Any, **more: Any) -> None:
                nonlocal count
                is_counted = self.name in (None, Path(target).name)
                count += is_counted
                is_now = is_counted and count == self.n
                if is_now and self.before:
                    die()
                try:
                    rename(source, target, **more)
                except OSError:
                    if is_now:
                        os.sendfile = die  # type: ignore[assignment]
                    raise
                if is_now:
                    die()

            return renamed

        os.replace = deadly(os.replace)
        os.rename = deadly(os.rename)


def die(*_: Any) -> Any:
    """Leaves everything as it lies."""
    os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True)
class Command:
    """A command line of `scripts/train.py`, but for --resume, and where it leaves what.

    Attributes:
        line: the model and the flags.
        out: the folder of the run.
        temporary: the system's folder of temporary files, for this run.
    """

    line: str
    out: Path
    temporary: Path

    @property
    def words(self) -> list[str]:
        """Those that go on with the run in the folder, or begin it if none has got as far as that."""
        begun = any(self.out.glob("checkpoint.*"))
        return [*self.line.split(), "--out", str(self.out), *(["--resume"] if begun else [])]

    @property
    def log(self) -> Path:
        return self.out.with_name(f"{self.out.name}.log")

    def run(self, kill: AtRename | float | None = None) -> int:
        """Runs it, or goes on with it, in a fork, until a rename or for some seconds.

        Returns:
            the exit code: the script's own, or -9 if it was killed.
        """
        process = fork(_run, self, kill if isinstance(kill, AtRename) else None)
        process.join(kill if isinstance(kill, float) else PATIENCE)
        process.kill()
        process.join()
        assert process.exitcode is not None
        return process.exitcode

    def start_and_kill(self, seconds: float) -> int:
        """Runs it in an interpreter of its own, imports included; returns as `run` does."""
        command = [sys.executable, str(SCRIPT), *self.words]
        env = os.environ | ONE_THREAD | {"PYTHONPATH": str(ROOT), "TMPDIR": str(self.temporary)}
        with (
            self.log.open("wb") as log,
            subprocess.Popen(command, env=env, stdout=log, stderr=log) as process,
        ):
            try:
                return process.wait(seconds)
            except subprocess.TimeoutExpired:
                process.kill()
                return process.wait()


def _run(command: Command, kill: AtRename | None) -> None:
    for descriptor in (STDOUT, STDERR):
        send_output_to(command.log, descriptor)
    os.environ["TMPDIR"] = str(command.temporary)
    tempfile.tempdir = None  # so that the variable is looked at
    if kill is not None:
        kill.arm()
    sys.exit(script["main"](command.words))


@dataclass(frozen=True)
class Whole:
    """A run that was left in peace, against which those that were killed are held.

    Attributes:
        out: its folder.
        seconds: what it took, imports not included.
    """

    out: Path
    seconds: float

    @classmethod
    def of(cls, command: Command) -> Whole:
        do_imports()
        start = time.perf_counter()
        assert command.run() == 0, command.log.read_text()
        return cls(command.out, time.perf_counter() - start)

    def faults_of(self, command: Command) -> list[str]:
        """Goes on with a run that was killed; returns what is not as if it had been left in peace."""
        if code := command.run():
            words = " ".join(command.words)
            return [f"exit code {code} of {words}: {command.log.read_text()[-500:]!r}"]
        faults = []
        if left := [path.name for path in command.out.iterdir() if TEMPORARY.fullmatch(path.name)]:
            faults.append(f"left behind: {', '.join(left)}")
        names, expected = (
            {path.name for path in out.iterdir() if not TEMPORARY.fullmatch(path.name)}
            for out in (command.out, self.out)
        )
        if names != expected:
            faults.append(f"other files: {sorted(names ^ expected)}")
        model = "model.safetensors"
        if (command.out / model).read_bytes() != (self.out / model).read_bytes():
            faults.append("other bits in model.safetensors")
        for name, rows_of in (("history.json", rows_of_json), ("history.csv", rows_of_csv)):
            if (rows := rows_of(command.out)) != rows_of_json(self.out):
                faults.append(f"another {name}, of the epochs {[int(row['epoch']) for row in rows]}")
        return faults


def rows_of_json(out: Path) -> list[dict[str, float]]:
    """The history of a run, but for how long it took."""
    return [_timeless(row) for row in json.loads((out / "history.json").read_text())]


def rows_of_csv(out: Path) -> list[dict[str, float]]:
    """The same from the table."""
    with (out / "history.csv").open(newline="") as file:
        return [_timeless(row) for row in csv.DictReader(file)]


def _timeless(row: dict[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in row.items() if name != "seconds"}
