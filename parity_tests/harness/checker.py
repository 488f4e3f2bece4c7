"""What `check` does: the truth, the sides held against it, and how far rounding moves a model."""

from __future__ import annotations

import copy
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import nn

from gdl_numpy.messages import counted
from gdl_numpy.models.language_model import look_up_
from gdl_numpy.nn import Loss, Module
from gdl_numpy.tasks import Task
from parity_tests.harness.alone import Alone, draws_at_random
from parity_tests.harness.bounds import DRAWS, error_bound
from parity_tests.harness.disturbance import opposite_signs
from parity_tests.harness.evaluate import (
    Arrays,
    Evaluation,
    as_dtype,
    copied,
    flatten,
    is_floating,
    run_numpy,
)
from parity_tests.harness.evaluate_torch import fixed_dropout, run_torch, twin
from parity_tests.harness.naming import part, refuse_other_sharing, without_counterpart
from parity_tests.harness.report import Comparison, compare, compare_lists, distance
from parity_tests.harness.rounding import comparison_roundoff, last_rounding
from parity_tests.harness.side import Disturbance, NumpySide, OptimizerSpec
from parity_tests.harness.torch_side import TorchSide
from parity_tests.harness.trace import Call, Trace
from parity_tests.harness.watch import is_leaf, layers_of, names_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Checker:
    """The truth, the sides held against it, and disturbed copies of it that show what rounding explains."""

    def __init__(
        self,
        numpy_module: Module,
        torch_module: nn.Module,
        batches: list[tuple[Any, ...]],
        dtype: np.dtype,
        device: str,
        spec: OptimizerSpec,
        rng: np.random.Generator,
    ) -> None:
        self.batches, self.dtype, self.device, self.rng = batches, dtype, device, rng
        self.spec = spec
        self.inputs, self.targets = batches[0]
        self.has_loss, self.first_nan = isinstance(numpy_module, Task), ""
        self.u = comparison_roundoff(dtype)
        self.original = copy.deepcopy(numpy_module).astype(dtype)
        look_up_(self.original)
        self.layers = layers_of(self.original)
        self.names = names_of(self.original)
        self.torch_module = torch_module
        # Layers without a counterpart in torch: what they give is compared by what comes of it.
        self.alone = without_counterpart(torch_module)
        theirs = self.twins()
        frozen = {name for name, p in torch_module.named_parameters() if not p.requires_grad}
        self.frozen = frozen
        self.truth = NumpySide(self.original, np.float64, spec, frozen)
        self.torch_side = TorchSide(torch_module, self.original, dtype, device, spec, theirs)
        self.numpy_side = None if dtype == np.float64 else NumpySide(self.original, dtype, spec, frozen)
        self.bounds: dict[str, Evaluation] = {}
        self.computing: set[str] = set()
        self.disturbed: list[NumpySide] = []
        if not is_leaf(self.original) or any(self.original.parameters()):
            self.disturbed = [
                NumpySide(
                    self.original,
                    np.float64,
                    spec,
                    frozen,
                    Disturbance(self.bounds, self.computing, self.u, signs),
                )
                for signs in opposite_signs(DRAWS, self.rng)
            ]
        self.probe: Arrays = []

    @property
    def root(self) -> str:
        """The name of the model: in a task, what it trains."""
        return "model" if self.has_loss else ""

    def shown(self, name: str) -> str:
        """The name of a layer, of its call or of a parameter as the user of `check` knows it.

        That is without our wrapper, and with all the names of a layer that has several.
        """
        layer, call, number = name.partition(" (call ")
        several = " = ".join(map(self.without_task, self.names.get(layer, [layer])))
        return several + call + number

    def without_task(self, name: str) -> str:
        return name.removeprefix("model").removeprefix(".") if self.has_loss and name != "loss" else name

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
        refuse_other_sharing("module", dict(self.original.named_modules()), theirs)
        refuse_other_sharing(
            "parameter",
            dict(self.original.named_parameters(remove_duplicate=False)),
            dict(self.torch_module.named_parameters(remove_duplicate=False)),
        )
        return [name for name in self.layers if name in theirs]

    def comparisons(self, steps: int, on_step: Callable[[int], None] | None) -> Iterator[Comparison]:
        if self.original.training and not is_leaf(self.original):
            self.refuse_draws()
        steps = steps if self.truth.optimizer else 0
        for step in range(max(steps, 1)):
            self.inputs, self.targets = self.batches[step % len(self.batches)]
            self.probe = []
            truth = self.truth.run(self.inputs, self.targets, self.grad_outputs)
            self.update_bounds()
            self.look_for_nan(step + 1)
            if step == 0:
                alone = list(self.layer_by_layer())
                yield from alone
                if any(c.fault for c in alone):
                    return  # shapes do not fit: there is no adding up a whole model, nor a step
            sides = {"torch": self.torch_side.run(self.inputs, self.targets, self.grad_outputs, self.kept())}
            if self.numpy_side:
                sides["numpy"] = self.numpy_side.run(self.inputs, self.targets, self.grad_outputs)
            moved = [side.run(self.inputs, self.targets, self.grad_outputs) for side in self.disturbed]
            if step == 0 and not is_leaf(self.original):
                yield from self.whole_model(truth, sides, moved)
                if self.computing and self.dtype != np.float64:
                    yield from self.in_float64()
            if step == 0 and self.original.training:
                yield from self.in_eval_mode()
            if steps:
                if step and not is_leaf(self.original):
                    yield from self.in_the_model(f"step {step + 1}", self.root, "outputs")
                if self.has_loss:
                    yield from self.loss_of_step(step + 1, truth, sides, moved)
                yield from self.after_update(step + 1)
            if on_step:
                on_step(step + 1)

    def refuse_draws(self) -> None:
        """Raises ValueError for a model that gives something else each time, be it by what it calls.

        In torch, functions draw from one generator for all, as does `MultiheadAttention` within.
        """
        inputs, targets = (as_dtype(a, self.dtype) for a in (self.inputs, self.targets))
        runs: dict[str, list[Arrays]] = {"numpy_module": [], "torch_module": []}
        for _ in range(2):
            model = copy.deepcopy(self.original)
            runs["numpy_module"].append(flatten(model(*copied((*inputs, *targets)))))
            torch_model = copy.deepcopy(self.torch_side.module)
            with fixed_dropout(torch_model, {}):
                runs["torch_module"].append(
                    run_torch(torch_model, inputs, targets, lambda _: [], self.device).outputs
                )
        for side, (first, second) in runs.items():
            if not all(np.array_equal(a, b, equal_nan=True) for a, b in zip(first, second, strict=True)):
                raise ValueError(draws_at_random(side))

    def grad_outputs(self, outputs: Arrays) -> Arrays:
        """Of a loss 1, so that steps go down its slope. Else random, the same for all sides of a step.

        The gradient of a plain sum would vanish after a softmax, and zeros would pass.
        """
        if not self.probe:
            ones = [np.ones(np.shape(y)) for y in outputs]
            self.probe = ones if self.has_loss else self.random_like(outputs)
        return self.probe

    def random_like(self, arrays: Arrays) -> Arrays:
        drawn = [np.asarray(self.rng.standard_normal(np.shape(a))).astype(self.dtype) for a in arrays]
        return [a.astype(np.float64) for a in drawn]

    def kept(self) -> dict[str, list[np.ndarray]]:
        """What each dropout layer kept in each of its calls."""
        kept: dict[str, list[np.ndarray]] = {}
        for call in self.truth.trace.values():
            if call.kept is not None:
                kept.setdefault(call.name, []).append(call.kept)
        return kept

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
        elif isinstance(self.layers[call.name], Loss) or (self.has_loss and call.name == "loss"):
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
        places += [(self.shown(key), call.outputs) for key, call in self.truth.trace.items()]
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
        inputs, targets = (as_dtype(as_dtype(a, self.dtype), np.float64) for a in self.split(call))
        probe = self.random_like(call.outputs)
        layer, torch_layer = self.layers[call.name], part(self.torch_module, call.name)
        alone = Alone(layer, torch_layer, inputs, targets, probe, self.dtype, self.device, self.shown(key))
        return alone.comparisons()

    def whole_model(
        self, truth: Evaluation, sides: dict[str, Evaluation], moved: list[Evaluation]
    ) -> Iterator[Comparison]:
        """All layers together; a fault here and in no layer alone lies in how the model connects them."""
        yield from self.calls_differ()
        keys = [key for key, call in self.truth.trace.items() if call.name or not self.has_loss]
        for key in keys:
            yield from self.in_the_model(self.shown(key), key, "outputs")
        for key in reversed(keys):
            yield from self.in_the_model(self.shown(key), key, "grad_outputs")
        for side, result in sides.items():
            allowed = self.movement(truth.grad_inputs, [m.grad_inputs for m in moved])
            where = ("", "grad_input of the model", side)
            yield from compare_lists(where, truth.grad_inputs, result.grad_inputs, allowed, self.dtype)
            for key, expected in truth.grad_params.items():
                if key in self.frozen:
                    continue
                (bound,) = self.movement([expected], [[m.grad_params[key]] for m in moved])
                where = (
                    self.shown(key.rpartition(".")[0]),
                    f"grad {key.rpartition('.')[2]} in the model",
                    side,
                )
                yield compare(where, expected, result.grad_params.get(key), bound, self.dtype)

    def in_float64(self) -> Iterator[Comparison]:
        """The same there, where what modules compute themselves does not hide behind an estimate."""
        double = np.dtype(np.float64)
        other = Checker(self.original, self.torch_module, self.batches, double, "cpu", self.spec, self.rng)
        for c in other.comparisons(0, None):
            yield replace(c, run=f"{c.run} in float64".lstrip())

    def in_eval_mode(self) -> Iterator[Comparison]:
        """The model's outputs in eval mode; all that can be compared of it, if those are other outputs."""
        model = copy.deepcopy(getattr(self.original, self.root) if self.root else self.original).eval()
        torch_model = part(self.torch_module, self.root)
        call = self.truth.trace[self.root]
        inputs, targets = self.split(call)
        probe = self.random_like(call.outputs)
        exact = run_numpy(copy.deepcopy(model).astype(np.float64), inputs, targets, lambda _: probe)
        pairs = zip(exact.outputs, call.outputs, strict=True)
        if not all(np.array_equal(a, b, equal_nan=True) for a, b in pairs):
            batches = [(inputs, targets)]
            other = Checker(model, torch_model, batches, self.dtype, self.device, self.spec, self.rng)
            for c in other.comparisons(0, None):
                yield replace(c, run=f"{c.run} in eval mode".lstrip())
            return
        clone = twin(torch_model, model, self.dtype, self.device)
        inputs, targets, probe = (as_dtype(a, self.dtype) for a in (inputs, targets, probe))
        result = run_torch(clone, inputs, targets, lambda _: list(probe), self.device)
        moved = [side.trace[self.root].outputs for side in self.disturbed]
        allowed = self.movement(call.outputs, moved) if moved else self.bounds[self.root].outputs
        found = compare_lists(("", "output", "torch"), call.outputs, result.outputs, allowed, self.dtype)
        yield from (replace(c, run="in eval mode") for c in found)

    def calls_differ(self) -> Iterator[Comparison]:
        """A fault for each layer that the sides call a different number of times; not at all is no fault.

        A side may use a layer's weight without calling it: what comes out of that is compared elsewhere.
        """
        ours = Counter(call.name for call in self.truth.trace.values())
        theirs = Counter(call.name for call in self.torch_side.trace.values())
        for name in ours.keys() & theirs.keys():
            if ours[name] != theirs[name]:
                fault = f"is called {counted(theirs[name], 'time')}, expected {ours[name]}"
                yield Comparison(self.shown(name), "side", "torch", fault=fault)

    def in_the_model(self, shown: str, key: str, field: str) -> Iterator[Comparison]:
        """What one call gave ("outputs"), or what reached it in backward ("grad_outputs"), on each side."""
        expected = getattr(self.truth.trace[key], field)
        allowed = self.movement(expected, [getattr(side.trace[key], field) for side in self.disturbed])
        of_model = "of the model" if key == self.root else "in the model"
        for side, trace in self.traces().items():
            if key in trace:
                where = shown, f"{field.removesuffix('s')} {of_model}", side
                got = getattr(trace[key], field)
                yield from compare_lists(where, expected, got, allowed, self.dtype)
                if len(got) > len(expected):
                    fault = f"gives {counted(len(got), 'tensor')}, expected {len(expected)}"
                    yield Comparison(*where, fault=fault)

    def traces(self) -> dict[str, Trace]:
        """Those of the sides that are held against the truth."""
        traces = {"torch": self.torch_side.trace}
        if self.numpy_side:
            traces["numpy"] = self.numpy_side.trace
        return traces

    def movement(self, truth: Arrays, moved: list[Arrays]) -> list[np.ndarray]:
        """How far each tensor moved at most, anywhere in it: draws are few and elements many.

        Each number is allowed its own last rounding besides: of errors in few numbers, such as those of two
        steps in a layer of one unit, all draws may happen to cancel.
        """
        return [
            np.maximum(
                max(distance(expected, arrays[i]).max(initial=0) for arrays in moved),
                last_rounding(expected, self.u),
            )
            for i, expected in enumerate(truth)
        ]

    def loss_of_step(
        self, step: int, truth: Evaluation, sides: dict[str, Evaluation], moved: list[Evaluation]
    ) -> Iterator[Comparison]:
        (allowed,) = self.movement(truth.outputs, [m.outputs for m in moved])
        for side, result in sides.items():
            where = (f"step {step}", "loss", side)
            yield compare(where, truth.outputs[0], result.outputs[0], allowed, self.dtype)

    def after_update(self, step: int) -> Iterator[Comparison]:
        """One optimizer step everywhere, and every parameter after it."""
        for side in (self.truth, self.torch_side, self.numpy_side, *self.disturbed):
            if side:
                side.update()
        disturbed = [side.parameters() for side in self.disturbed]
        sides = {"torch": self.torch_side.parameters()}
        if self.numpy_side:
            sides["numpy"] = self.numpy_side.parameters()
        for key, expected in self.truth.parameters().items():
            (allowed,) = self.movement([expected], [[parameters[key]] for parameters in disturbed])
            for name, parameters in sides.items():
                where = (f"step {step}", self.shown(key), name)
                yield compare(where, expected, parameters[key], allowed, self.dtype)
