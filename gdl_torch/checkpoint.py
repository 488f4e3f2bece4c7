"""Reading what Lightning wrote, or what somebody says that Lightning wrote.

Nothing in such a file is executed, and nothing in it is believed before it is checked: that it is what was
written; that it has what a checkpoint has, of the right types; that no tensor claims more memory than the
file has; that a model of ours has just the weights that its arguments imply.
"""

from __future__ import annotations

import inspect
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gdl_numpy.checkpoint import CannotBuildError, CheckpointError, build_model
from gdl_numpy.schema import fault
from gdl_torch.models import MODELS

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

# What Lightning's checkpoints have of what is read here or by Lightning, where they have it.
SCHEMA = {
    "state_dict": dict[str, Tensor],
    "hyper_parameters": dict[str, Any],
    "epoch": int,
    "global_step": int,
    "pytorch-lightning_version": str,
    "loops": dict[str, dict[str, Any]],
    "callbacks": dict[str, dict[str, Any]],
    "optimizer_states": list[dict[str, Any]],
    "lr_schedulers": list[dict[str, Any]],
}
# More nested values than any model's arguments are: lists of lists that are the same one soon are billions.
MOST_ARGUMENTS = 10_000
# Half precision, which gdl_numpy has not.
NARROW = (torch.float16, torch.bfloat16)


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Reads a checkpoint that Lightning wrote. Only tensors and plain values are unpickled, never code.

    Raises:
        CheckpointError: the file is missing, truncated or changed, is no such checkpoint, or asks for more
            than it holds.
    """
    try:
        # torch itself does not look at the archive's checksums: a flipped bit would go unnoticed.
        with zipfile.ZipFile(path) as archive:
            # torch compresses nothing; what is compressed could unpack to any size.
            packed = sum(file.file_size for file in archive.infolist()) > Path(path).stat().st_size
            damaged = None if packed else archive.testzip()
        checkpoint = None if packed or damaged else torch.load(path, map_location="cpu", weights_only=True)
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
    wrong = fault(checkpoint, SCHEMA) or _excess(checkpoint, Path(path).stat().st_size)
    if wrong:
        raise CheckpointError(f"{path} was not written by Lightning ({wrong}): give another checkpoint")
    saved = checkpoint["hyper_parameters"].get("_class_path")
    for model_class in MODELS.values():
        if path_of(model_class) == saved:
            check_model(path, model_class, checkpoint)
    return checkpoint


def _excess(checkpoint: Mapping[str, Any], size: int) -> str | None:
    """What of a checkpoint is larger than its file says."""
    for name, tensor in checkpoint["state_dict"].items():
        held = tensor.untyped_storage().nbytes()
        # Of strides of 0 a tensor has any number of elements.
        if held > size or tensor.numel() * tensor.itemsize > held:
            return f"its {name} is larger than what is stored of it"
    values = [checkpoint["hyper_parameters"]]
    for _ in range(MOST_ARGUMENTS):
        if not values:
            return None
        value = values.pop()
        if isinstance(value, dict):
            values += value.values()
        elif isinstance(value, list | tuple):
            values += value[:MOST_ARGUMENTS]
    return f"its hyper_parameters are more than {MOST_ARGUMENTS} values"


def check_model(path: str | Path, model_class: type, checkpoint: Mapping[str, Any]) -> None:
    """Makes sure that a checkpoint has the arguments of a model of ours, and the weights that they imply.

    Found out by NumPy's twin, which is made of no more numbers than the file has.

    Raises:
        CheckpointError: it has others.
    """
    try:
        arguments = shared_arguments(model_class, checkpoint["hyper_parameters"])
        build_model(model_class.__name__, arguments, arrays_of(checkpoint["state_dict"]))
    except CannotBuildError as error:
        raise CheckpointError(
            f"{path} holds no {model_class.__name__} that this version can build ({error}): "
            "give a checkpoint trained with gdl_torch, or use the version that wrote it"
        ) from error


def path_of(kind: type) -> str:
    """The dotted path of a class where it is defined."""
    return f"{kind.__module__}.{kind.__qualname__}"


def shared_arguments(model_class: type, hparams: Mapping[str, Any]) -> dict[str, Any]:
    """Of a torch model's arguments those that both sides have: all but the keyword-only ones.

    Raises:
        CannotBuildError: one is missing.
    """
    parameters = inspect.signature(model_class).parameters.values()
    names = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    if missing := [name for name in names if name not in hparams]:
        raise CannotBuildError(f"its hyper_parameters lack {', '.join(missing)}")
    return {name: hparams[name] for name in names}


def arrays_of(state: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    """The tensors' values; bfloat16 and half precision, which gdl_numpy has not, are widened, exactly."""
    return {
        name: (tensor.float() if tensor.dtype in NARROW else tensor).numpy(force=True)
        for name, tensor in state.items()
    }
