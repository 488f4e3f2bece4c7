"""A participant that learns with torch; to a server it is like one that learns with NumPy."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from gdl_numpy.data.batches import DataLoader, ExampleLoader
from gdl_numpy.federated.update import Update, delta_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from torch.nn import Parameter

    from gdl_torch.tasks import Task

    MakeOptimizer = Callable[[Iterable[Parameter]], torch.optim.Optimizer]


class Participant:
    """One who has examples and trains on them, with a model that is its task.

    Args:
        name: by which the others know it.
        batches: its examples, as NumPy's loaders give them.
        model: what is trained; a copy is kept, and the weights are sent each round.
        optimizer: makes one over the parameters, a new one each round.
        epochs: passes through its examples in a round.
        clip_norm: largest norm of the gradient of all parameters together, in each step.
        seed: of what its layers draw (dropout), in each round anew: a round is a function of the weights, the
            seed and its number.

    Raises:
        ValueError: epochs below 1.
    """

    def __init__(
        self,
        name: str,
        batches: DataLoader,
        model: Task,
        optimizer: MakeOptimizer,
        epochs: int = 1,
        clip_norm: float | None = None,
        seed: int = 0,
    ) -> None:
        if epochs < 1:
            raise ValueError(f"Participant: epochs must be at least 1, got {epochs}")
        self.name, self.batches, self.epochs, self.clip_norm = name, batches, epochs, clip_norm
        self.optimizer = optimizer
        self.seed = seed
        self.model = copy.deepcopy(model).train()

    def train(self, state: Mapping[str, np.ndarray], number: int) -> Update:
        """Learns from its examples, beginning with the weights that it is sent.

        Args:
            state: the weights, by the parameters' names; they are not changed.
            number: of the round, from 0 on: the order of the examples goes on from round to round.
        """
        with torch.random.fork_rng(devices=[]):
            draws = np.random.default_rng((self.seed, number))
            torch.default_generator.manual_seed(int(draws.integers(2**63)))
            return self._train(state, number)

    def _train(self, state: Mapping[str, np.ndarray], number: int) -> Update:
        """`train`, with torch's own random numbers."""
        model, batches = self.model, self.batches
        model.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in state.items()})
        optimizer = self.optimizer(model.parameters())
        total, count = 0.0, 0
        for epoch in range(number * self.epochs, (number + 1) * self.epochs):
            batches.set_epoch(epoch)
            model.begin(batches.continues)
            total, count = 0.0, 0
            for batch in batches:
                loss, targets = self._step(optimizer, as_tensors(batch))
                total, count = total + loss * targets, count + targets
        n = batches.n if isinstance(batches, ExampleLoader) else count
        learned = {name: tensor.numpy(force=True) for name, tensor in model.state_dict().items()}
        return Update(self.name, delta_of(state, learned), n, total / count)

    def _step(self, optimizer: torch.optim.Optimizer, batch: Any) -> tuple[float, int]:
        """A step down the gradient; returns the loss before it, and how many targets it is the mean of."""
        outcome: Any = self.model.compare(*batch)
        optimizer.zero_grad()
        outcome.loss.backward()
        if self.clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.clip_norm)
        optimizer.step()
        return float(outcome.loss.item()), int(self.model.count(outcome))


def as_tensors(batch: Any) -> Any:
    """A batch of arrays as one of tensors; they share their memory."""
    if isinstance(batch, tuple):
        return tuple(map(as_tensors, batch))
    return batch if batch is None or isinstance(batch, Tensor) else torch.from_numpy(batch)
