"""Traces of torch modules, which have the truth and its bounds; and torch modules held against traces."""

from __future__ import annotations

import copy
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import nn

from parity_tests.harness.checker import Checker
from parity_tests.harness.evaluate_torch import plain_arithmetic
from parity_tests.harness.from_torch import from_torch, loss_from_torch
from parity_tests.harness.report import ParityReport
from parity_tests.harness.rounding import precision_of
from parity_tests.harness.run import Run, replay_
from parity_tests.harness.side import OptimizerSpec
from parity_tests.harness.steps import Standard, Step
from parity_tests.harness.torch_side import TorchSide, TorchTask
from parity_tests.harness.trace import kept_of
from parity_tests.harness.traces import as_task, held

if TYPE_CHECKING:
    from collections.abc import Iterator


def recorded_with_bounds(
    module: nn.Module,
    loss: Any,
    batches: list[Any],
    updates: bool,
    spec: OptimizerSpec,
    dtype: str,
    seed: int,
) -> Run:
    """What a torch module does in float64, and how far off each number may be in `dtype`."""
    own, theirs = sides_of(module, loss)
    run = Run.beginning(type(module).__name__, own, batches, updates, spec, dtype, seed)
    run.frozen += [name for name, p in theirs.named_parameters() if not p.requires_grad]

    def note(number: int, standard: Standard) -> None:
        truth, allowed = standard.truth, standard.allowed
        truth.parameters = {name: array.copy() for name, array in truth.parameters.items()}
        run.probes.append(checker.probe)
        run.kept.append(kept_of(truth.trace))
        run.steps.append(run.to_be_written(number - 1, truth))
        run.bounds.append(allowed)

    with arithmetic(theirs):
        checker = Checker(
            own, theirs, batches, precision_of(dtype), "cpu", spec, np.random.default_rng(seed), []
        )
        for found in checker.comparisons(len(batches) if updates else 0, None, note):
            if not found.ok:
                raise ValueError(f"the module does not do twice the same: {found}")
    return run


def check_torch(run: Run, module: nn.Module, loss: Any, device: str) -> ParityReport:
    """A torch module held against a run; or a run that has no bounds held against a torch module.

    Raises:
        ValueError: the module has other parameters.
    """
    own, theirs = sides_of(module, loss)
    try:
        own.train(run.training).load_state_dict(run.start)
    except RuntimeError as error:
        raise ValueError(str(error)) from error
    with arithmetic(theirs):
        if run.bounds:
            return held(run, torch_steps(run, own, theirs, device), "torch", device)
        masks: dict[str, list[np.ndarray]] = {}
        for kept in run.kept:
            for name, each in kept.items():
                masks.setdefault(name, []).extend(each)
        replay_(own, masks)
        report = ParityReport(run.name, run.dtype, device)

        def hold(number: int, standard: Standard) -> None:
            sides = {"trace": run.steps[number - 1]}
            if number == 1:
                report.comparisons.extend(standard.whole_model(sides))
            report.comparisons.extend(standard.of_step(number, sides))

        precision, rng = precision_of(run.dtype), np.random.default_rng(run.seed)
        checker = Checker(own, theirs, run.batches, precision, device, run.spec, rng, run.probes)
        for _ in checker.comparisons(len(run.batches) if run.updates else 0, None, hold):
            pass
        return report


def torch_steps(run: Run, weights: Any, module: nn.Module, device: str) -> list[Step]:
    """What a torch module does with a run's data, from its weights on."""
    known = dict(module.named_modules(remove_duplicate=False))
    names = [name for name in run.labels.names if name in known]
    side = TorchSide(module, weights, run.dtype, device, run.spec, names)
    rng, steps = np.random.default_rng(run.seed), []
    for number, (inputs, targets) in enumerate(run.batches):
        result = side.run(inputs, targets, run.grad_outputs(number, rng), run.kept[number])
        step = Step(dict(side.trace), result)
        if run.updates and side.optimizer:
            side.update()
            step.parameters = side.parameters()
        steps.append(step)
    return steps


@contextmanager
def arithmetic(module: nn.Module) -> Iterator[None]:
    with plain_arithmetic(module), np.errstate(over="ignore", invalid="ignore"):
        yield


def sides_of(module: nn.Module, loss: Any) -> tuple[Any, nn.Module]:
    """A torch module, or its task, in the place of a NumPy one; and itself."""
    own = as_task(from_torch(copy.deepcopy(module).cpu()), None if loss is None else loss_from_torch(loss))
    return own, module if loss is None else TorchTask(module, loss)
