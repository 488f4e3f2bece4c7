"""Standing around every call of every module in a model, forward and backward."""

from __future__ import annotations

import inspect
from collections import Counter, defaultdict
from functools import partial
from typing import TYPE_CHECKING, Any

from gdl_numpy.nn import Module, Parameter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class Watch:
    """From now on each call of each module in a model goes through `called`, each backward through `back`.

    They get the call's name, the module, the function that it would have been, and its arguments in their
    places. The calls of a module are numbered in each run anew: "encoder", then "encoder (call 2)", and so
    on. A module that has several names is called by the first.
    """

    def __init__(self, module: Module) -> None:
        self.numbering = Numbering()
        for name, layer in layers_of(module).items():
            vars(layer)["forward"] = partial(self._forward, name, layer, layer.forward)
            vars(layer)["backward"] = partial(self._backward, name, layer, layer.backward)

    def _forward(
        self, name: str, layer: Module, original: Callable[..., Any], *inputs: Any, **named: Any
    ) -> Any:
        if not name:
            self.begin()
        return self.called(
            self.numbering.call(name), name, layer, original, positional(original, inputs, named)
        )

    def _backward(self, name: str, layer: Module, original: Callable[..., Any], *grad_outputs: Any) -> Any:
        return self.back(self.numbering.take_back(name), layer, original, grad_outputs)

    def begin(self) -> None:
        """A run of the whole model begins."""
        self.numbering = Numbering()

    def called(
        self, key: str, name: str, layer: Module, original: Callable[..., Any], inputs: tuple[Any, ...]
    ) -> Any:
        raise TypeError(f"{type(self).__name__} does not define called")

    def back(
        self, key: str, layer: Module, original: Callable[..., Any], grad_outputs: tuple[Any, ...]
    ) -> Any:
        raise TypeError(f"{type(self).__name__} does not define back")


class Numbering:
    """The calls of each module in one run."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.waiting: defaultdict[str, list[str]] = defaultdict(list)  # for backward, the last one first

    def call(self, name: str) -> str:
        self.counts[name] += 1
        key = name if self.counts[name] == 1 else f"{name} (call {self.counts[name]})"
        self.waiting[name].append(key)
        return key

    def take_back(self, name: str) -> str:
        """Which call a backward pass belongs to."""
        return self.waiting[name].pop() if self.waiting[name] else name


def layers_of(module: Module) -> dict[str, Module]:
    """Every module in one, itself included, by dotted name; one that has several names, by the first."""
    named = dict(module.named_modules())
    return {first: named[first] for first in names_of(module)}


def names_of(module: Module) -> dict[str, list[str]]:
    """Under the first name of each module in one, all of its names."""
    firsts: dict[int, str] = {}
    names: dict[str, list[str]] = {}
    for name, layer in module.named_modules():
        names.setdefault(firsts.setdefault(id(layer), name), []).append(name)
    return names


def is_leaf(module: Module) -> bool:
    """Whether there are no layers inside."""
    return next(module.named_children(), None) is None


def own_parameters(module: Module) -> list[Parameter]:
    """Those that stand beside a module's layers."""
    return [value for value in vars(module).values() if isinstance(value, Parameter)]


def positional(function: Callable[..., Any], given: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
    """All arguments in their places.

    Raises:
        ValueError: one that has none, since it can be given by its name alone.
    """
    if not named:
        return given
    bound = inspect.signature(function).bind(*given, **named)
    bound.apply_defaults()
    if bound.kwargs:
        raise ValueError(
            f"layers are checked with arguments in their places, and {sorted(bound.kwargs)} have none"
        )
    return bound.args
