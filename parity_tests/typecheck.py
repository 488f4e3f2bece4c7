"""The checks that every annotated function of the packages gets while tests run.

jaxtyping checks shapes, and that a dimension named twice is as large both times; beartype checks the rest.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import pkgutil
import typing
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import jaxtyping
from beartype import BeartypeConf, beartype

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# An int will do for a float, as in Python everywhere.
typecheck = beartype(conf=BeartypeConf(is_pep484_tower=True))
with_shapes = jaxtyping.jaxtyped

# Imported first, since the hook is for our packages and not for theirs.
LIBRARIES = """filelock jsonargparse matplotlib.pyplot pooch pytorch_lightning.cli requests safetensors.numpy
    sklearn.datasets torchmetrics torchvision.transforms.v2 typer"""
# Of the extras `federated` and `ckks`.
EXTRAS = ("cryptography", "phe", "opacus", "tenseal", "flwr")


def import_packages() -> None:
    """Imports all of gdl_numpy and gdl_torch, with checks of every annotated function.

    They import what only their annotations need under TYPE_CHECKING, so that gdl_numpy runs with NumPy alone.
    Here the annotations are to be checked, and so must be there.
    """
    for library in LIBRARIES.split():
        importlib.import_module(library)
    for library in ("flwr.app", "flwr.clientapp", "flwr.serverapp"):
        with without_extras():
            importlib.import_module(library)
    packages = ["gdl_numpy", "gdl_torch"]
    typing.TYPE_CHECKING = True  # type: ignore[misc]
    # That is where the code of the hook looks for it, now and when what it made runs.
    jaxtyping.jaxtyped = jaxtyped  # type: ignore[assignment]
    with jaxtyping.install_import_hook(packages, "parity_tests.typecheck.typecheck"):
        for package in map(importlib.import_module, packages):
            for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
                if not module.name.endswith("__main__"):
                    with without_extras():
                        importlib.import_module(module.name)
    typing.TYPE_CHECKING = False  # type: ignore[misc]


@contextmanager
def without_extras() -> Iterator[None]:
    """Within, what needs a library of an extra is left out where that is not installed; so are its tests."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in EXTRAS:
            raise


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
