"""What the benchmarks time is a step, and contenders take turns. How long it takes is not tested."""

from __future__ import annotations

import time
from functools import partial
from itertools import islice

import numpy as np
import pytest

from parity_tests.benchmark.framework import FRAMEWORK_ROWS
from parity_tests.benchmark.lightning import TRAINER_ROWS
from parity_tests.benchmark.rows import ROWS, Row
from parity_tests.benchmark.turns import alternate, endless, interleave, side_by_side

SMALL = ("mlp", "cnn", "nt-xent", "triplets", "rnn-write")
QUICK = {name: row for name, row in ROWS.items() if name in SMALL} | FRAMEWORK_ROWS
PAUSES = {"quick": 0.0, "slow": 0.01}


def test_contenders_in_processes_of_their_own() -> None:
    """Each reports a time in each round, and the processes end."""
    makers = {side: partial(endless, partial(time.sleep, pause)) for side, pause in PAUSES.items()}
    for medians in islice(side_by_side(makers), 2):
        assert medians.keys() == makers.keys()
        assert all(medians[side] >= pause for side, pause in PAUSES.items())  # however busy the machine


def test_a_contender_that_fails_is_named() -> None:
    with pytest.raises(RuntimeError, match="the process that times faulty ended"):
        next(side_by_side({"faulty": partial(endless, partial(time.sleep, -1))}))


def test_contenders_in_one_process() -> None:
    calls: dict[str, int] = {"one": 0, "other": 0}

    def step(side: str) -> None:
        calls[side] += 1

    steps = {side: partial(step, side) for side in calls}
    assert next(interleave(steps, 5)).keys() == calls.keys()
    assert calls == {"one": 5, "other": 5}
    assert next(alternate(steps, seconds=0.01, pause=0)).keys() == calls.keys()


@pytest.mark.parametrize("row", QUICK.values(), ids=QUICK)
def test_every_side_of_a_row_makes_steps(row: Row) -> None:
    for side in row.sides:
        step = getattr(row, side)()
        step()
        step()


def test_the_same_batch_for_both_sides() -> None:
    """Where there is a choice of loss, it is the same one too."""
    for row in QUICK.values():
        inputs, targets = row.data()
        their_inputs, their_targets = row.tensors()
        np.testing.assert_equal(np.asarray(targets), their_targets.numpy())
        assert isinstance(inputs, tuple) == isinstance(their_inputs, tuple)
        if row.loss is not None:
            assert type(row.task().loss).__name__ == type(row.torch_model().loss).__name__ == row.loss


class EnoughError(Exception):
    """Not one that the Trainer takes for the end of an epoch."""


@pytest.mark.filterwarnings("ignore")  # Lightning's, about itself and about what such a run leaves out
def test_under_the_trainer_a_step_is_reported_each_time() -> None:
    """A bare Trainer's, and ours; both end by what they call after a step."""
    row = TRAINER_ROWS["lightning-mlp"]
    for side in row.sides:
        steps = 0

        def after_step() -> None:
            nonlocal steps
            steps += 1
            if steps == 3:
                raise EnoughError

        with pytest.raises(EnoughError):
            row.contender(side)(after_step)
        assert steps == 3
