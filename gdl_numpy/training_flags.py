"""The flags of `scripts/train.py`: what all models share, and what each kind of data adds.

Each class belongs to one kind of data module: its fields are the flags, `data_module` makes batches of a data
set by them. A flag has the name of the argument that it is given to, of the data modules of both sides.
"""

from __future__ import annotations

import inspect
import math
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path  # noqa: TC003 (typer reads the annotations)
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import typer

from gdl_numpy import nn
from gdl_numpy.command_line import Backend, Device
from gdl_numpy.data import (
    BagsDataModule,
    BlanksDataModule,
    ColoursDataModule,
    DataModule,
    ImageDataModule,
    MaskedWordsDataModule,
    PatchesDataModule,
    RotationsDataModule,
    SentenceDataModule,
    ShuffledSentencesDataModule,
    TextDataModule,
    ViewsDataModule,
    data_module_for,
    data_modules_of,
    names_of,
)
from gdl_numpy.lookup import lookup
from gdl_numpy.optim import OPTIMIZERS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gdl_numpy.data import AnyDataset
    from gdl_numpy.tasks import Task

DEFAULT_CHUNK = inspect.signature(TextDataModule).parameters["chunk"].default
ENCODER_LOSSES = ("NTXentLoss", "TripletMarginLoss", "ContrastiveLoss", "CosineEmbeddingLoss")


class Tokens(StrEnum):
    characters = "characters"
    words = "words"


def flag(name: str) -> str:
    """How an argument is written on the command line."""
    return f"--{name.replace('_', '-')}"


def option(about: str, *names: str, **settings: Any) -> Any:
    return typer.Option(*names, help=about, **settings)


@dataclass(kw_only=True)
class Flags:
    """The flags that all models share, each with its help.

    Raises:
        ValueError: flags that cannot be meant, alone or together.
    """

    default_lr: ClassVar[Mapping[str, float]] = {"SGD": 0.1, "Adam": 1e-3, "AdamW": 1e-3}

    backend: Annotated[Backend, option("Who computes.")] = Backend.numpy
    data: Annotated[str, option(f"Data set: {names_of(ImageDataModule)}.")] = "digits"
    data_dir: Annotated[Path | None, option("Its folder; else $GDL_DATA, else the user's cache.")] = None
    epochs: Annotated[int, option("Passes through the training examples.", min=0)] = 10
    batch_size: Annotated[int, option("Examples in a step.", min=1)] = 100
    optimizer: Annotated[str, option(f"{', '.join(OPTIMIZERS)}.")] = "SGD"
    lr: Annotated[float | None, option("Learning rate; else one that suits model and optimizer.")] = None
    lr_decay: Annotated[float, option("Factor on the learning rate after each epoch.")] = 1.0
    momentum: Annotated[float, option("For SGD.")] = 0.0
    weight_decay: Annotated[float | None, option("Else the optimizer's own default.")] = None
    clip_norm: Annotated[float | None, option("Largest norm of the gradient, above 0; else no limit.")] = None
    patience: Annotated[
        int | None,
        option("Stop after so many epochs without a lower validation loss; keep the best weights.", min=1),
    ] = None
    seed: Annotated[int, option("Decides weights, batches and dropout.", min=0)] = 0
    device: Annotated[Device, option("For the torch backend.")] = Device.auto
    out: Annotated[Path | None, option("Folder of the run; else runs/MODEL-DATA-BACKEND.")] = None
    resume: Annotated[bool, option("Go on with the run in that folder.", "--resume")] = False
    overwrite: Annotated[bool, option("Start over in that folder.", "--overwrite")] = False

    def __post_init__(self) -> None:
        self.optimizer = lookup("optimizer", self.optimizer, {name: name for name in OPTIMIZERS})
        self.lr = self.default_lr[self.optimizer] if self.lr is None else self.lr
        for name in ("lr", "lr_decay", "momentum", "weight_decay", "clip_norm"):
            value = getattr(self, name)
            if value is None:
                continue
            if not math.isfinite(value):
                raise ValueError(f"{flag(name)} must be a finite number, got {value}")
            if value < 0 or (value == 0 and name == "clip_norm"):
                least = "more than 0" if name == "clip_norm" else "0 or more"
                raise ValueError(f"{flag(name)} must be {least}, got {value}")
        if self.momentum != 0 and self.optimizer != "SGD":
            raise ValueError(f"--momentum is for --optimizer SGD, not for {self.optimizer}")

    @property
    def optimizer_arguments(self) -> dict[str, Any]:
        """What both backends' optimizers are made with."""
        arguments = {"lr": self.lr, "weight_decay": self.weight_decay}
        if self.momentum != 0:
            arguments["momentum"] = self.momentum
        return {name: value for name, value in arguments.items() if value is not None}

    @property
    def takes_sparse(self) -> bool:
        """Whether the optimizer takes the gradients of single rows on both backends."""
        return self.optimizer == "SGD" and not (self.momentum or self.weight_decay or self.clip_norm)

    @property
    def identity(self) -> dict[str, Any]:
        """The flags that must stay the same when a run is resumed."""
        free = ("data_dir", "epochs", "device", "out", "resume", "overwrite")
        return {name: value for name, value in self.values.items() if name not in free}

    @property
    def values(self) -> dict[str, Any]:
        """All flags by name, their choices as plain strings."""
        values = asdict(self).items()
        return {name: value.value if isinstance(value, StrEnum) else value for name, value in values}

    def data_module(self, model: type[Any], arguments: Mapping[str, Any], dataset: AnyDataset) -> DataModule:
        """The data set in batches for a model; fills in flags whose default depends on it.

        Args:
            model: the NumPy side's class.
            arguments: the flags that are its constructor's; some of them shape the data too.
            dataset: what `--data` names.

        Raises:
            ValueError: it is of another kind than the model is for, or flags do not apply to it.
        """
        module = data_module_for(model, dataset)
        self.fill_in(module, dataset)
        made = module.fitting(dataset, **self.for_data({**arguments, "ahead": getattr(model, "ahead", None)}))
        made.setup()
        if self.patience is not None and made.validation is None:
            raise ValueError(
                "--patience watches the validation loss: it needs examples held out by --validation"
            )
        return made

    def fill_in(self, module: type[DataModule], dataset: AnyDataset) -> None:
        """Gives flags the defaults that depend on the data; raises ValueError for those not meant for it."""

    def for_data(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The flags and a model's arguments that are given, from which a data module takes its own."""
        given = {**arguments, **self.values}.items()
        return {name: value for name, value in given if value is not None}

    def task_of(self, model: Any) -> Task:
        """What the model is trained for."""
        task: Task = model.task(model)
        return task

    @property
    def torch_arguments(self) -> dict[str, Any]:
        """What the torch side's model takes, and NumPy's does not, apart from the optimizer."""
        return {}


@dataclass(kw_only=True)
class ImageFlags(Flags):
    """The flags of a classifier of images."""

    validation: Annotated[
        float, option("Fraction of the training examples held out to watch the training by.")
    ] = 0.1


@dataclass(kw_only=True)
class PretextFlags(ImageFlags):
    """The flags of the tasks on images whose answers are in the images."""

    optimizer: Annotated[str, option(f"{', '.join(OPTIMIZERS)}.")] = "Adam"


@dataclass(kw_only=True)
class ViewFlags(ImageFlags):
    """The flags of an encoder that learns what is alike."""

    batch_size: Annotated[int, option("Images in a step.", min=1)] = 256
    optimizer: Annotated[str, option(f"{', '.join(OPTIMIZERS)}.")] = "Adam"
    loss_name: Annotated[str, option(f"{', '.join(ENCODER_LOSSES)}.", "--loss")] = "NTXentLoss"
    temperature: Annotated[float | None, option("Of NTXentLoss, above 0; else 0.5.")] = None
    margin: Annotated[float | None, option("Of the other losses, 0 or more; else 0.5.")] = None
    count: Annotated[
        int | None,
        option("Views of each image; else 2, or 1 where labels say what is alike.", "--views", min=1),
    ] = None
    labelled: Annotated[
        bool | None,
        option("Labels say what is alike; else only for the losses that can do with them: not NTXentLoss."),
    ] = None
    degrees: Annotated[float, option("Largest turn of a view, to either side.")] = 25.0
    translate: Annotated[float, option("Largest shift, as a fraction of the image.")] = 0.1
    scale: Annotated[float, option("Largest change of size, as a fraction.")] = 0.2
    shear: Annotated[float, option("Largest angle of shear, to either side.")] = 15.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.loss_name = lookup("loss", self.loss_name, {name: name for name in ENCODER_LOSSES})
        is_nt_xent = self.loss_name == "NTXentLoss"
        for name, is_its_own in (("temperature", is_nt_xent), ("margin", not is_nt_xent)):
            if getattr(self, name) is not None and not is_its_own:
                raise ValueError(f"{flag(name)} is not for --loss {self.loss_name}")
        self.labelled = not is_nt_xent if self.labelled is None else self.labelled
        self.count = (1 if self.labelled else 2) if self.count is None else self.count
        if is_nt_xent and (self.labelled or self.count != 2):
            raise ValueError("--loss NTXentLoss compares two views and no labels: see the other losses")
        if not self.labelled and self.count < 2:
            raise ValueError("--no-labelled needs --views 2 or more: nothing else says what is alike")

    def task_of(self, model: Any) -> Task:
        task: Task = model.task(model, getattr(nn, self.loss_name)(**self.loss_arguments))
        return task

    @property
    def loss_arguments(self) -> dict[str, float]:
        """The constructor's argument of the loss."""
        name = "temperature" if self.loss_name == "NTXentLoss" else "margin"
        value = getattr(self, name)
        return {name: 0.5 if value is None else value}

    @property
    def torch_arguments(self) -> dict[str, Any]:
        return {"loss": self.loss_name, **self.loss_arguments}


@dataclass(kw_only=True)
class TextFlags(Flags):
    """The flags of a language model. Its data sets bring their own validation part."""

    data: Annotated[
        str,
        option(f"Data set: {names_of(TextDataModule, SentenceDataModule)}; or a file of text."),
    ] = "python_docs"
    batch_size: Annotated[int, option("Streams the text is read in, or sentences in a step.", min=1)] = 32
    optimizer: Annotated[str, option(f"{', '.join(OPTIMIZERS)}.")] = "Adam"
    chunk: Annotated[
        int | None, option(f"Time steps a gradient flows back; else {DEFAULT_CHUNK}. Not for bAbI.", min=1)
    ] = None
    vocabulary: Annotated[Tokens | None, option("Tokens; else characters. Not for bAbI.")] = None
    unknown: Annotated[
        bool | None, option("A token for what the training text lacks; else there is one. Not for bAbI.")
    ] = None
    max_words: Annotated[
        int | None,
        option("Most frequent words to keep, with --vocabulary words, the unknown one counted.", min=2),
    ] = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.max_words is not None and self.vocabulary is not Tokens.words:
            raise ValueError("--max-words is for --vocabulary words")
        if self.max_words is not None and self.unknown is False:
            raise ValueError(
                "--max-words needs a token for the words left out: it does not go with --no-unknown"
            )

    def fill_in(self, module: type[DataModule], dataset: AnyDataset) -> None:
        parameters = inspect.signature(module).parameters
        for name in ("chunk", "vocabulary", "unknown", "max_words"):
            given = getattr(self, name) is not None
            if given and name not in parameters:
                raise ValueError(
                    f"{flag(name)} is for running text: {dataset.name} has {dataset.kind}, read word by word"
                )
            if not given and name in parameters:
                setattr(self, name, parameters[name].default)


@dataclass(kw_only=True)
class ReviewFlags(Flags):
    """The flags of a classifier of texts."""

    data: Annotated[str, option(f"Data set: {names_of(BagsDataModule)}.")] = "python_docs_topics"
    batch_size: Annotated[int, option("Texts in a step.", min=1)] = 32
    validation: Annotated[
        float, option("Fraction of the texts to learn from held out to watch the training by.")
    ] = 0.1
    max_words: Annotated[
        int | None, option("Most frequent words to keep, the unknown one counted; else all.", min=2)
    ] = None
    distinct: Annotated[bool, option("Take each word of a text once, as the book does.")] = True


@dataclass(kw_only=True)
class WordFlags(Flags):
    """The flags of the models that learn from texts without labels."""

    data: Annotated[
        str,
        option(f"Data set: {names_of(BlanksDataModule)}; or a file of text."),
    ] = "python_docs"
    optimizer: Annotated[str, option(f"{', '.join(OPTIMIZERS)}.")] = "Adam"
    validation: Annotated[float, option("Fraction of reviews held out; other texts have a part for it.")] = (
        0.1
    )
    max_words: Annotated[
        int | None, option("Most frequent words to keep, the unknown one counted; else all.", min=2)
    ] = None


@dataclass(kw_only=True)
class BlankFlags(WordFlags):
    """The flags of a model that fills in blanks."""

    batch_size: Annotated[int, option("Blanks in a step.", min=1)] = 256
    optimizer: Annotated[str, option(f"{', '.join(OPTIMIZERS)}.")] = "SGD"
    window: Annotated[int, option("The most words to either side of a blank.", min=1)] = 2
    negatives: Annotated[int, option("Words to draw for each blank.", min=1)] = 5
    subsample: Annotated[
        float | None, option("Leave out some of the words that are a larger fraction of the text than this.")
    ] = None


FLAGS: dict[type[DataModule], type[Flags]] = {
    ImageDataModule: ImageFlags,
    ViewsDataModule: ViewFlags,
    RotationsDataModule: PretextFlags,
    PatchesDataModule: PretextFlags,
    ColoursDataModule: PretextFlags,
    TextDataModule: TextFlags,
    BagsDataModule: ReviewFlags,
    BlanksDataModule: BlankFlags,
    MaskedWordsDataModule: WordFlags,
    ShuffledSentencesDataModule: WordFlags,
}


def flags_of(model: type[Any]) -> type[Flags]:
    """The flags of a model, beside those that are arguments of its constructor."""
    return FLAGS[data_modules_of(model)[0]]
