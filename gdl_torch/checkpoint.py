"""Reading what Lightning wrote, or what somebody says that Lightning wrote.

Nothing in such a file is executed, and nothing in it is believed before it is checked: that it is what was
written; that it has what a checkpoint has, of the right types; that no tensor claims more memory than the
file has; that a model of ours has just the weights that its arguments imply.
"""

from __future__ import annotations

import inspect
import pickle
import pickletools
import re
import warnings
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gdl_numpy.checkpoint import CannotBuildError, CheckpointError, build_model, cannot_read
from gdl_numpy.schema import arguments_fault, completed, fault
from gdl_torch.models import MODELS

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

    from gdl_numpy.nn import Module

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
    "word_weights": Tensor | None,
}
# More nested values than any model's arguments are: lists of lists that are the same one soon are billions.
MOST_ARGUMENTS = 10_000
# What makes a pickle call something; and what one of ours calls.
CALLS = ("GLOBAL", "STACK_GLOBAL", "INST", "EXT1", "EXT2", "EXT4")
BUILDERS = re.compile(
    r"collections (OrderedDict|defaultdict)|builtins (dict|set)"
    r"|torch\._utils (_rebuild_tensor_v2|_rebuild_parameter)|torch (\w+Storage|Size|device|[a-z]+\d+\w*|bool)"
)
# What hyper_parameters have that are no arguments.
LIGHTNINGS_OWN = ("_class_path", "_instantiator")
# Half precision, which gdl_numpy has not.
NARROW = (torch.float16, torch.bfloat16)


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Reads a checkpoint that Lightning wrote. Only tensors and plain values are unpickled, never code.

    Raises:
        CheckpointError: the file is missing, truncated or changed, is no such checkpoint, or asks for more
            than it holds.
    """
    try:
        checkpoint = _unpickle(Path(path))
    except OSError as error:
        raise cannot_read(path, error) from error
    except DamagedError as error:
        raise CheckpointError(
            f"{path} is damaged (in {error}): use another copy, or train the model again"
        ) from error
    except Exception as error:
        # Whatever bytes may be in it, zipfile and the unpickler raise as they please.
        raise CheckpointError(
            f"{path} is truncated, or is not a checkpoint that Lightning wrote: "
            "give the .ckpt file of a training run"
        ) from error
    if not isinstance(checkpoint, dict) or not {"state_dict", "hyper_parameters"} <= checkpoint.keys():
        raise CheckpointError(
            f"{path} has no state_dict with its hyper_parameters: "
            "give the .ckpt file of a training run of gdl_torch"
        )
    if wrong := fault(checkpoint, SCHEMA) or _excess(checkpoint, Path(path).stat().st_size):
        raise CheckpointError(f"{path} was not written by Lightning ({wrong}): give another checkpoint")
    if model_class := model_class_in(checkpoint):
        numpy_model(path, model_class, checkpoint)
    return checkpoint


class DamagedError(Exception):
    """A part of an archive that is not what was written."""


def _unpickle(path: Path) -> Any:
    with path.open("rb") as file:
        if file.read(4) != b"PK\x03\x04":  # zipfile looks for an archive at the end, torch at the start
            raise zipfile.BadZipFile
    with zipfile.ZipFile(path) as archive:
        names = [file.filename for file in archive.infolist()]
        if len({*names}) != len(names):  # which of two of the same name is read, is each reader's affair
            raise zipfile.BadZipFile
        # torch compresses nothing; what is compressed could unpack to any size.
        if sum(file.file_size for file in archive.infolist()) > path.stat().st_size:
            raise zipfile.BadZipFile
        # torch itself does not look at the archive's checksums: a flipped bit would go unnoticed.
        if damaged := archive.testzip():
            raise DamagedError(damaged)
        for name in names:
            if name.endswith(".pkl") and not _builds_only_tensors(archive.read(name)):
                raise pickle.UnpicklingError
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of archives that torch knows as something else
        return torch.load(path, map_location="cpu", weights_only=True)


def _builds_only_tensors(content: bytes) -> bool:
    """Whether a pickle calls nothing but what puts tensors together.

    torch lets it call a little more, `bytearray` for one, which takes any memory that it asks for.
    """
    called = [(op.name, str(argument)) for op, argument, _ in pickletools.genops(content) if op.name in CALLS]
    return all(name == "GLOBAL" and BUILDERS.fullmatch(argument) for name, argument in called)


def _excess(checkpoint: Mapping[str, Any], size: int) -> str | None:
    """What of a checkpoint is larger than its file says."""
    weights = checkpoint.get("word_weights")
    tensors = checkpoint["state_dict"] | ({} if weights is None else {"word_weights": weights})
    for name, tensor in tensors.items():
        if tensor.layout is not torch.strided or tensor.device.type != "cpu":
            return f"its {name} is no plain tensor"
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


def model_class_in(checkpoint: Mapping[str, Any]) -> type | None:
    """The class of ours that the model in a checkpoint is of; None for another's."""
    saved = checkpoint["hyper_parameters"].get("_class_path")
    return next((model for model in MODELS.values() if path_of(model) == saved), None)


def numpy_model(path: str | Path, model_class: type, checkpoint: Mapping[str, Any]) -> Module:
    """Builds NumPy's twin of the model of ours that is in a checkpoint, of no more numbers than the file has.

    Where it can be built, the checkpoint has just the arguments of such a model, and its weights.

    Raises:
        CheckpointError: it has others.
    """
    try:
        hparams = checkpoint["hyper_parameters"]
        if wrong := arguments_fault(model_class, arguments_in(hparams)):
            raise CannotBuildError(wrong)
        arguments = shared_arguments(model_class, hparams)
        return build_model(model_class.__name__, arguments, arrays_of(checkpoint["state_dict"]))
    except CannotBuildError as error:
        raise CheckpointError(
            f"{path} holds no {model_class.__name__} that this version can build ({error}): "
            "give a checkpoint trained with gdl_torch, or use the version that wrote it"
        ) from error


def path_of(kind: type) -> str:
    """The dotted path of a class where it is defined."""
    return f"{kind.__module__}.{kind.__qualname__}"


def arguments_in(hparams: Mapping[str, Any]) -> dict[str, Any]:
    """The model's arguments among a checkpoint's hyper_parameters."""
    return {name: value for name, value in hparams.items() if name not in LIGHTNINGS_OWN}


def shared_arguments(model_class: type, hparams: Mapping[str, Any]) -> dict[str, Any]:
    """Of a torch model's arguments those that both sides have: all but the keyword-only ones.

    Raises:
        CannotBuildError: one is missing.
    """
    parameters = inspect.signature(model_class).parameters.values()
    names = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    hparams = completed(hparams, names)
    if missing := [name for name in names if name not in hparams]:
        raise CannotBuildError(f"its hyper_parameters lack {', '.join(missing)}")
    return {name: hparams[name] for name in names}


def arrays_of(state: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    """The tensors' values; bfloat16 and half precision, which gdl_numpy has not, are widened, exactly.

    Raises:
        CannotBuildError: they are no floating-point numbers of such kinds.
    """
    for name, tensor in state.items():
        if tensor.dtype not in (*NARROW, torch.float32, torch.float64):
            raise CannotBuildError(f"its {name} is {tensor.dtype}")
    return {
        name: (tensor.float() if tensor.dtype in NARROW else tensor).numpy(force=True)
        for name, tensor in state.items()
    }
