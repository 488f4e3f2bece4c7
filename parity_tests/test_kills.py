"""A run that is killed with SIGKILL loses nothing, whenever that is.

The same command with --resume (without it, where not even the first checkpoint was written) ends with the
bits of a run that was left in peace, with the whole history, and with no other files.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from itertools import count, cycle
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from parity_tests.support.forks import needs_forks
from parity_tests.support.kills import AtRename, Command, Whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

pytestmark = needs_forks

# Moments of the optimizer, dropout masks and a decayed rate; the best weights and an early end; text, its
# state and clipping. Epochs take milliseconds.
LINES = {
    "images": "MLP --hidden-features 8 --dropout 0.3 --optimizer Adam --lr 0.02 --lr-decay 0.9 "
    "--batch-size 200 --epochs 3 --validation 0",
    "early": "MLP --hidden-features 8 --dropout 0.3 --optimizer Adam --lr 0.2 "
    "--batch-size 50 --epochs 6 --validation 0.3 --patience 1",
    "text": "LSTMLanguageModel --hidden-size 6 --embedding-dim 5 --dropout 0.1 --optimizer Adam "
    "--batch-size 20 --chunk 20 --clip-norm 1 --epochs 2 --data {text}",
}
BACKENDS = ("numpy", "torch")
IMPORTS = {"numpy": 1.0, "torch": 4.0}  # seconds, about
OTHER_FILE_SYSTEM = Path("/dev/shm")


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    """A folder for temporary files on another file system than the runs."""
    if not OTHER_FILE_SYSTEM.is_dir() or OTHER_FILE_SYSTEM.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip(f"{OTHER_FILE_SYSTEM} is no other file system than {tmp_path}")
    if not os.access(OTHER_FILE_SYSTEM, os.W_OK):
        pytest.skip(f"{OTHER_FILE_SYSTEM} cannot be written to")
    folder = Path(tempfile.mkdtemp(dir=OTHER_FILE_SYSTEM))
    yield folder
    shutil.rmtree(folder)


def told(faults: dict[str, list[str]]) -> str:
    return "\n".join(f"{when}: {'; '.join(what)}" for when, what in faults.items())


class Runs:
    """Runs of one command line, each in a folder of its own, and the one that was left in peace."""

    def __init__(self, name: str, backend: str, folder: Path, temporary: Path) -> None:
        text = folder / "story.txt"
        text.write_text("".join(f"{n} and {n * n} make {n + n * n}.\n" for n in range(400)))
        self.line = f"{LINES[name].format(text=text)} --backend {backend} --device cpu"
        self.folder = folder
        self.temporary = temporary
        self.whole = Whole.of(self.command("whole"))

    def command(self, name: str) -> Command:
        return Command(self.line, self.folder / name, self.temporary)

    def killed_at(self, kill: AtRename) -> tuple[int, list[str]]:
        """Kills a run at a rename; returns its exit code, and what was wrong when it had gone on."""
        command = self.command(f"{'before' if kill.before else 'after'}-{kill.n}-{kill.name}")
        return command.run(kill), self.whole.faults_of(command)

    def faults_at_renames(self, kills: Iterable[tuple[int, bool]]) -> dict[str, list[str]]:
        """What goes wrong after a kill before or after a rename, until a run has fewer."""
        found = {}
        for n, before in kills:
            code, faults = self.killed_at(AtRename(n, before))
            if code == 0:
                assert n > 8, "a run of two epochs has more renames than that"
                break
            if faults:
                found[f"{'before' if before else 'after'} rename {n}"] = faults
        return found

    def killed_after(self, seconds: float, imports: bool) -> tuple[int, list[str]]:
        """Kills a run after some seconds, those of its imports included, or in a fork that has done them."""
        command = self.command(f"{seconds:.4f}-{imports}")
        code = command.start_and_kill(seconds) if imports else command.run(seconds)
        return code, self.whole.faults_of(command)


def every_rename() -> Iterator[tuple[int, bool]]:
    return ((n, before) for n in count(1) for before in (True, False))


def test_a_kill_at_a_rename(tmp_path: Path) -> None:
    """On the NumPy side, at every third, before and after by turns."""
    some = zip(count(1, 3), cycle((True, False)))
    faults = Runs("early", "numpy", tmp_path, tmp_path).faults_at_renames(some)
    assert not faults, told(faults)


def test_a_kill_at_a_rename_under_lightning(tmp_path: Path, elsewhere: Path) -> None:
    """Once the best weights of epoch 2 are written, and as the checkpoint is; temporary files elsewhere."""
    runs = Runs("early", "torch", tmp_path, elsewhere)
    for kill in (AtRename(2, False, "best.ckpt"), AtRename(3, False, "checkpoint.ckpt")):
        assert runs.killed_at(kill) == (-9, []), kill


def test_a_kill_in_the_imports(tmp_path: Path) -> None:
    """Nothing is written yet, and the same command is accepted."""
    runs = Runs("images", "numpy", tmp_path, tmp_path)
    assert runs.killed_after(0.3, imports=True) == (-9, [])


@pytest.mark.long
@pytest.mark.parametrize("name", LINES)
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_kill_at_every_rename(backend: str, name: str, tmp_path: Path) -> None:
    faults = Runs(name, backend, tmp_path, tmp_path).faults_at_renames(every_rename())
    assert not faults, told(faults)


@pytest.mark.long
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_kill_at_every_rename_with_temporary_files_elsewhere(
    backend: str, tmp_path: Path, elsewhere: Path
) -> None:
    faults = Runs("early", backend, tmp_path, elsewhere).faults_at_renames(every_rename())
    assert not faults, told(faults)


@pytest.mark.long
@pytest.mark.parametrize("place", ["here", "elsewhere"])
@pytest.mark.parametrize("name", LINES)
@pytest.mark.parametrize("backend", BACKENDS)
def test_kills_at_random_moments(
    backend: str, name: str, place: str, tmp_path: Path, elsewhere: Path
) -> None:
    """Five for each, two of them in an interpreter that begins with the imports."""
    rng = np.random.default_rng([BACKENDS.index(backend), list(LINES).index(name), place == "here"])
    runs = Runs(name, backend, tmp_path, tmp_path if place == "here" else elsewhere)
    codes, found = [], {}
    for imports in (False, True, False, True, False):
        seconds = float(rng.uniform(0, runs.whole.seconds + imports * IMPORTS[backend]))
        code, faults = runs.killed_after(seconds, imports)
        codes.append(code)
        if faults:
            found[f"after {seconds:.3f} s, imports {imports}"] = faults
    assert not found, told(found)
    assert codes.count(-9) >= 3, "most were to be killed before their end"
