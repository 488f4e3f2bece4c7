"""The checks that every annotated function of the packages gets while tests run.

jaxtyping checks shapes, and that a dimension named twice is as large both times; beartype checks the rest.
"""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any

import jaxtyping
from beartype import BeartypeConf, beartype

if TYPE_CHECKING:
    from collections.abc import Callable

# An int will do for a float, as in Python everywhere.
typecheck = beartype(conf=BeartypeConf(is_pep484_tower=True))
with_shapes = jaxtyping.jaxtyped


def jaxtyped(*, typechecker: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """`jaxtyping.jaxtyped` where there is a shape to check, beartype alone elsewhere.

    Binding the arguments of a call, as jaxtyping does, takes longer than most of the functions themselves. A
    function within a function, which would be wrapped anew each time it is made, is left alone.
    """

    def decorate(function: Any) -> Any:
        if "<locals>" in function.__qualname__:
            return function
        annotations = getattr(function, "__annotations__", {}).values()
        if inspect.isclass(function) or any("'" in str(annotation) for annotation in annotations):
            return with_shapes(typechecker=typechecker)(function)
        checked = typechecker(function)

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            return (function if jaxtyping.config.jaxtyping_disable else checked)(*args, **kwargs)

        return call

    return decorate
