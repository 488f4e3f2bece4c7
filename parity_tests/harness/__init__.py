"""What "the same" means: two modules held against each other within computed error bounds. See `check`."""

from parity_tests.harness import pair_bounds as pair_bounds  # for the bounds that they register
from parity_tests.harness import recurrent as recurrent
from parity_tests.harness.check import check
from parity_tests.harness.report import Comparison, ParityReport

__all__ = ["Comparison", "ParityReport", "check"]
