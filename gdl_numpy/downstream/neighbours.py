"""The nearest neighbours of points by the cosine of the angle between them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gdl_numpy.downstream.probe import check_labels
from gdl_numpy.nn.normalize import normalize
from gdl_numpy.progress import Bar

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float, Int, Int64

SHORTEST = 1e-12  # a point nearer to zero than this has no direction
AT_A_TIME = 2**24  # cosines held in memory: 64 MB of float32


def nearest_neighbours(
    queries: Float[np.ndarray, "queries size"],
    keys: Float[np.ndarray, "keys key_size"],
    k: int,
    progress: bool = False,
) -> tuple[Int64[np.ndarray, "queries k"], Float[np.ndarray, "queries k"]]:
    """Finds the k keys most like each query, by one matrix product for as many queries as memory allows.

    Args:
        queries: points, of any length.
        keys: points, of any length; the cosine of a point of zeros with any other is 0.
        k: a few; the search goes through all cosines once for each.
        progress: show a bar, which disappears at the end.

    Returns:
        positions in keys, the nearest first, of equals the first; and the cosines.

    Raises:
        ValueError: points of different sizes, or k not from 1 to the number of keys.
    """
    if queries.shape[1:] != keys.shape[1:]:
        raise ValueError(f"expected queries and keys of one size, got {queries.shape} and {keys.shape}")
    if not 1 <= k <= len(keys):
        raise ValueError(f"k must be from 1 to {len(keys)}, the number of keys, got {k}")
    queries, keys = (normalize(points, 1, SHORTEST)[0] for points in (queries, keys))
    indices = np.empty((len(queries), k), np.int64)
    cosines = np.empty((len(queries), k), np.result_type(queries, keys))
    size = max(1, AT_A_TIME // len(keys))
    starts = range(0, len(queries), size)
    for start in Bar(starts, desc="neighbours", unit="block", leave=False, disable=not progress):
        block = slice(start, start + size)
        similarity = queries[block] @ keys.T
        rows = np.arange(len(similarity))
        for rank in range(k):  # a few passes are less than any sorting
            best = similarity.argmax(axis=1)
            indices[block, rank], cosines[block, rank] = best, similarity[rows, best]
            similarity[rows, best] = -np.inf
    return indices, cosines


def knn_accuracy(
    keys: Float[np.ndarray, "keys size"],
    key_labels: Int[np.ndarray, " key_labels"],
    queries: Float[np.ndarray, "queries query_size"],
    query_labels: Int[np.ndarray, " query_labels"],
    ks: Sequence[int] = (1, 5),
    progress: bool = False,
) -> list[float]:
    """How often most of the k nearest keys of a query have its label, for each of several k.

    Where as many have one label as have another, the smaller one counts, as in scikit-learn's
    KNeighborsClassifier(metric="cosine").

    Args:
        keys: points whose labels may be looked at.
        key_labels: class ids, from 0.
        queries: points to find the labels of.
        query_labels: what they should be.
        ks: the numbers of neighbours.
        progress: show a bar, which disappears at the end.

    Raises:
        ValueError: key_labels of a single class, not one label for each point, points that are not finite,
            no ks, or a k out of its range.
    """
    if not ks or min(ks) < 1:
        raise ValueError(f"ks must be numbers of neighbours from 1, got {tuple(ks)}")
    classes = check_labels(keys, key_labels)
    check_labels(queries, query_labels, least=1)
    indices, _ = nearest_neighbours(queries, keys, max(ks), progress)
    votes = key_labels[indices][:, :, None] == classes  # (queries, k, classes)
    # argmax gives the first, and so the smallest, of the classes with most votes.
    return [float(np.mean(classes[votes[:, :k].sum(axis=1).argmax(axis=1)] == query_labels)) for k in ks]
