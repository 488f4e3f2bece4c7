"""What updates give away: the words of a mail, and a digit; from what the server of plain averaging gets."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

import gdl_torch.federated

pytest.importorskip("cryptography", reason="cryptography is not installed: pip install -e .[federated]")
pytest.importorskip("phe", reason="phe is not installed: pip install -e .[federated]")

from gdl_numpy.data import Documents
from gdl_numpy.data.words import Bags
from gdl_numpy.federated import Layout, Participant, Plain, Protection, Shard, Update
from gdl_numpy.federated.leak import inputs_of_linear, reading, reconstructed, words_moved
from gdl_numpy.federated.masked import Masked
from gdl_numpy.federated.noise import Noised
from gdl_numpy.federated.paillier import Encrypted
from gdl_numpy.models import SpamClassifier
from gdl_numpy.optim import SGD
from gdl_numpy.tasks import ProbabilityClassification
from gdl_torch.export import from_numpy
from parity_tests.support.federation import DIGITS, participants, task, train_batches

if TYPE_CHECKING:
    from collections.abc import Callable

SECRET = "my computer password is pizza"
OTHERS = ["buy cheap watches now", "the meeting is on my computer at noon", "is lunch pizza or pasta"]


def mails() -> Bags:
    documents = Documents.of([SECRET, *OTHERS])
    return Bags(documents, np.array([0, 1, 0, 0]), batch_size=4)


def update_of(rows: list[int], backend: str = "numpy") -> Update:
    """What a participant with these mails sends."""
    bags = mails()
    task = ProbabilityClassification(SpamClassifier(len(bags.documents.vocabulary), rng=0))
    shard = Shard(bags, np.array(rows))
    if backend == "torch":
        model = from_numpy(task.model)
        made = gdl_torch.federated.Participant("bob", shard, model, partial(torch.optim.SGD, lr=5.0))
        return made.train(task.model.state_dict(), 0)
    return Participant("bob", shard, task, partial(SGD, lr=5.0)).train(task.model.state_dict(), 0)


@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_a_mail_is_read_from_the_update(backend: str) -> None:
    """The book's: one participant with one mail gives away its words, and no other word."""
    delta = update_of([0], backend).delta["embedding.weight"]
    assert sorted(reading(delta, mails().documents.vocabulary)) == sorted(SECRET.split())


def test_of_several_mails_all_words_are_read() -> None:
    delta = update_of([0, 1]).delta["embedding.weight"]
    read = {mails().documents.vocabulary.tokens[word] for word in words_moved(delta)}
    assert read == set(f"{SECRET} {OTHERS[0]}".split())


def test_words_that_moved_the_most_come_first() -> None:
    assert words_moved(np.array([[0.0], [0.1], [-0.3], [0.0], [0.2]])).tolist() == [2, 4, 1]
    assert words_moved(np.array([[0.0], [0.1], [-0.3]]), 1).tolist() == [2]


@pytest.mark.parametrize("number", range(5))
def test_a_digit_is_read_from_the_update_of_a_linear_layer(number: int) -> None:
    """Of one example in one step: pixel for pixel, up to rounding, whatever layers come after."""
    made = task()
    (learner,) = participants(made, [np.array([number])], train_batches())
    delta = learner.train(made.model.state_dict(), 0).delta
    found = reconstructed(delta["layers.1.weight"], delta["layers.1.bias"])
    image = DIGITS.train.inputs[number].reshape(-1)
    # Δ = (w − η g) − w is off by an ulp of w, at most 1/√64 here, and is divided by the bias's move.
    error = 4 * np.finfo(np.float64).eps / np.abs(delta["layers.1.bias"]).max()
    assert error < 1e-10
    np.testing.assert_allclose(found, image, rtol=0, atol=error)


def test_of_several_digits_a_blend_is_read() -> None:
    made = task()
    (learner,) = participants(made, [np.arange(50)], train_batches())
    delta = learner.train(made.model.state_dict(), 0).delta
    found = reconstructed(delta["layers.1.weight"], delta["layers.1.bias"])
    images = DIGITS.train.inputs[:50].reshape(50, -1)
    assert np.abs(images - found).max(axis=1).min() > 0.1


def test_rows_that_say_nothing() -> None:
    rows = inputs_of_linear(np.array([[2.0, 4.0], [1.0, 1.0]]), np.array([2.0, 0.0]))
    np.testing.assert_array_equal(rows, [[1, 2], [np.nan, np.nan]])
    with pytest.raises(ValueError, match="delta_bias must have a number other than 0, got none"):
        reconstructed(np.ones((2, 2)), np.zeros(2))


def approximate() -> Protection:
    pytest.importorskip("tenseal", reason="tenseal is not installed: pip install -e .[ckks]")
    from gdl_numpy.federated.ckks import Approximate

    return Approximate()


PROTECTIONS: dict[str, Callable[[], Protection]] = {
    "masks": Masked,
    "paillier": lambda: Encrypted(512, insecure_demo_keys=True),
    "ckks": approximate,
    "noise": lambda: Noised(clip_norm=1.0, noise_multiplier=1.0, rng=np.random.default_rng(0)),
}


def as_read(seen: Any) -> np.ndarray:
    """What the server has of an update, as numbers; of ciphertexts, for lack of others, their bits."""
    if isinstance(seen, list) and isinstance(
        seen[0], bytes
    ):  # of CKKS: what is after the header, mostly random
        content = b"".join(seen)[1000:]
        return np.frombuffer(content[: len(content) // 4 * 4], "<u4").astype(np.float64)
    if isinstance(seen, list):  # of ciphertexts, each of several weights: their lowest bits, weight by weight
        return np.array([int(c) >> 40 * k & (1 << 40) - 1 for c in seen for k in range(7)], np.float64)
    return np.asarray(seen).astype(np.float64)


def test_plain_averaging_shows_the_server_the_words() -> None:
    """What the other tests' attack finds where nothing protects."""
    assert word_found(Plain()) == 1.0


@pytest.mark.parametrize("protection", PROTECTIONS.values(), ids=PROTECTIONS)
def test_words_are_not_read_where_updates_are_protected(protection: Callable[[], Protection]) -> None:
    """The five words that moved the most are the mail's no oftener than five drawn from the hat."""
    found = np.mean([word_found(protection()) for _ in range(8)])
    words = len(mails().documents.vocabulary)
    chance = len(SECRET.split()) / words
    # The hat's standard deviation, of eight draws of five words without putting back.
    deviation = np.sqrt(chance * (1 - chance) / 5 * (words - 5) / (words - 1) / 8)
    assert found < chance + 4 * deviation < 0.75


def word_found(protection: Protection) -> float:
    """How many of the mail's words are among as many of those that seem to have moved the most."""
    layout = Layout({"embedding.weight": (len(mails().documents.vocabulary), 1)})
    others = Update("alice", update_of([1, 2, 3]).delta, 3, 0.0)
    average = protection.average(layout, ["alice", "bob"], [others, update_of([0])])
    seen = as_read(average.seen["bob"])[: layout.size]
    secret = set(SECRET.split())
    read = words_moved(seen[:, None], len(secret))
    tokens = mails().documents.vocabulary.tokens
    return len(secret & {tokens[word] for word in read}) / len(secret)


def digit_error(protection: Protection) -> float:
    """The mean distance of a pixel of what is reconstructed from the digit's, in what the server has."""
    made = task(hidden_features=())
    learners = participants(made, [np.array([0]), np.arange(1, 20)], train_batches())
    state = made.model.state_dict()
    layout = Layout.of(state)
    average = protection.average(layout, ["a", "b"], [learner.train(state, 0) for learner in learners])
    delta = layout.unflatten(as_read(average.seen["a"])[: layout.size])
    found = reconstructed(delta["layers.1.weight"], delta["layers.1.bias"])
    image = DIGITS.train.inputs[0].reshape(-1)
    return float(np.abs(found - image).mean())


def test_plain_averaging_shows_the_server_the_digit() -> None:
    assert digit_error(Plain()) < 1e-12


@pytest.mark.parametrize("protection", PROTECTIONS.values(), ids=PROTECTIONS)
def test_a_digit_is_not_read_where_updates_are_protected(protection: Callable[[], Protection]) -> None:
    """What comes out is no nearer to the digit than the mean of all digits is."""
    image = DIGITS.train.inputs[0].reshape(-1)
    no_idea = np.abs(DIGITS.train.inputs.reshape(len(DIGITS.train), -1).mean(axis=0) - image).mean()
    assert digit_error(protection()) > no_idea


def test_of_the_sum_the_words_of_all_are_read_but_not_whose() -> None:
    """What masks and encryption leave: the average is known to all, and with few participants tells much."""
    layout = Layout({"embedding.weight": (len(mails().documents.vocabulary), 1)})
    others = Update("alice", update_of([1, 2, 3]).delta, 3, 0.0)
    average = Masked().average(layout, ["alice", "bob"], [others, update_of([0])])
    read = set(reading(average.delta[:, None], mails().documents.vocabulary, 100))
    assert set(SECRET.split()) <= read
