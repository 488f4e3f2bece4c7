"""One side of a comparison in training: runs a batch, makes an optimizer step, tells its parameters."""

from __future__ import annotations

import copy
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike

from gdl_numpy import optim
from gdl_numpy.nn import Module
from parity_tests.harness.disturber import Disturber, Operations
from parity_tests.harness.evaluate import Evaluation, GradOutputs, as_dtype, dense, run_numpy
from parity_tests.harness.rounding import Precision, gamma
from parity_tests.harness.trace import Recorder, Trace

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence, Set

    from parity_tests.harness.disturbance import Signs


OPTIMIZERS = ("SGD", "Adam", "AdamW")  # of `gdl_numpy.optim` and `torch.optim`
UPDATE_OPERATIONS = 16  # roundings in the longest update of one weight, AdamW's


@dataclass(frozen=True)
class OptimizerSpec:
    """A class that `torch.optim` and `gdl_numpy.optim` both have, and its arguments."""

    name: str
    arguments: Mapping[str, Any]


@dataclass
class Disturbance:
    """What throws a float64 model off as rounding would; see `Disturber`."""

    bounds: dict[str, Evaluation]
    computing: set[str]
    u: float
    signs: Signs
    operations: Operations = nullcontext

    def relative(self, array: np.ndarray) -> np.ndarray:
        """Each number times 1 ± γ: what the roundings of one optimizer update amount to."""
        return np.asarray(array * (1 + gamma(UPDATE_OPERATIONS, self.u) * self.signs(array)))


class NumpySide:
    """A copy of a NumPy model in one dtype; in float64 and undisturbed, it is the truth."""

    def __init__(
        self,
        module: Module,
        dtype: DTypeLike,
        spec: OptimizerSpec,
        frozen: Set[str] = frozenset(),
        disturbance: Disturbance | None = None,
    ) -> None:
        """`frozen` are the names of parameters that are not trained."""
        self.module = copy.deepcopy(module).astype(dtype).requires_input_grad_()
        self.dtype, self.disturbance = dtype, disturbance
        if disturbance:
            Disturber(self.module, **vars(disturbance))
        self.trace: Trace = Recorder(self.module).trace
        self.trained = {name: p for name, p in self.module.named_parameters() if name not in frozen}
        params = list(self.trained.values())
        self.optimizer: Any = getattr(optim, spec.name)(params, **spec.arguments) if params else None

    def run(self, inputs: Sequence[Any], targets: Sequence[Any], grad_outputs: GradOutputs) -> Evaluation:
        return run_numpy(
            self.module,
            as_dtype(inputs, self.dtype),
            as_dtype(targets, self.dtype),
            lambda outputs: as_dtype(grad_outputs(outputs), self.dtype),
        )

    def update(self) -> None:
        """One optimizer step. Disturbing what goes in and what comes out covers every rounding in it."""
        if self.disturbance is None:
            self.optimizer.step()
            return
        for parameter, state in zip(self.optimizer.params, self.optimizer.state, strict=True):
            if parameter.grad is not None:
                parameter.grad = self.disturbance.relative(dense(parameter.grad))
            for buffer in state.values():
                buffer[...] = self.disturbance.relative(buffer)
        before = [parameter.data.copy() for parameter in self.optimizer.params]
        self.optimizer.step()
        for parameter, old in zip(self.optimizer.params, before, strict=True):
            step = parameter.data - old
            parameter.data[...] = self.disturbance.relative(old) + self.disturbance.relative(step)

    def start_from(self, other: NumpySide) -> None:
        """Takes over another's parameters, and what its optimizer remembers of the steps so far."""
        self.module.load_state_dict(other.module.state_dict())
        self.optimizer.load_state_dict(other.optimizer.state_dict())

    def round(self, precision: Precision) -> None:
        """Rounds parameters, and what the optimizer remembers, to numbers that every side can start from."""
        for parameter, state in zip(self.optimizer.params, self.optimizer.state, strict=True):
            for array in (parameter.data, *state.values()):
                array[...] = precision.round(array)

    def parameters(self) -> dict[str, np.ndarray]:
        return {name: parameter.data for name, parameter in self.module.named_parameters()}
