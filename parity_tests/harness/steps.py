"""What a model does in a training step, and holding what sides did against what they should have done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from gdl_numpy.messages import counted
from parity_tests.harness.evaluate import Evaluation, is_floating
from parity_tests.harness.report import Comparison, compare, compare_lists
from parity_tests.harness.trace import Trace

if TYPE_CHECKING:
    from collections.abc import Iterator, Set


@dataclass
class Step:
    """What a model did in one training step. Bounds on these numbers are written in the same form.

    Attributes:
        trace: what each call of a module gave, and the gradients that reached it.
        result: what the model gave, and all gradients.
        parameters: the parameters after the update; none where nothing is trained.
    """

    trace: Trace
    result: Evaluation
    parameters: dict[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class Labels:
    """What modules are called in reports.

    Attributes:
        names: all names of each module, by the first.
        has_loss: whether the model is a part of a task, "model", beside its loss.
    """

    names: Mapping[str, list[str]]
    has_loss: bool

    @property
    def root(self) -> str:
        """The name of the model: in a task, what it trains."""
        return "model" if self.has_loss else ""

    def shown(self, name: str) -> str:
        """The name of a layer, of its call or of a parameter as whoever made the model knows it.

        That is without our wrapper, and with all the names of a layer that has several.
        """
        layer, call, number = name.partition(" (call ")
        several = " = ".join(map(self._without_task, self.names.get(layer, [layer])))
        return several + call + number

    def _without_task(self, name: str) -> str:
        return name.removeprefix("model").removeprefix(".") if self.has_loss and name != "loss" else name


@dataclass(frozen=True)
class Standard:
    """What a step should have done, and how far off each number may be.

    Attributes:
        truth: in float64.
        allowed: the bound of each number; of the trace, of those calls that are compared.
        labels: of the model.
        frozen: parameters that are not trained.
        dtype: of the sides.
    """

    truth: Step
    allowed: Step
    labels: Labels
    frozen: Set[str]
    dtype: np.dtype

    def whole_model(self, sides: Mapping[str, Step]) -> Iterator[Comparison]:
        """All layers together; a fault here and in no layer alone lies in how the model connects them."""
        yield from self._calls_differ(sides)
        keys = [key for key, call in self.truth.trace.items() if call.name or not self.labels.has_loss]
        for key in keys:
            yield from self.in_the_model(self.labels.shown(key), key, "outputs", sides)
        for key in reversed(keys):
            yield from self.in_the_model(self.labels.shown(key), key, "grad_outputs", sides)
        truth, allowed = self.truth.result, self.allowed.result
        for side, step in sides.items():
            where = "", "grad_input of the model", side
            yield from compare_lists(
                where, truth.grad_inputs, step.result.grad_inputs, allowed.grad_inputs, self.dtype
            )
            for key, expected in truth.grad_params.items():
                if key in self.frozen:
                    continue
                layer, _, name = key.rpartition(".")
                where = self.labels.shown(layer), f"grad {name} in the model", side
                got = step.result.grad_params.get(key)
                yield compare(where, expected, got, allowed.grad_params[key], self.dtype)

    def _calls_differ(self, sides: Mapping[str, Step]) -> Iterator[Comparison]:
        """A fault for each layer that a side calls a different number of times; not at all is no fault.

        A side may use a layer's weight without calling it: what comes out of that is compared elsewhere.
        """
        expected = Counter(call.name for call in self.truth.trace.values())
        for side, step in sides.items():
            found = Counter(call.name for call in step.trace.values())
            for name in expected.keys() & found.keys():
                if expected[name] != found[name]:
                    fault = f"is called {counted(found[name], 'time')}, expected {expected[name]}"
                    yield Comparison(self.labels.shown(name), "side", side, fault=fault)

    def in_the_model(
        self, shown: str, key: str, what: str, sides: Mapping[str, Step]
    ) -> Iterator[Comparison]:
        """What one call gave ("outputs"), or what reached it in backward ("grad_outputs"), on each side."""
        truth, of_model = self.truth.trace[key], "of the model" if key == self.labels.root else "in the model"
        expected, allowed = getattr(truth, what), getattr(self.allowed.trace[key], what)
        has_gradient = [is_floating(np.asarray(y)) for y in truth.outputs]  # not whole numbers, nor flags
        for side, call in ((side, step.trace[key]) for side, step in sides.items() if key in step.trace):
            where, got = (shown, f"{what.removesuffix('s')} {of_model}", side), getattr(call, what)
            keys, wanted = keys_of(call.output), keys_of(truth.output)
            if what == "outputs" and keys != wanted and None not in (keys, wanted):
                yield Comparison(*where, fault=f"has the keys {keys}, expected {wanted}")
            found = compare_lists(where, expected, got, allowed, self.dtype)
            for comparison, compared in zip(found, has_gradient, strict=True):
                if compared or what == "outputs":
                    yield comparison
            if len(got) > len(expected):
                fault = f"gives {counted(len(got), 'tensor')}, expected {len(expected)}"
                yield Comparison(*where, fault=fault)

    def of_step(self, number: int, sides: Mapping[str, Step]) -> Iterator[Comparison]:
        """The loss, the parameters after the update, and after the first step the model's outputs."""
        shown, root = f"step {number}", self.labels.root
        if number > 1 and root in self.allowed.trace:
            yield from self.in_the_model(shown, root, "outputs", sides)
        if self.labels.has_loss:
            (expected,), (allowed,) = self.truth.result.outputs, self.allowed.result.outputs
            for side, step in sides.items():
                yield compare((shown, "loss", side), expected, step.result.outputs[0], allowed, self.dtype)
        for key, expected in self.truth.parameters.items():
            for side, step in sides.items():
                where = shown, self.labels.shown(key), side
                bound = self.allowed.parameters[key]
                yield compare(where, expected, step.parameters.get(key), bound, self.dtype)


def keys_of(output: Any) -> list[str] | None:
    """Those of a dict; of anything else None."""
    return sorted(map(str, output)) if isinstance(output, Mapping) else None
