"""Chapters 3 to 6: the published numbers, digit for digit in float64 on both sides; refusals."""

from __future__ import annotations

from functools import partial
from importlib import import_module
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from gdl_numpy.basics import chapter_03, chapter_06
from parity_tests.harness.rounding import gamma, unit_roundoff

if TYPE_CHECKING:
    from collections.abc import Callable

U = unit_roundoff(np.float64)
FILES = ("chapter_02", "chapter_03", "chapter_04", "chapter_05", "chapter_06")


def chapters(package: str) -> SimpleNamespace:
    return SimpleNamespace(**{file: import_module(f"{package}.{file}") for file in FILES})


NUMPY, TORCH = chapters("gdl_numpy.basics"), chapters("gdl_torch.basics")
# A side's chapters, and how it makes its arrays.
SIDES: dict[str, tuple[Any, Callable[..., Any]]] = {
    "numpy": (NUMPY, lambda values: np.array(values, np.float64)[()]),
    "torch": (TORCH, partial(torch.tensor, dtype=torch.float64)),
}
GAME, GOAL = [8.5, 0.65, 1.2], 0.8
ROWS = [[0.1, 0.1, -0.3], [0.1, 0.2, 0.0], [0.0, 1.3, 0.1]]
HIDDEN = [[0.1, 0.2, -0.1], [-0.1, 0.1, 0.9], [0.1, 0.4, 0.1]]
OUTPUT = [[0.3, 1.1, -0.3], [0.1, 0.2, 0.0], [0.0, 1.3, 0.1]]


def deep_errors(c6: Any, array: Any) -> Any:
    lights, walk = array(chapter_06.DEEP_LIGHTS), array(chapter_06.DEEP_WALK)
    return c6.learn(c6.first_weights(), lights, walk)[1][9::10]


# What is computed, with a side's arrays and chapters, and as the book prints it.
PUBLISHED: dict[str, tuple[Callable[..., Any], str]] = {
    "one weight": (lambda a, c: c.chapter_03.one_weight(a(8.5), a(0.1)), "0.8500000000000001"),
    "many inputs": (
        lambda a, c: c.chapter_03.many_inputs(a(GAME), a([0.1, 0.2, 0.0])),
        "0.9800000000000001",
    ),
    "many outputs": (
        lambda a, c: c.chapter_03.many_outputs(a(0.65), a([0.3, 0.2, 0.9])),
        "0.195 0.13 0.5850000000000001",
    ),
    "matrix": (
        lambda a, c: c.chapter_03.matrix(a(GAME), a(ROWS)),
        "0.555 0.9800000000000001 0.9650000000000001",
    ),
    "hot and cold, the first error": (
        lambda a, c: c.chapter_04.hot_and_cold(a(0.5), a(0.5), a(GOAL), 0.001, 1101).errors[0],
        "0.30250000000000005",
    ),
    "hot and cold, the last prediction": (
        lambda a, c: c.chapter_04.hot_and_cold(a(0.5), a(0.5), a(GOAL), 0.001, 1101).predictions[-1],
        "0.7999999999999672",
    ),
    "descent": (
        lambda a, c: c.chapter_04.one_weight(a(0.5), a(0.5), a(GOAL)).predictions[-1],
        "0.7976744445781151",
    ),
    "descent that overshoots": (
        lambda a, c: c.chapter_04.one_weight(a(0), a(1.1), a(GOAL), rounds=4).predictions,
        "0.0 0.9680000000000002 0.76472 0.8074088",
    ),
    "descent that diverges": (
        lambda a, c: c.chapter_04.one_weight(a(0.5), a(2), a(GOAL)).predictions[-1],
        "-232452292.5999999",
    ),
    "with a learning rate": (
        lambda a, c: c.chapter_04.one_weight(a(0.5), a(2), a(GOAL), 0.1).predictions[-1],
        "0.8000121871948003",
    ),
    "three inputs": (
        lambda a, c: c.chapter_05.many_inputs(a([0.1, 0.2, -0.1]), a(GAME), a(1)).predictions,
        "0.8600000000000001 0.9637574999999999 0.9906177228125002",
    ),
    "the first weight frozen": (
        lambda a, c: (
            c.chapter_05.many_inputs(a([0.1, 0.2, -0.1]), a(GAME), a(1), 0.3, frozen=[0]).predictions
        ),
        "0.8600000000000001 0.9382250000000001 0.97274178125",
    ),
    "three outputs": (
        lambda a, c: c.chapter_05.many_outputs(a([0.3, 0.2, 0.9]), a(0.65), a([0.1, 1, 0.1])).weights[-1],
        "0.293825 0.25655 0.868475",
    ),
    "the first light": (
        lambda a, c: c.chapter_06.descend(
            a(chapter_06.WEIGHTS), a(chapter_06.LIGHTS[:1]), a(chapter_06.WALK[:1]), rounds=20
        ).predictions[-1],
        "-0.002882303761517324",
    ),
    "six lights": (
        lambda a, c: c.chapter_06.descend(
            a(chapter_06.WEIGHTS), a(chapter_06.LIGHTS), a(chapter_06.WALK)
        ).errors[-1],
        "0.00053373677328488",
    ),
    "the deep network": (
        lambda a, c: deep_errors(c.chapter_06, a),
        "0.6342311598444467 0.35838407676317513 0.0830183113303298 0.006467054957103705 "
        "0.0003292669000750734 1.5055622665134859e-05",
    ),
}


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("name", PUBLISHED)
def test_published(name: str, side: str) -> None:
    """By all the digits that tell a float64 from its neighbours."""
    chapters, array = SIDES[side]
    compute, printed = PUBLISHED[name]
    assert [repr(float(x)) for x in np.ravel(compute(array, chapters))] == printed.split()


@pytest.mark.parametrize("side", SIDES)
def test_published_as_numpy_prints(side: str) -> None:
    """Chapter 3's two layers, of which the book shows what NumPy prints, eight digits."""
    package, a = SIDES[side]
    c3 = package.chapter_03
    found = np.asarray(c3.stacked(a(GAME), [a(HIDDEN), a(OUTPUT)]))
    assert str(found) == "[0.2135 0.145  0.5065]"


@pytest.mark.parametrize("side", SIDES)
def test_the_derivative_is_the_slope_of_the_drawing(side: str) -> None:
    """Of a parabola, the line through any two points left and right has it; 0 where the error is least."""
    package, a = SIDES[side]
    c4 = package.chapter_04
    for weight in (-1.0, 0.5, 3.0):
        exact = float(c4.derivative(a(weight), a(0.5), a(GOAL)))
        assert exact == 2 * (weight * 0.5 - GOAL) * 0.5
        for run in (1.0, 0.125, 2.0**-20):
            seen = float(c4.slope(a(weight), a(0.5), a(GOAL), run))
            assert abs(seen - exact) <= gamma(12, U) * (abs(weight) + GOAL) ** 2 / run
    assert float(c4.derivative(a(1.6), a(0.5), a(GOAL))) == 0


@pytest.mark.parametrize("side", SIDES)
def test_pressures_add_up_to_the_full_batchs_step(side: str) -> None:
    """In conflict about the outer lamps, of one mind about the middle one."""
    package, a = SIDES[side]
    c6 = package.chapter_06
    start, lights, walk = a([0.25] * 3), a(chapter_06.LIGHTS), a(chapter_06.WALK)
    pushed = np.asarray(c6.pressures(start, lights, walk))
    after = c6.descend(start, lights, walk, alpha=1.0, rounds=1, batch_size=6).weights[-1]
    assert np.abs(np.asarray(after) - 0.25 - pushed.mean(axis=0)).max() <= gamma(6 + 4, 2 * U)
    assert ((pushed > 0).any(axis=0) & (pushed < 0).any(axis=0)).tolist() == [True, False, True]


@pytest.mark.parametrize("side", SIDES)
def test_two_linear_layers_are_one(side: str) -> None:
    """The same predictions, and learning gets no further than three weights; with relu it does."""
    package, a = SIDES[side]
    c6 = package.chapter_06
    lights, walk = a(chapter_06.DEEP_LIGHTS), a(chapter_06.DEEP_WALK)
    first = c6.first_weights()
    network, errors = c6.learn(first, lights, walk, alpha=0.05, rounds=400, nonlinear=False)
    hidden = np.asarray(c6.hidden_layer(network, lights, nonlinear=False))
    size = np.abs(np.asarray(network.hidden)).sum(0) @ np.abs(np.asarray(network.output))
    both, one = hidden @ np.asarray(network.output), np.asarray(lights) @ np.asarray(c6.as_one_layer(network))
    assert np.abs(both - one).max() <= gamma(3 + 4, 2 * U) * size.max()
    assert errors[-1] > 1  # the least that three weights can: a half of each light
    assert c6.learn(first, lights, walk)[1][-1] < 1e-4


@pytest.mark.parametrize("side", SIDES)
def test_weights_as_pictures(side: str) -> None:
    """Rows of the matrix, each a picture, the largest weight of all black or white; zeros are grey."""
    package, a = SIDES[side]
    c5 = package.chapter_05
    pictures = np.asarray(c5.as_pictures(a([[1, 2, 3, -4, 0, 1], [0, 0, 0, 0, 0, 2]]), (2, 3)))
    assert pictures.tolist() == [[[0.25, 0.5, 0.75], [-1, 0, 0.25]], [[0, 0, 0], [0, 0, 0.5]]]
    assert not np.asarray(c5.as_pictures(a([[0.0, 0.0]]), (1, 2))).any()


X, G = [[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]], [0.0, 1.0]
REFUSALS: dict[str, tuple[Callable[..., Any], str]] = {
    "alpha negative, one weight": (
        lambda a, c: c.chapter_04.one_weight(a(0.5), a(0.5), a(0.8), alpha=-0.1),
        "expects alpha to be a number ≥ 0, got -0.1",
    ),
    "alpha negative, many": (
        lambda a, c: c.chapter_05.matrix(a(X), a(G + G[:1]), a(G), alpha=-1),
        "expects alpha to be a number ≥ 0, got -1",
    ),
    "alpha negative, lights": (
        lambda a, c: c.chapter_06.descend(a([0.0] * 3), a(X), a(G), alpha=-1.0),
        "descend expects alpha to be a number ≥ 0, got -1.0",
    ),
    "alpha no number": (
        lambda a, c: c.chapter_06.descend(a([0.0] * 3), a(X), a(G), alpha=float("nan")),
        "descend expects alpha to be a number ≥ 0, got nan",
    ),
    "alpha negative, deep": (
        lambda a, c: c.chapter_06.learn(c.chapter_06.first_weights(), a(X), a([[0.0], [1.0]]), alpha=-0.5),
        "learn expects alpha to be a number ≥ 0, got -0.5",
    ),
    "a step backwards": (
        lambda a, c: c.chapter_04.hot_and_cold(a(0.5), a(0.5), a(0.8), -0.1, 3),
        "hot_and_cold expects step to be a number ≥ 0, got -0.1",
    ),
    "no rounds": (
        lambda a, c: c.chapter_04.hot_and_cold(a(0.5), a(0.5), a(0.8), 0.1, 0),
        "hot_and_cold expects rounds to be an integer ≥ 1, got 0",
    ),
    "half a batch": (
        lambda a, c: c.chapter_06.descend(a([0.0] * 3), a(X), a(G), batch_size=0.5),
        "descend expects batch_size to be an integer ≥ 1, got 0.5",
    ),
    "k larger than the points": (
        lambda a, c: c.chapter_02.plus_plus(a(X), a([0.1, 0.2, 0.3])),
        "plus_plus expects from 1 group to as many as points, 2, got 3",
    ),
    "more centres than points": (
        lambda a, c: c.chapter_02.kmeans(a(X), a([*X, X[0]])),
        "kmeans expects from 1 group to as many as points, 2, got 3",
    ),
    "centres with other features": (
        lambda a, c: c.chapter_02.kmeans(a(X), a([[0.0, 1.0]])),
        "kmeans expects centres of shape (groups, features=3), got (1, 2)",
    ),
    "no points": (
        lambda a, c: c.chapter_02.plus_plus(a(np.zeros((0, 2))), a([0.5])),
        "plus_plus expects from 1 group to as many as points, 0, got 1",
    ),
    "no points for groups": (
        lambda a, c: c.chapter_02.dp_means(a(np.zeros((0, 2))), 1.0),
        "dp_means expects points with something in it, got shape (0, 2)",
    ),
    "a negative penalty": (
        lambda a, c: c.chapter_02.dp_means(a(X), -1.0),
        "dp_means expects penalty to be a number ≥ 0, got -1.0",
    ),
    "nothing to count": (
        lambda a, c: c.chapter_02.count(a(np.zeros((0, 3))), a([]) > 0),
        "count expects inputs with something in it, got shape (0, 3)",
    ),
    "an outcome missing": (
        lambda a, c: c.chapter_02.count(a(X), a([1.0]) > 0),
        "count expects outcomes of shape (2,), one for each input, got (1,)",
    ),
    "outcomes that would be indices": (
        lambda a, c: c.chapter_02.count(a(X), 0 + (a([1.0, 0.0]) > 0)),
        "count expects outcomes to be an array of bools, got int64",
    ),
    "outcomes in a list": (
        lambda a, c: c.chapter_02.count(a(X), [True, False]),
        "count expects outcomes to be an array of bools, got a list",
    ),
    "another crossing": (
        lambda a, c: c.chapter_02.probability(c.chapter_02.count(a(X), a(G) > 0), a([[1.0]])),
        "probability expects inputs of shape (examples, inputs=3), got (1, 1)",
    ),
    "a number for centres": (
        lambda a, c: c.chapter_02.kmeans(a(X), 2),
        "kmeans expects centres of shape (groups, features=3), got ()",
    ),
    "points that are nowhere": (
        lambda a, c: c.chapter_02.dp_means(a([[1.0], [np.nan]]), 1.0),
        "dp_means expects points to be finite, got inf or nan among them",
    ),
    "a list": (
        lambda a, c: c.chapter_03.many_inputs(GAME, a([0.1, 0.2, 0.3])),
        "many_inputs expects inputs to be an array, got a list",
    ),
    "no number": (
        lambda a, c: c.chapter_03.one_weight(None, a(0.1)),
        "one_weight expects x to be a number, got a NoneType",
    ),
    "several weights for one": (
        lambda a, c: c.chapter_04.hot_and_cold(a([0.5]), a(0.5), a(0.8), 0.1, 1),
        "hot_and_cold expects weight of shape (), got (1,)",
    ),
    "a frozen half": (
        lambda a, c: c.chapter_05.many_inputs(a(GAME), a(GAME), a(1.0), frozen=[0.5]),
        "many_inputs expects frozen to be a sequence of integers, got [0.5]",
    ),
    "a picture upside down": (
        lambda a, c: c.chapter_05.as_pictures(a([[1.0, 2.0]]), (-2, -1)),
        "as_pictures expects height to be an integer ≥ 1, got -2",
    ),
    "layers that do not fit": (
        lambda a, c: c.chapter_06.as_one_layer(c.chapter_06.Network(a([[1.0, 2.0]]), a([[1.0]]))),
        "as_one_layer expects output of shape (hidden=2, outputs), got (1, 1)",
    ),
    "no examples": (
        lambda a, c: c.chapter_06.descend(a([0.0] * 3), a(np.zeros((0, 3))), a([])),
        "descend expects inputs with something in it, got shape (0, 3)",
    ),
    "a goal missing": (
        lambda a, c: c.chapter_06.descend(a([0.0] * 3), a(X), a([1.0])),
        "descend expects goals of shape (examples=2), got (1,)",
    ),
    "a network for other inputs": (
        lambda a, c: c.chapter_06.learn(c.chapter_06.first_weights(), a([[1.0, 2.0]]), a([[1.0]])),
        "learn expects hidden of shape (inputs=2, hidden), got (3, 4)",
    ),
    "no correlation of nothing": (
        lambda a, c: c.chapter_06.correlation(a(np.zeros((0, 3))), a(np.zeros((0, 1)))),
        "correlation expects inputs with something in it, got shape (0, 3)",
    ),
    "weights for other inputs": (
        lambda a, c: c.chapter_03.many_inputs(a(GAME), a([0.1, 0.2])),
        "many_inputs expects weights of shape (inputs=3), got (2,)",
    ),
    "a matrix for other inputs": (
        lambda a, c: c.chapter_03.stacked(a(GAME), [a(ROWS), a([[0.1, 0.2]])]),
        "matrix expects weights of shape (outputs, inputs=3), got (1, 2)",
    ),
    "pixels missing": (
        lambda a, c: c.chapter_05.as_pictures(a([[1.0, 2.0]]), (2, 2)),
        "as_pictures expects a weight for each of (2, 2) pixels, got 2",
    ),
}


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("name", REFUSALS)
@pytest.mark.usefixtures("unchecked_types")
def test_refusals(name: str, side: str) -> None:
    """In one line, the same on both sides."""
    chapters, array = SIDES[side]
    attempt, message = REFUSALS[name]
    with pytest.raises(ValueError) as refusal:  # noqa: PT011 (the whole message is compared)
        attempt(array, chapters)
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("side", SIDES)
def test_a_frozen_weight_that_is_not_there(side: str) -> None:
    chapters, array = SIDES[side]
    with pytest.raises(IndexError, match="many_inputs expects frozen to be indices of 3 weights, got 3"):
        chapters.chapter_05.many_inputs(array(GAME), array(GAME), array(1.0), frozen=[3])


@pytest.mark.usefixtures("unchecked_types")
def test_whole_numbers_and_mixed_dtypes_are_refused() -> None:
    """Integers would be cut off, and one float64 among float32 would carry all others with it."""
    lights, walk = np.array(chapter_06.LIGHTS), np.array(chapter_06.WALK)
    with pytest.raises(ValueError, match="descend expects inputs to be floats, got int64"):
        chapter_06.descend(np.zeros(3), lights, walk)
    with pytest.raises(ValueError, match="got inputs float32 and weights float64"):
        chapter_03.many_inputs(np.ones(3, np.float32), np.ones(3))
    with pytest.raises(ValueError, match="got inputs float32 and weights float64"):
        TORCH.chapter_03.many_inputs(torch.ones(3), torch.ones(3, dtype=torch.float64))


def functions_of(module: Any) -> set[str]:
    """Functions and classes that are written there."""
    return {name for name, x in vars(module).items() if getattr(x, "__module__", "") == module.__name__}


def test_a_file_a_chapter_with_the_same_functions_on_both_sides() -> None:
    for file in FILES:
        ours, theirs = (functions_of(vars(side)[file]) for side in (NUMPY, TORCH))
        assert ours - theirs == ({"assign", "means"} if file == "chapter_02" else set())
        assert not theirs - ours
