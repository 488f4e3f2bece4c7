"""What `check` does: the truth, the sides held against it, and how far rounding moves a model."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from gdl_numpy.models.language_model import look_up_
from gdl_numpy.nn import Loss, Module
from gdl_numpy.tasks import Task
from parity_tests.harness.alone import Alone
from parity_tests.harness.bounds import error_bound
from parity_tests.harness.disturbance import opposite_signs
from parity_tests.harness.disturbed_torch import DisturbedOperations
from parity_tests.harness.divergence import far_apart, out_of_range, reach
from parity_tests.harness.draws import refuse_draws
from parity_tests.harness.evaluate import (
    Arrays,
    Evaluation,
    as_dtype,
    flatten,
    is_floating,
    run_numpy,
)
from parity_tests.harness.evaluate_torch import TORCH_DTYPES, run_torch, twin
from parity_tests.harness.from_torch import FromTorch, trained
from parity_tests.harness.naming import part, refuse_other_modes, refuse_other_sharing, without_counterpart
from parity_tests.harness.perturbation import DRAWS
from parity_tests.harness.report import Comparison, compare_lists, distance
from parity_tests.harness.rounding import Precision, last_rounding, precision_of
from parity_tests.harness.side import Disturbance, NumpySide, OptimizerSpec
from parity_tests.harness.steps import Labels, Standard, Step
from parity_tests.harness.torch_side import TorchSide
from parity_tests.harness.trace import Call, kept_of
from parity_tests.harness.watch import is_leaf, layers_of, names_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence


class Checker:
    """The truth, the sides held against it, and disturbed copies of it that show what rounding explains."""

    def __init__(
        self,
        numpy_module: Module,
        torch_module: nn.Module,
        batches: list[tuple[Any, ...]],
        precision: Precision,
        device: str,
        spec: OptimizerSpec,
        rng: np.random.Generator,
        probes: Sequence[Arrays] | None = None,
    ) -> None:
        """With `probes`, those are the output gradients of each step, and of a layer all is written down."""
        self.probes, self.is_traced = list(probes or []), probes is not None
        self.batches, self.device, self.rng = batches, device, rng
        self.precision, self.dtype = precision, precision.dtype
        self.spec = spec
        self.inputs, self.targets = batches[0]
        self.first_nan, self.restarts = "", list[int]()
        self.overflow, self.reach_at_first = 0, 0.0
        self.u = precision.roundoff
        self.original = copy.deepcopy(numpy_module).astype(self.dtype)
        for parameter in self.original.parameters():
            parameter.data = precision.round(parameter.data)
        look_up_(self.original)
        self.layers = layers_of(self.original)
        self.labels = Labels(names_of(self.original), isinstance(numpy_module, Task))
        self.torch_module = torch_module
        # Layers without a counterpart in torch: what they give is compared by what comes of it.
        self.alone = without_counterpart(torch_module)
        theirs = self.twins()
        frozen = {name for name, p in torch_module.named_parameters() if not p.requires_grad}
        self.frozen = frozen
        self.truth = NumpySide(self.original, np.float64, spec, frozen)
        self.torch_side = TorchSide(torch_module, self.original, precision, device, spec, theirs)
        self.numpy_side = None
        if self.dtype != np.float64 and precision.is_numpys:
            self.numpy_side = NumpySide(self.original, self.dtype, spec, frozen)
        self.bounds: dict[str, Evaluation] = {}
        self.computing: set[str] = set()
        self.disturbed: list[NumpySide] = []
        if self.is_traced or not is_leaf(self.original) or any(self.original.parameters()):
            self.disturbed = [
                NumpySide(
                    self.original,
                    np.float64,
                    spec,
                    frozen,
                    Disturbance(self.bounds, self.computing, self.u, signs, DisturbedOperations),
                )
                for signs in opposite_signs(DRAWS, self.rng)
            ]
        self.probe: Arrays = []

    def twins(self) -> list[str]:
        """The names of the layers, and of the modules with layers inside that torch's side has too.

        Raises:
            ValueError: torch's side has no such layer, or does not share it as the NumPy side does.
        """
        theirs = dict(self.torch_module.named_modules(remove_duplicate=False))
        leaves = [name for name, layer in self.layers.items() if is_leaf(layer)]
        if absent := [name for name in leaves if name not in theirs and name not in self.alone]:
            raise ValueError(
                f"torch_module has no layer named {', '.join(map(repr, absent))}: say by `names` what is "
                "its counterpart, or that there is none"
            )
        refuse_other_modes(dict(self.original.named_modules()), theirs)
        refuse_other_sharing("module", dict(self.original.named_modules()), theirs)
        refuse_other_sharing(
            "parameter",
            dict(self.original.named_parameters(remove_duplicate=False)),
            dict(self.torch_module.named_parameters(remove_duplicate=False)),
        )
        frozen = {name for name, p in self.torch_module.named_parameters() if not p.requires_grad}
        for name, is_trained in trained(self.original).items():
            if is_trained == (name in frozen):
                side = "torch_module" if is_trained else "numpy_module"
                raise ValueError(f"{name!r} is frozen in {side} alone")
        return [name for name in self.layers if name in theirs]

    def comparisons(
        self,
        steps: int,
        on_step: Callable[[int], None] | None = None,
        on_standard: Callable[[int, Standard], None] | None = None,
    ) -> Iterator[Comparison]:
        """All of them, in the order of computation.

        Args:
            steps: how many there are in training.
            on_step: called after each with its number, from 1.
            on_standard: called after each with its number and what it should have done.
        """
        if self.original.training:
            batch = self.inputs, self.targets
            refuse_draws(self.original, self.torch_side.module, batch, self.precision, self.device)
        steps = steps if self.truth.optimizer else 0
        for step in range(max(steps, 1)):
            self.inputs, self.targets = self.batches[step % len(self.batches)]
            self.probe = self.probes[step] if step < len(self.probes) else []
            truth = self.step_of(self.truth)
            self.update_bounds()
            self.look_for_nan(step + 1)
            if step == 0:
                alone = list(self.layer_by_layer())
                yield from alone
                if any(c.fault for c in alone):
                    return  # shapes do not fit: there is no adding up a whole model, nor a step
            sides = {"torch": self.step_of(self.torch_side, kept_of(truth.trace))}
            if self.numpy_side:
                sides["numpy"] = self.step_of(self.numpy_side)
            moved = [self.step_of(side) for side in self.disturbed]
            is_whole = step == 0 and not is_leaf(self.original)
            compared: Iterable[str] = (
                [] if is_leaf(self.original) and not self.is_traced else [self.labels.root]
            )
            allowed = self.movement_of(truth, moved, compared if step else truth.trace)
            standard = Standard(truth, allowed, self.labels, self.frozen, self.dtype)
            if is_whole:
                yield from standard.whole_model(sides)
                if self.computing and self.dtype != np.float64:
                    yield from self.in_float64()
            if step == 0 and self.original.training:
                yield from self.in_eval_mode()
            if steps:
                yield from self.update(step + 1, standard, sides, moved)
            if on_standard:
                on_standard(step + 1, standard)
            if on_step:
                on_step(step + 1)
            if self.overflow:
                return
            goes_on = step + 1 < steps and not self.is_traced
            if goes_on and far_apart(self.truth.trained, truth, moved, self.u):
                self.start_again()
                self.restarts.append(step + 1)

    def remarks(self) -> Iterator[str]:
        """What was not compared, in words."""
        before = dict(self.torch_module.named_buffers())
        changed = [
            name
            for name, buffer in self.torch_side.module.named_buffers()
            if not torch.equal(buffer.cpu(), before[name].to("cpu", buffer.dtype))
        ]
        for what, names in (
            ("frozen in torch, and not trained", self.frozen),
            ("buffers, which are not compared, change", changed),
            ("without counterpart, and compared by what comes of it", self.alone),
        ):
            if names:
                first, more = sorted(map(self.labels.shown, names))[:3], len(names) - 3
                yield f"{what}: {', '.join(first)}{f' and {more} more' if more > 0 else ''}"

    def step_of(self, side: NumpySide | TorchSide, *kept: Any) -> Step:
        """Runs a side on this step's batch."""
        result = side.run(self.inputs, self.targets, self.grad_outputs, *kept)
        return Step(dict(side.trace), result)

    def update(
        self, number: int, standard: Standard, sides: Mapping[str, Step], moved: list[Step]
    ) -> Iterator[Comparison]:
        """One optimizer step everywhere, after which the parameters are known; and what comes of it.

        That is not compared of a side that has inf or nan since the training has left its dtype's range.
        """
        truth = standard.truth
        for side, step in zip(self.sides(), [truth, *sides.values(), *moved], strict=True):
            side.update()
            step.parameters = side.parameters()
        for key, expected in truth.parameters.items():
            copies = [[m.parameters[key]] for m in moved]
            (standard.allowed.parameters[key],) = self.movement([expected], copies)
        if number == 1:
            self.reach_at_first = reach([truth])
        largest = np.inf if self.is_traced else float(np.finfo(self.dtype).max)
        lost = out_of_range(truth, sides, moved, largest, self.reach_at_first)
        self.overflow = number if lost else 0
        yield from standard.of_step(number, {n: step for n, step in sides.items() if n not in lost})

    def start_again(self) -> None:
        """Sets all sides on the truth's weights and momenta, rounded to numbers that each of them has."""
        self.truth.round(self.precision)
        for side in self.sides()[1:]:
            side.start_from(self.truth)

    def sides(self) -> list[NumpySide | TorchSide]:
        """The truth, the sides held against it, and the disturbed copies."""
        return [self.truth, self.torch_side, *([self.numpy_side] if self.numpy_side else []), *self.disturbed]

    def grad_outputs(self, outputs: Arrays) -> Arrays:
        """Of a loss 1, so that steps go down its slope. Else random, the same for all sides of a step.

        The gradient of a plain sum would vanish after a softmax, and zeros would pass.
        """
        if not self.probe:
            ones = [np.ones(np.shape(y)) for y in outputs]
            self.probe = ones if self.labels.has_loss else self.random_like(outputs)
        return self.probe

    def random_like(self, arrays: Arrays) -> Arrays:
        drawn = [self.precision.round(np.asarray(self.rng.standard_normal(np.shape(a)))) for a in arrays]
        return [a.astype(np.float64) for a in drawn]

    def leaf_calls(self) -> dict[str, Call]:
        """The calls of layers that have no layers inside, and a counterpart in torch."""
        return {
            key: call
            for key, call in self.truth.trace.items()
            if is_leaf(self.layers[call.name]) and call.name not in self.alone
        }

    def split(self, call: Call) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        """A layer's arguments that get a gradient, and those that do not: targets, which only a loss has."""
        inputs = len(call.inputs)
        if call.name == "":
            inputs -= len(self.targets)
        elif isinstance(layer := self.layers[call.name], FromTorch) and layer.predictions is not None:
            inputs = layer.predictions
        elif isinstance(layer, Loss) or (self.labels.has_loss and call.name == "loss"):
            inputs = call.differentiated
        return call.inputs[:inputs], call.inputs[inputs:]

    def update_bounds(self) -> None:
        """Computes the bound of each call, in the order of the backward pass.

        Where a gradient is exactly 0, all that reaches the layer is the error of what came before, and what
        the layer makes of that is rounded, too: the bound is that of a gradient as large as this error.
        """
        engine = twin(self.torch_module, self.truth.module, np.float64, "cpu")
        calls, error = self.leaf_calls(), 0.0
        grads = [g[np.isfinite(g)] for call in calls.values() for g in call.grad_outputs]
        most = max((np.abs(g).max(initial=0) for g in grads), default=0.0)
        for key, call in reversed(calls.items()):
            inputs, targets = self.split(call)
            layer = part(engine, call.name)
            grads = [np.where(np.abs(g) < error, np.copysign(error, g), g) for g in call.grad_outputs]
            self.bounds[key] = error_bound(layer, inputs, targets, grads, self.u)
            error = min(max([error, *(b.max(initial=0) for b in self.bounds[key].grad_inputs)]), most)
        self.computing.clear()
        self.computing |= {
            key for key, call in self.truth.trace.items() if call.computes or call.name in self.alone
        }

    def look_for_nan(self, step: int) -> None:
        """Notes where the first nan of all appears in the forward pass just run."""
        if self.first_nan:
            return
        places = [("the input", [a for a in flatten(self.inputs) if is_floating(a)])]
        places += [(self.labels.shown(key), call.outputs) for key, call in self.truth.trace.items()]
        where = next((place for place, arrays in places if any(np.isnan(a).any() for a in arrays)), "")
        self.first_nan = f"{where} in step {step}" if where and step > 1 else where

    def layer_by_layer(self) -> Iterator[Comparison]:
        """Every layer alone: forward, in the order of the forward pass, then backward in the opposite one."""
        backward = []
        for key, call in self.leaf_calls().items():
            found = list(self.layer_alone(key, call))
            yield from (c for c in found if c.tensor.startswith("output"))
            backward.append([c for c in found if not c.tensor.startswith("output")])
        for found in reversed(backward):
            yield from found

    def layer_alone(self, key: str, call: Call) -> Iterator[Comparison]:
        inputs, targets = (as_dtype(as_dtype(a, self.precision), np.float64) for a in self.split(call))
        probe = self.random_like(call.outputs)
        layer, torch_layer = self.layers[call.name], part(self.torch_module, call.name)
        alone = Alone(
            layer, torch_layer, inputs, targets, probe, self.precision, self.device, self.labels.shown(key)
        )
        return alone.comparisons()

    def in_float64(self) -> Iterator[Comparison]:
        """The same there, where what modules compute themselves does not hide behind an estimate."""
        double = precision_of(np.float64)
        other = Checker(self.original, self.torch_module, self.batches, double, "cpu", self.spec, self.rng)
        for c in other.comparisons(0):
            yield replace(c, run=f"{c.run} in float64".lstrip())

    def in_eval_mode(self) -> Iterator[Comparison]:
        """The model's outputs in eval mode; all that can be compared of it, if those are other outputs."""
        root = self.labels.root
        model = copy.deepcopy(getattr(self.original, root) if root else self.original).eval()
        torch_model = part(self.torch_module, root)
        call = self.truth.trace[root]
        inputs, targets = self.split(call)
        probe = self.random_like(call.outputs)
        exact = run_numpy(copy.deepcopy(model).astype(np.float64), inputs, targets, lambda _: probe)
        pairs = zip(exact.outputs, call.outputs, strict=True)
        if not all(np.array_equal(a, b, equal_nan=True) for a, b in pairs):
            batches = [(inputs, targets)]
            other = Checker(model, torch_model, batches, self.precision, self.device, self.spec, self.rng)
            for c in other.comparisons(0):
                yield replace(c, run=f"{c.run} in eval mode".lstrip())
            return
        clone = twin(torch_model, model, self.precision, self.device)
        inputs, targets, probe = (as_dtype(a, self.precision) for a in (inputs, targets, probe))
        dtype = TORCH_DTYPES[self.precision.name]
        result = run_torch(clone, inputs, targets, lambda _: list(probe), self.device, dtype)
        moved = [side.trace[root].outputs for side in self.disturbed]
        allowed = self.movement(call.outputs, moved) if moved else self.bounds[root].outputs
        found = compare_lists(("", "output", "torch"), call.outputs, result.outputs, allowed, self.dtype)
        yield from (replace(c, run="in eval mode") for c in found)

    def movement(self, truth: Arrays, moved: list[Arrays]) -> list[np.ndarray]:
        """How far each tensor moved at most, anywhere in it: draws are few and elements many.

        Each number is allowed its own last rounding besides: of errors in few numbers, such as those of two
        steps in a layer of one unit, all draws may happen to cancel. So is what moved in the place of
        another number, such as the gradient of a pixel that has become the largest of its window.
        """
        return [
            np.maximum(
                max(distance(expected, arrays[i]).max(initial=0) for arrays in moved) * (1 + self.u),
                last_rounding(expected, self.u),
            )
            for i, expected in enumerate(truth)
        ]

    def movement_of(self, truth: Step, moved: list[Step], keys: Iterable[str]) -> Step:
        """How far all of a step moved, of the trace the calls with these keys; without its parameters."""
        if not moved:
            return Step({}, Evaluation([]))
        trace = {
            key: Call(
                truth.trace[key].name,
                outputs=self.movement(truth.trace[key].outputs, [m.trace[key].outputs for m in moved]),
                grad_outputs=self.movement(
                    truth.trace[key].grad_outputs, [m.trace[key].grad_outputs for m in moved]
                ),
            )
            for key in keys
        }
        result = Evaluation(
            self.movement(truth.result.outputs, [m.result.outputs for m in moved]),
            self.movement(truth.result.grad_inputs, [m.result.grad_inputs for m in moved]),
            {
                key: self.movement([grad], [[m.result.grad_params[key]] for m in moved])[0]
                for key, grad in truth.result.grad_params.items()
            },
        )
        return Step(trace, result)
