"""What the scripts of chapters 13 and 14 run on the home-made framework and on torch, without their data."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from gdl_numpy.replays.character_models import CharacterModel
from gdl_numpy.replays.framework_networks import HOME_MADE, NETWORKS, SentenceReader
from gdl_torch.replays.character_models import CharacterModel as TorchCharacterModel
from gdl_torch.replays.framework_networks import TORCH
from parity_tests.harness.bounds import ELEMENTARY
from parity_tests.harness.rounding import gamma, unit_roundoff
from parity_tests.support import Disturb, State, Weights, assert_within, moved_by_rounding, nothing

if TYPE_CHECKING:
    from gdl_numpy.replays.framework_networks import Framework, Network

U = unit_roundoff(np.float64)


@pytest.mark.parametrize("framework", [HOME_MADE, TORCH], ids=["NumPy", "torch"])
@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.title)
def test_published_losses(network: Network, framework: Framework) -> None:
    """Chapter 13's small networks, as printed; cross-entropy, rounded otherwise in the book, to 12 places."""
    losses = list(network.learn(framework))
    if network.entropy:
        assert [f"{loss:.12f}" for loss in losses] == [f"{float(x):.12f}" for x in network.printed.split()]
    else:
        assert [str(loss) for loss in losses] == [f"[{x}]" for x in network.printed.split()]


def test_sentence_readers_learn_alike() -> None:
    """From the same draws; and what is learned is the last word."""
    sentences = np.random.default_rng(0).integers(0, 9, (8, 4))

    def learn(framework: Framework, disturb: Disturb = nothing) -> list[State]:
        reader, steps = SentenceReader(framework, 9, dim=5), []
        for _ in range(20):
            disturb(Weights(reader.weights))
            loss, logits = reader.learn(sentences)
            steps.append({"loss": np.array(loss), "logits": logits})
        return steps

    own = learn(HOME_MADE)
    longest = sentences.size + ELEMENTARY  # the sum over all words, for the gradient of a matrix
    bounds = moved_by_rounding(partial(learn, HOME_MADE), float(gamma(longest, 2 * U)))
    assert_within(learn(TORCH), own, bounds)
    assert own[-1]["loss"] < own[0]["loss"]


@pytest.mark.parametrize("kind", ["RNN", "LSTM"])
def test_character_models_learn_and_write_alike(kind: str) -> None:
    """In float32, from batch to batch; the LSTM from a perplexity of the vocabulary's size."""
    ids = np.tile(np.arange(6), 40).reshape(3, 80).T
    models: list[Any] = [model(kind, 6, 16) for model in (CharacterModel, TorchCharacterModel)]

    def learn(model: Any, disturb: Disturb = nothing) -> list[State]:
        steps = []
        for t in range(0, 60, 10):
            disturb(model.model)
            steps.append({"loss": np.array(model.learn(ids[t : t + 10], ids[t + 1 : t + 11], 0.5))})
        return steps

    # The longest sums are over the 30 characters of a batch: the gradient of a matrix, and the loss itself.
    rounding = float(gamma(30 + ELEMENTARY, 2 * unit_roundoff(np.float32)))
    moved = moved_by_rounding(lambda disturb: learn(CharacterModel(kind, 6, 16), disturb), rounding)
    own, theirs = map(learn, models)
    losses = [float(step["loss"]) for step in own]
    bounds = [{"loss": step["loss"] + rounding * loss} for step, loss in zip(moved, losses, strict=True)]
    assert_within(theirs, own, bounds, widest=2e-5)
    assert kind == "RNN" or np.exp(losses[0]) == pytest.approx(6, rel=1e-6)
    assert losses[-1] < losses[0]
    written = [model.write([0, 1], 5) for model in models]
    assert written[0] == written[1]
