"""Runs in files: a trace is one safetensors file, which any tool for such files opens."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from gdl_numpy.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from gdl_numpy.messages import reason_of
from gdl_numpy.schema import fault
from parity_tests.harness.evaluate import Arrays, Evaluation, flatten, unflatten
from parity_tests.harness.run import Run
from parity_tests.harness.side import OPTIMIZERS, OptimizerSpec
from parity_tests.harness.steps import Labels, Step
from parity_tests.harness.trace import Call

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DTYPES = ("float32", "float64")
# What a trace's file says besides its arrays, in JSON's types.
SCHEMA = {
    "name": str,
    "dtype": Literal[DTYPES],
    "seed": int,
    "optimizer": Literal[OPTIMIZERS],
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
        CheckpointError: the file is missing, damaged, incomplete or no trace.
    """
    if not Path(path).exists():
        raise CheckpointError(f"{path}: there is no such file: give one that write_trace wrote")
    tensors, metadata = load_checkpoint(path)
    told = metadata.get("trace")
    if not isinstance(told, dict):
        raise CheckpointError(f"{path} is a checkpoint, and no trace: give a file that write_trace wrote")
    wrong = next((f"it has no {name}" for name in SCHEMA if name not in told), None) or fault(told, SCHEMA)
    if not wrong:
        try:
            run = run_of(Tree(tensors), told)
            wrong = what_is_wrong(run)
        except (LookupError, TypeError, ValueError, RuntimeError, StopIteration) as error:
            wrong = f"what it says and what it has do not fit: {reason_of(error)}"
    if wrong:
        raise CheckpointError(
            f"{path} was written by something else, or a newer version of this ({wrong}): give another file"
        )
    return run


@dataclass(frozen=True)
class Tree:
    """Arrays under names with slashes."""

    arrays: Mapping[str, np.ndarray]

    def all_of(self, place: str) -> dict[str, np.ndarray]:
        """Those in a place, by the rest of their names."""
        start = f"{place}/"
        return {name[len(start) :]: array for name, array in self.arrays.items() if name.startswith(start)}

    def in_order(self, place: str) -> Arrays:
        """Those in a place that have a number there."""
        numbered = {int(rest): array for rest, array in self.all_of(place).items() if rest.isdigit()}
        return [numbered[i] for i in range(len(numbered))]

    def step(self, place: str, calls: Sequence[Sequence[str]]) -> Step:
        trace = {
            key: Call(
                name,
                outputs=self.in_order(f"{place}/output/{key}"),
                grad_outputs=self.in_order(f"{place}/grad_output/{key}"),
            )
            for key, name in calls
        }
        result = Evaluation(
            self.in_order(f"{place}/result"),
            self.in_order(f"{place}/grad_input"),
            self.all_of(f"{place}/grad"),
        )
        return Step(trace, result, self.all_of(f"{place}/parameter"))

    def kept(self, number: int) -> dict[str, Arrays]:
        """What dropout layers kept in a step."""
        names = {name.rpartition("/")[0] for name in self.all_of(f"kept/{number}")}
        return {name: self.in_order(f"kept/{number}/{name}") for name in names}


def run_of(tree: Tree, told: Mapping[str, Any]) -> Run:
    """What a file's arrays and its metadata, which has all names of `SCHEMA`, say of a run."""
    numbered = list(enumerate(told["batches"]))
    calls = told["calls"]
    return Run(
        **{name: told[name] for name in ("name", "dtype", "seed", "updates", "training", "frozen")},
        spec=OptimizerSpec(told["optimizer"], told["optimizer_args"]),
        labels=Labels(told["names"], told["has_loss"]),
        batches=[
            (
                unflatten(as_tuples(inputs), iter(tree.in_order(f"inputs/{number}"))),
                unflatten(as_tuples(targets), iter(tree.in_order(f"targets/{number}"))),
            )
            for number, (inputs, targets) in numbered
        ],
        start=tree.all_of("start"),
        probes=[tree.in_order(f"probe/{number}") for number, _ in numbered],
        kept=[tree.kept(number) for number, _ in numbered],
        steps=[tree.step(f"value/{number}", calls[number]) for number, _ in numbered],
        bounds=[tree.step(f"bound/{number}", calls[number]) for number, _ in numbered if told["has_bounds"]],
    )


def what_is_wrong(run: Run) -> str | None:
    """Why nothing can be held against a run; None where all is there that should be."""
    for number, step in enumerate(run.steps):
        if run.labels.root not in step.trace:
            return f"step {number + 1} has no call of the model"
        if run.updates and step.parameters.keys() != run.start.keys():
            return f"step {number + 1} has other parameters than the start"
        if step.result.grad_params.keys() != run.start.keys() - set(run.frozen):
            return f"step {number + 1} has gradients of other parameters than are trained"
        if len(run.probes[number]) != len(step.result.outputs) or not step.result.outputs:
            return f"step {number + 1} has another number of outputs than of their gradients"
    for step, bound in zip(run.steps, run.bounds, strict=bool(run.bounds)):
        values, allowed = all_arrays(step), all_arrays(bound)
        if values.keys() != allowed.keys():
            return "it has bounds of other numbers than it has"
        for name, limit in allowed.items():
            if limit.shape not in ((), values[name].shape) or (limit < 0).any():
                return f"its bound of {name} is none"
    return None


def all_arrays(step: Step) -> dict[str, np.ndarray]:
    """Everything in a step, by name."""
    lists = {"result": step.result.outputs, "grad_input": step.result.grad_inputs}
    lists |= {f"output of {key}": call.outputs for key, call in step.trace.items()}
    lists |= {f"grad_output of {key}": call.grad_outputs for key, call in step.trace.items()}
    found = {f"{name} {i}": array for name, arrays in lists.items() for i, array in enumerate(arrays)}
    found |= {f"grad {name}": grad for name, grad in step.result.grad_params.items()}
    return found | {f"parameter {name}": array for name, array in step.parameters.items()}


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
