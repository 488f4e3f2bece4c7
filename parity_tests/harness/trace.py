"""Watching, and disturbing, a model layer by layer while it runs."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import nn

from gdl_numpy.nn import Module
from gdl_numpy.tasks import as_arguments
from parity_tests.harness.evaluate import (
    Arrays,
    Evaluation,
    dense,
    flatten,
    to_numpy,
    unflatten,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from parity_tests.harness.disturbance import Signs


@dataclass
class Call:
    """What one layer got and gave in one forward and backward pass.

    Attributes:
        inputs: as forward got them.
        output: as forward returned it.
        outputs: its leaves.
        grad_outputs: the gradient of each of them.
        differentiated: how many of the inputs, from the first on, got a gradient, or None where none is due.
    """

    inputs: tuple[Any, ...]
    output: Any
    outputs: Arrays
    grad_outputs: Arrays = field(default_factory=list)
    differentiated: int = 0


Trace = dict[str, Call]


def leaf_layers(module: Module) -> dict[str, Module]:
    """The layers that have no layers inside, by dotted name: the module itself, under "", if it is one."""
    return {name: m for name, m in module.named_modules() if next(m.named_children(), None) is None}


def record(module: Module) -> Trace:
    """From now on the returned dict holds each layer's latest call, in the order of the forward pass."""
    trace: Trace = {}

    def forward(name: str, original: Callable[..., Any], *inputs: Any) -> Any:
        output = original(*inputs)
        trace.pop(name, None)
        trace[name] = Call(inputs, output, [np.asarray(leaf) for leaf in flatten(output)])
        return output

    def backward(name: str, original: Callable[..., Any], *grad_outputs: Any) -> Any:
        call = trace[name]
        several = isinstance(call.output, tuple)
        given = zeros_for_none(call.output if several else (call.output,), grad_outputs)
        call.grad_outputs = [np.asarray(leaf) for leaf in given]
        grad_inputs = original(*grad_outputs)
        call.differentiated = len(as_arguments(grad_inputs))
        return grad_inputs

    for name, layer in leaf_layers(module).items():
        vars(layer)["forward"] = partial(forward, name, layer.forward)
        vars(layer)["backward"] = partial(backward, name, layer.backward)
    return trace


def zeros_for_none(outputs: Any, grads: Any) -> Arrays:
    """The leaves of `grads`; zeros where None, or nothing at all, stands for those of some outputs."""
    if grads is None:
        return [np.zeros_like(leaf) for leaf in flatten(outputs)]
    if not isinstance(outputs, tuple):
        return [grads]
    padded = [*grads, *[None] * (len(outputs) - len(grads))]
    return [leaf for pair in zip(outputs, padded, strict=True) for leaf in zeros_for_none(*pair)]


def disturb(module: Module, bounds: Mapping[str, Evaluation], signs: Signs) -> None:
    """From now on all that a layer gives, forward and backward, is off by its bound, up or down by `signs`.

    `bounds` is looked up at each call, so that it can be brought up to date between steps.
    """

    def moved(values: Any, by: Arrays) -> Any:
        leaves = flatten(values)
        disturbed = [v + b * signs(v) for v, b in zip(leaves, by, strict=False)]
        return unflatten(
            values, iter(disturbed + leaves[len(disturbed) :])
        )  # with gradients nobody asked for

    def forward(name: str, original: Callable[..., Any], *inputs: Any) -> Any:
        return moved(original(*inputs), bounds[name].outputs)

    def backward(name: str, layer: Module, original: Callable[..., Any], *grad_outputs: Any) -> Any:
        grad_inputs = moved(original(*grad_outputs), bounds[name].grad_inputs)
        for key, parameter in layer.named_parameters():
            if parameter.grad is not None:
                grad = dense(parameter.grad)
                parameter.grad = grad + bounds[name].grad_params[key] * signs(grad)
        return grad_inputs

    for name, layer in leaf_layers(module).items():
        vars(layer)["forward"] = partial(forward, name, layer.forward)
        vars(layer)["backward"] = partial(backward, name, layer, layer.backward)


@contextmanager
def record_torch(module: nn.Module, names: list[str]) -> Iterator[Trace]:
    """Within, the dict holds what the named layers of a torch module gave, and the gradients they got."""
    trace: Trace = {}

    def forward_hook(name: str, _module: nn.Module, _inputs: Any, output: Any) -> None:
        leaves = flatten(output)
        values = [to_numpy(leaf) for leaf in leaves]
        grads = [np.zeros_like(value) for value in values]  # of an output that nobody uses
        trace[name] = Call((), output, values, grads)
        for i, leaf in enumerate(leaves):
            if leaf.requires_grad:
                leaf.register_hook(lambda grad, i=i: grads.__setitem__(i, to_numpy(grad)))

    handles = [
        module.get_submodule(name).register_forward_hook(partial(forward_hook, name)) for name in names
    ]
    try:
        yield trace
    finally:
        for handle in handles:
            handle.remove()
