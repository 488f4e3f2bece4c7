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

In the folder of the run (--out): checkpoint.* to resume from; history.json, .csv and .png; run.json with the
flags; and at the end model.safetensors, which gdl_numpy loads without torch, vocabulary included.

Every epoch is saved as it ends. After Ctrl-C (exit code 130), SIGTERM (143), SIGHUP (129), a kill or a full
disk, the same command with --resume goes on and gives, bit for bit on a CPU, the weights of an unbroken run.
Exit code 2, and one line that says why, for bad usage and files that cannot be used.
"""

from __future__ import annotations

if __name__ == "__main__":
    from gdl_numpy.interrupts import exit_on_ctrl_c

    exit_on_ctrl_c()

import inspect
import sys
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from gdl_numpy.checkpoint import save_model
from gdl_numpy.command_line import Backend, check_cpu, run
from gdl_numpy.data import data_module_for, data_modules_of, load_or_read
from gdl_numpy.data.module import kinds_of
from gdl_numpy.history import History
from gdl_numpy.interrupts import Terminated
from gdl_numpy.lookup import lookup
from gdl_numpy.messages import counted
from gdl_numpy.models import MODELS
from gdl_numpy.optim import OPTIMIZERS
from gdl_numpy.options import flag, given_in
from gdl_numpy.reporting import draw, report, say_how_to_go_on
from gdl_numpy.run_folder import CHECKPOINTS, holding
from gdl_numpy.training_flags import NO_FLAGS, TrainingFlags, check_sizes, defaults_of, options_for

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gdl_numpy.data import AnyDataset, DataModule
    from gdl_numpy.tasks import Metrics, Task

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Train a model, on either backend.")


def train(model_name: str, given: Mapping[str, Any]) -> None:
    """Trains `MODELS[model_name]` by the options that were given."""
    run = plan(model_name, given)
    flags, out = run.flags, run.out
    title = f"{model_name} on {run.data.name}, {flags.backend}"
    with holding(out, run.settings, resume=flags.resume, overwrite=flags.overwrite):
        try:
            history, test = run.on_torch() if flags.backend is Backend.torch else run.on_numpy()
            save_model(out / "model.safetensors", run.data.finished(run.task.model), run.data.vocabulary)
        except (KeyboardInterrupt, Terminated, OSError) as stop:
            saved = run.saved_history()
            say_how_to_go_on(out, saved)
            if not isinstance(stop, OSError):  # where the disk is full, these would not fit either
                saved.save(out)
                with suppress(Exception):  # Ctrl-C may have left any library half imported
                    draw(saved, out, title, run.task.metrics_class)
            raise
        report(history, test, run.data, title, out, keeps_best=flags.patience is not None)


def plan(model_name: str, given: Mapping[str, Any]) -> Run:
    """The run that the options describe, ready to go, and nothing of it written yet.

    Raises:
        ValueError: options that do not go together, or not with the data.
        DataError: the data are damaged, or are missing and cannot be downloaded.
    """
    check_sizes(given)
    model_class: Any = MODELS[model_name]
    flags = TrainingFlags.of({**defaults_of(model_class), **given})
    if flags.backend is Backend.numpy:
        check_cpu(flags.device)
    else:
        from gdl_torch.device import accelerator

        accelerator(flags.device)  # refused here, if it is not there
    data, data_arguments = data_for(model_class, given, flags)
    if flags.patience is not None and data.validation is None:
        raise ValueError("--patience watches the validation loss: it needs examples held out by --validation")
    model = build_model(model_class, given, data, flags)
    names = inspect.signature(model_class.task.of).parameters
    task = model_class.task.of(model, **{name: given[name] for name in names if name in given})
    folder = f"{model_name}-{data.name}-{flags.backend}".lower().replace("/", "-")
    # Here, since to import torch's takes seconds, in which Ctrl-C is likely and nothing may be lost yet.
    side = import_module(f"gdl_{flags.backend}.training")
    return Run(task, data, data_arguments, flags, flags.out or Path("runs") / folder, side)


def data_for(
    model: type[Any], given: Mapping[str, Any], flags: TrainingFlags
) -> tuple[DataModule, dict[str, Any]]:
    """The data in batches for a model, and what the data module was made with.

    Raises:
        ValueError: the data are of another kind than the model is for, or an option is not for them.
        DataError: they are damaged, or are missing and cannot be downloaded.
    """
    dataset: AnyDataset = load_or_read(flags.data, flags.data_dir)
    module = data_module_for(model, dataset)
    own = inspect.signature(module).parameters
    for other in data_modules_of(model):
        for name in inspect.signature(other).parameters.keys() & given.keys():
            if name not in own and name not in vars(flags):
                raise ValueError(f"{flag(name)} is for {kinds_of(other)}: {dataset.name} has {dataset.kind}")
    wanted = {**defaults_of(model), **given, **model.task.data_arguments(model, given), "seed": flags.seed}
    arguments = {
        name: wanted.get(name, own[name].default) for name in own if name not in ("dataset", "transform")
    }
    data = module(dataset, **arguments)
    data.setup()
    return data, arguments


def build_model(
    model_class: type[Any], given: Mapping[str, Any], data: DataModule, flags: TrainingFlags
) -> Any:
    """The NumPy model with its first weights, of sizes that the data decide where no option does.

    Raises:
        ValueError: sizes that are not the data's.
    """
    names = inspect.signature(model_class).parameters
    wanted = {**data.model_arguments, "sparse": flags.takes_sparse, **given}
    arguments = {name: wanted[name] for name in names if name in wanted}
    model = model_class(**arguments, rng=flags.seed)
    if data.vocabulary is not None and arguments["vocab_size"] != len(data.vocabulary):
        raise ValueError(
            f"--vocab-size must be the data's: {data.name} has {counted(len(data.vocabulary), 'token')}, "
            f"got {arguments['vocab_size']}"
        )
    if "in_shape" in data.model_arguments:  # images of another shape are refused here, before the run begins
        inputs, _ = next(iter(data.test))
        views = inputs if isinstance(inputs, tuple) else (inputs,)
        outputs = model.eval()(views[0][:1])
        expected = data.model_arguments.get("out_features")
        if expected is not None and outputs.shape[1] < expected:
            found = f"{model_class.__name__} has {counted(outputs.shape[1], 'output')}"
            raise ValueError(f"{found}, but {data.name} has {counted(expected, 'class')}")
    return model


@dataclass(frozen=True)
class Run:
    """A training run, whichever backend does it.

    Attributes:
        task: NumPy's; its model has the first weights, and the trained ones in the end.
        data: what it learns from.
        data_arguments: what the data module was made with.
        flags: how.
        out: the folder of the run.
        side: the backend's `training`.
    """

    task: Task
    data: DataModule
    data_arguments: Mapping[str, Any]
    flags: TrainingFlags
    out: Path
    side: Any

    @property
    def checkpoint(self) -> Path:
        """The file to resume from."""
        return self.out / CHECKPOINTS[self.flags.backend]

    @property
    def settings(self) -> dict[str, Any]:
        """What makes the run this one, in JSON's types."""
        model = self.task.model
        return {
            "model": type(model).__name__,
            **self.flags.identity,
            **{name: value for name, value in self.data_arguments.items() if name not in NO_FLAGS},
            **self.task.hparams,
            **model.hparams,
            "data": self.data.name,
            **self.data.identity,
        }

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
        history = self.side.fit(
            self.task,
            optimizer(self.task.model.parameters(), **self.flags.optimizer_arguments),
            self.data.train,
            validation=self.data.validation,
            checkpoint=self.checkpoint,
            vocabulary=self.data.vocabulary,
            **self.fit_arguments,
        )
        return history, self.side.evaluate(self.task, self.data.test, progress=True)

    def on_torch(self) -> tuple[History, Metrics]:
        """The same with Lightning's Trainer."""
        import torch

        from gdl_torch.device import accelerator, quiet_lightning
        from gdl_torch.export import from_numpy

        quiet_lightning()
        place = accelerator(self.flags.device)
        model = from_numpy(
            self.task.model, optimizer=self.flags.optimizer, lr=self.flags.lr, **self.task.hparams
        )
        data = self.torch_data()
        optimizer = getattr(torch.optim, self.flags.optimizer)
        history = self.side.fit(
            model,
            optimizer(model.parameters(), **self.flags.optimizer_arguments),
            data,
            seed=self.flags.seed,
            directory=self.out,
            accelerator=place,
            **self.fit_arguments,
        )
        test = self.side.evaluate(model, data, accelerator=place, progress=True)
        self.task.model.load_state_dict(
            {name: tensor.numpy(force=True) for name, tensor in model.state_dict().items()}
        )
        return history, test

    def saved_history(self) -> History:
        """What the checkpoint knows of the run."""
        if not self.checkpoint.exists():
            return History()
        history: History = self.side.saved_history(self.checkpoint, self.task.metrics_class)
        return history

    def torch_data(self) -> Any:
        """The torch side's data module of the same name, of the same data set and arguments."""
        from gdl_torch.data import twin_of

        return twin_of(type(self.data)).fitting(self.data.dataset, **self.data_arguments)


def command_for(name: str) -> Callable[..., None]:
    """`train` for one model, with an option for each argument: its own, its data's, its loss's."""

    def command(context: typer.Context, **values: Any) -> None:
        train(name, given_in(context, values))

    context = inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)
    signature = inspect.Signature([context, *options_for(MODELS[name]).values()])
    command.__signature__ = signature  # type: ignore[attr-defined]
    return command


def main(arguments: list[str]) -> int:
    """Runs the command line; returns the exit code."""
    if arguments and not arguments[0].startswith("-"):
        try:
            arguments[0] = lookup("model", arguments[0], {name: name for name in MODELS})
        except ValueError as error:
            typer.echo(f"train.py: {error}", err=True)
            return 2
    return run(app, "train.py", arguments)


for name in MODELS:
    app.command(name, help=(inspect.getdoc(MODELS[name]) or "").split("\n\n")[0])(command_for(name))

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
