"""Damaged files in the hands of the command lines that read them, and what must have come of it."""

from __future__ import annotations

import json
import os
import re
import runpy
import shlex
import shutil
import signal
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gdl_numpy.checkpoint import save_model
from gdl_numpy.data import Vocabulary
from gdl_numpy.models import SentimentClassifier
from gdl_torch import export
from parity_tests.support.command_line import gdl_torch
from parity_tests.support.damage import Allowed, Damaged, by_chance, of_flags, other_things
from parity_tests.support.damage_ckpt import MARKER, GoodCkpt, crafted_ckpt, crafted_ckpt_training
from parity_tests.support.damage_safetensors import Good, crafted, crafted_training
from parity_tests.support.forks import STDERR, STDOUT, fork, send_output_to
from parity_tests.support.train_script import SCRIPT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

EXPORTED = "exported.safetensors"
MEMORY = 500 * 2**20  # bytes that no file may take
SECONDS = 20
LONGEST = 3000  # characters that a person may be asked to read
AT_ONCE = 40
EVIL = f"open({MARKER!r}, 'w').close()\nfrom gdl_torch.models import MLP, LSTMLanguageModel\n"
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")
# Of a failed allocation: the limit was too low for it, and without one it would have been granted.
OUT_OF_MEMORY = re.compile(r"MemoryError|memory|allocate", re.IGNORECASE)

TEXT = "".join(f"{n} and {n * n} make {n + n * n}.\n" for n in range(200))
SMALL_MLP = "MLP --hidden-features 8 --dropout 0.3 --optimizer Adam --batch-size 500 --device cpu"
SMALL_LSTM = (
    "LSTMLanguageModel --hidden-size 6 --embedding-dim 5 --dropout 0.1 --batch-size 4 --chunk 20 "
    "--data ../story.txt --device cpu"
)
# The folder of a run, and how it was made: three epochs go on from it.
RUNS = {
    "mlp-numpy": f"{SMALL_MLP} --backend numpy",
    "mlp-torch": f"{SMALL_MLP} --backend torch",
    "lstm-numpy": f"{SMALL_LSTM} --backend numpy",
    "lstm-torch": f"{SMALL_LSTM} --backend torch",
}
CLI = (
    "--data DigitsDataModule --trainer.accelerator cpu --trainer.logger false "
    "--trainer.enable_progress_bar false"
)
FITTED = f"fit --model MLP --model.hidden_features [8] --model.optimizer Adam --trainer.max_epochs 1 {CLI}"


def _script(name: str) -> Callable[[Path, list[str]], int | None]:
    main = runpy.run_path(str(SCRIPT.with_name(name)))["main"]
    return lambda _, words: main(words)


# The command line of each reader, where FILE is the damaged file.
READERS = {
    "generate": "generate.py FILE --length 3 --seed 0",
    "generate-torch": "generate.py FILE --length 3 --seed 0 --backend torch --device cpu",
    "words": "words.py FILE nearest good",
    "gradient_flow": "gradient_flow.py --checkpoint FILE --steps 5",
    "export": f"gdl_torch.export FILE {EXPORTED}",
    "validate": f"gdl_torch validate --ckpt_path FILE {CLI}",
    "validate-model": f"gdl_torch validate --ckpt_path FILE --model MLP {CLI}",
    "fit": f"gdl_torch fit --ckpt_path FILE --trainer.max_epochs 2 {CLI}",
    "fit-model": f"gdl_torch fit --ckpt_path FILE --model MLP --trainer.max_epochs 2 {CLI}",
}

# The good files, and who reads them.
GOOD: dict[str, tuple[str, ...]] = {
    "mlp-numpy/model.safetensors": ("generate", "words"),
    "mlp-numpy/checkpoint.safetensors": ("resume", "generate-torch"),
    "lstm-numpy/model.safetensors": ("generate", "generate-torch", "gradient_flow"),
    "lstm-numpy/checkpoint.safetensors": ("resume", "generate"),
    "words/model.safetensors": ("words",),
    "mlp-torch/checkpoint.ckpt": ("export", "resume"),
    "lstm-torch/checkpoint.ckpt": ("export", "generate-torch", "resume"),
    "lightning/last.ckpt": ("export", "validate", "validate-model", "fit", "fit-model"),
    "mlp-torch/run.json": ("resume",),
    "lstm-numpy/run.json": ("resume",),
}
# What a command line runs, in a folder; it returns its exit code, or leaves with it.
PROGRAMS: dict[str, Callable[[Path, list[str]], int | None]] = {
    "gdl_torch": lambda folder, words: gdl_torch(folder, *words),
    "gdl_torch.export": lambda _, words: export.main(words),
    **{name: _script(name) for name in ("train.py", "generate.py", "words.py", "gradient_flow.py")},
}


@dataclass(frozen=True)
class CommandLine:
    """A command line, after `python scripts/` or `python -m`, in the folder of the file that it reads."""

    folder: Path
    words: tuple[str, ...]

    def __str__(self) -> str:
        first, *rest = self.words
        how = str(SCRIPT.with_name(first)) if first.endswith(".py") else f"-m {first}"
        return f"cd {self.folder} && python {how} {shlex.join(rest)}"

    @property
    def error(self) -> Path:
        """What it said on stderr."""
        return self.folder.with_name(f"{self.folder.name}.err")

    def run(self) -> int:
        """Runs it in this process; returns its exit code."""
        os.chdir(self.folder)
        sys.path.insert(0, str(self.folder))
        program, *words = self.words
        try:
            with warnings.catch_warnings():  # each is shown again, as in a process of its own
                return PROGRAMS[program](self.folder, words) or 0
        except SystemExit as leaving:
            return leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
        finally:
            sys.path.remove(str(self.folder))
            sys.modules.pop("evil_module", None)


@dataclass(frozen=True)
class Reading:
    """A damaged file, put where a command line will read it.

    Attributes:
        damaged: the file.
        reader: who reads it.
        folder: where it is, with what else belongs to it.
    """

    damaged: Damaged
    reader: str
    folder: Path

    def __str__(self) -> str:
        file = self.damaged
        return f"{file.original}/{file.file}, {file.name}, by {self.reader}: {self.line}"

    @property
    def line(self) -> CommandLine:
        if self.reader == "resume":
            line = f"train.py {RUNS[self.damaged.original]} --out . --epochs 3 --resume"
        else:
            line = READERS[self.reader]
        words = (self.damaged.file if word == "FILE" else word for word in line.split())
        return CommandLine(self.folder, tuple(words))

    def prepare(self, originals: Path) -> None:
        """Puts the file into a copy of the folder that it is damaged in, beside a class that it may name."""
        shutil.copytree(originals / self.damaged.original, self.folder)
        (self.folder / "evil_module.py").write_text(EVIL)
        path, content = self.folder / self.damaged.file, self.damaged.content
        path.unlink()
        if content is None:
            path.mkdir()
        else:
            path.write_bytes(content)

    def contents(self) -> dict[str, bytes]:
        """What is in the folder."""
        paths = (
            path for path in self.folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts
        )
        return {str(path.relative_to(self.folder)): path.read_bytes() for path in paths}

    def faults(self, code: int, grown: int, before: dict[str, bytes], originals: Path) -> list[str]:
        """What is not as it must be, by its kind.

        Args:
            code: the exit code, or minus the signal that it died of.
            grown: bytes by which the memory's peak grew.
            before: what was in the folder.
            originals: what `make_originals` made.
        """
        error = self.line.error.read_text(errors="replace")
        after = self.contents()
        found = ["executed"] if MARKER in after else []
        if grown > MEMORY or OUT_OF_MEMORY.search(error):
            found.append("memory")
        if code == -signal.SIGALRM:
            return [*found, f"more than {SECONDS} s"]
        if code < 0:
            return [*found, f"died of {signal.Signals(-code).name}"]
        if code == 0 and self.damaged.allowed is Allowed.the_same:
            return [*found, *self._faults_of_export(originals)]
        if "Traceback" in error:
            return [*found, "traceback"]
        if code in (0, 2) and self.damaged.allowed is Allowed.anything:
            return found
        if code != 2:
            found.append("accepted" if code == 0 else f"exit code {code}")
        if after != before:
            names = {name for name in after.keys() | before.keys() if after.get(name) != before.get(name)}
            found.append("files changed" if names & before.keys() else "files added")
        return found if code == 0 else found + self._faults_of_line(error)

    def _faults_of_export(self, originals: Path) -> list[str]:
        if self.reader != "export":
            return []
        expected = originals / f"{self.damaged.original}.safetensors"
        is_same = (self.folder / EXPORTED).read_bytes() == expected.read_bytes()
        return [] if is_same else ["another model"]

    def _faults_of_line(self, error: str) -> list[str]:
        if len(error.splitlines()) != 1:
            return [f"{'no' if not error else 'several'} lines"]
        found = []
        # Of a run's flags the line may say where the run is.
        if self.damaged.file not in error and (
            self.damaged.file != "run.json" or "the run in ." not in error
        ):
            found.append("no name")
        if CONTROL.search(error.rstrip("\n")):
            found.append("control characters")
        if len(error) > LONGEST:
            found.append("a long line")
        return found


def make_originals(folder: Path) -> None:
    """Runs of all kinds, each in a folder of its name, and the text that two of them have learned from."""
    process = fork(_make_originals, folder)
    process.join()
    assert process.exitcode == 0, (folder / "log").read_text()


def _make_originals(folder: Path) -> None:
    for descriptor in (STDOUT, STDERR):
        send_output_to(folder / "log", descriptor)
    (folder / "story.txt").write_text(TEXT)
    for name, line in RUNS.items():
        (folder / name).mkdir()
        os.chdir(folder / name)
        assert not PROGRAMS["train.py"](folder, [*line.split(), "--epochs", "2", "--out", "."])
        Path("history.png").unlink()
    (folder / "lightning").mkdir()
    gdl_torch(folder / "lightning", *FITTED.split())
    (path,) = (folder / "lightning").rglob("*.ckpt")
    path.rename(folder / "lightning" / "last.ckpt")
    path.parent.rmdir()
    for path in folder.glob("*/*.ckpt"):
        export.export_checkpoint(path, folder / f"{path.parent.name}.safetensors")
    (folder / "words").mkdir()
    vocabulary = Vocabulary.build("good bad film\nthe end", "spaces")
    model = SentimentClassifier(len(vocabulary), 3, rng=0)
    save_model(folder / "words" / "model.safetensors", model, vocabulary)


def corpus(originals: Path, good: str, by_chance_each: int) -> Iterator[Damaged]:
    """All that is made of a good file, in a certain order.

    Args:
        originals: what `make_originals` made.
        good: one of `GOOD`.
        by_chance_each: how many times chance damages it, in each of its ways.
    """
    original, file = good.split("/")
    content = (originals / original / file).read_bytes()
    readers = GOOD[good]
    if file == "run.json":
        yield from of_flags(original, content)
        return
    yield from other_things(original, file, readers)
    if file.endswith(".ckpt"):
        ckpt = GoodCkpt(original, file, readers, content)
        yield from crafted_ckpt(ckpt)
        yield from crafted_ckpt_training(ckpt)
        yield from by_chance(original, file, content, readers, by_chance_each, Allowed.the_same)
    else:
        model = Good.of(original, file, content, readers)
        yield from crafted(model)
        if "resume" in readers:
            yield from crafted_training(model)
        yield from by_chance(original, file, content, readers, by_chance_each)


def faults_in(damaged: Sequence[tuple[Damaged, str]], originals: Path, folder: Path) -> dict[str, list[str]]:
    """Has each file read, and returns, for each kind of fault, what has it and what repeats it."""
    found: dict[str, list[str]] = {}
    (folder / "story.txt").write_text(TEXT)
    for start in range(0, len(damaged), AT_ONCE):
        readings = [
            Reading(file, reader, folder / str(start + n))
            for n, (file, reader) in enumerate(damaged[start : start + AT_ONCE])
        ]
        for reading in readings:
            reading.prepare(originals)
        before = [reading.contents() for reading in readings]
        for reading, (code, grown), was in zip(
            readings, _read([reading.line for reading in readings], folder), before, strict=True
        ):
            faults = reading.faults(code, grown, was, originals)
            for fault in faults:
                found.setdefault(fault, []).append(str(reading))
            if not faults:
                shutil.rmtree(reading.folder)
    return found


def _read(lines: Sequence[CommandLine], folder: Path) -> list[tuple[int, int]]:
    """The exit code of each, and the bytes that its memory grew by.

    One process runs one after the other; where it dies, the next one goes on with the next.
    """
    results: list[tuple[int, int]] = []
    log = folder / "results"
    while len(results) < len(lines):
        log.write_text("")
        process = fork(_read_in_turn, lines[len(results) :], log)
        process.join()
        new = [tuple(json.loads(line)) for line in log.read_text().splitlines()]
        if process.exitcode:
            new.append((process.exitcode, 0))
        assert new, "a process that has read nothing"
        results += new
    return results


def _read_in_turn(lines: Sequence[CommandLine], log: Path) -> None:
    limit_memory()
    start = peak()
    for line in lines:
        send_output_to(line.error.with_suffix(".out"), descriptor=STDOUT)
        send_output_to(line.error, descriptor=STDERR)
        signal.alarm(SECONDS)
        try:
            code = line.run()
        except BaseException:  # as the interpreter would end
            sys.excepthook(*sys.exc_info())
            code = 1
        signal.alarm(0)
        grown = peak() - start
        with log.open("a") as file:
            file.write(json.dumps((code, grown)) + "\n")
        if grown > MEMORY:  # the next file needs a peak of its own
            return


def peak() -> int:
    """The most bytes that this process has had at one time."""
    import resource  # which not every system has

    usage = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return usage if sys.platform == "darwin" else usage * 1024


def limit_memory() -> None:
    """Makes larger requests for memory fail, where the system says what there is already."""
    import resource

    status = Path("/proc/self/status")
    if status.exists():
        now = re.search(r"VmData:\s*(\d+) kB", status.read_text())
        assert now is not None
        limit = int(now[1]) * 1024 + MEMORY
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
