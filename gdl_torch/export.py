"""Models across the border: from Lightning to a .safetensors file that `gdl_numpy` reads, and back.

    python -m gdl_torch.export lightning_logs/version_0/checkpoints/epoch=9-step=210.ckpt mlp.safetensors

Then, also where torch is not installed: `gdl_numpy.checkpoint.load_model("mlp.safetensors")`.
"""

from __future__ import annotations

import inspect
import zipfile
from pathlib import Path  # noqa: TC003 (typer reads the annotations)
from typing import TYPE_CHECKING, Annotated, Any

import torch
import typer

from gdl_numpy.checkpoint import (
    CheckpointError,
    describe_model,
    load_checkpoint,
    load_vocabulary,
    save_checkpoint,
)
from gdl_numpy.checkpoint import load_model as load_numpy_model
from gdl_numpy.data import Vocabulary
from gdl_numpy.lookup import lookup
from gdl_torch.models import MODELS
from gdl_torch.tasks import ReadsTokens

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from torch import Tensor

    from gdl_numpy.nn import Module
    from gdl_torch.tasks import Task

NARROW = (torch.float16, torch.bfloat16)


def save_model(path: str | Path, model: Task) -> None:
    """Writes a model's arguments and weights to `path`, for `load_model` here and in `gdl_numpy.checkpoint`.

    The vocabulary of a model of words or characters, where it has one, goes along.

    Raises:
        CheckpointError: the file cannot be written.
    """
    vocabulary = model.vocabulary if isinstance(model, ReadsTokens) else None
    _save(path, type(model), model.hparams, model.state_dict(), vocabulary)


def load_model(path: str | Path) -> Task:
    """Builds the model that a .safetensors file of either side holds, in eval mode, with its vocabulary.

    Raises:
        CheckpointError: the file cannot be used, or holds no model that is known here.
    """
    model = from_numpy(load_numpy_model(path)).eval()
    if isinstance(model, ReadsTokens) and "vocabulary" in load_checkpoint(path)[1]:
        model.vocabulary = load_vocabulary(path)
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
        CheckpointError: the checkpoint is not one of ours or is damaged, or `path` cannot be written.
    """
    checkpoint = read_checkpoint(ckpt)
    try:
        class_name = str(checkpoint["hyper_parameters"]["_class_path"]).rpartition(".")[2]
        model_class: Any = lookup("model", class_name, MODELS)
        # Built only to be sure that names and shapes are this model's.
        model_class(**_shared_arguments(model_class, checkpoint["hyper_parameters"])).load_state_dict(
            checkpoint["state_dict"]
        )
        vocabulary = Vocabulary.from_json(checkpoint["vocabulary"]) if "vocabulary" in checkpoint else None
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise CheckpointError(
            f"{ckpt} holds no model that this version can build ({_one_line(error)}): give a checkpoint of "
            f"{' or '.join(MODELS)} trained with gdl_torch, or use the version that wrote it"
        ) from error
    _save(path, model_class, checkpoint["hyper_parameters"], checkpoint["state_dict"], vocabulary)


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Reads a checkpoint that Lightning wrote. Only tensors and plain values are unpickled, never code.

    Raises:
        CheckpointError: the file is missing, truncated or changed, or is no such checkpoint.
    """
    try:
        # torch itself does not look at the archive's checksums: a flipped bit would go unnoticed.
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        checkpoint = None if damaged else torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise CheckpointError(
            f"there is no checkpoint {path}: check the name, or train a model first"
        ) from error
    except OSError as error:
        raise CheckpointError(f"cannot read the checkpoint {path} ({error.strerror})") from error
    except Exception as error:
        # Whatever bytes may be in it, zipfile and the unpickler raise as they please.
        raise CheckpointError(
            f"{path} is truncated, or is not a checkpoint that Lightning wrote: "
            "give the .ckpt file of a training run"
        ) from error
    if damaged:
        raise CheckpointError(f"{path} is damaged (in {damaged}): use another copy, or train the model again")
    if not isinstance(checkpoint, dict) or not {"state_dict", "hyper_parameters"} <= checkpoint.keys():
        raise CheckpointError(
            f"{path} has no state_dict with its hyper_parameters: "
            "give the .ckpt file of a training run of gdl_torch"
        )
    return checkpoint


def _save(
    path: str | Path,
    model_class: type,
    hparams: Mapping[str, Any],
    state: Mapping[str, Tensor],
    vocabulary: Vocabulary | None,
) -> None:
    metadata = {"model": model_class.__name__, "hparams": _shared_arguments(model_class, hparams)}
    if vocabulary is not None:
        metadata["vocabulary"] = vocabulary.to_json()
    save_checkpoint(path, {name: _as_array(tensor) for name, tensor in state.items()}, metadata)


def _shared_arguments(model_class: type, hparams: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments that both sides have: all but the keyword-only ones."""
    parameters = inspect.signature(model_class).parameters.values()
    return {p.name: hparams[p.name] for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD}


def _as_array(tensor: Tensor) -> np.ndarray:
    """The tensor's values; bfloat16 and half precision, which gdl_numpy has not, are widened, exactly."""
    array: np.ndarray = (tensor.float() if tensor.dtype in NARROW else tensor).numpy(force=True)
    return array


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


app = typer.Typer(add_completion=False)


@app.command()
def main(
    ckpt: Annotated[Path, typer.Argument(help="checkpoint that a training run with Lightning wrote")],
    out: Annotated[
        Path | None, typer.Argument(help="file to write; else CKPT with the suffix .safetensors")
    ] = None,
) -> None:
    """Exports the model in a Lightning checkpoint to a file that gdl_numpy loads, even without torch."""
    out = out or ckpt.with_suffix(".safetensors")
    try:
        export_checkpoint(ckpt, out)
    except CheckpointError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from None
    typer.echo(f"wrote {out}")


if __name__ == "__main__":
    app()
