"""Random right twins, each drawn from a seed of its own: what may never be accused."""

from __future__ import annotations

import random
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from parity_tests.detection.composites import COMPOSITES
from parity_tests.harness import check
from parity_tests.harness.layer_cases import LAYERS, Example, LayerCase

if TYPE_CHECKING:
    from collections.abc import Callable

CASES: dict[str, LayerCase] = {**LAYERS, **COMPOSITES}
DTYPES = ("float32", "float64")
BYTES = 2048  # of chance, for one configuration


@dataclass(frozen=True)
class Configuration:
    """A row of the registries and a dtype, by turns, and what a seed makes of them."""

    seed: int

    @property
    def case(self) -> LayerCase:
        return list(CASES.values())[self.seed % len(CASES)]

    @property
    def dtype(self) -> str:
        return DTYPES[self.seed // len(CASES) % len(DTYPES)]

    def example(self) -> Example | None:
        """The twins and their data; None if chance gave what a strategy rejects."""
        return drawn(self.case, random.Random(self.seed).randbytes(BYTES))

    def alarm(self) -> str | None:
        """What `check` says against the twins, or how it fails; "" if they agree, None if there are none."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's, about empty batches
            example = self.example()
            if example is None:
                return None
            try:
                report = check(*example, dtype=self.dtype, name=self.case.name)
            except Exception as error:  # whatever it is, right twins are no reason for it
                return f"{self.case.name} ({self.dtype}): {type(error).__name__}: {error}"
        return "" if report.ok else str(report)


def drawn(case: LayerCase, chance: bytes) -> Example | None:
    """The configuration that Hypothesis makes of some bytes, through its interface for fuzzers."""
    found: list[Example] = []

    @settings(database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def draw(data: Any) -> None:
        found.append(case.example(data.draw))

    run: Callable[[bytes], bytes | None] = draw.hypothesis.fuzz_one_input  # type: ignore[attr-defined]
    return found[-1] if run(chance) is not None and found else None
