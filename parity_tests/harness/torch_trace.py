"""What every call in a run of a torch model gave, and the gradients that it got."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from parity_tests.harness.evaluate import flatten, unflatten
from parity_tests.harness.evaluate_torch import to_numpy
from parity_tests.harness.trace import Call, Trace
from parity_tests.harness.watch import Numbering

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@contextmanager
def record_torch(module: nn.Module, names: Sequence[str]) -> Iterator[Trace]:
    """Within, the dict holds what the named modules in a torch module gave, and the gradients they got."""
    trace: Trace = {}
    numbering = Numbering()
    versions: list[dict[int, int]] = []  # of what each call at work was given, the innermost last

    def note_versions(_module: nn.Module, inputs: Any) -> None:
        versions.append(
            {id(leaf): leaf._version for leaf in flatten(inputs) if isinstance(leaf, torch.Tensor)}
        )

    def forward_hook(name: str, layer: nn.Module, _inputs: Any, output: Any) -> Any:
        before, leaves = versions.pop(), flatten(output)
        has_layers = next(layer.children(), None) is not None
        for i, leaf in enumerate(leaves):
            # What is given out may be used inside as well, or be what came in. A copy has the gradient of
            # what becomes of it outside alone. But what was changed in place has to remain what it is.
            version = before.get(id(leaf))
            if version == leaf._version or (has_layers and version is None):
                leaves[i] = leaf.clone()
        values = [to_numpy(leaf) for leaf in leaves]
        grads = [np.zeros_like(value) for value in values]  # of an output that nobody uses
        trace[numbering.call(name)] = Call(name, (), output, values, grads)
        for i, leaf in enumerate(leaves):
            if leaf.requires_grad:
                leaf.register_hook(lambda grad, i=i: grads.__setitem__(i, to_numpy(grad)))
        return unflatten(output, iter(leaves))

    modules = dict(module.named_modules(remove_duplicate=False))
    handles = [modules[name].register_forward_hook(partial(forward_hook, name)) for name in names]
    handles += [modules[name].register_forward_pre_hook(note_versions) for name in names]
    try:
        yield trace
    finally:
        for handle in handles:
            handle.remove()
