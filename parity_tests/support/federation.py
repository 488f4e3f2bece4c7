"""Small federations on digits, for tests, in float64; and updates that nobody trained for."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from gdl_numpy.data import load
from gdl_numpy.federated import Federation, Layout, Participant, Plain, Shard, Update, weighted_average
from gdl_numpy.models import MLP
from gdl_numpy.optim import SGD
from gdl_numpy.tasks import Classification
from parity_tests.support.disturbance import nothing
from parity_tests.support.images import DoubleBatches

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gdl_numpy.federated import Protection
    from gdl_numpy.optim import Optimizer
    from parity_tests.support.disturbance import Disturb

LR = 0.3
DIGITS = load("digits")
LAYOUT = Layout({"a": (3, 4), "b": (5,)})


class Digits(DoubleBatches):
    """Digits in float64, as one batch as well."""

    def batch(self, rows: np.ndarray, number: int) -> tuple[np.ndarray, np.ndarray]:
        inputs, targets = super().batch(rows, number)
        return inputs.astype(np.float64), targets


class Disturbed(Classification):
    """Classification whose parameters are disturbed before each step."""

    disturb: Any = staticmethod(nothing)

    def step(self, optimizer: Optimizer, batch: Any, clip_norm: float | None = None) -> float:
        self.disturb(self.model)
        return super().step(optimizer, batch, clip_norm)


def task(disturb: Disturb = nothing, **hparams: Any) -> Disturbed:
    sizes: dict[str, Any] = {"in_features": 64, "hidden_features": (20,), "dropout": 0.0, **hparams}
    made = Disturbed(MLP(**sizes, rng=0, dtype=np.float64))
    made.disturb = disturb
    return made


def train_batches(count: int = 300, batch_size: int = 50) -> Digits:
    return Digits(DIGITS.train.take(count), batch_size)


def held_out() -> Digits:
    return Digits(DIGITS.test, 500)


def participants(
    made: Classification,
    rows: Sequence[np.ndarray],
    batches: Digits,
    epochs: int = 1,
    batch_size: int | None = None,
    seed: int | None = 0,
) -> list[Participant]:
    """One for each shard, named by letters."""
    return [
        Participant(
            name, Shard(batches, shard, batch_size, seed), made, partial(SGD, lr=LR), epochs, seed=number
        )
        for number, (name, shard) in enumerate(zip("abcdefghijkl", rows, strict=False))
    ]


class Sends:
    """A participant that sends what it is told to, or raises it."""

    def __init__(self, name: str, what: Any) -> None:
        self.name, self.what = name, what

    def train(self, state: Mapping[str, np.ndarray], number: int) -> Update:
        if isinstance(self.what, Exception):
            raise self.what
        found: Update = self.what(state)
        return found


def federation(
    rows: Sequence[np.ndarray], protection: Protection | None = None, epochs: int = 1, **more: Any
) -> Federation:
    """On digits, with a participant for each shard."""
    made, batches = task(), train_batches()
    learners = participants(made, rows, batches, epochs)
    return Federation(made, learners, held_out(), protection or Plain(), **more)


def updates(names: str, scale: float = 1.0) -> list[Update]:
    """Random updates of participants with different numbers of examples."""
    found = []
    for name in names:
        rng = np.random.default_rng(ord(name))
        delta = {key: scale * rng.standard_normal(shape) for key, shape in LAYOUT.shapes.items()}
        found.append(Update(name, delta, int(rng.integers(1, 1000)), 0.0))
    return found


def plain(given: list[Update]) -> np.ndarray:
    """Their plain average, in a vector."""
    return weighted_average([LAYOUT.flatten(u.delta) for u in given], [u.examples for u in given])
