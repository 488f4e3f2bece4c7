"""The second oracle: gradients as slopes, by central differences in float64 on a random projection."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import numpy as np

from gdl_numpy.nn import Dropout, Module
from parity_tests.harness.evaluate import as_dtype, flatten, is_floating, run_numpy
from parity_tests.harness.report import Comparison, distance
from parity_tests.harness.rounding import gamma, unit_roundoff

if TYPE_CHECKING:
    from collections.abc import Iterator

U = unit_roundoff(np.float64)


def central_differences(
    module: Module,
    inputs: Any,
    targets: Any = None,
    *,
    cancelled: float = 0.0,
    rng: np.random.Generator | int | None = 0,
) -> Iterator[Comparison]:
    """Holds each gradient G = dL/da of L = Σ r·output, r random, against L's slope in a random direction d.

        ⟨G, d⟩  against  (L(a + h d) - L(a - h d)) / 2h

    one input or parameter a at a time. The bound has two parts. Truncation: the slope with 2h differs from
    that with h by three times the error of the latter, h²/6 L''' + …; where a kink lies between, the two
    differ as well. Rounding: each L is off by at most γ Σ|r|(|output| + c), with the longest reduction for
    length, each a ± h d by u|a| and so L by u Σ|G||a|; 2h divides both.

    Args:
        module: any module; a copy is evaluated, in float64.
        inputs: one array or a tuple of all arguments of `forward`.
        targets: arguments that get no gradient.
        cancelled: c, of what size the numbers are whose difference an output is: 1 − cos is as far off as 1,
            however near to 0 it comes.
        rng: for r and d.
    """
    rng = np.random.default_rng(rng)
    module = copy.deepcopy(module).astype(np.float64).requires_input_grad_()
    inputs = as_dtype(inputs if isinstance(inputs, tuple) else (inputs,), np.float64)
    targets = as_dtype(() if targets is None else (targets,), np.float64)
    generators = [m.rng for _, m in module.named_modules() if isinstance(m, Dropout)]
    states = [generator.bit_generator.state for generator in generators]

    def outputs() -> list[np.ndarray]:
        for generator, state in zip(generators, states, strict=True):
            generator.bit_generator.state = state  # the same dropout masks every time
        return [np.array(y) for y in flatten(module(*inputs, *targets))]

    start = outputs()
    if not all(np.isfinite(y).all() for y in start):  # the mean of no losses is nan and has no slope
        return
    probe = [np.asarray(rng.standard_normal(y.shape)) for y in start]
    for generator, state in zip(generators, states, strict=True):
        generator.bit_generator.state = state
    result = run_numpy(module, inputs, targets, lambda _: probe)
    variables = [a for a in flatten(inputs) if is_floating(a)]
    pairs = [
        (f"grad_input {i}", a, g) for i, (a, g) in enumerate(zip(variables, result.grad_inputs, strict=True))
    ]
    pairs += [(f"grad {name}", p.data, result.grad_params[name]) for name, p in module.named_parameters()]
    length = max((a.size for a in (*variables, *result.outputs)), default=1)

    def slope(a: np.ndarray, d: np.ndarray, h: float) -> tuple[float, float]:
        """The difference quotient, and how much of it may be rounding."""
        original = a.copy()
        ends = []
        for sign in (1, -1):
            a[...] = original + sign * h * d
            ends.append(outputs())
            a[...] = original
        difference = sum(float((r * (p - m)).sum()) for r, p, m in zip(probe, *ends, strict=True))
        size = sum(
            float((np.abs(r) * (np.abs(p) + np.abs(m) + 2 * cancelled)).sum())
            for r, p, m in zip(probe, *ends, strict=True)
        )
        return difference / (2 * h), float(gamma(length + 8, U)) * size / (2 * h)

    for tensor, a, grad in pairs:
        if not a.size:
            continue
        scale = max(1.0, float(np.abs(a).max(initial=0)))
        h = U ** (1 / 3) * scale  # balances truncation, O(h²), and rounding, O(u/h)
        d = rng.standard_normal(a.shape)
        (near, rounding), (far, _) = slope(a, d, h), slope(a, d, 2 * h)
        expected = float((grad * d).sum())
        rounding += U * float((np.abs(grad) * (np.abs(a) + h * np.abs(d))).sum()) / h
        bound = abs(far - near) + 2 * rounding + float(gamma(length, U)) * float(np.abs(grad * d).sum())
        error = float(distance(np.array(near), np.array(expected)))
        yield Comparison("", tensor, "numpy", (), near, expected, error, bound)
