"""Where the losses of pairs have corners: coinciding points, margins exactly met, one pair, zeros.

Parity everywhere else is proved in `test_layers.py`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from gdl_numpy import nn
from gdl_torch.nn import ContrastiveLoss, NTXentLoss
from parity_tests.harness import check
from parity_tests.support.reports import batch

Floats = tuple[float, ...]


def rows(*values: Floats, dtype: str = "float32") -> np.ndarray:
    return np.array(values, dtype)


def test_a_triplet_that_meets_the_margin_is_left_alone() -> None:
    """Loss and gradient are 0 at the margin exactly; just inside it the gradient is whole."""
    loss = nn.TripletMarginLoss(margin=2.0, eps=0.0)
    anchor, positive = rows((0, 0), (0, 0)), rows((3, 0), (3, 0))
    assert loss(anchor, positive, rows((0, 5), (0, 6))) == 0
    assert all((grad == 0).all() for grad in loss.backward())
    loss(anchor, positive, rows((0, 5), (0, 4.99)))
    pull, push = loss.backward()[1:]
    np.testing.assert_array_equal(pull, [[0, 0], [0.5, 0]])
    np.testing.assert_array_equal(push, [[0, 0], [0, -0.5]])


def test_swapped_and_own_negative_at_one_distance_share_the_gradient() -> None:
    loss = nn.TripletMarginLoss(margin=9.0, eps=0.0, swap=True)
    assert loss(rows((-1, 0)), rows((1, 0)), rows((0, 1))) == pytest.approx(11 - math.sqrt(2))
    _, _, negative = loss.backward()
    np.testing.assert_allclose(negative, [[0, -math.sqrt(0.5)]], atol=1e-7)


@pytest.mark.parametrize("alike", [0, 1])
def test_coinciding_points_are_not_pushed_anywhere(alike: int) -> None:
    """There is no direction; unlike, they lose the whole margin."""
    loss, x = nn.ContrastiveLoss(margin=2.0), rows((1, 2), (0, 0))
    assert loss(x, x.copy(), np.array([alike, alike])) == (0 if alike else 4)
    for grad in loss.backward():
        np.testing.assert_array_equal(grad, np.zeros((2, 2)))


def test_unlike_points_a_margin_apart_are_left_alone() -> None:
    loss = nn.ContrastiveLoss(margin=5.0)
    assert loss(rows((0, 0)), rows((3, 4)), np.array([0])) == 0
    assert all((grad == 0).all() for grad in loss.backward())


@pytest.mark.parametrize("temperature", [0.01, 0.5, 100.0])
def test_one_pair_has_nothing_to_be_told_from(temperature: float) -> None:
    loss = nn.NTXentLoss(temperature)
    assert loss(rows((1, 2, 3)), rows((-1, 0.5, 2))) == 0
    for grad in loss.backward():
        np.testing.assert_array_equal(grad, np.zeros((1, 3)))


def test_similarities_that_overflow_without_care() -> None:
    """1 / temperature = 1,000: e¹⁰⁰⁰ is infinite. Right answers cost nothing, wrong ones 1,000 each."""
    loss, z = nn.NTXentLoss(1e-3), rows((1, 0), (0, 1))
    assert loss(z, z.copy()) == 0
    assert loss(z, z[::-1].copy()) == pytest.approx(1000)
    assert all(np.isfinite(grad).all() for grad in loss.backward())


def test_chance_costs_the_logarithm_of_the_others() -> None:
    """Where all are alike, each guesses among the others, in however many views."""
    loss, z = nn.NTXentLoss(0.02, reduction="none"), np.full((4, 3), 7.0)
    np.testing.assert_allclose(loss(z, z), np.full(8, math.log(7)))
    np.testing.assert_allclose(loss(z, z, z), np.full(12, math.log(11)))


def test_more_views_share_the_probability() -> None:
    """Of three, the other two are equally right: nothing is below log 2, and there no gradient is left."""
    loss, z = nn.NTXentLoss(0.02), rows((1, 0), (0, 1), dtype="float64")
    assert loss(z, z, z) == pytest.approx(math.log(2))
    for grad in loss.backward():
        np.testing.assert_allclose(grad, np.zeros((2, 2)), atol=1e-15)
    apart = loss(z, z, z[::-1].copy())  # a third of the rows has neither, the others have one of two
    assert apart == pytest.approx((50 + math.log(2)) / 3 + 2 * (25 + math.log(2)) / 3, rel=1e-3)


def test_vectors_of_zeros_give_no_nan(dtype: str) -> None:
    """Neither alone nor among others, in any loss or on the way to it."""
    z, other = np.zeros((2, 3), dtype), rows((0, 0, 0), (1, 2, 3), dtype=dtype)
    for loss, targets in (
        (nn.NTXentLoss(), ()),
        (nn.ContrastiveLoss(), (np.array([0, 1]),)),
        (nn.CosineEmbeddingLoss(), (np.array([1, -1]),)),
        (nn.TripletMarginLoss(), (other + 1,)),
    ):
        for second in (z, other):
            assert np.isfinite(loss(z, second, *targets))
            assert all(np.isfinite(grad).all() for grad in loss.backward())
    normalize = nn.Normalize()
    np.testing.assert_array_equal(normalize(z), z)
    assert np.isfinite(normalize.backward(np.ones((2, 3), dtype))).all()  # type: ignore[arg-type]


def test_a_margin_is_rounded_too() -> None:
    """Near the margin, whose rounding is then the largest of all."""
    anchors = batch(200, 1) * 1e-3
    others = anchors + batch(200, 1, seed=2) * 1e-3
    triplets = nn.TripletMarginLoss(0.3, reduction="none"), torch.nn.TripletMarginLoss(0.3, reduction="none")
    check(*triplets, (anchors, anchors, others), dtype="float32").raise_if_different()
    pairs = nn.ContrastiveLoss(0.3, reduction="none"), ContrastiveLoss(0.3, reduction="none")
    check(*pairs, (anchors, others), np.zeros(200), dtype="float32").raise_if_different()


@pytest.mark.parametrize("p", [1, 2])
@pytest.mark.parametrize("swap", [False, True])
def test_every_branch_of_triplets_is_torchs(p: int, swap: bool, dtype: str) -> None:
    """Some triplets are far enough, some are not; of these either negative distance is the lesser one."""
    anchor, positive, negative = (batch(100, 3, seed=seed) for seed in range(3))
    arguments: Any = {"p": p, "swap": swap, "reduction": "none"}
    loss = nn.TripletMarginLoss(**arguments)
    active = np.asarray(loss(anchor, positive, negative)) > 0
    swapped = np.abs(positive - negative).sum(axis=1) < np.abs(anchor - negative).sum(axis=1)
    assert min((active & swapped).sum(), (active & ~swapped).sum(), (~active).sum()) >= 5
    twin = torch.nn.TripletMarginLoss(**arguments)
    check(loss, twin, (anchor, positive, negative), dtype=dtype).raise_if_different()


def test_every_branch_of_pairs_is_torchs(dtype: str) -> None:
    """Alike, unlike within the margin, and unlike beyond it."""
    x1, x2, alike = batch(60, 3), batch(60, 3, seed=2), np.arange(60) % 2
    loss = nn.ContrastiveLoss(2.0, reduction="none")
    unlike = np.asarray(loss(x1, x2, alike))[alike == 0]
    assert min((unlike > 0).sum(), (unlike == 0).sum()) >= 5
    check(loss, ContrastiveLoss(2.0, "none"), (x1, x2), alike, dtype=dtype).raise_if_different()


@pytest.mark.parametrize("temperature", [0.5, 0.1, 0.05, 0.01])
@pytest.mark.parametrize("apart", [0.0, 1e-6, 1e-3, 1.0])
@pytest.mark.parametrize("count", [2, 3, 5])
def test_duplicates_at_all_temperatures_are_torchs(
    count: int, temperature: float, apart: float, dtype: str
) -> None:
    """Images that a batch has twice, or nearly, whose views are negatives of each other all the same."""
    few, noise = batch(8, 5), [apart * batch(16, 5, seed=1 + view) for view in range(count)]
    views = tuple(few.repeat(2, axis=0) + part for part in noise)
    own, twin = nn.NTXentLoss(temperature), NTXentLoss(temperature)
    check(own, twin, views, dtype=dtype).raise_if_different()


@pytest.mark.usefixtures("unchecked_types")
@pytest.mark.parametrize("loss", [nn.NTXentLoss, NTXentLoss, nn.ContrastiveLoss, ContrastiveLoss])
@pytest.mark.parametrize("number", [-1.0, math.inf, math.nan, "much", None])
def test_temperatures_and_margins_that_are_none_are_refused(loss: Any, number: Any) -> None:
    """By both sides, in one line that names the loss, the argument and what it was."""
    with pytest.raises(ValueError, match=rf"\w+Loss expects .*(temperature|margin) .*, got '?{number}"):
        loss(number)


@pytest.mark.usefixtures("unchecked_types")
@pytest.mark.parametrize("loss", [nn.NTXentLoss, NTXentLoss, nn.ContrastiveLoss, ContrastiveLoss])
def test_an_unknown_reduction_is_refused_by_both_sides(loss: Any) -> None:
    with pytest.raises(ValueError, match=r"expects reduction .*, got 'average'"):
        loss(reduction="average")


@pytest.mark.parametrize("margin", [0.0, math.inf])
def test_a_triplet_has_a_finite_margin(margin: float) -> None:
    with pytest.raises(ValueError, match=f"finite margin > 0, got {margin}"):
        nn.TripletMarginLoss(margin)


REFUSED = {
    "fewer of the second": (rows((1, 2), (3, 4)), rows((1, 2)), [0, 1], r"equal shapes.* \(1, 2\)"),
    "a vector": (np.ones(2), np.ones(2), [0, 1], r"\(N, D\).* \(2,\)"),
    "two dtypes": (np.ones((2, 2)), rows((1, 2), (3, 4)), [0, 1], "dtype.*float64 and .*float32"),
    "integers": (np.ones((2, 2), int), np.ones((2, 2), int), [0, 1], "float.*int64"),
    "targets of another loss": (np.ones((2, 2)), np.ones((2, 2)), [1, -1], "0 or 1, got -1"),
    "a target that is no number": (np.ones((2, 2)), np.ones((2, 2)), [1, math.nan], "0 or 1, got nan"),
    "a target for all": (np.ones((2, 2)), np.ones((2, 2)), [1], r"shape \(2,\), got \(1,\)"),
}


@pytest.mark.usefixtures("unchecked_types")
@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_pair_is_refused_by_both_sides(case: str) -> None:
    """Torch would broadcast most of these, or take a row for another's positive."""
    x1, x2, target, message = REFUSED[case]
    arrays = [x1, x2, np.array(target)]
    for loss, arguments in (
        (nn.ContrastiveLoss(), arrays),
        (ContrastiveLoss(), [torch.from_numpy(array) for array in arrays]),
        (nn.NTXentLoss(), arrays[:2]),
        (NTXentLoss(), [torch.from_numpy(array) for array in arrays[:2]]),
    ):
        if len(arguments) == 2 and "target" in case:
            continue
        with pytest.raises(ValueError, match=message):
            loss(*arguments)
