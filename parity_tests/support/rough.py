"""Arrays that compute as badly as rounding may, to see how far that moves what a function gives.

A sum, a product or a quotient, as computed, is the exact one of operands that are off by γₙ, with n the
number of terms (Higham). So each ufunc is given such operands, up or down as the signs say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from parity_tests.harness.bounds import ELEMENTARY
from parity_tests.harness.rounding import gamma

if TYPE_CHECKING:
    from parity_tests.harness.disturbance import Signs

ARITHMETIC = (np.add, np.subtract, np.multiply, np.divide, np.matmul, np.power, np.square)
ROUNDED = (*ARITHMETIC, np.sqrt, np.exp, np.tanh)


class Rough(np.ndarray):
    """An array whose operations are off. Made by `rough`.

    Attributes:
        signs: of the errors.
        u: unit roundoff.
    """

    signs: Signs
    u: float

    def __array_finalize__(self, origin: Any) -> None:
        if isinstance(origin, Rough):
            self.signs, self.u = origin.signs, origin.u

    def __array_ufunc__(
        self, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = None, **options: Any
    ) -> Any:
        operands = [np.asarray(x) for x in inputs]
        if out is not None:
            options["out"] = tuple(np.asarray(x) for x in out)
        if ufunc in ROUNDED:
            terms = self.terms(ufunc, method, operands, options) + ELEMENTARY * (ufunc not in ARITHMETIC)
            error = float(gamma(terms, self.u))
            operands = [x * (1 + error * self.signs(x)) if x.dtype.kind == "f" else x for x in operands]
        result = getattr(ufunc, method)(*operands, **options)
        if out is not None:
            return out[0]
        return rough(result, self.signs, self.u) if np.asarray(result).dtype.kind == "f" else result

    def terms(self, ufunc: np.ufunc, method: str, operands: list[np.ndarray], options: dict[str, Any]) -> int:
        """How many numbers are added up for one of the result."""
        if ufunc is np.matmul:
            return int(operands[0].shape[-1])
        if method == "__call__":
            return 1
        axis = options.get("axis", 0)
        sizes = operands[0].shape if axis is None else np.take(operands[0].shape, axis)
        return int(np.prod(sizes)) or 1


def rough(value: Any, signs: Signs, u: float) -> Rough:
    array = np.array(value).view(Rough)
    array.signs, array.u = signs, u
    return array
