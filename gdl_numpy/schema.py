"""What a file says has to be what the program reads from it: types of nested values, checked in one place."""

from __future__ import annotations

import inspect
import json
import reprlib
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

# What annotations are made of; a module may import these for its type checker alone.
TYPES = {"Sequence": Sequence, "Literal": Literal, "Path": Path}
# Arguments that earlier versions did not have, and with which value the later ones do as those did.
LATER = {
    "ngrams": 1,
    "ratio": False,
    "ratio_power": 1.0,
    "together": 1,
    "power": 1.0,
    "zero_embedding": False,
    "erasing": 0.0,
    "mining": "hardest",
}
RENAMED = {"count": "views"}  # arguments that earlier versions called otherwise


def completed(saved: Mapping[str, Any], wanted: Collection[str]) -> dict[str, Any]:
    """Arguments that a file may have from an earlier version, by today's names, and those that came later.

    Args:
        saved: by name.
        wanted: the names that there are now.
    """
    now = {RENAMED[name] if RENAMED.get(name) in wanted else name: value for name, value in saved.items()}
    return {name: value for name, value in LATER.items() if name in wanted} | now


def fault(values: Mapping[str, Any], schema: Mapping[str, Any]) -> str | None:
    """What is wrong with values, in words; None where each that is there is right.

    Args:
        values: by name.
        schema: the type of each, such as `dict[str, list[float]]`.
    """
    for name, expected in schema.items():
        if name in values and not conforms(values[name], expected):
            return f"its {name} is not {_named(expected)}"
    return None


def conforms(value: object, expected: Any) -> bool:
    """Whether a value, with all that is in it, is of a type. An int is a float; a bool is neither."""
    origin, inner = get_origin(expected), get_args(expected)
    if expected is Any:
        return True
    if origin in (Union, UnionType):
        return any(conforms(value, each) for each in inner)
    if origin is Literal:
        return value in inner
    if origin in (list, Sequence):
        kinds = list if origin is list else list | tuple
        return isinstance(value, kinds) and all(conforms(each, inner[0]) for each in value)
    if origin is dict:
        return isinstance(value, dict) and all(
            conforms(key, inner[0]) and conforms(each, inner[1]) for key, each in value.items()
        )
    if isinstance(value, bool) and expected is not bool:
        return False
    return isinstance(value, int | float if expected is float else origin or expected)


def same_json(one: object, other: object) -> bool:
    """Whether two values are the same in JSON: there a tuple is a list, but 1 is neither true nor 1.0."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def arguments_fault(callee: Any, arguments: Mapping[str, Any]) -> str | None:
    """What is wrong with arguments from a file: those that the callee lacks, or of other types; else None."""
    parameters = inspect.signature(callee).parameters
    for name, value in arguments.items():
        if name not in parameters:
            return f"there is no argument {reprlib.repr(name)}"
        expected = type_of(parameters[name], callee)
        is_left_out = value is None and "None" in str(parameters[name].annotation)
        if not is_left_out and not conforms(value, expected):
            return f"its {name} is {reprlib.repr(value)}, not {_named(expected)}"
    return None


def type_of(parameter: inspect.Parameter, callee: Any) -> Any:
    """The type of an argument, apart from None; `Sequence[int]` for any sequence of integers.

    Raises:
        TypeError: a type that no option has.
    """
    kind = parameter.annotation
    refusal = f"{callee.__qualname__}: no option can be of the type of {parameter}"
    if isinstance(kind, str):
        names = dict(TYPES)
        for each in reversed(getattr(callee, "__mro__", (callee,))):  # arguments may be those of a base
            names |= vars(sys.modules[each.__module__])
        try:
            kind = eval(kind, names)  # the annotation of our own source, not a user's text
        except NameError as error:
            raise TypeError(f"{refusal} ({error})") from error
    if get_origin(kind) in (Union, UnionType):
        kind, *others = (each for each in get_args(kind) if each is not type(None))
        if others:
            raise TypeError(refusal)
    if get_origin(kind) in (Sequence, tuple) and get_args(kind)[0] is int:
        return Sequence[int]
    if get_origin(kind) is Literal or (isinstance(kind, type) and issubclass(kind, (int, float, str, Path))):
        return kind
    raise TypeError(refusal)


def _named(expected: Any) -> str:
    return str(expected.__name__ if isinstance(expected, type) and not get_args(expected) else expected)
