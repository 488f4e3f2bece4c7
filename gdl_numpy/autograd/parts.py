"""Adding up the gradient of a tensor that was used many times: each use reports a part."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence


class Placed(NamedTuple):
    """The gradient of x from y = x[key]: `grad` in those places, zero elsewhere. What repeats, adds up."""

    key: Any
    grad: np.ndarray


class Product(NamedTuple):
    """The gradient of a matrix, leftᵀ right. A recurrence's come step by step, and are one product of all."""

    left: np.ndarray  # (n, rows)
    right: np.ndarray  # (n, columns)


WIDE = 128  # numbers of a row that are added up quicker at once than by np.add.at, one by one

# NumPy makes a scalar of what has no dimensions.
Part = np.ndarray | np.floating | Placed | Product


def add_up(x: np.ndarray, parts: Sequence[Part]) -> tuple[np.ndarray, bool]:
    """The sum of the parts of dL/dx, and whether it is in an array of its own.

    The only part may be what it is: a view, or another tensor's gradient as well. Nothing is added into it.
    """
    dense = [sum_to(part, x) for part in parts if not isinstance(part, Placed | Product)]
    products = [part for part in parts if isinstance(part, Product)]
    placed = [part for part in parts if isinstance(part, Placed)]
    if products:
        left, right = (np.concatenate(factors) for factors in zip(*products, strict=True))
        dense.append(left.T @ right)
    if len(dense) == 1 and not placed:
        return dense[0], bool(products)
    total = (
        np.asarray(dense[0] + dense[1])
        if len(dense) > 1
        else np.array(dense[0] if dense else np.zeros_like(x))
    )
    for part in dense[2:]:
        total += part
    for key, grad in placed:
        add_in_places(total, key, grad)
    return total, True


def add_in_places(total: np.ndarray, key: Any, grad: np.ndarray) -> None:
    """Does `total[key] += grad`, and adds for a place as often as the key names it."""
    if is_basic(key):
        total[key] += grad
    elif isinstance(key, np.ndarray) and key.dtype != bool and math.prod(total.shape[1:]) >= WIDE:
        for row, part in zip(key.flat, grad.reshape(-1, *total.shape[1:]), strict=True):
            total[row] += part
    else:
        np.add.at(total, key, grad)


def sum_to(grad: np.ndarray | np.floating, x: np.ndarray) -> np.ndarray:
    """Adds up over the copies that broadcasting made of x."""
    if grad.shape == x.shape:
        return np.asarray(grad, x.dtype)
    new = grad.ndim - x.ndim
    stretched = [new + i for i, n in enumerate(x.shape) if n == 1 and grad.shape[new + i] != 1]
    return np.asarray(grad.sum(axis=(*range(new), *stretched)), x.dtype).reshape(x.shape)


def is_basic(key: Any) -> bool:
    """Whether an index has no arrays in it, so that it names no place twice."""
    keys = key if isinstance(key, tuple) else (key,)
    return all(k is None or k is Ellipsis or isinstance(k, int | np.integer | slice) for k in keys)


def as_sizes(given: tuple[Any, ...]) -> tuple[int, ...]:
    """A shape, of which a method was given the sizes one by one or, as torch allows too, in one tuple."""
    return tuple(given[0]) if len(given) == 1 and isinstance(given[0], tuple | list) else given
