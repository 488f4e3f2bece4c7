"""The same federated run on Flower: a server and participants in processes of their own, here or elsewhere.

`launch` starts the processes, `server` and `client` are what runs in them, by the functions of the run in one
process: `Federation` averages, `Participant` learns. `messages` is what passes between them: arrays and
numbers, never pickled objects. All of it needs `flwr`, of the extra `federated`, but for this file.
"""

from __future__ import annotations

from importlib.util import find_spec

PROTECTIONS = ("none", "masks")
ENGINE, OUTCOME, LOCK = "flower", "outcome.json", "server.lock"  # a folder in the run's, and files in it
FINISHED = "finished"  # a file in the home of a participant that was told so
# Of the environment: what only the server is told, and where a participant's home is.
VARIABLE, HOME = "GDL_FEDERATED_RUN", "GDL_FEDERATED_HOME"


class EngineError(RuntimeError):
    """A run that ended before its last round; those that were made are in its folder. One line says why."""


def check_flower(protect: str) -> None:
    """Refuses what Flower's engine cannot do here.

    Args:
        protect: how updates are to be protected.

    Raises:
        ValueError: `flwr` is not installed, or the protection is not one of `PROTECTIONS`.
    """
    if find_spec("flwr") is None:
        raise ValueError("--engine flower needs flwr, which is not installed: pip install -e '.[federated]'")
    if protect not in PROTECTIONS:
        raise ValueError(
            f"--engine flower takes --protect {' or '.join(PROTECTIONS)}, got {protect!r}: "
            "for the others, choose --engine local"
        )
