"""Where a long training can no longer be compared as it is: it has become chaotic, or overflows."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from parity_tests.harness.report import LOOSE
from parity_tests.harness.rounding import gamma
from parity_tests.harness.side import UPDATE_OPERATIONS

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping, Sequence

    from parity_tests.harness.steps import Step


def far_apart(trained: Container[str], truth: Step, moved: Sequence[Step], u: float) -> bool:
    """Whether rounding alone may have moved what is trained by more than `LOOSE` of its norm, all together.

    Or by four times what the roundings of one update may amount to, where that is more: in bfloat16.

    In a chaotic training it grows by a factor in every step. While it is small, so does a side's error; later
    nothing grows, for each run has gone where it would: how far two are apart then is chance, and no bound.

    Parameters whose gradient is less than `LOOSE` of the whole one do not count: they do not matter for the
    slope. Some have none but rounding's, such as the bias of attention's keys, of which Adam makes steps.

    Args:
        trained: names of the parameters that are.
        truth: after the optimizer's step.
        moved: the same step of the disturbed copies.
        u: unit roundoff.
    """
    far = max(LOOSE, 4 * float(gamma(UPDATE_OPERATIONS, u)))
    slopes = {n: float(np.linalg.norm(g)) for n, g in truth.result.grad_params.items() if n in trained}
    steep = LOOSE * math.hypot(*slopes.values())
    expected = {name: truth.parameters[name] for name, slope in slopes.items() if slope > steep}
    size = sum(np.vdot(x, x) for x in expected.values())
    return any(
        sum(np.sum((m.parameters[name] - x) ** 2) for name, x in expected.items()) > far**2 * size
        for m in moved
    )


def out_of_range(
    truth: Step, sides: Mapping[str, Step], moved: Sequence[Step], largest: float, at_first: float
) -> set[str]:
    """The sides that have inf or nan since a training has grown out of the range of their dtype.

    It has where the truth, or what rounding may make of it, has numbers without a square in that dtype:
    optimizers and losses make squares.

    Args:
        truth: after the optimizer's step.
        sides: the same step of what is held against it.
        moved: the same step of the disturbed copies.
        largest: number of the dtype.
        at_first: what the truth's numbers reached in the first step: what was as large then has not grown.
    """
    lost = {name for name, step in sides.items() if is_lost(truth, step)}
    grown = lost and at_first <= math.sqrt(largest) < reach([truth, *moved])
    return lost if grown else set()


def is_lost(truth: Step, side: Step) -> bool:
    """Whether a side has inf or nan in an output or a parameter of which the truth has numbers."""
    both = truth.parameters.keys() & side.parameters.keys()
    pairs = [*zip(truth.result.outputs, side.result.outputs, strict=False)]
    pairs += [(truth.parameters[name], side.parameters[name]) for name in both]
    return any(np.isfinite(expected).all() and not np.isfinite(found).all() for expected, found in pairs)


def reach(steps: Iterable[Step]) -> float:
    """The largest magnitude in these steps, of layers' outputs, gradients and parameters; nan has none."""
    arrays = [
        array
        for step in steps
        for array in (
            *(a for call in step.trace.values() for a in (*call.outputs, *call.grad_outputs)),
            *step.result.outputs,
            *step.result.grad_params.values(),
            *step.parameters.values(),
        )
    ]
    return max((float(np.fmax.reduce(np.abs(a), axis=None, initial=0)) for a in arrays), default=0.0)
