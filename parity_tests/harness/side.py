"""One side of a comparison in training: runs a batch, makes an optimizer step, tells its parameters."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import DTypeLike
from torch import nn

from gdl_numpy import optim
from gdl_numpy.nn import Module
from gdl_numpy.tasks import as_arguments
from parity_tests.harness.disturber import Disturber
from parity_tests.harness.evaluate import (
    Evaluation,
    GradOutputs,
    as_dtype,
    dense,
    fixed_dropout,
    run_numpy,
    run_torch,
    to_numpy,
    twin,
)
from parity_tests.harness.rounding import gamma
from parity_tests.harness.trace import Recorder, Trace, record_torch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence, Set

    from parity_tests.harness.disturbance import Signs


UPDATE_OPERATIONS = 16  # roundings in the longest update of one weight, AdamW's


class TorchTask(nn.Module):
    """The torch twin of `gdl_numpy.tasks.Task`, from a batch's inputs and targets to the loss.

    A model of `gdl_torch` says itself what its loss is: by the function that Lightning's steps call.
    """

    def __init__(self, model: nn.Module, loss: nn.Module | None = None) -> None:
        super().__init__()
        self.has_own_loss = loss is None
        self.loss: nn.Module = model.loss if loss is None else loss  # type: ignore[assignment]
        self.model = model

    def forward(self, inputs: Any, targets: Any = None) -> Any:
        if self.has_own_loss:
            return self.model.compare(inputs, targets).loss  # type: ignore[operator]
        return self.loss(*as_arguments(self.model(*as_arguments(inputs))), *as_arguments(targets))


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
        params = [p for name, p in self.module.named_parameters() if name not in frozen]
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

    def parameters(self) -> dict[str, np.ndarray]:
        return {name: parameter.data for name, parameter in self.module.named_parameters()}


class TorchSide:
    """A copy of a torch model in one dtype on one device."""

    def __init__(
        self,
        module: nn.Module,
        weights: Module,
        dtype: DTypeLike,
        device: str,
        spec: OptimizerSpec,
        layers: Sequence[str],
    ) -> None:
        """`layers` are the names of the modules whose calls are kept."""
        self.module = twin(module, weights, dtype, device)
        self.dtype, self.device, self.layers = dtype, device, layers
        self.trace: Trace = {}
        params = [p for p in self.module.parameters() if p.requires_grad]
        self.optimizer: Any = getattr(torch.optim, spec.name)(params, **spec.arguments) if params else None

    def run(
        self,
        inputs: Sequence[Any],
        targets: Sequence[Any],
        grad_outputs: GradOutputs,
        kept: Mapping[str, Sequence[np.ndarray]],
    ) -> Evaluation:
        with fixed_dropout(self.module, kept), record_torch(self.module, self.layers) as self.trace:
            return run_torch(
                self.module,
                as_dtype(inputs, self.dtype),
                as_dtype(targets, self.dtype),
                lambda outputs: as_dtype(grad_outputs(outputs), self.dtype),
                self.device,
            )

    def update(self) -> None:
        for parameter in self.module.parameters():
            # As it comes, torch's SGD adds a row to the weight once for each time it was looked up: so many
            # roundings of the weight, where the bound on an update knows of one addition.
            if parameter.grad is not None and parameter.grad.is_sparse:
                parameter.grad = parameter.grad.coalesce()
        self.optimizer.step()

    def parameters(self) -> dict[str, np.ndarray]:
        return {name: to_numpy(parameter) for name, parameter in self.module.named_parameters()}
