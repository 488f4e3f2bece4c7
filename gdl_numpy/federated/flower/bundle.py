"""The app that Flower brings to server and participants: a few lines that name what is installed there."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

# Where a participant is made, on each backend.
LEARNERS = {"numpy": "gdl_numpy.federated.experiment", "torch": "gdl_torch.federated.experiment"}
PROJECT = """\
[project]
name = "gdl-parity-run"
version = "1.0.0"

[tool.flwr.app]
publisher = "gdl-parity"

[tool.flwr.app.components]
serverapp = "server_app:app"
clientapp = "client_app:app"

[tool.flwr.app.config]
settings = {settings}
"""
SERVER = """\
from gdl_numpy.federated.flower.server import server_app

app = server_app()
"""
CLIENT = """\
from {learners} import learner_of

from gdl_numpy.federated.flower.client import client_app

app = client_app(learner_of)
"""


def write_bundle(folder: Path, settings: Mapping[str, Any]) -> None:
    """Writes the app of a run.

    Args:
        folder: for its files.
        settings: of the run, which every participant gets.

    Raises:
        OSError: the folder cannot be written to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    quoted = json.dumps(json.dumps(settings))  # a string of JSON is one of TOML
    (folder / "pyproject.toml").write_text(PROJECT.format(settings=quoted))
    (folder / "server_app.py").write_text(SERVER)
    (folder / "client_app.py").write_text(CLIENT.format(learners=LEARNERS[settings["backend"]]))
