"""Numbers at the edge: huge, infinite, nan, equal, none at all. What torch makes of them, without a warning.

The suite turns warnings into errors, so each of these tests also says: NumPy had nothing to complain about.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from gdl_numpy import nn, optim
from gdl_numpy.data import load
from gdl_numpy.tasks import as_arguments
from parity_tests.harness import ParityReport, check
from parity_tests.harness.evaluate import as_dtype, flatten, is_floating, run_numpy
from parity_tests.harness.evaluate_torch import run_torch
from parity_tests.harness.layer_cases import LAYERS, LayerCase
from parity_tests.harness.model_cases import MODELS

if TYPE_CHECKING:
    from collections.abc import Callable

    Agree = Callable[[ParityReport], None]

LARGEST = float(np.finfo(np.float32).max)
INF, NAN = np.inf, np.nan
ROWS: dict[str, list[float]] = {
    "1e4": [1e4, -1e4, 0.0, 1e4],
    "1e4 once": [-1e4, 1e4, 3.0, -1e4],
    "largest float32": [LARGEST, -LARGEST, 0.0, 1.0],
    "inf": [INF, 0.0, 1.0, 2.0],
    "-inf": [-INF, 0.0, 1.0, -INF],
    "all -inf": [-INF, -INF, -INF, -INF],
    "both inf": [INF, -INF, 0.0, INF],
    "nan": [NAN, 0.0, 1e4, -1.0],
}


class Twins(NamedTuple):
    numpy_module: nn.Module
    torch_module: torch.nn.Module
    targets: tuple[np.ndarray, ...] = ()


def cross_entropy(class_id: int) -> Twins:
    return Twins(nn.CrossEntropyLoss(), torch.nn.CrossEntropyLoss(), (np.array([class_id]),))


SIGNS = np.array([[0.0, 1.0, 1.0, 0.0]])
FUNCTIONS: dict[str, Callable[[], Twins]] = {
    "ReLU": lambda: Twins(nn.ReLU(), torch.nn.ReLU()),
    "Sigmoid": lambda: Twins(nn.Sigmoid(), torch.nn.Sigmoid()),
    "Tanh": lambda: Twins(nn.Tanh(), torch.nn.Tanh()),
    "Softmax": lambda: Twins(nn.Softmax(1), torch.nn.Softmax(1)),
    "LogSoftmax": lambda: Twins(nn.LogSoftmax(1), torch.nn.LogSoftmax(1)),
    "BCEWithLogitsLoss": lambda: Twins(
        nn.BCEWithLogitsLoss(reduction="none"), torch.nn.BCEWithLogitsLoss(reduction="none"), (SIGNS,)
    ),
    "CrossEntropyLoss, class 0": lambda: cross_entropy(0),
    "CrossEntropyLoss, class 1": lambda: cross_entropy(1),
}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)
def test_extremes(function: Callable[[], Twins], row: list[float], dtype: str, agree: Agree) -> None:
    """Forward and backward: finite where torch is finite, inf and nan where torch has those."""
    own, twin, targets = function()
    x = np.array([row]).astype(dtype)
    agree(check(own, twin, x, targets, dtype=dtype))

    targets = tuple(t.astype(dtype) if t.dtype.kind == "f" else t for t in targets)
    found = run_numpy(own, (x,), targets, lambda outputs: [np.ones_like(y) for y in outputs])
    theirs = run_torch(twin, (x,), targets, lambda outputs: [np.ones_like(y) for y in outputs])
    for actual, expected in zip(
        (*found.outputs, *found.grad_inputs), (*theirs.outputs, *theirs.grad_inputs), strict=True
    ):
        np.testing.assert_array_equal(np.isnan(actual), np.isnan(expected))
        np.testing.assert_array_equal(np.isposinf(actual), np.isposinf(expected))
        np.testing.assert_array_equal(np.isneginf(actual), np.isneginf(expected))


@pytest.mark.parametrize("activation", ["relu", "sigmoid", "tanh"])
@pytest.mark.parametrize("name", [name for name, case in MODELS.items() if case.fits(load("digits"))])
def test_a_model_fed_with_huge_numbers(name: str, activation: str, dtype: str) -> None:
    """A training step on inputs of ±1e4 gives no warning, and finite gradients."""
    case = MODELS[name]
    model = case.build({**case.variants[0], "activation": activation})[0].astype(dtype)
    inputs, targets = case.example(case.variants[0], 5, np.random.default_rng(0))
    huge = tuple(1e4 * np.sign(x).astype(dtype) for x in as_arguments(inputs))
    task = case.task(model)
    assert np.isfinite(task(huge, as_dtype(targets, dtype)))
    task.backward()
    for parameter in model.parameters():
        assert isinstance(parameter.grad, np.ndarray)
        assert np.isfinite(parameter.grad).all()


each_layer = pytest.mark.parametrize("case", LAYERS.values(), ids=LAYERS)


@pytest.mark.parametrize(
    "case",
    [case for name, case in LAYERS.items() if name not in ("BCELoss", "Embedding", "EmbeddingBag")],
    ids=lambda c: c.name,
)
def test_nan_passes_through(case: LayerCase, dtype: str, agree: Agree) -> None:
    """One nan in the input: nan where torch has it, the same numbers elsewhere, and the report knows."""

    @given(st.data())
    def run(data: st.DataObject) -> None:
        own, twin, inputs, targets = case.example(data.draw)
        x = flatten(inputs)[0]
        assume(x.size)
        x.flat[data.draw(st.integers(0, x.size - 1))] = np.nan
        report = check(own, twin, inputs, targets, dtype=dtype, steps=0)
        assert report.first_nan == "the input"
        agree(report)

    run()


def test_nan_is_no_probability_out_of_range() -> None:
    """Where torch refuses a nan, the loss here is nan, so that one can see where it came from."""
    loss = nn.BCELoss()
    assert np.isnan(loss(np.array([0.5, np.nan]), np.array([0.0, 1.0])))
    assert np.isnan(loss.backward()[1])


# Those that draw empty batches anyway, and take more than one array.
DRAW_EMPTY = {"RNN", "LSTM", "EmbeddingBag", "DotProduct"}
DRAW_EMPTY |= {"TripletMarginLoss", "CosineEmbeddingLoss", "ContrastiveLoss", "NTXentLoss"}


@pytest.mark.parametrize(
    "case", [case for name, case in LAYERS.items() if name not in DRAW_EMPTY], ids=lambda c: c.name
)
def test_empty_batch(case: LayerCase, dtype: str, agree: Agree) -> None:
    """No examples: empty results, parameter gradients of zero, a mean that is nan; all as in torch."""

    @given(st.data())
    def run(data: st.DataObject) -> None:
        own, twin, x, targets = case.example(data.draw)
        assume(x.ndim > 1)
        assume(getattr(own, "dim", 1) % x.ndim)  # probabilities over no examples are nobody's
        agree(check(own, twin, x[:0], None if targets is None else targets[:0], dtype=dtype))

    run()


@pytest.mark.parametrize("arguments", [(2,), (3, 1, 1), ((2, 3), (1, 2)), (3, 2, 1)], ids=str)
@pytest.mark.parametrize("values", [[0.0], [0.0, 1.0], [-1.0, 0.0, 1.0]], ids=str)
def test_ties_go_where_torch_sends_them(
    arguments: tuple[Any, ...], values: list[float], dtype: str, agree: Agree
) -> None:
    """Of equal numbers in a window one gets the gradient, and it is the same one on both sides."""
    x = np.random.default_rng(0).choice(values, (3, 2, 7, 8))
    agree(check(nn.MaxPool2d(*arguments), torch.nn.MaxPool2d(*arguments), x, dtype=dtype))


@each_layer
def test_nothing_is_upcast(case: LayerCase, dtype: str) -> None:
    """Outputs, what is kept for backward, and all gradients have the dtype of input and parameters."""

    @given(st.data())
    def run(data: st.DataObject) -> None:
        example = case.example(data.draw)
        layer = example.numpy_module.astype(dtype)
        inputs, targets = (as_dtype(as_arguments(part), dtype) for part in (example.inputs, example.targets))
        result = run_numpy(layer, inputs, targets, lambda outputs: [y.astype(dtype) for y in outputs])
        outputs = [y for y in result.outputs if y.ndim]  # a reduced loss is a Python float
        saved = [a for a in flatten(layer.saved) if isinstance(a, np.ndarray) and is_floating(a)]
        for array in (*outputs, *saved, *result.grad_inputs, *result.grad_params.values()):
            assert array.dtype == dtype

    run()


@pytest.mark.parametrize("optimizer", optim.OPTIMIZERS.values(), ids=optim.OPTIMIZERS)
@pytest.mark.parametrize("name", MODELS)
def test_training_upcasts_nothing(name: str, optimizer: type[optim.Optimizer], dtype: str) -> None:
    """Two steps of a whole model: parameters, gradients and the optimizer's buffers keep their dtype."""
    case = MODELS[name]
    model = case.build(case.variants[-1])[0].astype(dtype)
    trainer = optimizer(model.parameters(), lr=0.1, weight_decay=0.1)
    task = case.task(model)
    batch = as_dtype(case.example(case.variants[-1], 4, np.random.default_rng(0)), dtype)
    for _ in range(2):
        task.step(trainer, batch, clip_norm=0.1)
    grads = [parameter.grad for parameter in model.parameters()]
    buffers = [buffer for state in trainer.state for buffer in state.values()]
    for array in (*model.state_dict().values(), *grads, *buffers):
        assert isinstance(array, np.ndarray)
        assert array.dtype == dtype


@pytest.mark.parametrize("ids", [[-100, 0], [0, -100], [1, 1]], ids=str)
@pytest.mark.parametrize("weight", [None, [1.0, 2.0], [0.0, 2.0]], ids=str)
@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_nan_where_nothing_counts(
    reduction: str,
    label_smoothing: float,
    weight: list[float] | None,
    ids: list[int],
    dtype: str,
    agree: Agree,
) -> None:
    """An ignored row of nan leaves the loss alone; a class of weight 0 does not: 0 · nan is nan."""
    weights = None if weight is None else np.array(weight, dtype)
    options: dict[str, Any] = {"reduction": reduction, "label_smoothing": label_smoothing}
    own = nn.CrossEntropyLoss(weights, **options)
    twin = torch.nn.CrossEntropyLoss(None if weights is None else torch.from_numpy(weights), **options)
    x = np.array([[np.nan, 1.0], [0.3, -2.0]], dtype)
    agree(check(own, twin, x, (np.array(ids),), dtype=dtype, steps=0))
