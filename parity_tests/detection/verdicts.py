"""What each rule says about twins, asked about the same tensors."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike
from torch import nn as torch_nn

from gdl_numpy.models.language_model import look_up_
from gdl_numpy.tasks import as_arguments
from parity_tests.detection.rules import RULES, Versions
from parity_tests.harness import check
from parity_tests.harness.evaluate import Arrays, Evaluation, as_dtype, run_numpy
from parity_tests.harness.evaluate_torch import fixed_dropout, plain_arithmetic, run_torch, twin
from parity_tests.harness.trace import Recorder
from parity_tests.harness.watch import is_leaf, layers_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gdl_numpy.nn import Module
    from parity_tests.harness.layer_cases import Example

OURS = "ours"


def accusers(example: Example, dtype: str) -> set[str]:
    """The rules that call these twins different."""
    found = set() if check(*example, dtype=dtype, steps=0).ok else {OURS}
    asked = {name: rule for name, (rule, dtypes) in RULES.items() if dtype in dtypes}
    with plain_arithmetic(example.torch_module), np.errstate(all="ignore"):
        for tensor in tensors(example, np.dtype(dtype)):
            if tensor is None:
                return found | asked.keys()
            found |= {name for name, rule in asked.items() if not rule(tensor)}
    return found


def tensors(example: Example, dtype: np.dtype) -> Iterator[Versions | None]:
    """Outputs and gradients, of the twins and of each call of a layer in them by itself.

    None stands for a tensor that one side lacks or has in another shape, and for a side that gives up.
    """
    own, theirs = copy.deepcopy(example.numpy_module).astype(dtype), example.torch_module
    look_up_(own)
    inputs, targets = as_arguments(example.inputs), as_arguments(example.targets)
    yield from tensors_of(own, theirs, inputs, targets, dtype)
    if is_leaf(own):
        return
    recorder = Recorder(watched := copy.deepcopy(own))
    run_numpy(watched, as_dtype(inputs, dtype), as_dtype(targets, dtype), random_like)
    layers = layers_of(own)
    for call in recorder.trace.values():
        if is_leaf(layers[call.name]):
            alone = layers[call.name], theirs.get_submodule(call.name)
            yield from tensors_of(*alone, call.inputs, (), dtype)


def tensors_of(
    own: Module, theirs: torch_nn.Module, inputs: Sequence[Any], targets: Sequence[Any], dtype: np.dtype
) -> Iterator[Versions | None]:
    """Those of one module."""
    layer = copy.deepcopy(own).requires_input_grad_()
    recorder = Recorder(layer)
    inputs, targets = (as_dtype(a, dtype) for a in (inputs, targets))
    try:
        ours = run_numpy(layer, inputs, targets, random_like)
    except (ValueError, IndexError):
        yield None
        return
    kept: dict[str, list[np.ndarray]] = {}
    for call in recorder.trace.values():
        if call.kept is not None:
            kept.setdefault(call.name, []).append(call.kept)

    def torch(of: DTypeLike) -> Evaluation:
        module = twin(theirs, own, of, "cpu")
        with fixed_dropout(module, kept):
            return run_torch(module, as_dtype(inputs, of), as_dtype(targets, of), random_like)

    exact, reference = named(torch(np.float64)), named(torch(dtype))
    found = named(ours)
    if found.keys() != exact.keys():
        yield None
    for name in found.keys() & exact.keys():
        if found[name].shape != exact[name].shape:
            yield None
        elif found[name].size:
            # A reduced loss is a Python float, which has no dtype of its own.
            number = found[name] if found[name].ndim else found[name].astype(dtype)
            yield Versions(exact[name], reference[name], number)


def random_like(outputs: Arrays) -> Arrays:
    """The gradients of outputs: the same for all who have outputs of these shapes, rounded to float32."""
    rng = np.random.default_rng(0)
    drawn = [np.asarray(rng.standard_normal(np.shape(y))).astype(np.float32) for y in outputs]
    return [grad.astype(y.dtype) for grad, y in zip(drawn, outputs, strict=True)]


def named(evaluation: Evaluation) -> dict[str, np.ndarray]:
    return {f"output {i}": y for i, y in enumerate(evaluation.outputs)} | evaluation.gradients()
