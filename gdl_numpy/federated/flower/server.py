"""The server on Flower: `Federation`, whose participants are asked by messages and may never answer."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock
from flwr.app import Context, Message, RecordDict
from flwr.serverapp import Grid, ServerApp

from gdl_numpy.federated.averaging import Plain, Protection
from gdl_numpy.federated.experiment import Experiment
from gdl_numpy.federated.flower import ENGINE, LOCK, OUTCOME, VARIABLE
from gdl_numpy.federated.flower.alive import end_with_it
from gdl_numpy.federated.flower.exchange import Exchange
from gdl_numpy.federated.flower.masked_rounds import MaskedRounds
from gdl_numpy.federated.flower.messages import update_of, weights_message
from gdl_numpy.federated.record import resume_run, save_run
from gdl_numpy.federated.rounds import Federation
from gdl_numpy.federated.update import RefusedUpdateError, Update
from gdl_numpy.files import write_json
from gdl_numpy.messages import as_line, counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy as np

GOODBYE = 20.0  # seconds in which participants elsewhere may hear that the run is over


class Remote:
    """A participant somewhere else: to `Federation` it is like one in this process.

    Args:
        name: by which the others know it.
        rounds: where its answer is, which all participants share.
    """

    def __init__(self, name: str, rounds: OpenRounds | MaskedRounds) -> None:
        self.name, self.rounds = name, rounds

    def train(self, state: Mapping[str, np.ndarray], number: int) -> Update:
        """Has it learn from the weights that it is sent.

        Args:
            state: the weights, by the parameters' names.
            number: of the round, from 0 on.

        Raises:
            RefusedUpdateError: no answer in time, or one that says why there is no update.
        """
        answers = self.rounds.answers(state, number)
        if self.name not in answers:
            seconds = self.rounds.exchange.timeout
            raise RefusedUpdateError(f"participant {self.name!r}: it did not answer within {seconds:g} s")
        answer = self.rounds.update(answers[self.name], state)
        if isinstance(answer, str):
            raise RefusedUpdateError(f"participant {self.name!r}: it failed ({as_line(answer)})")
        return answer


class OpenRounds:
    """Rounds in which the server gets the updates themselves.

    Args:
        exchange: with the participants.
    """

    def __init__(self, exchange: Exchange) -> None:
        self.exchange, self.number = exchange, -1
        self.protection: Protection = Plain()
        self.found: dict[str, RecordDict] = {}

    def answers(self, state: Mapping[str, np.ndarray], number: int) -> Mapping[str, RecordDict]:
        """Returns everybody's answer in a round; all are asked at once, the first time."""
        if number != self.number:
            self.number, self.found = number, self.exchange.ask_all(weights_message(state, number))
        return self.found

    def update(self, answer: RecordDict, _: Mapping[str, np.ndarray]) -> Update | str:
        """Returns the update in an answer, or why there is none."""
        return update_of(answer)


def server_app() -> ServerApp:
    """Returns the app that makes the rounds of the run that the environment tells of."""
    end_with_it()
    app = ServerApp()

    def main(grid: Grid, context: Context) -> None:
        told = json.loads(os.environ[VARIABLE])
        folder = Path(told["folder"])
        with noting_the_end(folder):
            serve(grid, json.loads(str(context.run_config["settings"])), folder, told)

    app.main()(main)
    return app


def serve(grid: Grid, settings: Mapping[str, Any], folder: Path, told: Mapping[str, Any]) -> None:
    """Makes the rounds that the run in the folder does not have yet; after each, it is in the folder.

    Args:
        grid: Flower's way to the participants.
        settings: of the run.
        folder: of the run.
        told: "timeout", see `Exchange`, and "centralised", to be written down with the rounds.

    Raises:
        RoundError: a round could not be made.
        ValueError, OSError: the run in the folder is another, or it cannot be written.
    """
    experiment = Experiment.from_settings(settings)
    names = [f"participant {k + 1}" for k in range(settings["participants"])]
    exchange = Exchange(grid, names, told["timeout"])
    rounds = MaskedRounds(exchange) if settings["protect"] == "masks" else OpenRounds(exchange)
    learners = [Remote(name, rounds) for name in names]
    limit = settings.get("max_norm", inf)
    federation = Federation(experiment.task, learners, experiment.data.test, rounds.protection, limit)
    resume_run(folder, federation, settings)
    left = settings["rounds"] - len(federation.rounds)
    print(f"{counted(left, 'round')} to make", flush=True)
    for _ in federation.run(left):
        save_run(folder, federation, settings, told["centralised"], experiment.data.vocabulary)
    if told["joined"]:
        say_goodbye(grid)


def say_goodbye(grid: Grid) -> None:
    """Tells all who are connected that the run is over, so that they end."""
    messages = [Message(RecordDict(), node, "query", ttl=GOODBYE) for node in grid.get_node_ids()]
    for _ in grid.send_and_receive(messages, timeout=GOODBYE):
        pass


@contextmanager
def noting_the_end(folder: Path) -> Iterator[None]:
    """Within, a lock says that the server is alive; at the end, a file says how it ended."""
    with FileLock(folder / ENGINE / LOCK):
        try:
            yield
        except BaseException as error:
            write_json(folder / ENGINE / OUTCOME, {"failure": as_line(str(error) or type(error).__name__)})
            raise
        write_json(folder / ENGINE / OUTCOME, {"failure": None})
