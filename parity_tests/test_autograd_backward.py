"""How chapter 13's Tensor goes back: in order, once, without recursion, on values that nobody can change."""

from __future__ import annotations

import ast
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from gdl_numpy import autograd
from gdl_numpy.autograd import Tensor, no_grad
from gdl_numpy.replays.as_printed import made_by, sources
from parity_tests.harness.rounding import unit_roundoff
from parity_tests.support import numbers, parity

if TYPE_CHECKING:
    from collections.abc import Callable

U = unit_roundoff(np.float64)


def test_relu_at_zero() -> None:
    """Its slope is 0, as torch's; no error bound could tell, since rounding may tip a zero to either side."""
    x = Tensor(np.array([0.0, -1.0, 1.0]), requires_grad=True)
    x.relu().sum().backward()
    np.testing.assert_array_equal(x.grad, [0.0, 0.0, 1.0])


def test_repeated_indices_that_do_not_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mistake NumPy invites: x[ids] += g adds one of the repeated."""
    monkeypatch.setattr("gdl_numpy.autograd.parts.is_basic", lambda key: True)
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


@pytest.mark.parametrize("gradient", [np.inf, np.nan])
def test_what_is_off_stays_off(gradient: float) -> None:
    """Where a slope is 0 by choice, as of a ReLU below 0 and of x⁰, no gradient makes it nan; as in torch."""
    operations: tuple[Callable[[Any], Any], ...] = (lambda x: x.relu(), lambda x: x**0)
    for operation in operations:
        x, theirs = Tensor([-1.0, -2.0], requires_grad=True), torch.tensor([-1.0, -2.0], requires_grad=True)
        operation(x).backward(np.full(2, gradient))
        operation(theirs).backward(torch.full((2,), gradient))
        assert theirs.grad is not None
        np.testing.assert_array_equal(x.grad, [0, 0])
        np.testing.assert_array_equal(theirs.grad.numpy(), [0, 0])


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
    product, leaf = sources(y)
    assert (made_by(y), leaf, made_by(product), sources(product)) == ("add", x, "mul", (x,))
    assert (made_by(autograd.stack([x, y])), made_by(x), sources(x)) == ("stack", "", ())
    y.sum().backward()
    assert sources(y) == ()


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
    assert np.shares_memory(x.detach().data, x.data)
    (x * x.detach()).sum().backward()
    np.testing.assert_array_equal(x.grad, [1.0, 1.0])


def test_gradients_of_gradients_are_refused() -> None:
    """A gradient is an array that remembers nothing; who asks for more is told so."""
    x = Tensor(np.array(3.0), requires_grad=True)
    y = x**3
    with pytest.raises(NotImplementedError, match="create_graph=False: a gradient has no gradient here"):
        y.backward(create_graph=True)
    y.backward()
    assert isinstance(x.grad, np.ndarray)
    assert x.grad == 27


def test_what_backward_needs_cannot_be_changed() -> None:
    """Changes in place are refused where they are made, of leaves, of results, and through views."""
    array = np.array([[1.0, 2.0], [3.0, 4.0]])
    x = Tensor(array, requires_grad=True)
    y = x * x
    for tensor in (x, y, y.reshape(4), x[0], x.transpose(0, 1), x.detach(), deepcopy(x)):
        for change in ("tensor.data[0] = 5", "tensor.data += 1", "tensor.data.sort()"):
            with pytest.raises(ValueError, match="read-only"):
                exec(change, {"tensor": tensor})
    array[0] = 5  # a tensor has a copy
    y.sum().backward()
    np.testing.assert_array_equal(x.grad, [[2.0, 4.0], [6.0, 8.0]])


def test_other_values_by_assignment() -> None:
    """They are copied, so that no view reaches them; what was made of the old ones has their gradient."""
    x, array = Tensor(np.array([1.0, 2.0]), requires_grad=True), np.array([10.0, 20.0])
    view, y = array[:], (x * x).exp() * 0 + x * x
    x.data = array
    z = x * x
    array[0] = 0
    view[1] = 0
    y.sum().backward()
    np.testing.assert_array_equal(x.grad, [2.0, 4.0])
    z.sum().backward()
    np.testing.assert_array_equal(x.grad, [22.0, 44.0])
    np.testing.assert_array_equal((x * x).data, [100.0, 400.0])
    with pytest.raises(ValueError, match="float32 or float64 data, got int64"):
        x.data = np.array([1, 2])


def test_indices_are_remembered_as_they_were() -> None:
    """A buffer of ids, written over before backward, leads no gradient to other rows."""
    x, logits = (Tensor(numbers(i, 3, 3), requires_grad=True) for i in (0, 1))
    ids = np.array([0, 1, 1])
    y, loss = x[ids, np.array([0, 1, 2])], autograd.cross_entropy(logits, ids)
    softmax = autograd.softmax(logits, 1).data
    ids[:] = 2
    y.sum().backward()
    loss.backward()
    np.testing.assert_array_equal(x.grad, [[1, 0, 0], [0, 1, 1], [0, 0, 0]])
    np.testing.assert_allclose(3 * np.asarray(logits.grad), softmax - np.eye(3)[[0, 1, 1]], atol=8 * U)


def test_shapes_as_numbers_or_as_one_tuple() -> None:
    """As torch, reshape and expand take either."""
    x = Tensor(np.ones((1, 6)))
    assert x.reshape(2, 3).shape == x.reshape((2, 3)).shape == (2, 3)
    assert x.expand(4, -1).shape == x.expand((4, -1)).shape == (4, 6)
    assert x.sum().reshape().shape == x.sum().expand(()).shape == ()


def test_numbers_and_arrays_beside_a_tensor() -> None:
    """On either side of an operator; float32 stays float32, from start to gradient."""
    x = Tensor(np.ones(2, np.float32), requires_grad=True)
    y = (np.ones(2, np.float32) @ (np.full(2, 3, np.float32) - 2 * x / 3.0)).mean() ** 2
    y.backward()
    assert y.dtype == np.float32
    assert x.grad is not None
    assert x.grad.dtype == np.float32
    assert x.shape == (2,)
    assert y.item() == pytest.approx((3 - 2 / 3 + 3 - 2 / 3) ** 2, abs=16 * unit_roundoff(np.float32) * 22)
    assert "requires_grad=True" in repr(x)


def test_the_framework_is_short_enough_for_an_evening() -> None:
    """The Tensor's file has at most 300 lines; all files together at most 500 of code.

    Not code are blank lines, comments and docstrings, which make it quicker to read, and the list of names.
    """
    files = {path.name: path.read_text() for path in Path(autograd.__file__).parent.glob("*.py")}
    assert len(files["tensor.py"].splitlines()) <= 300
    assert sum(lines_of_code(text) for name, text in files.items() if name != "__init__.py") <= 500


def lines_of_code(source: str) -> int:
    documented: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node):
            documented.update(range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1))
    lines = enumerate(map(str.strip, source.splitlines()), 1)
    return sum(bool(line) and line[0] != "#" and number not in documented for number, line in lines)
