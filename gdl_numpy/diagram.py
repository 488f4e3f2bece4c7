"""A network as it ran (chapter 7): its layers with their shapes, and its source.

`layers_of` runs a model once and writes down what each layer got and gave. Its torch twin has the same name
in `gdl_torch.diagram`; all that is made of it, `network_algebra` and `network_picture`, is for both. What a
model itself does between its layers, such as to pick a column, is in its source alone.
"""

from __future__ import annotations

import copy
import inspect
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gdl_numpy.models.language_model import look_up_
from gdl_numpy.nn import Module

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


class Layer(NamedTuple):
    """A layer as it ran.

    Attributes:
        name: dotted, as in the state_dict's keys.
        kind: its class.
        arguments: what it was made with.
        weights: how many numbers it learns.
        sources: where its inputs come from: names of layers, or of the model's own inputs.
        inputs: their shapes.
        output: the shape of what it gave; without the state, where it gave one too.
    """

    name: str
    kind: str
    arguments: str
    weights: int
    sources: tuple[str, ...]
    inputs: tuple[tuple[int, ...], ...]
    output: tuple[int, ...]


class Recorder:
    """Writes layers down as they run, and finds out who made their inputs.

    Args:
        inputs: the model's own, by name.

    Attributes:
        layers: what has run so far.
    """

    def __init__(self, inputs: Mapping[str, np.ndarray]) -> None:
        self.layers: list[Layer] = []
        self._made = list(inputs.items())

    def add(
        self,
        name: str,
        kind: str,
        arguments: str,
        weights: int,
        inputs: Sequence[np.ndarray],
        output: np.ndarray,
    ) -> None:
        """Writes down what a layer got and gave. Raises ValueError for one that has run before."""
        if any(layer.name == name for layer in self.layers):
            raise ValueError(f"a diagram expects each layer to run once, {name!r} ran again")
        sources = tuple(self._source(array) for array in inputs)
        shapes = tuple(array.shape for array in inputs)
        self.layers.append(Layer(name, kind, arguments, weights, sources, shapes, output.shape))
        self._made.append((name, output))

    def _source(self, array: np.ndarray) -> str:
        """Who made this: of those that share its memory (a Flatten gives what it got), the last."""
        sharing = (name for name, made in reversed(self._made) if np.may_share_memory(array, made))
        return next(sharing, self._made[-1][0])


def layers_of(module: Module, *inputs: np.ndarray) -> list[Layer]:
    """Runs a copy of the module in eval mode; returns its innermost layers in the order in which they ran."""
    module = look_up_(copy.deepcopy(module).eval())
    recorder = Recorder(named_inputs(module.forward, inputs))

    def forward(name: str, layer: Module, original: Callable[..., Any], *given: Any) -> Any:
        output = original(*given)
        arrays = [array for array in given if isinstance(array, np.ndarray)]
        weights = sum(parameter.data.size for parameter in layer.parameters())
        first = output[0] if isinstance(output, tuple) else output
        recorder.add(name, type(layer).__name__, layer.extra_repr(), weights, arrays, first)
        return output

    unique = {id(layer): (name, layer) for name, layer in reversed(list(module.named_modules()))}
    for name, layer in unique.values():
        if next(layer.named_children(), None) is None:
            vars(layer)["forward"] = partial(forward, name, layer, layer.forward)
    module(*inputs)
    return recorder.layers


def named_inputs(forward: Callable[..., Any], inputs: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """A model's inputs: the only one is l₀, several have the names of forward's parameters."""
    if len(inputs) == 1:
        return {"l₀": inputs[0]}
    return dict(zip(inspect.signature(forward).parameters, inputs, strict=False))


def source_of(model: type) -> str:
    """The source of a model's class, and of the bases from which it has what it computes with."""
    computing = {getattr(model, name, None) for name in ("forward", "backward", "run")}
    package = model.__module__.partition(".")[0]
    owners = [
        owner
        for owner in model.__mro__
        if owner.__module__.partition(".")[0] == package
        and (owner is model or computing.intersection(filter(callable, vars(owner).values())))
    ]
    return "\n\n".join(inspect.getsource(owner) for owner in owners)
