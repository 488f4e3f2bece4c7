"""Bad input is refused at once, and the message says which layer or argument, what it got and what it wants.

Run as users run it, without the suite's run-time type checks: the package's own refusals must do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gdl_numpy import models, nn, optim
from gdl_numpy.nn.sequence import Rows
from parity_tests.harness.evaluate import as_dtype
from parity_tests.harness.layer_cases import LAYERS, LayerCase

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.usefixtures("unchecked_types")


class Refusal(NamedTuple):
    """What is tried, the exception it must raise, and what its message must contain."""

    what: str
    attempt: Callable[[], object]
    error: type[Exception]
    who: str
    got: str
    wants: str


def zeros(*shape: int, dtype: str = "float32") -> np.ndarray:
    return np.zeros(shape, dtype)


def ids(*values: int) -> np.ndarray:
    return np.array(values)


def parameters() -> list[nn.Parameter]:
    return [nn.Parameter(zeros(2, 3)), nn.Parameter(zeros(4))]


def backward(module: nn.Module, inputs: tuple[np.ndarray, ...], grad_output: Any) -> object:
    module(*inputs)
    return module.backward(grad_output)


def load(optimizer: optim.Optimizer, other: optim.Optimizer) -> None:
    optimizer.load_state_dict(other.state_dict())


LINEAR = "Linear(in_features=3, out_features=4, bias=True)"
CONV = "Conv2d(2, 4, kernel_size=(3, 3), stride=(1, 1), padding=(0, 0), dilation=(1, 1), bias=True)"
CROSS_ENTROPY = "CrossEntropyLoss(ignore_index=-100, reduction='mean')"
BAG = "EmbeddingBag(5, 3, mode='mean')"
FLOATS = "float32 or float64"

INPUTS = [
    Refusal("features", lambda: nn.Linear(3, 4)(zeros(2, 5)),
            ValueError, LINEAR, "(2, 5)", "(*, 3)"),
    Refusal("a number", lambda: nn.Linear(3, 4)(np.array(1.0, np.float32)),
            ValueError, LINEAR, "got ()", "(*, 3)"),
    Refusal("integers", lambda: nn.Linear(3, 4)(zeros(2, 3, dtype="uint8")),
            ValueError, LINEAR, "uint8", FLOATS),
    Refusal("half", lambda: nn.Linear(3, 4)(zeros(2, 3, dtype="float16")),
            ValueError, LINEAR, "float16", FLOATS),
    Refusal("mixed", lambda: nn.Linear(3, 4)(zeros(2, 3, dtype="float64")),
            ValueError, LINEAR, "input float64", "weight float32"),
    Refusal("one dimension", lambda: nn.Flatten()(zeros(3)),
            IndexError, "Flatten(start_dim=1, end_dim=-1)", "(3,)", "dimension 1"),
    Refusal("a number to flatten", lambda: nn.Flatten()(zeros()),
            IndexError, "Flatten(start_dim=1, end_dim=-1)", "()", "dimension 1"),
    Refusal("too far from the end", lambda: nn.Flatten(0, -4)(zeros(2, 3, 4)),
            IndexError, "Flatten(start_dim=0, end_dim=-4)", "(2, 3, 4)", "dimension -4"),
    Refusal("start after end", lambda: nn.Flatten(-1, 1)(zeros(2, 3, 4)),
            RuntimeError, "Flatten(start_dim=-1, end_dim=1)", "2 and 1", "not to come after end_dim"),
    Refusal("channels", lambda: nn.Conv2d(2, 4, 3)(zeros(1, 3, 5, 5)),
            ValueError, CONV, "(1, 3, 5, 5)", "(batch, 2, height, width)"),
    Refusal("no batch", lambda: nn.Conv2d(2, 4, 3)(zeros(2, 5, 5)),
            ValueError, CONV, "(2, 5, 5)", "(batch, 2, height, width)"),
    Refusal("mixed in conv", lambda: nn.Conv2d(2, 4, 3)(zeros(1, 2, 5, 5, dtype="float64")),
            ValueError, CONV, "input float64", "weight float32"),
    Refusal("kernel too high", lambda: nn.Conv2d(2, 4, 3)(zeros(1, 2, 2, 9)),
            ValueError, CONV, "(3, 3)", "padded input (2, 9)"),
    Refusal("kernel too wide", lambda: nn.Conv2d(2, 4, 3, 1, 1, (1, 4))(zeros(1, 2, 1, 6)),
            ValueError, "dilation=(1, 4)", "(3, 9)", "padded input (3, 8)"),
    Refusal("window too wide", lambda: nn.MaxPool2d(3)(zeros(1, 2, 3, 2)),
            ValueError, "MaxPool2d(kernel_size=(3, 3)", "(3, 3)", "padded input (3, 2)"),
    Refusal("no batch to pool", lambda: nn.MaxPool2d(3)(zeros(2, 3, 3)),
            ValueError, "MaxPool2d(kernel_size=(3, 3)", "(2, 3, 3)", "(batch, channels, height, width)"),
    Refusal("no such dimension", lambda: nn.Softmax(2)(zeros(2, 3)),
            ValueError, "Softmax(dim=2)", "(2, 3)", "dimension 2"),
    Refusal("nor from the end", lambda: nn.LogSoftmax(-3)(zeros(2, 3)),
            ValueError, "LogSoftmax(dim=-3)", "(2, 3)", "dimension -3"),
    Refusal("model's features", lambda: models.MLP()(zeros(2, 3, 5)),
            ValueError, "Linear(in_features=784", "(2, 15)", "(*, 784)"),
    Refusal("model's image", lambda: models.CNN()(zeros(2, 1, 30, 30)),
            ValueError, "Linear(in_features=10816", "(2, 12544)", "(*, 10816)"),
    Refusal("model's dtype", lambda: models.MLP(4)(zeros(2, 4, dtype="float64")),
            ValueError, "Linear(in_features=4", "input float64", "weight float32"),
    Refusal("float ids", lambda: nn.Embedding(5, 3)(zeros(2)),
            ValueError, "Embedding(5, 3)", "float32", "integer ids"),
    Refusal("id too large", lambda: nn.Embedding(5, 3)(ids(4, 5)),
            IndexError, "Embedding(5, 3)", "got 5", "[0, 5)"),
    Refusal("negative id", lambda: nn.Embedding(5, 3, padding_idx=-1)(ids(-1)),
            IndexError, "Embedding(5, 3, padding_idx=4)", "got -1", "[0, 5)"),
    Refusal("float ids in bags", lambda: nn.EmbeddingBag(5, 3)(zeros(2), ids(0)),
            ValueError, BAG, "float32", "integer ids"),
    Refusal("id too large in a bag", lambda: nn.EmbeddingBag(5, 3)(ids(4, 5), ids(0)),
            IndexError, BAG, "got 5", "[0, 5)"),
    Refusal("float offsets", lambda: nn.EmbeddingBag(5, 3)(ids(1, 2), zeros(1)),
            ValueError, BAG, "float32", "integer offsets"),
    Refusal("bags as rows", lambda: nn.EmbeddingBag(5, 3)(ids(1, 2)[None], ids(0)),
            ValueError, BAG, "(1, 2) and (1,)", "flat ids (n,) and offsets (bags,)"),
    Refusal("first bag", lambda: nn.EmbeddingBag(5, 3)(ids(1, 2), ids(1)),
            ValueError, BAG, "got [1]", "start at 0"),
    Refusal("ids in no bag", lambda: nn.EmbeddingBag(5, 3)(ids(1, 2), np.zeros(0, int)),
            ValueError, BAG, "got []", "start at 0"),
    Refusal("offsets that decrease", lambda: nn.EmbeddingBag(5, 3)(ids(1, 2, 3), ids(0, 2, 1)),
            ValueError, BAG, "got 2 for bag 1, followed by 1", "never decrease"),
    Refusal("offset after the end", lambda: nn.EmbeddingBag(5, 3)(ids(1, 2, 3), ids(0, 4)),
            ValueError, BAG, "got 4 for bag 1, followed by 3", "at most 3, the number of ids"),
    Refusal("weights for a mean", lambda: nn.EmbeddingBag(5, 3)(ids(1, 2), ids(0), zeros(2)),
            ValueError, BAG, "no per_sample_weights", "for the mode 'sum'"),
    Refusal("a weight too few", lambda: nn.EmbeddingBag(5, 3, mode="sum")(ids(1, 2), ids(0), zeros(1)),
            ValueError, "EmbeddingBag(5, 3, mode='sum')", "got (1,)", "the ids' shape (2,)"),
    Refusal("weights of another dtype",
            lambda: nn.EmbeddingBag(5, 3, mode="sum")(ids(1, 2), ids(0), zeros(2, dtype="float64")),
            ValueError, "EmbeddingBag(5, 3, mode='sum')", "per_sample_weights float64", "weight float32"),
    Refusal("no such dimension of vectors", lambda: nn.Normalize(2)(zeros(2, 3)),
            ValueError, "Normalize(dim=2", "(2, 3)", "dimension 2"),
    Refusal("input size", lambda: nn.RNN(3, 4)(zeros(6, 2, 5)),
            ValueError, "RNN(3, 4", "(6, 2, 5)", "(time, batch, 3) or (time, 3)"),
    Refusal("batch first", lambda: nn.LSTM(3, 4, batch_first=True)(zeros(6, 2, 5)),
            ValueError, "LSTM(3, 4", "(6, 2, 5)", "(batch, time, 3) or (time, 3)"),
    Refusal("no time", lambda: nn.RNN(3, 4)(zeros(0, 2, 3)),
            ValueError, "RNN(3, 4", "got none", "at least one time step"),
    Refusal("state's shape", lambda: nn.RNN(3, 4, 2)(zeros(6, 2, 3), zeros(1, 2, 4)),
            ValueError, "RNN(3, 4", "(1, 2, 4)", "h0 of shape (2, 2, 4)"),
    Refusal("state of another batch", lambda: nn.LSTM(3, 4)(zeros(6, 2, 3), (zeros(1, 5, 4), zeros(1, 5, 4))),
            ValueError, "LSTM(3, 4", "(1, 5, 4)", "h0 of shape (1, 2, 4)"),
    Refusal("state's dtype", lambda: nn.RNN(3, 4)(zeros(6, 2, 3), zeros(1, 2, 4, dtype="float64")),
            ValueError, "RNN(3, 4", "float64", "dtype float32"),
    Refusal("half a state", lambda: nn.LSTM(3, 4)(zeros(6, 2, 3), zeros(1, 2, 4)),
            ValueError, "LSTM(3, 4", "got an ndarray", "a state (h0, c0)"),
    Refusal("length 0", lambda: nn.RNN(3, 4)(zeros(6, 2, 3), None, ids(0, 6)),
            ValueError, "RNN(3, 4", "[0, 6]", "from 1 to 6"),
    Refusal("too long", lambda: nn.RNN(3, 4)(zeros(6, 2, 3), None, ids(7, 6)),
            ValueError, "RNN(3, 4", "[7, 6]", "from 1 to 6"),
    Refusal("a length too many", lambda: nn.RNN(3, 4)(zeros(6, 2, 3), None, ids(1, 2, 3)),
            ValueError, "RNN(3, 4", "(3,)", "2 integers"),
    Refusal("no such row", lambda: nn.RNN(3, 4)(Rows(zeros(5, 3), ids(5)[None])),
            IndexError, "RNN(3, 4", "got 5", "[0, 5)"),
    Refusal("one sequence of ids", lambda: models.LSTMLanguageModel(5, 3, 4)(ids(1, 2)),
            ValueError, "LSTMLanguageModel", "(2,)", "(time, batch)"),
    Refusal("ids of another vocabulary", lambda: models.RNNLanguageModel(5, 3, 4)(ids(5)[None]),
            IndexError, "Embedding(5, 3)", "got 5", "[0, 5)"),
    Refusal("model's float ids", lambda: models.TransitionMatrixLM(5)(zeros(2, 3)),
            ValueError, "Embedding(5, 10)", "float32", "integer ids"),
    Refusal("a list of ids", lambda: models.LSTMLanguageModel(5, 3, 4)([[1], [2]]),
            ValueError, "LSTMLanguageModel", "(2, 1)", "(time, batch)"),
    Refusal("a list of lengths", lambda: nn.RNN(3, 4)(zeros(6, 2, 3), None, [9, 6]),
            ValueError, "RNN(3, 4", "[9, 6]", "from 1 to 6"),
    Refusal("a list for a state", lambda: nn.RNN(3, 4)(zeros(6, 1, 3), [[[0.0] * 4]]),
            ValueError, "RNN(3, 4", "list", "dtype float32"),
    Refusal("sentence of another batch", lambda: models.TransitionMatrixLM(5)(ids(1)[None], zeros(2, 10)),
            ValueError, "Transition(10)", "(2, 10)", "(1, 10)"),
]  # fmt: skip

ARGUMENTS = [
    Refusal("no kernel", lambda: nn.Conv2d(1, 1, 0),
            ValueError, "Conv2d", "got 0", "kernel_size to be one or two ints ≥ 1"),
    Refusal("half a pixel", lambda: nn.Conv2d(1, 1, 2.5),  # type: ignore[arg-type]
            ValueError, "Conv2d", "got 2.5", "kernel_size to be one or two ints ≥ 1"),
    Refusal("three sides", lambda: nn.Conv2d(1, 1, (3, 3, 3)),  # type: ignore[arg-type]
            ValueError, "Conv2d", "(3, 3, 3)", "kernel_size to be one or two ints ≥ 1"),
    Refusal("standing still", lambda: nn.Conv2d(1, 1, 3, (1, 0)),
            ValueError, "Conv2d", "(1, 0)", "stride to be one or two ints ≥ 1"),
    Refusal("negative padding", lambda: nn.Conv2d(1, 1, 3, 1, -1),
            ValueError, "Conv2d", "got -1", "padding to be one or two ints ≥ 0"),
    Refusal("no dilation", lambda: nn.Conv2d(1, 1, 3, 1, 0, 0),
            ValueError, "Conv2d", "got 0", "dilation to be one or two ints ≥ 1"),
    Refusal("no window", lambda: nn.MaxPool2d((2, 0)),
            ValueError, "MaxPool2d", "(2, 0)", "kernel_size to be one or two ints ≥ 1"),
    Refusal("window standing still", lambda: nn.MaxPool2d(2, 0),
            ValueError, "MaxPool2d", "got 0", "stride to be one or two ints ≥ 1"),
    Refusal("window of padding", lambda: nn.AvgPool2d(3, 1, (0, 2)),
            ValueError, "AvgPool2d", "(0, 2)", "padding of at most half the kernel (3, 3)"),
    Refusal("p < 0", lambda: nn.Dropout(-0.1),
            ValueError, "Dropout", "-0.1", "p in [0, 1]"),
    Refusal("p > 1", lambda: nn.Dropout(1.5),
            ValueError, "Dropout", "1.5", "p in [0, 1]"),
    Refusal("p nan", lambda: nn.Dropout(float("nan")),
            ValueError, "Dropout", "nan", "p in [0, 1]"),
    Refusal("negative features", lambda: nn.Linear(-1, 4),
            ValueError, "Linear", "got -1", "features to be an integer ≥ 1"),
    Refusal("no features", lambda: models.MLP(4, (0,)),
            ValueError, "Linear", "got 0", "features to be an integer ≥ 1"),
    Refusal("no tokens", lambda: nn.Embedding(0, 4),
            ValueError, "Embedding", "got 0", "num_embeddings to be an integer ≥ 1"),
    Refusal("padding", lambda: nn.Embedding(5, 3, 5),
            ValueError, "Embedding", "got 5", "one of 5 rows"),
    Refusal("nothing hidden", lambda: nn.LSTM(3, 0),
            ValueError, "LSTM", "got 0", "hidden_size to be an integer ≥ 1"),
    Refusal("nonlinearity", lambda: nn.RNN(3, 4, 1, "sigmoid"),  # type: ignore[arg-type]
            ValueError, "RNN", "'sigmoid'", '"tanh" or "relu"'),
    Refusal("negative channels", lambda: nn.Conv2d(1, -2, 3),
            ValueError, "Conv2d", "got -2", "out_channels to be an integer ≥ 1"),
    Refusal("reduction", lambda: nn.MSELoss(reduction="avg"),  # type: ignore[arg-type]
            ValueError, "MSELoss", "'avg'", '"mean", "sum" or "none"'),
    Refusal("activation", lambda: models.MLP(activation="tahn"),
            ValueError, "activation", "'tahn'", "'tanh'"),
    Refusal("model's dropout", lambda: models.CNN(dropout=2),
            ValueError, "Dropout", "got 2", "p in [0, 1]"),
    Refusal("model's kernel", lambda: models.CNN((1, 4, 4), kernel_size=5),
            ValueError, "in_shape", "(1, 4, 4)", "survive"),
    Refusal("mode", lambda: nn.EmbeddingBag(5, 3, mode="max"),  # type: ignore[arg-type]
            ValueError, "EmbeddingBag", "got 'max'", '"mean" or "sum"'),
    Refusal("no rows for bags", lambda: nn.EmbeddingBag(0, 3),
            ValueError, "EmbeddingBag", "got 0", "≥ 1"),
    Refusal("padding of bags", lambda: nn.EmbeddingBag(5, 3, padding_idx=5),
            ValueError, "EmbeddingBag", "got 5", "one of 5 rows"),
    Refusal("eps = 0", lambda: nn.Normalize(eps=0.0),
            ValueError, "Normalize", "got 0.0", "eps > 0"),
    Refusal("temperature 0", lambda: nn.NTXentLoss(0.0),
            ValueError, "NTXentLoss", "got 0.0", "temperature > 0"),
    Refusal("temperature nan", lambda: nn.NTXentLoss(float("nan")),
            ValueError, "NTXentLoss", "got nan", "temperature > 0"),
    Refusal("margin of triplets", lambda: nn.TripletMarginLoss(0.0),
            ValueError, "TripletMarginLoss", "got 0.0", "margin > 0"),
    Refusal("norm of triplets", lambda: nn.TripletMarginLoss(p=3),
            ValueError, "TripletMarginLoss", "got 3", "1 or 2"),
    Refusal("margin of pairs", lambda: nn.ContrastiveLoss(-0.5),
            ValueError, "ContrastiveLoss", "got -0.5", "margin ≥ 0"),
    Refusal("no cosine", lambda: nn.CosineEmbeddingLoss(1.5),
            ValueError, "CosineEmbeddingLoss", "got 1.5", "[-1, 1]"),
]  # fmt: skip

LOSSES = [
    Refusal("class too high", lambda: nn.CrossEntropyLoss()(zeros(3, 2), ids(0, 1, 2)),
            IndexError, CROSS_ENTROPY, "got 2", "[0, 2)"),
    Refusal("class below 0", lambda: nn.CrossEntropyLoss()(zeros(3, 2), ids(0, -1, 1)),
            IndexError, CROSS_ENTROPY, "got -1", "[0, 2)"),
    Refusal("float classes", lambda: nn.CrossEntropyLoss()(zeros(3, 2), zeros(3)),
            ValueError, CROSS_ENTROPY, "float32", "integer ids"),
    Refusal("list of classes", lambda: nn.CrossEntropyLoss()(zeros(2, 2), [0, 1]),
            ValueError, CROSS_ENTROPY, "list", "integer ids"),
    Refusal("one-hot classes", lambda: nn.CrossEntropyLoss()(zeros(3, 2), zeros(3, 2)),
            ValueError, CROSS_ENTROPY, "(3, 2) and (3, 2)", "class ids (N, …)"),
    Refusal("too few classes", lambda: nn.CrossEntropyLoss()(zeros(3, 2), ids(0, 1)),
            ValueError, CROSS_ENTROPY, "(3, 2) and (2,)", "class ids (N, …)"),
    Refusal("integer logits", lambda: nn.CrossEntropyLoss()(ids(1, 2), ids(0)),
            ValueError, CROSS_ENTROPY, "int64", FLOATS),
    Refusal("would broadcast", lambda: nn.MSELoss()(zeros(3, 1), zeros(3)),
            ValueError, "MSELoss(reduction='mean')", "(3, 1) and target (3,)", "equal shapes"),
    Refusal("mixed loss", lambda: nn.MSELoss()(zeros(3), zeros(3, dtype="float64")),
            ValueError, "MSELoss(reduction='mean')", "target float64", "one dtype"),
    Refusal("integer target", lambda: nn.BCEWithLogitsLoss()(zeros(3), ids(0, 1, 1)),
            ValueError, "BCEWithLogitsLoss(reduction='mean')", "int64", FLOATS),
    Refusal("p > 1", lambda: nn.BCELoss()(zeros(3) + 2, zeros(3)),
            ValueError, "BCELoss(reduction='mean')", "got 2.0", "probabilities in [0, 1]"),
    Refusal("p < 0", lambda: nn.BCELoss()(zeros(3) - 1, zeros(3)),
            ValueError, "BCELoss(reduction='mean')", "got -1.0", "probabilities in [0, 1]"),
    Refusal("one vector", lambda: nn.NTXentLoss()(zeros(3), zeros(3)),
            ValueError, "NTXentLoss(temperature=0.5", "got (3,)", "z1 of shape (N, D)"),
    Refusal("a single view", lambda: nn.NTXentLoss()(zeros(2, 3)),
            ValueError, "NTXentLoss(temperature=0.5", "got 1", "two views or more"),
    Refusal("a vector too many", lambda: nn.NTXentLoss()(zeros(2, 3), zeros(3, 3)),
            ValueError, "NTXentLoss(temperature=0.5", "z1 (2, 3) and z2 (3, 3)", "equal shapes"),
    Refusal("one negative for all",
            lambda: nn.TripletMarginLoss()(zeros(2, 3), zeros(2, 3), zeros(1, 3)),
            ValueError, "TripletMarginLoss(margin=1.0", "negative (1, 3)", "equal shapes"),
    Refusal("mixed pairs", lambda: nn.ContrastiveLoss()(zeros(2, 3), zeros(2, 3, dtype="float64"), ids(0, 1)),
            ValueError, "ContrastiveLoss(margin=1.0", "x2 float64", "one dtype"),
    Refusal("-1 for unlike", lambda: nn.ContrastiveLoss()(zeros(2, 3), zeros(2, 3), ids(1, -1)),
            ValueError, "ContrastiveLoss(margin=1.0", "got -1", "to be 0 or 1"),
    Refusal("0 for unlike", lambda: nn.CosineEmbeddingLoss()(zeros(2, 3), zeros(2, 3), zeros(2)),
            ValueError, "CosineEmbeddingLoss(margin=0.0", "got 0.0", "to be 1 or -1"),
    Refusal("a target too few", lambda: nn.CosineEmbeddingLoss()(zeros(2, 3), zeros(2, 3), ids(1)),
            ValueError, "CosineEmbeddingLoss(margin=0.0", "got (1,)", "target of shape (2,)"),
]  # fmt: skip

GRADIENTS = [
    Refusal("shape", lambda: backward(nn.Linear(3, 4), (zeros(2, 3),), zeros(2, 3)),
            ValueError, LINEAR, "got (2, 3) float32", "(2, 4) float32"),
    Refusal("dtype", lambda: backward(nn.Linear(3, 4), (zeros(2, 3),), zeros(2, 4, dtype="float64")),
            ValueError, LINEAR, "got (2, 4) float64", "(2, 4) float32"),
    Refusal("of a loss", lambda: backward(nn.MSELoss(), (zeros(3), zeros(3)), zeros(3)),
            ValueError, "MSELoss(reduction='mean')", "(3,)", "one number"),
    Refusal("of single losses", lambda: backward(nn.MSELoss(reduction="none"), (zeros(3), zeros(3)), 1.0),
            ValueError, "MSELoss(reduction='none')", "got ()", "(3,) float32"),
]  # fmt: skip

OPTIMIZERS = [
    Refusal("nothing to learn", lambda: optim.SGD([]),
            ValueError, "SGD", "empty", "parameter list"),
    Refusal("lr < 0", lambda: optim.SGD(parameters(), lr=-0.1),
            ValueError, "SGD", "-0.1", "lr ≥ 0"),
    Refusal("lr nan", lambda: optim.AdamW(parameters(), lr=float("nan")),
            ValueError, "AdamW", "nan", "lr ≥ 0"),
    Refusal("momentum < 0", lambda: optim.SGD(parameters(), momentum=-1),
            ValueError, "SGD", "-1", "momentum ≥ 0"),
    Refusal("weight_decay < 0", lambda: optim.Adam(parameters(), weight_decay=-1),
            ValueError, "Adam", "-1", "weight_decay ≥ 0"),
    Refusal("nesterov without momentum", lambda: optim.SGD(parameters(), nesterov=True),
            ValueError, "nesterov=True", "got 0", "momentum > 0"),
    Refusal("beta = 1", lambda: optim.Adam(parameters(), betas=(0.9, 1.0)),
            ValueError, "Adam", "(0.9, 1.0)", "betas in [0, 1)"),
    Refusal("eps < 0", lambda: optim.Adam(parameters(), eps=-1e-8),
            ValueError, "Adam", "-1e-08", "eps ≥ 0"),
    Refusal("max_norm < 0", lambda: optim.clip_grad_norm_(parameters(), -1.0),
            ValueError, "clip_grad_norm_", "-1.0", "max_norm ≥ 0"),
    Refusal("another's state", lambda: load(optim.Adam(parameters()), optim.SGD(parameters())),
            ValueError, "Adam", "another optimizer", "missing key '0.exp_avg'"),
    Refusal("momentum's state", lambda: load(optim.SGD(parameters()), optim.SGD(parameters(), momentum=0.9)),
            ValueError, "SGD", "another optimizer", "unexpected key '0.momentum_buffer'"),
    Refusal("state of other weights", lambda: load(optim.Adam(parameters()), optim.Adam(parameters()[::-1])),
            ValueError, "'0.exp_avg'", "(4,)", "expected (2, 3)"),
]  # fmt: skip

REFUSALS = [*INPUTS, *ARGUMENTS, *LOSSES, *GRADIENTS, *OPTIMIZERS]


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda refusal: refusal.what)
def test_bad_input_is_refused(refusal: Refusal) -> None:
    with pytest.raises(refusal.error) as caught:
        refusal.attempt()
    message = str(caught.value)
    for part in (refusal.who, refusal.got, refusal.wants):
        assert part in message
    assert "\n" not in message


def test_a_state_dict_that_does_not_fit_is_refused_whole() -> None:
    """Every missing, unexpected and misshapen key in one message, and not one weight changed."""
    model = models.MLP(4, (3,), 2, rng=0)
    before = {name: array.copy() for name, array in model.state_dict().items()}
    state = {name: array + 1 for name, array in before.items()}
    del state["layers.1.bias"]
    state |= {"layers.9.weight": zeros(1), "layers.4.weight": zeros(2, 5)}
    with pytest.raises(RuntimeError) as caught:
        model.load_state_dict(state)
    for part in (
        "MLP",
        "missing key 'layers.1.bias'",
        "unexpected key 'layers.9.weight'",
        "'layers.4.weight' has shape (2, 5), expected (2, 3)",
    ):
        assert part in str(caught.value)
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


def test_an_optimizer_that_refuses_a_state_keeps_its_own() -> None:
    optimizer = optim.Adam(parameters(), lr=0.5)
    state = optimizer.state_dict() | {"lr": np.array(0.1), "1.exp_avg": zeros(5)}
    with pytest.raises(ValueError, match=r"'1.exp_avg' has shape \(5,\), expected \(4,\)"):
        optimizer.load_state_dict(state)
    assert (optimizer.lr, optimizer.steps) == (0.5, 0)


each_layer = pytest.mark.parametrize("case", LAYERS.values(), ids=LAYERS)


def each_example(case: LayerCase, test: Callable[[nn.Module, list[np.ndarray]], None]) -> None:
    """Runs `test` on random configurations of a layer, as float32, with the arguments of its forward."""

    @given(st.data())
    def run(data: st.DataObject) -> None:
        example = case.example(data.draw)
        test(example.numpy_module.astype(np.float32), list(as_dtype(example.arguments, np.float32)))

    run()


@each_layer
def test_backward_before_forward(case: LayerCase) -> None:
    def attempt(layer: nn.Module, _: list[np.ndarray]) -> None:
        with pytest.raises(RuntimeError, match="backward was called before forward") as caught:
            layer.backward(zeros(1))
        assert str(caught.value).startswith(repr(layer))

    each_example(case, attempt)


@pytest.mark.parametrize(
    "case",
    [case for name, case in LAYERS.items() if name not in ("Embedding", "EmbeddingBag")],
    ids=lambda c: c.name,
)
@pytest.mark.parametrize(
    "bad", [lambda x: x.astype(int), lambda x: x.astype(np.float16), lambda x: x.tolist()]
)
def test_every_layer_refuses_what_is_no_floating_array(
    case: LayerCase, bad: Callable[[np.ndarray], Any]
) -> None:
    def attempt(layer: nn.Module, arguments: list[np.ndarray]) -> None:
        with pytest.raises(ValueError, match=FLOATS) as caught:
            layer(bad(arguments[0]), *arguments[1:])
        assert str(caught.value).startswith(repr(layer))

    each_example(case, attempt)


@each_layer
def test_every_layer_refuses_a_gradient_unlike_its_output(case: LayerCase) -> None:
    def attempt(layer: nn.Module, arguments: list[np.ndarray]) -> None:
        output = layer(*arguments)
        y = output[0] if isinstance(output, tuple) else output
        bad = [zeros(*np.shape(y), 2)]
        if isinstance(y, np.ndarray):
            bad.append(y.astype(np.float64))
        for grad in bad:
            with pytest.raises(ValueError, match="expects grad_output like its output") as caught:
                layer.backward(grad)
            assert str(caught.value).startswith(repr(layer))

    each_example(case, attempt)
