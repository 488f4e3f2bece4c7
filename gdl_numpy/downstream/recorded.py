"""What is recorded of a model's training: run.json, which `scripts/train.py` writes beside its checkpoint."""

from __future__ import annotations

import inspect
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gdl_numpy.checkpoint import describe_model
from gdl_numpy.data import ViewsDataModule
from gdl_numpy.data.augment import random_view
from gdl_numpy.messages import reason_of
from gdl_numpy.run_folder import OF_A_RUN, SETTINGS
from gdl_numpy.schema import fault, same_json

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from gdl_numpy.nn import Module

# The arguments of `random_view`, and what a run has them from where its user gives none.
OF_VIEWS = {
    name: inspect.signature(ViewsDataModule).parameters[name].default
    for name in inspect.signature(random_view).parameters
}


@dataclass(frozen=True)
class Training:
    """How a model was trained; where nothing is recorded, how most are.

    Attributes:
        data: the data set's name.
        seed: of the first weights.
        views: arguments of `random_view`, which made an encoder's views.
    """

    data: str = "digits"
    seed: int = 0
    views: Mapping[str, float] = field(default_factory=lambda: OF_VIEWS)


def training_of(checkpoint: Path, model: Module) -> Training:
    """Returns what run.json in the folder of a checkpoint says, if it is there and of a run of such a model.

    Args:
        checkpoint: the model's file.
        model: as the file has it.

    Raises:
        ValueError: run.json cannot be read, or it says what no run has.
    """
    path = checkpoint.parent / SETTINGS
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
        check_settings(settings)
    except FileNotFoundError:
        return Training()
    except (OSError, ValueError, OverflowError, RecursionError) as error:
        raise ValueError(
            f"{path}, the settings of the checkpoint's run, cannot be used ({reason_of(error)}): mend it, or "
            "move the checkpoint to a folder without it"
        ) from error
    if not is_of(model, settings):
        return Training()
    return Training(settings["data"], settings["seed"], views_in(settings))


def check_settings(settings: object) -> None:
    """Raises ValueError where settings are not those of a run, or have other views than any run."""
    if not isinstance(settings, dict):
        raise ValueError("they are no flags")
    if missing := [name for name in OF_A_RUN if name not in settings]:
        raise ValueError(f"there is no {missing[0]}")
    if wrong := fault(settings, OF_A_RUN | dict.fromkeys(OF_VIEWS, float)):
        raise ValueError(wrong)
    if settings["seed"] < 0:
        raise ValueError(f"its seed is {settings['seed']}")
    random_view(**views_in(settings))


def is_of(model: Module, settings: Mapping[str, Any]) -> bool:
    """Whether settings are those of a run of such a model, by its class and its arguments."""
    description = describe_model(model)
    return description["model"] == settings["model"] and all(
        same_json(value, settings[name])
        for name, value in description["hparams"].items()
        if name in settings  # which those of earlier versions may lack
    )


def views_in(settings: Mapping[str, Any]) -> dict[str, float]:
    """The arguments of `random_view` among settings; the usual ones where they have none."""
    return {name: float(settings.get(name, usual)) for name, usual in OF_VIEWS.items()}
