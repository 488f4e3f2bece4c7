"""Ctrl-C in Lightning's Trainer is Ctrl-C again."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

from gdl_numpy.interrupts import Terminated

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def plain_ctrl_c() -> Iterator[None]:
    """Makes Ctrl-C a KeyboardInterrupt again; the Trainer exits on it, and makes the process deaf to it."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except Terminated:
        raise
    except SystemExit as error:
        if not isinstance(error.__context__, KeyboardInterrupt):
            raise
        signal.signal(signal.SIGINT, handler)
        raise KeyboardInterrupt from error
