"""The registry of random composites: layers in a row, beside each other, around each other, shared.

Rows as in the registry of layers, `layer_cases`, and of the same kind.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from hypothesis import strategies as st

from gdl_numpy import nn
from gdl_torch import nn as torch_nn
from parity_tests.harness.layer_cases import Draw, Example, LayerCase, batch_sizes, values

if TYPE_CHECKING:
    from collections.abc import Sequence

    Twins = tuple[nn.Module, torch.nn.Module]

# Layers that keep a vector's length, and need no sizes.
PLAIN: dict[str, tuple[Any, Any]] = {
    "ReLU": (nn.ReLU, torch.nn.ReLU),
    "Sigmoid": (nn.Sigmoid, torch.nn.Sigmoid),
    "Tanh": (nn.Tanh, torch.nn.Tanh),
    "Softmax": (nn.Softmax, lambda: torch.nn.Softmax(-1)),
    "LogSoftmax": (nn.LogSoftmax, lambda: torch.nn.LogSoftmax(-1)),
    "Normalize": (lambda: nn.Normalize(-1), lambda: torch_nn.Normalize(-1)),
}


class Residual(nn.Module):
    """y = x + body(x)."""

    def __init__(self, body: nn.Module) -> None:
        self.body = body

    def forward(self, x: np.ndarray) -> Any:
        return x + self.body(x)

    def backward(self, grad_output: np.ndarray) -> Any:
        return grad_output + self.body.backward(grad_output)


class TorchResidual(torch.nn.Module):
    """y = x + body(x)."""

    def __init__(self, body: torch.nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = x + self.body(x)
        return y


class Branches(nn.Module):
    """y = left(x) ∘ right(x); where both are one module, it is called twice."""

    def __init__(self, left: nn.Module, right: nn.Module) -> None:
        self.left, self.right = left, right

    def forward(self, x: np.ndarray) -> Any:
        left, right = self.left(x), self.right(x)
        self.save_for_backward(left, right)
        return left * right

    def backward(self, grad_output: np.ndarray) -> Any:
        left, right = self.saved
        grad_right = self.right.backward(grad_output * left)
        return self.left.backward(grad_output * right) + grad_right


class TorchBranches(torch.nn.Module):
    """y = left(x) ∘ right(x)."""

    def __init__(self, left: torch.nn.Module, right: torch.nn.Module) -> None:
        super().__init__()
        self.left, self.right = left, right

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.left(x) * self.right(x)
        return y


class Shared(nn.Module):
    """y = inner(outer(inner(x))): a module that is called twice, the second time with its own results."""

    def __init__(self, inner: nn.Module, outer: nn.Module) -> None:
        self.inner, self.outer = inner, outer

    def forward(self, x: np.ndarray) -> Any:
        return self.inner(self.outer(self.inner(x)))

    def backward(self, grad_output: np.ndarray) -> Any:
        return self.inner.backward(self.outer.backward(self.inner.backward(grad_output)))


class TorchShared(torch.nn.Module):
    """y = inner(outer(inner(x)))."""

    def __init__(self, inner: torch.nn.Module, outer: torch.nn.Module) -> None:
        super().__init__()
        self.inner, self.outer = inner, outer

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.inner(self.outer(self.inner(x)))
        return y


def in_a_row(layers: Sequence[Twins]) -> Twins:
    return nn.Sequential(*(own for own, _ in layers)), torch.nn.Sequential(*(twin for _, twin in layers))


def linear(inside: int, outside: int, draw: Draw, rng: np.random.Generator) -> Twins:
    bias = draw(st.booleans())
    return nn.Linear(inside, outside, bias, rng=rng), torch.nn.Linear(inside, outside, bias)


def plain(draw: Draw, rng: np.random.Generator) -> Twins:
    """A layer that keeps a vector's length."""
    name = draw(st.sampled_from([*PLAIN, "Dropout"]))
    if name == "Dropout":
        p = draw(st.sampled_from([0.1, 0.5]))
        return nn.Dropout(p, rng=rng), torch.nn.Dropout(p)
    own, twin = PLAIN[name]
    return own(), twin()


def body(size: int, draw: Draw, rng: np.random.Generator, depth: int = 1) -> Twins:
    """Layers from vectors to vectors as long; some of them composites themselves, `depth` deep."""
    layers: list[Twins] = []
    for _ in range(draw(st.integers(1, 3))):
        kind = draw(st.sampled_from(["Linear", "plain", "wide", "composite"]))
        if kind == "Linear":
            layers.append(linear(size, size, draw, rng))
        elif kind == "wide":
            width = draw(st.integers(1, 20))
            layers += [linear(size, width, draw, rng), plain(draw, rng), linear(width, size, draw, rng)]
        elif kind == "composite" and depth:
            layers.append(composite(size, draw, rng, depth - 1))
        else:
            layers.append(plain(draw, rng))
    return in_a_row(layers)


def composite(size: int, draw: Draw, rng: np.random.Generator, depth: int = 1) -> Twins:
    """A module that computes something with what its layers give, or calls one twice."""
    kind = draw(st.sampled_from(["residual", "branches", "siamese", "shared"]))
    own, twin = body(size, draw, rng, depth)
    if kind == "residual":
        return Residual(own), TorchResidual(twin)
    if kind == "siamese":
        return Branches(own, own), TorchBranches(twin, twin)
    other, other_twin = body(size, draw, rng, depth)
    if kind == "branches":
        return Branches(own, other), TorchBranches(twin, other_twin)
    return Shared(own, other), TorchShared(twin, other_twin)


def vectors(draw: Draw, rng: np.random.Generator, size: int) -> np.ndarray:
    return values(draw, rng, (draw(batch_sizes()), size))


def sequential(draw: Draw, rng: np.random.Generator) -> Example:
    size = draw(st.integers(1, 12))
    layers = [body(size, draw, rng, depth=0) for _ in range(draw(st.integers(1, 3)))]
    return Example(*in_a_row(layers), vectors(draw, rng, size))


def composed(draw: Draw, rng: np.random.Generator) -> Example:
    size = draw(st.integers(1, 12))
    return Example(*composite(size, draw, rng), vectors(draw, rng, size))


def pictures(draw: Draw, rng: np.random.Generator) -> Example:
    """A small convolutional network."""
    channels, side = draw(st.integers(1, 3)), draw(st.integers(4, 9))
    x = values(draw, rng, (draw(batch_sizes()), channels, side, side))
    layers: list[Twins] = []
    for _ in range(draw(st.integers(1, 2))):
        arguments = (channels, draw(st.integers(1, 5)), 3, 1, 1)
        layers.append((nn.Conv2d(*arguments, rng=rng), torch.nn.Conv2d(*arguments)))
        layers.append(plain(draw, rng))
        channels = arguments[1]
    if draw(st.booleans()):
        name = draw(st.sampled_from(["MaxPool2d", "AvgPool2d"]))
        layers.append((getattr(nn, name)(2), getattr(torch.nn, name)(2)))
        side //= 2
    layers.append((nn.Flatten(), torch.nn.Flatten()))
    layers.append(linear(channels * side * side, draw(st.integers(1, 6)), draw, rng))
    return Example(*in_a_row(layers), x)


def looked_up(draw: Draw, rng: np.random.Generator) -> Example:
    """Embeddings, and what is made of them."""
    rows, size = draw(st.integers(1, 9)), draw(st.integers(1, 6))
    embedding: Twins = nn.Embedding(rows, size, rng=rng), torch.nn.Embedding(rows, size)
    ids = rng.integers(0, rows, draw(st.sampled_from([(1,), (12,), (3, 0), (5, 4)])))
    return Example(*in_a_row([embedding, body(size, draw, rng)]), ids)


COMPOSITES: dict[str, LayerCase] = {
    case.name: case
    for case in (
        LayerCase("Sequential", sequential),
        LayerCase("composite", composed),
        LayerCase("pictures", pictures),
        LayerCase("embeddings", looked_up),
    )
}
