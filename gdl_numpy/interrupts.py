"""Ctrl-C, SIGTERM and SIGHUP, for the scripts: at any moment an orderly end, and no traceback.

Standard library only: `exit_on_ctrl_c` is called before anything that takes long to import.
"""

from __future__ import annotations

import os
import signal
import stat
import sys
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# What shells say of a process that a signal has ended.
CTRL_C = 128 + signal.SIGINT
TERMINATED = 128 + signal.SIGTERM
HANGUP = getattr(signal, "SIGHUP", None)  # of the terminal; Windows has none


class Terminated(SystemExit):
    """SIGTERM or SIGHUP: an end with exit code 143 or 129; all can be saved first that Ctrl-C saves."""

    code: int


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
    """Within, Ctrl-C raises KeyboardInterrupt, and SIGTERM and SIGHUP raise Terminated."""
    if threading.current_thread() is not threading.main_thread():  # which has no say in signals
        yield
        return
    ends = [signal.SIGTERM] if HANGUP is None else [signal.SIGTERM, HANGUP]
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, *ends)}
    if handlers[signal.SIGINT] is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in ends:
        if handlers[number] is signal.SIG_DFL:  # SIGHUP is ignored under nohup
            signal.signal(number, _terminate)
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _terminate(number: int, _: object) -> None:
    if number == HANGUP:
        _leave_terminal()
    raise Terminated(128 + number)


def _leave_terminal() -> None:
    """Sends what is still to be said nowhere, where a terminal is gone: an error, said there, is another."""
    for descriptor in (1, 2):
        with suppress(OSError):  # it may be closed
            is_device = stat.S_ISCHR(os.fstat(descriptor).st_mode)
            if is_device and not os.isatty(descriptor):
                os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
