"""A run that is written down on one machine, and held against what a module does on another.

A trace is a file of all that a short training does: inputs, what dropout kept, what every call of a module
gave and the gradient that reached it, all gradients and losses, and the parameters after each step. A trace
of a torch module has the truth in float64 and the bound of each number besides, and any module can be held
against it, also where there is no torch. A trace of a NumPy module, which can be written where there is no
torch, is held against a torch module, which then says what the bounds are.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from gdl_numpy.nn import Module
from gdl_numpy.tasks import Task
from parity_tests.harness.evaluate import exact_batches
from parity_tests.harness.report import ParityReport
from parity_tests.harness.rounding import precision_of
from parity_tests.harness.run import Run, replay_
from parity_tests.harness.side import OPTIMIZERS, NumpySide, OptimizerSpec
from parity_tests.harness.steps import Standard, Step
from parity_tests.harness.trace import kept_of
from parity_tests.harness.trace_file import DTYPES, load, save

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from torch import nn


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
    dtype = precision_of(dtype).name
    if dtype not in DTYPES:
        raise ValueError(f"write_trace expects dtype {' or '.join(DTYPES)}, got {dtype}")
    if optimizer not in OPTIMIZERS:
        raise ValueError(f"optimizer is expected to be {', '.join(OPTIMIZERS)}, got {optimizer!r}")
    spec = OptimizerSpec(optimizer, dict(optimizer_args or {"lr": 0.1}))
    is_task = loss is not None or isinstance(module, Task)
    exact = exact_batches([(inputs, targets), *batches], is_task, dtype)
    # Where nothing is trained, there is one step.
    trained = [p for p in module.parameters() if getattr(p, "requires_grad", True)]
    steps = steps if trained else 0
    exact = [exact[i % len(exact)] for i in range(max(steps, 1))]
    if isinstance(module, Module):
        own = as_task(module, loss)
        save(
            path, recorded(Run.beginning(type(module).__name__, own, exact, steps > 0, spec, dtype, rng), own)
        )
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
