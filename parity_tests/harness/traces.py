"""A run that is written down on one machine, and held against what a module does on another.

A trace is a file of all that a short training does: inputs, what dropout kept, what every call of a module
gave and the gradient that reached it, all gradients and losses, and the parameters after each step. A trace
of a torch module has the truth in float64 and the bound of each number besides, and any module can be held
against it, also where there is no torch. A trace of a NumPy module, which can be written where there is no
torch, is held against a torch module, which then says what the bounds are.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from gdl_numpy.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from gdl_numpy.nn import Dropout, Module
from gdl_numpy.schema import fault
from gdl_numpy.tasks import Task
from parity_tests.harness.evaluate import Arrays, Evaluation, GradOutputs, exact_batches, flatten, unflatten
from parity_tests.harness.report import ParityReport
from parity_tests.harness.side import NumpySide, OptimizerSpec
from parity_tests.harness.steps import Labels, Standard, Step
from parity_tests.harness.trace import Call, kept_of
from parity_tests.harness.watch import names_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import DTypeLike
    from torch import nn

DTYPES = ("float32", "float64")
# What a trace's file says besides its arrays, in JSON's types.
SCHEMA = {
    "name": str,
    "dtype": Literal[DTYPES],
    "seed": int,
    "optimizer": str,
    "optimizer_args": dict[str, Any],
    "updates": bool,
    "training": bool,
    "names": dict[str, list[str]],
    "has_loss": bool,
    "frozen": list[str],
    "batches": list[list[Any]],
    "calls": list[list[list[str]]],
    "has_bounds": bool,
}


@dataclass
class Run:
    """A short training, from its beginning.

    Attributes:
        name: of the model.
        dtype: in which it ran; the dtype of what is held against it.
        seed: what the output gradients were drawn from.
        spec: the optimizer.
        labels: what modules are called.
        updates: whether the optimizer made a step after each batch.
        training: whether the model was in training mode.
        frozen: parameters that are not trained.
        batches: inputs and targets of each step, each a tuple of arguments, in float64.
        probes: the gradients of the outputs in each step.
        start: the parameters before the first.
        kept: for each step, what each dropout layer kept in each of its calls.
        steps: what it did; after the first step, of the calls only the model's own.
        bounds: how far off each number may be, where `steps` are the truth; else none.
    """

    name: str
    dtype: str
    seed: int
    spec: OptimizerSpec
    labels: Labels
    updates: bool
    training: bool
    frozen: list[str]
    batches: list[tuple[Any, Any]]
    start: dict[str, np.ndarray]
    probes: list[Arrays] = field(default_factory=list)
    kept: list[dict[str, list[np.ndarray]]] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    bounds: list[Step] = field(default_factory=list)

    @classmethod
    def beginning(
        cls, model: Module, batches: list[Any], updates: bool, spec: OptimizerSpec, dtype: str, seed: int
    ) -> Run:
        """The run of a model, or of a task, that has not done anything yet."""
        return cls(
            name=type(model.model if isinstance(model, Task) else model).__name__,
            dtype=dtype,
            seed=seed,
            spec=spec,
            labels=Labels(names_of(model), isinstance(model, Task)),
            updates=updates,
            training=model.training,
            frozen=[],
            batches=batches,
            start={name: array.astype(dtype) for name, array in model.state_dict().items()},
        )

    def grad_outputs(self, number: int, rng: np.random.Generator) -> GradOutputs:
        """The gradients of the outputs in a step; drawn, where they are not known yet: 1 for a loss."""

        def known(outputs: Arrays) -> Arrays:
            if number == len(self.probes):
                drawn = [
                    np.ones(np.shape(y)) if self.labels.has_loss else rng.standard_normal(np.shape(y))
                    for y in outputs
                ]
                self.probes.append([np.asarray(grad).astype(self.dtype).astype(np.float64) for grad in drawn])
            return self.probes[number]

        return known

    def to_be_written(self, number: int, step: Step) -> Step:
        """Of a step after the first, of the calls only the model's own."""
        root = self.labels.root
        return (
            step
            if number == 0
            else replace(step, trace={root: step.trace[root]} if root in step.trace else {})
        )


class Replay:
    """In the place of a dropout layer's generator: says what the layer keeps, one call after the other."""

    def __init__(self, kept: Sequence[np.ndarray]) -> None:
        self.kept, self.next = kept, 0

    def random(self, shape: tuple[int, ...], dtype: DTypeLike) -> np.ndarray:
        """Numbers at least p, which is at most 1, where it keeps, and below 0 where not."""
        kept = self.kept[self.next] if self.next < len(self.kept) else np.ones(shape)
        self.next += 1
        return np.where(kept, 1, -1).astype(dtype)


def replay_(model: Module, kept: Mapping[str, Sequence[np.ndarray]]) -> None:
    """Makes the dropout layers of a model keep what they are told to."""
    for name, layer in model.named_modules():
        if isinstance(layer, Dropout):
            layer.rng = Replay(kept.get(name, []))  # type: ignore[assignment]


def write_trace(
    path: str | Path,
    module: Module | nn.Module,
    inputs: Any,
    targets: Any = None,
    loss: Module | nn.Module | None = None,
    *,
    optimizer: str = "SGD",
    optimizer_args: Mapping[str, Any] | None = None,
    steps: int = 2,
    batches: Sequence[tuple[Any, Any]] = (),
    dtype: str = "float32",
    rng: int = 0,
) -> None:
    """Runs a module, and writes down all that it does.

    Args:
        path: of the file, by custom with the suffix .safetensors.
        module: of `gdl_numpy.nn`; or of torch, then the file has the truth and its bounds.
        inputs: as for `check`, as the others that are not explained here.
        targets: what the loss takes besides.
        loss: of this side; without one, random output gradients take its place.
        optimizer: a class of `gdl_numpy.optim` and `torch.optim`.
        optimizer_args: its arguments, by default `{"lr": 0.1}`.
        steps: optimizer steps.
        batches: (inputs, targets) of the steps after the first.
        dtype: float32 or float64: in which this side runs, and whatever is held against it.
        rng: a seed, for the output gradients.

    Raises:
        ValueError: another dtype; a torch module draws at random, and not by a dropout layer.
        OSError: the file cannot be written.
    """
    if dtype not in DTYPES:
        raise ValueError(f"write_trace expects dtype {' or '.join(DTYPES)}, got {dtype}")
    spec = OptimizerSpec(optimizer, dict(optimizer_args or {"lr": 0.1}))
    is_task = loss is not None or isinstance(module, Task)
    exact = exact_batches([(inputs, targets), *batches], is_task, dtype)
    steps = steps if any(True for _ in module.parameters()) else 0
    exact = [exact[i % len(exact)] for i in range(max(steps, 1))]
    if isinstance(module, Module):
        own = as_task(module, loss)
        save(path, recorded(Run.beginning(own, exact, steps > 0, spec, dtype, rng), own))
        return
    from parity_tests.harness.torch_traces import recorded_with_bounds  # here: there may be no torch

    save(path, recorded_with_bounds(module, loss, exact, steps > 0, spec, dtype, rng))


def check_trace(
    path: str | Path,
    module: Module | nn.Module,
    loss: Module | nn.Module | None = None,
    *,
    device: str = "cpu",
) -> ParityReport:
    """Gives a module the weights and the data of a trace, and holds what it does against what is written.

    Args:
        path: of a file that `write_trace` wrote.
        module: of `gdl_numpy.nn` or of torch, with the same names of parameters and layers; not changed.
        loss: its loss, where the trace was written with one.
        device: where torch computes.

    Raises:
        ValueError: the file is no trace, or has no bounds and the module is none of torch's; another number
            of losses; the module has other parameters.
    """
    run = load(path)
    is_task = loss is not None or isinstance(module, Task)
    if is_task != run.labels.has_loss:
        raise ValueError(f"{path} was written {'with a' if run.labels.has_loss else 'without a'} loss")
    if isinstance(module, Module):
        if not run.bounds:
            raise ValueError(
                f"{path} has no bounds, since a NumPy module wrote it: check a torch module with it"
            )
        return held(run, numpy_steps(run, as_task(module, loss)), "numpy")
    from parity_tests.harness.torch_traces import check_torch  # here: there may be no torch

    return check_torch(run, module, loss, device)


def as_task(module: Module, loss: Any) -> Module:
    return module if loss is None else Task(module, loss)


def numpy_steps(run: Run, module: Module) -> list[Step]:
    """What a NumPy module does with a run's data, from its weights on.

    Raises:
        ValueError: it has other parameters.
    """
    model = copy.deepcopy(module).astype(run.dtype).train(run.training)
    try:
        model.load_state_dict(run.start)
    except RuntimeError as error:
        raise ValueError(str(error)) from error
    side = NumpySide(model, run.dtype, run.spec, set(run.frozen))
    rng, steps = np.random.default_rng(run.seed), []
    for number, (inputs, targets) in enumerate(run.batches):
        if run.kept:
            replay_(side.module, run.kept[number])
        step = Step({}, side.run(inputs, targets, run.grad_outputs(number, rng)))
        step.trace = dict(side.trace)
        if run.updates and side.optimizer:
            side.update()
            step.parameters = {name: array.copy() for name, array in side.parameters().items()}
        steps.append(step)
    return steps


def recorded(run: Run, module: Module) -> Run:
    """The run with what a NumPy module does in it."""
    steps = numpy_steps(run, module)
    return replace(
        run,
        kept=[kept_of(step.trace) for step in steps],
        steps=[run.to_be_written(number, step) for number, step in enumerate(steps)],
    )


def held(run: Run, steps: Sequence[Step], side: str, device: str = "cpu") -> ParityReport:
    """What a side did against a run that has bounds."""
    report = ParityReport(run.name, run.dtype, device)
    pairs = zip(run.steps, run.bounds, steps, strict=True)
    for number, (truth, allowed, step) in enumerate(pairs):
        standard = Standard(truth, allowed, run.labels, set(run.frozen), np.dtype(run.dtype))
        if number == 0:
            report.comparisons += standard.whole_model({side: step})
        report.comparisons += standard.of_step(number + 1, {side: step})
    return report


def save(path: str | Path, run: Run) -> None:
    """Writes a run to a file, in one step."""
    tensors = {f"start/{name}": array for name, array in run.start.items()}
    groups: dict[str, Sequence[Any]] = {}
    for number, masks in enumerate(run.kept):
        groups |= {f"kept/{number}/{name}": kept for name, kept in masks.items()}
    for number, (inputs, targets) in enumerate(run.batches):
        groups |= {f"inputs/{number}": flatten(inputs), f"targets/{number}": flatten(targets)}
        groups[f"probe/{number}"] = run.probes[number]
    for kind, steps in (("value", run.steps), ("bound", run.bounds)):
        for number, step in enumerate(steps):
            place = f"{kind}/{number}"
            groups |= {f"{place}/output/{key}": call.outputs for key, call in step.trace.items()}
            groups |= {f"{place}/grad_output/{key}": call.grad_outputs for key, call in step.trace.items()}
            groups |= {f"{place}/result": step.result.outputs, f"{place}/grad_input": step.result.grad_inputs}
            tensors |= {f"{place}/grad/{name}": grad for name, grad in step.result.grad_params.items()}
            tensors |= {f"{place}/parameter/{name}": array for name, array in step.parameters.items()}
    tensors |= {
        f"{name}/{i}": np.asarray(leaf) for name, leaves in groups.items() for i, leaf in enumerate(leaves)
    }
    told = {
        "name": run.name,
        "dtype": run.dtype,
        "seed": run.seed,
        "optimizer": run.spec.name,
        "optimizer_args": run.spec.arguments,
        "updates": run.updates,
        "training": run.training,
        "names": run.labels.names,
        "has_loss": run.labels.has_loss,
        "frozen": run.frozen,
        "batches": [[shape_of(inputs), shape_of(targets)] for inputs, targets in run.batches],
        "calls": [[[key, call.name] for key, call in step.trace.items()] for step in run.steps],
        "has_bounds": bool(run.bounds),
    }
    save_checkpoint(path, tensors, {"trace": told})


def load(path: str | Path) -> Run:
    """Reads what `save` wrote.

    Raises:
        CheckpointError: the file is missing, damaged or no trace.
    """
    tensors, metadata = load_checkpoint(path)
    told = metadata.get("trace")
    if not isinstance(told, dict):
        raise CheckpointError(f"{path} is a checkpoint, and no trace: give a file that write_trace wrote")
    wrong = next((f"it has no {name}" for name in SCHEMA if name not in told), None) or fault(told, SCHEMA)
    if wrong:
        raise CheckpointError(f"{path} was written by a newer version of this ({wrong}): give another file")

    def all_of(place: str) -> dict[str, np.ndarray]:
        return {
            name.removeprefix(f"{place}/"): a for name, a in tensors.items() if name.startswith(f"{place}/")
        }

    def in_order(place: str) -> Arrays:
        numbered = {int(rest): a for rest, a in all_of(place).items() if rest.isdigit()}
        return [numbered[i] for i in sorted(numbered)]

    def step(kind: str, number: int) -> Step:
        place = f"{kind}/{number}"
        trace = {
            key: Call(
                name,
                outputs=in_order(f"{place}/output/{key}"),
                grad_outputs=in_order(f"{place}/grad_output/{key}"),
            )
            for key, name in told["calls"][number]
        }
        result = Evaluation(
            in_order(f"{place}/result"), in_order(f"{place}/grad_input"), all_of(f"{place}/grad")
        )
        return Step(trace, result, all_of(f"{place}/parameter"))

    def kept(number: int) -> dict[str, Arrays]:
        names = {name.rpartition("/")[0] for name in all_of(f"kept/{number}")}
        return {name: in_order(f"kept/{number}/{name}") for name in names}

    numbers = range(len(told["batches"]))
    return Run(
        **{name: told[name] for name in ("name", "dtype", "seed", "updates", "training", "frozen")},
        spec=OptimizerSpec(told["optimizer"], told["optimizer_args"]),
        labels=Labels(told["names"], told["has_loss"]),
        batches=[
            (
                unflatten(as_tuples(inputs), iter(in_order(f"inputs/{number}"))),
                unflatten(as_tuples(targets), iter(in_order(f"targets/{number}"))),
            )
            for number, (inputs, targets) in enumerate(told["batches"])
        ],
        start=all_of("start"),
        probes=[in_order(f"probe/{number}") for number in numbers],
        kept=[kept(number) for number in numbers],
        steps=[step("value", number) for number in numbers],
        bounds=[step("bound", number) for number in numbers] if told["has_bounds"] else [],
    )


def shape_of(value: Any) -> Any:
    """How arrays are nested, in JSON: 0 for each."""
    if isinstance(value, dict):
        return {key: shape_of(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [shape_of(item) for item in value]
    return value if value is None or isinstance(value, bool | str) else 0


def as_tuples(shape: Any) -> Any:
    """The same with tuples, which JSON does not know."""
    if isinstance(shape, dict):
        return {key: as_tuples(item) for key, item in shape.items()}
    return tuple(as_tuples(item) for item in shape) if isinstance(shape, list) else shape
