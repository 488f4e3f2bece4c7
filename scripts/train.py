"""Train a model on either backend: the same flags, the same first weights, the same batches, the same order.

    python scripts/train.py MLP
    python scripts/train.py CNN --backend torch --data mnist --channels 32,64 --pool-size 2 --optimizer Adam
    python scripts/train.py LSTMLanguageModel --data shakespeare --chunk 64 --lr 0.002 --clip-norm 1
    python scripts/train.py LSTMLanguageModel --data story.txt --vocabulary words       a text of your own
    python scripts/train.py SentimentClassifier --data imdb
    python scripts/train.py ContrastiveEncoder --data mnist --loss TripletMarginLoss
    python scripts/train.py CNN --help                   every flag, the model's own among them

A language model reads its text in --batch-size streams side by side, --chunk steps at a time: gradients flow
back through a chunk, the state goes on to the next. Losses are in nats a token, a character or a word.

In the folder of the run (--out): checkpoint.* to resume from; history.json, history.csv and history.png;
run.json with the flags; and at the end model.safetensors, which gdl_numpy loads without torch, with the
vocabulary of a model that reads tokens.

Every epoch is saved as it ends. After Ctrl-C (exit code 130) the same command with --resume goes on and
gives, bit for bit on a CPU, the weights of a run that was never stopped. Exit code 2, and one line that says
why, for bad usage and files that cannot be used.
"""

from __future__ import annotations

import inspect
import json
import logging
import re
import shlex
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Column, Table

from gdl_numpy import training
from gdl_numpy.checkpoint import describe_model, save_model
from gdl_numpy.command_line import Backend, Device, run
from gdl_numpy.data import DATASETS, IGNORED, AnyDataset, find, load, read_text_file
from gdl_numpy.history import History
from gdl_numpy.lookup import lookup
from gdl_numpy.models import MODELS
from gdl_numpy.optim import OPTIMIZERS
from gdl_numpy.run_folder import claim, reclaim
from gdl_numpy.training_flags import Flags, flags_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from gdl_numpy.data import DataModule
    from gdl_numpy.nn import Module
    from gdl_numpy.tasks import Metrics, Task

# Arguments of models that the data decides, where no flag does.
FROM_DATA = ("in_features", "in_shape", "out_features", "vocab_size", "patch_size")
# Where it is not the one that suits most models of its kind.
DEFAULT_DATA = {"TransitionMatrixLM": "babi"}
app = typer.Typer(add_completion=False, no_args_is_help=True, help="Train a model, on either backend.")


def dataset_for(flags: Flags) -> AnyDataset:
    """What `--data` names: a data set, a task of one, or a file of text."""
    if is_path(flags.data):
        return read_text_file(flags.data)
    flags.data = find(flags.data).name
    dataset: AnyDataset = load(flags.data, flags.data_dir)
    return dataset


def is_path(data: str) -> bool:
    """Whether `--data` means a file, not a data set: by how it is written, or since there is one."""
    path, (name, _, task) = Path(data), data.casefold().partition("/")
    if name in DATASETS and (not task or task.isdecimal()):
        return False
    return len(path.parts) > 1 or bool(path.suffix) or path.exists()


@dataclass(frozen=True)
class Run:
    """A training run, whichever backend does it.

    Attributes:
        task: NumPy's; its model has the first weights, and the trained ones in the end.
        data: what it learns from.
        flags: how.
        out: the folder of the run.
    """

    task: Task
    data: DataModule
    flags: Flags
    out: Path

    @property
    def model(self) -> Module:
        """What is trained, with NumPy's weights."""
        model: Module = self.task.model
        return model

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
        optimizer = OPTIMIZERS[self.flags.optimizer]
        history = training.fit(
            self.task,
            optimizer(self.model.parameters(), **self.flags.optimizer_arguments),
            self.data.train,
            validation=self.data.validation,
            checkpoint=self.out / "checkpoint.safetensors",
            vocabulary=self.data.vocabulary,
            **self.fit_arguments,
        )
        return history, training.evaluate(self.task, self.data.test, progress=True)

    def on_torch(self) -> tuple[History, Metrics]:
        """The same with Lightning's Trainer."""
        import torch

        from gdl_torch import training as torch_training
        from gdl_torch.export import from_numpy

        accelerator = "cuda" if self.flags.device is not Device.cpu and torch.cuda.is_available() else "cpu"
        logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
        warnings.filterwarnings("ignore", message=".*LeafSpec.* is deprecated", category=FutureWarning)

        arguments = {"optimizer": self.flags.optimizer, "lr": self.flags.lr, **self.flags.torch_arguments}
        model = from_numpy(self.model, **arguments)
        data = self.torch_data()
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

    def torch_data(self) -> Any:
        """The torch side's data module of the same name, of the same data set and arguments."""
        from gdl_torch.data import twin_of

        module = twin_of(type(self.data))
        arguments = self.flags.for_data(describe_model(self.model)["hparams"])
        return module.fitting(self.data.dataset, **arguments)


def train(model_name: str, model_arguments: dict[str, Any], flags: Flags) -> None:
    """Trains `MODELS[model_name]`, whose own flags are in `model_arguments`."""
    check_device(flags.device, flags.backend)
    data = flags.data_module(MODELS[model_name], model_arguments, dataset_for(flags))
    model = build_model(model_name, model_arguments, data, flags)
    folder = f"{model_name}-{data.name}-{flags.backend}".lower().replace("/", "-")
    out = flags.out or Path("runs") / folder
    settings = {"model": model_name, **model.hparams, **flags.identity, "data": data.name}
    settings |= data.identity
    if flags.resume:
        reclaim(out, settings)
    else:
        claim(out, settings, flags.overwrite)
    run = Run(flags.task_of(model), data, flags, out)
    title = f"{model_name} on {data.name}, {flags.backend}"
    try:
        history, test = run.on_torch() if flags.backend is Backend.torch else run.on_numpy()
    except KeyboardInterrupt:
        say_how_to_go_on(out, title)
        raise
    save_model(out / "model.safetensors", model, data.vocabulary)
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


def build_model(name: str, arguments: dict[str, Any], data: DataModule, flags: Flags) -> Any:
    """The NumPy model with its first weights, of sizes that the data decides where no flag did.

    Raises:
        ValueError: sizes that are not the data's.
    """
    defaults = {**data.model_arguments, "sparse": flags.takes_sparse}
    arguments = {key: defaults.get(key) if value is None else value for key, value in arguments.items()}
    model_class: Any = MODELS[name]
    model = model_class(**arguments, rng=flags.seed)
    if data.vocabulary is not None and arguments["vocab_size"] != len(data.vocabulary):
        raise ValueError(
            f"--vocab-size must be the data's: {data.name} has {len(data.vocabulary)} tokens, "
            f"got {arguments['vocab_size']}"
        )
    if "in_shape" in data.model_arguments:  # images of another shape are refused here, before the run begins
        inputs, _ = next(iter(data.test))
        views = inputs if isinstance(inputs, tuple) else (inputs,)
        outputs = model.eval()(views[0][:1])
        expected = data.model_arguments.get("out_features")
        if expected is not None and outputs.shape[1] < expected:
            raise ValueError(f"{name} has {outputs.shape[1]} outputs, but {data.name} has {expected} classes")
    return model


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
    console.print(table_of(row, test, run.data.unit, title))
    files = "model.safetensors, history.json, history.csv, history.png"
    console.print(f"saved in {run.out}: {files}", soft_wrap=True)

    unit, test_examples = "example", run.data.test.describe().get("examples", 0)
    if test.per_token:
        unit = run.data.unit
        test_examples = sum(np.count_nonzero(targets != IGNORED) for _, targets in run.data.test)
    result = f"test {test.summary(unit)}"
    if test.decisive == "loss" and "validation_loss" in row:
        result = f"validation loss {row['validation_loss']:.4f}, {result}"
    seconds = sum(row["seconds"] for row in history.rows)
    after = f"after {len(history)} epochs in {seconds:.1f} s"
    console.print(f"{title}: {result} on {test_examples:,} {unit}s, {after}", soft_wrap=True)


def table_of(row: dict[str, float], test: Metrics, unit: str, title: str) -> Table:
    """The metrics of an epoch, a row of the history, and those on the test data."""
    metrics = test.columns
    heads = {"bits_per_token": f"bits per\n{unit}"}
    if len(metrics) > 2:  # within 80 characters all the same
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
    flags_class = flags_of(MODELS[name])
    options = [
        model_option(MODELS[name], p)
        for p in inspect.signature(MODELS[name]).parameters.values()
        if p.kind is not p.KEYWORD_ONLY
    ]

    def command(**flags: Any) -> None:
        arguments = {option.name: flags.pop(option.name) for option in options}
        train(name, arguments, flags_class(**flags))

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
    if parameter.name == "sparse":
        default, kind, option.show_default = None, kind | None, "for plain SGD"
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
