"""Language models under Lightning's Trainer: truncated backpropagation through time, and what is around it.

Both sides start from the same weights and read the same chunks, in float64, each carrying a state of its own.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch.nn.functional as F

from gdl_numpy.checkpoint import load_vocabulary
from gdl_numpy.data import Streams
from gdl_numpy.optim import SGD
from gdl_numpy.training import fit
from gdl_torch.export import export_checkpoint, load_model, save_model
from gdl_torch.models import LanguageModel, RNNLanguageModel
from parity_tests.support import (
    TEXT_RECIPES,
    WARNINGS_OF_LIGHTNING,
    Gradients,
    ShortText,
    State,
    assert_within,
    cut,
    trainer,
    truncated,
)

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = WARNINGS_OF_LIGHTNING

Plain = Callable[[str, int], tuple[list[State], list[dict[str, float]]]]


@pytest.fixture(scope="module")
def plain() -> Plain:
    """What the plain loop makes of a model with chunks of some length, and how far rounding can move it."""

    def run(name: str, chunk: int) -> tuple[list[State], list[dict[str, float]]]:
        recipe, data = TEXT_RECIPES[name], ShortText(chunk=chunk)
        return recipe.run_numpy(data), recipe.allowed(data)

    return cache(run)


@pytest.mark.parametrize("name", TEXT_RECIPES)
@pytest.mark.parametrize("chunk", [40, 300], ids=["truncated", "whole text"])
def test_gradients_of_every_chunk_are_those_of_numpy(
    name: str, chunk: int, device: str, plain: Plain
) -> None:
    """Chunk by chunk, and so the parameters after each step too: 7 chunks of 40 steps, and one of 20.

    With chunks as long as the text there is one an epoch, and nothing is truncated: full backpropagation.
    """
    recipe, data, gradients = TEXT_RECIPES[name], ShortText(chunk=chunk), Gradients()
    trainer(max_epochs=recipe.epochs, callbacks=[gradients], accelerator=device).fit(
        recipe.torch_model(data.vocab_size), datamodule=data
    )
    expected, bounds = plain(name, chunk)
    assert len(expected) == recipe.epochs * (8 if chunk == 40 else 1)
    assert_within(gradients.steps, expected, bounds)


@pytest.mark.parametrize("name", TEXT_RECIPES)
def test_gdl_numpy_training_does_the_same(name: str, plain: Plain) -> None:
    """`fit` is the plain NumPy loop, which the Trainer has just been shown to be as well.

    But for rounding: where that is less work, it looks up products with the embeddings that were made once.
    """
    recipe, data = TEXT_RECIPES[name], ShortText()
    model = recipe.numpy_model(data.vocab_size)
    streams = Streams(data.vocabulary.encode(data.loaded.train), data.batch_size, data.chunk, model.ahead)
    by_fit: list[State] = []

    def keep(*_: Any) -> None:
        by_fit.append({name: array.copy() for name, array in model.state_dict().items()})

    optimizer = SGD(model.parameters(), lr=recipe.lr)
    fit(model.task(model), optimizer, streams, epochs=recipe.epochs, progress=False, on_step=keep)
    steps, bounds = plain(name, data.chunk)
    expected = [{key: step[key] for key in by_fit[0]} for step in steps]
    assert_within(by_fit, expected, bounds)


@pytest.mark.parametrize("name", ["RNN-2-relu", "LSTM"])
def test_clipping_and_accumulation_are_the_trainers_own(name: str) -> None:
    """The Trainer's flags give what a hand-written loop of plain torch gives, bit for bit.

    The state goes on from batch to batch also where two of them make one step. `max_norm` decides every step.
    """
    data, gradients = ShortText(), Gradients()
    model = TEXT_RECIPES[name].torch_model(data.vocab_size)
    batches = list(data.train_dataloader())
    expected = truncated(copy.deepcopy(model), batches, epochs=2, accumulate=2, max_norm=0.1)
    trainer(callbacks=[gradients], accumulate_grad_batches=2, gradient_clip_val=0.1).fit(
        model, datamodule=data
    )
    assert len(gradients.steps) == len(expected) == 8
    for ours, theirs in zip(gradients.steps, expected, strict=True):
        for parameter in theirs:
            np.testing.assert_array_equal(ours[parameter], theirs[parameter])


def test_nothing_but_the_cut_divides_chunks_from_the_whole_text(plain: Plain) -> None:
    """Chunks whose states are not detached add up to the gradient of one long chunk; cut, they do not."""
    recipe, gradients = TEXT_RECIPES["LSTM"], Gradients()
    long = ShortText(chunk=300)
    trainer(max_epochs=1, callbacks=[gradients]).fit(recipe.torch_model(long.vocab_size), datamodule=long)

    def by_chunks(whole: bool) -> State:
        data = ShortText()
        model = recipe.torch_model(data.vocab_size)
        state, losses = None, []
        for ids, targets in data.train_dataloader():
            logits, state = model(ids, state)
            losses.append(F.cross_entropy(logits.flatten(0, 1), targets.flatten()) * targets.numel() / 900)
            state = state if whole else cut(state)
        sum(losses).backward()
        return {f"grad {name}": p.grad.numpy() for name, p in model.named_parameters()}  # type: ignore[union-attr]

    _, allowed = plain("LSTM", long.chunk)
    bounds = [{k: v for k, v in allowed[0].items() if k.startswith("grad")}]
    expected = [{k: v for k, v in gradients.steps[0].items() if k.startswith("grad")}]
    assert_within([by_chunks(whole=True)], expected, bounds)
    with pytest.raises(AssertionError, match="off by"):
        assert_within([by_chunks(whole=False)], expected, bounds)


def test_the_vocabulary_goes_where_the_model_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Into the checkpoint, with the model loaded from it into the next file, and over to the NumPy side."""
    monkeypatch.setenv("JSONARGPARSE_DEPRECATION_WARNINGS", "off")  # Lightning's own use of its interface
    data = ShortText()
    model = RNNLanguageModel(data.vocab_size, 3, 4)
    run = trainer(max_epochs=1)
    run.fit(model, datamodule=data)
    run.save_checkpoint(tmp_path / "model.ckpt")
    loaded = LanguageModel.load_from_checkpoint(tmp_path / "model.ckpt", weights_only=True)
    assert isinstance(loaded, RNNLanguageModel)
    assert loaded.vocabulary == model.vocabulary == data.vocabulary

    save_model(tmp_path / "saved.safetensors", loaded)
    export_checkpoint(tmp_path / "model.ckpt", tmp_path / "exported.safetensors")
    for path in (tmp_path / "saved.safetensors", tmp_path / "exported.safetensors"):
        assert load_vocabulary(path) == data.vocabulary
        back = load_model(path)
        assert isinstance(back, RNNLanguageModel)
        assert back.vocabulary == data.vocabulary

    save_model(tmp_path / "without.safetensors", RNNLanguageModel(9, 3, 4))
    without = load_model(tmp_path / "without.safetensors")
    assert isinstance(without, RNNLanguageModel)
    assert without.vocabulary is None
