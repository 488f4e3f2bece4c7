"""How a model is trained: the options of `scripts/train.py`, those of all models and those of each."""

from __future__ import annotations

import inspect
import math
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from gdl_numpy.command_line import Backend, Device
from gdl_numpy.data import (
    BagsDataModule,
    BlanksDataModule,
    ColoursDataModule,
    MaskedWordsDataModule,
    PatchesDataModule,
    RotationsDataModule,
    ShuffledSentencesDataModule,
    TextDataModule,
    ViewsDataModule,
    data_modules_of,
)
from gdl_numpy.data.choice import names_of
from gdl_numpy.data.dataset import TextDataset
from gdl_numpy.data.module import LEAST, kinds_of
from gdl_numpy.files import check_link
from gdl_numpy.lookup import lookup
from gdl_numpy.messages import counted
from gdl_numpy.models import TransitionMatrixLM
from gdl_numpy.optim import OPTIMIZERS
from gdl_numpy.options import flag, options_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from gdl_numpy.data import DataModule

# What suits most models; and by the data module that a model's data are made by, or by the model itself, what
# suits it better.
USUAL: dict[str, Any] = {"data": "digits", "batch_size": 100, "optimizer": "SGD"}
BETTER: dict[type[Any], dict[str, Any]] = {
    ViewsDataModule: {"batch_size": 256, "optimizer": "Adam"},
    RotationsDataModule: {"optimizer": "Adam"},
    PatchesDataModule: {"optimizer": "Adam"},
    ColoursDataModule: {"optimizer": "Adam"},
    TextDataModule: {"data": "python_docs", "batch_size": 32, "optimizer": "Adam"},
    TransitionMatrixLM: {"data": "babi"},
    BagsDataModule: {"data": "python_docs_topics", "batch_size": 32},
    BlanksDataModule: {"data": "python_docs", "batch_size": 256},
    MaskedWordsDataModule: {"data": "python_docs", "optimizer": "Adam"},
    ShuffledSentencesDataModule: {"data": "python_docs", "optimizer": "Adam"},
}
USUAL_LR = {"SGD": 0.1, "Adam": 1e-3, "AdamW": 1e-3}

# The weights are in float32, which torch refuses to multiply by numbers that it cannot hold (3e38, and Adam
# divides by 0.1).
LARGEST = 1e30

# Integers, apart from seeds: what is made one by one, and whatever an array can be made of.
MOST = {"num_layers": 1000, "views": 1000}
LARGEST_INTEGER = 2**31 - 1

# Arguments of models that the data decide, where no flag does.
FROM_DATA = ("in_features", "in_shape", "out_features", "vocab_size", "patch_size")
# Arguments of models, data modules and tasks that no flag gives, or one of `TrainingFlags`.
NO_FLAGS = ("model", "rng", "dtype", "dataset", "transform", "ahead", "seed")
# Switches that are only ever turned on: typer would write --no-resume, too.
NAMES = {"resume": "--resume", "overwrite": "--overwrite"}
# Flags that may change when a run is resumed.
FREE = ("data_dir", "epochs", "device", "out", "resume", "overwrite")


def defaults_of(model: type[Any]) -> dict[str, Any]:
    """The flags that suit a model of the NumPy side, where its user gives none.

    Raises:
        TypeError: a model that there are no data for.
    """
    modules = data_modules_of(model)
    if not modules:
        raise TypeError(f"{model.__name__} is not among the readers of any data module")
    return USUAL | BETTER.get(modules[0], {}) | BETTER.get(model, {})


@dataclass(frozen=True, kw_only=True)
class TrainingFlags:
    """The flags that all models share.

    Args:
        backend: where the model is trained: by the hand-written code, or by Lightning.
        data: what to learn from.
        data_dir: folder of all data sets; else $GDL_DATA, else the user's cache.
        epochs: passes through the training examples.
        optimizer: SGD, Adam or AdamW.
        lr: learning rate; else one that suits the optimizer.
        lr_decay: factor on the learning rate after each epoch.
        momentum: for SGD.
        weight_decay: else the optimizer's own default.
        clip_norm: largest norm of the gradient, above 0; else no limit.
        patience: stop after so many epochs without a lower validation loss, and keep the best weights.
        seed: decides weights, batches and dropout.
        device: for the torch backend.
        out: folder of the run; else runs/MODEL-DATA-BACKEND.
        resume: go on with the run in that folder.
        overwrite: start over in that folder.

    Raises:
        ValueError: flags that cannot be meant, alone or together.
    """

    backend: Backend = Backend.numpy
    data: str
    data_dir: Path | None = None
    epochs: int = 10
    optimizer: str
    lr: float | None = None
    lr_decay: float = 1.0
    momentum: float = 0.0
    weight_decay: float | None = None
    clip_norm: float | None = None
    patience: int | None = None
    seed: int = 0
    device: Device = Device.auto
    out: Path | None = None
    resume: bool = False
    overwrite: bool = False

    def __post_init__(self) -> None:
        for name in ("lr", "lr_decay", "momentum", "weight_decay", "clip_norm"):
            value = getattr(self, name)
            if value is None:
                continue
            if not math.isfinite(value):
                raise ValueError(f"{flag(name)} must be a finite number, got {value}")
            if value < 0 or (value == 0 and name == "clip_norm"):
                least = "more than 0" if name == "clip_norm" else "0 or more"
                raise ValueError(f"{flag(name)} must be {least}, got {value}")
            if value > LARGEST:
                raise ValueError(f"{flag(name)} must be at most {LARGEST:g}, got {value}")
        if self.lr and self.lr_decay > 1:
            last = math.log10(self.lr) + math.log10(self.lr_decay) * (self.epochs - 1)
            if last > math.log10(LARGEST):
                raise ValueError(
                    f"--lr-decay {self.lr_decay} makes the learning rate more than {LARGEST:g} within "
                    f"{counted(self.epochs, 'epoch')}"
                )
        check_link("--out", self.out)
        if self.resume and self.overwrite:
            raise ValueError("--resume goes on with a run and --overwrite starts over: give one of them")
        if self.momentum != 0 and self.optimizer != "SGD":
            raise ValueError(f"--momentum is for --optimizer SGD, not for {self.optimizer}")

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> TrainingFlags:
        """The flags among the options given, with the optimizer's right name and a learning rate for it.

        Raises:
            ValueError: an unknown optimizer, or flags that cannot be meant.
        """
        mine = {field.name: given[field.name] for field in fields(cls) if field.name in given}
        mine["optimizer"] = lookup("optimizer", given["optimizer"], {name: name for name in OPTIMIZERS})
        return cls(**({"lr": USUAL_LR[mine["optimizer"]]} | mine))

    @property
    def optimizer_arguments(self) -> dict[str, Any]:
        """What both backends' optimizers are made with."""
        arguments = {"lr": self.lr, "weight_decay": self.weight_decay, "momentum": self.momentum or None}
        return {name: value for name, value in arguments.items() if value is not None}

    @property
    def takes_sparse(self) -> bool:
        """Whether the optimizer takes the gradients of single rows on both backends."""
        return self.optimizer == "SGD" and not (self.momentum or self.weight_decay or self.clip_norm)

    @property
    def identity(self) -> dict[str, Any]:
        """The flags that must stay the same when a run is resumed, their choices as plain strings."""
        values = {name: value for name, value in asdict(self).items() if name not in FREE}
        return {name: value.value if isinstance(value, StrEnum) else value for name, value in values.items()}


def check_sizes(given: Mapping[str, Any]) -> None:
    """Raises ValueError for an integer that would fill the memory, or that no array's shape can hold."""
    for name, value in given.items():
        most = MOST.get(name, LARGEST_INTEGER)
        for number in value if isinstance(value, tuple) else (value,):
            if isinstance(number, int) and number > most and name != "seed":
                raise ValueError(f"{NAMES.get(name, flag(name))} must be at most {most:,}, got {number}")


def options_for(model: type[Any]) -> dict[str, inspect.Parameter]:
    """All that can be said about training a model of the NumPy side, by name."""
    modules, defaults = data_modules_of(model), defaults_of(model)
    file = "; or a file of text" if any(TextDataset in module.takes for module in modules) else ""
    more = {"data": f" Data sets: {names_of(*modules)}{file}."}
    least = LEAST | {"epochs": 0, "patience": 1, "max_words": 2}
    options = options_of(TrainingFlags, (), defaults, least=least, names=NAMES, more=more)
    decided = dict.fromkeys(model.task.data_arguments(model, {}), "the loss's")
    for module in modules:
        only = {name: only_for(name, modules) for name in inspect.signature(module).parameters}
        found = options_of(module, NO_FLAGS, defaults, decided, least, NAMES, only, panel="Data")
        options |= {name: option for name, option in found.items() if name not in options}
    options |= options_of(model.task.of, NO_FLAGS, panel="Loss")
    decided = dict.fromkeys(FROM_DATA, "the data's") | {"sparse": "for plain SGD"}
    return options | options_of(model, NO_FLAGS, decided=decided, panel=model.__name__)


def only_for(name: str, modules: Sequence[type[DataModule]]) -> str:
    """What the help says of an option that not all data modules of a model have."""
    able = [module for module in modules if name in inspect.signature(module).parameters]
    return "" if len(able) == len(modules) else f" Only for {kinds_of(*able)}."
