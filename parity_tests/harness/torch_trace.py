"""What every call in a run of a torch model gave, and the gradients that it got."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from parity_tests.harness.evaluate import flatten, unflatten
from parity_tests.harness.evaluate_torch import check_readable, to_numpy
from parity_tests.harness.trace import Call, Trace
from parity_tests.harness.watch import Numbering

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@contextmanager
def record_torch(module: nn.Module, names: Sequence[str]) -> Iterator[Trace]:
    """Within, the dict holds what the named modules in a torch module gave, and the gradients they got.

    Calls after the module's own has ended are those of `torch.utils.checkpoint`, which works out in the
    backward pass what the forward pass has not kept; they are not written down a second time.

    Raises:
        ValueError: by a layer in a checkpoint of the reentrant kind, whose gradients only that second call
            gets; or in a transform such as `torch.vmap`, where a tensor has no values.
    """
    trace: Trace = {}
    numbering = Numbering()
    versions: list[dict[int, int]] = []  # of what each call at work was given, the innermost last
    without_graph: set[str] = set()
    ended: list[bool] = []

    def note_versions(name: str, _module: nn.Module, inputs: Any) -> None:
        if ended:
            if name in without_graph:
                raise ValueError(
                    f"{name} runs again in the backward pass, by torch.utils.checkpoint with "
                    "use_reentrant=True, where its gradients cannot be followed: give use_reentrant=False, "
                    "or check without"
                )
            return
        if not torch.is_grad_enabled():
            without_graph.add(name)
        versions.append(
            {id(leaf): leaf._version for leaf in flatten(inputs) if isinstance(leaf, torch.Tensor)}
        )

    def forward_hook(name: str, layer: nn.Module, _inputs: Any, output: Any) -> Any:
        if ended:
            return output
        before, leaves = versions.pop(), flatten(output)
        has_layers = next(layer.children(), None) is not None
        for i, leaf in enumerate(leaves):
            # What is given out may be used inside as well, or be what came in. A copy has the gradient of
            # what becomes of it outside alone. But what was changed in place has to remain what it is.
            version = before.get(id(leaf))
            if version == leaf._version or (has_layers and version is None):
                leaves[i] = leaf.clone()
        check_readable(type(layer).__name__, leaves)
        values = [to_numpy(leaf) for leaf in leaves]
        grads = [np.zeros_like(value) for value in values]  # of an output that nobody uses
        trace[numbering.call(name)] = Call(name, (), output, values, grads)
        for i, leaf in enumerate(leaves):
            if leaf.requires_grad:
                leaf.register_hook(lambda grad, i=i: grads.__setitem__(i, to_numpy(grad)))
        return unflatten(output, iter(leaves))

    modules = dict(module.named_modules(remove_duplicate=False))
    handles = [modules[name].register_forward_hook(partial(forward_hook, name)) for name in names]
    handles += [modules[name].register_forward_pre_hook(partial(note_versions, name)) for name in names]
    handles.append(
        module.register_forward_hook(lambda *_: ended.append(True))
    )  # after the module's other hook
    try:
        yield trace
    finally:
        for handle in handles:
            handle.remove()
