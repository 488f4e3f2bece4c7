"""One layer by itself: is each thing that it gives what it should be, and does it keep a layer's promises?"""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from gdl_numpy.messages import counted
from gdl_numpy.nn import Dropout
from parity_tests.harness.bounds import error_bound
from parity_tests.harness.draws import draws_at_random
from parity_tests.harness.evaluate import (
    Arrays,
    Evaluation,
    as_dtype,
    copied,
    dense,
    flatten,
    run_numpy,
    take_back,
    unflatten,
)
from parity_tests.harness.evaluate_torch import TORCH_DTYPES, fixed_dropout, run_torch, twin
from parity_tests.harness.report import Comparison, compare, compare_lists
from parity_tests.harness.rounding import Precision, comparison_roundoff, precision_of
from parity_tests.harness.trace import Recorder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn

    from gdl_numpy.nn import Module

DOUBLE = np.dtype(np.float64)


@dataclass(frozen=True)
class Alone:
    """A layer on both sides with the same data, and the gradients of its outputs.

    Attributes:
        layer: the NumPy layer.
        torch_layer: its twin.
        inputs, targets: arguments that get a gradient, and those that do not, in float64.
        probe: the gradient of each output, in float64.
        precision: in which both are compared with the NumPy layer in float64.
        device: where torch computes.
        shown: the name in the report.
    """

    layer: Module
    torch_layer: nn.Module
    inputs: tuple[Any, ...]
    targets: tuple[Any, ...]
    probe: Arrays
    precision: Precision
    device: str
    shown: str

    def comparisons(self) -> Iterator[Comparison]:
        """Everything that the layer gives, and that it gives it again."""
        exact = copy.deepcopy(self.layer).astype(np.float64).requires_input_grad_()
        recorder = Recorder(exact)
        truth = run_numpy(exact, self.inputs, self.targets, lambda _: self.probe)
        kept = recorder.trace[""].kept
        masks = {} if kept is None else {"": [kept]}
        bound, dtype = self.bound(self.precision), self.precision.dtype
        torch = self.torch(self.precision, self.device, masks)
        found = list(compare_all(self.shown, "torch", truth, torch, bound, dtype))
        yield from found
        if not all(c.ok for c in found):
            self.check_draws_nothing(exact)
        if any(c.fault for c in found):
            return  # shapes do not fit: what comes next could not be computed
        if dtype != DOUBLE:
            if self.precision.is_numpys:
                yield from compare_all(self.shown, "numpy", truth, self.numpy(), bound, dtype)
            # There nothing hides behind a bound that is an estimate, or that of a long sum.
            torch = self.torch(precision_of(DOUBLE), "cpu", masks)
            for c in compare_all(self.shown, "torch", truth, torch, self.bound(precision_of(DOUBLE)), DOUBLE):
                yield replace(c, run="in float64")
        yield from self.gradients_add_up(truth, bound)
        if kept is None:
            yield from self.half_of_the_batch()

    def check_draws_nothing(self, layer: Module) -> None:
        """Raises ValueError for a layer that gives something else each time, and is no `Dropout`."""
        arguments = *self.inputs, *self.targets
        runs = [flatten(layer(*copied(arguments))) for _ in range(2)]
        same = all(np.array_equal(a, b, equal_nan=True) for a, b in zip(*runs, strict=True))
        if not same and not isinstance(layer, Dropout):
            raise ValueError(draws_at_random(self.shown or type(layer).__name__))

    def bound(self, precision: Precision) -> Evaluation:
        engine = twin(self.torch_layer, self.layer, DOUBLE, "cpu")
        return error_bound(engine, self.inputs, self.targets, self.probe, precision.roundoff)

    def torch(self, precision: Precision, device: str, masks: dict[str, list[np.ndarray]]) -> Evaluation:
        layer = twin(self.torch_layer, self.layer, precision, device)
        inputs, targets, probe = (as_dtype(a, precision) for a in (self.inputs, self.targets, self.probe))
        with fixed_dropout(layer, masks):
            dtype = TORCH_DTYPES[precision.name]
            return run_torch(layer, inputs, targets, lambda _: list(probe), device, dtype)

    def numpy(self) -> Evaluation:
        layer = copy.deepcopy(self.layer).requires_input_grad_()
        inputs, targets, probe = (
            as_dtype(a, self.precision) for a in (self.inputs, self.targets, self.probe)
        )
        return run_numpy(layer, inputs, targets, lambda _: list(probe))

    def gradients_add_up(self, truth: Evaluation, bound: Evaluation) -> Iterator[Comparison]:
        """Parameters' gradients after a second backward of one pass, and after a second pass."""
        if not truth.grad_params:
            return
        layer = copy.deepcopy(self.layer).astype(DOUBLE).requires_input_grad_()
        parameters = dict(layer.named_parameters())
        layer.zero_grad()
        for after, backwards, times in (("a second backward", 2, 2), ("a second pass", 1, 3)):
            output = layer(*copied((*self.inputs, *self.targets)))
            for _ in range(backwards):
                take_back(layer, output, copied(self.probe))
            for name, once in truth.grad_params.items():
                if name in bound.grad_params:
                    where = self.shown, f"grad {name}", "numpy"
                    grad = parameters[name].grad
                    got = None if grad is None else dense(grad)
                    found = compare(where, times * once, got, times * bound.grad_params[name], DOUBLE)
                    yield replace(found, run=f"after {after}")

    def half_of_the_batch(self) -> Iterator[Comparison]:
        """What a layer gives of fewer examples, after it had more: of arrays that all begin with a batch."""
        leaves = flatten((self.inputs, self.targets))
        sizes = {len(leaf) if leaf.ndim else 0 for leaf in leaves}
        if len(sizes) != 1 or max(sizes) < 2:
            return
        half = max(sizes) // 2
        inputs, targets = unflatten((self.inputs, self.targets), iter([leaf[:half] for leaf in leaves]))
        probe: Arrays = []

        def ones(outputs: Arrays) -> Arrays:
            probe[:] = [np.ones_like(y) for y in outputs]
            return probe

        engine = twin(self.torch_layer, self.layer, DOUBLE, "cpu")
        whole = run_torch(engine, self.inputs, self.targets, lambda _: self.probe)
        try:
            torch = run_torch(engine, inputs, targets, ones)
        except (RuntimeError, ValueError, IndexError):
            return  # the first dimension is no batch: torch does not take half of it either
        pairs = zip(torch.outputs, whole.outputs, strict=True)
        if not all(y.shape == (w[:half].shape if w.ndim else ()) for y, w in pairs):
            return  # nor does torch give half of what it gives of all
        layer = copy.deepcopy(self.layer).astype(DOUBLE).requires_input_grad_()
        run_numpy(layer, self.inputs, self.targets, lambda _: self.probe)
        tensor = "output"
        try:
            with np.errstate(all="ignore"):
                layer(*copied((*inputs, *targets)))
                tensor = "grad_input"
                truth = run_numpy(layer, inputs, targets, ones)
        except (RuntimeError, ValueError, IndexError) as error:
            fault = f"refused, and torch takes it: {error}"
            yield Comparison(self.shown, tensor, "numpy", fault=fault, run="of half the batch")
            return
        bound = error_bound(engine, inputs, targets, probe, comparison_roundoff(DOUBLE))
        for found in compare_all(self.shown, "torch", truth, torch, bound, DOUBLE):
            yield replace(found, run="of half the batch")


def compare_all(
    layer: str, side: str, truth: Evaluation, result: Evaluation, bound: Evaluation, dtype: np.dtype
) -> Iterator[Comparison]:
    """One layer alone. The bounds, which come from torch, say which tensors there must be, in what shape."""
    if len(truth.outputs) != len(bound.outputs):
        fault = f"gives {counted(len(truth.outputs), 'output')}, and torch {len(bound.outputs)}"
        yield Comparison(layer, "output", "numpy", fault=fault)
        return
    yield from compare_lists((layer, "output", side), truth.outputs, result.outputs, bound.outputs, dtype)
    given, found = truth.gradients(), result.gradients()
    for tensor, limit in bound.gradients().items():
        if tensor not in given:
            yield Comparison(layer, tensor, "numpy", fault="backward gave none")
        elif given[tensor].shape != limit.shape:
            yield Comparison(
                layer, tensor, "numpy", fault=f"has shape {given[tensor].shape}, expected {limit.shape}"
            )
        else:
            yield compare((layer, tensor, side), given[tensor], found.get(tensor), limit, dtype)
