"""A model whose every result is off by what rounding can do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from parity_tests.harness.evaluate import Arrays, Evaluation, dense, flatten, is_floating, unflatten
from parity_tests.harness.rounding import probable_gamma
from parity_tests.harness.watch import Watch, own_parameters

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gdl_numpy.nn import Module
    from parity_tests.harness.disturbance import Signs


class Disturber(Watch):
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
        super().__init__(module)
        self.bounds, self.computing, self.u, self.signs = bounds, computing, u, signs
        self.running: list[str] = []

    def called(
        self, key: str, name: str, layer: Module, original: Callable[..., Any], inputs: tuple[Any, ...]
    ) -> Any:
        if key in self.bounds:
            return self.passed_on(self.moved(original(*inputs), self.bounds[key].outputs))
        return self.passed_on(self.inside(key, layer, original, inputs))

    def back(
        self, key: str, layer: Module, original: Callable[..., Any], grad_outputs: tuple[Any, ...]
    ) -> Any:
        if key not in self.bounds:
            return self.passed_on(self.inside(key, layer, original, grad_outputs))
        bound = self.bounds[key]
        before = [None if p.grad is None else dense(p.grad) for p in layer.parameters()]
        layer.zero_grad()
        grad_inputs = self.moved(original(*grad_outputs), bound.grad_inputs)
        for (name, parameter), earlier in zip(layer.named_parameters(), before, strict=True):
            if parameter.grad is not None:
                grad = dense(parameter.grad)
                # Torch gives a frozen parameter no gradient, and so no bound on it.
                parameter.grad = grad + bound.grad_params.get(name, 0.0) * self.signs(grad)
            if earlier is not None:
                parameter.accumulate(earlier)
        return self.passed_on(grad_inputs)

    def inside(self, key: str, layer: Module, original: Callable[..., Any], arguments: Any) -> Any:
        """What a module gives that has layers inside, or of which no bound is known."""
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
        disturbed = [
            v + b * self.signs(v) if is_floating(np.asarray(v)) else v
            for v, b in zip(leaves, by, strict=False)
        ]
        return unflatten(values, iter(disturbed + leaves[len(disturbed) :]))

    def off(self, values: Any) -> Any:
        """Floating numbers, each off relatively to itself."""
        leaves = flatten(values)
        relative = probable_gamma(max((np.size(leaf) for leaf in leaves), default=1), self.u)
        return unflatten(
            values,
            iter([v * (1 + relative * self.signs(v)) if is_floating(np.asarray(v)) else v for v in leaves]),
        )
