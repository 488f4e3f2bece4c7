"""Chapter 2's groups with tensors: the twin of `gdl_numpy.basics.kmeans`."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch

if TYPE_CHECKING:
    from jaxtyping import Float, Int64
    from torch import Tensor


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
    return torch.cdist(points, centres, compute_mode="donot_use_mm_for_euclid_dist") ** 2


def plus_plus(
    points: Float[Tensor, "points features"], draws: Float[Tensor, " groups"]
) -> Float[Tensor, "groups features"]:
    """Chooses points to start from, far from each other (k-means++), by numbers from [0, 1)."""
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
    centres, sums = points.mean(dim=0, keepdim=True), []
    while True:
        groups = kmeans(points, centres, rounds)
        sums.append(groups.sums)
        distance, furthest = distances(points, groups.centres).amin(dim=1).max(dim=0)
        if distance <= penalty or len(centres) == len(points):
            return Groups(groups.centres, groups.labels, torch.cat(sums))
        centres = torch.cat([groups.centres, points[furthest].unsqueeze(0)])
