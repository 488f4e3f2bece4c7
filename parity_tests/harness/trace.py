"""What every call in a run of a model got and gave, on either side."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from gdl_numpy.nn import Dropout, Module
from gdl_numpy.tasks import as_arguments
from parity_tests.harness.evaluate import Arrays, copied, flatten, is_floating
from parity_tests.harness.watch import Watch, is_leaf, own_parameters

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass
class Call:
    """What one module got and gave when it was called, and when backward took that call back.

    Attributes:
        name: of the module.
        inputs: as forward got them.
        output: as forward returned it.
        outputs: its leaves.
        grad_outputs: the gradient of each of them; zeros for a call that backward does not get to.
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


Trace = dict[str, Call]  # by what `Watch` calls them, in the order in which they returned


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


class Recorder(Watch):
    """Keeps each call of each module in the latest run of a model.

    Attributes:
        trace: those calls.
    """

    def __init__(self, module: Module) -> None:
        super().__init__(module)
        self.trace: Trace = {}
        self.running: list[Running] = []  # the innermost last

    def begin(self) -> None:
        super().begin()
        self.trace.clear()

    def called(
        self, key: str, name: str, layer: Module, original: Callable[..., Any], inputs: tuple[Any, ...]
    ) -> Any:
        call = Call(name, copied(inputs) if is_leaf(layer) else inputs)
        output = self.watched(call, layer, original, inputs)
        call.output, call.outputs = output, [np.array(leaf) for leaf in flatten(output)]
        call.grad_outputs = [np.zeros_like(leaf) for leaf in call.outputs]  # until backward gets there
        if isinstance(layer, Dropout) and layer.saved[0] is not None:
            call.kept = layer.saved[0] != 0
        self.trace[key] = call
        return output

    def back(
        self, key: str, layer: Module, original: Callable[..., Any], grad_outputs: tuple[Any, ...]
    ) -> Any:
        call = self.trace[key]
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


def zeros_for_none(outputs: Any, grads: Any) -> Arrays:
    """The leaves of `grads`; zeros where None, or nothing at all, stands for those of some outputs."""
    if grads is None:
        return [np.zeros_like(leaf) for leaf in flatten(outputs)]
    if not isinstance(outputs, tuple):
        return flatten(grads)
    padded = [*grads, *[None] * (len(outputs) - len(grads))]
    return [leaf for pair in zip(outputs, padded, strict=True) for leaf in zeros_for_none(*pair)]


def kept_of(trace: Trace) -> dict[str, list[np.ndarray]]:
    """What each dropout layer kept in each of its calls."""
    kept: dict[str, list[np.ndarray]] = {}
    for call in trace.values():
        if call.kept is not None:
            kept.setdefault(call.name, []).append(call.kept)
    return kept
