"""What a file says has to be what the program reads from it: types of nested values, checked in one place."""

from __future__ import annotations

from types import UnionType
from typing import TYPE_CHECKING, Any, Union, get_args, get_origin

if TYPE_CHECKING:
    from collections.abc import Mapping


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
    if origin is list:
        return isinstance(value, list) and all(conforms(each, inner[0]) for each in value)
    if origin is dict:
        return isinstance(value, dict) and all(
            conforms(key, inner[0]) and conforms(each, inner[1]) for key, each in value.items()
        )
    if isinstance(value, bool) and expected is not bool:
        return False
    return isinstance(value, int | float if expected is float else origin or expected)


def _named(expected: Any) -> str:
    return str(expected.__name__ if isinstance(expected, type) and not get_args(expected) else expected)
