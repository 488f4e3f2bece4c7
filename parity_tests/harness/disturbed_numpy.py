"""NumPy arrays of which every operation is off by what rounding can do, as `disturbed_torch` is for torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from parity_tests.harness.rounding import OPERATIONS, probable_gamma

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from parity_tests.harness.disturbance import Signs

# Functions, by their names, that round nothing; and that round once, as IEEE 754 has it.
EXACT = frozenset(
    """
    negative positive absolute fabs conjugate sign copysign maximum minimum fmax fmin clip floor ceil rint
    trunc
    """.split()  # noqa: SIM905
)
ROUNDED_ONCE = frozenset({"add", "subtract", "multiply", "divide", "sqrt", "reciprocal"})
PRODUCTS = (np.dot, np.vdot, np.inner, np.outer, np.einsum)  # that are no ufuncs


@dataclass(frozen=True)
class Errors:
    """How far operations are off.

    Attributes:
        u: unit roundoff.
        signs: those of the errors.
        active: whether operations are off at the moment.
    """

    u: float
    signs: Signs
    active: Callable[[], bool] = lambda: True

    def off(self, array: Any, relative: float, most: np.ndarray | None = None) -> Any:
        """Each number off relatively to itself, by `most` at most; what has none that are floating, as it is.

        None becomes infinite by that.
        """
        if not is_real(array):
            return array
        with np.errstate(over="ignore", invalid="ignore"):
            moved = relative * array if most is None else np.minimum(relative * np.abs(array), most)
            moved *= self.signs(array)
            moved += array
            if np.isfinite(np.sum(moved)):  # one pass; what is large is looked at one by one
                return moved
        return np.where(np.isfinite(moved), moved, array)[()]

    def summed(self, arrays: Sequence[Any]) -> list[Any]:
        """What goes into an operation that adds up."""
        relative = probable_gamma(max((a.size for a in arrays if is_real(a)), default=1), self.u)
        return [self.off(a, relative) for a in arrays]

    def are_exact(self, arrays: Iterable[Any]) -> bool:
        """Whether all are whole numbers so small that sums and products of them are rounded nowhere."""
        return all(np.all((np.rint(a) == a) & (np.abs(a) < 1 / self.u)) for a in arrays if is_real(a))

    def marked(self, value: Any) -> Any:
        """A floating array as a `DisturbedArray`; anything else as it is."""
        if not isinstance(value, np.ndarray) or not is_real(value):
            return value
        view = value.view(DisturbedArray)
        view.errors = self
        return view


class DisturbedArray(np.ndarray):
    """An array of which the same goes as of torch's tensors under `DisturbedOperations`.

    What NumPy computes with it is off, and is such an array in its turn, as long as it is an array: a sum of
    all numbers is none, nor what `np.asarray` makes of it.

    Attributes:
        errors: of these operations.
    """

    errors: Errors = Errors(0.0, np.ones_like, lambda: False)

    def __array_finalize__(self, source: Any) -> None:
        if isinstance(source, DisturbedArray):
            self.errors = source.errors

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        outputs = kwargs.get("out", ())
        errors = next((a.errors for a in (*inputs, *outputs) if isinstance(a, DisturbedArray)), self.errors)
        given, named = [plain(a) for a in inputs], {key: plain(a) for key, a in kwargs.items()}
        if ufunc.__name__ in EXACT or not errors.active():
            result = getattr(ufunc, method)(*given, **named)
        else:
            result = computed_off(errors, ufunc, method, given, named)
        if outputs:
            return outputs[0] if len(outputs) == 1 else outputs
        return tuple(map(errors.marked, result)) if isinstance(result, tuple) else errors.marked(result)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if func not in PRODUCTS:
            return self.errors.marked(super().__array_function__(func, types, args, kwargs))
        given, named = [plain(a) for a in args], {key: plain(a) for key, a in kwargs.items()}
        if not self.errors.active() or "out" in named:
            return self.errors.marked(func(*given, **named))
        was_exact = self.errors.are_exact(given)
        result = func(*(given if was_exact else self.errors.summed(given)), **named)
        is_exact = was_exact and self.errors.are_exact([result])
        return self.errors.marked(result if is_exact else self.errors.off(result, OPERATIONS * self.errors.u))


def computed_off(
    errors: Errors, ufunc: np.ufunc, method: str, given: list[Any], named: dict[str, Any]
) -> Any:
    """What a ufunc's method gives or writes into its `out`, off."""
    was_exact, most = errors.are_exact(given), None
    if method == "__call__" and ufunc in (np.add, np.subtract):
        # A sum is off by no more than the smaller number, which may be lost in it.
        most = np.minimum(np.abs(given[0]), np.abs(given[1]))
    elif method == "at":
        given[2:] = errors.summed(given[2:])
    elif not was_exact and (method != "__call__" or ufunc.signature is not None):
        given = errors.summed(given)
    result = getattr(ufunc, method)(*given, **named)
    results = result if isinstance(result, tuple) else (result,)
    written = [a for a in named.get("out", ()) if a is not None]
    if was_exact and errors.are_exact([*written, *results]):
        return result
    relative = errors.u if ufunc.__name__ in ROUNDED_ONCE else OPERATIONS * errors.u
    for array in written:
        array[...] = errors.off(array, relative, most)
    results = tuple(errors.off(a, relative, most) for a in results)
    return results if isinstance(result, tuple) else results[0]


def is_real(value: Any) -> bool:
    return isinstance(value, np.ndarray | np.floating) and np.issubdtype(value.dtype, np.floating)


def plain(value: Any) -> Any:
    """Without the mark, also in tuples."""
    if isinstance(value, tuple):
        return tuple(map(plain, value))
    return value.view(np.ndarray) if isinstance(value, DisturbedArray) else value
