"""Lightning's Trainer against the plain NumPy loop, and what the Trainer does around that loop.

Both sides start from the same weights and get the same batches in the same order, in float64. They may
differ by what rounding explains: see `allowed`.
"""

from __future__ import annotations

import copy
import warnings
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from lightning_fabric.utilities.distributed import DistributedSamplerWrapper
from pytorch_lightning.callbacks import EarlyStopping
from torch import Tensor, nn
from torch.utils.data import SubsetRandomSampler

from gdl_numpy.data import Batches, Split, epoch_order
from gdl_numpy.models import MODELS
from gdl_numpy.nn import CrossEntropyLoss, Module
from gdl_numpy.optim import OPTIMIZERS, Optimizer, clip_grad_norm_
from gdl_numpy.tasks import Classification, ClassificationMetrics
from gdl_numpy.training import evaluate, fit
from gdl_torch.data import DigitsDataModule, EpochSampler, ImageDataModule, TensorBatches
from gdl_torch.export import from_numpy
from gdl_torch.models import CNN, MLP
from gdl_torch.tasks import Classification as TorchClassification
from parity_tests.disturbance import assert_within, moved_by_rounding, nothing
from parity_tests.harness.evaluate import dropout_choices
from parity_tests.harness.rounding import gamma, unit_roundoff

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from parity_tests.disturbance import Disturb

pytestmark = [
    # Lightning's own use of torch's interface.
    pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec:FutureWarning"),
    # On a machine with a GPU, the tests that are about the CPU.
    pytest.mark.filterwarnings("ignore:GPU available but not used"),
]

State = dict[str, np.ndarray]
U = unit_roundoff(np.float64)


class DoubleBatches(Batches):
    """The same batches with float64 inputs."""

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for inputs, targets in super().__iter__():
            yield inputs.astype(np.float64), targets


@dataclass(frozen=True)
class Recipe:
    """A training run that both sides can do: with `digits`, 2 epochs of 3 batches, the last one smaller.

    Attributes:
        start: the weights to start from; by default those that the seed 0 gives.
        accumulate: batches whose gradients make one step.
    """

    model: str = "MLP"
    hparams: dict[str, Any] = field(
        default_factory=lambda: {"in_features": 64, "hidden_features": (20,), "dropout": 0.0}
    )
    optimizer: str = "SGD"
    lr: float = 0.3
    epochs: int = 2
    start: State = field(default_factory=dict)
    accumulate: int = 1
    max_norm: float | None = None

    def numpy_model(self) -> Module:
        model: Any = MODELS[self.model]
        built: Module = model(**self.hparams, rng=0, dtype=np.float64)
        if self.start:
            built.load_state_dict(self.start)
        return built

    def torch_model(self) -> TorchClassification:
        model = from_numpy(self.numpy_model(), optimizer=self.optimizer, lr=self.lr)
        assert isinstance(model, TorchClassification)
        return model

    def numpy_optimizer(self, model: Module) -> Optimizer:
        optimizer: Any = OPTIMIZERS[self.optimizer]
        built: Optimizer = optimizer(model.parameters(), lr=self.lr)
        return built


@pytest.fixture(scope="module")
def digits() -> DigitsDataModule:
    """287 training examples in batches of 100, and 1,150 to validate."""
    data = DigitsDataModule(batch_size=100, validation=0.8, seed=3)
    data.setup("fit")
    return data


def batches_of(data: ImageDataModule) -> DoubleBatches:
    return DoubleBatches(data.train, data.batch_size, data.seed)


def trainer(**arguments: Any) -> pl.Trainer:
    quiet = dict.fromkeys(
        ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False
    )
    defaults: dict[str, Any] = {
        "accelerator": "cpu",
        "devices": 1,
        "precision": "64-true",
        "num_sanity_val_steps": 0,
    }
    return pl.Trainer(**quiet | defaults | {"max_epochs": 2, "limit_val_batches": 0} | arguments)


class Steps(pl.Callback):
    """Keeps the parameters after every step of the optimizer, and the targets of every batch."""

    def __init__(self) -> None:
        self.states: list[State] = []
        self.targets: list[Tensor] = []

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.targets.append(batch[1])
        if trainer.global_step > len(self.states):
            self.states.append({k: v.cpu().numpy().copy() for k, v in pl_module.state_dict().items()})


def run_numpy(
    recipe: Recipe, data: ImageDataModule, disturb: Disturb = nothing
) -> tuple[list[State], dict[str, list[np.ndarray]]]:
    """The plain loop: the parameters after every step, and what each dropout layer kept in every batch."""
    model, loss = recipe.numpy_model(), CrossEntropyLoss()
    optimizer = recipe.numpy_optimizer(model)
    states, choices = [], defaultdict(list)
    batches = batches_of(data)
    for epoch in range(recipe.epochs):
        batches.set_epoch(epoch)
        for number, (inputs, targets) in enumerate(batches, 1):
            disturb(model)
            loss(model(inputs), targets)
            model.backward(loss.backward() / recipe.accumulate)
            for name, kept in dropout_choices(model).items():
                choices[name].append(kept)
            if number % recipe.accumulate == 0 or number == len(batches):
                if recipe.max_norm is not None:
                    clip_grad_norm_(model.parameters(), recipe.max_norm)
                optimizer.step()
                optimizer.zero_grad()
                states.append({name: array.copy() for name, array in model.state_dict().items()})
    return states, choices


def run_lightning(
    recipe: Recipe, data: ImageDataModule, choices: dict[str, list[np.ndarray]], **arguments: Any
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


def allowed(recipe: Recipe, data: ImageDataModule) -> list[dict[str, float]]:
    """How far rounding can move each parameter, after each step."""
    # A gradient sums over the batch, and for a kernel over the image too; everything else is shorter.
    longest = data.batch_size * max(array.size for array in recipe.numpy_model().state_dict().values())
    return moved_by_rounding(lambda disturb: run_numpy(recipe, data, disturb)[0], float(gamma(longest, U)))


def assert_same_steps(recipe: Recipe, data: ImageDataModule, **arguments: Any) -> list[State]:
    states, choices = run_numpy(recipe, data)
    assert_within(run_lightning(recipe, data, choices, **arguments), states, allowed(recipe, data))
    return states


RECIPES = {
    "MLP-SGD": Recipe(),
    "MLP-Adam-dropout": Recipe(
        hparams={"in_features": 64, "hidden_features": (20, 10), "activation": "relu", "dropout": 0.5},
        optimizer="Adam",
        lr=0.01,
    ),
    "CNN-AdamW-pooled": Recipe(
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
def test_the_same_parameters_after_every_step(recipe: Recipe, device: str, digits: DigitsDataModule) -> None:
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
    recipe = Recipe(accumulate=2)
    states = assert_same_steps(recipe, digits)
    assert len(states) == 4  # 3 batches an epoch make 2 steps


def test_accumulation_over_equal_batches_is_a_larger_batch(digits: DigitsDataModule) -> None:
    """Two batches of 100, accumulated, are one of 200: the sense of it all."""
    accumulated = run_numpy(Recipe(epochs=1, accumulate=2), digits)[0][0]
    larger = DigitsDataModule(batch_size=200, validation=0.8, seed=3)
    larger.setup("fit")
    states, _ = run_numpy(Recipe(epochs=1), larger)
    bound = allowed(Recipe(epochs=1), larger)[0]
    for name, expected in states[0].items():
        assert np.abs(accumulated[name] - expected).max() <= bound[name]


def test_clipping_acts_on_the_accumulated_gradient_before_the_step(digits: DigitsDataModule) -> None:
    """`gradient_clip_val` is `clip_grad_norm_` right before a step: once a step, not once a batch.

    Seen from a gradient so long that clipping decides every step: each moves the parameters by lr · max_norm.
    """
    max_norm = 0.05
    recipe = Recipe(accumulate=2, max_norm=max_norm)
    states = assert_same_steps(recipe, digits)
    start = recipe.numpy_model().state_dict()
    moved = np.sqrt(sum(float(np.sum((states[0][name] - start[name]) ** 2)) for name in start))
    # torch and we divide by norm + 1e-6, so the step is a little shorter still.
    np.testing.assert_allclose(moved, recipe.lr * max_norm, rtol=1e-4)


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


def test_lightnings_own_distributed_sampler_would_change_the_order(digits: DigitsDataModule) -> None:
    """Surprise: with several devices, Lightning wraps a sampler it does not know in one that shuffles again.

    Its arguments are those that the Trainer gives it for training. So what the devices take in a step would
    not be one batch of the one order. This is why EpochSampler is itself a DistributedSampler: those are left
    alone.
    """
    dataset = TensorBatches(digits.train.take(10))
    unknown = SubsetRandomSampler(range(10), generator=torch.Generator().manual_seed(0))
    order = list(SubsetRandomSampler(range(10), generator=torch.Generator().manual_seed(0)))
    wrapped = DistributedSamplerWrapper(unknown, num_replicas=2, rank=0, shuffle=True)
    assert list(wrapped) != order[::2]

    sampler = EpochSampler(dataset, seed=0, num_replicas=2, rank=0)
    sampler.set_epoch(5)
    assert list(sampler) == epoch_order(10, 0, 5)[::2].tolist()


@pytest.mark.parametrize("devices", [1, 2, 3])
def test_devices_share_each_batch(devices: int, digits: DigitsDataModule) -> None:
    """Step by step, the shares of all devices together are the batch of one device; all examples are seen.

    Where they cannot be divided evenly, the first ones of the epoch are repeated: no device may run out of
    batches.
    """
    n, batch_size = 20, 4
    dataset = TensorBatches(digits.train.take(n))
    shares = [list(EpochSampler(dataset, 7, devices, rank)) for rank in range(devices)]
    assert {len(share) for share in shares} == {-(-n // devices)}
    order = epoch_order(n, 7, 0).tolist()
    for step in range(n // (devices * batch_size)):
        together = [share[step * batch_size : (step + 1) * batch_size] for share in shares]
        one_device = order[step * devices * batch_size : (step + 1) * devices * batch_size]
        assert sorted(np.concatenate(together).tolist()) == sorted(one_device)
    assert set(np.concatenate(shares).tolist()) == set(range(n))


class Losses(pl.Callback):
    """Keeps the loss that was logged for each step and for each epoch."""

    def __init__(self) -> None:
        self.steps: list[float] = []
        self.epochs: list[float] = []

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        # What Lightning differentiates: under accumulation, a part of the batch's loss.
        self.steps.append(float(outputs["loss"]) * trainer.accumulate_grad_batches)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.epochs.append(float(trainer.callback_metrics["train_loss_epoch"]))


@pytest.mark.parametrize("accumulate", [1, 2])
def test_the_logged_loss_is_that_of_the_weights_before_the_step(
    accumulate: int, digits: DigitsDataModule
) -> None:
    """Surprise: an epoch's training loss is that of no model: every batch was measured on other weights.

    The loss of a step is that of the batch before the step, whole also under accumulation, when a k-th of it
    is learned from. The epoch's is their mean weighted by batch size, as `fit` has it (here 100, 100 and 87);
    the plain mean of the three is something else.
    """
    recipe, losses = Recipe(accumulate=accumulate), Losses()
    trainer(callbacks=[losses], accumulate_grad_batches=accumulate).fit(
        recipe.torch_model(), datamodule=digits
    )

    model = recipe.numpy_model()
    values, sizes = [], []
    batches, states = batches_of(digits), run_numpy(recipe, digits)[0]
    for epoch in range(recipe.epochs):
        batches.set_epoch(epoch)
        for number, (inputs, targets) in enumerate(batches):
            step = epoch * -(-3 // accumulate) + number // accumulate
            model.load_state_dict(states[step - 1] if step else recipe.numpy_model().state_dict())
            values.append(CrossEntropyLoss()(model(inputs), targets))
            sizes.append(len(targets))

    # One forward pass on weights that agree to about 1e-14 (see above), and sums of 3 numbers near 2.
    np.testing.assert_allclose(losses.steps, values, rtol=1e-11)
    means = [np.average(values[i : i + 3], weights=sizes[i : i + 3]) for i in (0, 3)]
    np.testing.assert_allclose(losses.epochs, means, rtol=1e-11)
    assert abs(np.mean(values[:3]) - means[0]) > 1e-5


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
    run.fit(Recipe().torch_model(), datamodule=digits)
    assert len(steps) == 2
    for name in ("train_loss", "train_loss_epoch"):  # both of 100 examples: two terms, near 2
        np.testing.assert_allclose(float(run.callback_metrics[name]), np.mean(steps), rtol=float(gamma(4, U)))


def test_means_after_an_interruption(digits: DigitsDataModule) -> None:
    """What an interrupted epoch added up is forgotten when the same model is trained again."""
    model = Recipe().torch_model()
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
    recipe = Recipe(hparams={"in_features": 64, "hidden_features": (20,), "dropout": 0.5})
    numpy_model, torch_model = recipe.numpy_model(), recipe.torch_model()
    run = trainer(limit_val_batches=1.0)
    found = dict(run.validate(torch_model, datamodule=digits, verbose=False)[0])
    found |= run.test(torch_model, datamodule=digits, verbose=False)[0]
    for stage, split in (("val", digits.validation), ("test", digits.test)):
        expected = evaluate(Classification(numpy_model), DoubleBatches(split, 100))
        assert isinstance(expected, ClassificationMetrics)
        # No sum is longer than 1,150 terms, all of them positive.
        np.testing.assert_allclose(found[f"{stage}_loss"], expected.loss, rtol=float(gamma(2000, U)))
        np.testing.assert_allclose(found[f"{stage}_acc"], expected.accuracy, rtol=1e-6)  # counts, in float32


def test_early_stopping_stops_with_fit_but_keeps_the_last_weights(digits: DigitsDataModule) -> None:
    """Patience is the same. Surprise: Lightning does not go back to the best weights; `fit` does."""
    recipe = Recipe(lr=8.0, epochs=30)
    model = recipe.torch_model()
    stopping = EarlyStopping("val_loss", patience=2)
    run = trainer(max_epochs=30, limit_val_batches=1.0, callbacks=[stopping])
    run.fit(model, datamodule=digits)

    ours = recipe.numpy_model()
    validation = DoubleBatches(digits.validation, 100)
    optimizer = recipe.numpy_optimizer(ours)
    history = fit(
        Classification(ours), optimizer, batches_of(digits), epochs=30, validation=validation, patience=2,
        progress=False,
    )  # fmt: skip
    assert run.current_epoch == len(history) < 30
    assert history.best_epoch == len(history) - 2
    best = evaluate(Classification(ours), validation).loss
    assert best == pytest.approx(float(stopping.best_score), rel=1e-6)
    assert float(run.callback_metrics["val_loss"]) > best * 1.001


def test_batches_are_taken_whole_from_the_arrays_that_numpy_has(
    digits: DigitsDataModule, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No example is fetched and stacked by itself, which is much slower; and nothing is copied before."""

    def fetch_one(self: TensorBatches, index: int) -> None:
        pytest.fail("an example was fetched by itself")

    monkeypatch.setattr(TensorBatches, "__getitem__", fetch_one)
    inputs, targets = next(iter(digits.train_dataloader()))
    assert inputs.shape == (100, 1, 8, 8)
    assert targets.shape == (100,)
    assert np.shares_memory(TensorBatches(digits.train).inputs.numpy(), digits.train.inputs)


def test_held_out_examples_are_others_than_those_trained_on() -> None:
    """The same ones for the same seed, and none that is trained on or tested with."""
    data = [DigitsDataModule(validation=0.25, seed=seed) for seed in (0, 0, 1)]
    for module in data:
        module.setup("fit")
    assert [len(data[0].train), len(data[0].validation), len(data[0].test)] == [1078, 359, 360]

    def images(split: Split) -> set[bytes]:
        return {image.tobytes() for image in split.inputs}

    assert not images(data[0].train) & images(data[0].validation)
    assert not (images(data[0].train) | images(data[0].validation)) & images(data[0].test)
    assert images(data[0].validation) == images(data[1].validation) != images(data[2].validation)
    none = DigitsDataModule(validation=0.0)
    none.setup("fit")
    assert len(none.train) == 1437
    assert none.val_dataloader() == []


def test_augmentation_changes_each_training_image_by_itself() -> None:
    """Not one change for a whole batch, which torchvision would draw for it; and none to what is held out."""
    data = DigitsDataModule(augment=True, batch_size=50, validation=0.5)
    data.setup("fit")
    image = data.train.inputs[:1]
    data.train = Split(np.repeat(image, 50, axis=0), np.repeat(data.train.targets[:1], 50))
    inputs, _ = next(iter(data.train_dataloader()))
    assert inputs.shape == (50, 1, 8, 8)
    assert len({one.numpy().tobytes() for one in inputs}) > 40
    held_out, _ = next(iter(data.val_dataloader()[0]))
    np.testing.assert_array_equal(held_out.numpy(), data.validation.inputs[:50])
    np.testing.assert_array_equal(image, data.train.inputs[:1])

    mirrored = DigitsDataModule(augment=nn.Identity(), validation=0.0)
    mirrored.setup("fit")
    assert isinstance(mirrored.train_dataloader().dataset, TensorBatches)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: MLP(optimizer="adamm"), "unknown optimizer 'adamm': did you mean 'Adam'"),
        (lambda: MLP(lr=-0.1), "lr must be a finite number ≥ 0, got -0.1"),
        (lambda: MLP(lr=float("nan")), "lr must be a finite number ≥ 0, got nan"),
        (lambda: MLP(lr=float("inf")), "lr must be a finite number ≥ 0, got inf"),
        (lambda: MLP(hidden_features=(20, 0)), r"MLP expects hidden_features ≥ 1, got \(20, 0\)"),
        (lambda: MLP(in_features=-1), "MLP expects in_features ≥ 1, got -1"),
        (lambda: CNN(kernel_size=0), "CNN expects kernel_size ≥ 1, got 0"),
        (lambda: CNN(padding=-1), "CNN expects padding ≥ 0, got -1"),
        (lambda: CNN(activation="rel"), "unknown activation 'rel': did you mean 'relu'"),
        (lambda: CNN(in_shape=(1, 2, 2)), r"got in_shape \(1, 2, 2\)"),
        (lambda: MLP(dropout=1.5), "between 0 and 1, but got 1.5"),
        (lambda: DigitsDataModule(batch_size=0), "batch_size must be at least 1, got 0"),
        (
            lambda: DigitsDataModule(validation=1.0).setup("fit"),
            r"validation must be a fraction in \[0, 1\), got 1.0",
        ),
        (lambda: DigitsDataModule(seed=-1), "seed must be 0 or more, got -1"),
    ],
)
def test_wrong_arguments_are_refused_by_name(build: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()


def test_users_see_no_warnings(digits: DigitsDataModule) -> None:
    """The defaults are quiet: nothing to do with the number of workers, batch sizes or logging intervals."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", ".*isinstance.treespec, LeafSpec", FutureWarning)
        data = DigitsDataModule(validation=0.8)
        trainer(precision="32-true", limit_val_batches=1.0, max_epochs=1).fit(MLP(64), datamodule=data)
