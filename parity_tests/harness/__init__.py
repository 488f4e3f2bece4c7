"""What "the same" means: two modules held against each other within computed error bounds. See ``check``."""

from parity_tests.harness import recurrent as recurrent  # for the bounds that it registers
from parity_tests.harness.check import check
from parity_tests.harness.report import Comparison, ParityReport

__all__ = ["Comparison", "ParityReport", "check"]
