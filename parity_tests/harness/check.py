"""`check`: are these two modules the same function, forward, backward and in training?"""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike
from torch import nn

from gdl_numpy.messages import kind_of
from gdl_numpy.nn import Module
from gdl_numpy.tasks import Task
from parity_tests.harness.checker import Checker
from parity_tests.harness.evaluate import exact_batches, flatten, is_floating
from parity_tests.harness.evaluate_torch import plain_arithmetic
from parity_tests.harness.from_torch import from_torch, loss_from_torch
from parity_tests.harness.matching import Names, renamed
from parity_tests.harness.report import ParityReport
from parity_tests.harness.rounding import precision_of
from parity_tests.harness.side import OPTIMIZERS, OptimizerSpec
from parity_tests.harness.torch_side import TorchTask

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


def check(
    numpy_module: Module | nn.Module,
    torch_module: nn.Module,
    inputs: Any,
    targets: Any = None,
    loss: tuple[Module | nn.Module, nn.Module] | None = None,
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
    names: Names | None = None,
) -> ParityReport:
    """Compares two modules on the same weights (the NumPy module's) and the same data.

    The truth is the NumPy module in float64, from weights and inputs rounded to `dtype`. Against it are
    held the torch module in `dtype` and, if that is float32, the NumPy module in float32:

    * every call of every layer by itself, fed the same inputs and random output gradients: output, gradient
      of each input and of each parameter, element by element, within the layer's `error_bound`; that
      gradients add up over two backward passes and over two forward ones; and half of the batch;
    * the whole model: what every layer and every module with layers inside gives, the gradient that reaches
      it, the loss, all gradients, and in training the outputs and the loss of each of `steps` optimizer steps
      and the parameters after it, within what those bounds explain: a float64 model in which every layer's
      results are off by their bounds, in random directions, is run several times, and may move no less. So
      are the numbers that a module computes itself with what its layers give. Where that has moved the
      weights far, as in a chaotic training it soon does, all go on from the truth's weights and momenta.
      Where numbers have grown so large that their squares leave the dtype's range, inf and nan of a side are
      no difference, and that step is the last one;
    * of a module in training mode, the same in eval mode; and in a float32 check torch's layers, and modules
      that compute something themselves, in float64 too, where no wide bound hides anything.

    Neither module is changed.

    Args:
        numpy_module: a `gdl_numpy.nn.Module`, yours or ours, with `forward` and `backward`. Of a task,
            the model is compared as it is trained, by the task's own loss. Or a torch module as well: then
            autograd's gradients are what its backward passes give, and the sides are "first" and "second".
        torch_module: its twin, with the same state_dict keys, and for models the same names of layers, unless
            `names` are given. A task
            of `gdl_torch` is compared by the function that Lightning trains it by.
        inputs: one array, or a tuple of all arguments of `forward`.
        targets: what the loss (or the module, if it is itself a loss) takes besides; gets no gradient.
        loss: the two sides' loss; without one, random output gradients take its place.
        optimizer: a class of `torch.optim` and `gdl_numpy.optim`.
        optimizer_args: its arguments, by default `{"lr": 0.1}`.
        steps: optimizer steps.
        batches: (inputs, targets) of the steps after the first; used up, they begin again with the first.
        dtype: float32 or float64; by default that of the first floating input, else of the parameters, else
            float32. Or what torch alone computes in: "bfloat16", and "tf32", float32 with products in CUDA's
            TF32.
        device: where torch computes.
        name: what to call it in the report.
        rng: for output gradients and disturbances.
        names: what parts of the NumPy module are called in torch, where that is something else: the names of
            modules, which goes for all that is inside, and of parameters, `{"encoder.fc": "layers.0"}`;
            None for a layer that has no counterpart there, say since torch's is a function. What such a
            layer gives is compared by what comes of it. Or "order", to match parameters by their order and
            shape, and layers by their parameters.
        on_step: called after each step, and all that is compared in it, with its number from 1.

    Raises:
        ValueError: the modules do not have the same parameters or layers, or not in the same modes; another
            dtype; a layer draws at random, and is no dropout layer; what cannot be copied or compared.
    """
    refuse_other_arguments(numpy_module, torch_module, loss, optimizer)
    name = name or type(numpy_module).__name__
    both_torch = isinstance(numpy_module, nn.Module)
    if isinstance(numpy_module, nn.Module):
        numpy_module = from_torch(copy.deepcopy(numpy_module).cpu())
    if dtype is None:
        arrays = [*map(np.asarray, flatten(inputs)), *numpy_module.state_dict().values()]
        dtype = next((a.dtype for a in arrays if is_floating(a)), np.dtype(np.float32))
    precision = precision_of(dtype)
    report = ParityReport(name, precision.name, device)
    if loss is not None:
        ours = loss_from_torch(loss[0]) if isinstance(loss[0], nn.Module) else loss[0]
        numpy_module = Task(numpy_module, ours)
    if isinstance(numpy_module, Task):
        torch_module = TorchTask(torch_module, loss and loss[1])
    if names is not None:
        root = "model" if isinstance(numpy_module, Task) else ""
        torch_module = renamed(torch_module, numpy_module, names, root)
    exact = exact_batches([(inputs, targets), *batches], isinstance(numpy_module, Task), precision)
    with (
        plain_arithmetic(torch_module, tf32=precision.name == "tf32"),
        np.errstate(over="ignore", invalid="ignore"),
    ):
        checker = Checker(
            numpy_module,
            torch_module,
            exact,
            precision,
            device,
            OptimizerSpec(optimizer, optimizer_args or {"lr": 0.1}),
            np.random.default_rng(rng),
        )
        report.comparisons.extend(checker.comparisons(steps, on_step))
        report.first_nan, report.restarts = checker.first_nan, checker.restarts
        report.overflow = checker.overflow
        report.remarks.extend(checker.remarks())
    if both_torch:
        sides = {"numpy": "first", "torch": "second"}
        report.comparisons = [replace(c, side=sides[c.side]) for c in report.comparisons]
    return report


def refuse_other_arguments(numpy_module: Any, torch_module: Any, loss: Any, optimizer: str) -> None:
    """Raises ValueError for what `check` does not take, or cannot copy."""
    if not isinstance(numpy_module, Module | nn.Module):
        raise ValueError(f"numpy_module is expected to be a gdl_numpy.nn.Module, got {kind_of(numpy_module)}")
    if not isinstance(torch_module, nn.Module):
        raise ValueError(f"torch_module is expected to be a torch.nn.Module, got {kind_of(torch_module)}")
    if loss is not None and not (isinstance(loss, tuple) and len(loss) == 2):
        raise ValueError(f"loss is expected to be those of both sides, (ours, torch's), got {kind_of(loss)}")
    if optimizer not in OPTIMIZERS:
        raise ValueError(f"optimizer is expected to be {', '.join(OPTIMIZERS)}, got {optimizer!r}")
    for module in (numpy_module, torch_module):
        try:
            copy.deepcopy(module)
        except RuntimeError as error:  # old weight_norm keeps a tensor that is computed
            raise ValueError(f"{type(module).__name__} cannot be copied: {error}") from error
