"""By a locked file, processes see whether the one that they work for is alive: the system unlocks it if not.

Flower's own watch for parents is not enough: one of its processes that waits for a server that was killed may
wait for minutes before it ends.
"""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

from filelock import FileLock, Timeout

VARIABLE = "GDL_FEDERATED_ALIVE"  # of the environment: where the file is
POLL = 0.5  # seconds


def is_held(path: Path) -> bool:
    """Whether a process has the lock."""
    try:
        with FileLock(path, timeout=0):
            return False
    except Timeout:
        return True


def end_with_it() -> None:
    """Has this process end, whatever it does, soon after the one that the environment tells of."""
    if VARIABLE in os.environ:
        threading.Thread(target=_watch, args=[Path(os.environ[VARIABLE])], daemon=True).start()


def _watch(path: Path) -> None:
    while path.parent.exists() and is_held(path):
        time.sleep(POLL)
    os._exit(1)
