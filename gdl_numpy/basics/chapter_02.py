"""Chapter 2: fundamental concepts. Supervised and unsupervised, parametric and nonparametric learning.

Supervised: a counter learns from examples, and is nonparametric: its number of parameters comes from the
data. The streetlights' parametric learner (`chapter_06.descend`) has a weight a light, however much it sees,
and an opinion on every pattern. The counter keeps two numbers for each pattern that it has seen: it learns
whatever there is to learn about those, even what no sum of lights can tell, and nothing about the others.

Unsupervised: groups in data without labels, their number given, or found. k-means looks for centres c that
make Σᵢ min_k ‖xᵢ − c_k‖² small, by Lloyd's two steps in turn: every point goes to its nearest centre, every
centre to the mean of its points. Neither can increase the sum, so that it ends. The number of groups is a
parameter of the model: it is parametric. DP-means (Kulis and Jordan, *Revisiting k-means: New Algorithms via
Bayesian Nonparametrics*, 2012) is not: it adds λ for each group to the sum, and opens another one wherever
that pays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gdl_numpy.basics.checks import (
    check_arrays,
    check_count,
    check_finite,
    check_groups,
    check_outcomes,
    check_rate,
)

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int64


class Counts(NamedTuple):
    """What has been seen.

    Attributes:
        patterns: the different inputs, in lexicographic order.
        seen: how often each was seen.
        yes: how often with the outcome 1.
    """

    patterns: Float[np.ndarray, "patterns inputs"]
    seen: Int64[np.ndarray, " patterns"]
    yes: Int64[np.ndarray, " patterns"]


def count(inputs: Float[np.ndarray, "examples inputs"], outcomes: Bool[np.ndarray, " examples"]) -> Counts:
    """Counts how often each pattern of inputs came, and how often with the outcome 1.

    Raises ValueError for no examples, or outcomes that are not a bool for each.
    """
    check_arrays("count", inputs=(inputs, "examples inputs"))
    check_outcomes("count", inputs, outcomes)
    patterns, which = np.unique(inputs, axis=0, return_inverse=True)
    which = which.reshape(-1)  # NumPy 2.0 alone gave it the inputs' dimensions
    n = len(patterns)
    seen, yes = np.bincount(which, minlength=n), np.bincount(which[outcomes], minlength=n)
    return Counts(patterns, seen.astype(np.int64), yes.astype(np.int64))


def probability(
    counts: Counts, inputs: Float[np.ndarray, "examples inputs"]
) -> Float[np.ndarray, " examples"]:
    """Returns the fraction of the times that each input was seen in which the outcome was 1; nan if never."""
    check_arrays(
        "probability", patterns=(counts.patterns, "patterns inputs"), inputs=(inputs, "examples inputs")
    )
    same = (inputs[:, np.newaxis] == counts.patterns).all(axis=2)  # (examples, patterns)
    seen, yes = (same @ n.astype(inputs.dtype) for n in (counts.seen, counts.yes))
    fraction: np.ndarray = np.divide(yes, seen, out=np.full_like(seen, np.nan), where=seen > 0)
    return fraction


class Groups(NamedTuple):
    """Points in groups.

    Attributes:
        centres: the means.
        labels: the group of each point.
        sums: Σᵢ ‖xᵢ − c_labelᵢ‖² in each round, before its centres move; the last is that of what is here.
    """

    centres: Float[np.ndarray, "groups features"]
    labels: Int64[np.ndarray, " points"]
    sums: Float[np.ndarray, " rounds"]


def distances(
    points: Float[np.ndarray, "points features"], centres: Float[np.ndarray, "groups features"]
) -> Float[np.ndarray, "points groups"]:
    """Returns ‖x − c‖² = ‖x‖² − 2 x·c + ‖c‖² of each pair, with one matrix product; never below 0.

    Both are counted from the middle of the points: far from 0, all digits of the three terms would cancel.
    """
    check_arrays("distances", points=(points, "points features"), centres=(centres, "groups features"))
    middle = points.mean(axis=0)
    points, centres = points - middle, centres - middle
    squares: np.ndarray = (points**2).sum(axis=1, keepdims=True) + (centres**2).sum(axis=1)
    squares -= 2 * (points @ centres.T)
    np.maximum(squares, 0, out=squares)
    return squares


def plus_plus(
    points: Float[np.ndarray, "points features"], draws: Float[np.ndarray, " groups"]
) -> Float[np.ndarray, "groups features"]:
    """Chooses points to start from, far from each other: k-means++ (Arthur and Vassilvitskii, 2007).

    The first is drawn uniformly, each other with a probability proportional to its squared distance to the
    nearest one chosen so far. The expected sum is then at most 8 (ln k + 2) times the best there is.

    Args:
        points: the data.
        draws: a number from [0, 1) for each group, such as `rng.random(k)`: where in the cumulative
            distribution of the points the group's first centre lies.

    Raises:
        ValueError: no points, or fewer than groups; inf or nan.
    """
    check_groups("plus_plus", points, draws)
    check_arrays("plus_plus", points=(points, "points features"), draws=(draws, "groups"))
    check_finite("plus_plus", points=points, draws=draws)
    nearest = np.ones(len(points), points.dtype)
    chosen: list[int] = []
    for draw in draws:
        cumulative = np.cumsum(nearest)
        # Rounding may bring the product up to the very end, after the last point.
        place = int(np.searchsorted(cumulative, draw * cumulative[-1], side="right"))
        chosen.append(min(place, len(points) - 1))
        nearest_to_new = distances(points, points[chosen[-1:]])[:, 0]
        nearest = np.minimum(nearest, nearest_to_new) if len(chosen) > 1 else nearest_to_new
    return points[chosen]


def kmeans(
    points: Float[np.ndarray, "points features"],
    centres: Float[np.ndarray, "groups features"],
    rounds: int = 100,
) -> Groups:
    """Lloyd's algorithm, from these centres, until no point changes its group or for so many rounds.

    Raises ValueError for no points, fewer than groups, centres with other features, and inf or nan.
    """
    check_count("kmeans", rounds=rounds)
    check_arrays("kmeans", points=(points, "points features"), centres=(centres, "groups features"))
    check_groups("kmeans", points, centres)
    check_finite("kmeans", points=points, centres=centres)
    labels, sums = np.full(len(points), -1), []
    for done in range(rounds + 1):
        before = labels
        labels, nearest = assign(points, centres)
        sums.append(nearest.sum())
        if done == rounds or np.array_equal(labels, before):
            break
        centres = means(points, labels, centres)
    return Groups(centres, labels, np.array(sums))


def dp_means(points: Float[np.ndarray, "points features"], penalty: float, rounds: int = 100) -> Groups:
    """Groups as many as it takes: a group for each point that is further than √penalty from every centre.

    Begins with one group of all. Each time that k-means has come to rest, the furthest point opens another,
    if its squared distance is more than the penalty of a group. (The paper goes through the points in turn
    and opens groups on the way: its result depends on their order.)

    Args:
        points: the data.
        penalty: λ, in the unit of a squared distance. The sum that shrinks is Σ ‖x − c‖² + λ · groups.
        rounds: at most for each k-means.

    Raises:
        ValueError: no points, inf or nan among them, or a negative penalty.
    """
    check_rate("dp_means", penalty=penalty)
    check_arrays("dp_means", points=(points, "points features"))
    check_finite("dp_means", points=points)
    centres, sums = points.mean(axis=0, keepdims=True), []
    while True:
        groups = kmeans(points, centres, rounds)
        sums.append(groups.sums)
        distance = distances(points, groups.centres).min(axis=1)
        furthest = int(distance.argmax())
        if distance[furthest] <= penalty or len(centres) == len(points):
            return Groups(groups.centres, groups.labels, np.concatenate(sums))
        centres = np.concatenate([groups.centres, points[[furthest]]])


def assign(
    points: Float[np.ndarray, "points features"], centres: Float[np.ndarray, "groups features"]
) -> tuple[Int64[np.ndarray, " points"], Float[np.ndarray, " points"]]:
    """Returns the nearest centre of each point, and its squared distance."""
    squares = distances(points, centres)
    labels = squares.argmin(axis=1)
    return labels, squares[np.arange(len(points)), labels]


def means(
    points: Float[np.ndarray, "points features"],
    labels: Int64[np.ndarray, " points"],
    centres: Float[np.ndarray, "groups features"],
) -> Float[np.ndarray, "groups features"]:
    """Returns the mean of each group's points; a group without any keeps its centre."""
    members = (labels == np.arange(len(centres))[:, np.newaxis]).astype(points.dtype)  # (groups, points)
    sizes = members.sum(axis=1, keepdims=True)
    moved: np.ndarray = np.where(sizes > 0, members @ points / np.maximum(sizes, 1), centres)
    return moved
