"""What chapter 13's framework refuses, each in one line that says what it got and what it wants."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from gdl_numpy import autograd
from gdl_numpy.autograd import Tensor
from gdl_numpy.replays.language_model import LanguageModel

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.usefixtures("unchecked_types")


def x() -> Tensor:
    return Tensor(np.ones((2, 3)), requires_grad=True)


def freed() -> Tensor:
    y = (x() * x()).sum()
    y.backward()
    return y


FLOAT32 = np.ones(3, np.float32)
REFUSALS: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "shapes that do not broadcast": (
        lambda: x() + np.ones(4),
        ValueError,
        r"add: shapes \(2, 3\) and \(4,\) do not fit",
    ),
    "no more in a subtraction": (lambda: x() - np.ones((3, 2)), ValueError, r"subtract: .*\(3, 2\)"),
    "nor in a product": (lambda: np.ones(2) * x(), ValueError, r"multiply: shapes \(2, 3\) and \(2,\)"),
    "nor in a quotient": (lambda: np.ones(2) / x(), ValueError, r"divide: shapes \(2,\) and \(2, 3\)"),
    "matrices that do not fit": (
        lambda: x() @ np.ones((2, 3)),
        ValueError,
        r"matmul: shapes \(2, 3\) and \(2, 3\) do not fit",
    ),
    "a number is no matrix": (lambda: x() @ 2.0, ValueError, r"matmul: shapes \(2, 3\) and \(\)"),
    "linear's input": (
        lambda: autograd.Linear(4, 5, dtype=np.float64)(x()),
        ValueError,
        r"linear expects x \(\*, 4\) and bias \(5,\), got \(2, 3\) and \(5,\)",
    ),
    "an array for a Tensor": (
        lambda: autograd.Linear(3, 4, dtype=np.float64)(np.ones((2, 3))),
        ValueError,
        "linear expects x to be a Tensor, got an ndarray",
    ),
    "in softmax": (lambda: autograd.softmax(np.ones(3), 0), ValueError, "softmax expects x to be a Tensor"),  # type: ignore[arg-type]
    "in cross-entropy": (
        lambda: autograd.cross_entropy(np.ones((1, 3)), np.array([0])),  # type: ignore[arg-type]
        ValueError,
        "cross_entropy expects logits to be a Tensor, got an ndarray",
    ),
    "in a list": (
        lambda: autograd.cat([x(), np.ones((2, 3))]),  # type: ignore[list-item]
        ValueError,
        r"cat expects tensors\[1\] to be a Tensor, got an ndarray",
    ),
    "linear's weight": (
        lambda: autograd.linear(x(), Tensor(np.ones(3))),
        ValueError,
        r"linear expects weight \(out_features, in_features\), got \(3,\)",
    ),
    "sizes below 1": (
        lambda: autograd.Linear(3, 0),
        ValueError,
        "Linear expects out_features to be an integer ≥ 1, got 0",
    ),
    "no rows": (lambda: autograd.Embedding(-1, 2), ValueError, "Embedding expects num_embeddings .* got -1"),
    "no state": (lambda: autograd.RNNCell(3, 2.0), ValueError, "RNNCell expects hidden_size .* got 2.0"),  # type: ignore[arg-type]
    "targets that broadcast": (
        lambda: autograd.MSELoss()(Tensor(np.ones((5, 1))), np.ones(5)),
        ValueError,
        r"MSELoss expects equal shapes, got \(5, 1\) and \(5,\)",
    ),
    "a state that broadcasts": (
        lambda: autograd.RNNCell(3, 2, dtype=np.float64)(x(), Tensor(np.ones((1, 2)))),
        ValueError,
        r"RNNCell expects a state of shape \(2, 2\), got \(1, 2\)",
    ),
    "half of a state": (
        lambda: autograd.LSTMCell(3, 2, dtype=np.float64)(x(), Tensor(np.ones((2, 2)))),
        ValueError,
        r"LSTMCell expects state to be a pair \(h, c\), got a Tensor",
    ),
    "what cannot be repeated": (lambda: x().expand(2, 4), ValueError, r"broadcast.*\(2,3\).*\(2,4\)"),
    "another number of numbers": (lambda: x().reshape(4), ValueError, r"size 6 into shape \(4,\)"),
    "a dimension that is not there": (lambda: x().sum(2), ValueError, "axis 2 is out of bounds"),
    "the largest of nothing": (lambda: Tensor(np.ones(0)).max(), ValueError, "zero-size array"),
    "nothing to put together": (lambda: autograd.cat([]), ValueError, "at least one"),
    "dtypes mixed": (lambda: x() + FLOAT32, ValueError, "one dtype for all, got float64 and float32"),
    "dtypes mixed in a list": (
        lambda: autograd.stack([Tensor(FLOAT32), Tensor(np.ones(3))]),
        ValueError,
        "one dtype for all, got float32 and float64",
    ),
    "an index out of range": (lambda: x()[2], IndexError, "index 2 is out of bounds for axis 0 with size 2"),
    "one of many": (lambda: x()[np.array([0, -3])], IndexError, "index -3 is out of bounds.* size 2"),
    "an index that is float": (lambda: x()[1.0], IndexError, "only integers, slices"),
    "floats for indices": (lambda: x()[np.ones(2)], IndexError, "arrays used as indices.*integer"),
    "ids out of range": (
        lambda: autograd.Embedding(4, 2)(np.array([0, 4])),
        IndexError,
        r"'Embedding' expects ids in \[0, 4\), got 4",
    ),
    "ids below 0": (lambda: autograd.Embedding(4, 2)(np.array([-1])), IndexError, r"\[0, 4\), got -1"),
    "ids that are float": (
        lambda: autograd.Embedding(4, 2)(np.ones(2)),
        ValueError,
        "expects integer ids, got float64",
    ),
    "a model's ids": (
        lambda: LanguageModel(autograd.RNNCell, 4, 2, 2)(np.array([[0, 7]])),
        IndexError,
        r"expects ids in \[0, 4\), got 7",
    ),
    "classes out of range": (
        lambda: autograd.cross_entropy(x(), np.array([0, 3])),
        IndexError,
        r"expects ids in \[0, 3\), got 3",
    ),
    "classes of another batch": (
        lambda: autograd.cross_entropy(x(), np.array([0, 1, 2])),
        ValueError,
        r"logits \(N, C\) and ids \(N,\), got \(2, 3\) and \(3,\)",
    ),
    "backward without a gradient": (
        lambda: (x() * x()).backward(),
        ValueError,
        r"expects gradient like the tensor, \(2, 3\) float64, got none",
    ),
    "one of another shape": (
        lambda: (x() * x()).backward(np.ones(3)),
        ValueError,
        r"like the tensor, \(2, 3\) float64, got \(3,\) float64",
    ),
    "one of another dtype": (
        lambda: (x() * x()).backward(np.ones((2, 3), np.float32)),
        ValueError,
        r"like the tensor, \(2, 3\) float64, got \(2, 3\) float32",
    ),
    "one that is no array": (lambda: (x() * x()).backward(x()), ValueError, "got a Tensor"),  # type: ignore[arg-type]
    "backward from a constant": (
        lambda: Tensor(np.ones(())).backward(),
        RuntimeError,
        "nothing that this tensor was made of requires a gradient",
    ),
    "backward through a freed graph": (lambda: freed().backward(), RuntimeError, "freed the history"),
    "or through a part of it": (lambda: (freed() * 2).backward(), RuntimeError, "freed the history"),
    "a Tensor of objects": (lambda: Tensor(np.array([None, {}])), ValueError, "float64 data, got object"),
    "of words": (lambda: Tensor("one"), ValueError, "float32 or float64 data, got <U3"),
    "of whole numbers": (lambda: Tensor(np.arange(3)), ValueError, "float32 or float64 data, got int64"),
    "of Tensors": (lambda: Tensor([x(), x()]), ValueError, "float32 or float64 data, got object"),
    "nothing beside it": (lambda: x() + None, ValueError, "a number beside it, got a NoneType"),
    "a list beside it": (lambda: x() * [1.0, 2.0, 3.0], ValueError, "a number beside it, got a list"),
    "a power that is a Tensor": (lambda: x() ** x(), ValueError, "expects a number, got a Tensor"),  # type: ignore[operator]
    "a state_dict of something else": (
        lambda: autograd.Linear(2, 3).load_state_dict({"weight": np.ones((3, 2))}),
        RuntimeError,
        "missing key 'bias'",
    ),
    "no parameters": (lambda: autograd.SGD([], 0.1), ValueError, "empty parameter list"),
    "a negative learning rate": (lambda: autograd.SGD([x()], -1), ValueError, "lr ≥ 0, got -1"),
    "no number": (lambda: autograd.Adam([x()], float("nan")), ValueError, "Adam expects lr ≥ 0, got nan"),
    "no number at all": (
        lambda: autograd.SGD([x()], "a"),  # type: ignore[arg-type]
        ValueError,
        "SGD expects lr to be a number, got 'a'",
    ),
    "a Tensor for a list of them": (
        lambda: autograd.SGD(x(), 0.1),  # type: ignore[arg-type]
        ValueError,
        r"SGD expects leaf Tensors, got a Tensor \(3,\)",
    ),
    "arrays for parameters": (
        lambda: autograd.SGD([np.ones(2)]),  # type: ignore[list-item]
        ValueError,
        r"leaf Tensors, got an ndarray \(2,\)",
    ),
    "eps": (lambda: autograd.Adam([x()], eps=-1), ValueError, "eps ≥ 0, got .* and -1"),
    "betas": (lambda: autograd.Adam([x()], betas=(0.9, 1.0)), ValueError, "betas in"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_refusals(name: str) -> None:
    """In one line."""
    attempt, kind, message = REFUSALS[name]
    with pytest.raises(kind, match=message) as refusal:
        attempt()
    assert "\n" not in str(refusal.value)
