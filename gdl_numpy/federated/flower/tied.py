"""`python tied.py PARENT COMMAND ARGUMENT…` becomes COMMAND, and ends when the process PARENT does.

Linux sees to that, even where PARENT is killed with SIGKILL; elsewhere nothing does.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

SET_SIGNAL_AT_PARENTS_DEATH = 1  # PR_SET_PDEATHSIG


def main(parent: int, command: list[str]) -> None:
    """Becomes the command, unless the parent has ended meanwhile."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(SET_SIGNAL_AT_PARENTS_DEATH, signal.SIGKILL)
    if os.getppid() == parent:
        os.execvp(command[0], command)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
