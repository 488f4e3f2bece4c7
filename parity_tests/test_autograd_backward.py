"""How chapter 13's Tensor goes back: in order, once, without recursion; what it refuses; planted mistakes."""

from __future__ import annotations

import inspect
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from gdl_numpy import autograd
from gdl_numpy.autograd import Tensor, no_grad
from parity_tests.harness.rounding import unit_roundoff
from parity_tests.support import OWN, numbers, parity

if TYPE_CHECKING:
    from collections.abc import Callable

U = unit_roundoff(np.float64)


@dataclass(frozen=True)
class Plant:
    """One mistake: in a method of Tensor, or a function of several, `old` becomes `new`."""

    function: str
    old: str
    new: str
    expression: Callable[..., Any]

    def __str__(self) -> str:
        return f"{self.function}: {self.new}"


PLANTS = [
    Plant("__add__", "(b, lambda g: g)", "(b, lambda g: 2 * g)", lambda _, a, b: a + b),
    Plant("__neg__", "lambda g: -g", "lambda g: g", lambda _, a, b: -a),
    Plant("__sub__", "lambda g: -g", "lambda g: g", lambda _, a, b: a - b),
    Plant("__mul__", "g * b.data", "g * self.data", lambda _, a, b: a * b),
    Plant("__mul__", "g * self.data", "g * b.data", lambda _, a, b: a * b),
    Plant("__truediv__", "g / b.data", "g * b.data", lambda _, a, b: a / b),
    Plant("__truediv__", "-g * y / b.data", "-g / b.data", lambda _, a, b: a / b),
    Plant("__pow__", "exponent - 1", "exponent", lambda _, a, b: a**3),
    Plant("__pow__", "exponent * self.data", "self.data", lambda _, a, b: a**3),
    Plant("__matmul__", "g @ b.data.swapaxes(-1, -2)", "g @ b.data", lambda _, a, b: a @ b),
    Plant("__matmul__", "self.data.swapaxes(-1, -2) @ g", "self.data @ g", lambda _, a, b: a @ b),
    Plant("sum", "np.broadcast_to(g.reshape(y.shape), self.shape)", "np.full(self.shape, g.mean())",
          lambda _, a, b: a.sum(0)),
    Plant("mean", "1 / size", "1 / self.data.size", lambda _, a, b: a.mean(0)),
    Plant("max", "self.data == y", "self.data != y", lambda lib, a, b: lib.max(a, 0, False)),
    Plant("max", "/ ties.sum(axis=dim, keepdims=True)", "/ ties.sum()",
          lambda lib, a, b: lib.max(a, 0, False)),
    Plant("reshape", "g.reshape(self.shape)", "g.reshape(self.shape[::-1]).T", lambda _, a, b: a.reshape(9)),
    Plant("transpose", "lambda g: g.swapaxes(dim0, dim1)", "lambda g: g", lambda _, a, b: a.transpose(0, 1)),
    Plant("expand", "lambda g: g", "lambda g: g[0]", lambda _, a, b: a.expand(2, 3, 3)),
    Plant("__getitem__", "Placed(key, g)", "Placed(key, -g)", lambda _, a, b: a[1]),
    Plant("exp", "g * y", "g", lambda _, a, b: a.exp()),
    Plant("log", "g / self.data", "g * self.data", lambda _, a, b: (a * a + 1).log()),
    Plant("relu", "y != 0", "y == 0", lambda _, a, b: a.relu()),
    Plant("sigmoid", "y * (1 - y)", "y", lambda _, a, b: a.sigmoid()),
    Plant("tanh", "1 - y * y", "1 - y", lambda _, a, b: a.tanh()),
    Plant("softmax", "(g - (g * y)", "(g - (0 * y)", lambda _, a, b: a.softmax(0)),
    Plant("softmax", "(g * y).sum(axis=dim", "(g * y).sum(axis=1 - dim", lambda _, a, b: a.softmax(0)),
    Plant("linear", "g @ weight.data)", "g @ weight.data.T)", lambda lib, a, b: lib.linear(a, b)),
    Plant("linear", "x.data.reshape(-1, n_in)", "-x.data.reshape(-1, n_in)",
          lambda lib, a, b: lib.linear(a, b)),
    Plant("linear", "sum_rows(g.reshape(-1, n_out))", "sum_rows(g.reshape(-1, n_out).T)",
          lambda lib, a, b: lib.linear(a, b, a[0])),
    Plant("stack", "g.take(i,", "g.take(0,", lambda lib, a, b: lib.stack([a, b])),
    Plant("cat", "np.split(g, ends, axis=dim)[i]", "np.split(g, ends, axis=dim)[0]",
          lambda lib, a, b: lib.cat([a, b])),
    Plant("cross_entropy", "grad[chosen] -= 1", "pass",
          lambda lib, a, b: lib.cross_entropy(a, np.array([0, 2, 2]))),
    Plant("cross_entropy", "g * mean", "g", lambda lib, a, b: lib.cross_entropy(a, np.array([0, 2, 2]))),
]  # fmt: skip


@pytest.mark.parametrize("mistake", PLANTS, ids=str)
@pytest.mark.usefixtures("unchecked_types")
def test_every_planted_mistake_is_seen(mistake: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    """One in each term of each backward; the value is right, and the report says it is the gradient."""
    a, b = np.random.default_rng(0).standard_normal((2, 3, 3))
    assert parity(mistake.expression, a, b).ok
    owner: Any = Tensor if hasattr(Tensor, mistake.function) else OWN
    original = inspect.unwrap(getattr(autograd if owner is OWN else Tensor, mistake.function))
    source = textwrap.dedent(inspect.getsource(original))
    assert mistake.old in source, f"{mistake.old!r} is no longer in {mistake.function}"
    code = "from __future__ import annotations\n" + source.replace(mistake.old, mistake.new, 1)
    planted: dict[str, Any] = {}
    exec(compile(code, "<planted>", "exec"), original.__globals__, planted)
    monkeypatch.setattr(owner, mistake.function, planted[mistake.function])
    assert is_seen(mistake, a, b)


def is_seen(mistake: Plant, *inputs: np.ndarray) -> bool:
    """A gradient of the wrong shape cannot even be added up; others have to be in the report."""
    try:
        report = parity(mistake.expression, *inputs)
    except ValueError as error:
        return "shape" in str(error) or "broadcast" in str(error)
    found = report.first_disagreement
    in_value = mistake.function == "mean"  # its forward and its backward have the same factor
    return found is not None and (in_value or found.tensor.startswith("grad"))


def test_relu_at_zero() -> None:
    """Its slope is 0, as torch's; no error bound could tell, since rounding may tip a zero to either side."""
    x = Tensor(np.array([0.0, -1.0, 1.0]), requires_grad=True)
    x.relu().sum().backward()
    np.testing.assert_array_equal(x.grad, [0.0, 0.0, 1.0])


def test_repeated_indices_that_do_not_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mistake NumPy invites: x[ids] += g adds one of the repeated."""
    monkeypatch.setattr("gdl_numpy.autograd.gradient_sum.is_basic", lambda key: True)
    assert not parity(lambda _, x: x[np.array([0, 1, 0])], numbers(0, 3)).ok


def test_a_gradient_is_never_added_into_somebody_elses() -> None:
    """Both operands of a sum get one array; in-place sums must not reach through it, nor through views."""
    expression = lambda _, a, b: ((a + b) * 2 + (a + b).reshape(4) + a + a + b).sum() + (a + b).sum()  # noqa: E731
    parity(expression, numbers(0, 4), numbers(1, 4)).raise_if_different()
    a, b = (Tensor(numbers(i, 4), requires_grad=True) for i in (0, 1))
    seed = np.ones(4)
    (a + b).backward(seed)
    assert a.grad is not None
    a.grad *= 5
    np.testing.assert_array_equal(b.grad, np.ones(4))
    np.testing.assert_array_equal(seed, np.ones(4))


def test_ten_thousand_operations_deep() -> None:
    """Backward does not recurse, and neither does freeing what was recorded, walked or not."""
    x = Tensor(np.ones(3), requires_grad=True)
    for walked in (True, False):
        y = x
        for _ in range(10_000):
            y = y + x * 1e-4
        if walked:
            y.sum().backward()
        del y
    assert x.grad is not None
    np.testing.assert_allclose(x.grad, np.full(3, 2.0), rtol=10_000 * U)


def test_backward_twice() -> None:
    """The history is freed on the way, as in torch; kept, gradients add up."""
    x = Tensor(np.array([1.0, 2.0]), requires_grad=True)
    y = (x * x).sum()
    y.backward(retain_graph=True)
    y.backward()
    np.testing.assert_array_equal(x.grad, [4.0, 8.0])
    with pytest.raises(RuntimeError, match="freed the history"):
        y.backward()
    hidden = x * x
    assert hidden.retain_grad() is hidden
    hidden.sum().backward()
    np.testing.assert_array_equal(hidden.grad, [1.0, 1.0])
    hidden = x * x
    hidden.sum().backward()
    with pytest.raises(RuntimeError, match="freed the history"):
        hidden.sum().backward()
    assert hidden.grad is None


def test_sources() -> None:
    """What a tensor was made of, and by what; the history that backward has freed is gone here too."""
    x, constant = Tensor(np.ones(2), requires_grad=True), Tensor(np.ones(2))
    y = x * constant + x
    assert (y.made_by, y.sources[1]) == ("add", x)
    assert (y.sources[0].made_by, y.sources[0].sources) == ("mul", (x,))
    assert (autograd.stack([x, y]).made_by, x.made_by, x.sources) == ("stack", "", ())
    y.sum().backward()
    assert y.sources == ()


@no_grad()
def fails_without_grad() -> None:
    Tensor(np.arange(3))


def test_no_grad() -> None:
    """Nothing is recorded within, also after an error, and everything again after it."""
    x = Tensor(np.ones(2), requires_grad=True)
    with no_grad():
        y = x * x
        with no_grad():
            pass
        both = x * y
    assert not y.requires_grad
    assert not both.requires_grad
    with pytest.raises(ValueError, match="int64"):
        fails_without_grad()
    assert (x * y).requires_grad
    assert not x.detach().requires_grad
    assert x.detach().data is x.data
    (x * x.detach()).sum().backward()
    np.testing.assert_array_equal(x.grad, [1.0, 1.0])


@pytest.mark.usefixtures("unchecked_types")
def test_refusals() -> None:
    """Each says what it got and what it wants."""
    x = Tensor(np.ones((2, 3)), requires_grad=True)
    with pytest.raises(ValueError, match=r"needs grad"):
        (x * x).backward()
    with pytest.raises(
        ValueError, match=r"expects grad like the tensor, \(2, 3\) float64, got \(3,\) float64"
    ):
        (x * x).backward(np.ones(3))
    with pytest.raises(RuntimeError, match="nothing that this tensor was made of requires a gradient"):
        Tensor(np.ones(())).backward()
    with pytest.raises(ValueError, match="float32 or float64 data, got int64"):
        Tensor(np.arange(3))
    with pytest.raises(ValueError, match="one dtype for all, got float64 and float32"):
        x + np.ones(3, np.float32)
    with pytest.raises(ValueError, match=r"expects a number, got a Tensor"):
        x**x  # type: ignore[operator]
    with pytest.raises(ValueError, match=r"logits \(N, C\) and ids \(N,\), got \(2, 3\) and \(3,\)"):
        autograd.cross_entropy(x, np.array([0, 1, 2]))
    with pytest.raises(IndexError, match=r"expects ids in \[0, 3\), got 3"):
        autograd.cross_entropy(x, np.array([0, 3]))
    with pytest.raises(IndexError, match=r"expects ids in \[0, 4\), got -1"):
        autograd.Embedding(4, 2)(np.array([-1]))
    with pytest.raises(RuntimeError, match="missing key 'bias'"):
        autograd.Linear(2, 3).load_state_dict({"weight": np.ones((3, 2))})
    with pytest.raises(ValueError, match="empty parameter list"):
        autograd.SGD([], 0.1)
    with pytest.raises(ValueError, match="lr ≥ 0, got -1"):
        autograd.SGD([x], -1)
    with pytest.raises(ValueError, match="betas"):
        autograd.Adam([x], betas=(0.9, 1.0))


def test_numbers_and_arrays_beside_a_tensor() -> None:
    """On either side of an operator; float32 stays float32, from start to gradient."""
    x = Tensor(np.ones(2, np.float32), requires_grad=True)
    y = (np.ones(2, np.float32) @ (np.full(2, 3, np.float32) - 2 * x / 3.0)).mean() ** 2
    y.backward()
    assert y.dtype == np.float32
    assert x.grad is not None
    assert x.grad.dtype == np.float32
    assert (len(x), x.shape) == (2, (2,))
    assert y.item() == pytest.approx((3 - 2 / 3 + 3 - 2 / 3) ** 2)
    assert "requires_grad=True" in repr(x)
