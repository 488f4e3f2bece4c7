"""Checkpoints: named arrays and JSON in one safetensors file, which any tool for such files can open.

The file's `__metadata__` has one entry, `gdl_parity`: a JSON object with the caller's metadata and a SHA-256.
The digest is that of the whole file with zeros in the digest's own place, so any changed bit, in an array or
in the header, is noticed. Nothing is ever unpickled.

A model's file has the metadata `{"model": class name, "hparams": arguments}` and its state_dict. A training
checkpoint is the same with more of both, and the prefix "model." before the state_dict's names. Where the
model reads text, "vocabulary" says what its ids stand for.
"""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import safetensors.numpy

from gdl_numpy.data.vocabulary import Vocabulary
from gdl_numpy.files import replacing
from gdl_numpy.lookup import lookup
from gdl_numpy.messages import counted, kind_of, reason_of
from gdl_numpy.models import MODELS
from gdl_numpy.schema import arguments_fault, completed, fault, same_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import DTypeLike

    from gdl_numpy.nn import Module

ENTRY = "gdl_parity"
MODEL_PREFIX = "model."
NO_DIGEST = "0" * 64
KINDS = "biuf"  # of dtypes: bool, integers, floats
# The metadata that this project reads, in JSON's types.
SCHEMA = {
    "model": str,
    "hparams": dict[str, Any],
    "training": dict[str, Any],
    "history": list[dict[str, float]],
    "generators": dict[str, dict[str, Any]],
}


class CheckpointError(ValueError):
    """A checkpoint that cannot be read or trusted; the message is one line and says what to do."""


def save_checkpoint(path: str | Path, tensors: Mapping[str, np.ndarray], metadata: Mapping[str, Any]) -> None:
    """Writes arrays and metadata to `path` in one step: what was there stays whole until the new file is.

    Args:
        path: name of the file, by custom with the suffix `.safetensors`; missing folders are made.
        tensors: arrays by name, of any shape and memory layout, of a bool, integer or float dtype.
        metadata: anything that JSON can hold (tuples come back as lists); NumPy's scalars become numbers.

    Raises:
        OSError: the file cannot be written.
        ValueError: the metadata or a dtype cannot be stored.
    """
    for name, tensor in tensors.items():
        if tensor.dtype.kind not in KINDS:
            raise ValueError(
                f"tensor {name!r} of a checkpoint must be bool, integer or float, got {tensor.dtype}"
            )
    try:
        entry = json.dumps({"sha256": NO_DIGEST, "metadata": dict(metadata)}, default=_plain_number)
    except TypeError as error:
        raise ValueError(f"metadata of a checkpoint must be JSON: {error}") from error
    # safetensors writes memory as it lies. (ascontiguousarray would turn 0-d arrays into 1-d ones.)
    dense = {name: np.asarray(tensor, order="C") for name, tensor in tensors.items()}
    content = safetensors.numpy.save(dense, {ENTRY: entry})
    # The metadata opens the header, and the digest opens the metadata: the first zeros are the digest's.
    content = content.replace(NO_DIGEST.encode(), hashlib.sha256(content).hexdigest().encode(), 1)
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def _plain_number(value: object) -> object:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"it holds {kind_of(value)}")


def load_checkpoint(path: str | Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Reads what `save_checkpoint` wrote: the arrays, which are the caller's own, and the metadata.

    Raises:
        CheckpointError: the file is missing, truncated or changed, or something else wrote it.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise cannot_read(path, error) from error
    entry = _entry(content)
    if entry is None:
        raise CheckpointError(
            f"{path} is not a checkpoint of this project, or its header is damaged: "
            "give a file that train.py or the export from gdl_torch wrote"
        )
    digest = str(entry.get("sha256"))
    unsigned = content.replace(digest.encode(errors="replace"), NO_DIGEST.encode(), 1)
    if hashlib.sha256(unsigned).hexdigest() != digest:
        raise CheckpointError(
            f"{path} is truncated or was changed (its SHA-256 does not match): "
            "delete it and use another copy, or train or export the model again"
        )
    # Whoever signed it may have signed anything.
    try:
        tensors, metadata = safetensors.numpy.load(content), dict(entry["metadata"])
        wrong = fault(metadata, SCHEMA)
        for name, array in tensors.items():
            if array.dtype.kind not in KINDS:
                wrong = f"its {name} is {array.dtype}"
    except Exception as error:  # safetensors, and NumPy below it, raise as they please
        wrong = f"its header is no description of tensors and metadata: {reason_of(error)}"
    if wrong:
        raise CheckpointError(
            f"{path} was written by something else, or a newer version of this ({wrong}): give another file"
        )
    return tensors, metadata


def cannot_read(path: str | Path, error: OSError) -> CheckpointError:
    """What to say where there is no checkpoint, or one that the system does not give out."""
    if isinstance(error, FileNotFoundError):
        return CheckpointError(f"there is no checkpoint {path}: check the name, or train a model first")
    return CheckpointError(f"cannot read the checkpoint {path} ({error.strerror})")


def _entry(content: bytes) -> dict[str, Any] | None:
    """Returns our entry in a safetensors file's header (8 bytes of length, then JSON), or None."""
    header_size = int.from_bytes(content[:8], "little")
    try:
        entry = json.loads(json.loads(content[8 : 8 + header_size])["__metadata__"][ENTRY])
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return entry if isinstance(entry, dict) else None


def describe_model(model: Module, vocabulary: Vocabulary | None = None) -> dict[str, Any]:
    """Returns the metadata from which `load_model` builds the same model: its class's name and its arguments.

    The vocabulary of a model that reads tokens goes along, for `load_vocabulary`.

    Raises:
        ValueError: the model keeps no arguments (in `hparams`), as those of `gdl_numpy.models` do.
    """
    hparams = getattr(model, "hparams", None)
    if hparams is None:
        raise ValueError(f"{type(model).__name__} has no hparams to build it from again: use save_checkpoint")
    plain = json.loads(json.dumps(hparams, default=np.generic.item))  # NumPy's numbers are no JSON
    description = {"model": type(model).__name__, "hparams": plain}
    return description if vocabulary is None else description | {"vocabulary": vocabulary.to_json()}


def check_model(path: str | Path, metadata: Mapping[str, Any], model: Module) -> None:
    """Makes sure that the checkpoint at `path`, with this metadata, is one of just such a model.

    Raises:
        CheckpointError: it is of another class of model, or of one with other arguments.
    """
    expected = json.loads(json.dumps(describe_model(model)))
    found = {key: metadata.get(key) for key in expected}
    if found["hparams"] is not None:
        found["hparams"] = completed(found["hparams"], expected["hparams"])
    if not same_json(found, expected):
        raise CheckpointError(
            f"{path} holds {_call(found)}, not {_call(expected)}: "
            "give the same arguments, or another checkpoint"
        )


def _call(description: Mapping[str, Any]) -> str:
    arguments = ", ".join(f"{name}={value!r}" for name, value in (description["hparams"] or {}).items())
    return f"{description['model'] or 'no model'}({arguments})"


def save_model(path: str | Path, model: Module, vocabulary: Vocabulary | None = None) -> None:
    """Writes a model's arguments and weights to `path`, for `load_model` here and on the torch side.

    Args:
        path: name of the file.
        model: one of `gdl_numpy.models`.
        vocabulary: what the ids of a model that reads tokens stand for, for `load_vocabulary`.

    Raises:
        OSError: the file cannot be written.
    """
    save_checkpoint(path, model.state_dict(), describe_model(model, vocabulary))


def load_model(path: str | Path, dtype: DTypeLike | None = None) -> Module:
    """Builds the model that a model's file or a training checkpoint holds, ready to predict (in eval mode).

    Args:
        path: what `save_model`, training, or the export from `gdl_torch` wrote.
        dtype: of the parameters; None for that of the stored ones.

    Raises:
        CheckpointError: the file cannot be used, holds no model that is known here, or is of a training whose
            words have weights, which are the data's and not in it.
    """
    tensors, metadata = load_checkpoint(path)
    if metadata.get("training", {}).get("weighted"):
        raise CheckpointError(
            f"{path} is of a training that weights its words (--ratio), and has no weights: "
            "give the model.safetensors that train.py writes at the end"
        )
    state = {
        name.removeprefix(MODEL_PREFIX): tensor
        for name, tensor in tensors.items()
        if name.startswith(MODEL_PREFIX)
    } or tensors
    try:
        return build_model(str(metadata.get("model")), metadata.get("hparams", {}), state, dtype).eval()
    except CannotBuildError as error:
        raise CheckpointError(
            f"{path} holds no model that this version can build ({error}): give a model's checkpoint, "
            "or use the version that wrote it"
        ) from error


class CannotBuildError(ValueError):
    """A model's name, arguments and weights do not belong together."""


def build_model(
    name: str, hparams: Mapping[str, Any], state: Mapping[str, np.ndarray], dtype: DTypeLike | None = None
) -> Module:
    """Builds a model from what a file says of it, be it true or not.

    Args:
        name: its class's.
        hparams: its class's arguments.
        state: its weights by name.
        dtype: of the parameters; None for that of the weights.

    Raises:
        CannotBuildError: there is no such model, or it has other arguments or other weights.
    """
    kinds = {str(array.dtype) for array in state.values()}
    if not kinds or not kinds <= {"float32", "float64"}:
        found = ", ".join(sorted(kinds)) or "none"
        raise CannotBuildError(f"its weights must be float32 or float64, and are {found}")
    try:
        # Any: every model takes rng and dtype, which Module, the type of the table's entries, does not say.
        model_class: Any = lookup("model", name, MODELS)
        if wrong := arguments_fault(model_class, hparams):
            raise CannotBuildError(wrong)
        stored = np.result_type(*state.values())
        rng = _Rationed(sum(array.size for array in state.values()))
        model: Module = model_class(**hparams, rng=rng, dtype=stored if dtype is None else dtype)
        model.load_state_dict(state)
    except Exception as error:  # arguments from a file may be anything, and break in any way
        raise CannotBuildError(reason_of(error)) from error
    return model


class _Rationed(np.random.Generator):
    """Draws a model's first weights, of no more than a file has: no arguments in it can fill the memory.

    Twice as many, since some models draw a layer's weights anew.
    """

    def __init__(self, weights: int) -> None:
        super().__init__(np.random.PCG64(0))
        self.left = 2 * weights

    def _take(self, shape: Any) -> None:
        self.left -= math.prod(shape)
        if self.left < 0:
            raise ValueError("its arguments ask for more weights than it holds")

    def uniform(self, low: Any = 0.0, high: Any = 1.0, size: Any = None) -> Any:
        self._take(size)
        return super().uniform(low, high, size)

    def standard_normal(self, size: Any = None, *arguments: Any, **more: Any) -> Any:
        self._take(size)
        return super().standard_normal(size, *arguments, **more)


def check_size(vocabulary: Vocabulary, hparams: Mapping[str, Any]) -> None:
    """Raises ValueError for a vocabulary with ids that are too large for a model of these arguments."""
    size = hparams.get("vocab_size", len(vocabulary))
    if not isinstance(size, int) or len(vocabulary) > size:
        raise ValueError(f"it has {counted(len(vocabulary), 'token')} for a model of {size}")


def load_vocabulary(path: str | Path) -> Vocabulary:
    """Returns the vocabulary in the file of a model that reads tokens, or in a training checkpoint of one.

    Raises:
        CheckpointError: the file cannot be used, or holds no vocabulary.
    """
    _, metadata = load_checkpoint(path)
    if "vocabulary" not in metadata:
        raise CheckpointError(
            f"{path} holds no vocabulary: give the checkpoint of a language model that was trained on text"
        )
    try:
        vocabulary = Vocabulary.from_json(metadata["vocabulary"])
        check_size(vocabulary, metadata.get("hparams", {}))
        return vocabulary
    except (ValueError, TypeError, KeyError) as error:
        raise CheckpointError(
            f"{path} holds no vocabulary that this version can read ({error}): use the version that wrote it"
        ) from error
