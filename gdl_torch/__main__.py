r"""Train, validate, test and predict, by flags or by YAML.

    python -m gdl_torch fit --model MLP --data MNISTDataModule --trainer.max_epochs 20
    python -m gdl_torch fit --config configs/digits_cnn.yaml
    python -m gdl_torch test --data MNISTDataModule --ckpt_path lightning_logs/version_0/checkpoints/….ckpt
    python -m gdl_torch fit --model LSTMLanguageModel --model.optimizer Adam --model.lr 0.002 \
        --data ShakespeareDataModule --data.chunk 50 --trainer.gradient_clip_val 1

The size of the images, the number of classes and that of tokens are the data's: the model is built for
them. Bad usage ends with one line and exit code 2; with JSONARGPARSE_DEBUG=1 in the environment, with its
traceback. Ctrl-C ends with exit code 130, SIGTERM with 143, SIGHUP with 129; the last epoch's checkpoint is
whole.
"""

from __future__ import annotations

if __name__ == "__main__":
    from gdl_numpy.interrupts import exit_on_ctrl_c

    exit_on_ctrl_c()

import logging
import os
import re
import sys
import warnings
from pathlib import Path
from typing import Any, NoReturn

import pytorch_lightning as pl
import rich
from lightning_fabric.plugins import TorchCheckpointIO
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.cli import ArgsType, LightningArgumentParser, LightningCLI, SaveConfigCallback

from gdl_numpy.command_line import replace_what_cannot_be_said
from gdl_numpy.files import check_folder
from gdl_numpy.interrupts import CTRL_C, as_exceptions
from gdl_numpy.lookup import lookup
from gdl_numpy.messages import as_line
from gdl_numpy.tables import fit_tables
from gdl_torch.checkpoint import model_class_in, read_checkpoint
from gdl_torch.checkpoint_io import ReplacingCheckpointIO
from gdl_torch.data import DATA_MODULES
from gdl_torch.interrupts import plain_ctrl_c
from gdl_torch.models import MODELS
from gdl_torch.predictions import PredictionsFile
from gdl_torch.progress import FittingProgressBar
from gdl_torch.restoring import Restoring, check_resumable
from gdl_torch.tasks import Task
from gdl_torch.training import last_metrics
from gdl_torch.trust import own_arguments, refusal

# What the parser says about its own insides, around the sentence that helps.
PARSER_NOISE = re.compile(
    r"Does not validate against|Subtypes:|Errors:|Given value type:|Given value: (Namespace|NestedArg|{)"
    r"|Expected a <class 'NoneType'>|Expected a path but"
)

# How Lightning's notes begin that say nothing new: see `quiet`.
UNASKED = re.compile(
    "💡 Tip|Seed set to|[GT]PU available: |Restoring states from|\nDetected KeyboardInterrupt"
)

# A --ckpt_path that is no file: one that this process wrote, or is handed by a cluster.
FOUND_BY_LIGHTNING = re.compile(r"(best|last|hpc|registry(:.*)?)$")


def one_line(message: str) -> str:
    """What helps of an error message, on one line; for a misspelt class, the name that was probably meant."""
    unknown = re.search(
        r'Parser key "(model|data)".*Expected a dot import path string: (\S+)', message, re.DOTALL
    )
    if unknown:
        return _unknown_class(*unknown.groups())
    lines = (line.strip().removeprefix("- ") for line in message.splitlines())
    return as_line(" ".join(line for line in lines if line and not PARSER_NOISE.match(line)))


def _unknown_class(key: str, name: str) -> str:
    kind, table = ("model", MODELS) if key == "model" else ("data module", DATA_MODULES)
    try:
        nearest: type = lookup(kind, name, table)
    except ValueError as error:
        return str(error)
    return f"unknown {kind} {name!r}: did you mean {nearest.__name__!r}?"


class Parser(LightningArgumentParser):
    """Refuses wrong arguments in one line.

    Attributes:
        source: the file that the arguments come from, where they come from one.
    """

    source: str | None = None

    def add_lightning_class_args(
        self, lightning_class: Any, nested_key: str, subclass_mode: bool = False, required: bool = True
    ) -> list[str]:
        # A checkpoint may say which model; and the parser's own words on what is missing are obscure.
        return super().add_lightning_class_args(lightning_class, nested_key, subclass_mode, required=False)

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        source = f"{self.source}: " if self.source else ""
        self.exit(2, f"error: {source}{one_line(message)}\n")


class SaveConfig(SaveConfigCallback):
    """Keeps the run's configuration with its logs; without them its place would be the user's own folder."""

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if trainer.loggers:
            super().setup(trainer, pl_module, stage)


class CLI(LightningCLI):
    """LightningCLI for any model and data module, ours by their short names, others by their dotted path."""

    def __init__(self, args: ArgsType = None) -> None:
        super().__init__(
            pl.LightningModule,
            pl.LightningDataModule,
            subclass_mode_model=True,
            subclass_mode_data=True,
            parser_class=Parser,
            parser_kwargs={"prog": "python -m gdl_torch"},
            save_config_callback=SaveConfig,
            seed_everything_default=0,
            trainer_defaults={
                "max_epochs": 10,
                "log_every_n_steps": 10,
                "callbacks": [PredictionsFile()],
            },
            load_from_checkpoint_support=False,
            args=args,
        )

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        # A link is skipped where the model has no such argument or the data module no such attribute.
        links = {
            "in_features": "in_features",
            "in_shape": "in_shape",
            "num_classes": "out_features",
            "vocab_size": "vocab_size",
        }
        for source, target in links.items():
            parser.link_arguments(f"data.{source}", f"model.init_args.{target}", apply_on="instantiate")

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        super().parse_arguments(parser, args)
        config = self.config[self.config.subcommand]
        if config.data is None:
            parser.error(f"--data is needed: {', '.join(DATA_MODULES)} (or a class of yours)")
        path = config.ckpt_path
        if path and "://" in path:
            parser.error(f"--ckpt_path must be a file of this machine, which can be checked; got {path}")
        if "weights_only" in config and config.weights_only is None:
            config.weights_only = True  # Lightning's default depends on where the file is
        if path and (not FOUND_BY_LIGHTNING.match(path) or Path(path).is_file()):
            checkpoint = read_checkpoint(path)
            self._take_arguments(path, checkpoint["hyper_parameters"])
            if self.config.subcommand == "fit" and model_class_in(checkpoint):
                check_resumable(path, checkpoint)
        elif config.model is None:
            parser.error(f"--model is needed: {', '.join(MODELS)} (or a class of yours), or a --ckpt_path")

    def _take_arguments(self, path: str, hparams: dict[str, Any]) -> None:
        """Builds the model as the checkpoint has it, where that names one that may be built."""
        model = self.config[self.config.subcommand].model
        if fault := refusal(hparams, model.class_path if model else None):
            self.parser.error(f"{path} {fault}")
        if "_class_path" in hparams:
            self.parser.source = path  # type: ignore[attr-defined]  # which `Parser` has
            try:
                arguments = own_arguments(hparams, model.init_args.as_dict() if model else {})
            except ValueError as error:
                self.parser.error(str(error))
            chosen = {"class_path": hparams["_class_path"], "dict_kwargs": arguments}
            self.config = self.parser.parse_object({self.config.subcommand: {"model": chosen}}, self.config)

    def _parse_ckpt_path(self) -> None:
        """Does nothing: Lightning's own way would take a checkpoint's word on everything."""

    def instantiate_trainer(self, **kwargs: Any) -> pl.Trainer:
        try:
            trainer = super().instantiate_trainer(**kwargs)
        except MisconfigurationException as error:
            raise ValueError(f"this machine cannot do what the --trainer flags ask for: {error}") from error
        given = self._get(self.config_init, "trainer")["callbacks"]
        bar = trainer.progress_bar_callback
        if bar is not None and bar not in (
            given if isinstance(given, list) else [given]
        ):  # Lightning's choice
            trainer.callbacks[trainer.callbacks.index(bar)] = FittingProgressBar()  # type: ignore[attr-defined]
        strategy: Any = trainer.strategy
        if type(strategy.checkpoint_io) is TorchCheckpointIO:  # and none that the user has chosen
            strategy.checkpoint_io = ReplacingCheckpointIO()
        self.restoring = Restoring(self.config[self.config.subcommand].ckpt_path)
        trainer.callbacks.insert(0, self.restoring)  # type: ignore[attr-defined]
        return trainer

    def _run_subcommand(self, subcommand: str) -> None:
        self._check_places(subcommand)
        with self.restoring.blaming():
            super()._run_subcommand(subcommand)

    def after_fit(self) -> None:
        """Says in words where the numbers of the last epoch mean that what was learned is of no use."""
        if isinstance(self.model, Task) and self.trainer.is_global_zero:
            metrics = last_metrics(self.model, self.trainer.callback_metrics)
            if metrics is not None and metrics.warning is not None:
                sys.stderr.write(f"warning: {metrics.warning}\n")

    def _check_places(self, subcommand: str) -> None:
        """Refuses, before the work, places where its results cannot be written. Loggers see to their own.

        Raises:
            ValueError: there is one.
        """
        for callback in self.trainer.callbacks:  # type: ignore[attr-defined]  # which it has
            if isinstance(callback, PredictionsFile) and subcommand == "predict":
                callback.check_free(self.trainer)
            if isinstance(callback, ModelCheckpoint) and subcommand == "fit" and not self.trainer.loggers:
                folder = str(callback.dirpath or self.trainer.default_root_dir)
                check_folder("--trainer.default_root_dir", None if "://" in folder else Path(folder))


def quiet() -> None:
    """Drops the notes and warnings of Lightning that no flag of the user's can change."""
    # Lightning's own use of torch's and jsonargparse's interfaces.
    warnings.filterwarnings("ignore", r".*isinstance\(treespec, LeafSpec\)", FutureWarning)
    os.environ.setdefault("JSONARGPARSE_DEPRECATION_WARNINGS", "off")
    # Every run has its own folder, one that goes on from another's checkpoint too.
    warnings.filterwarnings("ignore", "The dirpath has changed", UserWarning)
    # About the megabytes in a table.
    warnings.filterwarnings("ignore", "Precision .* is not supported by the model summary", UserWarning)
    # That is what --optimizer is for.
    warnings.filterwarnings("ignore", ".*configure_optimizers` will be overridden", UserWarning)
    # Advertisements; the seed, which is kept with the run's configuration; and what the machine has, also
    # before a run that is refused; and Ctrl-C, of which its user knows. Of a GPU that is there and not used,
    # Lightning warns; and once a checkpoint is restored, it says so.
    for name in ("pytorch_lightning.utilities.rank_zero", "lightning_fabric.utilities.seed"):
        logging.getLogger(name).addFilter(lambda record: not UNASKED.match(record.getMessage()))


def main() -> None:
    quiet()
    replace_what_cannot_be_said()
    fit_tables(rich.get_console())  # on which Lightning prints its own
    try:
        with as_exceptions(), plain_ctrl_c():
            CLI()
    except KeyboardInterrupt:
        sys.exit(CTRL_C)
    except (ValueError, IndexError, OSError, RuntimeError, MisconfigurationException) as error:
        # A RuntimeError is a mistake of ours, but for the weights of some other model.
        is_usage = not isinstance(error, RuntimeError) or "loading state_dict" in str(error)
        if not is_usage or os.environ.get("JSONARGPARSE_DEBUG"):
            raise
        sys.stderr.write(f"error: {what_is_wrong(error)}\n")
        sys.exit(2)


def what_is_wrong(error: Exception) -> str:
    """An error on one line; of a disk that is full, also what is safe."""
    if not (isinstance(error, OSError) and error.filename):
        return one_line(str(error))
    safe = "; what was saved before it is whole" if Path(error.filename).suffix == ".ckpt" else ""
    return as_line(f"{error.filename}: {error.strerror}{safe}")


if __name__ == "__main__":
    main()
