"""Ctrl-C and SIGTERM, for the scripts: at any moment an orderly end, and no traceback.

Standard library only: `exit_on_ctrl_c` is called before anything that takes long to import.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# What shells say of a process that a signal has ended.
CTRL_C = 128 + signal.SIGINT
TERMINATED = 128 + signal.SIGTERM


class Terminated(SystemExit):
    """SIGTERM: an end with exit code 143, on the way to which all can be saved that Ctrl-C saves."""


def exit_on_ctrl_c() -> None:
    """Ends the process at once on Ctrl-C, until `as_exceptions`: for imports, with nothing to save yet.

    An exception in the middle of an import would be a traceback, or swallowed by the module that is imported.
    """
    # Not where it is ignored, as in a job in the background.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, lambda *_: os._exit(CTRL_C))


def end_silently_on_ctrl_c() -> None:
    """Leaves out the traceback of Ctrl-C, for a script that runs from top to bottom, with nothing to save."""
    show = sys.excepthook
    sys.excepthook = lambda kind, *rest: None if kind is KeyboardInterrupt else show(kind, *rest)


@contextmanager
def as_exceptions() -> Iterator[None]:
    """Within, Ctrl-C raises KeyboardInterrupt and SIGTERM raises Terminated."""
    if threading.current_thread() is not threading.main_thread():  # which has no say in signals
        yield
        return
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    if handlers[signal.SIGINT] is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if handlers[signal.SIGTERM] is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _terminate(*_: object) -> None:
    raise Terminated(TERMINATED)
