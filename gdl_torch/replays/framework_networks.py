"""torch, for chapter 13's networks as `gdl_numpy.replays.framework_networks` has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

from gdl_numpy.replays.framework_networks import Framework

if TYPE_CHECKING:
    import numpy as np


def _tensor(data: np.ndarray, requires_grad: bool = False) -> torch.Tensor:
    return torch.tensor(data, requires_grad=requires_grad)


def _cross_entropy(logits: torch.Tensor, ids: np.ndarray) -> torch.Tensor:
    return F.cross_entropy(logits, torch.from_numpy(ids))


TORCH = Framework(_tensor, _cross_entropy, torch.optim.SGD, lambda x: x.detach().numpy())
