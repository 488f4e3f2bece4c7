"""A model whose every result is off by what rounding can do."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from parity_tests.harness.disturbance import Signs
from parity_tests.harness.disturbed_numpy import Errors, plain
from parity_tests.harness.evaluate import Arrays, Evaluation, dense, flatten, is_floating, unflatten
from parity_tests.harness.rounding import probable_gamma
from parity_tests.harness.watch import Watch, own_parameters

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gdl_numpy.nn import Module


# `DisturbedOperations`, given as an argument: this module has to be there without torch, too.
Operations = Callable[[Errors], AbstractContextManager[Any]]


class Disturber(Watch):
    """Throws a model off as rounding would: from now on, all that is computed in it is off, up or down.

    What a layer gives, forward and backward, is off by its bound. Where a module computes something itself
    from what its layers give, every number that goes in, each of its own parameters, and what comes out is
    off by the relative error of a sum as long as the largest of these arrays: an evaluation that is stable
    gives nearly the right answer to nearly the right question (Higham, §1.5). What stable operations make
    together need not be stable, so each operation is off, too: NumPy's by `DisturbedArray`.

    Args:
        module: what is disturbed.
        bounds: of each call of a layer, by its name; looked up at each call, so that it can be brought up to
            date between steps.
        computing: the names of the calls of modules that compute something themselves.
        u: unit roundoff.
        signs: those of the errors.
        operations: makes those of torch be off.
    """

    def __init__(
        self,
        module: Module,
        bounds: Mapping[str, Evaluation],
        computing: set[str],
        u: float,
        signs: Signs,
        operations: Operations,
    ) -> None:
        super().__init__(module)
        self.bounds, self.computing, self.signs, self.operations = bounds, computing, signs, operations
        self.running: list[str] = []
        self.errors = Errors(u, signs, lambda: bool(self.running) and self.running[-1] in self.computing)

    def called(
        self, key: str, name: str, layer: Module, original: Callable[..., Any], inputs: tuple[Any, ...]
    ) -> Any:
        if key in self.bounds:
            return self.passed_on(self.moved(self.run(key, original, inputs), self.bounds[key].outputs))
        return self.passed_on(self.inside(key, layer, original, inputs))

    def back(
        self, key: str, layer: Module, original: Callable[..., Any], grad_outputs: tuple[Any, ...]
    ) -> Any:
        if key not in self.bounds:
            return self.passed_on(self.inside(key, layer, original, grad_outputs))
        bound = self.bounds[key]
        before = [None if p.grad is None else dense(p.grad) for p in layer.parameters()]
        layer.zero_grad()
        grad_inputs = self.moved(self.run(key, original, grad_outputs), bound.grad_inputs)
        for (name, parameter), earlier in zip(layer.named_parameters(), before, strict=True):
            if parameter.grad is not None:
                grad = dense(parameter.grad)
                # Torch gives a frozen parameter no gradient, and so no bound on it.
                parameter.grad = grad + bound.grad_params.get(name, 0.0) * self.signs(grad)
            if earlier is not None:
                parameter.accumulate(earlier)
        return self.passed_on(grad_inputs)

    def run(self, key: str, original: Callable[..., Any], arguments: Any) -> Any:
        """What a call gives that is the innermost for now: if it computes, its operations are off.

        Torch's are watched from the outermost call on, and are off while the innermost one computes.
        """
        computes = key in self.computing
        self.running.append(key)
        try:
            with self.operations(self.errors) if len(self.running) == 1 else nullcontext():
                return each(plain, original(*each(self.errors.marked if computes else plain, arguments)))
        finally:
            self.running.pop()

    def inside(self, key: str, layer: Module, original: Callable[..., Any], arguments: Any) -> Any:
        """What a module gives that has layers inside, or of which no bound is known."""
        if key not in self.computing:
            return self.run(key, original, arguments)
        parameters = own_parameters(layer)
        exact, earlier = [p.data for p in parameters], [p.grad for p in parameters]
        for parameter in parameters:
            parameter.data, parameter.grad = self.errors.marked(self.off(parameter.data)), None
        try:
            result = self.run(key, original, self.off(each(plain, arguments)))
        finally:
            for parameter, data in zip(parameters, exact, strict=True):
                parameter.data = data
        for parameter, grad in zip(parameters, earlier, strict=True):
            parameter.grad = None if parameter.grad is None else self.off(plain(dense(parameter.grad)))
            if grad is not None:
                parameter.accumulate(grad)
        return self.off(result)

    def passed_on(self, values: Any) -> Any:
        """What a module's parent gets of it, which may compute with it."""
        if self.running and self.running[-1] in self.computing:
            return each(self.errors.marked, self.off(values))
        return values

    def moved(self, values: Any, by: Arrays) -> Any:
        """Each of `values` off by its bound; gradients that nobody asked for have none."""
        leaves = flatten(values)
        disturbed = [
            v + b * self.signs(v) if is_floating(np.asarray(v)) else v
            for v, b in zip(leaves, by, strict=False)
        ]
        return unflatten(values, iter(disturbed + leaves[len(disturbed) :]))

    def off(self, values: Any) -> Any:
        """Floating numbers, each off relatively to itself, as a sum as long as the largest array may be."""
        longest = max((np.size(leaf) for leaf in flatten(values)), default=1)
        return each(partial(self.errors.off, relative=probable_gamma(longest, self.errors.u)), values)


def each(function: Callable[[Any], Any], values: Any) -> Any:
    """Nested arrays, each as the function makes it."""
    return unflatten(values, map(function, flatten(values)))
