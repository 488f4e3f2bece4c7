"""The folder of a training run: which run is in it, and that no other is written over it by accident."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from gdl_numpy.files import replacing
from gdl_numpy.history import History

if TYPE_CHECKING:
    from pathlib import Path

SETTINGS = "run.json"
# What a run leaves in its folder, apart from what the next one writes at once.
LEFT_BEHIND = ("checkpoint.*", "best.*", "model.safetensors", "history.png")


def claim(out: Path, settings: dict[str, Any], overwrite: bool) -> None:
    """Makes `out` the folder of a new run.

    Args:
        out: the folder.
        settings: what makes the run this one, in JSON's types.
        overwrite: remove what another run left there.

    Raises:
        ValueError: there is another run in it already, or it cannot be written to.
    """
    old = [path for pattern in LEFT_BEHIND for path in out.glob(pattern)]
    if old and not overwrite:
        raise ValueError(
            f"{out} holds a run already: --resume goes on with it, --overwrite starts over, "
            "--out DIR keeps both"
        )
    try:
        for path in old:
            path.unlink()
        History().save(out)
        with replacing(out / SETTINGS) as temporary:
            temporary.write_text(json.dumps(settings, indent=1) + "\n")
    except OSError as error:
        raise ValueError(
            f"cannot write to {out} ({error.strerror}): choose another folder with --out"
        ) from error


def reclaim(out: Path, settings: dict[str, Any]) -> None:
    """Makes sure that there is a run in `out`, and that these are its settings.

    Raises:
        ValueError: there is none, or another one.
    """
    if not any(out.glob("checkpoint.*")):
        raise ValueError(
            f"there is no run to resume in {out}: leave --resume out, or give its folder with --out"
        )
    path = out / SETTINGS
    try:
        before = _as_now(dict(json.loads(path.read_text())))
    except (OSError, ValueError, TypeError) as error:
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
    task = settings.pop("task", None)
    if task is not None:
        settings["data"] = str(settings["data"]).replace(f"_task{task}", f"/{task}")
    return settings
