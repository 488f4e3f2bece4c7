"""A participant: examples that stay where they are, and a model that comes to learn from them."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import numpy as np

from gdl_numpy.data.batches import DataLoader, ExampleLoader
from gdl_numpy.federated.update import Update, delta_of
from gdl_numpy.messages import kind_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from jaxtyping import Int64

    from gdl_numpy.nn import Parameter
    from gdl_numpy.optim import Optimizer
    from gdl_numpy.tasks import Task

    MakeOptimizer = Callable[[Iterable[Parameter]], Optimizer]


class Shard(ExampleLoader):
    """Some of the examples of a loader, in batches of their own.

    Args:
        loader: of all examples.
        rows: the numbers of those that belong to the shard.
        batch_size: examples in a batch; None for the loader's; 0 for all of them in one.
        seed: shuffles them, differently in each epoch; None keeps their order.

    Raises:
        ValueError: a loader that does not make batches of single examples, no rows, rows that the loader does
            not have, or an argument out of its range.
    """

    def __init__(
        self,
        loader: DataLoader,
        rows: Int64[np.ndarray, " examples"],
        batch_size: int | None = None,
        seed: int | None = None,
    ) -> None:
        if not isinstance(loader, ExampleLoader):
            raise ValueError(
                f"Shard: loader must make batches of single examples, got {kind_of(loader)}: a text that "
                "goes on from batch to batch is divided before, into texts"
            )
        if not len(rows):
            raise ValueError("Shard: rows must name at least one example, got none")
        if rows.min() < 0 or rows.max() >= loader.n:
            raise ValueError(
                f"Shard: rows must be from 0 to {loader.n - 1}, got {rows.min()} to {rows.max()}"
            )
        size = loader.batch_size if batch_size is None else batch_size or len(rows)
        super().__init__(len(rows), size, seed)
        self.loader = loader
        self.rows = rows

    def batch(self, rows: Int64[np.ndarray, " batch"], number: int) -> tuple[Any, np.ndarray]:
        """Returns some of the shard's examples, as the loader makes a batch of them."""
        return self.loader.batch(self.rows[rows], number)


class Participant:
    """One who has examples and trains on them, with the project's own tasks.

    Args:
        name: by which the others know it.
        batches: its examples.
        task: the model and its loss; a copy is kept, and the weights are sent each round.
        optimizer: makes one over the parameters; a new one each round, since momentum belongs to weights that
            others have moved on meanwhile.
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
        task: Task,
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
        self.task = copy.deepcopy(task).train().requires_input_grad_(False)

    def train(self, state: Mapping[str, np.ndarray], number: int) -> Update:
        """Learns from its examples, beginning with the weights that it is sent.

        Args:
            state: the weights, by the parameters' names; they are not changed.
            number: of the round, from 0 on: the order of the examples goes on from round to round.
        """
        task, batches = self.task, self.batches
        task.model.load_state_dict(state)
        draw_from(task, np.random.default_rng((self.seed, number)))
        optimizer = self.optimizer(task.model.parameters())
        total = count = 0.0
        for epoch in range(number * self.epochs, (number + 1) * self.epochs):
            batches.set_epoch(epoch)
            task.begin(batches.continues)
            total = count = examples = 0.0
            for batch in batches:
                loss = task.step(optimizer, batch, self.clip_norm)
                total, count = total + loss * task.loss_count, count + task.loss_count
                examples += task.count
        n = batches.n if isinstance(batches, ExampleLoader) else int(examples)
        return Update(self.name, delta_of(state, task.model.state_dict()), n, total / count)


def draw_from(task: Task, rng: np.random.Generator) -> None:
    """Makes the layers that draw (dropout) do so from `rng`: copies of one model would draw the same."""
    for _, module in task.named_modules():
        if isinstance(vars(module).get("rng"), np.random.Generator):
            vars(module)["rng"] = rng
