"""Lightning's Trainer against the plain NumPy loop, and what the Trainer does around that loop.

Both sides start from the same weights and get the same batches in the same order, in float64. They may
differ by what rounding explains: see `ImageRecipe.allowed`.
"""

from __future__ import annotations

import copy
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EarlyStopping
from torch import Tensor, nn

from gdl_numpy.data import Batches
from gdl_numpy.history import History
from gdl_numpy.tasks import Classification
from gdl_numpy.training import evaluate, fit
from gdl_torch.data import DigitsDataModule, ImageDataModule
from gdl_torch.models import MLP
from parity_tests.support import (
    WARNINGS_OF_LIGHTNING,
    Disturb,
    DoubleBatches,
    ImageRecipe,
    State,
    Steps,
    assert_within,
    batches_of,
    moved_by_rounding,
    nothing,
    some_digits,
    trainer,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = WARNINGS_OF_LIGHTNING


@pytest.fixture(scope="module")
def digits() -> DigitsDataModule:
    return some_digits()


def run_lightning(
    recipe: ImageRecipe, data: ImageDataModule, choices: dict[str, list[np.ndarray]], **arguments: Any
) -> list[State]:
    """The same by the Trainer. Dropout is told what to keep: two random streams have no reason to agree."""
    model, steps = recipe.torch_model(), Steps()
    for name, kept in choices.items():
        queue = iter(kept)

        def keep(
            layer: nn.Dropout, inputs: tuple[Tensor], output: Tensor, queue: Iterator[np.ndarray] = queue
        ) -> Tensor:
            return inputs[0] * torch.from_numpy(next(queue)).to(output.device) * (1 / (1 - layer.p))

        model.get_submodule(name).register_forward_hook(keep)
    trainer(
        max_epochs=recipe.epochs,
        accumulate_grad_batches=recipe.accumulate,
        gradient_clip_val=recipe.max_norm,
        callbacks=[steps],
        **arguments,
    ).fit(model, datamodule=data)
    return steps.states


def assert_same_steps(recipe: ImageRecipe, data: ImageDataModule, **arguments: Any) -> list[State]:
    plain = recipe.run_numpy(data)
    found = run_lightning(recipe, data, plain.choices, **arguments)
    assert_within(found, plain.states, recipe.allowed(data))
    return plain.states


RECIPES = {
    "MLP-SGD": ImageRecipe(),
    "MLP-Adam-dropout": ImageRecipe(
        hparams={"in_features": 64, "hidden_features": (20, 10), "activation": "relu", "dropout": 0.5},
        optimizer="Adam",
        lr=0.01,
    ),
    "CNN-AdamW-pooled": ImageRecipe(
        "CNN",
        {
            "in_shape": (1, 8, 8),
            "channels": (4, 6),
            "padding": 1,
            "pool_size": 2,
            "hidden_features": (12,),
            "dropout": 0.25,
        },
        "AdamW",
        lr=0.01,
    ),
}


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_the_same_parameters_after_every_step(
    recipe: ImageRecipe, device: str, digits: DigitsDataModule
) -> None:
    """The Trainer, the plain loop and `gdl_numpy.training.fit` are one and the same training."""
    states = assert_same_steps(recipe, digits, accelerator=device)
    model = recipe.numpy_model()
    by_fit: list[State] = []
    fit(
        Classification(model),
        recipe.numpy_optimizer(model),
        batches_of(digits),
        epochs=recipe.epochs,
        progress=False,
        on_step=lambda *_: by_fit.append({k: v.copy() for k, v in model.state_dict().items()}),
    )
    for ours, theirs in zip(states, by_fit, strict=True):
        for name in ours:
            np.testing.assert_array_equal(ours[name], theirs[name])


def test_accumulation_divides_the_loss_and_steps_at_the_end_of_the_epoch(digits: DigitsDataModule) -> None:
    """Surprise: `accumulate_grad_batches=k` adds up the gradients of loss/k, the mean of k batch means.

    With equal batches that is the gradient of one batch k times as large. But the last group of an epoch,
    which has fewer batches (here 1 of 2), makes its step too, and is divided by k all the same: a shorter
    step.
    """
    recipe = ImageRecipe(accumulate=2)
    states = assert_same_steps(recipe, digits)
    assert len(states) == 4  # 3 batches an epoch make 2 steps


def test_accumulation_over_equal_batches_is_a_larger_batch(digits: DigitsDataModule) -> None:
    """Two batches of 100, accumulated, are one of 200: the sense of it all."""
    accumulated = ImageRecipe(epochs=1, accumulate=2).run_numpy(digits).states
    recipe, larger = ImageRecipe(epochs=1), some_digits(200)
    expected, bounds = recipe.run_numpy(larger).states, recipe.allowed(larger)
    assert_within(accumulated[:1], expected[:1], bounds[:1])


def test_clipping_acts_on_the_accumulated_gradient_before_the_step(digits: DigitsDataModule) -> None:
    """`gradient_clip_val` is `clip_grad_norm_` right before a step: once a step, not once a batch.

    Seen from a gradient so long that clipping decides every step: each moves the parameters by lr · max_norm.
    """
    max_norm = 0.05
    recipe = ImageRecipe(accumulate=2, max_norm=max_norm)
    states = assert_same_steps(recipe, digits)
    start = recipe.numpy_model().state_dict()
    moved = np.sqrt(sum(float(np.sum((states[0][name] - start[name]) ** 2)) for name in start))
    # torch and we divide by norm + 1e-6, where the norm is more than max_norm: the step is a little shorter.
    shortest = recipe.lr * max_norm * max_norm / (max_norm + 1e-6)
    assert shortest < moved < recipe.lr * max_norm


class Events(pl.Callback):
    """Writes down what happens, in order."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.before: State = {}

    def on_sanity_check_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.before = {k: v.clone().numpy() for k, v in pl_module.state_dict().items()}

    def on_sanity_check_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.seen.append("sanity check done")
        for name, value in pl_module.state_dict().items():
            np.testing.assert_array_equal(value.numpy(), self.before[name])

    def on_validation_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *arguments: Any
    ) -> None:
        self.seen.append("validation batch" + (" in train mode" if pl_module.training else ""))

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *arguments: Any
    ) -> None:
        if "training batch in train mode" not in self.seen:
            assert not trainer.callback_metrics
        self.seen.append("training batch" + (" in train mode" if pl_module.training else ""))


def test_sanity_validation_comes_first_and_leaves_no_trace(digits: DigitsDataModule) -> None:
    """Surprise: before any training, Lightning has 2 validation batches (`num_sanity_val_steps`) go through.

    So `validation_step` runs with untrained weights, and a callback that counts or plots sees it. It changes
    no weights, leaves no metrics, and gives back the random numbers it used: training with dropout goes the
    same way with and without it, bit for bit.
    """
    ends = []
    for sanity_steps in (2, 0):
        events = Events()
        torch.manual_seed(0)
        model = MLP(64, (20,), dropout=0.5)
        trainer(num_sanity_val_steps=sanity_steps, limit_val_batches=3, max_epochs=1, callbacks=[events]).fit(
            model, datamodule=digits
        )
        ends.append({name: value.numpy() for name, value in model.state_dict().items()})
        sanity = ["validation batch"] * 2 + ["sanity check done"] if sanity_steps else []
        assert events.seen == sanity + ["training batch in train mode"] * 3 + ["validation batch"] * 3
    for name in ends[0]:
        np.testing.assert_array_equal(ends[0][name], ends[1][name])


def test_epochs_have_the_order_of_numpy_batches(digits: DigitsDataModule) -> None:
    """On one device Lightning shuffles nothing itself; it tells our sampler the epoch, and that is all."""
    steps = Steps()
    trainer(callbacks=[steps]).fit(MLP(64), datamodule=digits)
    expected = []
    batches = Batches(digits.train, digits.batch_size, digits.seed)
    for epoch in range(2):
        batches.set_epoch(epoch)
        expected += [targets for _, targets in batches]
    assert [targets.tolist() for targets in steps.targets] == [targets.tolist() for targets in expected]
    assert expected[0].tolist() != expected[3].tolist()


def test_a_resumed_run_goes_on_with_the_next_epochs_order(digits: DigitsDataModule, tmp_path: Path) -> None:
    """One epoch, saved and resumed for a second one, ends with the same weights as two, bit for bit.

    Surprise: in precision "64-true" Lightning restores the weights before it makes the model float64. A
    float32 model, which is what you get without `double`, has rounded them by then.
    """
    through = MLP(64, dropout=0.0)
    first = copy.deepcopy(through)
    trainer(max_epochs=2).fit(through, datamodule=digits)
    halfway = trainer(max_epochs=1)
    halfway.fit(first, datamodule=digits)
    halfway.save_checkpoint(tmp_path / "first.ckpt")
    for resumed, is_exact in ((MLP(64, dropout=0.0).double(), True), (MLP(64, dropout=0.0), False)):
        trainer(max_epochs=2).fit(
            resumed, datamodule=digits, ckpt_path=tmp_path / "first.ckpt", weights_only=True
        )
        pairs = zip(resumed.parameters(), through.parameters(), strict=True)
        assert all(torch.equal(a, b) for a, b in pairs) == is_exact


def test_early_stopping_stops_with_fit_but_keeps_the_last_weights(digits: DigitsDataModule) -> None:
    """Patience is the same. Surprise: Lightning does not go back to the best weights; `fit` does."""
    recipe = ImageRecipe(lr=8.0, epochs=30)
    model = recipe.torch_model()
    stopping = EarlyStopping("val_loss", patience=2)
    run = trainer(max_epochs=30, limit_val_batches=1.0, callbacks=[stopping])
    run.fit(model, datamodule=digits)

    validation = DoubleBatches(digits.validation, 100)

    def by_fit(disturb: Disturb) -> tuple[History, State]:
        ours = recipe.numpy_model()
        history = fit(
            Classification(ours), recipe.numpy_optimizer(ours), batches_of(digits), epochs=30,
            validation=validation, patience=2, progress=False, on_step=lambda *_: disturb(ours),
        )  # fmt: skip
        return history, {"loss": np.asarray(evaluate(Classification(ours), validation).loss)}

    history, best = by_fit(nothing)
    assert run.current_epoch == len(history) < 30
    assert history.best_epoch == len(history) - 2
    bounds = moved_by_rounding(lambda disturb: [by_fit(disturb)[1]], recipe.relative(digits))
    assert_within([{"loss": stopping.best_score.numpy()}], [best], bounds)
    assert float(run.callback_metrics["val_loss"]) > best["loss"] + bounds[0]["loss"]


def test_users_see_no_warnings(digits: DigitsDataModule) -> None:
    """The defaults are quiet: nothing to do with the number of workers, batch sizes or logging intervals."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", ".*isinstance.treespec, LeafSpec", FutureWarning)
        data = DigitsDataModule(validation=0.8)
        trainer(precision="32-true", limit_val_batches=1.0, max_epochs=1).fit(MLP(64), datamodule=data)
