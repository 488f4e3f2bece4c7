"""The checker is checked: each term of each layer, wrong in one way, is noticed and its layer named."""

from __future__ import annotations

import inspect
import textwrap
from dataclasses import dataclass
from functools import cache
from types import MethodType
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from gdl_numpy import nn
from gdl_numpy.nn import conv, pooling
from gdl_numpy.nn.calls import taking_back
from gdl_torch import nn as torch_nn
from parity_tests.harness import check
from parity_tests.harness.central import central_differences
from parity_tests.harness.layer_cases import PACKING

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Plant:
    """One mistake: in a method of the layer, or a function of its file, `old` becomes `new`."""

    kind: str
    layer: str
    function: str
    old: str
    new: str

    def __str__(self) -> str:
        return f"{self.layer} {self.function}: {self.kind} ({self.new})"


BACKWARD_PLANTS = [
    # dL/dW, dL/db and dL/dx of Linear
    Plant("wrong sign", "Linear", "backward", "rows.T @ x", "-rows.T @ x"),
    Plant("missing transpose", "Linear", "backward",
          "grad_output @ self.weight.data", "grad_output @ self.weight.data.T"),
    Plant("missing transpose", "Linear", "backward",
          "rows.T @ x.reshape(-1, self.in_features)", "(rows.T @ x.reshape(-1, self.in_features)).T"),
    Plant("divided twice", "Linear", "sum_rows", "@ matrix", "@ matrix / len(matrix)"),
    Plant("wrong axis", "Linear", "sum_rows",
          "np.ones(len(matrix), matrix.dtype) @ matrix", "matrix @ np.ones(matrix.shape[1], matrix.dtype)"),
    Plant("missing term", "Linear", "backward", "self.bias is not None", "self.bias is None"),
    # Conv2d
    Plant("wrong sign", "Conv2d", "backward", "grad_matrix +=", "grad_matrix -="),
    Plant("wrong axis", "Conv2d", "backward", "transpose(3, 2, 0, 1)", "transpose(3, 2, 1, 0)"),
    Plant("dropped accumulation", "Conv2d", "backward", "grad_matrix +=", "grad_matrix[...] ="),
    Plant("divided twice", "Conv2d", "backward", "[-1].copy()", "[-1] / len(grad_output)"),
    Plant("missing transpose", "Conv2d", "backward", "transpose(2, 3, 0, 1)", "transpose(2, 3, 1, 0)"),
    Plant("off by one", "Conv2d", "backward", "[:, ph : ph + height,", "[:, ph - 1 : ph - 1 + height,"),
    Plant("kernel turned", "Conv2d", "fold_products", "zip(matrices,", "zip(matrices[::-1],"),
    Plant("dropped accumulation", "Conv2d", "fold_products", "+=", "="),
    Plant("wrong sign", "Conv2d", "multiply_windows_backward", "= products.sum", "= -products.sum"),
    # pooling
    Plant("dropped accumulation", "MaxPool2d", "max_along_backward", "+=", "="),
    Plant("off by one", "MaxPool2d", "max_along_backward",
          "+= keep_where(winner == position,", "+= keep_where(winner == position + 1,"),
    Plant("dropped accumulation", "AvgPool2d", "backward", "+=", "="),
    Plant("missing factor", "AvgPool2d", "backward", " / len(positions)", ""),
    # activations
    Plant("missing mask", "ReLU", "backward", "keep_where(np.not_equal(y, 0), ", "np.positive("),
    Plant("gradient at zero", "ReLU", "backward", "np.not_equal(y, 0)", "np.greater_equal(y, 0)"),
    Plant("missing factor", "Sigmoid", "backward", "grad_x *= y", "pass"),
    Plant("missing factor", "Tanh", "backward", "grad_x *= grad_output", "pass"),
    Plant("missing square", "Tanh", "backward", "y * y", "y * 1"),
    Plant("wrong axis", "Softmax", "backward", "sum(axis=self.dim", "sum(axis=1 - self.dim"),
    Plant("missing term", "Softmax", "backward", "(grad_output * y).sum", "(0 * y).sum"),
    Plant("missing exponential", "LogSoftmax", "backward", "np.exp(y)", "y.copy()"),
    Plant("wrong axis", "LogSoftmax", "backward", "sum(axis=self.dim", "sum(axis=1 - self.dim"),
    Plant("wrong order", "Flatten", "backward", "reshape(x.shape)", "reshape(x.shape, order='F')"),
    Plant("missing mask", "Dropout", "backward", "grad_output * mask", "grad_output"),
    # recurrences: their products and what is shared between layers
    Plant("no time", "RNN", "unroll_backward", "weight_hh.T @ dz_t", "0 * dh_t"),
    Plant("missing transpose", "RNN", "unroll_backward", "weight_hh.T @", "weight_hh @"),
    Plant("missing factor", "RNN", "unroll_backward", "(1 - h_t * h_t)", "1"),
    Plant("off by one", "RNN", "unroll_backward", "(1 - h_t * h_t)", "(1 - h[t] * h[t])"),
    Plant("reads past the end", "RNN", "unroll_backward", "np.copyto(dz_t, 0, where=ended[t])", "pass"),
    Plant("stops at the end", "RNN", "unroll_backward", "unless_ended(ended,", "unless_ended(None,"),
    Plant("output past the end", "RNN", "run_backward", "grad_h = np.where(ended, zero, grad_h)", "pass"),
    Plant("last state forgotten", "RNN", "run_backward", "(g[layer].T)", "(0 * g[layer].T)"),
    Plant("layers mixed up", "RNN", "run_backward", "grad_start.insert(0, ", "grad_start.append("),
    Plant("off by one", "RNN", "run_backward", "trace[0][:-1]", "trace[0][1:]"),
    Plant("missing term", "RNN", "hidden_products_backward", "\"bias_hh\")", "\"bias_ih\")"),
    Plant("wrong sign", "RNN", "input_products_backward", "(columns @ x.reshape", "(-columns @ x.reshape"),
    Plant("wrong sign", "RNN", "input_products_backward", "return (columns.T @", "return (-columns.T @"),
    Plant("gates mixed up", "LSTM", "unroll_backward", "i, f, g, o =", "f, i, g, o ="),
    Plant("missing term", "LSTM", "unroll_backward", "dh + grad_h[t]", "dh"),
    Plant("missing term", "LSTM", "unroll_backward", "dc + dh_t * o * slope_c[t]", "dc"),
    Plant("missing factor", "LSTM", "unroll_backward", " * slope_c[t]", ""),
    Plant("missing square", "LSTM", "unroll_backward", "1 - tanh_c * tanh_c", "1 - tanh_c"),
    Plant("missing factor", "LSTM", "unroll_backward", "(dc_t * g,", "(dc_t,"),
    Plant("off by one", "LSTM", "unroll_backward", "(dc_t * c[t],", "(dc_t * c[t + 1],"),
    Plant("missing factor", "LSTM", "unroll_backward", "(dc_t * i,", "(dc_t,"),
    Plant("missing tanh", "LSTM", "unroll_backward", "(dh_t * tanh_c[t],", "(dh_t * c[t + 1],"),
    Plant("missing square", "LSTM", "unroll_backward", "1 - g * g", "1 - g"),
    Plant("missing factor", "LSTM", "unroll_backward", "i * (1 - i)", "(1 - i)"),
    Plant("missing factor", "LSTM", "unroll_backward", "f * (1 - f)", "f"),
    Plant("missing factor", "LSTM", "unroll_backward", "o * (1 - o)", "(1 - o)"),
    Plant("forgets nothing", "LSTM", "unroll_backward", "dc_t * f", "dc_t"),
    Plant("forgets at the end", "LSTM", "unroll_backward", "stayed=dc)", "stayed=dc_t * f)"),
    Plant("no time", "LSTM", "unroll_backward", "weight_hh.T @ dz_t", "0 * dh_t"),
    Plant("missing mask", "Embedding", "accumulate_rows", "ids != self.padding_idx", "ids >= 0"),
    # losses
    Plant("missing factor", "MSELoss", "backward", "2 * scale", "scale"),
    Plant("wrong sign", "MSELoss", "backward", "difference * (", "-difference * ("),
    Plant("missing factor", "BCELoss", "backward", "(1 - p) * p", "p"),
    Plant("missing factor", "BCELoss", "backward", "scale * (p - t)", "(p - t)"),
    Plant("missing term", "BCEWithLogitsLoss", "backward", "grad -= t", "pass"),
    Plant("off by one", "CrossEntropyLoss", "backward", "-= 1", "-= 2"),
    Plant("divided twice", "CrossEntropyLoss", "backward",
          "scale = self.grad_losses", "scale = 0.5 * self.grad_losses"),
    Plant("ignored targets counted", "CrossEntropyLoss", "backward",
          "np.where(counted, scale.reshape(-1), np.zeros((), log_p.dtype))",
          "np.broadcast_to(scale, counted.shape)"),
    # sums over bags, and the two ways in which rows are added up
    Plant("missing factor", "EmbeddingBag", "backward", "grad_output / divisor", "grad_output"),
    Plant("bags mixed up", "EmbeddingBag", "backward",
          "np.arange(len(lengths))", "np.arange(len(lengths))[::-1]"),
    # vectors of length 1
    Plant("missing term", "Normalize", "normalize_backward", "along * y", "0 * y"),
    Plant("missing factor", "Normalize", "normalize_backward", "grad_x /= norm", "pass"),
    Plant("zeros have a direction", "Normalize", "normalize_backward", "norm > eps", "norm >= 0"),
    # pairs and triplets
    Plant("missing term", "TripletMarginLoss", "backward", "pull - push, -pull - push", "pull, -pull - push"),
    Plant("missing term", "TripletMarginLoss", "backward", "-pull - push_swapped", "-pull"),
    Plant("missing term", "TripletMarginLoss", "backward", "push + push_swapped", "push"),
    Plant("wrong sign", "TripletMarginLoss", "backward", "push + push_swapped", "-push + push_swapped"),
    Plant("missing mask", "TripletMarginLoss", "backward", " * (losses > 0)", " * np.ones_like(losses)"),
    Plant("both distances", "TripletMarginLoss", "backward", "(scale * share_swapped)", "scale"),
    Plant("both distances", "TripletMarginLoss", "backward", "(scale * share)[", "scale["),
    Plant("missing term", "CosineEmbeddingLoss", "backward", "(scale * cos / m1)", "(0 * scale)"),
    Plant("missing term", "CosineEmbeddingLoss", "backward", "(scale * cos / m2)", "(0 * scale)"),
    Plant("vectors mixed up", "CosineEmbeddingLoss", "backward", "across * x2", "across * x1"),
    Plant("missing factor", "CosineEmbeddingLoss", "backward", "scale / product", "scale"),
    Plant("missing factor", "CosineEmbeddingLoss", "backward", "slope * self", "self"),
    Plant("missing term", "ContrastiveLoss", "backward", "1, -push", "1, 0"),
    Plant("wrong sign", "ContrastiveLoss", "backward", "1, -push", "1, push"),
    Plant("missing factor", "ContrastiveLoss", "backward", "2 * self", "self"),
    Plant("wrong sign", "ContrastiveLoss", "backward", "grad, -grad", "grad, grad"),
    Plant("missing factor", "ContrastiveLoss", "backward",
          "np.divide(missing, d,", "np.multiply(missing, 1,"),
    Plant("missing transpose", "NTXentLoss", "backward", "a.T @ z", "a @ z"),
    Plant("missing term", "NTXentLoss", "backward", "grad_z += a.T @ z", "pass"),
    Plant("missing term", "NTXentLoss", "backward", "a[self._pairs(count)] -= w", "pass"),
    Plant("missing factor", "NTXentLoss", "backward", "(w / sums)", "(1 / sums)"),
    Plant("missing factor", "NTXentLoss", "backward", "grad_z /= self.temperature", "pass"),
    Plant("missing normalization", "NTXentLoss", "backward",
          "normalize_backward(grad_z, z, norm, 1, NORM_EPSILON)", "grad_z / norm"),
]  # fmt: skip


FORWARD_PLANTS = [
    Plant("wrong sign", "Linear", "forward", "y += self.bias.data", "y -= self.bias.data"),
    Plant("missing term", "Conv2d", "_matrix", "[weight, bias]", "[weight, 0 * bias]"),
    Plant("ties go to the last", "MaxPool2d", "max_along", "x[step] > y", "x[step] >= y"),
    Plant("missing factor", "AvgPool2d", "forward", "y /= len(positions)", "pass"),
    Plant("wrong order", "Flatten", "forward", "x.shape[end + 1 :])", "x.shape[end + 1 :], order='F')"),
    Plant("missing inversion", "Dropout", "forward", "1 / (1 - self.p) if", "1.0 if"),
    Plant("wrong axis", "Softmax", "forward", "y.sum(axis=self.dim", "y.sum(axis=1 - self.dim"),
    Plant("divided twice", "MSELoss", "forward", "difference.size)", "difference.size * 2)"),
    Plant("missing factor", "EmbeddingBag", "forward", "y /= divisor", "pass"),
    Plant("padding divides", "EmbeddingBag", "forward", "np.maximum(lengths", "np.maximum(2 + 0 * lengths"),
    Plant("padding counted", "EmbeddingBag", "forward", "ids != self.padding_idx", "ids >= 0"),
    Plant("missing root", "Normalize", "normalize", "np.sqrt", "np.asarray"),
    Plant("missing term", "TripletMarginLoss", "_distance", "difference += self.eps", "pass"),
    Plant("greater distance", "TripletMarginLoss", "forward", "np.minimum(d_far", "np.maximum(d_far"),
    Plant("missing factor", "CosineEmbeddingLoss", "forward", "sum(axis=1) / product", "sum(axis=1)"),
    Plant("targets mixed up", "ContrastiveLoss", "forward", "target == 1", "target == 0"),
    Plant("missing square", "ContrastiveLoss", "forward", "** 2", ""),
    Plant("compared with itself", "NTXentLoss", "forward", "np.fill_diagonal(scores, -np.inf)", "pass"),
    Plant("missing factor", "NTXentLoss", "forward", "scores /= self.temperature", "pass"),
    Plant("wrong partner", "NTXentLoss", "_pairs", "np.roll(rows, count)", "np.roll(rows, 1)"),
    Plant("wrong sign", "RNN", "unroll", "h[t + 1] += z_t", "h[t + 1] -= z_t"),
    Plant("state moves on", "RNN", "unroll", "np.copyto(h[t + 1], h[t], where=ended[t])", "pass"),
    Plant("gates mixed up", "LSTM", "unroll", "i, f, g, o =", "f, i, g, o ="),
    Plant("state moves on", "LSTM", "unroll", "np.copyto(c[t + 1], c[t], where=ended[t])", "pass"),
    Plant("missing term", "LSTM", "input_products", "z += bias[:, None]", "pass"),
    Plant(
        "wrong half",
        "LSTM",
        "_activate",
        "z[: 2 * hidden], z[3 * hidden :]",
        "z[:hidden], z[hidden : 2 * hidden]",
    ),
]


PAIR_LOSSES = ("TripletMarginLoss", "CosineEmbeddingLoss", "ContrastiveLoss", "NTXentLoss")


def plant(layer: nn.Module, mistake: Plant) -> None:
    """Recompiles what this one layer, and no other of its class, calls: with the mistake in it."""
    function = getattr(type(layer), mistake.function, None)
    is_method = function is not None
    function = function or getattr(inspect.getmodule(type(layer)), mistake.function)
    namespace = dict(vars(inspect.getmodule(inspect.unwrap(function))))

    def compile_into_namespace(function: Any, old: str, new: str) -> None:
        source = textwrap.dedent(inspect.getsource(inspect.unwrap(function)))
        assert old in source, f"{old!r} is no longer in {mistake.layer}'s {mistake.function}"
        code = "from __future__ import annotations\n" + source.replace(old, new, 1)
        exec(compile(code, "<planted>", "exec"), namespace)

    compile_into_namespace(function, mistake.old, mistake.new)
    if is_method:
        planted = namespace[mistake.function]
        vars(layer)[mistake.function] = MethodType(
            taking_back(planted) if mistake.function == "backward" else planted, layer
        )
        return
    for method in ("forward", "backward", "unroll"):  # the function's callers must see its new version
        if hasattr(type(layer), method):
            compile_into_namespace(getattr(type(layer), method), "", "")
            compiled = namespace[method]
            vars(layer)[method] = MethodType(
                taking_back(compiled) if method == "backward" else compiled, layer
            )


def zoo() -> tuple[nn.Sequential, torch.nn.Sequential, np.ndarray]:
    """Every layer, most in the middle, most sizes different; some weights could be transposed unnoticed."""
    layers: list[tuple[str, tuple[Any, ...]]] = [
        ("MaxPool2d", (3, 1, 1)),
        ("Conv2d", (3, 3, (2, 3), (2, 2), (1, 0), (1, 2))),
        ("ReLU", ()),
        ("Conv2d", (3, 4, (3, 2), (2, 1), (2, 1))),
        ("AvgPool2d", (2, 1)),
        ("Tanh", ()),
        ("Flatten", ()),
        ("Dropout", (0.3,)),
        ("Linear", (36, 36)),
        ("Sigmoid", ()),
        ("Softmax", (1,)),
        ("Linear", (36, 5)),
        ("LogSoftmax", (1,)),
    ]
    own = nn.Sequential(*(getattr(nn, name)(*arguments) for name, arguments in layers))
    twin = torch.nn.Sequential(*(getattr(torch.nn, name)(*arguments) for name, arguments in layers))
    rng = np.random.default_rng(7)
    for parameter in own.parameters():
        parameter.data[...] = rng.standard_normal(parameter.data.shape) / 2
    x = np.round(2 * rng.standard_normal((6, 3, 9, 10))) / 2  # with ties and zeros
    return own, twin, x


def sequences(layer: str) -> tuple[nn.Module, torch.nn.Module, tuple[Any, ...]]:
    """A layer that reads sequences, with all that it can be given."""
    rng = np.random.default_rng(3)
    if layer == "Embedding":
        ids = rng.integers(0, 5, (6, 3))
        return nn.Embedding(5, 4, 2, rng=rng), torch.nn.Embedding(5, 4, 2), (ids,)
    x, (h, c) = rng.standard_normal((4, 4, 4)), rng.standard_normal((2, 2, 4, 4))
    lengths = np.array([4, 2, 1, 3])
    own, twin = getattr(nn, layer)(4, 4, 2, rng=rng), PACKING[layer](4, 4, 2)
    return own, twin, (x, h if layer == "RNN" else (h, c), lengths)


def pairs(layer: str) -> tuple[nn.Module, torch.nn.Module, tuple[Any, ...], np.ndarray | None]:
    """A layer for vectors or bags of ids; some vectors are of zeros, some losses are 0."""
    rng = np.random.default_rng(5)
    if layer == "EmbeddingBag":
        own, twin = nn.EmbeddingBag(5, 4, padding_idx=2, rng=rng), torch.nn.EmbeddingBag(5, 4, padding_idx=2)
        return own, twin, (np.array([0, 2, 1, 1, 4, 3, 2, 0, 1]), np.array([0, 3, 3, 7])), None
    x = rng.standard_normal((3, 6, 4))
    if layer == "Normalize":
        x[0, 2:4] *= np.array([[0], [1e-13]])  # not longer than eps
        return nn.Normalize(), torch_nn.Normalize(), (x[0],), None
    if layer == "TripletMarginLoss":
        x[2, :2] *= 9  # far enough
        x[2, 2:4] = x[1, 2:4] + 0.1  # nearer to the positive than to the anchor
        x[2, 4:] = x[0, 4:] + 0.1
        arguments: dict[str, Any] = {"margin": 0.5, "swap": True}
        return nn.TripletMarginLoss(**arguments), torch.nn.TripletMarginLoss(**arguments), (*x,), None
    if layer == "NTXentLoss":
        return nn.NTXentLoss(), torch_nn.NTXentLoss(), (x[0], x[1]), None
    alike = np.array([1, 1, 0, 0, 0, 1])
    if layer == "ContrastiveLoss":
        return nn.ContrastiveLoss(3), torch_nn.ContrastiveLoss(3), (x[0], x[1]), alike
    return nn.CosineEmbeddingLoss(0.1), torch.nn.CosineEmbeddingLoss(0.1), (x[0], x[1]), 2 * alike - 1


def find(model: nn.Module, layer: str) -> tuple[str, nn.Module]:
    return next((name, m) for name, m in model.named_modules() if type(m).__name__ == layer)


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Convolutions take one image at a time, so that what they accumulate over blocks is tested too."""
    monkeypatch.setattr(conv, "BLOCK_BYTES", 1)
    monkeypatch.setattr(pooling, "BLOCK_BYTES", 1)


def patient(layer: str) -> tuple[nn.Module, torch.nn.Module, Any, Any]:
    """A layer, or a network that it is in, with its twin, and what both are given: inputs and targets."""
    if layer in ("EmbeddingBag", "Normalize", *PAIR_LOSSES):
        return pairs(layer)
    if layer in ("Embedding", *PACKING):
        return *sequences(layer), None
    if not layer.endswith("Loss"):
        return *zoo(), None
    rng = np.random.default_rng(0)
    own, twin = getattr(nn, layer)(), getattr(torch.nn, layer)()
    if layer == "CrossEntropyLoss":
        return own, twin, rng.standard_normal((6, 4)), np.array([0, 1, -100, 3, 2, -100])
    return own, twin, rng.uniform(0.1, 0.9, (5, 4)), rng.uniform(0.1, 0.9, (5, 4))


@pytest.fixture(scope="module")
def agrees() -> Callable[[str], bool]:
    """Whether a layer without a mistake passes: found out once, not before each of its mistakes."""
    return cache(lambda layer: check(*patient(layer), dtype="float64", steps=0).ok)


@pytest.mark.usefixtures("small_blocks", "unchecked_types")
@pytest.mark.parametrize("mistake", FORWARD_PLANTS + BACKWARD_PLANTS, ids=str)
def test_a_planted_mistake_is_caught_and_its_layer_named(
    mistake: Plant, agrees: Callable[[str], bool]
) -> None:
    """Each term of each backward pass, wrong in one way: the harness notices and says where."""
    assert agrees(mistake.layer)
    own, twin, x, target = patient(mistake.layer)
    name, faulty = find(own, mistake.layer)
    plant(faulty, mistake)
    report = check(own, twin, x, target, dtype="float64", steps=0)
    assert report.first_disagreement is not None
    assert report.first_disagreement.layer == name
    backward = mistake in BACKWARD_PLANTS
    if "ties" not in mistake.kind:  # equal numbers give the same maximum: those show only in the gradient
        assert report.first_disagreement.tensor.startswith("grad" if backward else "output")


@pytest.mark.parametrize(
    "mistake",
    [
        p
        for p in BACKWARD_PLANTS
        if p.layer in ("Linear", "ReLU", "Sigmoid", "Tanh", "Softmax")
        and p.kind not in ("wrong axis", "missing term")
    ],
    ids=str,
)
@pytest.mark.usefixtures("unchecked_types")
def test_central_differences_see_it_without_torch(mistake: Plant) -> None:
    rng = np.random.default_rng(1)
    layer = getattr(nn, mistake.layer)(*((6, 6) if mistake.layer == "Linear" else ()))
    x = rng.standard_normal((6, 6))
    assert all(c.ok for c in central_differences(layer, x))
    plant(layer, mistake)
    if mistake.kind != "gradient at zero":  # that one is no slope, but a convention shared with torch
        assert not all(c.ok for c in central_differences(layer, x))


@pytest.mark.usefixtures("unchecked_types")
def test_a_mistake_in_windows_that_tile() -> None:
    """Side by side, pooling's windows take a branch of their own, which the zoo's overlapping ones do not."""
    layer, x = nn.MaxPool2d(2), np.random.default_rng(0).standard_normal((3, 2, 6, 8))
    assert check(layer, torch.nn.MaxPool2d(2), x).ok
    old = "keep_where(winner == position, grad, out"
    plant(layer, Plant("wrong place", "MaxPool2d", "max_along_backward", old, old.replace("==", "!=")))
    report = check(layer, torch.nn.MaxPool2d(2), x)
    assert report.first_disagreement is not None
    assert report.first_disagreement.tensor == "grad_input"


@pytest.mark.usefixtures("unchecked_types")
def test_a_mistake_in_images_of_many_channels() -> None:
    """They are channels-last in memory, and multiplied otherwise than the zoo's few channels."""
    layer, x = nn.Conv2d(9, 33, 3, rng=0), np.random.default_rng(0).standard_normal((3, 9, 5, 6))
    assert check(layer, torch.nn.Conv2d(9, 33, 3), x).ok
    plant(layer, Plant("wrong sign", "Conv2d", "multiply_windows", "(windows, matrix,", "(-windows, matrix,"))
    report = check(layer, torch.nn.Conv2d(9, 33, 3), x)
    assert report.first_disagreement is not None
    assert report.first_disagreement.tensor == "output"


@pytest.mark.usefixtures("unchecked_types")
@pytest.mark.parametrize(
    ("tensor", "old", "new"),
    [
        ("output", "rows *= weights[:, None]", "pass"),
        ("output", "weights[start:end]", "weights[:length]"),
        ("output", "weights[counted]", "weights[::-1][counted]"),
        ("grad weight", "bag_of, weights)", "bag_of, None)"),
        ("grad_input", "rows.take(bag_of, axis=0)", "rows.take(0 * bag_of, axis=0)"),
        ("grad_input", "table.take(ids, axis=0))", "table.take(0 * ids, axis=0))"),
        ("grad_input", "grad[counted] = grad_weights", "grad[: len(grad_weights)] = grad_weights"),
    ],
)
def test_a_mistake_in_weighed_bags(tensor: str, old: str, new: str) -> None:
    """In sums of long and of short bags, with padding."""
    rng = np.random.default_rng(0)
    long = "start:end" in old
    ids, offsets = rng.integers(0, 5, 300 if long else 15), np.array([0, 3, 3, 8])
    layer, twin = (
        nn.EmbeddingBag(5, 4, mode="sum", padding_idx=2, rng=0),
        torch.nn.EmbeddingBag(5, 4, mode="sum", padding_idx=2),
    )
    inputs = ids, offsets, rng.standard_normal(len(ids))
    assert check(layer, twin, inputs).ok
    function = next(
        name
        for name in ("_sums", "forward", "backward")
        if old in inspect.getsource(getattr(nn.EmbeddingBag, name))
    )
    plant(layer, Plant("weights", "EmbeddingBag", function, old, new))
    report = check(layer, twin, inputs)
    assert report.first_disagreement is not None
    assert report.first_disagreement.tensor.startswith(tensor)


@pytest.mark.usefixtures("unchecked_types")
@pytest.mark.parametrize(
    ("tensor", "function", "old", "new"),
    [
        ("output", "_answers", "smoothing / classes", "smoothing"),
        ("output", "_answers", "1 - smoothing", "1"),
        ("output", "_answers", "q *= self.weight.astype(q.dtype)", "pass"),
        ("output", "forward", "self.weight[chosen[1]] * counted", "counted"),
        ("grad_input", "backward", "grad *= q.sum(axis=1, keepdims=True)", "pass"),
        ("grad_input", "backward", "grad -= q", "grad += q"),
    ],
)
def test_a_mistake_in_weights_or_smoothing(tensor: str, function: str, old: str, new: str) -> None:
    weight, options = np.array([0.5, 1.0, 2.0, 3.0]), {"label_smoothing": 0.2}
    layer = nn.CrossEntropyLoss(weight, **options)  # type: ignore[arg-type]
    twin = torch.nn.CrossEntropyLoss(torch.from_numpy(weight), **options)  # type: ignore[arg-type]
    given = np.random.default_rng(0).standard_normal((6, 4)), np.array([0, 1, -100, 3, 2, -100])
    assert check(layer, twin, *given).ok
    plant(layer, Plant("answers", "CrossEntropyLoss", function, old, new))
    report = check(layer, twin, *given)
    assert report.first_disagreement is not None
    assert report.first_disagreement.tensor == tensor
