"""Triplets of a batch, from its labels, on the device where the batch is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from jaxtyping import Float, Int64


def hardest_triplets(
    z: Float[Tensor, "batch size"], labels: Int64[Tensor, " batch"]
) -> tuple[Int64[Tensor, " triplets"], Int64[Tensor, " triplets"], Int64[Tensor, " triplets"]]:
    """For each example with another of its label: the farthest of those, the nearest of another label.

    Of several at the same Euclidean distance the first. Source: Hermans, Beyer, Leibe 2017, "batch hard",
    https://arxiv.org/abs/1703.07737.

    Returns:
        Positions in the batch of anchors (in order), positives and negatives.

    Raises:
        ValueError: labels of a single class, or none that appears twice; not one label for each row of z.
    """
    if z.ndim != 2 or labels.shape != z.shape[:1]:
        raise ValueError(f"expected z (N, D) and labels (N,), got {tuple(z.shape)} and {tuple(labels.shape)}")
    alike = labels[:, None] == labels
    if alike.all():
        raise ValueError(f"expected labels of at least two classes, got {len(labels)} of one: no negatives")
    positives = alike & ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    if not positives.any():
        raise ValueError(f"expected a label that appears twice, got {len(labels)} different: no positives")
    (anchor,) = positives.any(dim=1).nonzero(as_tuple=True)
    # ‖a - b‖² = ‖a‖² + ‖b‖² - 2 a·b; ‖a‖² is the same for all that one anchor chooses from.
    distances = z.square().sum(dim=1) - 2 * z[anchor] @ z.T
    positive = distances.masked_fill(~positives[anchor], -torch.inf).argmax(dim=1)
    negative = distances.masked_fill(alike[anchor], torch.inf).argmin(dim=1)
    return anchor, positive, negative
