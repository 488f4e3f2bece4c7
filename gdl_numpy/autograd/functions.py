"""Functions of several tensors, with torch.nn.functional's names and meaning."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gdl_numpy.autograd.parts import Product
from gdl_numpy.autograd.tensor import Tensor, record
from gdl_numpy.nn.activation import log_softmax, shifted
from gdl_numpy.nn.checks import check_class_ids, check_kind
from gdl_numpy.nn.linear import sum_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Int


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Rows y = x Wᵀ + b, (*, in_features) to (*, out_features), in one operation.

    With G = dL/dy: dL/dx = G W, dL/dW = Gᵀ x, dL/db = Σ_rows G. Raises ValueError for other shapes.
    """
    check_kind("linear", Tensor, x=x, weight=weight)
    if weight.ndim != 2:
        raise ValueError(f"linear expects weight (out_features, in_features), got {weight.shape}")
    a, w, (n_out, n_in) = x.data, weight.data, weight.shape
    b = np.zeros(n_out, w.dtype) if bias is None else bias.data
    if a.shape[-1:] != (n_in,) or b.shape != (n_out,):
        got = f"{a.shape} and {b.shape}"
        raise ValueError(f"linear expects x (*, {n_in}) and bias ({n_out},), got {got}")
    # Of few rows, as of a recurrence's step, BLAS is quicker with the large matrix as it lies in memory.
    y = np.ascontiguousarray((w @ a.T).T) if a.ndim == 2 and len(a) < n_out else a @ w.T
    inputs = [
        (x, lambda g: g @ w),
        (weight, lambda g: Product(g.reshape(-1, n_out), a.reshape(-1, n_in))),
    ]
    if bias is not None:
        y += b
        inputs.append((bias, lambda g: sum_rows(g.reshape(-1, n_out))))
    return record(y, *inputs)


def cat(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Tensors one after the other, along a dimension that they have."""
    check_kind("cat", Tensor, **{f"tensors[{i}]": x for i, x in enumerate(tensors)})
    y = np.concatenate([x.data for x in tensors], axis=dim)
    ends = np.cumsum([x.shape[dim] for x in tensors])[:-1]
    return record(y, *((x, lambda g, i=i: np.split(g, ends, axis=dim)[i]) for i, x in enumerate(tensors)))


def stack(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Tensors of one shape, along a new dimension."""
    check_kind("stack", Tensor, **{f"tensors[{i}]": x for i, x in enumerate(tensors)})
    y = np.stack([x.data for x in tensors], axis=dim)
    return record(y, *((x, lambda g, i=i: g.take(i, axis=dim)) for i, x in enumerate(tensors)))


def softmax(x: Tensor, dim: int) -> Tensor:
    """e^x / Σ e^x along `dim`; dL/dx = y ∘ (G - Σ G y)."""
    check_kind("softmax", Tensor, x=x)
    y = np.exp(shifted(x.data, dim))
    y /= y.sum(axis=dim, keepdims=True)
    return record(y, (x, lambda g: y * (g - (g * y).sum(axis=dim, keepdims=True))))


def cross_entropy(logits: Tensor, ids: Int[np.ndarray, " batch"]) -> Tensor:
    """Mean of -log softmax(logits)[id]; its gradient is (softmax - onehot) / N.

    Args:
        logits: (N, C).
        ids: (N,), the right classes.

    Raises:
        ValueError: other shapes, or ids that are no integers.
        IndexError: an id outside [0, C).
    """
    check_kind("cross_entropy", Tensor, logits=logits)
    if logits.ndim != 2 or np.shape(ids) != logits.shape[:1]:
        got = f"{logits.shape} and {np.shape(ids)}"
        raise ValueError(f"cross_entropy expects logits (N, C) and ids (N,), got {got}")
    check_class_ids("cross_entropy", ids, logits.shape[1])
    right = np.arange(len(ids)), ids.copy()
    log_p = log_softmax(logits.data)
    mean = 1 / len(ids) if len(ids) else np.nan

    def gradient(g: np.ndarray) -> np.ndarray:
        grad: np.ndarray = np.exp(log_p)
        grad[right] -= 1
        grad *= g * mean
        return grad

    return record(-log_p[right].sum() * mean, (logits, gradient))
