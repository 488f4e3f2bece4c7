"""Train a model on either backend: the same flags, the same first weights, the same batches, the same order.

    python scripts/train.py MLP
    python scripts/train.py CNN --backend torch --data mnist --channels 32,64 --pool-size 2 --optimizer Adam
    python scripts/train.py LSTMLanguageModel --data shakespeare --chunk 64 --lr 0.002 --clip-norm 1
    python scripts/train.py LSTMLanguageModel --data story.txt --vocabulary words       a text of your own
    python scripts/train.py CNN --help                   every flag, the model's own among them

A language model reads its text in --batch-size streams side by side, --chunk steps at a time: gradients flow
back through a chunk, the state goes on to the next. Losses are in nats a symbol, a character or a word.

In the folder of the run (--out): checkpoint.* to resume from; history.json, history.csv and history.png;
run.json with the flags; and at the end model.safetensors, which gdl_numpy loads without torch, with the
vocabulary of a language model.

Every epoch is saved as it ends. After Ctrl-C (exit code 130) the same command with --resume goes on and
gives, bit for bit on a CPU, the weights of a run that was never stopped. Exit code 2, and one line that says
why, for bad usage and files that cannot be used.
"""

from __future__ import annotations

import inspect
import json
import logging
import math
import re
import shlex
import sys
import warnings
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Column, Table

from gdl_numpy import training
from gdl_numpy.checkpoint import save_model
from gdl_numpy.command_line import Backend, Device, run
from gdl_numpy.data import (
    DATASETS,
    AnyDataset,
    Dataset,
    SentenceDataset,
    TextDataset,
    load,
    load_task,
    read_text_file,
)
from gdl_numpy.data.material import Material, images, running_text, sentences
from gdl_numpy.files import replacing
from gdl_numpy.history import History, Metrics, TextMetrics
from gdl_numpy.lookup import lookup
from gdl_numpy.models import MODELS
from gdl_numpy.models.language_model import LanguageModel
from gdl_numpy.nn import CrossEntropyLoss, Module
from gdl_numpy.objective import count
from gdl_numpy.optim import OPTIMIZERS

if TYPE_CHECKING:
    from collections.abc import Callable

# Arguments of models that the data decides, where no flag does.
FROM_DATA = ("in_features", "in_shape", "out_features", "vocab_size")
# Where it is not the one that suits most models of its kind.
DEFAULT_DATA = {"TransitionMatrixLM": "babi"}
DEFAULT_LR = {"SGD": 0.1, "Adam": 1e-3, "AdamW": 1e-3}
DEFAULT_CHUNK = 25  # as in chapter 14
# The data sets that have tasks, and whether their sentences are padded.
BABI = {"babi": False, "babi_padded": True}
SETTINGS = "run.json"
# What a run leaves in its folder, apart from what the next one writes at once.
LEFT_BEHIND = ("checkpoint.*", "best.*", "model.safetensors", "history.png")
app = typer.Typer(add_completion=False, no_args_is_help=True, help="Train a model, on either backend.")


class Symbols(StrEnum):
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

    backend: Annotated[Backend, option("Who computes.")] = Backend.numpy
    data: Annotated[str, option("Data set: digits or mnist.")] = "digits"
    data_dir: Annotated[Path | None, option("Its folder; else $GDL_DATA, else the user's cache.")] = None
    epochs: Annotated[int, option("Passes through the training examples.", min=0)] = 10
    batch_size: Annotated[int, option("Examples in a step.", min=1)] = 100
    optimizer: Annotated[str, option(f"{', '.join(OPTIMIZERS)}.")] = "SGD"
    lr: Annotated[float | None, option("Learning rate; else 0.1 for SGD, 0.001 for others.")] = None
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
        self.lr = DEFAULT_LR[self.optimizer] if self.lr is None else self.lr
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
        check_device(self.device, self.backend)

    @property
    def optimizer_arguments(self) -> dict[str, Any]:
        """What both backends' optimizers are made with."""
        arguments = {"lr": self.lr, "weight_decay": self.weight_decay}
        if self.momentum != 0:
            arguments["momentum"] = self.momentum
        return {name: value for name, value in arguments.items() if value is not None}

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


@dataclass(kw_only=True)
class ImageFlags(Flags):
    """The flags of a classifier."""

    validation: Annotated[
        float, option("Fraction of the training examples held out to watch the training by.")
    ] = 0.1


@dataclass(kw_only=True)
class TextFlags(Flags):
    """The flags of a language model. Its data sets bring their own validation part."""

    data: Annotated[
        str,
        option("Data set: python_docs, shakespeare, shakespeare_book, babi, babi_padded; or a file of text."),
    ] = "python_docs"
    batch_size: Annotated[int, option("Streams the text is read in, or sentences in a step.", min=1)] = 32
    optimizer: Annotated[str, option(f"{', '.join(OPTIMIZERS)}.")] = "Adam"
    chunk: Annotated[
        int | None, option(f"Time steps a gradient flows back; else {DEFAULT_CHUNK}. Not for bAbI.", min=1)
    ] = None
    vocabulary: Annotated[Symbols | None, option("Symbols; else characters. Not for bAbI.")] = None
    unknown: Annotated[
        bool | None, option("A symbol for what the training text lacks; else there is one. Not for bAbI.")
    ] = None
    max_words: Annotated[
        int | None,
        option("Most frequent words to keep, with --vocabulary words, the unknown one counted.", min=2),
    ] = None
    task: Annotated[int | None, option("Of bAbI's, from 1 to 20; else 1.", min=1, max=20)] = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.max_words is not None and self.vocabulary is not Symbols.words:
            raise ValueError("--max-words is for --vocabulary words")
        if self.max_words is not None and self.unknown is False:
            raise ValueError(
                "--max-words needs a symbol for the words left out: it does not go with --no-unknown"
            )

    def fill_in_for_text(self, data: str) -> None:
        """Gives the flags for running text their defaults.

        Raises:
            ValueError: a flag is there that is for sentences.
        """
        if self.task is not None:
            raise ValueError(f"--task is for bAbI: {data} has no tasks")
        self.chunk = self.chunk or DEFAULT_CHUNK
        self.vocabulary = self.vocabulary or Symbols.characters
        self.unknown = self.unknown is not False

    def fill_in_for_sentences(self, data: str) -> None:
        """Gives the flag for sentences its default.

        Raises:
            ValueError: a flag is there that is for running text.
        """
        for name in ("chunk", "vocabulary", "unknown", "max_words"):
            if getattr(self, name) is not None:
                raise ValueError(f"{flag(name)} is for running text: {data} has sentences, read word by word")
        self.task = self.task or 1


def material_for(model_name: str, flags: Flags) -> Material:
    """The data set that the flags name, as the model takes it; fills in flags whose default depends on it.

    Raises:
        ValueError: it is of another kind than the model is for, or flags do not apply to it.
    """
    dataset = dataset_for(flags)
    if isinstance(flags, TextFlags):
        ahead = MODELS[model_name].ahead
        if isinstance(dataset, TextDataset):
            flags.fill_in_for_text(dataset.name)
            symbols: Any = str(flags.vocabulary), flags.unknown, flags.max_words
            return running_text(dataset, flags.batch_size, flags.chunk or DEFAULT_CHUNK, ahead, *symbols)
        if isinstance(dataset, SentenceDataset):
            flags.fill_in_for_sentences(dataset.name)
            return sentences(dataset, flags.batch_size, ahead, flags.seed)
        raise ValueError(f"{model_name} reads text, but {dataset.name} is images: choose other --data")
    if not isinstance(flags, ImageFlags) or not isinstance(dataset, Dataset):
        raise ValueError(f"{model_name} looks at images, but {dataset.name} is text: choose other --data")
    material = images(dataset, flags.batch_size, flags.validation, flags.seed)
    if flags.patience is not None and material.validation is None:
        raise ValueError("--patience watches the validation loss: it needs examples held out by --validation")
    return material


def dataset_for(flags: Flags) -> AnyDataset:
    """What `--data` names: a data set, one of bAbI's tasks, or a file of text."""
    if is_path(flags.data):
        return read_text_file(flags.data)
    flags.data = lookup("data set", flags.data, DATASETS).name
    task = flags.task if isinstance(flags, TextFlags) else None
    if task is not None and flags.data in BABI:
        return load_task(task, BABI[flags.data], flags.data_dir)
    return load(flags.data, flags.data_dir)


def is_path(data: str) -> bool:
    """Whether `--data` means a file, not a data set: by how it is written, or since there is one."""
    path = Path(data)
    looks_like_one = len(path.parts) > 1 or bool(path.suffix)
    return looks_like_one or (data.casefold() not in DATASETS and path.exists())


@dataclass(frozen=True)
class Run:
    """A training run, whichever backend does it.

    Attributes:
        model: NumPy's; has the first weights, and the trained ones in the end.
        material: what it learns from.
        flags: how.
        out: the folder of the run.
    """

    model: Module
    material: Material
    flags: Flags
    out: Path

    @property
    def fit_arguments(self) -> dict[str, Any]:
        """What both backends' `fit` take."""
        return {
            "epochs": self.flags.epochs,
            "patience": self.flags.patience,
            "resume": self.flags.resume,
            "clip_norm": self.flags.clip_norm,
            "lr_decay": self.flags.lr_decay,
            "on_epoch": lambda history: history.save(self.out),
        }

    def on_numpy(self) -> tuple[History, Metrics]:
        """Trains with NumPy; returns what happened and how good the model is on the test examples."""
        loss = CrossEntropyLoss()
        optimizer = OPTIMIZERS[self.flags.optimizer]
        history = training.fit(
            self.model,
            loss,
            optimizer(self.model.parameters(), **self.flags.optimizer_arguments),
            self.material.train,
            validation=self.material.validation,
            checkpoint=self.out / "checkpoint.safetensors",
            vocabulary=self.material.vocabulary,
            **self.fit_arguments,
        )
        return history, training.evaluate(self.model, loss, self.material.test, progress=True)

    def on_torch(self) -> tuple[History, Metrics]:
        """The same with Lightning's Trainer."""
        import torch

        from gdl_torch import training as torch_training
        from gdl_torch.export import from_numpy

        accelerator = "cuda" if self.flags.device is not Device.cpu and torch.cuda.is_available() else "cpu"
        logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
        warnings.filterwarnings("ignore", message=".*LeafSpec.* is deprecated", category=FutureWarning)

        data = self.data_module()
        model = from_numpy(self.model, optimizer=self.flags.optimizer, lr=self.flags.lr)
        optimizer = getattr(torch.optim, self.flags.optimizer)
        history = torch_training.fit(
            model,
            optimizer(model.parameters(), **self.flags.optimizer_arguments),
            data,
            seed=self.flags.seed,
            directory=self.out,
            accelerator=accelerator,
            **self.fit_arguments,
        )
        test = torch_training.evaluate(model, data, accelerator=accelerator, progress=True)
        self.model.load_state_dict(
            {name: tensor.numpy(force=True) for name, tensor in model.state_dict().items()}
        )
        return history, test

    def data_module(self) -> Any:
        """The torch side's counterpart of the material, from the flags that are arguments of it as well."""
        from gdl_torch.data import DATA_MODULES, TextFileDataModule

        modules: list[Any] = list(DATA_MODULES.values())
        by_data = {module.dataset: module for module in modules}
        module = by_data.get(self.flags.data, TextFileDataModule)
        arguments = inspect.signature(module).parameters
        flags = {**self.flags.values, "path": self.flags.data}.items()
        return module(**{name: value for name, value in flags if name in arguments and value is not None})


def train(model_name: str, model_arguments: dict[str, Any], flags: Flags) -> None:
    """Trains `MODELS[model_name]`, whose own flags are in `model_arguments`."""
    material = material_for(model_name, flags)
    model = build_model(model_name, model_arguments, material, flags.seed)
    out = flags.out or Path("runs") / f"{model_name}-{material.name}-{flags.backend}".lower()
    settings = {"model": model_name, **model.hparams, **flags.identity, "data": material.name}
    settings |= material.identity
    if flags.resume:
        reclaim(out, settings)
    else:
        claim(out, settings, flags.overwrite)
    run = Run(model, material, flags, out)
    title = f"{model_name} on {material.name}, {flags.backend}"
    try:
        history, test = run.on_torch() if flags.backend is Backend.torch else run.on_numpy()
    except KeyboardInterrupt:
        say_how_to_go_on(out, title)
        raise
    save_model(out / "model.safetensors", model, material.vocabulary)
    draw(history, out, title)
    report(history, test, run, title)


def check_device(device: Device, backend: Backend) -> None:
    """Raises ValueError for `--device cuda` where there is none to compute on."""
    if device is not Device.cuda:
        return
    if backend is Backend.numpy:
        raise ValueError("--device cuda is for --backend torch: the numpy backend computes on the CPU")
    import torch

    if not torch.cuda.is_available():
        raise ValueError("--device cuda: torch finds no CUDA device here; --device cpu and auto do without")


def build_model(name: str, arguments: dict[str, Any], material: Material, seed: int) -> Any:
    """The NumPy model with its first weights, of sizes that the data decides where no flag did.

    Raises:
        ValueError: sizes that are not the data's.
    """
    arguments = {
        key: material.arguments.get(key) if value is None else value for key, value in arguments.items()
    }
    model_class: Any = MODELS[name]
    model = model_class(**arguments, rng=seed)
    if material.vocabulary is not None:
        if arguments["vocab_size"] != len(material.vocabulary):
            raise ValueError(
                f"--vocab-size must be the data's: {material.name} has {len(material.vocabulary)} symbols, "
                f"got {arguments['vocab_size']}"
            )
        return model
    inputs, _ = next(iter(material.test))
    classes, expected = model.eval()(inputs[:1]).shape[1], material.arguments["out_features"]
    if classes < expected:
        raise ValueError(f"{name} has {classes} outputs, but {material.name} has {expected} classes")
    return model


def claim(out: Path, settings: dict[str, Any], overwrite: bool) -> None:
    """Makes `out` the folder of a new run, unless there is another one in it already."""
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
    """Makes sure that there is a run in `out`, and that these are its settings."""
    if not any(out.glob("checkpoint.*")):
        raise ValueError(
            f"there is no run to resume in {out}: leave --resume out, or give its folder with --out"
        )
    path = out / SETTINGS
    try:
        before = dict(json.loads(path.read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise ValueError(f"{path}, the flags of the run to resume, cannot be read ({error})") from error
    now = json.loads(json.dumps(settings))
    changed = sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))
    if changed:
        differences = ", ".join(f"{name} was {before.get(name)}, not {now.get(name)}" for name in changed)
        raise ValueError(f"the run in {out} can only go on as it was: {differences}")


def say_how_to_go_on(out: Path, title: str) -> None:
    """After Ctrl-C: what is saved, and the command that goes on from there."""
    history = History(json.loads((out / "history.json").read_text()))
    draw(history, out, title)
    command = [word for word in sys.orig_argv if word not in ("--resume", "--overwrite")]
    if any(out.glob("checkpoint.*")):
        command.append("--resume")
    typer.echo(f"\nInterrupted; whole epochs saved in {out}: {len(history)}. To go on:", err=True)
    typer.echo(f"  {shlex.join(command)}", err=True)


def draw(history: History, out: Path, title: str) -> None:
    """Draws the history, if there is any yet."""
    if len(history):
        history.plot(out / "history.png", title)


def report(history: History, test: Metrics, run: Run, title: str) -> None:
    """Prints the results: a table, and what counts in a line."""
    epoch = (run.flags.patience and history.best_epoch) or len(history)
    row = history.rows[epoch - 1] if epoch else {}
    console = Console(highlight=False)
    console.print(table_of(row, test, run.material.unit, title))
    files = "model.safetensors, history.json, history.csv, history.png"
    console.print(f"saved in {run.out}: {files}", soft_wrap=True)

    result = f"test accuracy {test.accuracy:.2%}"
    if isinstance(test, TextMetrics):
        result = f"test loss {test.loss:.4f} nats a {run.material.unit}"
        if "validation_loss" in row:
            result = f"validation loss {row['validation_loss']:.4f}, {result}"
    tested = f"{sum(count(targets) for _, targets in run.material.test):,} {run.material.unit}s"
    seconds = sum(row["seconds"] for row in history.rows)
    after = f"after {len(history)} epochs in {seconds:.1f} s"
    console.print(f"{title}: {result} on {tested}, {after}", soft_wrap=True)


def table_of(row: dict[str, float], test: Metrics, unit: str, title: str) -> Table:
    """The metrics of an epoch, a row of the history, and those on the test data."""
    metrics = {"loss": ".4f", "perplexity": ".3f", "bits_per_token": ".4f", "accuracy": ".2%"}
    metrics = {name: form for name, form in metrics.items() if name in test.row()}
    heads = {"bits_per_token": f"bits per\n{unit}"}
    if isinstance(test, TextMetrics):  # more columns: within 80 characters all the same
        title = title.replace(" on ", "\non ")
    table = Table(Column(title, no_wrap=True))
    for name in metrics:
        table.add_column(heads.get(name, name), justify="right")
    for part in ("train", "validation"):
        if f"{part}_loss" in row:
            values = [f"{row[f'{part}_{name}']:{form}}" for name, form in metrics.items()]
            table.add_row(f"{part}, epoch {row['epoch']}", *values)
    table.add_row("test", *(f"{test.row()[name]:{form}}" for name, form in metrics.items()), style="bold")
    return table


def command_for(name: str) -> Callable[..., None]:
    """`train` for one model, with an option for every argument of its constructor."""
    flags_class = TextFlags if issubclass(MODELS[name], LanguageModel) else ImageFlags
    options = [
        model_option(MODELS[name], p)
        for p in inspect.signature(MODELS[name]).parameters.values()
        if p.kind is not p.KEYWORD_ONLY
    ]

    def command(**flags: Any) -> None:
        train(name, {option.name: flags.pop(option.name) for option in options}, flags_class(**flags))

    shared = dict(inspect.signature(flags_class, eval_str=True).parameters)
    if name in DEFAULT_DATA:
        shared["data"] = shared["data"].replace(default=DEFAULT_DATA[name])
    keyword_only = [p.replace(kind=p.KEYWORD_ONLY) for p in (*options, *shared.values())]
    command.__signature__ = inspect.Signature(keyword_only)  # type: ignore[attr-defined]
    return command


def model_option(model_class: type[Module], parameter: inspect.Parameter) -> inspect.Parameter:
    """The option for an argument of a model's constructor: type from its default, help from the docstring."""
    found = re.search(rf"^\s+{parameter.name}: (.*)", inspect.getdoc(model_class) or "", re.MULTILINE)
    default = parameter.default
    kind: Any = type(default)
    option = typer.Option(help=found and found[1], rich_help_panel=f"{model_class.__name__}")
    if isinstance(default, tuple):
        option.parser, option.metavar, kind = integers, "N,N,…|none", Any
        default = ",".join(map(str, default)) or "none"
    if parameter.name in FROM_DATA:
        default, kind, option.show_default = None, kind | None, "the data's"
    return parameter.replace(default=default, annotation=Annotated[kind, option])


def integers(text: str) -> tuple[int, ...]:
    """The integers of "32,64", or of "none"."""
    try:
        return () if text == "none" else tuple(int(number) for number in text.split(","))
    except ValueError:
        raise typer.BadParameter(f"expected integers like 32,64, or none; got {text!r}") from None


for name in MODELS:
    app.command(name, help=(inspect.getdoc(MODELS[name]) or "").split("\n\n")[0])(command_for(name))


def main(arguments: list[str]) -> int:
    """Runs the command line; returns the exit code."""
    if arguments and not arguments[0].startswith("-"):
        try:
            arguments[0] = lookup("model", arguments[0], {name: name for name in MODELS})
        except ValueError as error:
            typer.echo(f"train.py: {error}", err=True)
            return 2
    return run(app, "train.py", arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
