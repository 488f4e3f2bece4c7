"""What the scripts of chapters 13 and 14 run on the home-made framework and on torch, without their data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from gdl_numpy.replays.character_models import CharacterModel
from gdl_numpy.replays.framework_networks import HOME_MADE, NETWORKS, SentenceReader
from gdl_torch.replays.character_models import CharacterModel as TorchCharacterModel
from gdl_torch.replays.framework_networks import TORCH

if TYPE_CHECKING:
    from gdl_numpy.replays.framework_networks import Framework, Network


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
    readers = [SentenceReader(framework, 9, dim=5) for framework in (HOME_MADE, TORCH)]
    found = [[reader.learn(sentences) for _ in range(20)] for reader in readers]
    for (own_loss, own_logits), (loss, logits) in zip(*found, strict=True):
        assert own_loss == pytest.approx(loss, rel=1e-11)
        np.testing.assert_allclose(own_logits, logits, rtol=1e-9, atol=1e-11)
    assert found[0][-1][0] < found[0][0][0]


@pytest.mark.parametrize("kind", ["RNN", "LSTM"])
def test_character_models_learn_and_write_alike(kind: str) -> None:
    """In float32, from batch to batch; the LSTM from a perplexity of the vocabulary's size."""
    ids = np.tile(np.arange(6), 40).reshape(3, 80).T
    models: list[Any] = [model(kind, 6, 16) for model in (CharacterModel, TorchCharacterModel)]
    losses = [
        [model.learn(ids[t : t + 10], ids[t + 1 : t + 11], 0.5) for t in range(0, 60, 10)] for model in models
    ]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)
    assert kind == "RNN" or np.exp(losses[0][0]) == pytest.approx(6, rel=1e-6)
    assert losses[0][-1] < losses[0][0]
    written = [model.write([0, 1], 5) for model in models]
    assert written[0] == written[1]
