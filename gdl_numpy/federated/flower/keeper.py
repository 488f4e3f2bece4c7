"""`python -m …keeper LOCK MARK` waits until nobody holds LOCK, and kills what then still carries MARK.

It is for a run whose script was killed: one of Flower's processes that waits for a server that is no more may
go on for minutes. Linux alone tells which they are.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

from gdl_numpy.federated.flower.alive import POLL, is_held


def marked_with(mark: str) -> list[int]:
    """The processes that have a variable in their environment, "NAME=VALUE"; on Linux."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with suppress(OSError):  # it has ended meanwhile, or is another user's
                if mark.encode() in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
    return found


def main(lock: Path, mark: str) -> None:
    """Waits, and kills."""
    while lock.parent.exists() and is_held(lock):
        time.sleep(POLL)
    while left := marked_with(mark):
        for number in left:
            with suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        time.sleep(POLL)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
