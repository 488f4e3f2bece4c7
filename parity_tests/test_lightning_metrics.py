"""What the Trainer logs: means over an epoch's targets, as the NumPy side has them, in any precision."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch

from gdl_numpy.data import Streams
from gdl_numpy.tasks import Classification, ClassificationMetrics, LanguageMetrics
from gdl_numpy.training import evaluate
from gdl_torch.data import DigitsDataModule
from gdl_torch.tasks import Mean
from parity_tests.harness.bounds import ELEMENTARY
from parity_tests.harness.rounding import gamma, unit_roundoff
from parity_tests.support import (
    FEW_SENTENCES,
    TEXT_RECIPES,
    WARNINGS_OF_LIGHTNING,
    Disturb,
    DoubleBatches,
    FewSentences,
    ImageRecipe,
    Losses,
    ShortText,
    State,
    TextRecipe,
    assert_within,
    loss_of,
    moved_by_rounding,
    nothing,
    some_digits,
    still,
    trainer,
)

pytestmark = WARNINGS_OF_LIGHTNING

U = unit_roundoff(np.float64)


@pytest.fixture(scope="module")
def digits() -> DigitsDataModule:
    return some_digits()


each_model = pytest.mark.parametrize("recipe", TEXT_RECIPES.values(), ids=TEXT_RECIPES)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_the_logged_loss_is_that_of_the_weights_before_the_step(
    accumulate: int, digits: DigitsDataModule
) -> None:
    """Surprise: an epoch's training loss is that of no model: every batch was measured on other weights.

    The loss of a step is that of the batch before the step, whole also under accumulation, when a k-th of it
    is learned from. The epoch's is their mean weighted by batch size, as `fit` has it (here 100, 100 and 87);
    the plain mean of the three is something else.
    """
    recipe, losses = ImageRecipe(accumulate=accumulate), Losses()
    trainer(callbacks=[losses], accumulate_grad_batches=accumulate).fit(
        recipe.torch_model(), datamodule=digits
    )

    def plain(disturb: Disturb) -> list[State]:
        steps = np.reshape(recipe.run_numpy(digits, disturb).losses, (2, 3))
        return [{"steps": steps, "epochs": np.average(steps, axis=1, weights=[100, 100, 87])}]

    found = {"steps": np.reshape(losses.steps, (2, 3)), "epochs": np.array(losses.epochs)}
    bounds = moved_by_rounding(plain, recipe.relative(digits))
    assert_within([found], plain(nothing), bounds)
    assert (np.abs(found["steps"].mean(axis=1) - found["epochs"]) > bounds[0]["epochs"]).all()


def recorder(steps: list[float], stop_at: int = 0) -> pl.Callback:
    """Keeps the loss of every step, and interrupts the training after so many."""

    def keep(_trainer: pl.Trainer, _module: pl.LightningModule, outputs: Any, *_: Any) -> None:
        steps.append(float(outputs["loss"]))
        if len(steps) == stop_at:
            raise InterruptedError

    return pl.callbacks.LambdaCallback(on_train_batch_end=keep)


def test_means_of_an_epoch_that_is_broken_off(digits: DigitsDataModule) -> None:
    """By the Trainer's max_steps, after a validation: the means are those of the steps that there were."""
    steps: list[float] = []
    run = trainer(max_steps=2, limit_val_batches=1.0, val_check_interval=2, callbacks=[recorder(steps)])
    run.fit(ImageRecipe().torch_model(), datamodule=digits)
    assert len(steps) == 2
    for name in ("train_loss", "train_loss_epoch"):  # both of 100 examples: two terms, near 2
        np.testing.assert_allclose(float(run.callback_metrics[name]), np.mean(steps), rtol=float(gamma(4, U)))


def test_means_after_an_interruption(digits: DigitsDataModule) -> None:
    """What an interrupted epoch added up is forgotten when the same model is trained again."""
    model = ImageRecipe().torch_model()
    steps: list[float] = []
    with pytest.raises(InterruptedError):
        trainer(callbacks=[recorder(steps, stop_at=2)]).fit(model, datamodule=digits)
    steps.clear()
    run = trainer(max_epochs=1, callbacks=[recorder(steps)])
    run.fit(model, datamodule=digits)
    mean = np.average(steps, weights=[100, 100, 87])
    np.testing.assert_allclose(float(run.callback_metrics["train_loss"]), mean, rtol=float(gamma(8, U)))


def test_validation_and_test_metrics_are_those_of_evaluate(digits: DigitsDataModule) -> None:
    """Loss and accuracy over 1,150 and 360 examples in unequal batches, in eval mode: dropout is off."""
    recipe = ImageRecipe(hparams={"in_features": 64, "hidden_features": (20,), "dropout": 0.5})
    numpy_model, torch_model = recipe.numpy_model(), recipe.torch_model()
    run = trainer(limit_val_batches=1.0)
    found = dict(run.validate(torch_model, datamodule=digits, verbose=False)[0])
    found |= run.test(torch_model, datamodule=digits, verbose=False)[0]
    for stage, split in (("val", digits.validation), ("test", digits.test)):
        expected = evaluate(Classification(numpy_model), DoubleBatches(split, 100))
        assert isinstance(expected, ClassificationMetrics)
        # No sum is longer than 1,150 terms, all of them positive.
        np.testing.assert_allclose(found[f"{stage}_loss"], expected.loss, rtol=float(gamma(2000, U)))
        np.testing.assert_allclose(found[f"{stage}_acc"], expected.accuracy, rtol=float(gamma(2, U)))


@each_model
def test_what_is_logged_are_means_over_an_epochs_targets(recipe: TextRecipe) -> None:
    """As `gdl_numpy.training.evaluate` has them; perplexity is e to the epoch's mean loss, no mean of powers.

    The last chunk is shorter and weighs less. No sum has more than 900 terms, all of them positive.
    """
    data = ShortText(chunk=7)
    numpy_model, model = recipe.numpy_model(data.vocab_size), recipe.torch_model(data.vocab_size)
    run = trainer(limit_val_batches=1.0)
    found = dict(run.validate(model, datamodule=data, verbose=False)[0])
    found |= run.test(model, datamodule=data, verbose=False)[0]
    for stage, text in (("val", data.loaded.validation), ("test", data.loaded.test)):
        streams = Streams(data.vocabulary.encode(text), data.batch_size, data.chunk, model.ahead)
        expected = evaluate(numpy_model.task(numpy_model), streams)
        assert isinstance(expected, LanguageMetrics)
        rtol = 4 * float(gamma(900, U)) * max(1, expected.loss)
        for name, value in (
            ("loss", expected.loss),
            ("perplexity", expected.perplexity),
            ("bits_per_token", expected.bits_per_token),
            ("acc", expected.accuracy),
        ):
            np.testing.assert_allclose(found[f"{stage}_{name}"], value, rtol=rtol)

    losses = Losses()
    run = trainer(max_epochs=1, callbacks=[losses])
    run.fit(model, datamodule=data)
    logged = {name: float(value) for name, value in run.callback_metrics.items()}
    rtol = float(gamma(ELEMENTARY, U))
    np.testing.assert_allclose(logged["train_perplexity"], np.exp(losses.epochs[0]), rtol=rtol)
    np.testing.assert_allclose(logged["train_bits_per_token"], losses.epochs[0] / np.log(2), rtol=rtol)
    assert np.mean(np.exp(losses.steps)) > logged["train_perplexity"] * (1 + float(gamma(900, U)))


@pytest.mark.parametrize("precision", ["bf16-true", "32-true"])
def test_means_are_exact_in_any_precision(precision: Any, device: str) -> None:
    """Also where the Trainer turns all that the model has into bfloat16, in which sums soon stop growing."""
    data, losses = ShortText(chunk=3), Losses()
    model = TEXT_RECIPES["LSTM"].torch_model(data.vocab_size)
    run = trainer(max_epochs=1, precision=precision, callbacks=[losses], accelerator=device)
    run.fit(model, datamodule=data)
    logged = {name: float(value) for name, value in run.callback_metrics.items()}
    assert len(losses.steps) == 100
    mean, rtol = float(np.mean(losses.steps)), float(gamma(4 * 100, U))
    np.testing.assert_allclose(logged["train_bits_per_token"], mean / np.log(2), rtol=rtol)
    np.testing.assert_allclose(logged["train_perplexity"], np.exp(mean), rtol=rtol * max(1, mean))
    np.testing.assert_allclose(logged["train_loss_epoch"], mean, rtol=rtol)


def test_a_mean_keeps_its_precision(device: str) -> None:
    """Whatever happens to the module that it is in, also in mid-epoch, and after it begins anew."""
    module = torch.nn.ModuleDict({"mean": Mean()})
    mean: Any = module["mean"]
    for _ in range(2):
        for convert in (module.half, module.bfloat16, lambda: module.to(device, torch.float16), mean.half):
            convert()
            for _ in range(1000):
                mean.update(torch.tensor(1.5, dtype=torch.bfloat16, device=mean.device), torch.tensor(1))
        mean.set_dtype(torch.bfloat16)
        assert (mean.total.device.type, mean.count.device.type) == (device, device)
        assert mean.compute().item() == 1.5
        assert mean.total == 6000
        mean.reset()


def test_padding_counts_in_no_mean() -> None:
    """Batches of 2, 2 and 1 sentences have 4 to 8 targets; each weighs the same in the epoch's mean."""
    data = FewSentences()
    model = still("RNN-2-relu", data)
    (found,) = trainer(limit_val_batches=1.0).validate(model, datamodule=data, verbose=False)
    alone = [(torch.tensor(ids[:-1, None]), torch.tensor(ids[1:, None]))
             for ids in map(data.vocabulary.encode, FEW_SENTENCES)]  # fmt: skip
    counts = [len(targets) for _, targets in alone]
    mean = np.average([loss_of(model, list(pair)) for pair in alone], weights=counts)
    np.testing.assert_allclose(found["val_loss"], mean, rtol=float(gamma(200, U)))
