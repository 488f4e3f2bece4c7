"""`check`: are these two modules the same function, forward, backward and in training?"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike
from torch import nn

from gdl_numpy.models.language_model import look_up_
from gdl_numpy.nn import Module
from gdl_numpy.tasks import Task, as_arguments
from parity_tests.harness.bounds import DRAWS, error_bound
from parity_tests.harness.disturbance import opposite_signs
from parity_tests.harness.evaluate import (
    Arrays,
    Evaluation,
    as_dtype,
    dropout_choices,
    fixed_dropout,
    flatten,
    is_floating,
    plain_arithmetic,
    run_numpy,
    run_torch,
    twin,
)
from parity_tests.harness.report import Comparison, ParityReport, compare, distance
from parity_tests.harness.rounding import comparison_roundoff, last_rounding
from parity_tests.harness.side import Disturbance, NumpySide, OptimizerSpec, TorchSide, TorchTask
from parity_tests.harness.trace import leaf_layers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence


def check(
    numpy_module: Module,
    torch_module: nn.Module,
    inputs: Any,
    targets: Any = None,
    loss: tuple[Module, nn.Module] | None = None,
    *,
    optimizer: str = "SGD",
    optimizer_args: Mapping[str, Any] | None = None,
    steps: int = 2,
    batches: Sequence[tuple[Any, Any]] = (),
    dtype: DTypeLike | None = None,
    device: str = "cpu",
    name: str | None = None,
    rng: np.random.Generator | int | None = 0,
    on_step: Callable[[int], None] | None = None,
) -> ParityReport:
    """Compares two modules on the same weights (the NumPy module's) and the same data.

    The truth is the NumPy module in float64, from weights and inputs rounded to `dtype`. Against it are
    held the torch module in `dtype` and, if that is float32, the NumPy module in float32:

    * every layer by itself, fed the same inputs and random output gradients: output, gradient of each input
      and of each parameter, element by element, within the layer's `error_bound`;
    * the whole model: every layer's output, the gradient that reaches every layer, the loss, all gradients,
      and in training the loss of each of `steps` optimizer steps and the parameters after it, within what
      those bounds explain: a float64 model in which every layer's results are off by their bounds, in random
      directions, is run several times, and may move no less.

    Neither module is changed.

    Args:
        numpy_module: a `gdl_numpy.nn.Module`, yours or ours, with `forward` and `backward`. Of a task,
            the model is compared as it is trained, by the task's own loss.
        torch_module: its twin, with the same state_dict keys, and for models the same names of layers. A task
            of `gdl_torch` is compared by the function that Lightning trains it by.
        inputs: one array, or a tuple of all arguments of `forward`.
        targets: what the loss (or the module, if it is itself a loss) takes besides; gets no gradient.
        loss: the two sides' loss; without one, random output gradients take its place.
        optimizer: a class of `torch.optim` and `gdl_numpy.optim`.
        optimizer_args: its arguments, by default `{"lr": 0.1}`.
        steps: optimizer steps.
        batches: (inputs, targets) of the steps after the first; used up, they begin again with the first.
        dtype: float32 or float64; by default that of the first floating input, else of the parameters.
        device: where torch computes.
        name: what to call it in the report.
        rng: for output gradients and disturbances.
        on_step: called after each step, and all that is compared in it, with its number from 1.

    Raises:
        ValueError: the modules do not have the same parameters or layers.
    """
    if dtype is None:
        arrays = [*map(np.asarray, flatten(inputs)), *numpy_module.state_dict().values()]
        dtype = next(a.dtype for a in arrays if is_floating(a))
    report = ParityReport(name or type(numpy_module).__name__, np.dtype(dtype).name, device)
    if loss is not None:
        numpy_module = Task(numpy_module, loss[0])
    if isinstance(numpy_module, Task):
        torch_module = TorchTask(torch_module, loss and loss[1])
    exact = [
        tuple(rounded(part if not isinstance(numpy_module, Task) else (part,), dtype) for part in batch)
        for batch in [(inputs, targets), *batches]
    ]
    with plain_arithmetic(torch_module), np.errstate(over="ignore", invalid="ignore"):
        checker = _Checker(
            numpy_module,
            torch_module,
            exact,
            np.dtype(dtype),
            device,
            OptimizerSpec(optimizer, optimizer_args or {"lr": 0.1}),
            np.random.default_rng(rng),
        )
        report.comparisons.extend(checker.comparisons(steps, on_step))
        report.first_nan = checker.first_nan
    return report


class _Checker:
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
        self.inputs, self.targets = batches[0]
        self.has_loss, self.first_nan = isinstance(numpy_module, Task), ""
        self.u = comparison_roundoff(dtype)
        self.original = copy.deepcopy(numpy_module).astype(dtype)
        look_up_(self.original)
        layers = leaf_layers(self.original)
        torch_layers = {name for name, _ in torch_module.named_modules()}
        if absent := [name for name in layers if name not in torch_layers]:
            raise ValueError(f"the torch module has no layer named {', '.join(map(repr, absent))}")
        self.torch_module = torch_module
        self.truth = NumpySide(self.original, np.float64, spec)
        self.torch_side = TorchSide(torch_module, self.original, dtype, device, spec, list(layers))
        self.numpy_side = None if dtype == np.float64 else NumpySide(self.original, dtype, spec)
        self.bounds: dict[str, Evaluation] = {}
        self.disturbed: list[NumpySide] = []
        if "" not in layers or any(self.original.parameters()):
            self.disturbed = [
                NumpySide(self.original, np.float64, spec, Disturbance(self.bounds, self.u, signs))
                for signs in opposite_signs(DRAWS, self.rng)
            ]
        self.probe: Arrays = []

    def comparisons(self, steps: int, on_step: Callable[[int], None] | None) -> Iterator[Comparison]:
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
            kept = dropout_choices(self.truth.module)
            sides = {"torch": self.torch_side.run(self.inputs, self.targets, self.grad_outputs, kept)}
            if self.numpy_side:
                sides["numpy"] = self.numpy_side.run(self.inputs, self.targets, self.grad_outputs)
            moved = [side.run(self.inputs, self.targets, self.grad_outputs) for side in self.disturbed]
            if step == 0 and "" not in self.truth.trace:
                yield from self.whole_model(truth, sides, moved)
            if steps:
                if self.has_loss:
                    yield from self.loss_of_step(step + 1, truth, sides, moved)
                yield from self.after_update(step + 1)
            if on_step:
                on_step(step + 1)

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

    def split(self, name: str, arguments: tuple[Any, ...]) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        """A layer's arguments that get a gradient, and those that do not: targets, which only a loss has."""
        inputs = len(arguments)
        if name == "":
            inputs -= len(self.targets)
        elif name == "loss":
            inputs = self.truth.trace[name].differentiated
        return arguments[:inputs], arguments[inputs:]

    def update_bounds(self) -> None:
        engine = twin(self.torch_module, self.truth.module, np.float64, "cpu")
        for name, call in self.truth.trace.items():
            inputs, targets = self.split(name, call.inputs)
            self.bounds[name] = error_bound(
                engine.get_submodule(name), inputs, targets, call.grad_outputs, self.u
            )

    def look_for_nan(self, step: int) -> None:
        """Notes where the first nan of all appears in the forward pass just run."""
        if self.first_nan:
            return
        places = [("the input", [a for a in flatten(self.inputs) if is_floating(a)])]
        places += [(_shown(name), call.outputs) for name, call in self.truth.trace.items()]
        where = next((place for place, arrays in places if any(np.isnan(a).any() for a in arrays)), "")
        self.first_nan = f"{where} in step {step}" if where and step > 1 else where

    def layer_by_layer(self) -> Iterator[Comparison]:
        """Every layer alone: forward, in the order of the forward pass, then backward in the opposite one."""
        backward = []
        for name in self.truth.trace:
            found = list(self.layer_alone(name))
            yield from (c for c in found if c.tensor == "output")
            backward.append([c for c in found if c.tensor != "output"])
        for found in reversed(backward):
            yield from found

    def layer_alone(self, name: str) -> Iterator[Comparison]:
        call = self.truth.trace[name]
        inputs, targets = (as_dtype(a, self.dtype) for a in self.split(name, call.inputs))
        inputs64, targets64 = as_dtype(inputs, np.float64), as_dtype(targets, np.float64)
        probe64 = self.random_like(call.outputs)
        probe = as_dtype(probe64, self.dtype)
        layer = leaf_layers(self.original)[name]

        exact = copy.deepcopy(layer).astype(np.float64).requires_input_grad_()
        truth = run_numpy(exact, inputs64, targets64, lambda _: probe64)
        engine = twin(self.torch_module.get_submodule(name), layer, np.float64, "cpu")
        bound = error_bound(engine, inputs64, targets64, probe64, self.u)
        torch_layer = twin(self.torch_module.get_submodule(name), layer, self.dtype, self.device)
        with fixed_dropout(torch_layer, dropout_choices(exact)):
            result = run_torch(torch_layer, inputs, targets, lambda _: list(probe), self.device)
        yield from _compare_all(_shown(name), "torch", truth, result, bound, self.dtype)
        if self.numpy_side:
            own = copy.deepcopy(layer).requires_input_grad_()
            result = run_numpy(own, inputs, targets, lambda _: list(probe))
            yield from _compare_all(_shown(name), "numpy", truth, result, bound, self.dtype)

    def whole_model(
        self, truth: Evaluation, sides: dict[str, Evaluation], moved: list[Evaluation]
    ) -> Iterator[Comparison]:
        """All layers together; a fault here and in no layer alone lies in how the model connects them."""
        traces = {"torch": self.torch_side.trace}
        if self.numpy_side:
            traces["numpy"] = self.numpy_side.trace
        names = list(self.truth.trace)
        for field, order in (("outputs", names), ("grad_outputs", names[::-1])):
            tensor = "output in the model" if field == "outputs" else "grad_output in the model"
            for name in order:
                expected = getattr(self.truth.trace[name], field)
                allowed = self.movement(
                    expected, [getattr(side.trace[name], field) for side in self.disturbed]
                )
                for side, trace in traces.items():
                    got = getattr(trace[name], field)
                    yield from _compare_lists(
                        (_shown(name), tensor, side), expected, got, allowed, self.dtype
                    )
        for side, result in sides.items():
            allowed = self.movement(truth.grad_inputs, [m.grad_inputs for m in moved])
            where = ("", "grad_input of the model", side)
            yield from _compare_lists(where, truth.grad_inputs, result.grad_inputs, allowed, self.dtype)
            for key, expected in truth.grad_params.items():
                (bound,) = self.movement([expected], [[m.grad_params[key]] for m in moved])
                where = (_shown(key.rpartition(".")[0]), f"grad {key.rpartition('.')[2]} in the model", side)
                yield compare(where, expected, result.grad_params.get(key), bound, self.dtype)

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
                where = (f"step {step}", _shown(key), name)
                yield compare(where, expected, parameters[key], allowed, self.dtype)


def rounded(arguments: Any, dtype: DTypeLike) -> tuple[Any, ...]:
    """Arguments as float64 holds them after they were rounded to `dtype`."""
    exact: tuple[Any, ...] = as_dtype(as_dtype(as_arguments(arguments), dtype), np.float64)
    return exact


def _shown(name: str) -> str:
    """The name of a layer or parameter as the user of `check` knows it, without our wrappers."""
    return ".".join(part for part in name.split(".") if part != "model")


def _compare_lists(
    where: tuple[str, str, str], expected: Arrays, actual: Arrays, bounds: Any, dtype: np.dtype
) -> Iterator[Comparison]:
    """`compare` for tensors that may be several: output 0, output 1, and so on."""
    layer, tensor, side = where
    kind, _, rest = tensor.partition(" ")
    for i, (truth, bound) in enumerate(zip(expected, bounds, strict=True)):
        numbered = tensor if len(expected) == 1 else f"{kind} {i} {rest}".rstrip()
        yield compare((layer, numbered, side), truth, actual[i] if i < len(actual) else None, bound, dtype)


def _compare_all(
    layer: str, side: str, truth: Evaluation, result: Evaluation, bound: Evaluation, dtype: np.dtype
) -> Iterator[Comparison]:
    """One layer alone. The bounds, which come from torch, say which tensors there must be, in what shape."""
    yield from _compare_lists((layer, "output", side), truth.outputs, result.outputs, bound.outputs, dtype)
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
