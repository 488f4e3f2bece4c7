"""The state of a language model under the Trainer: carried where the text goes on, and nowhere else."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from gdl_numpy.data import Sentences
from gdl_torch.export import from_numpy
from gdl_torch.models import LanguageModel
from parity_tests.harness.rounding import gamma, unit_roundoff
from parity_tests.support import (
    FEW_SENTENCES,
    TEXT_RECIPES,
    WARNINGS_OF_LIGHTNING,
    Disturb,
    FewSentences,
    Gradients,
    Seen,
    ShortText,
    State,
    TextRecipe,
    assert_within,
    loss_of,
    moved_by_rounding,
    nothing,
    still,
    trainer,
)

pytestmark = WARNINGS_OF_LIGHTNING

U = unit_roundoff(np.float64)
each_model = pytest.mark.parametrize("recipe", TEXT_RECIPES.values(), ids=TEXT_RECIPES)


@pytest.mark.parametrize("name", TEXT_RECIPES)
def test_each_epoch_begins_with_a_new_state(name: str) -> None:
    """The second epoch's losses are the first's; and but for the first chunk, not those of a new state."""
    data, seen = ShortText(), Seen()
    model = still(name, data)
    trainer(callbacks=[seen]).fit(model, datamodule=data)
    assert seen.losses[:8] == seen.losses[8:]
    fresh = [loss_of(model, batch) for batch in seen.batches[:8]]
    assert seen.losses[0] == fresh[0]
    assert all(carried != new for carried, new in zip(seen.losses[1:8], fresh[1:], strict=True))


def test_validation_in_mid_epoch_leaves_the_state_of_training_alone() -> None:
    """After every second batch or never: training goes the same way, bit for bit. And so does validation."""
    data = ShortText(batch_size=2, chunk=20)
    steps = []
    for validate in (True, False):
        gradients = Gradients()
        arguments = {"limit_val_batches": 1.0, "val_check_interval": 2, "num_sanity_val_steps": 2}
        trainer(callbacks=[gradients], **(arguments if validate else {})).fit(
            TEXT_RECIPES["LSTM"].torch_model(data.vocab_size), datamodule=data
        )
        steps.append(gradients.steps)
    for with_validation, without in zip(*steps, strict=True):
        for name in without:
            np.testing.assert_array_equal(with_validation[name], without[name])

    seen, model = Seen(), still("LSTM", data)
    trainer(callbacks=[seen], max_epochs=1, limit_val_batches=1.0, val_check_interval=5).fit(
        model, datamodule=data
    )
    (alone,) = trainer(limit_val_batches=1.0).validate(model, datamodule=data, verbose=False)
    assert len(seen.validation) == 4
    assert set(seen.validation) == {alone["val_loss"]}


@pytest.mark.parametrize("name", TEXT_RECIPES)
def test_sentences_do_not_continue_each_other(name: str) -> None:
    """Every batch of sentences starts anew, in the order of `gdl_numpy.data.Sentences`, epoch by epoch."""
    data, seen = FewSentences(seed=4), Seen()
    model = still(name, data)
    trainer(callbacks=[seen]).fit(model, datamodule=data)
    assert seen.losses == [loss_of(model, batch) for batch in seen.batches]

    ids = [data.vocabulary.encode(sentence) for sentence in FEW_SENTENCES]
    sentences = Sentences(ids, batch_size=2, seed=4, ahead=model.ahead)
    expected = []
    for epoch in range(2):
        sentences.set_epoch(epoch)
        expected += list(sentences)
    for batch, arrays in zip(seen.batches, expected, strict=True):
        for tensor, array in zip(batch, arrays, strict=True):
            np.testing.assert_array_equal(tensor.numpy(), array)


def test_batches_without_a_data_module_begin_anew_and_say_so() -> None:
    """Nothing tells the model that a loader's batches continue each other: it warns, once."""
    data, seen = ShortText(chunk=10), Seen()
    model = still("LSTM", data)
    with pytest.warns(UserWarning, match="starts every batch without a state") as caught:
        trainer(callbacks=[seen], limit_val_batches=1.0).fit(
            model, data.train_dataloader(), data.val_dataloader()
        )
    (warning,) = (str(w.message) for w in caught if "without a state" in str(w.message))
    assert warning.startswith("LSTMLanguageModel")
    assert "a data module (datamodule=…) with an attribute `continues`" in warning
    assert seen.losses == [loss_of(model, batch) for batch in seen.batches]


@each_model
def test_sentences_of_a_batch_do_not_touch_each_other(recipe: TextRecipe) -> None:
    """With lengths, a padded batch gives each sentence the logits and the state that it has by itself.

    What the padding holds does not matter. Both may differ by the rounding of products of other sizes.
    """
    rng = np.random.default_rng(0)
    lengths, vocab_size = [6, 1, 4, 6], 11
    ids = rng.integers(0, vocab_size, (6, 4))
    start = recipe.torch_model(vocab_size)(torch.from_numpy(ids[:2]))[1]  # some state to begin with

    def parts(state: Any) -> list[Tensor]:
        return list(state) if isinstance(state, tuple) else [state]

    def column(state: Any, number: int) -> Any:
        picked = tuple(part[..., number : number + 1, :] for part in parts(state))
        return picked if isinstance(state, tuple) else picked[0]

    def read(model: LanguageModel, ids: np.ndarray, state: Any, *lengths: Tensor) -> list[Tensor]:
        with torch.no_grad():
            logits, state = model(torch.from_numpy(ids), state, *lengths)
        return [logits, *parts(state)]

    def named(logits: Tensor, *states: Tensor) -> State:
        return {str(place): tensor.numpy() for place, tensor in enumerate((logits, *states))}

    for initial in (None, start):

        def alone(disturb: Disturb, initial: Any = initial) -> list[State]:
            numpy_model = recipe.numpy_model(vocab_size)
            disturb(numpy_model)
            model, found = from_numpy(numpy_model), []
            assert isinstance(model, LanguageModel)
            for number, length in enumerate(lengths):
                state = None if initial is None else column(initial, number)
                found.append(named(*read(model, ids[:length, number : number + 1], state)))
            return found

        together = tuple(read(recipe.torch_model(vocab_size), ids, initial, torch.tensor(lengths)))
        found = []
        for number, length in enumerate(lengths):
            logits, *states = column(together, number)
            found.append(named(logits[:length], *states))
        assert_within(found, alone(nothing), moved_by_rounding(alone, float(gamma(6 * 7, U))))


@pytest.mark.parametrize("name", ["RNN-2-relu", "LSTM"])
def test_a_state_can_be_carried_in_lower_precision(name: str, device: str) -> None:
    """bf16-mixed: the state that comes out of one chunk goes into the next, and the weights stay float32."""
    data, seen = ShortText(), Seen()
    model = TEXT_RECIPES[name].torch_model(data.vocab_size).float()
    trainer(max_epochs=1, precision="bf16-mixed", callbacks=[seen], accelerator=device).fit(
        model, datamodule=data
    )
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert np.isfinite(seen.losses).all()
