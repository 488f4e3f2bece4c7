"""What `torch.nn` lacks: layers and losses of `gdl_numpy.nn` that have no torch class of their own."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gdl_numpy.nn.checks import real

if TYPE_CHECKING:
    from jaxtyping import Float, Shaped

Reduction = Literal["mean", "sum", "none"]
ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "sigmoid": nn.Sigmoid, "tanh": nn.Tanh}


class Normalize(nn.Module):
    """`torch.nn.functional.normalize` as a module: x / max(‖x‖₂, eps) along `dim`."""

    def __init__(self, dim: int = 1, eps: float = 1e-12) -> None:
        super().__init__()
        self.dim, self.eps = dim, eps

    def forward(self, x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        return F.normalize(x, dim=self.dim, eps=self.eps)

    def extra_repr(self) -> str:
        return f"dim={self.dim}, eps={self.eps}"


class DotProduct(nn.Module):
    """Dot products of a vector with several others, example by example: y[b, k] = x[b] · w[b, k]."""

    def forward(
        self, x: Float[Tensor, "batch size"], w: Float[Tensor, "batch count size"]
    ) -> Float[Tensor, "batch count"]:
        return torch.matmul(w, x[:, :, None])[:, :, 0]


class ContrastiveLoss(nn.Module):
    """y d² + (1 - y) max(0, margin - d)², with d = ‖x1 - x2‖, y = 1 for alike, 0 for unlike.

    Source: Hadsell, Chopra, LeCun 2006, without the factors ½.
    """

    def __init__(self, margin: float = 1.0, reduction: Reduction = "mean") -> None:
        """Raises ValueError for a margin below 0 or infinite, or an unknown reduction."""
        super().__init__()
        (margin,) = real("ContrastiveLoss", margin=margin)
        if not 0 <= margin < math.inf:
            raise ValueError(f"ContrastiveLoss expects a finite margin ≥ 0, got {margin}")
        check_reduction(self, reduction)
        self.margin, self.reduction = margin, reduction

    def forward(
        self,
        x1: Float[Tensor, "batch size"],
        x2: Float[Tensor, "batch size"],
        target: Shaped[Tensor, " batch"],
    ) -> Float[Tensor, "*batch"]:
        """Raises ValueError for other or unequal shapes or dtypes, or targets that are not 0 and 1."""
        check_rows(self, x1=x1, x2=x2)
        if target.shape != x1.shape[:1]:
            raise ValueError(f"{self!r} expects a target of shape ({len(x1)},), got {tuple(target.shape)}")
        wrong = (target != 0) & (target != 1)
        if wrong.any():
            raise ValueError(f"{self!r} expects each target to be 0 or 1, got {target[wrong][0].item()}")
        difference = x1 - x2
        alike = target == 1
        # Of the unlike only: torch.where passes zeros to what it did not select, and 0 times a nan is nan.
        d = torch.linalg.vector_norm(difference.masked_fill(alike[:, None], 0), dim=1)
        losses = torch.where(alike, difference.square().sum(dim=1), F.relu(self.margin - d).square())
        return reduce(losses, self.reduction)

    def extra_repr(self) -> str:
        return f"margin={self.margin}"


class NTXentLoss(nn.Module):
    """SimCLR's loss of V views, each (N, D): row i of one is a positive of row i of all others.

    Positives are equally right answers, each sought among all other rows, so that of V views nothing is below
    log(V - 1). An image that is twice in a batch is two images: views of one are negatives of the other.

    Sources: Chen, Kornblith, Norouzi, Hinton 2020, https://arxiv.org/abs/2002.05709; for more than two views
    Khosla et al. 2020, *Supervised Contrastive Learning*, equation 2, https://arxiv.org/abs/2004.11362.
    """

    def __init__(self, temperature: float = 0.5, reduction: Reduction = "mean") -> None:
        """Raises ValueError for a temperature ≤ 0 or infinite, or an unknown reduction."""
        super().__init__()
        (temperature,) = real("NTXentLoss", temperature=temperature)
        if not 0 < temperature < math.inf:
            raise ValueError(f"NTXentLoss expects a finite temperature > 0, got {temperature}")
        check_reduction(self, reduction)
        self.temperature, self.reduction = temperature, reduction

    def forward(self, *views: Float[Tensor, "batch size"]) -> Float[Tensor, "*views_batch"]:
        """The mean over all V N rows, or their losses, those of the first view first.

        Args:
            views: two or more; row i of each is of example i.

        Raises:
            ValueError: a single view, other or unequal shapes or dtypes.
        """
        if len(views) < 2:
            raise ValueError(f"{self!r} expects two views or more, got {len(views)}")
        check_rows(self, **{f"z{number}": view for number, view in enumerate(views, 1)})
        z = F.normalize(torch.cat(views))
        similarities = z @ z.T / self.temperature
        rows = torch.arange(len(z), device=z.device)
        log_p = F.log_softmax(similarities.masked_fill(rows[:, None] == rows, -torch.inf), dim=1)
        positives = torch.stack([rows.roll(k * len(views[0])) for k in range(1, len(views))], dim=1)
        return reduce(-log_p.gather(1, positives).mean(dim=1), self.reduction)

    def extra_repr(self) -> str:
        return f"temperature={self.temperature}"


def reduce(losses: Float[Tensor, " batch"], reduction: Reduction) -> Float[Tensor, "*batch"]:
    """The mean (nan of no losses), the sum, or the losses as they are."""
    return losses if reduction == "none" else losses.mean() if reduction == "mean" else losses.sum()


def check_reduction(layer: nn.Module, reduction: str) -> None:
    """Raises ValueError for another reduction than there is, naming the layer."""
    if reduction not in get_args(Reduction):
        raise ValueError(
            f'{type(layer).__name__} expects reduction "mean", "sum" or "none", got {reduction!r}'
        )


def check_rows(layer: nn.Module, **tensors: Tensor) -> None:
    """Raises ValueError for anything but (N, D) floating tensors of one shape and dtype, naming the layer."""
    first = next(iter(tensors.values()))
    if not first.is_floating_point() or any(tensor.dtype != first.dtype for tensor in tensors.values()):
        dtypes = " and ".join(f"{name} {tensor.dtype}" for name, tensor in tensors.items())
        raise ValueError(f"{layer!r} expects one floating dtype for all, got {dtypes}")
    if first.ndim != 2 or any(tensor.shape != first.shape for tensor in tensors.values()):
        shapes = " and ".join(f"{name} {tuple(tensor.shape)}" for name, tensor in tensors.items())
        raise ValueError(f"{layer!r} expects equal shapes (N, D), got {shapes}")
