"""oneDNN, by which torch computes on the CPU, left out where it does worse than torch's own code."""

from __future__ import annotations

from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor


@contextmanager
def without_onednn() -> Iterator[None]:
    """Within, torch does without oneDNN; as `torch.backends.mkldnn.flags`, which warns of other hardware."""
    onednn = torch.backends.mkldnn
    enabled = onednn.enabled
    onednn.enabled = False  # type: ignore[assignment]  # torch declares the property's own class
    try:
        yield
    finally:
        onednn.enabled = enabled


def onednn_where_it_can(x: Tensor) -> AbstractContextManager[None]:
    """Within, an LSTM reads x without oneDNN where that has no kernel for it.

    In bfloat16 torch would call it on a CPU without AVX-512, too, which is a RuntimeError.
    """
    onednn = torch.backends.mkldnn
    if x.device.type != "cpu" or not onednn.is_available():  # type: ignore[no-untyped-call]
        return nullcontext()
    dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype
    can = dtype != torch.bfloat16 or torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return nullcontext() if can else without_onednn()
