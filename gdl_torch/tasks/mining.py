"""Triplets of a batch, from its labels, on the device where the batch is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxtyping import Bool, Float, Int64

    Triplets = tuple[Int64[Tensor, " triplets"], Int64[Tensor, " triplets"], Int64[Tensor, " triplets"]]


def hardest_triplets(z: Float[Tensor, "batch size"], labels: Int64[Tensor, " batch"]) -> Triplets:
    """For each example with another of its label: the farthest of those, the nearest of another label.

    Of several at the same Euclidean distance the first. Source: Hermans, Beyer, Leibe 2017, "batch hard",
    https://arxiv.org/abs/1703.07737.

    Returns:
        Positions in the batch of anchors (in order), positives and negatives.

    Raises:
        ValueError: labels of a single class, or none that appears twice; not one label for each row of z.
    """
    positives, negatives = candidates(labels)
    (anchor,) = positives.any(dim=1).nonzero(as_tuple=True)
    distances = distances_within(z, labels)[anchor]
    positive = distances.masked_fill(~positives[anchor], -torch.inf).argmax(dim=1)
    negative = distances.masked_fill(~negatives[anchor], torch.inf).argmin(dim=1)
    return anchor, positive, negative


def semihard_triplets(z: Float[Tensor, "batch size"], labels: Int64[Tensor, " batch"]) -> Triplets:
    """For each two examples of one label: the nearest of another label that is farther than they are apart.

    Where none is, the farthest of another label. Of several at the same Euclidean distance the first. Source:
    Schroff, Kalenichenko, Philbin 2015, *FaceNet*, section 3.2, https://arxiv.org/abs/1503.03832.

    Returns:
        Positions in the batch of anchors (in order), positives (in order for each anchor) and negatives.

    Raises:
        ValueError: labels of a single class, or none that appears twice; not one label for each row of z.
    """
    positives, negatives = candidates(labels)
    anchor, positive = positives.nonzero(as_tuple=True)
    distances = distances_within(z, labels)
    from_anchor, may_be = distances[anchor], negatives[anchor]
    farther = may_be & (from_anchor > distances[anchor, positive][:, None])
    nearest = from_anchor.masked_fill(~farther, torch.inf).argmin(dim=1)
    farthest = from_anchor.masked_fill(~may_be, -torch.inf).argmax(dim=1)
    return anchor, positive, torch.where(farther.any(dim=1), nearest, farthest)


def distances_within(
    z: Float[Tensor, "batch size"], labels: Int64[Tensor, " batch"]
) -> Float[Tensor, "batch batch"]:
    """In row i, something that grows with the distance from example i.

    ‖a - b‖² = ‖a‖² + ‖b‖² - 2 a·b, and ‖a‖² is the same for all that one anchor chooses from.

    Raises:
        ValueError: not one label for each row of z.
    """
    if z.ndim != 2 or labels.shape != z.shape[:1]:
        raise ValueError(f"expected z (N, D) and labels (N,), got {tuple(z.shape)} and {tuple(labels.shape)}")
    return z.square().sum(dim=1) - 2 * (z @ z.T)


def candidates(
    labels: Int64[Tensor, " batch"],
) -> tuple[Bool[Tensor, "batch batch"], Bool[Tensor, "batch batch"]]:
    """Whether the second example can be the positive, and the negative, of the first.

    Raises:
        ValueError: labels of a single class, or none that appears twice.
    """
    if labels.ndim != 1:
        raise ValueError(f"expected labels (N,), got {tuple(labels.shape)}")
    alike = labels[:, None] == labels
    if alike.all():
        raise ValueError(f"expected labels of at least two classes, got {len(labels)} of one: no negatives")
    positives = alike & ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    if not positives.any():
        raise ValueError(f"expected a label that appears twice, got {len(labels)} different: no positives")
    return positives, ~alike


MINING: dict[str, Callable[..., Triplets]] = {"hardest": hardest_triplets, "semihard": semihard_triplets}
