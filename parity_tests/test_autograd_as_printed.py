"""Chapter 14's way back: where it is the gradient, what it drops; and that the listing else is an LSTM."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from gdl_numpy import models, nn
from gdl_numpy.autograd import Tensor, cross_entropy
from gdl_numpy.replays.as_printed import backward_as_printed
from gdl_numpy.replays.framework_networks import HOME_MADE, SentenceReader
from gdl_numpy.replays.shakespeare_lstm import ShakespeareLSTM
from parity_tests.harness.bounds import ELEMENTARY
from parity_tests.harness.evaluate import dense
from parity_tests.harness.rounding import gamma, unit_roundoff
from parity_tests.support import Disturb, State, Weights, assert_within, moved_by_rounding, nothing, numbers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

VOCABULARY, SIZE = 7, 6
RNG = np.random.default_rng(0)
BATCHES = [(RNG.integers(0, VOCABULARY, (5, 3)), RNG.integers(0, VOCABULARY, (5, 3))) for _ in range(2)]
ROUNDING = float(gamma(4 * (SIZE + BATCHES[0][0].size + ELEMENTARY), unit_roundoff(np.float64)))


def started(disturb: Disturb = nothing) -> ShakespeareLSTM:
    """After a step, so that the output's weights are not zero any more."""
    listing = ShakespeareLSTM(VOCABULARY, SIZE, dtype=np.float64)
    listing.learn(*BATCHES[0], printed=False)
    disturb(Weights(listing.parameters.values()))
    return listing


def test_a_tensor_used_once_or_by_sums_is_right() -> None:
    """Where every use gives its name, the gradient waits for all of them. Sums of halves are exact."""
    leaves = [Tensor(numbers(i, 3, 3), requires_grad=True) for i in range(2)]
    found: list[Any] = []
    for backward in (Tensor.backward, backward_as_printed):
        a, b = leaves
        h = a * b
        y = ((h + a) * (h - b)).relu().sum()
        for leaf in leaves:
            leaf.grad = None
        backward(y)
        found.append([leaf.grad for leaf in leaves])
    np.testing.assert_array_equal(*found)


def test_chapter_13_loses_nothing() -> None:
    """Its recurrent network has one loss, after the last step: one use of each state reports."""
    sentences = np.random.default_rng(1).integers(0, VOCABULARY, (8, 4))

    def gradients(backward: Callable[[Tensor], None], disturb: Disturb = nothing) -> list[State]:
        reader = SentenceReader(HOME_MADE, VOCABULARY, dim=5)
        disturb(Weights(reader.weights))
        backward(cross_entropy(reader.guess(sentences), sentences[:, -1]) * 8)
        return [{f"weight {i}": np.asarray(weight.grad) for i, weight in enumerate(reader.weights)}]

    bounds = moved_by_rounding(partial(gradients, Tensor.backward), ROUNDING)
    assert_within(gradients(backward_as_printed), gradients(Tensor.backward), bounds)


def test_of_two_matrix_products_the_first_is_heard() -> None:
    """Both use h = a ∘ b; what comes back from the second stops at h."""
    a, b, v, w = (Tensor(numbers(i, 3, 3), requires_grad=True) for i in range(4))
    h = a * b
    backward_as_printed((h @ v).sum() + (h @ w).sum())
    heard = a.grad
    a.grad = None
    ((a * b) @ v).sum().backward()
    np.testing.assert_array_equal(heard, a.grad)
    assert w.grad is not None


def fused(arrays: Mapping[str, np.ndarray], kind: str) -> np.ndarray:
    """What the listing has for each gate, as the hand-written LSTM has it."""
    return np.concatenate([arrays[kind + gate].T for gate in "ifgo"])


def by_the_listing(disturb: Disturb = nothing) -> list[State]:
    """The loss of the second batch, and its gradients by the right way back."""
    listing = started(disturb)
    loss = listing.loss(*BATCHES[1])
    found = listing.gradients(loss, printed=False)
    return [
        {
            "loss": np.array(loss.item()),
            "embedding.weight": found["table"],
            "rnn.weight_ih_l0": fused(found, "x"),
            "rnn.weight_hh_l0": fused(found, "h"),
            "rnn.bias_ih_l0": fused(found, "b"),
            "decoder.weight": found["out"].T,
        }
    ]


def test_with_the_right_way_back_the_listing_is_an_lstm() -> None:
    """Its loss and all its gradients are those of the hand-written one."""
    listing = started()
    hand = models.LSTMLanguageModel(VOCABULARY, SIZE, SIZE, dtype=np.float64)
    p = {name: tensor.data for name, tensor in listing.parameters.items()}
    hand.load_state_dict(
        {
            "embedding.weight": p["table"],
            "rnn.weight_ih_l0": fused(p, "x"),
            "rnn.weight_hh_l0": fused(p, "h"),
            "rnn.bias_ih_l0": fused(p, "b"),
            "rnn.bias_hh_l0": np.zeros(4 * SIZE),
            "decoder.weight": p["out"].T,
            "decoder.bias": np.zeros(VOCABULARY),
        }
    )
    assert listing.state is not None
    inputs, targets = BATCHES[1]
    criterion = nn.CrossEntropyLoss(reduction="sum")
    logits, _ = hand(inputs, tuple(s.data[None] for s in listing.state))
    loss = criterion(logits.reshape(-1, VOCABULARY), targets.reshape(-1))
    hand.backward(criterion.backward().reshape(logits.shape))
    found = {name: dense(p.grad) for name, p in hand.named_parameters() if p.grad is not None}
    expected, bounds = by_the_listing(), moved_by_rounding(by_the_listing, ROUNDING)
    assert_within([{**found, "loss": np.array(loss)}], expected, bounds)


def test_what_the_printed_rule_drops() -> None:
    """The output's weights are right; all others are short, and turned."""

    def of_the_output(disturb: Disturb, printed: bool = False) -> list[State]:
        listing = started(disturb)
        return [{"out": listing.gradients(listing.loss(*BATCHES[1]), printed)["out"]}]

    bounds = moved_by_rounding(of_the_output, ROUNDING)
    assert_within(of_the_output(nothing, printed=True), of_the_output(nothing), bounds)
    listing = started()
    loss = listing.loss(*BATCHES[1])
    printed, right = (listing.gradients(loss, rule) for rule in (True, False))
    for name in right.keys() - {"out"}:
        length = np.linalg.norm(right[name])
        cosine = (printed[name] * right[name]).sum() / length / np.linalg.norm(printed[name])
        assert np.linalg.norm(printed[name]) < 0.7 * length, name
        assert cosine < 0.99, name


def test_first_loss_is_the_vocabulary() -> None:
    """The output's weights start at zero: every character is equally likely."""
    loss = ShakespeareLSTM(62, 4).learn(*BATCHES[0])
    operations = BATCHES[0][0].size + ELEMENTARY
    assert loss == pytest.approx(math.log(62), rel=float(gamma(operations, unit_roundoff(np.float32))))
