"""The folder of a training run: whose it is, so that no other run and no user's file is written over.

    with holding(out, settings, resume=False, overwrite=False):
        train()

Meanwhile nobody else has the folder.
"""

from __future__ import annotations

import errno
import json
import os
import warnings
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Literal

from filelock import FileLock, Timeout

from gdl_numpy.files import remove_leftovers, replacing
from gdl_numpy.history import History
from gdl_numpy.models import MODELS
from gdl_numpy.schema import completed, conforms, fault

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

SETTINGS = "run.json"
CHECKPOINTS = {"numpy": "checkpoint.safetensors", "torch": "checkpoint.ckpt"}  # by backend
# What a run has from its first epoch on, or at its end; and all that it writes.
RESULTS = (*CHECKPOINTS.values(), "best.ckpt", "model.safetensors", "history.png")
FILES = (SETTINGS, "history.json", "history.csv", *RESULTS)
# What the settings of every run say.
OF_A_RUN = {"model": str, "data": str, "backend": Literal["numpy", "torch"], "seed": int}
# Stays, empty; what counts is which process has locked it.
LOCK = ".run.lock"
# What file systems say that have no locks, as some of those on networks.
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)


@contextmanager
def holding(out: Path, settings: dict[str, Any], *, resume: bool, overwrite: bool) -> Iterator[None]:
    """Makes `out` the folder of a run, and keeps all others out of it meanwhile.

    Args:
        out: the folder.
        settings: what makes the run this one, in JSON's types.
        resume: go on with the run that is there, which has to be this one.
        overwrite: remove what another run left there.

    Raises:
        ValueError: there is another run in it already, or none to resume, or files that no run wrote; another
            process has it; or it cannot be written to.
    """

    def check() -> None:
        if resume:
            _check_the_same(out, settings)
        else:
            _check_free(out, overwrite)

    check()  # before anything is made in a folder that is somebody's
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock = _locked(out)
    except OSError as error:
        raise _cannot_write(out, error) from error
    with lock:
        check()  # of what another run may have left meanwhile
        try:
            for name in FILES:
                remove_leftovers(out / name)
            if not resume:
                _start(out, settings)
        except OSError as error:
            raise _cannot_write(out, error) from error
        yield


def _locked(out: Path) -> AbstractContextManager[object]:
    """Takes the lock of a folder, which the system frees when this process ends, in whatever way."""
    try:
        return FileLock(out / LOCK).acquire(timeout=0)
    except Timeout:
        raise ValueError(
            f"another run is going on in {out}: wait for its end, or choose another folder with --out"
        ) from None
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        warnings.warn(f"{out} has no locks ({error.strerror}): start no second run in it", stacklevel=4)
        return nullcontext()


def _cannot_write(out: Path, error: OSError) -> ValueError:
    return ValueError(f"cannot write to {out} ({error.strerror}): choose another folder with --out")


def _check_free(out: Path, overwrite: bool) -> None:
    """Raises ValueError where a new run would take the place of something."""
    found = [name for name in FILES if os.path.lexists(out / name)]
    if folders := [name for name in found if (out / name).is_dir()]:
        raise ValueError(f"{out / folders[0]} is a folder: choose another folder for the run with --out")
    if found and not _is_of_a_run(out):
        raise ValueError(
            f"{out} holds {', '.join(found)}, and no {SETTINGS} of a run that would have written that: "
            "choose another folder with --out"
        )
    if not overwrite and any(name in RESULTS for name in found):
        raise ValueError(
            f"{out} holds a run already: --resume goes on with it, --overwrite starts over, "
            "--out DIR keeps both"
        )


def _is_of_a_run(out: Path) -> bool:
    try:
        settings = json.loads((out / SETTINGS).read_text())
    except (OSError, ValueError, RecursionError):
        return False
    # A run.json of somebody else's may well have such names in it, but not with such values.
    return (
        isinstance(settings, dict)
        and OF_A_RUN.keys() <= settings.keys()
        and fault(settings, OF_A_RUN) is None
        and settings["model"] in MODELS
    )


def _start(out: Path, settings: dict[str, Any]) -> None:
    """Removes the old run, and then its settings: killed in between, the folder is still a run's."""
    for name in RESULTS:
        (out / name).unlink(missing_ok=True)
    with replacing(out / SETTINGS) as temporary:
        temporary.write_text(json.dumps(settings, indent=1) + "\n")
    History().save(out)


def _check_the_same(out: Path, settings: dict[str, Any]) -> None:
    """Raises ValueError where there is no run to go on with, or one of other settings."""
    if not any((out / name).exists() for name in CHECKPOINTS.values()):
        raise ValueError(
            f"there is no run to resume in {out}: leave --resume out, or give its folder with --out"
        )
    path = out / SETTINGS
    try:
        before = json.loads(path.read_text())
        if not conforms(before, dict[str, Any]):
            raise ValueError("they are no flags")
        before = completed(_as_now(before), settings)
    except (OSError, ValueError, KeyError, RecursionError) as error:
        raise ValueError(f"{path}, the flags of the run to resume, cannot be read ({error})") from error
    now = json.loads(json.dumps(settings))
    changed = sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))
    if changed:
        differences = ", ".join(f"{name} was {before.get(name)}, not {now.get(name)}" for name in changed)
        raise ValueError(f"the run in {out} can only go on as it was: {differences}")


def _as_now(settings: dict[str, Any]) -> dict[str, Any]:
    """Returns the settings as a run of today has them: bAbI's tasks, and losses, once had other names."""
    if "loss_name" in settings:
        settings["loss"] = settings.pop("loss_name")
        own = "temperature" if settings["loss"] == "NTXentLoss" else "margin"
        settings[own] = 0.5 if settings.get(own) is None else settings[own]
    task = settings.get("task")  # null for other data
    if isinstance(task, int | None):
        settings.pop("task", None)
    if isinstance(task, int):
        settings["data"] = str(settings["data"]).replace(f"_task{task}", f"/{task}")
    return settings
