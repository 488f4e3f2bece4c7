"""What Flower says of a run: where the server's app cannot be loaded, nobody else knows of it.

The app tells of its own end, by a lock and a file, but not before it has been imported.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from gdl_numpy.messages import as_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gdl_numpy.federated.flower.processes import Processes

PAUSE = 4.0  # seconds before each question: most runs have begun by the second
NAME = "status"  # of the process that asks, and its log


class Status:
    """Asks how the run stands, now and then, without waiting for the answer.

    Args:
        processes: of the run, which has been submitted.
        environment: of Flower's processes.
    """

    def __init__(self, processes: Processes, environment: Mapping[str, str]) -> None:
        self.processes, self.environment = processes, environment
        self.asked_last, self.is_asking = time.monotonic(), False

    def failure(self) -> str | None:
        """Why the run is over, in Flower's words; None while it is not, or there is no answer yet."""
        if self.is_asking and self.processes.ended(NAME) is not None:
            self.asked_last, self.is_asking = time.monotonic(), False
            return failure_in(self.processes.log(NAME).read_text(errors="replace"))
        if not self.is_asking and time.monotonic() - self.asked_last > PAUSE:
            self.processes.start(NAME, ["flwr", "list", "run", "--format", "json"], self.environment)
            self.is_asking = True
        return None


def failure_in(answer: str) -> str | None:
    """Returns why a run is over, of the answer of `flwr list`; None if it is not, or nothing can be read."""
    try:
        found, _ = json.JSONDecoder().raw_decode(answer, answer.index("{"))
        (run,) = found["runs"]
        status, details = str(run["status"]), str(run["status-details"])
    except (ValueError, KeyError, TypeError):  # of a server that is not up, or of no run
        return None
    return as_line(details) if status.startswith("finished") else None
