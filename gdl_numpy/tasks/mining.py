"""Pairs and triplets of a batch, from its labels: what the losses of `nn.pair_loss` learn from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxtyping import Bool, Float, Int

    Triplets = tuple[Int[np.ndarray, " triplets"], Int[np.ndarray, " triplets"], Int[np.ndarray, " triplets"]]


def pairs_from_labels(
    labels: Int[np.ndarray, " batch"], rng: np.random.Generator | int | None = None
) -> tuple[Int[np.ndarray, " pairs"], Int[np.ndarray, " pairs"], Bool[np.ndarray, " pairs"]]:
    """As many pairs of one label as pairs of two.

    Each example with another of its label is in first place twice: with one of those, and with one of another
    label, both drawn at random.

    Args:
        labels: one for each example.
        rng: for the draws.

    Returns:
        first, second: positions in the batch. alike: whether the two have one label; first all that do.

    Raises:
        ValueError: labels of a single class, or none that appears twice.
    """
    anchor, positive, negative = triplets_from_labels(labels, rng)
    alike = np.arange(2 * len(anchor)) < len(anchor)
    return np.concatenate([anchor, anchor]), np.concatenate([positive, negative]), alike


def triplets_from_labels(
    labels: Int[np.ndarray, " batch"], rng: np.random.Generator | int | None = None
) -> Triplets:
    """For each example with another of its label: one of those, and one of another label, drawn at random.

    Args:
        labels: one for each example.
        rng: for the draws.

    Returns:
        Positions in the batch of anchors (in order), positives and negatives.

    Raises:
        ValueError: labels of a single class, or none that appears twice.
    """
    positives, negatives = candidates(labels)
    anchor = np.flatnonzero(positives.any(axis=1))
    # The candidate with the largest of random numbers is any of them, equally likely.
    drawn = np.random.default_rng(rng).random((len(anchor), len(labels)))
    positive = np.where(positives[anchor], drawn, -1).argmax(axis=1)
    negative = np.where(negatives[anchor], drawn, -1).argmax(axis=1)
    return anchor, positive, negative


def hardest_triplets(z: Float[np.ndarray, "batch size"], labels: Int[np.ndarray, " batch"]) -> Triplets:
    """For each example with another of its label: the farthest of those, the nearest of another label.

    Of several at the same Euclidean distance the first. Source: Hermans, Beyer, Leibe 2017, "batch hard",
    https://arxiv.org/abs/1703.07737.

    Args:
        z: where the network put each example.
        labels: one for each.

    Returns:
        Positions in the batch of anchors (in order), positives and negatives.

    Raises:
        ValueError: labels of a single class, or none that appears twice; not one label for each row of z.
    """
    positives, negatives = candidates(labels)
    anchor = np.flatnonzero(positives.any(axis=1))
    distances = distances_within(z, labels)[anchor]
    positive = np.where(positives[anchor], distances, -np.inf).argmax(axis=1)
    negative = np.where(negatives[anchor], distances, np.inf).argmin(axis=1)
    return anchor, positive, negative


def semihard_triplets(z: Float[np.ndarray, "batch size"], labels: Int[np.ndarray, " batch"]) -> Triplets:
    """For each two examples of one label: the nearest of another label that is farther than they are apart.

    Where none is, the farthest of another label. Of several at the same Euclidean distance the first. The
    hardest triplets of an encoder that knows nothing yet pull all to one point, these do not. Source:
    Schroff, Kalenichenko, Philbin 2015, *FaceNet*, section 3.2, https://arxiv.org/abs/1503.03832.

    Args:
        z: where the network put each example.
        labels: one for each.

    Returns:
        Positions in the batch of anchors (in order), positives (in order for each anchor) and negatives.

    Raises:
        ValueError: labels of a single class, or none that appears twice; not one label for each row of z.
    """
    positives, negatives = candidates(labels)
    anchor, positive = np.nonzero(positives)
    distances = distances_within(z, labels)
    from_anchor, may_be = distances[anchor], negatives[anchor]
    farther = may_be & (from_anchor > distances[anchor, positive][:, None])
    nearest = np.where(farther, from_anchor, np.inf).argmin(axis=1)
    farthest = np.where(may_be, from_anchor, -np.inf).argmax(axis=1)
    return anchor, positive, np.where(farther.any(axis=1), nearest, farthest)


def distances_within(
    z: Float[np.ndarray, "batch size"], labels: Int[np.ndarray, " batch"]
) -> Float[np.ndarray, "batch batch"]:
    """In row i, something that grows with the distance from example i.

    ‖a - b‖² = ‖a‖² + ‖b‖² - 2 a·b, and ‖a‖² is the same for all that one anchor chooses from.

    Raises:
        ValueError: not one label for each row of z.
    """
    if z.ndim != 2 or len(z) != len(labels):
        raise ValueError(f"expected z (N, D) and labels (N,), got {z.shape} and {np.shape(labels)}")
    distances: np.ndarray = (z * z).sum(axis=1) - 2 * (z @ z.T)
    return distances


def candidates(
    labels: Int[np.ndarray, " batch"],
) -> tuple[Bool[np.ndarray, "batch batch"], Bool[np.ndarray, "batch batch"]]:
    """Whether the second example can be the positive, and the negative, of the first.

    Raises:
        ValueError: labels of a single class, or none that appears twice.
    """
    if np.ndim(labels) != 1:
        raise ValueError(f"expected labels (N,), got {np.shape(labels)}")
    alike = labels[:, None] == labels
    if alike.all():
        raise ValueError(f"expected labels of at least two classes, got {len(labels)} of one: no negatives")
    negatives = ~alike
    np.fill_diagonal(alike, False)
    if not alike.any():
        raise ValueError(f"expected a label that appears twice, got {len(labels)} different: no positives")
    return alike, negatives


MINING: dict[str, Callable[..., Triplets]] = {"hardest": hardest_triplets, "semihard": semihard_triplets}
