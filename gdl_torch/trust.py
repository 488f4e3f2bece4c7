"""What a checkpoint may choose: among our models and values for their arguments, and no code at all.

LightningCLI builds what a checkpoint names; and its parser takes a text for the name of a class, for its
description in YAML or for a file with one, wherever an argument may be something that can be built. Building
imports, and importing runs whatever is in a module.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Collection
from enum import Enum
from importlib import import_module
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin

from gdl_numpy.schema import TYPES
from gdl_torch.checkpoint import arguments_in, path_of
from gdl_torch.models import MODELS

if TYPE_CHECKING:
    from collections.abc import Mapping


def refusal(hparams: Any, asked: str | None) -> str | None:
    """What is wrong with a checkpoint's word on which model it holds; None where that may be built.

    It may name our models, and the class that the user names.

    Args:
        hparams: the checkpoint's.
        asked: the class of --model, by its dotted path.
    """
    if not isinstance(hparams, dict) or names_classes(hparams):
        return "holds arguments that are not those of a model of ours: give a checkpoint of gdl_torch"
    saved, ours = hparams.get("_class_path"), [path_of(model) for model in MODELS.values()]
    if asked is not None:
        asked = path_of(class_at(asked))
        if saved != asked and (saved is not None or asked in ours):  # ours always say what they are
            held = f"holds the model {str(saved).rpartition('.')[2]}, not {asked.rpartition('.')[2]}"
            return f"{held}: leave out --model, or give another --ckpt_path"
    elif saved not in ours:
        return f"holds no model of ours but {saved}: if you trust it, name it with --model"
    return None


def class_at(path: str) -> type:
    """The class of --model, which the parser has imported already."""
    module, _, name = path.rpartition(".")
    found: type = getattr(import_module(module), name)
    return found


def names_classes(value: Any) -> bool:
    """Whether there is anything in nested arguments that the parser would take for a class to be built.

    To the parser a key with dots is several keys, one in the other.
    """
    if isinstance(value, dict):
        keys = {str(key) for key in value} - {"_class_path"}
        return any("class_path" in key for key in keys) or names_classes(list(value.values()))
    return isinstance(value, list | tuple) and any(map(names_classes, value))


def own_arguments(hparams: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments in a checkpoint for the class that it names, which is one of ours or the user's.

    Those of ours are checked when the checkpoint is read. A user's own class may take what can be built: for
    such an argument the checkpoint has no say in it, unless it says what the command line does.

    Args:
        hparams: the checkpoint's.
        given: what the command line gives for the same class, defaults included.

    Raises:
        ValueError: something in them could be taken for code.
    """
    arguments, saved = arguments_in(hparams), hparams["_class_path"]
    if saved in map(path_of, MODELS.values()):
        return arguments
    types = types_of(class_at(saved))
    for name, value in arguments.items():
        if not is_plain(types.get(name)) and holds_text(value) and given.get(name) != value:
            raise ValueError(
                f"{name} is {value!r}, and may be something that is imported: "
                f"if you trust it, give it with --model.{name}"
            )
    return arguments


def types_of(model_class: type) -> dict[str, Any]:
    """The types of a class's arguments, and of those that it hands on to its bases, where they are said."""
    types = {}
    for kind in reversed(model_class.__mro__):
        names = TYPES | vars(sys.modules[kind.__module__])
        for name, parameter in inspect.signature(vars(kind).get("__init__", len)).parameters.items():
            hint = parameter.annotation
            try:
                types[name] = eval(hint, names) if isinstance(hint, str) else hint  # of the user's source
            except NameError:  # imported for a type checker alone
                types[name] = None
    return types


def is_plain(kind: Any) -> bool:
    """Whether a type is one of values, and of collections of such, for which nothing is ever built."""
    origin, inner = get_origin(kind), [each for each in get_args(kind) if each is not ...]
    if origin is Literal:
        return True
    if origin in (Union, UnionType):
        return all(map(is_plain, inner))
    if inner:
        return isinstance(origin, type) and issubclass(origin, Collection) and all(map(is_plain, inner))
    return isinstance(kind, type) and issubclass(kind, (int, float, str, type(None), Path, Enum))


def holds_text(value: Any) -> bool:
    """Whether there is a text in it, at whatever depth."""
    if isinstance(value, dict):
        return holds_text([*value, *value.values()])
    return any(map(holds_text, value)) if isinstance(value, list | tuple) else isinstance(value, str)
