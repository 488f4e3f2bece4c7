"""Pairs and triplets from labels: what may be chosen, what is chosen, and the same on both sides."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gdl_numpy.models import ContrastiveEncoder
from gdl_numpy.tasks import Contrastive
from gdl_numpy.tasks.mining import (
    MINING,
    hardest_triplets,
    pairs_from_labels,
    semihard_triplets,
    triplets_from_labels,
)
from gdl_torch import models as torch_models
from gdl_torch.export import from_numpy
from gdl_torch.tasks import mining as torch_mining
from parity_tests.harness import check

if TYPE_CHECKING:
    from collections.abc import Callable


@st.composite
def batches(draw: Callable[[st.SearchStrategy[Any]], Any]) -> tuple[np.ndarray, np.ndarray]:
    """Points on a small grid, so that many distances are equal, and exact; labels, one of them twice."""
    labels = np.array([0, 0, 1, *draw(st.lists(st.integers(0, 4), max_size=12))])
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    rng.shuffle(labels)
    return rng.integers(-2, 3, (len(labels), draw(st.integers(1, 3)))).astype(float), labels


@given(batches())
def test_the_hardest_are_the_hardest(batch: tuple[np.ndarray, np.ndarray]) -> None:
    """By looking at every triplet in a plain loop; of several at one distance, the first."""
    z, labels = batch
    expected = []
    for i, label in enumerate(labels):
        distances = [float(np.linalg.norm(z[i] - other)) for other in z]
        alike = [j for j in range(len(z)) if labels[j] == label and j != i]
        unlike = [j for j in range(len(z)) if labels[j] != label]
        if alike:
            farthest = max(alike, key=lambda j: (distances[j], -j))
            expected.append((i, farthest, min(unlike, key=lambda j: (distances[j], j))))
    assert list(zip(*(a.tolist() for a in hardest_triplets(z, labels)), strict=True)) == expected


@given(batches())
def test_the_semihard_are_farther_than_the_positive(batch: tuple[np.ndarray, np.ndarray]) -> None:
    """By looking at every triplet in a plain loop; where none is farther, the farthest."""
    z, labels = batch
    expected = []
    for i, label in enumerate(labels):
        distances = [int(((z[i] - other) ** 2).sum()) for other in z]
        unlike = [j for j in range(len(z)) if labels[j] != label]
        for p in (j for j in range(len(z)) if labels[j] == label and j != i):
            farther = [j for j in unlike if distances[j] > distances[p]]
            nearest = min(farther, key=lambda j: (distances[j], j), default=None)
            farthest = max(unlike, key=lambda j: (distances[j], -j))
            expected.append((i, p, farthest if nearest is None else nearest))
    assert list(zip(*(a.tolist() for a in semihard_triplets(z, labels)), strict=True)) == expected


@pytest.mark.parametrize("mining", MINING)
@given(batch=batches())
def test_both_sides_choose_the_same(mining: str, batch: tuple[np.ndarray, np.ndarray]) -> None:
    """Also of several at one distance."""
    z, labels = batch
    other = torch_mining.MINING[mining](torch.from_numpy(z), torch.from_numpy(labels))
    for mine, theirs in zip(MINING[mining](z, labels), other, strict=True):
        np.testing.assert_array_equal(mine, theirs.numpy())


@pytest.mark.parametrize("mining", MINING)
@pytest.mark.parametrize("loss", ["TripletMarginLoss", "ContrastiveLoss", "CosineEmbeddingLoss"])
def test_what_is_mined_trains_the_same_on_both_sides(loss: Any, mining: Any, dtype: str) -> None:
    """Two views of 14 images of three labels, three steps: loss, gradients and parameters in their bounds."""
    rng = np.random.default_rng(3)
    model = ContrastiveEncoder((1, 8, 8), (), (12,), (5,), "tanh", rng=0, dtype=dtype)
    task = Contrastive.of(model, loss, margin=0.3, mining=mining)
    views = tuple(rng.random((2, 14, 1, 8, 8)).astype(dtype))
    labels = np.arange(14) % 3
    twin = from_numpy(model, **task.hparams)
    check(task, twin, views, labels, steps=3, dtype=dtype, name=f"{loss} {mining}").raise_if_different()


@pytest.mark.usefixtures("unchecked_types")
def test_mining_is_for_labels_and_known() -> None:
    model = ContrastiveEncoder((1, 8, 8), (), (12,), (5,), rng=0)
    with pytest.raises(ValueError, match="--mining is not for --loss NTXentLoss"):
        Contrastive.of(model, "NTXentLoss", mining="semihard")
    with pytest.raises(ValueError, match="did you mean 'semihard'"):
        from_numpy(model, loss="TripletMarginLoss", mining="semihrad")


@given(batches(), st.integers(0, 9))
def test_triplets_and_pairs_are_what_they_say(batch: tuple[np.ndarray, np.ndarray], seed: int) -> None:
    """Nobody is his own positive; all that have a positive are anchors; half the pairs are alike."""
    _, labels = batch
    anchor, positive, negative = triplets_from_labels(labels, seed)
    assert (labels[anchor] == labels[positive]).all()
    assert (anchor != positive).all()
    assert (labels[anchor] != labels[negative]).all()
    counts = np.bincount(labels)
    np.testing.assert_array_equal(anchor, np.flatnonzero(counts[labels] > 1))

    first, second, alike = pairs_from_labels(labels, seed)
    np.testing.assert_array_equal(labels[first] == labels[second], alike)
    assert (first != second).all()
    assert 2 * alike.sum() == len(alike) == 2 * len(anchor)


def test_every_candidate_is_drawn_equally_often() -> None:
    labels, rng = np.array([0, 0, 0, 1, 1]), np.random.default_rng(0)
    drawn = [triplets_from_labels(labels, rng) for _ in range(2000)]
    positives = np.bincount([int(positive[0]) for _, positive, _ in drawn], minlength=5)
    negatives = np.bincount([int(negative[0]) for _, _, negative in drawn], minlength=5)
    assert positives[[0, 3, 4]].sum() == negatives[:3].sum() == 0
    # Within five standard deviations, √(2000 · ½ · ½) each, of a half.
    assert abs(positives[1] - 1000) < 112
    assert abs(negatives[3] - 1000) < 112


def test_the_same_seed_draws_the_same() -> None:
    labels = np.arange(40) % 4
    for first, again in zip(pairs_from_labels(labels, 3), pairs_from_labels(labels, 3), strict=True):
        np.testing.assert_array_equal(first, again)
    assert (pairs_from_labels(labels, 3)[1] != pairs_from_labels(labels, 4)[1]).any()


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([1, 1, 1], "at least two classes, got 3 of one: no negatives"),
        ([1], "at least two classes, got 1 of one: no negatives"),
        ([], "at least two classes, got 0 of one: no negatives"),
        ([1, 2, 3], "a label that appears twice, got 3 different: no positives"),
    ],
)
def test_labels_that_make_no_triplet_are_refused(labels: list[int], message: str) -> None:
    """With the reason, on both sides."""
    ids, z = np.array(labels, np.int64), np.ones((len(labels), 2))
    attempts: list[Callable[[], object]] = [
        lambda: pairs_from_labels(ids),
        lambda: triplets_from_labels(ids),
        lambda: hardest_triplets(z, ids),
        lambda: torch_mining.hardest_triplets(torch.from_numpy(z), torch.from_numpy(ids)),
    ]
    for attempt in attempts:
        with pytest.raises(ValueError, match=message):
            attempt()


@pytest.mark.usefixtures("unchecked_types")
def test_shapes_that_do_not_fit_are_refused() -> None:
    z, labels = np.ones((3, 2)), np.array([0, 0, 1, 1])
    with pytest.raises(ValueError, match=r"z \(N, D\) and labels \(N,\), got \(3, 2\) and \(4,\)"):
        hardest_triplets(z, labels)
    with pytest.raises(ValueError, match=r"z \(N, D\) and labels \(N,\), got \(3, 2\) and \(4,\)"):
        torch_mining.hardest_triplets(torch.from_numpy(z), torch.from_numpy(labels))
    with pytest.raises(ValueError, match=r"labels \(N,\), got \(3, 2\)"):
        pairs_from_labels(z)


@pytest.mark.parametrize("model", [ContrastiveEncoder, torch_models.ContrastiveEncoder])
@pytest.mark.parametrize("width", [0, -1])
def test_codes_of_no_width_are_refused_by_both_sides(model: Any, width: int) -> None:
    message = rf"ContrastiveEncoder expects projection_features ≥ 1, got \[8, {width}\]"
    with pytest.raises(ValueError, match=message):
        model((1, 8, 8), projection_features=[8, width])
