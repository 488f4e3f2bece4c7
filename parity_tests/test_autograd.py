"""Every operation of chapter 13's Tensor, and random expressions of them, against torch.autograd."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, mutually_broadcastable_shapes

from gdl_numpy import autograd
from gdl_numpy.autograd.parts import WIDE
from parity_tests.harness import FromAutograd, check
from parity_tests.harness.bounds import ELEMENTARY, UNDERFLOW
from parity_tests.harness.disturbance import largest_movement
from parity_tests.harness.evaluate import run_numpy
from parity_tests.harness.evaluate_torch import run_torch
from parity_tests.harness.perturbation import DRAWS
from parity_tests.harness.report import distance
from parity_tests.harness.rounding import gamma, unit_roundoff
from parity_tests.support import OWN, TORCH, TorchFunction, numbers, parity, torch_max

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from parity_tests.harness import ParityReport
    from parity_tests.harness.disturbance import Signs

    Agree = Callable[[ParityReport], None]

U = unit_roundoff(np.float64)

ELEMENTWISE: dict[str, Callable[..., Any]] = {
    "neg": lambda _, x: -x,
    "exp": lambda _, x: x.exp(),
    "log": lambda _, x: (x * x + 0.5).log(),
    "relu": lambda _, x: x.relu(),
    "sigmoid": lambda _, x: x.sigmoid(),
    "tanh": lambda _, x: x.tanh(),
    "power": lambda _, x: x**3 + x**2.0 + x**1 + x**0,
    "negative power": lambda _, x: (x * x + 0.5) ** -1.5,
    "numbers": lambda _, x: 2 - (3 + x) * 0.5 + 1 / (x * x + 1) - x / 7 - (x - 1) * 2,
}
BINARY: dict[str, Callable[..., Any]] = {
    "add": lambda _, a, b: a + b,
    "sub": lambda _, a, b: a - b,
    "mul": lambda _, a, b: a * b,
    "div": lambda _, a, b: a / (b * b + 0.5),
    "used many times": lambda _, a, b: a * a * b + a - b * (a + b),
}
REDUCTIONS: dict[str, Callable[..., Any]] = {
    "sum": lambda _, x, dim, keepdim: x.sum(dim=dim, keepdim=keepdim),
    "mean": lambda _, x, dim, keepdim: x.mean(dim=dim, keepdim=keepdim),
    "max": lambda lib, x, dim, keepdim: lib.max(x, dim, keepdim),
}
shapes = array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)
filled = array_shapes(min_dims=1, max_dims=3, max_side=4)  # with a dimension, and something in it
seeds = st.integers(0, 2**32 - 1)


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_elementwise(name: str, dtype: str, agree: Agree) -> None:
    """Any shape, empty and without dimensions too."""

    @given(shapes, seeds)
    def run(shape: tuple[int, ...], seed: int) -> None:
        agree(parity(ELEMENTWISE[name], numbers(seed, *shape), dtype=dtype))

    run()


@pytest.mark.parametrize("name", BINARY)
def test_broadcasting(name: str, dtype: str, agree: Agree) -> None:
    """Gradients are summed back over whatever was copied, on either side."""

    @given(mutually_broadcastable_shapes(num_shapes=2, max_dims=3, min_side=0, max_side=4), seeds)
    def run(drawn: Any, seed: int) -> None:
        a, b = (numbers(seed + i, *shape) for i, shape in enumerate(drawn.input_shapes))
        agree(parity(BINARY[name], a, b, dtype=dtype))

    run()


@pytest.mark.parametrize("name", REDUCTIONS)
def test_reductions(name: str, dtype: str, agree: Agree) -> None:
    """Over all dimensions, one, counted from either end, or several; kept and not kept."""

    @given(st.data(), seeds, st.booleans())
    def run(data: st.DataObject, seed: int, keepdim: bool) -> None:
        shape = data.draw(filled if name == "max" else shapes)
        n = len(shape)
        each = st.integers(-n, n - 1)
        several = st.lists(each, min_size=1, max_size=n, unique_by=lambda d: d % n).map(tuple)
        dim = data.draw(st.none() | each | several if n else st.none())
        agree(
            parity(lambda lib, x: REDUCTIONS[name](lib, x, dim, keepdim), numbers(seed, *shape), dtype=dtype)
        )

    run()


def test_equal_maxima_share() -> None:
    """To the last bit, since rounding that breaks a tie hides how it was shared."""
    x = np.array([[3.0, 1.0, 3.0, 0.0], [2.0, 2.0, 2.0, 2.0]])
    for dim in (None, 0, 1):
        own = run_numpy(FromAutograd(lambda x, d=dim: x.max(d)), (x,), (), lambda y: [np.full_like(y[0], 4)])
        other = run_torch(
            TorchFunction(lambda x, d=dim: torch_max(x, d, False)),
            (x,),
            (),
            lambda y: [np.full_like(y[0], 4)],
        )
        np.testing.assert_array_equal(own.grad_inputs[0], other.grad_inputs[0])


@given(st.data(), seeds)
def test_shapes(data: st.DataObject, seed: int) -> None:
    """Transpose, reshape and expand, forwards and backwards, views of each other included."""
    shape = data.draw(filled)
    dims = st.integers(-len(shape), len(shape) - 1)
    first, second, copies = data.draw(dims), data.draw(dims), data.draw(st.integers(0, 3))
    expression = lambda _, x: (  # noqa: E731
        x.transpose(first, second).reshape(-1, 1).expand(copies, -1, 2) * x.sum() + x.reshape(-1, 1)
    )
    parity(expression, numbers(seed, *shape)).raise_if_different()


@given(mutually_broadcastable_shapes(signature="(m?,n),(n,p?)->(m?,p?)", max_dims=2, max_side=3), seeds)
def test_matrix_product(drawn: Any, seed: int) -> None:
    """Vectors, matrices and batches of them, broadcast against each other."""
    a, b = (numbers(seed + i, *shape) for i, shape in enumerate(drawn.input_shapes))
    for dtype in ("float32", "float64"):
        parity(lambda _, a, b: a @ b, a, b, dtype=dtype).raise_if_different()


KEYS: list[Any] = [
    0,
    -1,
    np.s_[1:],
    np.s_[..., 1],
    np.s_[:, None, ::2],
    np.s_[-1, 1:2],
    np.array([0, 2, 2, -1, 2]),
    np.array([[0, 0], [1, 0]]),
    np.s_[:, np.array([1, 1, 0])],
    (np.array([0, 0, 1]), np.array([1, 1, 0])),
    np.array([True, False, True]),
    np.zeros(0, np.int64),
]


@pytest.mark.parametrize("key", KEYS, ids=repr)
def test_indexing(key: Any, dtype: str, agree: Agree) -> None:
    """Repeated places add up; so do two looks at the same place, and a look beside a use of the whole."""
    torch_key = (
        tuple(torch.from_numpy(k) if isinstance(k, np.ndarray) else k for k in key)
        if isinstance(key, tuple)
        else torch.from_numpy(key)
        if isinstance(key, np.ndarray)
        else key
    )
    x = numbers(0, 3, 4, 2)

    def expression(key: Any) -> Callable[..., Any]:
        return lambda x: x[key] * x[key].tanh() + x[key].sum() + x.mean() + (x * x)[0, 0, 0]

    steps = FromAutograd(expression(key)), TorchFunction(expression(torch_key))
    agree(check(*steps, (x,), dtype=dtype))


@pytest.mark.parametrize("width", [1, WIDE - 1, WIDE])
@given(st.lists(st.integers(-3, 2), max_size=7), seeds)
def test_rows_of_any_width(width: int, ids: list[int], seed: int) -> None:
    """Looked up several times, counted from either end: wide ones are added up in another way."""
    key = np.array(ids, np.int64)
    rows = FromAutograd(lambda x: x[key]), TorchFunction(lambda x: x[torch.from_numpy(key)])
    for dtype in ("float32", "float64"):
        check(*rows, (numbers(seed, 3, width),), dtype=dtype).raise_if_different()


@given(st.data(), seeds)
def test_softmax_and_cross_entropy(data: st.DataObject, seed: int) -> None:
    """Along any dimension; of any number of examples, large scores too."""
    shape = data.draw(filled)
    dim = data.draw(st.integers(-len(shape), len(shape) - 1))
    n, classes = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 5))
    ids = np.random.default_rng(seed).integers(0, classes, n)
    for dtype in ("float32", "float64"):
        parity(lambda lib, x: lib.softmax(x, dim), numbers(seed, *shape), dtype=dtype).raise_if_different()
        own, other = FromAutograd(autograd.CrossEntropyLoss()), torch.nn.CrossEntropyLoss()
        check(own, other, 20 * numbers(seed, n, classes), ids, dtype=dtype).raise_if_different()


@given(array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=3), st.integers(1, 3), st.data(), seeds)
def test_linear_stack_and_cat(shape: tuple[int, ...], count: int, data: st.DataObject, seed: int) -> None:
    """Several tensors, the same one twice, and layers with and without a bias."""
    dim = data.draw(st.integers(-len(shape), len(shape) - 1))
    tensors = [numbers(seed + i, *shape) for i in range(count)]
    for dtype in ("float32", "float64"):
        parity(lambda lib, *x: lib.stack([*x, x[0]], dim), *tensors, dtype=dtype).raise_if_different()
        parity(lambda lib, *x: lib.cat([*x, x[0]], dim), *tensors, dtype=dtype).raise_if_different()
        x, w, b = numbers(seed, *shape, 3), numbers(seed, 4, 3), numbers(seed, 4)
        parity(lambda lib, x, w, b: lib.linear(x, w, b), x, w, b, dtype=dtype).raise_if_different()
        parity(lambda lib, x, w: lib.linear(x, w), x, w, dtype=dtype).raise_if_different()


NODES: list[Callable[..., Any]] = [  # none of them grows without end
    lambda _, a, b: a + b,
    lambda _, a, b: a - b,
    lambda _, a, b: (a * b).tanh(),
    lambda _, a, b: a / (b * b + 1),
    lambda _, a, b: (a.expand(3, 3) @ b.expand(3, 3)).tanh(),
    lambda _, a, b: (a.expand(3, 3).transpose(0, 1) @ b.expand(3, 3)[1]).sigmoid(),
    lambda _, a, b: -a + b.expand(3, 3)[np.array([0, 2, 0])],
    lambda _, a, b: a.tanh().exp() - b.relu(),
    lambda _, a, b: (a * a + 1).log() + b.tanh() ** 3,
    lambda _, a, b: a.sum() - b.mean(),
    lambda _, a, b: a.expand(3, 3).sum(dim=0, keepdim=True) + b.expand(3, 3).mean(dim=1, keepdim=True),
    lambda lib, a, b: lib.max(a.expand(3, 3), -1, True) * b.sigmoid(),
    lambda lib, a, b: lib.softmax(a.expand(3, 3), 0) + b.expand(3, 3).reshape(9)[2:5],
    lambda lib, a, b: lib.stack([a.expand(3, 3)[0], b.expand(3, 3)[1], a.expand(3, 3)[:, 2]], 1),
    lambda lib, a, b: lib.cat([a.expand(3, 3)[:1], b.expand(3, 3)[1:]]),
]
graphs = st.lists(st.tuples(st.sampled_from(NODES), seeds, seeds), min_size=5, max_size=30)


def evaluate(
    library: Any, graph: Any, leaves: Sequence[Any], touch: Callable[[Any], Any] = lambda node: node
) -> Any:
    """Each node takes two of those before it; all of them are in the result."""
    nodes = [touch(leaf) for leaf in leaves]
    for operation, i, j in graph:
        nodes.append(touch(operation(library, nodes[i % len(nodes)], nodes[j % len(nodes)])))
    total = nodes[0].mean()
    for node in nodes[1:]:
        total = touch(total + node.mean())
    return total


@given(graphs, seeds)
def test_random_graphs(graph: Any, seed: int) -> None:
    """Of 5 to 30 nodes, against torch; the bound is how far torch moves if every node is off by γ."""
    leaves = [numbers(seed + i, *shape) for i, shape in enumerate([(3, 3), (3,), (3, 1), ()])]
    relative = float(gamma(9 + ELEMENTARY, 2 * U))

    def with_torch(signs: Signs | None) -> Any:
        def touch(node: torch.Tensor) -> torch.Tensor:
            return node if signs is None else node * torch.from_numpy(np.asarray(1 + relative * signs(node)))

        module = TorchFunction(lambda *x: evaluate(TORCH, graph, x, touch))
        return run_torch(module, leaves, (), lambda _: [np.ones(())])

    own = run_numpy(FromAutograd(lambda *x: evaluate(OWN, graph, x)), leaves, (), lambda _: [np.ones(())])
    truth, movement = largest_movement(with_torch, DRAWS)
    apart = truth.map(distance, own)
    for error, moved in zip(
        [*apart.outputs, *apart.grad_inputs], [*movement.outputs, *movement.grad_inputs], strict=True
    ):
        assert (error <= np.maximum(moved, UNDERFLOW)).all()
