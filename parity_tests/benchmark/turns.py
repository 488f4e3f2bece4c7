"""Timing contenders side by side: they take turns, and whoever is not at work sleeps.

The threads of OpenBLAS and OpenMP spin for a while after their work, on cores that the next contender needs:
torch's step takes twice as long right after one of NumPy's. So there is a pause before each turn, and in
`side_by_side` each contender is a process of its own, which shares neither memory nor threads with the rest.
"""

from __future__ import annotations

import multiprocessing
import os
import statistics
import time
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping
    from multiprocessing.connection import Connection

    Step = Callable[[], None]
    # Makes one step after the other, for ever, and calls what it is given after each.
    Run = Callable[[Step], None]

WARM_UP = 3  # steps of each turn that do not count
TURN, PAUSE = 0.4, 0.2  # seconds


def turn(step: Step, seconds: float) -> float:
    """The median time of a step, in seconds, over a turn of so many."""
    for _ in range(WARM_UP):
        step()
    times = []
    now = time.perf_counter()
    stop = now + seconds
    while now < stop:
        start = now
        step()
        now = time.perf_counter()
        times.append(now - start)
    return statistics.median(times)


def alternate(
    steps: Mapping[str, Step], seconds: float = TURN, pause: float = PAUSE
) -> Iterator[dict[str, float]]:
    """Gives each step's median time in a turn, round after round, all in this process."""
    while True:
        medians = {}
        for side, step in steps.items():
            time.sleep(pause)
            medians[side] = turn(step, seconds)
        yield medians


def interleave(steps: Mapping[str, Step], count: int) -> Generator[dict[str, float]]:
    """The same, where a turn is a single step and there are no pauses; a round is `count` of each."""
    while True:
        times: dict[str, list[float]] = {side: [] for side in steps}
        for _ in range(count):
            for side, step in steps.items():
                start = time.perf_counter()
                step()
                times[side].append(time.perf_counter() - start)
        yield {side: statistics.median(measured) for side, measured in times.items()}


def endless(step: Step) -> Run:
    """A contender whose steps are calls of a function."""

    def run(after_step: Step) -> None:
        while True:
            step()
            after_step()

    return run


def side_by_side(makers: Mapping[str, Callable[[], Run]]) -> Generator[dict[str, float]]:
    """Gives each contender's median time of a step in a turn, round after round.

    Args:
        makers: each is called in a process of its own, and so has to be picklable.

    Raises:
        RuntimeError: a contender's process ended; it has said why.
    """
    context = multiprocessing.get_context("spawn")
    with ExitStack() as stack:
        connections = {}
        for side, maker in makers.items():
            connections[side], end = context.Pipe()
            process = context.Process(target=_contend, args=(maker, end), daemon=True)
            process.start()
            end.close()
            stack.callback(process.join)
            stack.callback(_end, connections[side])
            _answer(side, connections[side])  # once it has made its first step
        while True:
            medians = {}
            for side, connection in connections.items():
                time.sleep(PAUSE)
                connection.send(TURN)
                medians[side] = _answer(side, connection)
            yield medians


def _end(connection: Connection) -> None:
    """Ends a contender's process, if it has not ended by itself."""
    with suppress(OSError):
        connection.send(None)


def _answer(side: str, connection: Connection) -> float:
    try:
        return float(connection.recv())
    except EOFError:
        raise RuntimeError(f"the process that times {side} ended") from None


def _contend(maker: Callable[[], Run], connection: Connection) -> None:
    """What a contender's process does."""
    maker()(_Clock(connection))


class _Clock:
    """Called after each step. At the end of a turn, it reports and sleeps until the next one."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.times: list[float] | None = None  # of the turn under way; before the first turn there is none
        self.start = self.stop = 0.0

    def __call__(self) -> None:
        now = time.perf_counter()
        if self.times is None:
            self._report_and_sleep(0.0)
            return
        self.times.append(now - self.start)
        if now >= self.stop and len(self.times) > WARM_UP:
            self._report_and_sleep(statistics.median(self.times[WARM_UP:]))
        else:
            self.start = time.perf_counter()

    def _report_and_sleep(self, median: float) -> None:
        self.connection.send(median)
        seconds = self.connection.recv()
        if seconds is None:
            os._exit(0)  # from the depth of whatever is being timed, without its farewells
        self.times = []
        self.start = time.perf_counter()
        self.stop = self.start + seconds
