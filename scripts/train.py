"""Train a model on either backend: the same flags, the same first weights, the same batches, the same order.

    python scripts/train.py MLP
    python scripts/train.py CNN --backend torch --data mnist --channels 32,64 --pool-size 2 --optimizer Adam
    python scripts/train.py CNN --help                   every flag, the model's own among them

In the folder of the run (--out): checkpoint.* to resume from; history.json, history.csv and history.png;
run.json with the flags; and at the end model.safetensors, which gdl_numpy loads without torch.

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
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Column, Table

from gdl_numpy import training
from gdl_numpy.checkpoint import save_model
from gdl_numpy.data import DATASETS, Batches, Dataset, load
from gdl_numpy.files import replacing
from gdl_numpy.history import History, Metrics
from gdl_numpy.lookup import lookup
from gdl_numpy.models import MODELS
from gdl_numpy.nn import CrossEntropyLoss, Module
from gdl_numpy.optim import OPTIMIZERS

if TYPE_CHECKING:
    from collections.abc import Callable

# Arguments of models that the data decides, where no flag does.
FROM_DATA: dict[str, Callable[[Dataset], Any]] = {
    "in_features": lambda dataset: math.prod(dataset.in_shape),
    "in_shape": lambda dataset: dataset.in_shape,
    "out_features": lambda dataset: dataset.num_classes,
}
DEFAULT_LR = {"SGD": 0.1, "Adam": 1e-3, "AdamW": 1e-3}
# typer may bring its own copy of click, so that the class is not always click's.
UsageError: type[Any] = typer.BadParameter.__base__ or Exception

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Train a model, on either backend.")


class Backend(StrEnum):
    numpy = "numpy"
    torch = "torch"


class Device(StrEnum):
    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


@dataclass(frozen=True)
class Run:
    """A training run, whichever backend does it.

    Attributes:
        model: NumPy's; has the first weights, and the trained ones in the end.
        settings: what must stay the same when the run is resumed, by the names of the flags.
        fit: the arguments that both backends' `fit` take.
    """

    model: Module
    dataset: Dataset
    data_dir: Path | None
    settings: dict[str, Any]
    optimizer_arguments: dict[str, float]
    fit: dict[str, Any]
    device: Device
    out: Path

    def on_numpy(self) -> tuple[History, Metrics]:
        """Trains with NumPy; returns what happened and how good the model is on the test examples."""
        batch_size, seed = self.settings["batch_size"], self.settings["seed"]
        train, held_out = training.hold_out(self.dataset.train, self.settings["validation"], seed)
        loss = CrossEntropyLoss()
        optimizer = OPTIMIZERS[self.settings["optimizer"]]
        history = training.fit(
            self.model,
            loss,
            optimizer(self.model.parameters(), **self.optimizer_arguments),
            Batches(train, batch_size, seed),
            validation=Batches(held_out, batch_size) if len(held_out) else None,
            checkpoint=self.out / "checkpoint.safetensors",
            **self.fit,
        )
        return history, training.evaluate(
            self.model, loss, Batches(self.dataset.test, batch_size), progress=True
        )

    def on_torch(self) -> tuple[History, Metrics]:
        """The same with Lightning's Trainer."""
        import torch

        from gdl_torch import training as torch_training
        from gdl_torch.data import DATA_MODULES
        from gdl_torch.export import from_numpy

        accelerator = "cuda" if self.device is not Device.cpu and torch.cuda.is_available() else "cpu"
        logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
        warnings.filterwarnings("ignore", message=".*LeafSpec.* is deprecated", category=FutureWarning)

        (data_module,) = (module for module in DATA_MODULES.values() if module.dataset == self.dataset.name)
        data = data_module(
            self.settings["batch_size"],
            self.data_dir,
            validation=self.settings["validation"],
            seed=self.settings["seed"],
        )
        model = from_numpy(self.model, optimizer=self.settings["optimizer"], lr=self.settings["lr"])
        optimizer = getattr(torch.optim, self.settings["optimizer"])
        history = torch_training.fit(
            model,
            optimizer(model.parameters(), **self.optimizer_arguments),
            data,
            seed=self.settings["seed"],
            directory=self.out,
            accelerator=accelerator,
            **self.fit,
        )
        test = torch_training.evaluate(model, data, accelerator=accelerator, progress=True)
        self.model.load_state_dict(
            {name: tensor.numpy(force=True) for name, tensor in model.state_dict().items()}
        )
        return history, test


def train(
    model_name: str,
    model_arguments: dict[str, Any],
    backend: Annotated[Backend, typer.Option(help="Who computes.")] = Backend.numpy,
    data: Annotated[str, typer.Option(help=f"Data set: {', '.join(DATASETS)}.")] = "digits",
    data_dir: Annotated[
        Path | None, typer.Option(help="Its folder; else $GDL_DATA, else the user's cache.")
    ] = None,
    epochs: Annotated[int, typer.Option(min=0, help="Passes through the training examples.")] = 10,
    batch_size: Annotated[int, typer.Option(min=1, help="Examples in a step.")] = 100,
    optimizer: Annotated[str, typer.Option(help=f"{', '.join(OPTIMIZERS)}.")] = "SGD",
    lr: Annotated[
        float | None, typer.Option(help="Learning rate; else 0.1 for SGD, 0.001 for others.")
    ] = None,
    lr_decay: Annotated[
        float, typer.Option(min=0, help="Factor on the learning rate after each epoch.")
    ] = 1.0,
    momentum: Annotated[float, typer.Option(help="For SGD.")] = 0.0,
    weight_decay: Annotated[float | None, typer.Option(help="Else the optimizer's own default.")] = None,
    clip_norm: Annotated[float | None, typer.Option(min=0, help="Largest norm of the gradient.")] = None,
    validation: Annotated[
        float, typer.Option(help="Fraction of the training examples held out to watch the training by.")
    ] = 0.1,
    patience: Annotated[
        int | None,
        typer.Option(
            min=1, help="Stop after so many epochs without a lower validation loss; keep the best weights."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Decides weights, batches and dropout.")] = 0,
    device: Annotated[Device, typer.Option(help="For the torch backend.")] = Device.auto,
    out: Annotated[Path | None, typer.Option(help="Folder of the run; else runs/MODEL-DATA-BACKEND.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in that folder.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Start over in that folder.")] = False,
) -> None:
    """Trains `MODELS[model_name]`, whose own flags are in `model_arguments`."""
    check_device(device, backend)
    if patience is not None and validation == 0:
        raise ValueError("--patience watches the validation loss: it needs --validation above 0")
    optimizer = lookup("optimizer", optimizer, {name: name for name in OPTIMIZERS})
    optimizer_arguments = {"lr": DEFAULT_LR[optimizer] if lr is None else lr}
    if weight_decay is not None:
        optimizer_arguments["weight_decay"] = weight_decay
    if momentum != 0:
        if optimizer != "SGD":
            raise ValueError(f"--momentum is for --optimizer SGD, not for {optimizer}")
        optimizer_arguments["momentum"] = momentum
    dataset = load(data, data_dir)
    model = build_model(model_name, model_arguments, dataset, seed)
    settings = {
        "model": model_name,
        **model.hparams,
        "backend": backend,
        "data": dataset.name,
        "batch_size": batch_size,
        "optimizer": optimizer,
        "lr": optimizer_arguments["lr"],
        "lr_decay": lr_decay,
        "momentum": momentum,
        "weight_decay": weight_decay,
        "clip_norm": clip_norm,
        "validation": validation,
        "patience": patience,
        "seed": seed,
    }
    out = out or Path("runs") / f"{model_name}-{dataset.name}-{backend}".lower()
    claim(out, settings, resume, overwrite)
    fit = {
        "epochs": epochs,
        "patience": patience,
        "resume": resume,
        "clip_norm": clip_norm,
        "lr_decay": lr_decay,
        "on_epoch": lambda history: history.save(out),
    }
    run = Run(model, dataset, data_dir, settings, optimizer_arguments, fit, device, out)
    title = f"{model_name} on {dataset.name}, {backend}"
    try:
        history, test = run.on_torch() if backend is Backend.torch else run.on_numpy()
    except KeyboardInterrupt:
        say_how_to_go_on(out, title)
        raise
    save_model(out / "model.safetensors", model)
    draw(history, out, title)
    report(history, test, patience is not None, out, title, len(dataset.test))


def check_device(device: Device, backend: Backend) -> None:
    """Raises ValueError for `--device cuda` where there is none to compute on."""
    if device is not Device.cuda:
        return
    if backend is Backend.numpy:
        raise ValueError("--device cuda is for --backend torch: the numpy backend computes on the CPU")
    import torch

    if not torch.cuda.is_available():
        raise ValueError("--device cuda: torch finds no CUDA device here; --device cpu and auto do without")


def build_model(name: str, arguments: dict[str, Any], dataset: Dataset, seed: int) -> Any:
    """The NumPy model with its first weights, of sizes that the data decides where no flag did."""
    arguments = {
        key: FROM_DATA[key](dataset) if value is None and key in FROM_DATA else value
        for key, value in arguments.items()
    }
    model_class: Any = MODELS[name]
    model = model_class(**arguments, rng=seed)
    classes = model.eval()(dataset.train.inputs[:1]).shape[1]
    if classes < dataset.num_classes:
        raise ValueError(
            f"{name} has {classes} outputs, but {dataset.name} has {dataset.num_classes} classes"
        )
    return model


def claim(out: Path, settings: dict[str, Any], resume: bool, overwrite: bool) -> None:
    """Makes `out` the folder of this run, unless there is another one in it already."""
    path = out / "run.json"
    settings = json.loads(json.dumps(settings))
    has_checkpoint = any(out.glob("checkpoint.*"))
    if not resume:
        if has_checkpoint and not overwrite:
            raise ValueError(
                f"{out} holds a run already: --resume goes on with it, --overwrite starts over, "
                "--out DIR keeps both"
            )
        try:
            for old in (*out.glob("checkpoint.*"), *out.glob("best.*")):
                old.unlink()
            History().save(out)
            with replacing(path) as temporary:
                temporary.write_text(json.dumps(settings, indent=1) + "\n")
        except OSError as error:
            raise ValueError(
                f"cannot write to {out} ({error.strerror}): choose another folder with --out"
            ) from error
        return
    if not has_checkpoint:
        raise ValueError(
            f"there is no run to resume in {out}: leave --resume out, or give its folder with --out"
        )
    try:
        before = dict(json.loads(path.read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise ValueError(f"{path}, the flags of the run to resume, cannot be read ({error})") from error
    changed = [name for name in before.keys() | settings.keys() if before.get(name) != settings.get(name)]
    if changed:
        differences = ", ".join(
            f"{name} was {before.get(name)}, not {settings.get(name)}" for name in sorted(changed)
        )
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


def report(history: History, test: Metrics, is_best: bool, out: Path, title: str, tested: int) -> None:
    """Prints the results: a table, and the one that counts in a line."""
    table = Table(
        Column(title, no_wrap=True), Column("loss", justify="right"), Column("accuracy", justify="right")
    )
    if len(history):
        epoch = (is_best and history.best_epoch) or len(history)
        row = history.rows[epoch - 1]
        for part in ("train", "validation"):
            if f"{part}_loss" in row:
                loss, accuracy = row[f"{part}_loss"], row[f"{part}_accuracy"]
                table.add_row(f"{part}, epoch {epoch}", f"{loss:.4f}", f"{accuracy:.2%}")
    table.add_row("test", f"{test.loss:.4f}", f"{test.accuracy:.2%}", style="bold")
    console = Console(highlight=False)
    console.print(table)
    console.print(
        f"saved in {out}: model.safetensors, history.json, history.csv, history.png", soft_wrap=True
    )
    seconds = sum(row["seconds"] for row in history.rows)
    console.print(
        f"{title}: test accuracy {test.accuracy:.2%} on {tested:,} examples, "
        f"after {len(history)} epochs in {seconds:.1f} s",
        soft_wrap=True,
    )


def command_for(name: str) -> Callable[..., None]:
    """`train` for one model, with an option for every argument of its constructor."""
    options = [
        model_option(MODELS[name], p)
        for p in inspect.signature(MODELS[name]).parameters.values()
        if p.kind is not p.KEYWORD_ONLY
    ]

    def command(**flags: Any) -> None:
        train(name, {option.name: flags.pop(option.name) for option in options}, **flags)

    _, _, *shared = inspect.signature(train, eval_str=True).parameters.values()
    keyword_only = [p.replace(kind=p.KEYWORD_ONLY) for p in (*options, *shared)]
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
    try:
        if arguments and not arguments[0].startswith("-"):
            arguments[0] = lookup("model", arguments[0], {name: name for name in MODELS})
        return int(app(arguments, standalone_mode=False) or 0)
    except (KeyboardInterrupt, typer.Abort):
        return 130
    except UsageError as error:
        message, code = str(error.format_message()), 2
    except (ValueError, IndexError, OSError) as error:
        message, code = str(error), 2
    if message:  # there is none with the help that stands in for a missing command line
        typer.echo(f"train.py: {message}", err=True)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
