"""Chapter 13's framework as the harness sees it: what runs on Tensors looks like a hand-written layer.

An expression is written once, as a function of a library and its tensors, and both sides run it.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from gdl_numpy import autograd, nn
from gdl_numpy.autograd import Tensor
from parity_tests.harness import ParityReport, check
from parity_tests.harness.evaluate import flatten, is_floating, unflatten

if TYPE_CHECKING:
    from collections.abc import Callable


class Recorded(nn.Module):
    """A function of Tensors, or a module of `gdl_numpy.autograd`, as a hand-written layer."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        for name, tensor in self.tensors():
            vars(self)[name] = nn.Parameter(tensor.data)

    def tensors(self) -> list[tuple[str, Tensor]]:
        return list(self.function.named_parameters()) if isinstance(self.function, autograd.Module) else []

    def forward(self, *inputs: Any) -> Any:
        for name, tensor in self.tensors():
            tensor.data, tensor.grad = vars(self)[name].data, None
        leaves = [Tensor(x, requires_grad=True) if is_floating(x) else x for x in flatten(inputs)]
        output = self.function(*unflatten(inputs, iter(leaves)))
        outputs = flatten(output)
        self.save_for_backward([x for x in leaves if isinstance(x, Tensor)], outputs)
        return unflatten(output, iter([y.data for y in outputs]))

    def backward(self, *grad_outputs: Any) -> Any:
        leaves, outputs = self.saved
        for tensor in (*leaves, *(tensor for _, tensor in self.tensors())):
            tensor.grad = None
        for y, grad in zip(outputs, grad_outputs, strict=True):
            y.backward(
                np.asarray(grad), retain_graph=True
            )  # as a hand-written layer, which may be asked again
        for name, tensor in self.tensors():
            if tensor.grad is not None:
                vars(self)[name].accumulate(tensor.grad)
        return tuple(np.zeros_like(x.data) if x.grad is None else x.grad for x in leaves)


class TorchFunction(torch.nn.Module):
    """The torch twin of `Recorded`, for functions."""

    def __init__(self, function: Callable[..., torch.Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        return self.function(*inputs)


def own_max(x: Tensor, dim: Any, keepdim: bool) -> Tensor:
    return x.max(dim, keepdim)


def torch_max(x: torch.Tensor, dim: Any, keepdim: bool) -> torch.Tensor:
    return torch.amax(x, () if dim is None else dim, keepdim)


def torch_cross_entropy(logits: torch.Tensor, ids: np.ndarray) -> torch.Tensor:
    return torch.nn.functional.cross_entropy(logits, torch.from_numpy(ids))


OWN = SimpleNamespace(
    max=own_max,
    linear=autograd.linear,
    stack=autograd.stack,
    cat=autograd.cat,
    cross_entropy=autograd.cross_entropy,
)
TORCH = SimpleNamespace(
    max=torch_max,
    linear=torch.nn.functional.linear,
    stack=torch.stack,
    cat=torch.cat,
    cross_entropy=torch_cross_entropy,
)


def parity(expression: Callable[..., Any], *inputs: np.ndarray, dtype: str = "float64") -> ParityReport:
    """`expression(library, *inputs)` on both sides."""
    return check(
        Recorded(lambda *x: expression(OWN, *x)),
        TorchFunction(lambda *x: expression(TORCH, *x)),
        inputs,
        dtype=dtype,
        name="expression",
    )


def numbers(seed: int, *shape: int) -> np.ndarray:
    """Halves, so that zeros and equal numbers are among them."""
    return np.asarray(np.round(3 * np.random.default_rng(seed).standard_normal(shape)) / 2)
