"""A mistake planted in each term of each operation's backward is seen, and the operation named."""

from __future__ import annotations

import inspect
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gdl_numpy import autograd
from gdl_numpy.autograd import Tensor
from parity_tests.harness import FromAutograd
from parity_tests.harness.central import central_differences
from parity_tests.support import OWN, parity

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.usefixtures("unchecked_types")

IDS = np.array([0, 2, 2])
# By the name of the method or function, in an order in which none uses one after it.
OPERATIONS: dict[str, Callable[..., Any]] = {
    "__add__": lambda _, a, b: a + b,
    "__neg__": lambda _, a, b: -a,
    "__sub__": lambda _, a, b: a - b,
    "__mul__": lambda _, a, b: a * b,
    "__truediv__": lambda _, a, b: a / b,
    "__pow__": lambda _, a, b: a**3,
    "reshape": lambda _, a, b: a.reshape(9),
    "transpose": lambda _, a, b: a.transpose(0, 1),
    "expand": lambda _, a, b: a.expand(2, 3, 3),
    "__getitem__": lambda _, a, b: a[IDS] * 2,
    "__matmul__": lambda _, a, b: a @ b,
    "sum": lambda _, a, b: a.sum(0),
    "mean": lambda _, a, b: a.mean(0),
    "max": lambda lib, a, b: lib.max(a, 0, False),
    "exp": lambda _, a, b: a.exp(),
    "log": lambda _, a, b: (a * a + 1).log(),
    "relu": lambda _, a, b: a.relu(),
    "sigmoid": lambda _, a, b: a.sigmoid(),
    "tanh": lambda _, a, b: a.tanh(),
    "linear": lambda lib, a, b: lib.linear(a, b, a[0]),
    "cat": lambda lib, a, b: lib.cat([a, b]),
    "stack": lambda lib, a, b: lib.stack([a, b]),
    "softmax": lambda lib, a, b: lib.softmax(a, 0),
    "cross_entropy": lambda lib, a, b: lib.cross_entropy(a, IDS),
}


@dataclass(frozen=True)
class Plant:
    """One mistake: in a method of Tensor, or a function of several, `old` becomes `new`."""

    operation: str
    old: str
    new: str

    def __str__(self) -> str:
        return f"{self.operation}: {self.new}"


PLANTS = [
    Plant("__add__", "(self, lambda g: g)", "(self, lambda g: -g)"),
    Plant("__add__", "(other, lambda g: g)", "(other, lambda g: 2 * g)"),
    Plant("__neg__", "lambda g: -g", "lambda g: g"),
    Plant("__sub__", "(self, lambda g: g)", "(self, lambda g: -g)"),
    Plant("__sub__", "lambda g: -g", "lambda g: g"),
    Plant("__mul__", "g * b", "g * a"),
    Plant("__mul__", "g * a", "g * b"),
    Plant("__truediv__", "(self, lambda g: g / b)", "(self, lambda g: g * b)"),
    Plant("__truediv__", "-g * y / b", "-g / b"),
    Plant("__pow__", "n - 1", "n"),
    Plant("__pow__", "n * x", "x"),
    Plant("reshape", "g.reshape(before)", "g.reshape(before[::-1]).T"),
    Plant("transpose", "lambda g: g.swapaxes(dim0, dim1)", "lambda g: g"),
    Plant("expand", "lambda g: g", "lambda g: g[0]"),
    Plant("__getitem__", "Placed(key, g)", "Placed(key, -g)"),
    Plant("__getitem__", "Placed(key, g)", "Placed(np.unique(key), g[1:])"),
    Plant("__matmul__", "g @ b.swapaxes(-1, -2)", "g @ b"),
    Plant("__matmul__", "Product(a, g)", "Product(a.T, g)"),
    Plant("sum", "np.broadcast_to(g.reshape(y.shape), shape)", "np.full(shape, g.mean())"),
    Plant("mean", "1 / size", "1 / self.data.size"),
    Plant("max", "x == y", "x != y"),
    Plant("max", "/ ties.sum(axis=dim, keepdims=True)", "/ ties.sum()"),
    Plant("exp", "g * y", "g"),
    Plant("log", "g / x", "g * x"),
    Plant("relu", "y != 0", "y == 0"),
    Plant("sigmoid", "y * (1 - y)", "y"),
    Plant("tanh", "1 - y * y", "1 - y"),
    Plant("linear", "g @ w)", "g @ w.T)"),
    Plant("linear", "a.reshape(-1, n_in)", "-a.reshape(-1, n_in)"),
    Plant("linear", "sum_rows(g.reshape(-1, n_out))", "sum_rows(g.reshape(-1, n_out).T)"),
    Plant("cat", "np.split(g, ends, axis=dim)[i]", "np.split(g, ends, axis=dim)[0]"),
    Plant("stack", "g.take(i,", "g.take(0,"),
    Plant("softmax", "(g - (g * y)", "(g - (0 * y)"),
    Plant("softmax", "(g * y).sum(axis=dim", "(g * y).sum(axis=1 - dim"),
    Plant("cross_entropy", "grad[right] -= 1", "pass"),
    Plant("cross_entropy", "g * mean", "g"),
]
A, B = np.random.default_rng(0).standard_normal((2, 3, 3))


def test_every_operation_is_right_and_has_a_plant() -> None:
    assert all(parity(expression, A, B, name=name).ok for name, expression in OPERATIONS.items())
    assert {mistake.operation for mistake in PLANTS} == set(OPERATIONS)


@pytest.mark.parametrize("name", OPERATIONS)
@given(seed=st.integers(0, 2**32 - 1))
def test_central_differences_agree(name: str, seed: int) -> None:
    """A second witness, which is not torch."""
    inputs = tuple(np.random.default_rng(seed).standard_normal((2, 3, 3)))
    module = FromAutograd(lambda a, b: OPERATIONS[name](OWN, a, b))
    assert all(comparison.ok for comparison in central_differences(module, inputs, rng=seed))


@pytest.mark.parametrize("mistake", PLANTS, ids=str)
def test_every_planted_mistake_is_seen(mistake: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first operation that is not its twin any more is the one with the mistake, and in its gradient."""
    owner: Any = Tensor if hasattr(Tensor, mistake.operation) else OWN
    original = inspect.unwrap(getattr(autograd if owner is OWN else Tensor, mistake.operation))
    source = textwrap.dedent(inspect.getsource(original))
    assert mistake.old in source, f"{mistake.old!r} is no longer in {mistake.operation}"
    code = "from __future__ import annotations\n" + source.replace(mistake.old, mistake.new, 1)
    planted: dict[str, Any] = {}
    exec(compile(code, "<planted>", "exec"), original.__globals__, planted)
    monkeypatch.setattr(owner, mistake.operation, planted[mistake.operation])
    # A mean's forward and backward have the same factor: wrong, they are each other's derivative still.
    assert central_differences_pass(OPERATIONS[mistake.operation]) == (mistake.operation == "mean")
    name, tensor, message = first_disagreement()
    assert name == mistake.operation
    assert tensor.startswith("output" if name == "mean" else "grad"), message
    assert message.startswith(f"{name} (float64, cpu)") or "shape" in message or "dimension" in message


def central_differences_pass(expression: Callable[..., Any]) -> bool:
    module = FromAutograd(lambda a, b: expression(OWN, a, b))
    try:
        return all(comparison.ok for comparison in central_differences(module, (A, B)))
    except ValueError:  # a gradient of the wrong shape cannot even be added up
        return False


def first_disagreement() -> tuple[str, str, str]:
    """The operation, what of it is wrong, and what is said of it."""
    for name, expression in OPERATIONS.items():
        try:
            report = parity(expression, A, B, name=name)
        except ValueError as error:  # a gradient of the wrong shape cannot even be added up
            return name, "grad", str(error)
        if report.first_disagreement is not None:
            return name, report.first_disagreement.tensor, str(report)
    return "", "", "nothing disagrees"
