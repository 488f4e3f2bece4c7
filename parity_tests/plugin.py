"""For the tests of other projects: with this package installed, pytest has a fixture `parity`.

def test_my_layer(parity):
    parity(MyLinear(3, 4), torch.nn.Linear(3, 4), np.random.default_rng(0).standard_normal((5, 3)))
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from parity_tests.harness import ParityReport


@pytest.fixture(scope="session")
def parity() -> Callable[..., list[ParityReport]]:
    """`parity_tests.harness.check` of two modules, with the same arguments: fails where they differ.

    In float32 and in float64, where no dtype is given; returns the reports.
    """

    def agree(numpy_module: Any, torch_module: Any, *given: Any, **named: Any) -> list[ParityReport]:
        from parity_tests.harness import check  # here, since every run of pytest imports this file

        dtypes = [named.pop("dtype")] if "dtype" in named else ["float32", "float64"]
        reports = []
        for dtype in dtypes:
            report = check(numpy_module, torch_module, *given, dtype=dtype, **named)
            if not report.ok:
                pytest.fail(str(report), pytrace=False)
            reports.append(report)
        return reports

    return agree
