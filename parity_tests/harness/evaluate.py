"""Running one layer or model forward and backward, and writing down what it gives; nested arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from gdl_numpy.nn import Module, SparseRows
from gdl_numpy.tasks import as_arguments
from parity_tests.harness.rounding import Precision

Arrays = list[np.ndarray]
GradOutputs = Callable[[Arrays], Arrays]


@dataclass
class Evaluation:
    """What a forward and a backward pass produced. Bounds on these numbers are written in the same form.

    Attributes:
        outputs: what forward returned, nested tuples flattened.
        grad_inputs: the gradient of each floating input (not of targets), in order.
        grad_params: the gradient of each parameter, by its state_dict key.
    """

    outputs: Arrays
    grad_inputs: Arrays = field(default_factory=list)
    grad_params: dict[str, np.ndarray] = field(default_factory=dict)

    def map(self, function: Callable[..., np.ndarray], *others: Evaluation) -> Evaluation:
        """`function` applied to corresponding arrays of this and the other evaluations."""
        return Evaluation(
            [function(*a) for a in zip(self.outputs, *(o.outputs for o in others), strict=True)],
            [function(*a) for a in zip(self.grad_inputs, *(o.grad_inputs for o in others), strict=True)],
            {k: function(v, *(o.grad_params[k] for o in others)) for k, v in self.grad_params.items()},
        )

    def gradients(self) -> dict[str, np.ndarray]:
        """All gradients under the names that reports use."""
        only = len(self.grad_inputs) == 1
        inputs = {"grad_input" if only else f"grad_input {i}": g for i, g in enumerate(self.grad_inputs)}
        return inputs | {f"grad {name}": grad for name, grad in self.grad_params.items()}


def flatten(value: Any) -> list[Any]:
    """The leaves of nested tuples, lists and dicts, those by their keys; None, flags and words are none."""
    if value is None or isinstance(value, bool | str):
        return []
    if isinstance(value, Mapping):
        value = [value[key] for key in sorted(value, key=str)]
    if isinstance(value, tuple | list):
        return [leaf for item in value for leaf in flatten(item)]
    return [value]


def unflatten(like: Any, leaves: Iterator[Any]) -> Any:
    """`leaves` nested as `like` is."""
    if like is None or isinstance(like, bool | str):
        return like
    if isinstance(like, Mapping):
        found = {key: unflatten(like[key], leaves) for key in sorted(like, key=str)}
        return type(like)({key: found[key] for key in like})  # type: ignore[call-arg]
    if isinstance(like, tuple | list):
        items = [unflatten(item, leaves) for item in like]
        return type(like)(*items) if hasattr(like, "_fields") else type(like)(items)
    return next(leaves)


def as_dtype(value: Any, dtype: DTypeLike | Precision) -> Any:
    """Nested arrays, the floating ones rounded to `dtype`."""
    arrays = [np.asarray(leaf) for leaf in flatten(value)]
    rounded = dtype.round if isinstance(dtype, Precision) else partial(np.ndarray.astype, dtype=dtype)
    return unflatten(value, iter([rounded(a) if is_floating(a) else a for a in arrays]))


def exact_batches(
    batches: Sequence[tuple[Any, Any]], is_task: bool, dtype: DTypeLike | Precision
) -> list[tuple[tuple[Any, ...], tuple[Any, ...]]]:
    """Inputs and targets as arguments, and as float64 holds them after they were rounded to `dtype`.

    Args:
        batches: inputs and targets of each.
        is_task: whether what takes them is a task, which takes either as one argument.
        dtype: of the side that will get them.
    """

    def exact(part: Any) -> tuple[Any, ...]:
        arguments = (part,) if is_task else as_arguments(part)
        rounded: tuple[Any, ...] = as_dtype(as_dtype(arguments, dtype), np.float64)
        return rounded

    return [(exact(inputs), exact(targets)) for inputs, targets in batches]


def copied(value: Any) -> Any:
    """Nested arrays, each in memory of its own, so that a module may write into what it is given."""
    return unflatten(value, iter([np.array(leaf) for leaf in flatten(value)]))


def is_floating(array: np.ndarray) -> bool:
    return bool(np.issubdtype(array.dtype, np.floating))


def run_numpy(
    module: Module, inputs: Sequence[Any], targets: Sequence[Any], grad_outputs: GradOutputs
) -> Evaluation:
    """Forward, then backward from the gradients that `grad_outputs` gives for the (flattened) outputs."""
    module.zero_grad()
    output = module(*copied((*inputs, *targets)))
    outputs = [np.array(leaf) for leaf in flatten(output)]
    grad_inputs = take_back(module, output, copied(grad_outputs(outputs)))
    grad_params = {name: dense(p.grad) for name, p in module.named_parameters() if p.grad is not None}
    # A recurrent layer gives its initial state's gradient also where that state was not among the inputs.
    asked = sum(is_floating(leaf) for leaf in flatten(inputs))
    return Evaluation(outputs, flatten(grad_inputs)[:asked], grad_params)


def take_back(module: Module, output: Any, grad_outputs: Sequence[np.ndarray]) -> Any:
    """Backward from the gradients of the (flattened) outputs of a forward pass; gives those of its inputs."""
    grads = unflatten(output, iter(grad_outputs))
    if isinstance(output, float):  # a reduced loss
        grads = float(grads)
    return module.backward(*grads) if isinstance(output, tuple) else module.backward(grads)


def dense(grad: np.ndarray | SparseRows) -> np.ndarray:
    return grad.to_dense() if isinstance(grad, SparseRows) else grad
