"""What updates give away: the words of a mail, and a digit; from what the server of plain averaging gets."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch

import gdl_torch.federated
from gdl_numpy.data import Documents
from gdl_numpy.data.words import Bags
from gdl_numpy.federated import Participant, Shard, Update
from gdl_numpy.federated.leak import inputs_of_linear, reading, reconstructed, words_moved
from gdl_numpy.models import SpamClassifier
from gdl_numpy.optim import SGD
from gdl_numpy.tasks import ProbabilityClassification
from gdl_torch.export import from_numpy
from parity_tests.support.federation import DIGITS, participants, task, train_batches

SECRET = "my computer password is pizza"
OTHERS = ["buy cheap watches now", "the meeting is on my computer at noon", "is lunch pizza or pasta"]


def mails() -> Bags:
    documents = Documents.of([SECRET, *OTHERS])
    return Bags(documents, np.array([0, 1, 0, 0]), batch_size=4)


def update_of(rows: list[int], backend: str = "numpy") -> Update:
    """What a participant with these mails sends."""
    bags = mails()
    task = ProbabilityClassification(SpamClassifier(len(bags.documents.vocabulary)))
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
