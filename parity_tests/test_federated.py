"""Federated averaging: the same as torch's, as plain SGD where it should be, and robust to who takes part."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import gdl_torch.federated
from gdl_numpy.data import Batches, load
from gdl_numpy.data.words import BagsDataModule
from gdl_numpy.federated import (
    Federation,
    Layout,
    Learner,
    Participant,
    RoundError,
    Shard,
    Update,
    split_by_label,
    split_by_owner,
    split_by_size,
    split_evenly,
    weighted_average,
)
from gdl_numpy.federated.update import norm_of
from gdl_numpy.models import MLP, SpamClassifier
from gdl_numpy.optim import SGD
from gdl_numpy.tasks import Classification, ProbabilityClassification
from gdl_numpy.training import evaluate
from gdl_torch.export import from_numpy
from parity_tests.harness.rounding import gamma, unit_roundoff
from parity_tests.support.disturbance import assert_within, moved_by_rounding, nothing
from parity_tests.support.federation import (
    DIGITS,
    LR,
    Digits,
    Sends,
    federation,
    held_out,
    participants,
    task,
    train_batches,
)

if TYPE_CHECKING:
    from parity_tests.support.disturbance import Disturb, State

U = unit_roundoff(np.float64)
UNEVEN = split_by_size(300, [40, 110], seed=1)  # and 150


def run_numpy(rounds: int, epochs: int, disturb: Disturb = nothing) -> list[State]:
    """The global model after each round."""
    made, batches = task(disturb), train_batches()
    learners = participants(made, UNEVEN, batches, epochs)
    found: list[State] = []
    for _ in Federation(made, learners, held_out()).run(rounds):
        found.append({name: array.copy() for name, array in made.model.state_dict().items()})
    return found


def run_torch(rounds: int, epochs: int) -> list[State]:
    """The same in torch alone: its optimizer, its gradients, and its average of the participants' weights."""
    model: Any = from_numpy(task().model)
    learners = [
        gdl_torch.federated.Participant(
            name, Shard(train_batches(), rows, seed=0), model, partial(torch.optim.SGD, lr=LR), epochs
        )
        for name, rows in zip("abc", UNEVEN, strict=True)
    ]
    found: list[State] = []
    for number in range(rounds):
        gdl_torch.federated.federated_round(model, learners, number)
        found.append({name: tensor.numpy().copy() for name, tensor in model.state_dict().items()})
    return found


@pytest.mark.parametrize("epochs", [1, 2])
def test_rounds_equal_torchs(epochs: int) -> None:
    """Three participants of different sizes, two rounds: within what the rounding of each step explains."""
    relative = float(gamma(50 * 64 * 20, U))
    bounds = moved_by_rounding(partial(run_numpy, 2, epochs), relative)
    assert_within(run_torch(2, epochs), run_numpy(2, epochs), bounds)


def test_one_participant_with_one_step_is_plain_sgd() -> None:
    """In float32 bit for bit: no digit is lost on the way to the server and back."""
    split = DIGITS.train.take(100)
    inputs, targets = split.inputs, split.targets
    expected = MLP(64, dropout=0.0, rng=0)
    Classification(expected).step(SGD(expected.parameters(), lr=LR), (inputs, targets))

    made = Classification(MLP(64, dropout=0.0, rng=0))
    learner = Participant("a", Shard(Batches(split, 100), np.arange(100)), made, partial(SGD, lr=LR))
    list(Federation(made, [learner], Batches(DIGITS.test, 500)).run(1))
    for name, array in expected.state_dict().items():
        np.testing.assert_array_equal(made.model.state_dict()[name], array, err_msg=name, strict=True)


@pytest.mark.parametrize("rows", [split_evenly(300, 3), UNEVEN], ids=["equal shards", "weighted by examples"])
def test_one_step_on_all_of_each_shard_is_the_centralised_step(rows: list[np.ndarray]) -> None:
    """The mean of the shards' gradients, each with as much weight as it has examples, is that of all."""

    def central(disturb: Disturb = nothing) -> list[State]:
        made = task(disturb)
        (batch,) = train_batches(batch_size=300)
        made.step(SGD(made.model.parameters(), lr=LR), batch)
        return [{name: array.copy() for name, array in made.model.state_dict().items()}]

    made = task()
    learners = participants(made, rows, train_batches(), batch_size=0)
    list(Federation(made, learners, held_out()).run(1))
    bounds = moved_by_rounding(central, float(gamma(300 * 64 * 20, U)))
    assert_within([made.model.state_dict()], central(), bounds)


def test_words_learn_as_images_do() -> None:
    """Sparse gradients of a table of words, by participants whose batches are shards of a data module's."""
    module = BagsDataModule(load("python_docs_topics"), 50, validation=0.0)
    made = ProbabilityClassification(SpamClassifier(len(module.vocabulary)))
    rows = split_evenly(len(module.texts["train"]), 3)
    learners = [
        Participant(f"p{k}", Shard(module.train, shard, seed=k), made, partial(SGD, lr=5.0))
        for k, shard in enumerate(rows)
    ]
    before = evaluate(made, module.test).row()["accuracy"]
    records = list(Federation(made, learners, module.test).run(3))
    assert records[-1].metrics.row()["accuracy"] > before + 0.2
    assert set(records[0].losses) == {"p0", "p1", "p2"}
    assert records[-1].losses["p0"] < records[0].losses["p0"]


def test_participants_do_not_drop_the_same_units() -> None:
    """Copies of one model would draw the same dropout masks."""
    made = task(dropout=0.5)
    rows = [np.arange(50), np.arange(50)]
    state = made.model.state_dict()
    one, other = (p.train(state, 0).delta for p in participants(made, rows, train_batches()))
    assert any((one[name] != other[name]).any() for name in one)


@pytest.mark.parametrize("side", ["numpy", "torch"])
def test_a_round_is_a_function_of_weights_seed_and_number(side: str) -> None:
    """Dropout included: a participant that was restarted learns what it would have, whatever else draws."""
    made = task(dropout=0.5)
    state = made.model.state_dict()

    def participant(seed: int = 0) -> Any:
        shard = Shard(train_batches(), np.arange(50), seed=0)
        if side == "numpy":
            return Participant("p", shard, made, partial(SGD, lr=LR), seed=seed)
        optimizer = partial(torch.optim.SGD, lr=LR)
        return gdl_torch.federated.Participant("p", shard, from_numpy(made.model), optimizer, seed=seed)

    first = participant()
    first.train(state, 0)
    once = first.train(state, 1).delta
    again = participant()
    before = torch.random.get_rng_state()
    for name, array in again.train(state, 1).delta.items():
        np.testing.assert_array_equal(array, once[name])
    assert torch.equal(torch.random.get_rng_state(), before)
    for other in (again.train(state, 2), participant(seed=1).train(state, 1)):
        assert any((other.delta[name] != once[name]).any() for name in once)


def test_the_order_of_examples_goes_on_from_round_to_round() -> None:
    made = task()
    (learner,) = participants(made, [np.arange(100)], train_batches(), epochs=2)
    seen: list[int] = []
    learner.batches.set_epoch = lambda epoch: seen.append(epoch)  # type: ignore[method-assign]
    for number in range(2):
        learner.train(made.model.state_dict(), number)
    assert seen == [0, 1, 2, 3]


@pytest.mark.parametrize("count", [1, 2, 7, 300])
def test_an_even_split_has_every_example_once(count: int) -> None:
    rows = split_evenly(300, count, seed=4)
    np.testing.assert_array_equal(np.sort(np.concatenate(rows)), np.arange(300))
    assert max(map(len, rows)) - min(map(len, rows)) <= 1


@given(alpha=st.floats(2, 1e6), count=st.integers(1, 5), seed=st.integers(0, 1000), classes=st.integers(1, 6))
def test_a_split_by_label_has_every_example_once(alpha: float, count: int, seed: int, classes: int) -> None:
    labels = np.random.default_rng(seed).integers(0, classes, 400)
    rows = split_by_label(labels, count, alpha, seed)
    assert len(rows) == count
    np.testing.assert_array_equal(np.sort(np.concatenate(rows)), np.arange(400))


def test_a_large_alpha_spreads_labels_evenly_and_a_small_one_does_not() -> None:
    labels = DIGITS.train.targets

    def unevenness(alpha: float) -> float:
        """The mean distance of the participants' shares of labels from those of all."""
        shares = [
            np.bincount(labels[rows], minlength=10) / len(rows) for rows in split_by_label(labels, 5, alpha)
        ]
        return float(np.mean([np.abs(share - np.bincount(labels) / len(labels)).sum() for share in shares]))

    assert unevenness(1e4) < 0.05
    assert unevenness(0.3) > 0.5


def test_a_split_by_owner_gives_each_its_own() -> None:
    rows = split_by_owner(np.array([2, 0, 1, 0, 2]))
    assert [shard.tolist() for shard in rows] == [[1, 3], [2], [0, 4]]


@pytest.mark.parametrize(
    ("split", "message"),
    [
        (lambda: split_evenly(3, 4), "participants must be at most 3, the number of examples, got 4"),
        (lambda: split_evenly(3, 0), "participants must be at least 1, got 0"),
        (lambda: split_by_size(10, [4, 0]), "sizes must be at least 1, got 0"),
        (lambda: split_by_size(10, [4, 6]), "must leave some of 10 examples, got 10 in all"),
        (lambda: split_by_label(np.arange(9), 2, 0.0), "alpha must be more than 0, and finite, got 0.0"),
        (lambda: split_by_label(np.zeros(3, np.int64), 3, 1e-9), "leaves participant . without examples"),
        (lambda: split_by_owner(np.array([0, 2])), "leaves participant 1 without examples"),
        (lambda: split_by_owner(np.array([0, 2]), 2), "leaves"),
        (lambda: Shard(train_batches(), np.array([], np.int64)), "rows must name at least one example"),
        (lambda: Shard(train_batches(), np.array([300])), "rows must be from 0 to 299, got 300 to 300"),
        (lambda: weighted_average([], []), "one weight for each vector is needed, got 0 vectors"),
        (lambda: weighted_average([np.ones(2)], [0]), "examples must be at least 1, got 0"),
        (lambda: weighted_average([np.ones(2), np.ones(3)], [1, 1]), "of one length, got 2, 3"),
        (lambda: federation([*UNEVEN], least=4), "least must be from 1 to 3"),
        (lambda: federation([*UNEVEN], max_norm=0.0), "max_norm must be more than 0, got 0.0"),
        (lambda: Federation(task(), [Sends("a", None)] * 2, held_out()), "got 'a' twice"),
        (lambda: Layout({"w": (2,)}).unflatten(np.ones(3)), "vector must have 2 numbers, got 3"),
    ],
)
def test_arguments_that_cannot_be_meant(split: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message) as refusal:
        split()
    assert "\n" not in str(refusal.value)


def changed(name: str, change: Any, examples: int = 10, vandal: bool = False) -> Sends:
    """A participant whose update is zeros, but for what `change` does to it; or who writes where all read."""

    def update(state: Any) -> Update:
        if vandal:
            state[FIRST][:] = 0
        delta = {key: np.zeros(array.shape) for key, array in state.items()}
        return Update(name, change(delta) or delta, examples, 0.0)

    return Sends(name, update)


FIRST = "layers.1.weight"


def filled(value: float) -> Any:
    def change(delta: dict[str, np.ndarray]) -> None:
        delta[FIRST][0, :2] = value

    return change


BAD = {
    "nan": (changed("bad", filled(np.nan)), "its update of 'layers.1.weight' must be finite, got 2 of nan"),
    "inf": (changed("bad", filled(-np.inf)), "its update of 'layers.1.weight' must be finite, got 2 of -inf"),
    "norm": (changed("bad", filled(1e9)), "the norm of its update must be at most 100, got 1.41e+09"),
    "overflow": (changed("bad", filled(1e300)), "the norm of its update must be at most 100, got 1.41e+300"),
    "shape": (
        changed("bad", lambda delta: delta | {FIRST: np.zeros((64, 20))}),
        "its update does not fit the model: 'layers.1.weight' has shape (64, 20), expected (20, 64)",
    ),
    "missing": (
        changed("bad", lambda delta: {name: a for name, a in delta.items() if name != FIRST}),
        "its update does not fit the model: missing key 'layers.1.weight'",
    ),
    "more": (
        changed("bad", lambda delta: delta | {"x": np.zeros(1)}),
        "its update does not fit the model: unexpected key 'x'",
    ),
    "integers": (
        changed("bad", lambda delta: delta | {FIRST: np.zeros((20, 64), np.int64)}),
        "its update of 'layers.1.weight' must be of floats, got int64",
    ),
    "examples": (changed("bad", filled(0), examples=0), "examples must be at least 1, got 0"),
    "loss": (
        Sends(
            "bad", lambda state: Update("bad", {k: np.zeros(v.shape) for k, v in state.items()}, 1, np.nan)
        ),
        "its loss must be finite, got nan",
    ),
    "another": (
        Sends("bad", lambda state: Update("a", {k: np.zeros(v.shape) for k, v in state.items()}, 1, 0.0)),
        "it calls itself 'a'",
    ),
    "failure": (Sends("bad", OSError("no power")), "it failed (no power)"),
    "vandal": (
        changed("bad", lambda delta: None, vandal=True),
        "it failed (assignment destination is read-only)",
    ),
}


@pytest.mark.parametrize(("bad", "message"), BAD.values(), ids=BAD)
def test_a_participant_that_fails_or_harms_is_missed_and_named(bad: Sends, message: str) -> None:
    """The others' round is what it would have been without it; in the next one it is asked again."""
    alone, among = task(), task()
    list(Federation(alone, participants(alone, UNEVEN, train_batches()), held_out()).run(2))
    learners: list[Learner] = [*participants(among, UNEVEN, train_batches())[:1], bad]
    learners += participants(among, UNEVEN, train_batches())[1:]
    told: list[str] = []
    records = list(Federation(among, learners, held_out(), max_norm=100).run(2, told.append))
    assert told == ["a", "bad", "b", "c"] * 2
    for record in records:
        assert record.missed == {"bad": f"participant 'bad': {message}"}
        assert set(record.losses) == {"a", "b", "c"}
    for name, array in alone.model.state_dict().items():
        np.testing.assert_array_equal(among.model.state_dict()[name], array)


def test_a_round_with_too_few_updates_changes_nothing() -> None:
    made = task()
    before = {name: array.copy() for name, array in made.model.state_dict().items()}
    learners: list[Learner] = [
        *participants(made, UNEVEN[:1], train_batches()),
        Sends("x", OSError("no power")),
    ]
    ours = Federation(made, learners, held_out(), least=2)
    with pytest.raises(RoundError, match=r"^round 1 needs 2 updates, got 1: participant 'x': it failed"):
        list(ours.run(1))
    assert ours.rounds == []
    for name, array in before.items():
        np.testing.assert_array_equal(made.model.state_dict()[name], array)


def test_a_model_that_would_not_be_finite_is_not_taken() -> None:
    """Each number of the update is, but in float32 the weight that it moves is not."""
    made = Classification(MLP(64, hidden_features=(20,), rng=0))
    large = [changed(name, filled(1e39)) for name in "ab"]
    ours = Federation(made, large, held_out())
    before = made.model.state_dict()[FIRST].copy()
    reason = r"^round 1: the next model's 'layers.1.weight' must be finite, got 2 of inf$"
    with pytest.raises(RoundError, match=reason):
        list(ours.run(1))
    np.testing.assert_array_equal(made.model.state_dict()[FIRST], before)


def test_the_global_model_is_tested_on_what_nobody_trained_on() -> None:
    made = task()
    ours = Federation(made, participants(made, UNEVEN, train_batches()), held_out())
    (record,) = ours.run(1)
    assert record.metrics == evaluate(made, Digits(DIGITS.test, 500))
    assert record.sent == dict.fromkeys("abc", 8 * Layout.of(made.model.state_dict()).size)


def test_norms_too_large_to_square() -> None:
    assert norm_of({"a": np.array([3e200]), "b": np.array([[4e200]])}) == pytest.approx(5e200)
    assert norm_of({"a": np.zeros(3)}) == 0
