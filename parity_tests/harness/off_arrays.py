"""NumPy arrays with which every operation is off by what rounding can do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from parity_tests.harness.rounding import OPERATIONS, probable_gamma

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

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

    def off(self, array: Any, relative: float) -> Any:
        """Each number off relatively to itself; what has none that are floating, as it is."""
        if not isinstance(array, np.ndarray | np.floating) or not np.issubdtype(array.dtype, np.floating):
            return array
        return array * (1 + relative * self.signs(array))

    def marked(self, value: Any) -> Any:
        """A floating array as an `OffArray`; anything else as it is."""
        if not isinstance(value, np.ndarray) or not np.issubdtype(value.dtype, np.floating):
            return value
        view = value.view(OffArray)
        view.errors = self
        return view

    def summed(self, arrays: Sequence[Any]) -> list[Any]:
        """What goes into an operation that adds up."""
        relative = probable_gamma(max(np.size(a) for a in arrays), self.u)
        return [self.off(a, relative) for a in arrays]


class OffArray(np.ndarray):
    """An array of which the same goes as of torch's tensors under `DisturbedOperations`.

    Whatever NumPy computes with it is off, and is such an array in its turn.

    Attributes:
        errors: of these operations.
    """

    errors: Errors

    def __array_finalize__(self, source: Any) -> None:
        if isinstance(source, OffArray):
            self.errors = source.errors

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        errors, outputs = self.errors, kwargs.pop("out", ())
        given = [plain(a) for a in inputs]
        if outputs:
            kwargs["out"] = tuple(map(plain, outputs))
        if ufunc.__name__ in EXACT or not errors.active():
            result = getattr(ufunc, method)(*given, **kwargs)
        else:
            if method == "at":
                given[1:] = errors.summed(given[1:])
            elif method != "__call__" or ufunc.signature is not None:
                given = errors.summed(given)
            result = getattr(ufunc, method)(*given, **kwargs)
            relative = errors.u if ufunc.__name__ in ROUNDED_ONCE else OPERATIONS * errors.u
            for output in kwargs.get("out", ()):
                output[...] = errors.off(output, relative)
            result = errors.off(result, relative)
        if outputs:
            return outputs if len(outputs) > 1 else outputs[0]
        return errors.marked(result)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if func not in PRODUCTS or not self.errors.active():
            return self.errors.marked(super().__array_function__(func, types, args, kwargs))
        result = func(*self.errors.summed([plain(a) for a in args]), **kwargs)
        return self.errors.marked(self.errors.off(result, OPERATIONS * self.errors.u))


def plain(value: Any) -> Any:
    return value.view(np.ndarray) if isinstance(value, OffArray) else value
