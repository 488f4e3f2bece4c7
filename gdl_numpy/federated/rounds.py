"""Rounds of federated learning: send the model, let each participant learn, average, and test what came out.

    federation = Federation(task, participants, held_out)
    for record in federation.run(rounds=3):
        print(record.metrics)

A participant that fails, or whose update is refused, is missed in that round's average and asked again in the
next. What the model is tested with, nobody has trained on: see that the data are divided before.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

from gdl_numpy.federated.averaging import Plain, Protection
from gdl_numpy.federated.update import Layout, RefusedUpdateError, Update, check_update, moved
from gdl_numpy.messages import counted, reason_of
from gdl_numpy.training import evaluate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from gdl_numpy.data.batches import DataLoader
    from gdl_numpy.tasks import Metrics, Task


@runtime_checkable
class Learner(Protocol):
    """Whoever takes part, on either backend."""

    @property
    def name(self) -> str: ...

    def train(self, state: Mapping[str, np.ndarray], number: int) -> Update: ...


@dataclass(frozen=True)
class Round:
    """What happened in a round.

    Attributes:
        number: from 1 on.
        metrics: of the global model after it, on the held-out examples.
        losses: of each participant while it learned, whose update was used. They are for whoever watches an
            experiment; no protection hides them, and where one is meant, they are not to be sent.
        missed: why each of the others was not.
        sent: bytes from each participant to the server.
        seconds: all of it took, the test left out.
        epsilon: the privacy spent since the first round, where that is accounted for.
    """

    number: int
    metrics: Metrics
    losses: Mapping[str, float]
    missed: Mapping[str, str]
    sent: Mapping[str, int]
    seconds: float
    epsilon: float | None


class RoundError(RuntimeError):
    """A round that gave no average; the model is as it was before. The message is one line that says why."""


@dataclass
class Federation:
    """A global model, and those who train it.

    Attributes:
        task: with the global model, which each round changes in place.
        participants: each with a name of its own.
        held_out: examples of nobody's, to test the global model with.
        protection: how updates are averaged.
        max_norm: the largest norm of an update that is let into the average. Under a protection that hides
            updates from the server, only the participant itself can see that it keeps to this.
        least: how many participants' updates a round needs.
        rounds: those that were made.

    Raises:
        ValueError: no participants, one of them twice, or arguments out of their range.
    """

    task: Task
    participants: Sequence[Learner]
    held_out: DataLoader
    protection: Protection = field(default_factory=Plain)
    max_norm: float = math.inf
    least: int = 1
    rounds: list[Round] = field(default_factory=list)

    def __post_init__(self) -> None:
        names = [participant.name for participant in self.participants]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"Federation: participants must have names of their own, got {twice[0]!r} twice")
        if not 1 <= self.least <= len(names):
            raise ValueError(
                f"Federation: least must be from 1 to {len(names)} (participants), got {self.least}"
            )
        if not self.max_norm > 0:
            raise ValueError(f"Federation: max_norm must be more than 0, got {self.max_norm}")

    def run(self, rounds: int, on_trained: Callable[[str], None] | None = None) -> Iterator[Round]:
        """Makes rounds, one after the other; gives each when it is made.

        Args:
            rounds: how many more.
            on_trained: called with the name of each participant that is done, or failed.

        Raises:
            RoundError: too few updates came, they could not be averaged, or the next model is not finite.
        """
        for _ in range(rounds):
            self.rounds.append(self._round(len(self.rounds), on_trained))
            yield self.rounds[-1]

    def _round(self, index: int, on_trained: Callable[[str], None] | None) -> Round:
        start = time.perf_counter()
        state = {name: array.copy() for name, array in self.task.model.state_dict().items()}
        for array in state.values():
            array.setflags(write=False)  # all participants are sent these
        updates, missed = self._train(state, index, on_trained)
        if len(updates) < self.least:
            reasons = "; ".join(missed.values())
            raise RoundError(
                f"round {index + 1} needs {counted(self.least, 'update')}, got {len(updates)}: {reasons}"
            )
        names = [participant.name for participant in self.participants]
        layout = Layout.of(state)
        try:
            average = self.protection.average(layout, names, updates)
        except ValueError as error:
            raise RoundError(f"round {index + 1}: {reason_of(error)}") from error
        self.task.model.load_state_dict(self._moved(state, layout.unflatten(average.delta), index))
        seconds = time.perf_counter() - start
        losses = {update.participant: update.loss for update in updates}
        metrics = evaluate(self.task, self.held_out)
        epsilon = self.protection.epsilon
        return Round(index + 1, metrics, losses, missed, average.sent, seconds, epsilon)

    def _moved(
        self, state: Mapping[str, np.ndarray], delta: Mapping[str, np.ndarray], index: int
    ) -> dict[str, np.ndarray]:
        """The next model's weights, all of them finite: what large noise or steps may not leave them."""
        with np.errstate(over="ignore", invalid="ignore"):
            after = moved(state, delta)
        for name, array in after.items():
            wrong = array[~np.isfinite(array)]
            if wrong.size:
                raise RoundError(
                    f"round {index + 1}: the next model's {name!r} must be finite, "
                    f"got {wrong.size:,} of {wrong.flat[0]}"
                )
        return after

    def _train(
        self, state: Mapping[str, np.ndarray], index: int, on_trained: Callable[[str], None] | None
    ) -> tuple[list[Update], dict[str, str]]:
        """The updates of those who have one that can be used, and of the others why not."""
        layout, count = Layout.of(state), len(self.participants)
        updates: list[Update] = []
        missed: dict[str, str] = {}
        for participant in self.participants:
            name = participant.name
            try:
                update = participant.train(state, index)
                check_update(update, state, self.max_norm)
                if update.participant != name:
                    raise RefusedUpdateError(f"participant {name!r}: it calls itself {update.participant!r}")
                self.protection.check(layout, update, count)
                updates.append(update)
            except RefusedUpdateError as error:
                missed[name] = str(error)
            except Exception as error:  # of whatever kind: it is the participant's, and the others go on
                missed[name] = f"participant {name!r}: it failed ({reason_of(error)})"
            if on_trained is not None:
                on_trained(name)
        return updates, missed
