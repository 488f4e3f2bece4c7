"""The torch side of a comparison in training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from numpy.typing import DTypeLike
from torch import nn

from gdl_numpy.nn import Module
from gdl_numpy.tasks import as_arguments
from parity_tests.harness.evaluate import Evaluation, GradOutputs, as_dtype
from parity_tests.harness.evaluate_torch import (
    TORCH_DTYPES,
    fixed_dropout,
    load_parameters_,
    run_torch,
    to_numpy,
    twin,
)
from parity_tests.harness.rounding import Precision, precision_of
from parity_tests.harness.side import NumpySide, OptimizerSpec
from parity_tests.harness.torch_trace import record_torch
from parity_tests.harness.trace import Trace

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np


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


class TorchSide:
    """A copy of a torch model in one dtype on one device."""

    def __init__(
        self,
        module: nn.Module,
        weights: Module,
        dtype: DTypeLike | Precision,
        device: str,
        spec: OptimizerSpec,
        layers: Sequence[str],
    ) -> None:
        """`layers` are the names of the modules whose calls are kept."""
        self.module = twin(module, weights, dtype, device)
        self.precision, self.device, self.layers = precision_of(dtype), device, layers
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
                as_dtype(inputs, self.precision),
                as_dtype(targets, self.precision),
                lambda outputs: as_dtype(grad_outputs(outputs), self.precision),
                self.device,
                TORCH_DTYPES[self.precision.name],
            )

    def update(self) -> None:
        for parameter in self.module.parameters():
            # As it comes, torch's SGD adds a row to the weight once for each time it was looked up: so many
            # roundings of the weight, where the bound on an update knows of one addition.
            if parameter.grad is not None and parameter.grad.is_sparse:
                parameter.grad = parameter.grad.coalesce()
        self.optimizer.step()

    def start_from(self, other: NumpySide) -> None:
        """Takes over the parameters of a NumPy side, and what its optimizer remembers of the steps so far."""
        load_parameters_(self.module, other.module.state_dict())
        own = dict(self.module.named_parameters(remove_duplicate=False))
        for name, state in zip(other.trained, other.optimizer.state, strict=True):
            held = self.optimizer.state[own[name]]
            for key in state.keys() & held.keys():  # torch holds none before a parameter's first gradient
                held[key].copy_(torch.from_numpy(state[key]))

    def parameters(self) -> dict[str, np.ndarray]:
        named = self.module.named_parameters(remove_duplicate=False)  # tied ones perhaps in another order
        return {name: to_numpy(parameter) for name, parameter in named}
