"""Adding up the gradient of a tensor that was used many times."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np


class Placed(NamedTuple):
    """The gradient of x from y = x[key]: `grad` in those places, zero elsewhere. What repeats, adds up."""

    key: Any
    grad: np.ndarray


# NumPy makes a scalar of what has no dimensions.
Part = np.ndarray | np.floating | Placed


class GradientSum:
    """A tensor's gradient while its uses report.

    Adds in place, but never into what it was given: that may be a view, or another tensor's gradient as well.
    """

    def __init__(self, x: np.ndarray, first: Part) -> None:
        self.own = isinstance(first, Placed)
        self.value = np.zeros_like(x) if isinstance(first, Placed) else sum_to(first, x)
        if isinstance(first, Placed):
            self.add(first)

    def owned(self) -> np.ndarray:
        """The sum, in an array of its own."""
        if not self.own:
            self.value, self.own = np.array(self.value), True
        return self.value

    def add(self, part: Part) -> None:
        if isinstance(part, Placed) and is_basic(part.key):
            self.owned()[part.key] += part.grad
        elif isinstance(part, Placed):
            np.add.at(self.owned(), part.key, part.grad)
        elif self.own:
            self.value += sum_to(part, self.value)
        else:
            self.value, self.own = np.asarray(self.value + sum_to(part, self.value)), True


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
