"""Watching, and disturbing, a model call by call while it runs."""

from __future__ import annotations

import inspect
from collections import Counter, defaultdict
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import nn

from gdl_numpy.nn import Dropout, Module, Parameter
from gdl_numpy.tasks import as_arguments
from parity_tests.harness.evaluate import (
    Arrays,
    Evaluation,
    copied,
    dense,
    flatten,
    is_floating,
    to_numpy,
    unflatten,
)
from parity_tests.harness.rounding import probable_gamma

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from parity_tests.harness.disturbance import Signs


@dataclass
class Call:
    """What one module got and gave when it was called, and when backward took that call back.

    Attributes:
        name: of the module.
        inputs: as forward got them.
        output: as forward returned it.
        outputs: its leaves.
        grad_outputs: the gradient of each of them.
        differentiated: how many of the inputs, from the first on, got a gradient, or None where none is due.
        kept: of a dropout layer, what it did not drop; None where nothing can be dropped.
        computes: whether a module that has layers inside computes anything itself: a sum of two layers'
            outputs, say. Else it only passes on what they give.
    """

    name: str
    inputs: tuple[Any, ...] = ()
    output: Any = None
    outputs: Arrays = field(default_factory=list)
    grad_outputs: Arrays = field(default_factory=list)
    differentiated: int = 0
    kept: np.ndarray | None = None
    computes: bool = False


Trace = dict[str, Call]  # by what `Numbering` calls them, in the order in which they returned


def layers_of(module: Module) -> dict[str, Module]:
    """Every module in one, itself included, by dotted name; one that has several names, by the first."""
    named: dict[str, Module] = {}
    seen: set[int] = set()
    for name, layer in module.named_modules():
        if id(layer) not in seen:
            seen.add(id(layer))
            named[name] = layer
    return named


def is_leaf(module: Module) -> bool:
    """Whether there are no layers inside."""
    return next(module.named_children(), None) is None


class Numbering:
    """The calls of each module in one run: "encoder", then "encoder (call 2)", and so on."""

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


@dataclass
class Running:
    """A module with layers inside, at work, and what it can pass on without computing.

    Attributes:
        call: which call of it.
        sources: what it got, its own parameters, and what its layers gave until now.
    """

    call: Call
    sources: list[Any]

    def passes_on(self, values: Any) -> bool:
        """Whether all of `values` are among the sources: the same memory, or for one number the same."""
        return all(self._knows(leaf) for leaf in flatten(values))

    def _knows(self, value: Any) -> bool:
        if not isinstance(value, np.ndarray) or not value.ndim:
            return any(np.ndim(source) == 0 and source == value for source in self.sources)
        if not value.size or not is_floating(value):
            return True
        return any(isinstance(a, np.ndarray) and np.may_share_memory(a, value) for a in self.sources)


class Recorder:
    """Keeps each call of each module in the latest run of a model.

    Attributes:
        trace: those calls.
    """

    def __init__(self, module: Module) -> None:
        self.trace: Trace = {}
        self.numbering = Numbering()
        self.running: list[Running] = []  # the innermost last
        for name, layer in layers_of(module).items():
            vars(layer)["forward"] = partial(self.forward, name, layer, layer.forward)
            vars(layer)["backward"] = partial(self.backward, name, layer, layer.backward)

    def forward(
        self, name: str, layer: Module, original: Callable[..., Any], *inputs: Any, **named: Any
    ) -> Any:
        if not name:
            self.trace.clear()
            self.numbering = Numbering()
        key = self.numbering.call(name)
        inputs = positional(original, inputs, named)
        call = Call(name, copied(inputs) if is_leaf(layer) else inputs)
        output = self.watched(call, layer, original, inputs)
        call.output, call.outputs = output, [np.array(leaf) for leaf in flatten(output)]
        if isinstance(layer, Dropout) and layer.saved[0] is not None:
            call.kept = layer.saved[0] != 0
        self.trace[key] = call
        return output

    def backward(self, name: str, layer: Module, original: Callable[..., Any], *grad_outputs: Any) -> Any:
        call = self.trace[self.numbering.take_back(name)]
        several = isinstance(call.output, tuple)
        given = zeros_for_none(call.output if several else (call.output,), grad_outputs)
        call.grad_outputs = [np.array(leaf) for leaf in given]
        grad_inputs = self.watched(call, layer, original, grad_outputs)
        call.differentiated = len(as_arguments(grad_inputs))
        return grad_inputs

    def watched(
        self, call: Call, layer: Module, original: Callable[..., Any], arguments: tuple[Any, ...]
    ) -> Any:
        """The result of `original`, with a look at where the numbers come from."""
        parent = self.running[-1] if self.running else None
        if parent and not parent.passes_on(arguments):
            parent.call.computes = True
        if is_leaf(layer):
            result = original(*arguments)
        else:
            own = [parameter.data for parameter in own_parameters(layer)]
            running = Running(call, [*flatten(arguments), *own])
            self.running.append(running)
            try:
                result = original(*arguments)
            finally:
                self.running.pop()
            if not running.passes_on(result):
                call.computes = True
        if parent:
            parent.sources += flatten(result)
        return result


def own_parameters(module: Module) -> list[Parameter]:
    """Those that stand beside a module's layers."""
    return [value for value in vars(module).values() if isinstance(value, Parameter)]


def positional(function: Callable[..., Any], given: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
    """All arguments in their places."""
    if not named:
        return given
    bound = inspect.signature(function).bind(*given, **named)
    bound.apply_defaults()
    return bound.args


def zeros_for_none(outputs: Any, grads: Any) -> Arrays:
    """The leaves of `grads`; zeros where None, or nothing at all, stands for those of some outputs."""
    if grads is None:
        return [np.zeros_like(leaf) for leaf in flatten(outputs)]
    if not isinstance(outputs, tuple):
        return flatten(grads)
    padded = [*grads, *[None] * (len(outputs) - len(grads))]
    return [leaf for pair in zip(outputs, padded, strict=True) for leaf in zeros_for_none(*pair)]


class Disturber:
    """Throws a model off as rounding would: from now on, all that is computed in it is off, up or down.

    What a layer gives, forward and backward, is off by its bound. Where a module computes something itself
    from what its layers give, every number that goes in, each of its own parameters, and what comes out is
    off by the relative error of a sum as long as the largest of these arrays: an evaluation that is stable
    gives nearly the right answer to nearly the right question (Higham, §1.5).

    Args:
        module: what is disturbed.
        bounds: of each call of a layer, by its name; looked up at each call, so that it can be brought up to
            date between steps.
        computing: the names of the calls of modules that compute something themselves.
        u: unit roundoff.
        signs: those of the errors.
    """

    def __init__(
        self, module: Module, bounds: Mapping[str, Evaluation], computing: set[str], u: float, signs: Signs
    ) -> None:
        self.bounds, self.computing, self.u, self.signs = bounds, computing, u, signs
        self.numbering = Numbering()
        self.running: list[str] = []
        for name, layer in layers_of(module).items():
            vars(layer)["forward"] = partial(self.forward, name, layer, layer.forward)
            vars(layer)["backward"] = partial(self.backward, name, layer, layer.backward)

    def forward(
        self, name: str, layer: Module, original: Callable[..., Any], *inputs: Any, **named: Any
    ) -> Any:
        if not name:
            self.numbering = Numbering()
        key = self.numbering.call(name)
        inputs = positional(original, inputs, named)
        if is_leaf(layer):
            return self.passed_on(self.moved(original(*inputs), self.bounds[key].outputs))
        return self.passed_on(self.inside(key, layer, original, inputs))

    def backward(self, name: str, layer: Module, original: Callable[..., Any], *grad_outputs: Any) -> Any:
        key = self.numbering.take_back(name)
        if not is_leaf(layer):
            return self.passed_on(self.inside(key, layer, original, grad_outputs))
        before = [None if p.grad is None else dense(p.grad) for p in layer.parameters()]
        layer.zero_grad()
        grad_inputs = self.moved(original(*grad_outputs), self.bounds[key].grad_inputs)
        for (name, parameter), earlier in zip(layer.named_parameters(), before, strict=True):
            if parameter.grad is not None:
                grad = dense(parameter.grad)
                bound = self.bounds[key].grad_params.get(name, 0.0)  # torch gives a frozen one no gradient
                parameter.grad = grad + bound * self.signs(grad)
            if earlier is not None:
                parameter.accumulate(earlier)
        return self.passed_on(grad_inputs)

    def inside(self, key: str, layer: Module, original: Callable[..., Any], arguments: Any) -> Any:
        """What a module with layers inside gives."""
        computes = key in self.computing
        parameters = own_parameters(layer) if computes else []
        exact, earlier = [p.data for p in parameters], [p.grad for p in parameters]
        for parameter in parameters:
            parameter.data, parameter.grad = self.off(parameter.data), None
        self.running.append(key)
        try:
            result = original(*(self.off(arguments) if computes else arguments))
        finally:
            self.running.pop()
            for parameter, data in zip(parameters, exact, strict=True):
                parameter.data = data
        for parameter, grad in zip(parameters, earlier, strict=True):
            parameter.grad = None if parameter.grad is None else self.off(dense(parameter.grad))
            if grad is not None:
                parameter.accumulate(grad)
        return self.off(result) if computes else result

    def passed_on(self, values: Any) -> Any:
        """What a module's parent gets of it, which may compute with it."""
        return self.off(values) if self.running and self.running[-1] in self.computing else values

    def moved(self, values: Any, by: Arrays) -> Any:
        """Each of `values` off by its bound; gradients that nobody asked for have none."""
        leaves = flatten(values)
        disturbed = [v + b * self.signs(v) for v, b in zip(leaves, by, strict=False)]
        return unflatten(values, iter(disturbed + leaves[len(disturbed) :]))

    def off(self, values: Any) -> Any:
        """Floating numbers, each off relatively to itself."""
        leaves = flatten(values)
        relative = probable_gamma(max((np.size(leaf) for leaf in leaves), default=1), self.u)
        return unflatten(
            values,
            iter([v * (1 + relative * self.signs(v)) if is_floating(np.asarray(v)) else v for v in leaves]),
        )


@contextmanager
def record_torch(module: nn.Module, names: Sequence[str]) -> Iterator[Trace]:
    """Within, the dict holds what the named modules in a torch module gave, and the gradients they got."""
    trace: Trace = {}
    numbering = Numbering()

    def forward_hook(name: str, _module: nn.Module, _inputs: Any, output: Any) -> None:
        leaves = flatten(output)
        values = [to_numpy(leaf) for leaf in leaves]
        grads = [np.zeros_like(value) for value in values]  # of an output that nobody uses
        trace[numbering.call(name)] = Call(name, (), output, values, grads)
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
