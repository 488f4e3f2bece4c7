"""What every call in a run of a torch model gave, and the gradients that it got."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
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

    def forward_hook(name: str, _module: nn.Module, _inputs: Any, output: Any) -> Any:
        # Copies, whose gradients are those of what is given out, and not of what is used inside as well.
        leaves = [leaf.clone() for leaf in flatten(output)]
        values = [to_numpy(leaf) for leaf in leaves]
        grads = [np.zeros_like(value) for value in values]  # of an output that nobody uses
        trace[numbering.call(name)] = Call(name, (), output, values, grads)
        for i, leaf in enumerate(leaves):
            if leaf.requires_grad:
                leaf.register_hook(lambda grad, i=i: grads.__setitem__(i, to_numpy(grad)))
        return unflatten(output, iter(leaves))

    modules = dict(module.named_modules(remove_duplicate=False))
    handles = [modules[name].register_forward_hook(partial(forward_hook, name)) for name in names]
    try:
        yield trace
    finally:
        for handle in handles:
            handle.remove()
