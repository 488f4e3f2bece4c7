"""Models across the border: from Lightning to a .safetensors file that `gdl_numpy` reads, and back.

    python -m gdl_torch.export lightning_logs/version_0/checkpoints/epoch=9-step=210.ckpt mlp.safetensors

Then, also where torch is not installed: `gdl_numpy.checkpoint.load_model("mlp.safetensors")`.
"""

from __future__ import annotations

if __name__ == "__main__":
    from gdl_numpy.interrupts import exit_on_ctrl_c

    exit_on_ctrl_c()

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import torch
import typer
from torch import Tensor

from gdl_numpy.checkpoint import (
    CheckpointError,
    build_model,
    check_size,
    describe_model,
    load_checkpoint,
    load_vocabulary,
)
from gdl_numpy.checkpoint import load_model as load_numpy_model
from gdl_numpy.checkpoint import save_model as save_numpy_model
from gdl_numpy.command_line import run
from gdl_numpy.data import Vocabulary
from gdl_numpy.data.words import BagsDataModule, with_weights
from gdl_numpy.lookup import lookup
from gdl_torch.checkpoint import arrays_of, model_class_in, numpy_model, read_checkpoint, shared_arguments
from gdl_torch.models import MODELS
from gdl_torch.tasks import ReadsTokens

if TYPE_CHECKING:
    from gdl_numpy.nn import Module
    from gdl_torch.tasks import Task


def save_model(path: str | Path, model: Task) -> None:
    """Writes a model's arguments and weights to `path`, for `load_model` here and in `gdl_numpy.checkpoint`.

    The vocabulary of a model of words or characters, where it has one, goes along.

    Raises:
        OSError: the file cannot be written.
    """
    vocabulary = model.vocabulary if isinstance(model, ReadsTokens) else None
    arguments = shared_arguments(type(model), model.hparams)
    twin = build_model(type(model).__name__, arguments, arrays_of(model.state_dict()))
    twin = _reading_texts_alone(twin, getattr(model, "word_weights", None))
    save_numpy_model(path, twin, vocabulary)


def load_model(path: str | Path) -> Task:
    """Builds the model that a file of either side holds, in eval mode, with its vocabulary.

    Args:
        path: a .safetensors file, or a .ckpt of Lightning's.

    Raises:
        CheckpointError: the file cannot be used, or holds no model that is known here.
    """
    if Path(path).suffix == ".ckpt":
        twin, vocabulary = _read(path)
    else:
        twin = load_numpy_model(path)
        vocabulary = load_vocabulary(path) if "vocabulary" in load_checkpoint(path)[1] else None
    model = from_numpy(twin).eval()
    if isinstance(model, ReadsTokens):
        model.vocabulary = vocabulary
    return model


def from_numpy(model: Module, **hparams: Any) -> Task:
    """Builds the torch model with a NumPy model's arguments, dtype and a copy of its weights.

    Args:
        model: one of `gdl_numpy.models`.
        hparams: the arguments that only the torch side has: `optimizer` and `lr`.

    Raises:
        ValueError: `gdl_torch.models` has no model of that name.
    """
    torch_class: Any = lookup("model", type(model).__name__, MODELS)
    torch_model: Task = torch_class(**describe_model(model)["hparams"], **hparams)
    state = {name: torch.from_numpy(array) for name, array in model.state_dict().items()}
    torch_model.to(next(iter(state.values())).dtype).load_state_dict(state)
    return torch_model


def export_checkpoint(ckpt: str | Path, path: str | Path) -> None:
    """Writes the model in a Lightning checkpoint to `path`, for `gdl_numpy` to load.

    Raises:
        CheckpointError: the checkpoint is not one of ours, or is damaged.
        ValueError: `path` is the checkpoint.
        OSError: it cannot be written.
    """
    if Path(path).exists() and Path(path).samefile(ckpt):
        raise ValueError(f"{path} is the checkpoint itself: give another file to write the model to")
    twin, vocabulary = _read(ckpt)
    save_numpy_model(path, twin, vocabulary)


def is_exported(path: Path) -> bool:
    """Whether a file holds a model and nothing else, as `save_model` writes it; a training's holds more."""
    try:
        _, metadata = load_checkpoint(path)
    except CheckpointError:
        return False
    return {"model", "hparams"} <= metadata.keys() <= {"model", "hparams", "vocabulary"}


def _read(ckpt: str | Path) -> tuple[Module, Vocabulary | None]:
    """NumPy's twin of the model in a Lightning checkpoint, and its vocabulary, if it has one."""
    checkpoint = read_checkpoint(ckpt)
    model_class = model_class_in(checkpoint)
    if model_class is None:
        saved = checkpoint["hyper_parameters"].get("_class_path")
        raise CheckpointError(f"{ckpt} holds no model of gdl_torch but {saved}: give another checkpoint")
    try:
        vocabulary = Vocabulary.from_json(checkpoint["vocabulary"]) if "vocabulary" in checkpoint else None
        if vocabulary is not None:
            check_size(vocabulary, checkpoint["hyper_parameters"])
    except ValueError as error:
        raise CheckpointError(
            f"{ckpt} holds no vocabulary of its model ({error}): give another one"
        ) from error
    twin = numpy_model(ckpt, model_class, checkpoint)
    try:
        return _reading_texts_alone(twin, checkpoint.get("word_weights")), vocabulary
    except ValueError as error:
        raise CheckpointError(
            f"{ckpt} holds no weights of its model's words ({error}): give another checkpoint"
        ) from error


def _reading_texts_alone(twin: Module, weights: Tensor | None) -> Module:
    """NumPy's twin of a model that was trained with weights of words: they are in its vectors.

    Raises:
        ValueError: there are weights of other words, or of a model that has none.
    """
    if weights is None:
        return twin
    if not BagsDataModule.can_be_read_by(type(twin)):
        raise ValueError(f"{type(twin).__name__} takes no weights of words")
    finished: Module = with_weights(twin, arrays_of({"word_weights": weights})["word_weights"])
    return finished


app = typer.Typer(add_completion=False)


@app.command()
def export(
    ckpt: Annotated[Path, typer.Argument(help="checkpoint that a training run with Lightning wrote")],
    out: Annotated[
        Path | None, typer.Argument(help="file to write; else CKPT with the suffix .safetensors")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="replace OUT, whatever it is; an exported model always is")
    ] = False,
) -> None:
    """Exports the model in a Lightning checkpoint to a file that gdl_numpy loads, even without torch."""
    out = out or ckpt.with_suffix(".safetensors")
    if out.exists() and not (overwrite or out.samefile(ckpt) or is_exported(out)):
        raise ValueError(
            f"{out} is there, and no exported model: choose another file, or replace it with --overwrite"
        )
    export_checkpoint(ckpt, out)
    typer.echo(f"wrote {out}")


def main(arguments: list[str]) -> int:
    """Runs the command line; returns the exit code."""
    return run(app, "gdl_torch.export", arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
