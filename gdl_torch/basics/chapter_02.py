"""Chapter 2's counter and groups with tensors: the twin of `gdl_numpy.basics.chapter_02`."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch

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
    from torch import Tensor


class Counts(NamedTuple):
    """What has been seen.

    Attributes:
        patterns: the different inputs, in lexicographic order.
        seen: how often each was seen.
        yes: how often with the outcome 1.
    """

    patterns: Float[Tensor, "patterns inputs"]
    seen: Int64[Tensor, " patterns"]
    yes: Int64[Tensor, " patterns"]


def count(inputs: Float[Tensor, "examples inputs"], outcomes: Bool[Tensor, " examples"]) -> Counts:
    """Counts how often each pattern of inputs came, and how often with the outcome 1."""
    check_arrays("count", inputs=(inputs, "examples inputs"))
    check_outcomes("count", inputs, outcomes)
    patterns, which, seen = torch.unique(inputs, dim=0, return_inverse=True, return_counts=True)
    return Counts(patterns, seen, torch.bincount(which[outcomes], minlength=len(patterns)))


def probability(counts: Counts, inputs: Float[Tensor, "examples inputs"]) -> Float[Tensor, " examples"]:
    """Returns the fraction of the times that each input was seen in which the outcome was 1; nan if never."""
    check_arrays(
        "probability", patterns=(counts.patterns, "patterns inputs"), inputs=(inputs, "examples inputs")
    )
    same = (inputs[:, None] == counts.patterns).all(dim=2).to(inputs.dtype)  # (examples, patterns)
    return (same @ counts.yes.to(inputs.dtype)) / (same @ counts.seen.to(inputs.dtype))


class Groups(NamedTuple):
    """Points in groups.

    Attributes:
        centres: the means.
        labels: the group of each point.
        sums: Σᵢ ‖xᵢ − c_labelᵢ‖² in each round, before its centres move; the last is that of what is here.
    """

    centres: Float[Tensor, "groups features"]
    labels: Int64[Tensor, " points"]
    sums: Float[Tensor, " rounds"]


def distances(
    points: Float[Tensor, "points features"], centres: Float[Tensor, "groups features"]
) -> Float[Tensor, "points groups"]:
    """Returns ‖x − c‖² of each pair."""
    check_arrays("distances", points=(points, "points features"), centres=(centres, "groups features"))
    return torch.cdist(points, centres, compute_mode="donot_use_mm_for_euclid_dist") ** 2


def plus_plus(
    points: Float[Tensor, "points features"], draws: Float[Tensor, " groups"]
) -> Float[Tensor, "groups features"]:
    """Chooses points to start from, far from each other (k-means++), by numbers from [0, 1)."""
    check_groups("plus_plus", points, draws)
    check_arrays("plus_plus", points=(points, "points features"), draws=(draws, "groups"))
    check_finite("plus_plus", points=points, draws=draws)
    nearest = torch.ones_like(points[:, 0])
    chosen: list[int] = []
    for draw in draws:
        cumulative = nearest.cumsum(0)
        place = int(torch.searchsorted(cumulative, draw * cumulative[-1], right=True))
        chosen.append(min(place, len(points) - 1))
        nearest_to_new = distances(points, points[chosen[-1:]])[:, 0]
        nearest = torch.minimum(nearest, nearest_to_new) if len(chosen) > 1 else nearest_to_new
    return points[chosen]


def kmeans(
    points: Float[Tensor, "points features"], centres: Float[Tensor, "groups features"], rounds: int = 100
) -> Groups:
    """Lloyd's algorithm, from these centres, until no point changes its group or for so many rounds."""
    check_count("kmeans", rounds=rounds)
    check_arrays("kmeans", points=(points, "points features"), centres=(centres, "groups features"))
    check_groups("kmeans", points, centres)
    check_finite("kmeans", points=points, centres=centres)
    labels, sums = torch.full_like(points[:, 0], -1, dtype=torch.int64), []
    for done in range(rounds + 1):
        before = labels
        nearest, labels = distances(points, centres).min(dim=1)
        sums.append(nearest.sum())
        if done == rounds or torch.equal(labels, before):
            break
        totals = torch.zeros_like(centres).index_add(0, labels, points)
        sizes = torch.bincount(labels, minlength=len(centres)).unsqueeze(1)
        centres = torch.where(sizes > 0, totals / sizes, centres)
    return Groups(centres, labels, torch.stack(sums))


def dp_means(points: Float[Tensor, "points features"], penalty: float, rounds: int = 100) -> Groups:
    """Groups as many as it takes: the furthest point opens another, while that is worth the penalty."""
    check_rate("dp_means", penalty=penalty)
    check_arrays("dp_means", points=(points, "points features"))
    check_finite("dp_means", points=points)
    centres, sums = points.mean(dim=0, keepdim=True), []
    while True:
        groups = kmeans(points, centres, rounds)
        sums.append(groups.sums)
        distance, furthest = distances(points, groups.centres).amin(dim=1).max(dim=0)
        if distance <= penalty or len(centres) == len(points):
            return Groups(groups.centres, groups.labels, torch.cat(sums))
        centres = torch.cat([groups.centres, points[furthest].unsqueeze(0)])
