"""A torch module in the place of a NumPy one, so that two of torch's can be held against each other."""

from __future__ import annotations

import copy
import inspect
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from torch.func import functional_call
from torch.nn.utils.rnn import PackedSequence

from gdl_numpy.messages import kind_of
from gdl_numpy.nn import Dropout, Module, Parameter
from gdl_torch.nn import ContrastiveLoss
from parity_tests.harness.evaluate import flatten, take_back, unflatten
from parity_tests.harness.evaluate_torch import check_readable, to_numpy
from parity_tests.harness.watch import positional

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# What losses call their first argument that gets no gradient; the other classes of losses are ours.
TARGETS = ("target", "targets", "y")
RUNNING: list[FromTorch] = []  # whose forward passes run now, the innermost last


class FromTorch(Module):
    """A torch module as one of `gdl_numpy.nn`: forward runs it, and autograd's gradients are its backward.

    The modules inside become modules inside of this one, under the same names, and are called through those:
    so they can be watched and disturbed as a NumPy model's layers are. A dropout layer becomes ours, which
    tells what it kept. Buffers, such as running means, stay as they are.

    Args:
        module: the torch module, which is not changed. Parameters are copied.
        made: what the modules and parameters that were met until now became, by their `id`.

    Attributes:
        is_the_loss: whether it is what a model is trained by, and so gives no gradient of targets.
        changed: which of its arguments the latest call changed in place, and which output each of them is, or
            None.
    """

    is_the_loss = False

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
        with torch.enable_grad(), self.layers_called(call_through), running(self):
            given = [Alias.apply(leaf) if leaf.requires_grad else leaf for leaf in leaves]
            output = functional_call(module, state, unflatten(inputs, iter(given)))
        outputs = flatten(output)
        self.changed = {
            i: next((j for j, y in enumerate(outputs) if y is x), None)
            for i, x in enumerate(given)
            if x._version
        }
        if bad := [y for y in outputs if not isinstance(y, torch.Tensor)]:
            raise ValueError(f"{type(module).__name__} gives {kind_of(bad[0])}, which cannot be compared")
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
            with self.layers_called(refuse_to_run_again):
                try:
                    torch.autograd.backward(ys, grads, retain_graph=True)
                except RuntimeError as error:
                    kind = type(self.torch_module).__name__
                    raise ValueError(f"the backward pass of {kind}, run by itself, fails: {error}") from error
        for handle in handles:
            handle.remove()
        parameters = dict(self.named_parameters())
        for name, leaf in learnt.items():
            leaf.grad = None
            if leaf in found:
                parameters[name].accumulate(to_numpy(found[leaf]))
        zeros = (found.get(leaf, torch.zeros_like(leaf)) for leaf in floating)
        by_leaf = iter([next(zeros).numpy() if leaf.requires_grad else None for leaf in leaves])
        grad_inputs = unflatten(inputs, by_leaf)[: self.predictions if self.is_the_loss else None]
        return grad_inputs[0] if len(grad_inputs) == 1 else grad_inputs

    @property
    def predictions(self) -> int | None:
        """Of a loss that has targets, or could, how many arguments come before them; else None."""
        if not isinstance(self.torch_module, nn.modules.loss._Loss | ContrastiveLoss):
            return None
        names = list(inspect.signature(self.torch_module.forward).parameters)
        return next((i for i, name in enumerate(names) if name in TARGETS), len(names))

    @contextmanager
    def layers_called(self, by: Callable[..., Any]) -> Iterator[None]:
        """Within, when the torch module calls a module inside of it, it calls `by` with ours.

        What `__call__` does is replaced, hooks and all: ours runs the module with its hooks.
        """
        parts = [(self.torch_module.get_submodule(name), own) for name, own in self.named_modules()]
        before = [(module, vars(module).get("_call_impl")) for module, _ in parts]
        for module, own in parts:
            if own is not self:
                vars(module)["_call_impl"] = partial(by, own, module.forward)
        vars(self.torch_module).pop("_call_impl", None)
        try:
            yield
        finally:
            for module, call in before:
                vars(module).pop("_call_impl", None)
                if call is not None:
                    vars(module)["_call_impl"] = call


@contextmanager
def running(module: FromTorch) -> Iterator[None]:
    """Within, the module's forward pass runs."""
    RUNNING.append(module)
    try:
        yield
    finally:
        RUNNING.pop()


def trained(module: Module) -> dict[str, bool]:
    """Which of the parameters that come from torch are trained, and which are frozen."""
    found: dict[str, bool] = {}
    for path, part in module.named_modules():
        if isinstance(part, FromTorch):
            own = part.torch_module.named_parameters(recurse=False, remove_duplicate=False)
            found |= {f"{path}.{name}" if path else name: p.requires_grad for name, p in own}
    return found


def from_torch(module: nn.Module, made: dict[int, Any] | None = None) -> Module:
    """`FromTorch` of it, or our own layer in the place of a dropout layer."""
    if type(module) is nn.Dropout:
        dropout = Dropout(module.p, rng=0)
        dropout.training = module.training
        return dropout
    return FromTorch(module, made)


def loss_from_torch(loss: nn.Module) -> Module:
    """A copy of a loss of torch's, which a model is to be trained by."""
    own = FromTorch(copy.deepcopy(loss).cpu())
    own.is_the_loss = True
    return own


def call_through(own: Module, forward: Callable[..., Any], *given: Any, **named: Any) -> Any:
    """What a torch module gives, computed by `own`, as part of autograd's graph."""
    arguments = positional(forward, given, named)
    if any(isinstance(argument, PackedSequence) for argument in arguments):
        raise ValueError("a layer is given a PackedSequence, which cannot be compared: pad it")
    output: list[Any] = []
    # Without it, what is computed from ids alone would be no part of the graph.
    needs_gradient = torch.zeros((), requires_grad=True)
    given_leaves = flatten(arguments)
    check_readable(kind_of_layer(own), given_leaves)
    leaves = list(Through.apply(own, arguments, output, needs_gradient, *given_leaves))
    if isinstance(own, FromTorch):
        for i, j in own.changed.items():
            if j is None:
                raise ValueError(
                    f"{type(own.torch_module).__name__} changes what it is given in place, and gives "
                    "something else: what becomes of it cannot be followed; make it work out of place"
                )
            leaves[j] = given_leaves[i].copy_(leaves[j])
    return unflatten(output[0], iter(leaves))


def refuse_to_run_again(own: Module, *_: Any, **__: Any) -> Any:
    """In the place of a layer that is called in the backward pass.

    Raises:
        ValueError: always.
    """
    raise ValueError(
        f"{kind_of_layer(own)} runs again in the backward pass, as by torch.utils.checkpoint, which cannot "
        "be followed between two torch modules: check without, which computes the same function"
    )


def kind_of_layer(own: Module) -> str:
    """The name of a layer's class, in torch if it comes from there."""
    return type(own.torch_module if isinstance(own, FromTorch) else own).__name__


class Alias(torch.autograd.Function):
    """The same memory as another tensor that may be changed in place, which a leaf of the graph may not."""

    @staticmethod
    def forward(_: Any, x: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(x.detach().numpy())

    @staticmethod
    def backward(_: Any, *grads: torch.Tensor) -> torch.Tensor:
        return grads[0]


class Through(torch.autograd.Function):
    """A call of a NumPy module in autograd's graph."""

    @staticmethod
    def forward(ctx: Any, own: Module, arguments: Any, result: list[Any], _: Any, *leaves: Any) -> Any:
        arrays = [leaf.detach().numpy() if isinstance(leaf, torch.Tensor) else leaf for leaf in leaves]
        output = own(*unflatten(arguments, iter(arrays)))
        result.append(output)
        ctx.own, ctx.output = own, output
        ctx.floating = [isinstance(leaf, torch.Tensor) and leaf.is_floating_point() for leaf in leaves]
        tensors = [torch.from_numpy(np.asarray(leaf)) for leaf in flatten(output)]
        ctx.mark_non_differentiable(*(tensor for tensor in tensors if not tensor.is_floating_point()))
        return tuple(tensors)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        if RUNNING:
            raise ValueError(
                f"{type(RUNNING[-1].torch_module).__name__} differentiates in its forward pass, as by "
                "torch.autograd.grad, which cannot be followed between two torch modules"
            )
        arrays = [grad.numpy() for grad in grads]
        found = iter(flatten(take_back(ctx.own, ctx.output, arrays)))
        grads_of_leaves = [next(found, None) if floats else None for floats in ctx.floating]
        return *[None] * 4, *(None if grad is None else torch.from_numpy(grad) for grad in grads_of_leaves)
