"""What "the same" means: two modules held against each other within computed error bounds. See `check`.

Where there is no torch, traces can be written and checked all the same.
"""

from importlib.util import find_spec

from parity_tests.harness.from_autograd import FromAutograd
from parity_tests.harness.report import Comparison, ParityReport
from parity_tests.harness.traces import check_trace, write_trace

if find_spec("torch"):
    from parity_tests.harness import pair_bounds as pair_bounds  # for the bounds that they register
    from parity_tests.harness import recurrent as recurrent
    from parity_tests.harness.check import check

__all__ = ["Comparison", "FromAutograd", "ParityReport", "check", "check_trace", "write_trace"]
