"""A training on small images that the plain NumPy loop and Lightning's Trainer can both do."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gdl_numpy.data import Batches
from gdl_numpy.models import MODELS
from gdl_numpy.nn import CrossEntropyLoss, Dropout, Module
from gdl_numpy.optim import OPTIMIZERS, Optimizer, clip_grad_norm_
from gdl_torch.data import DigitsDataModule, ImageDataModule
from gdl_torch.export import from_numpy
from gdl_torch.tasks import Classification
from parity_tests.harness.rounding import gamma, unit_roundoff
from parity_tests.support.disturbance import State, moved_by_rounding, nothing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from parity_tests.support.disturbance import Disturb


class DoubleBatches(Batches):
    """The same batches with float64 inputs."""

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for inputs, targets in super().__iter__():
            yield inputs.astype(np.float64), targets


def some_digits(batch_size: int = 100) -> DigitsDataModule:
    """287 training examples in batches of 100, and 1,150 to validate."""
    data = DigitsDataModule(batch_size=batch_size, validation=0.8, seed=3)
    data.setup("fit")
    return data


def batches_of(data: ImageDataModule) -> DoubleBatches:
    return DoubleBatches(data.train, data.batch_size, data.seed)


class Trained(NamedTuple):
    """What the plain loop did.

    Attributes:
        states: the parameters after every step.
        losses: of every batch, each with the parameters before its step.
        choices: what each dropout layer kept in every batch.
    """

    states: list[State]
    losses: list[float]
    choices: dict[str, list[np.ndarray]]


@dataclass(frozen=True)
class ImageRecipe:
    """A training run that both sides can do: with `some_digits`, 2 epochs of 3 batches, the last one smaller.

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

    def torch_model(self) -> Classification:
        model = from_numpy(self.numpy_model(), optimizer=self.optimizer, lr=self.lr)
        assert isinstance(model, Classification)
        return model

    def numpy_optimizer(self, model: Module) -> Optimizer:
        optimizer: Any = OPTIMIZERS[self.optimizer]
        built: Optimizer = optimizer(model.parameters(), lr=self.lr)
        return built

    def run_numpy(self, data: ImageDataModule, disturb: Disturb = nothing) -> Trained:
        """The plain loop."""
        model, loss = self.numpy_model(), CrossEntropyLoss()
        optimizer = self.numpy_optimizer(model)
        states, losses, choices = [], [], defaultdict(list)
        batches = batches_of(data)
        for epoch in range(self.epochs):
            batches.set_epoch(epoch)
            for number, (inputs, targets) in enumerate(batches, 1):
                disturb(model)
                losses.append(float(loss(model(inputs), targets)))
                model.backward(loss.backward() / self.accumulate)
                for name, layer in model.named_modules():
                    if isinstance(layer, Dropout) and layer.saved[0] is not None:
                        choices[name].append(layer.saved[0] != 0)
                if number % self.accumulate == 0 or number == len(batches):
                    if self.max_norm is not None:
                        clip_grad_norm_(model.parameters(), self.max_norm)
                    optimizer.step()
                    optimizer.zero_grad()
                    states.append({name: array.copy() for name, array in model.state_dict().items()})
        return Trained(states, losses, choices)

    def relative(self, data: ImageDataModule) -> float:
        """How much a step's rounding disturbs the parameters that it starts from: γₙ of its longest sum.

        A gradient sums over the batch, and for a kernel over the image too; everything else is shorter.
        """
        longest = data.batch_size * max(array.size for array in self.numpy_model().state_dict().values())
        return float(gamma(longest, unit_roundoff(np.float64)))

    def allowed(self, data: ImageDataModule) -> list[dict[str, float]]:
        """How far rounding can move each parameter, after each step."""
        return moved_by_rounding(lambda disturb: self.run_numpy(data, disturb).states, self.relative(data))
