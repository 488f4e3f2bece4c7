"""Modules whose parts have other names on the other side are compared all the same, when it is said which."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import numpy as np
import pytest
import torch

from gdl_numpy import nn
from parity_tests.harness import check
from parity_tests.harness.matching import Names
from parity_tests.support.reports import batch, fails


class Net(nn.Module):
    """Two layers and an activation, as whoever writes them in NumPy has them."""

    def __init__(self) -> None:
        self.first = nn.Linear(3, 5, rng=0)
        self.relu = nn.ReLU()
        self.second = nn.Linear(5, 2, rng=1)

    def forward(self, x: np.ndarray) -> np.ndarray:
        y: np.ndarray = self.second(self.relu(self.first(x)))
        return y

    def backward(self, grad_output: Any) -> Any:
        for layer in (self.second, self.relu, self.first):
            grad_output = layer.backward(grad_output)
        return grad_output


class TorchNet(torch.nn.Module):
    """The same as torch's users write it: layers in a list, the activation a function."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = torch.nn.ModuleList([torch.nn.Linear(3, 5), torch.nn.Linear(5, 2)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.layers[1](torch.relu(self.layers[0](x)))
        return y


BY_NAME: Names = {"first": "layers.0", "second": "layers.1", "relu": None}
NAMES = pytest.mark.parametrize("names", [BY_NAME, "order"], ids=["by name", "by order"])


@NAMES
def test_layers_in_a_list_and_a_function(names: Names, dtype: str) -> None:
    report = check(Net(), TorchNet(), batch(4, 3, dtype=dtype), names=names)
    report.raise_if_different()
    alone = {c.layer for c in report.comparisons if c.tensor == "grad weight" and c.side == "torch"}
    assert alone == {"first", "second"}


@NAMES
def test_with_a_loss(names: Names, dtype: str) -> None:
    losses = nn.CrossEntropyLoss(), torch.nn.CrossEntropyLoss()
    ids = np.array([1, 0, 0, 1])
    check(Net(), TorchNet(), batch(4, 3, dtype=dtype), ids, losses, names=names).raise_if_different()


class Leaky(nn.ReLU):
    """Its backward is another function's."""

    def backward(self, grad_output: np.ndarray) -> np.ndarray | None:
        grad = super().backward(grad_output)
        return None if grad is None else grad + 0.01 * grad_output


@NAMES
def test_a_mistake_in_a_layer_without_counterpart(names: Names, dtype: str) -> None:
    net = Net()
    net.relu = Leaky()
    fails(
        check(net, TorchNet(), batch(4, 3, dtype=dtype), names=names), "first: torch grad_output in the model"
    )


class Dense(nn.Module):
    """A layer with parameters of its own names, and its twin in torch has others."""

    def __init__(self, bias: float = 1.0) -> None:
        self.kernel = nn.Parameter(batch(2, 3))
        self.offset = nn.Parameter(batch(2))
        self.times = bias

    def forward(self, x: np.ndarray) -> np.ndarray:
        self.save_for_backward(x)
        y: np.ndarray = x @ self.kernel.data.T + self.offset.data
        return y

    def backward(self, grad_output: np.ndarray) -> Any:
        (x,) = self.saved
        self.kernel.accumulate(grad_output.T @ x)
        self.offset.accumulate(self.times * grad_output.sum(axis=0))
        return grad_output @ self.kernel.data


@pytest.mark.parametrize(
    "names",
    [{"0": "1", "0.kernel": "1.weight", "0.offset": "1.bias", "1": "2"}, "order"],
    ids=["by name", "by order"],
)
def test_parameters_of_other_names(names: Names, dtype: str) -> None:
    """The formula is that of torch's layer, and the report has our names."""
    x = batch(4, 3, dtype=dtype)
    sides = (
        nn.Sequential(Dense(), nn.Tanh()),
        torch.nn.Sequential(torch.nn.Identity(), torch.nn.Linear(3, 2), torch.nn.Tanh()),
    )
    report = check(*sides, x, names=names)
    report.raise_if_different()
    fails(check(nn.Sequential(Dense(2.0), nn.Tanh()), sides[1], x, names=names), "0: torch grad offset")


def test_one_layer_here_is_several_there(dtype: str) -> None:
    """A layer whose parameters lie in two of torch's layers: it is compared by what comes of it."""

    class Both(nn.Module):
        def __init__(self) -> None:
            self.inner, self.outer = nn.Parameter(batch(4, 3)), nn.Parameter(batch(2, 4))

        def forward(self, x: np.ndarray) -> Any:
            hidden = x @ self.inner.data.T
            self.save_for_backward(x, hidden)
            return hidden @ self.outer.data.T

        def backward(self, grad_output: np.ndarray) -> Any:
            x, hidden = self.saved
            self.outer.accumulate(grad_output.T @ hidden)
            grad_hidden = grad_output @ self.outer.data
            self.inner.accumulate(grad_hidden.T @ x)
            return grad_hidden @ self.inner.data

    twin = torch.nn.Sequential(
        torch.nn.Linear(3, 4, bias=False), torch.nn.Linear(4, 2, bias=False), torch.nn.Tanh()
    )
    own, x = nn.Sequential(Both(), nn.Tanh()), batch(5, 3, dtype=dtype)
    check(own, twin, x, names="order").raise_if_different()
    names: Names = {"0": None, "0.inner": "0.weight", "0.outer": "1.weight", "1": "2"}
    check(own, twin, x, names=names).raise_if_different()


def test_what_is_inside_goes_by_its_own_names_too(dtype: str) -> None:
    """A module of another name, in which a layer has another name, and one that has the same."""
    own = nn.Sequential(nn.Sequential(nn.Linear(3, 3, rng=0), nn.Tanh()), nn.Linear(3, 2, rng=1))
    body = torch.nn.Sequential(OrderedDict([("fc", torch.nn.Linear(3, 3)), ("1", torch.nn.Tanh())]))
    twin = torch.nn.Sequential(OrderedDict([("body", body), ("1", torch.nn.Linear(3, 2))]))
    report = check(own, twin, batch(4, 3, dtype=dtype), names={"0": "body", "0.0": "body.fc"})
    report.raise_if_different()
    assert {"0", "0.0", "0.1", "1"} <= {c.layer for c in report.comparisons if c.side == "torch"}


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (None, r"no layer named 'first', 'relu', 'second': say by `names`"),
        ({"fc": "layers.0"}, r"names: numpy_module has no 'fc', only 'first', .*'second\.bias'"),
        ({"first": "layers.2"}, r"names: torch_module has no 'layers\.2', only 'layers', 'layers\.0'"),
        ({"first": "layers.0", "second": "layers.1"}, r"no layer named 'relu'"),
        ({"first": "layers.1", "second": "layers.0", "relu": None}, r"first\.weight has shape \(5, 3\)"),
        ({"first": "layers.0", "second": None, "relu": None}, r"torch_module has no second\.weight"),
        (
            {"first": "layers.0", "first.weight": "layers.1.weight"},
            r"its weight is 'layers\.1\.weight', not inside: .* names=\{'first': None",
        ),
    ],
    ids=str,
)
def test_names_that_do_not_fit(names: Names | None, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        check(Net(), TorchNet(), batch(4, 3), names=names)


def test_orders_that_do_not_fit() -> None:
    twin = torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.Linear(5, 4))
    with pytest.raises(ValueError, match=r"by order, torch_module has no \(2, 5\) left for 'second\.weight'"):
        check(Net(), twin, batch(4, 3), names="order")
    twin = torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.Linear(5, 2), torch.nn.Linear(2, 2))
    with pytest.raises(
        ValueError, match=r"by order, numpy_module has nothing left for '2\.bias', '2\.weight'|left for"
    ):
        check(Net(), twin, batch(4, 3), names="order")
