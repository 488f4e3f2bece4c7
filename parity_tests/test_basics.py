"""Chapters 2 to 6: both sides of every function agree, and what the chapters say of them is so.

The published values, digit for digit, are in `test_basics_published.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import KMeans

import gdl_numpy.basics as numpy_basics
import gdl_torch.basics as torch_basics
from gdl_numpy.basics import chapter_02, chapter_03, chapter_04, chapter_05, chapter_06
from gdl_torch.basics import chapter_02 as torch_chapter_02
from gdl_torch.basics import chapter_06 as torch_chapter_06
from parity_tests.harness.disturbance import largest_movement
from parity_tests.harness.evaluate import Evaluation
from parity_tests.harness.report import Comparison, ParityReport, compare, distance
from parity_tests.harness.rounding import comparison_roundoff, gamma, unit_roundoff
from parity_tests.support.rough import rough

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from parity_tests.harness.disturbance import Signs

    Draw = Callable[[np.random.Generator], tuple[tuple[Any, ...], dict[str, Any]]]

U = unit_roundoff(np.float64)
DRAWS = 3  # pairs of opposite disturbances


@dataclass(frozen=True)
class Case:
    """A function that both sides have.

    Attributes:
        name: "file.function".
        draw: arguments that are data, and options, from a Generator.
    """

    name: str
    draw: Draw


def descent(*shapes: tuple[int, ...], **options: Any) -> Draw:
    """Data of these shapes, and a learning rate at which they converge: α ‖x‖² = ½."""

    def draw(rng: np.random.Generator) -> tuple[tuple[Any, ...], dict[str, Any]]:
        data = tuple(rng.standard_normal(shape)[()] for shape in shapes)
        return data, {"alpha": 0.5 / float((data[1] ** 2).sum()), "rounds": 6, **options}

    return draw


def lights(rng: np.random.Generator, examples: int = 6) -> np.ndarray:
    return rng.integers(0, 2, (examples, 3)).astype(np.float64)


def crossing(batch_size: int) -> Draw:
    def draw(rng: np.random.Generator) -> tuple[tuple[Any, ...], dict[str, Any]]:
        data = rng.standard_normal(3), lights(rng), rng.uniform(0, 1, 6)
        return data, {"alpha": 0.1, "rounds": 10, "batch_size": batch_size}

    return draw


def clusters(rng: np.random.Generator) -> np.ndarray:
    """Forty points around four corners, well apart, so that rounding decides nowhere."""
    corners = np.array([[0.0, 0, 0], [9, 0, 0], [0, 9, 0], [0, 0, 9]])
    points: np.ndarray = rng.permutation(np.repeat(corners, 10, axis=0) + rng.uniform(-1, 1, (40, 3)))
    return points


def a_network(rng: np.random.Generator) -> chapter_06.Network:
    return chapter_06.Network(rng.uniform(-1, 1, (3, 4)), rng.uniform(-1, 1, (4, 2)))


def scalars(rng: np.random.Generator) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return tuple(np.float64(number) for number in rng.standard_normal(3)), {}


def a_hidden_layer(nonlinear: bool) -> Draw:
    def draw(rng: np.random.Generator) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return (a_network(rng), rng.standard_normal((6, 3)), nonlinear), {}

    return draw


def deep_learning(nonlinear: bool) -> Draw:
    def draw(rng: np.random.Generator) -> tuple[tuple[Any, ...], dict[str, Any]]:
        data = a_network(rng), rng.standard_normal((4, 3)), rng.uniform(0, 1, (4, 2))
        return data, {"alpha": 0.05, "rounds": 5, "nonlinear": nonlinear}

    return draw


CASES = [
    Case("chapter_02.count", lambda rng: ((lights(rng), rng.random(6) < 0.5), {})),
    Case(
        "chapter_02.probability",
        lambda rng: ((chapter_02.count(lights(rng), rng.random(6) < 0.5), lights(rng, 20)), {}),
    ),
    Case("chapter_02.distances", lambda rng: ((clusters(rng), rng.standard_normal((2, 3))), {})),
    Case("chapter_02.plus_plus", lambda rng: ((clusters(rng), rng.random(4)), {})),
    Case("chapter_02.kmeans", lambda rng: ((x := clusters(rng), x[:5]), {})),
    Case("chapter_02.kmeans", lambda rng: ((x := clusters(rng), x[:5]), {"rounds": 1})),
    Case("chapter_02.dp_means", lambda rng: ((clusters(rng),), {"penalty": 12.0})),
    Case("chapter_03.one_weight", lambda rng: ((np.float64(8.5), np.float64(0.1)), {})),
    Case("chapter_03.many_inputs", lambda rng: (tuple(rng.standard_normal((2, 7))), {})),
    Case("chapter_03.many_outputs", lambda rng: ((rng.standard_normal(), rng.standard_normal(5)), {})),
    Case("chapter_03.matrix", lambda rng: ((rng.standard_normal(7), rng.standard_normal((5, 7))), {})),
    Case(
        "chapter_03.stacked", lambda rng: ((rng.standard_normal(4), list(rng.standard_normal((3, 4, 4)))), {})
    ),
    Case("chapter_04.error", scalars),
    Case("chapter_04.derivative", scalars),
    Case("chapter_04.slope", lambda rng: (scalars(rng)[0], {"run": 0.25})),
    Case(
        "chapter_04.hot_and_cold",
        # It stops before the goal: there rounding would decide between up and down.
        lambda rng: ((rng.uniform(0, 1), np.float64(0.5), np.float64(0.8)), {"step": 0.001, "rounds": 40}),
    ),
    Case("chapter_04.one_weight", descent((), (), ())),
    Case("chapter_05.many_inputs", descent((5,), (5,), ())),
    Case("chapter_05.many_inputs", descent((5,), (5,), (), frozen=(0, 3))),
    Case("chapter_05.many_outputs", descent((5,), (), (5,))),
    Case("chapter_05.matrix", descent((3, 5), (5,), (3,))),
    Case("chapter_05.as_pictures", lambda rng: ((rng.standard_normal((3, 6)),), {"shape": (2, 3)})),
    *(Case("chapter_06.descend", crossing(batch_size)) for batch_size in (1, 4, 6)),
    Case(
        "chapter_06.correlation",
        lambda rng: ((rng.standard_normal((9, 3)), rng.standard_normal((9, 2))), {}),
    ),
    Case(
        "chapter_06.pressures", lambda rng: ((rng.standard_normal(3), lights(rng), rng.uniform(0, 1, 6)), {})
    ),
    *(Case("chapter_06.hidden_layer", a_hidden_layer(nonlinear)) for nonlinear in (True, False)),
    Case("chapter_06.as_one_layer", lambda rng: ((a_network(rng),), {})),
    *(Case("chapter_06.learn", deep_learning(nonlinear)) for nonlinear in (True, False)),
]


def convert(value: Any, leaf: Callable[[np.ndarray], Any], package: Any) -> Any:
    """The same arguments with `leaf` of each array, and named tuples of the package instead of NumPy's."""
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        module = getattr(package, type(value).__module__.rpartition(".")[2])
        return getattr(module, type(value).__name__)(*(convert(item, leaf, package) for item in value))
    if isinstance(value, tuple | list):
        return type(value)(convert(item, leaf, package) for item in value)
    return value if isinstance(value, bool) else leaf(np.asarray(value))


def flat(result: Any) -> Iterator[np.ndarray]:
    """All the arrays of a result, in order, as float64 where they count something."""
    if isinstance(result, tuple | list):
        for item in result:
            yield from flat(item)
    else:
        yield np.asarray(result.cpu() if isinstance(result, torch.Tensor) else result)


def call(case: Case, package: Any, data: tuple[Any, ...], options: dict[str, Any]) -> list[np.ndarray]:
    file, function = case.name.split(".")
    return list(flat(getattr(getattr(package, file), function)(*data, **options)))


def in_turn(signs: Iterator[float]) -> Signs:
    """Of each array that is asked for, the next sign, for all of its elements."""
    return lambda array: np.full(np.shape(array), next(signs))


def moved(case: Case, data: tuple[Any, ...], options: dict[str, Any], u: float) -> list[np.ndarray]:
    """How far each result moves when every operation is as far off as rounding may be; at least its own."""

    def run(signs: Signs | None) -> Evaluation:
        def perturb(array: np.ndarray) -> Any:
            is_exact = signs is None or array.dtype != np.float64
            return array[()] if signs is None or is_exact else rough(array, signs, u)

        return Evaluation(call(case, numpy_basics, convert(data, perturb, numpy_basics), options))

    exact, movement = largest_movement(run, DRAWS)
    # The same operation again and again, as in hot and cold, is rounded to the same side again and again:
    # both operands up or down, or apart, where their difference is what counts.
    for both in ((1.0, 1.0), (-1.0, -1.0), (1.0, -1.0), (-1.0, 1.0)):
        movement = movement.map(np.maximum, exact.map(distance, run(in_turn(cycle(both)))))
    own = exact.map(lambda value: u * np.nan_to_num(np.abs(value)))
    return own.map(np.maximum, movement).outputs


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.usefixtures("unchecked_types")  # Rough numbers are arrays without dimensions
def test_both_sides_agree(case: Case, dtype: str, device: str, agree: Callable[[ParityReport], None]) -> None:
    """Every result of every function, in either dtype, within what its roundings explain."""

    @settings(max_examples=20)
    @given(st.integers(0, 2**32 - 1))
    def run(seed: int) -> None:
        drawn, options = case.draw(np.random.default_rng(seed))

        def rounded(array: np.ndarray) -> Any:
            return array.astype(dtype)[()] if array.dtype == np.float64 else array[()]

        def tensor(array: np.ndarray) -> torch.Tensor:
            return torch.from_numpy(np.array(rounded(array))).to(device)

        data = convert(drawn, rounded, numpy_basics)
        exact = convert(
            data, lambda a: a.astype(np.float64)[()] if a.dtype.kind == "f" else a[()], numpy_basics
        )
        truth = call(case, numpy_basics, exact, options)
        bounds = moved(case, exact, options, comparison_roundoff(dtype))
        sides = {
            "torch": call(case, torch_basics, convert(drawn, tensor, torch_basics), options),
            "numpy": call(case, numpy_basics, data, options),
        }
        report = ParityReport(case.name, dtype, device)
        for side, results in sides.items():
            report.comparisons += compared(case.name, side, truth, results, bounds, np.dtype(dtype))
        agree(report)

    run()


def compared(
    name: str,
    side: str,
    truth: list[np.ndarray],
    results: list[np.ndarray],
    bounds: list[np.ndarray],
    dtype: np.dtype,
) -> Iterator[Comparison]:
    for number, (expected, actual, bound) in enumerate(zip(truth, results, bounds, strict=True)):
        if expected.dtype.kind != "f":
            assert actual.dtype == expected.dtype
            expected, actual = expected.astype(np.float64), actual.astype(dtype)
        size = np.nan_to_num(np.abs(expected)).max(initial=1)
        assert bound.max(initial=0) <= 0.01 * size, "a bound this wide would let mistakes through"
        yield compare((name, f"result {number}", side), expected, actual, bound, dtype)


def assert_to_rounding(found: Any, expected: Any, terms: int, size: Any = 0.0) -> None:
    """Within γ of so many terms, of whichever is largest: what is expected, or what went into it."""
    bound = gamma(terms, 2 * U) * max(np.abs(np.asarray(expected)).max(), np.abs(np.asarray(size)).max())
    assert np.abs(np.asarray(found) - np.asarray(expected)).max() <= bound


def test_the_books_step_is_half_the_gradient_of_its_error() -> None:
    """Its direction is right (chapters 4 to 6): autograd of (p − g)² gives exactly twice the step."""
    w, x, g = np.array([0.1, 0.2, -0.1]), np.array([8.5, 0.65, 1.2]), 1.0
    step = w - chapter_05.many_inputs(w, x, g, alpha=1.0, rounds=1).weights[-1]
    weights = torch.tensor(w, requires_grad=True)
    (grad,) = torch.autograd.grad((torch.tensor(x) @ weights - g) ** 2, weights)
    assert_to_rounding(grad, 2 * step, len(w) + 4, w)

    network = chapter_06.first_weights()
    x, goal = np.array(chapter_06.DEEP_LIGHTS[:1], np.float64), np.array(chapter_06.DEEP_WALK[:1], np.float64)
    after, _ = chapter_06.learn(network, x, goal, alpha=1.0, rounds=1)
    torch_network = torch_chapter_06.first_weights()
    for tensor in torch_network:
        tensor.requires_grad_()
    hidden = torch_chapter_06.hidden_layer(torch_network, torch.tensor(x))
    error = ((hidden @ torch_network.output - torch.tensor(goal)) ** 2).sum()
    for grad, before, then in zip(torch.autograd.grad(error, torch_network), network, after, strict=True):
        assert_to_rounding(grad, 2 * (before - then), sum(network.hidden.shape) + 4, before)


@pytest.mark.parametrize(("x", "alpha"), [(0.5, 1.0), (1.1, 1.0), (2.0, 1.0), (2.0, 0.1), (2.0, 0.5)])
def test_each_round_multiplies_delta_by_one_minus_alpha_x_squared(x: float, alpha: float) -> None:
    """Which makes it creep, overshoot, diverge, or (α x² = 2) swing to and fro for ever."""
    delta = chapter_04.one_weight(0.3, x, 0.8, alpha, 8).predictions - 0.8
    assert_to_rounding(delta[1:], (1 - alpha * x**2) * delta[:-1], 8, 0.8 + np.abs(delta).max())


def test_a_frozen_weight_stays_and_the_others_reach_the_goal() -> None:
    w, x = np.array([0.1, 0.2, -0.1]), np.array([8.5, 0.65, 1.2])
    free = chapter_05.many_inputs(w, x, 1.0, 0.01, 200)
    frozen = chapter_05.many_inputs(w, x, 1.0, 0.3, 200, frozen=[0])
    assert set(frozen.weights[:, 0]) == {0.1}
    assert frozen.errors[-1] < 1e-12
    assert free.errors[-1] < 1e-12
    assert abs(free.weights[-1, 0] - 0.1) > 0.01


@pytest.mark.parametrize("package", [numpy_basics, torch_basics], ids=["numpy", "torch"])
def test_a_frozen_weight_stays_though_the_others_diverge(package: Any) -> None:
    array = np.array if package is numpy_basics else partial(torch.tensor, dtype=torch.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        found = package.chapter_05.many_inputs(
            array([0.1, 0.2]), array([1e3, 1e3]), array(1.0)[()], 1e30, 20, frozen=[0]
        )
    weights = np.asarray(found.weights)
    assert not np.isfinite(weights[-1, 1])
    assert set(weights[:, 0]) == {0.1}


def test_a_rate_of_numpys_carries_no_float32_along() -> None:
    one, alpha, w = np.float32(1), np.float64(0.1), np.ones(2, np.float32)
    assert chapter_04.one_weight(one, one, one, alpha).weights.dtype == np.float32
    assert chapter_04.hot_and_cold(one, one, one, alpha, 2).weights.dtype == np.float32
    assert chapter_05.many_inputs(w, w, one, alpha).weights.dtype == np.float32
    assert chapter_06.descend(
        w, np.ones((3, 2), np.float32), np.ones(3, np.float32), alpha
    ).weights.dtype == (np.float32)


def test_hot_and_cold_rests_where_both_directions_are_as_bad() -> None:
    """And, a whole number of steps away, gets there; else it swings around the goal for ever."""
    there = chapter_04.hot_and_cold(0.5, 1.0, 1.0, 0.25, 5)
    assert there.weights.tolist() == [0.5, 0.75, 1.0, 1.0, 1.0, 1.0]
    swinging = chapter_04.hot_and_cold(0.5, 1.0, 1.1, 0.25, 6)
    assert swinging.weights.tolist() == [0.5, 0.75, 1.0, 1.25, 1.0, 1.25, 1.0]


@given(st.integers(0, 1000), st.integers(1, 7))
def test_batches_of_all_sizes_learn_as_their_definition_says(seed: int, batch_size: int) -> None:
    """The mean over each batch, the last one smaller; errors made with the weights of the moment."""
    rng = np.random.default_rng(seed)
    w, x, g = rng.standard_normal(3), lights(rng), rng.uniform(0, 1, 6)
    found = chapter_06.descend(w, x, g, 0.1, 2, batch_size)
    for done in range(2):
        error = 0.0
        for start in range(0, 6, batch_size):
            rows = range(start, min(start + batch_size, 6))
            error += sum((x[i] @ w - g[i]) ** 2 for i in rows)
            w = w - 0.1 * sum((x[i] @ w - g[i]) * x[i] for i in rows) / len(rows)
        assert_to_rounding(found.weights[done + 1], w, 2 * 6 * (x.size + 4), found.weights)
        assert_to_rounding(found.errors[done], error, 2 * 6 * (x.size + 4), 1 + (found.weights**2).max())


@pytest.mark.parametrize("side", [chapter_06, torch_chapter_06], ids=["numpy", "torch"])
def test_what_never_changes_has_no_correlation(side: Any) -> None:
    """Not even where the mean of a constant, rounded, is not the constant; all others are NumPy's."""
    rng = np.random.default_rng(0)
    x, g = np.c_[rng.standard_normal((7, 2)), np.full(7, 0.1)], rng.standard_normal((7, 2))
    inputs, goals = (x, g) if side is chapter_06 else (torch.tensor(x), torch.tensor(g))
    found = np.asarray(side.correlation(inputs, goals))
    assert_to_rounding(found[:2], np.corrcoef(x[:, :2].T, g.T)[:2, 2:], 4 * len(x), 1 + np.abs(x).max())
    assert found[2].tolist() == [0, 0]


@pytest.mark.parametrize("side", [chapter_06, torch_chapter_06], ids=["numpy", "torch"])
def test_small_numbers_correlate_as_large_ones_do(side: Any) -> None:
    """Though the product of their squares is below the smallest float; and of nan nothing is known."""
    x = np.random.default_rng(0).standard_normal((9, 2))
    array = np.array if side is chapter_06 else torch.tensor
    found = np.asarray(side.correlation(array(1e-90 * x), array(1e-90 * x)))
    assert_to_rounding(found, np.corrcoef(x.T), 4 * len(x), 1 + np.abs(x).max())
    x[0, 0] = np.nan
    assert np.isnan(np.asarray(side.correlation(array(x), array(x[:, 1:])))).tolist() == [[True], [False]]


def test_the_hidden_layer_makes_the_correlation_that_the_lights_lack() -> None:
    """Chapter 6's reason for depth: no light tells anything, two hidden units together tell all."""
    x, g = np.array(chapter_06.DEEP_LIGHTS, np.float64), np.array(chapter_06.DEEP_WALK, np.float64)
    assert not chapter_06.correlation(x, g).any()
    network, errors = chapter_06.learn(chapter_06.first_weights(), x, g)
    hidden = chapter_06.hidden_layer(network, x)
    assert np.abs(chapter_06.correlation(hidden, g)).max() > 0.5
    assert chapter_06.correlation(hidden @ network.output, g).item() > 0.9999
    assert errors[-1] < 1e-4
    # Three weights alone stay where they can be wrong by a half everywhere.
    assert chapter_06.descend(np.zeros(3), x, g[:, 0], rounds=200).errors[-1] > 0.9


def test_the_counter_and_the_weights_have_opposite_strengths() -> None:
    """The counter learns what no weighted sum can; of a pattern it has not seen it knows nothing."""
    x, g = np.array(chapter_06.DEEP_LIGHTS, np.float64), np.array(chapter_06.DEEP_WALK, np.float64)[:, 0]
    counts = chapter_02.count(x, g > 0.5)
    np.testing.assert_array_equal(chapter_02.probability(counts, x), g)
    assert np.isnan(chapter_02.probability(counts, np.zeros((1, 3)))).all()
    twice = chapter_02.count(np.tile(x, (3, 1)), np.r_[g, g, 1 - g] > 0.5)
    assert len(twice.patterns) == len(counts.patterns)
    np.testing.assert_array_equal(chapter_02.probability(twice, x), (2 * g + (1 - g)) / 3)


def test_plus_plus_draws_in_proportion_to_the_squared_distance() -> None:
    """With 0, 1 and 3 on a line, from 0 the others have 1 and 9 of ten chances; none is drawn twice."""
    points = np.array([[0.0], [1.0], [3.0]])
    for draw, expected in ((0.0, 1.0), (0.099, 1.0), (0.101, 3.0), (0.999, 3.0)):
        assert chapter_02.plus_plus(points, np.array([0.3, draw])).tolist() == [[0.0], [expected]]
    every = chapter_02.plus_plus(points, np.array([0.9, 0.0, 0.999]))
    assert sorted(every[:, 0]) == [0.0, 1.0, 3.0]


@given(st.integers(0, 1000), st.integers(1, 6))
def test_kmeans_is_scikit_learns(seed: int, k: int) -> None:
    """A second witness: the same labels and sum from the same start; and no round makes the sum larger."""
    rng = np.random.default_rng(seed)
    points = rng.standard_normal((60, 3))
    centres = chapter_02.plus_plus(points, rng.random(k))
    found = chapter_02.kmeans(points, centres)
    theirs = KMeans(k, init=centres, n_init=1, algorithm="lloyd", tol=0).fit(points)
    np.testing.assert_array_equal(found.labels, theirs.labels_)
    assert_to_rounding(found.centres, theirs.cluster_centers_, len(points), points)
    terms = points.size + 3 * points.shape[1]
    assert_to_rounding(found.sums[-1], theirs.inertia_, terms, 4 * (points**2).sum())
    assert (np.diff(found.sums) <= gamma(terms, 2 * U) * 4 * (points**2).sum()).all()


def test_groups_far_from_zero_are_found_as_well() -> None:
    """In float32, where the squares of the points have no digit left for what is between them."""
    rng = np.random.default_rng(0)
    near = np.repeat(np.array([[0.0, 0.0], [9.0, 0.0], [0.0, 9.0]]), 8, axis=0) + rng.integers(0, 3, (24, 2))
    far = (near + 2.0**17).astype(np.float32)  # exactly
    starts = chapter_02.plus_plus(far, np.array([0.3, 0.5, 0.7], np.float32))
    assert len({tuple(start // 5) for start in starts - 2.0**17}) == 3
    found = chapter_02.kmeans(far, far[[0, 8, 16]])
    np.testing.assert_array_equal(found.labels, np.repeat([0, 1, 2], 8))
    expected = torch_chapter_02.kmeans(torch.tensor(far), torch.tensor(far[[0, 8, 16]]))
    np.testing.assert_array_equal(found.labels, expected.labels)


def test_a_group_that_nobody_belongs_to_keeps_its_centre() -> None:
    points, lonely = np.array([[0.0, 0.0], [1.0, 0.0]]), [50.0, 50.0]
    found = chapter_02.kmeans(points, np.array([[0.0, 0.0], lonely]))
    assert found.centres.tolist() == [[0.5, 0.0], lonely]


@given(st.integers(0, 1000), st.floats(0.1, 30))
def test_dp_means_opens_groups_while_that_is_worth_the_penalty(seed: int, penalty: float) -> None:
    """In the end no point is further than √λ from its centre; four clusters are found without being told."""
    rng = np.random.default_rng(seed)
    points = rng.standard_normal((40, 2))
    found = chapter_02.dp_means(points, penalty)
    assert chapter_02.distances(points, found.centres).min(axis=1).max() <= penalty
    assert len(chapter_02.dp_means(clusters(rng), 12.0).centres) == 4
    assert len(chapter_02.dp_means(points, 1e6).centres) == 1
    assert len(chapter_02.dp_means(points, 0.0).centres) == 40


def test_stacked_layers_are_one_matrix() -> None:
    """Chapter 3's stack is linear: it predicts what the product of its matrices does."""
    rng = np.random.default_rng(0)
    first, second, x = rng.standard_normal((4, 3)), rng.standard_normal((2, 4)), rng.standard_normal(3)
    size = np.abs(second) @ np.abs(first) @ np.abs(x)
    assert_to_rounding(chapter_03.stacked(x, [first, second]), second @ first @ x, 3 + 4, size)
