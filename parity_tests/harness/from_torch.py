"""A torch module in the place of a NumPy one, so that two of torch's can be held against each other."""

from __future__ import annotations

import inspect
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from torch.func import functional_call

from gdl_numpy.nn import Dropout, Module, Parameter
from parity_tests.harness.evaluate import flatten, take_back, unflatten
from parity_tests.harness.evaluate_torch import to_numpy
from parity_tests.harness.watch import positional

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TARGETS = ("target", "targets", "y", "labels")  # what losses call the arguments that get no gradient


class FromTorch(Module):
    """A torch module as one of `gdl_numpy.nn`: forward runs it, and autograd's gradients are its backward.

    The modules inside become modules inside of this one, under the same names, and are called through those:
    so they can be watched and disturbed as a NumPy model's layers are. A dropout layer becomes ours, which
    tells what it kept. Buffers, such as running means, stay as they are.

    Args:
        module: the torch module, which is not changed. Parameters are copied.
        made: what the modules and parameters that were met until now became, by their `id`.
    """

    def __init__(self, module: nn.Module, made: dict[int, Any] | None = None) -> None:
        made = {} if made is None else made
        self.torch_module, self.training = module, module.training
        for name, parameter in module.named_parameters(recurse=False, remove_duplicate=False):
            setattr(self, name, made.setdefault(id(parameter), Parameter(to_numpy(parameter))))
        for name, child in module._modules.items():  # also those that have a name already
            if child is not None:
                if id(child) not in made:
                    made[id(child)] = from_torch(child, made)
                setattr(self, name, made[id(child)])

    def forward(self, *inputs: Any) -> Any:
        module = self.torch_module
        leaves = [torch.from_numpy(np.asarray(leaf)) for leaf in flatten(inputs)]
        learnt = {name for name, parameter in module.named_parameters() if parameter.requires_grad}
        state = {
            name: torch.from_numpy(own.data).requires_grad_(name in learnt)
            for name, own in self.named_parameters()
        }
        parameters = [state[name] for name in learnt]
        floating = [leaf.requires_grad_() for leaf in leaves if leaf.is_floating_point()]
        dtype = next((tensor.dtype for tensor in [*floating, *state.values()]), torch.float64)
        for name, buffer in module.named_buffers():
            state[name] = buffer.to(dtype) if buffer.is_floating_point() else buffer.clone()
        module.training = self.training
        with torch.enable_grad(), self.layers_called_through():
            # Torch does not let a leaf that needs a gradient be changed in place, as an activation may change
            # it. A module with layers inside gets the same memory, by which it is seen to pass numbers on.
            given = [leaf.view_as(leaf) if self.has_layers else leaf.clone() for leaf in leaves]
            output = functional_call(module, state, unflatten(inputs, iter(given)))
        outputs = flatten(output)
        self.save_for_backward(inputs, outputs, leaves, dict(zip(learnt, parameters, strict=True)))
        return unflatten(output, iter([leaf.detach().numpy() for leaf in outputs]))

    def backward(self, *grad_outputs: Any) -> Any:
        inputs, outputs, leaves, learnt = self.saved
        floating = [leaf for leaf in leaves if leaf.requires_grad]
        pairs = [
            (y, torch.from_numpy(np.asarray(grad)))
            for y, grad in zip(outputs, flatten(grad_outputs), strict=True)
            if y.requires_grad
        ]
        found: dict[torch.Tensor, torch.Tensor] = {}
        handles = [
            leaf.register_hook(partial(found.__setitem__, leaf)) for leaf in (*floating, *learnt.values())
        ]
        if pairs:
            # Not autograd.grad: it goes back only to what is asked of it, and layers' parameters are not.
            ys, grads = zip(*pairs, strict=True)
            torch.autograd.backward(ys, grads, retain_graph=True)
        for handle in handles:
            handle.remove()
        parameters = dict(self.named_parameters())
        for name, leaf in learnt.items():
            leaf.grad = None
            if leaf in found:
                parameters[name].accumulate(to_numpy(found[leaf]))
        zeros = (found.get(leaf, torch.zeros_like(leaf)) for leaf in floating)
        by_leaf = iter([next(zeros).numpy() if leaf.requires_grad else None for leaf in leaves])
        grad_inputs = unflatten(inputs, by_leaf)[: self.differentiated]
        return grad_inputs[0] if len(grad_inputs) == 1 else grad_inputs

    @property
    def has_layers(self) -> bool:
        return next(self.named_children(), None) is not None

    @property
    def differentiated(self) -> int | None:
        """How many arguments get a gradient; None for all."""
        names = list(inspect.signature(self.torch_module.forward).parameters)
        return next((i for i, name in enumerate(names) if name in TARGETS), None)

    @contextmanager
    def layers_called_through(self) -> Iterator[None]:
        """Within, when the torch module calls a module inside of it, it calls ours."""
        parts = [(self.torch_module.get_submodule(name), own) for name, own in self.named_modules()]
        before = [(module, vars(module).get("forward")) for module, _ in parts]
        for module, own in parts:
            if own is not self:
                forward = partial(type(module).forward, module)
                vars(module)["forward"] = partial(call_through, own, forward)
        vars(self.torch_module).pop("forward", None)
        try:
            yield
        finally:
            for module, own_forward in before:
                vars(module).pop("forward", None)
                if own_forward is not None:
                    vars(module)["forward"] = own_forward


def from_torch(module: nn.Module, made: dict[int, Any] | None = None) -> Module:
    """`FromTorch` of it, or our own layer in the place of a dropout layer."""
    if type(module) is nn.Dropout:
        dropout = Dropout(module.p, rng=0)
        dropout.training = module.training
        return dropout
    return FromTorch(module, made)


def call_through(own: Module, forward: Callable[..., Any], *given: Any, **named: Any) -> Any:
    """What a torch module gives, computed by `own`, as part of autograd's graph."""
    arguments = positional(forward, given, named)
    output: list[Any] = []
    # Without it, what is computed from ids alone would be no part of the graph.
    needs_gradient = torch.zeros((), requires_grad=True)
    leaves = Through.apply(own, arguments, output, needs_gradient, *flatten(arguments))
    return unflatten(output[0], iter(leaves))


class Through(torch.autograd.Function):
    """A call of a NumPy module in autograd's graph."""

    @staticmethod
    def forward(ctx: Any, own: Module, arguments: Any, result: list[Any], _: Any, *leaves: Any) -> Any:
        arrays = [leaf.detach().numpy() if isinstance(leaf, torch.Tensor) else leaf for leaf in leaves]
        output = own(*unflatten(arguments, iter(arrays)))
        result.append(output)
        ctx.own, ctx.output, ctx.leaves = (
            own,
            output,
            [isinstance(leaf, torch.Tensor) and leaf.is_floating_point() for leaf in leaves],
        )
        tensors = [torch.from_numpy(np.asarray(leaf)) for leaf in flatten(output)]
        ctx.mark_non_differentiable(*(tensor for tensor in tensors if not tensor.is_floating_point()))
        return tuple(tensors)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        arrays = [grad.numpy() for grad in grads]
        found = iter(flatten(take_back(ctx.own, ctx.output, arrays)))
        return (
            None,
            None,
            None,
            None,
            *(torch.from_numpy(next(found)) if floats else None for floats in ctx.leaves),
        )
