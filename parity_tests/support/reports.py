"""What tests of the harness ask of a report, and feed it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from parity_tests.harness import ParityReport


def fails(report: ParityReport, words: str) -> None:
    """Asserts that the report's first disagreement says these words."""
    assert report.first_disagreement is not None, f"expected a disagreement: {words}"
    assert words in str(report.first_disagreement)


def batch(*shape: int, seed: int = 1, dtype: str = "float64") -> np.ndarray:
    """Normal numbers, the same each time."""
    return np.random.default_rng(seed).standard_normal(shape or (6, 4)).astype(dtype)
