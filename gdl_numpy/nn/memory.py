"""How the memory of large arrays is kept from step to step."""

from __future__ import annotations

import numpy as np


def keep_freed_memory() -> None:
    """Has the C library keep freed memory for the next array, rather than return it to the system.

    A training step makes arrays of megabytes and drops them again. Returned to the system, their memory would
    come back page by page, each page cleared: a fifth of the time of the book's CNN. The C library of Linux
    (glibc) returns what exceeds twice the largest block freed so far, of at most 32 MiB. So one such block,
    freed without ever being touched, is all it takes. Elsewhere this has no effect.
    """
    np.empty(31 * 2**20, np.uint8)
