"""Chapter 14's way back: where it is the gradient, what it drops; and that the listing else is an LSTM."""

from __future__ import annotations

import numpy as np
import pytest

from gdl_numpy import models, nn
from gdl_numpy.autograd import Tensor, cross_entropy
from gdl_numpy.replays.as_printed import backward_as_printed
from gdl_numpy.replays.framework_networks import HOME_MADE, SentenceReader
from gdl_numpy.replays.shakespeare_lstm import ShakespeareLSTM
from parity_tests.harness.evaluate import dense
from parity_tests.support import numbers

VOCABULARY, SIZE = 7, 6
RNG = np.random.default_rng(0)
BATCHES = [(RNG.integers(0, VOCABULARY, (5, 3)), RNG.integers(0, VOCABULARY, (5, 3))) for _ in range(2)]


@pytest.fixture
def listing() -> ShakespeareLSTM:
    """After a step, so that the output's weights are not zero any more."""
    made = ShakespeareLSTM(VOCABULARY, SIZE, dtype=np.float64)
    made.learn(*BATCHES[0], printed=False)
    return made


def test_a_tensor_used_once_or_by_sums_is_right() -> None:
    """Where every use gives its name, the gradient waits for all of them."""
    leaves = [Tensor(numbers(i, 3, 3), requires_grad=True) for i in range(2)]
    found = []
    for backward in (Tensor.backward, backward_as_printed):
        a, b = leaves
        h = a * b
        y = ((h + a) * (h - b)).tanh().sum()
        for leaf in leaves:
            leaf.grad = None
        backward(y)
        found.append([leaf.grad for leaf in leaves])
    for right, printed in zip(*found, strict=True):
        np.testing.assert_allclose(np.asarray(printed), np.asarray(right), rtol=1e-14)


def test_chapter_13_loses_nothing() -> None:
    """Its recurrent network has one loss, after the last step: one use of each state reports."""
    reader = SentenceReader(HOME_MADE, VOCABULARY, dim=5)
    sentences = np.random.default_rng(1).integers(0, VOCABULARY, (8, 4))
    found = []
    for backward in (Tensor.backward, backward_as_printed):
        reader.optimizer.zero_grad()
        backward(cross_entropy(reader.guess(sentences), sentences[:, -1]) * 8)
        found.append([np.asarray(weight.grad) for weight in reader.weights])
    for right, printed in zip(*found, strict=True):
        np.testing.assert_allclose(printed, right, rtol=1e-12, atol=1e-15)


def test_of_two_matrix_products_the_first_is_heard() -> None:
    """Both use h = a ∘ b; what comes back from the second stops at h."""
    a, b, v, w = (Tensor(numbers(i, 3, 3), requires_grad=True) for i in range(4))
    h = a * b
    backward_as_printed((h @ v).sum() + (h @ w).sum())
    heard = a.grad
    a.grad = None
    ((a * b) @ v).sum().backward()
    np.testing.assert_allclose(np.asarray(heard), np.asarray(a.grad), rtol=1e-14)
    assert w.grad is not None


def test_with_the_right_way_back_the_listing_is_an_lstm(listing: ShakespeareLSTM) -> None:
    """Its loss and all its gradients are those of the hand-written one."""
    hand = models.LSTMLanguageModel(VOCABULARY, SIZE, SIZE, dtype=np.float64)
    p = {name: tensor.data for name, tensor in listing.parameters.items()}
    gates = "ifgo"

    def fused(arrays: dict[str, np.ndarray], kind: str) -> np.ndarray:
        return np.concatenate([arrays[kind + gate].T for gate in gates])

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
    state = tuple(s.data[None] for s in listing.state)
    inputs, targets = BATCHES[1]
    loss = listing.loss(inputs, targets)
    found = listing.gradients(loss, printed=False)
    criterion = nn.CrossEntropyLoss(reduction="sum")
    logits, _ = hand(inputs, state)
    assert loss.item() == pytest.approx(criterion(logits.reshape(-1, VOCABULARY), targets.reshape(-1)))
    hand.backward(criterion.backward().reshape(logits.shape))
    expected = {
        "embedding.weight": found["table"],
        "rnn.weight_ih_l0": fused(found, "x"),
        "rnn.weight_hh_l0": fused(found, "h"),
        "rnn.bias_ih_l0": fused(found, "b"),
        "decoder.weight": found["out"].T,
    }
    gradients = {name: dense(p.grad) for name, p in hand.named_parameters() if p.grad is not None}
    for name, gradient in expected.items():
        np.testing.assert_allclose(gradients[name], gradient, rtol=1e-11, atol=1e-14)


def test_what_the_printed_rule_drops(listing: ShakespeareLSTM) -> None:
    """The output's weights are right; all others are short, and turned."""
    loss = listing.loss(*BATCHES[1])
    printed, right = (listing.gradients(loss, rule) for rule in (True, False))
    np.testing.assert_allclose(printed.pop("out"), right.pop("out"), rtol=1e-12)
    for name, gradient in right.items():
        length = np.linalg.norm(gradient)
        cosine = (printed[name] * gradient).sum() / length / np.linalg.norm(printed[name])
        assert np.linalg.norm(printed[name]) < 0.7 * length, name
        assert cosine < 0.99, name


def test_first_loss_is_the_vocabulary() -> None:
    """The output's weights start at zero: every character is equally likely."""
    listing = ShakespeareLSTM(62, 4)
    assert np.exp(listing.learn(*BATCHES[0])) == pytest.approx(62, rel=1e-5)
