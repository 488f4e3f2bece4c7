"""Mini-batches in an order that is a pure function of seed and epoch.

Both sides of a comparison, and a run that is resumed, see the same batches without any generator state to
share or save.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from itertools import count
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jaxtyping import Float32, Int64

    from gdl_numpy.data.dataset import Split


def epoch_order(n: int, seed: int, epoch: int) -> Int64[np.ndarray, " n"]:
    """Returns the order in which epoch `epoch` visits `n` items: a permutation of 0 … n − 1."""
    return np.random.default_rng((seed, epoch)).permutation(n)


class DataLoader(ABC):
    """The batches of a training loop: iterate over it once an epoch, for pairs of inputs and targets.

    Several devices share the work: each has a loader of its own, told which of them it is.

    Args:
        batch_size: items in a batch, on each device.
        seed: items are shuffled, differently in each epoch; None keeps their own order.
        num_replicas: number of devices.
        rank: which of them this one is.

    Attributes:
        continues: each batch goes on where the one before it ended, so that a model's state carries over.

    Raises:
        ValueError: `batch_size` or `num_replicas` is less than 1, `seed` negative, or there is no such rank.
    """

    continues: ClassVar[bool] = False

    def __init__(
        self, batch_size: int, seed: int | None = None, num_replicas: int = 1, rank: int = 0
    ) -> None:
        self._check_at_least(1, batch_size=batch_size, num_replicas=num_replicas)
        if seed is not None and seed < 0:
            raise ValueError(f"{type(self).__name__}: seed must be 0 or more, or None, got {seed}")
        if not 0 <= rank < num_replicas:
            raise ValueError(f"{type(self).__name__}: rank must be from 0 to {num_replicas - 1}, got {rank}")
        self.batch_size = batch_size
        self.seed = seed
        self.num_replicas = num_replicas
        self.rank = rank
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Chooses the epoch whose order the next iteration follows, as torch's DistributedSampler does.

        Raises:
            ValueError: `epoch` is negative.
        """
        self._check_at_least(0, epoch=epoch)
        self.epoch = epoch

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Returns what must be the same for a resumed run to go on as the same run, in JSON's types."""

    @abstractmethod
    def __len__(self) -> int:
        """Returns the number of batches in an epoch."""

    def __getitem__(self, number: int) -> tuple[Any, np.ndarray]:
        """Returns a batch of the epoch: inputs, an array or a tuple of arrays, and targets.

        Raises:
            IndexError: there is no such batch.
        """
        if not 0 <= number < len(self):
            raise IndexError(f"{type(self).__name__}: batch must be from 0 to {len(self) - 1}, got {number}")
        return self._get(number)

    @abstractmethod
    def _get(self, number: int) -> tuple[Any, np.ndarray]:
        """Returns the batch of this number, which there is."""

    def __iter__(self) -> Iterator[tuple[Any, np.ndarray]]:
        return map(self._get, range(len(self)))

    def endless(self) -> Iterator[tuple[Any, np.ndarray]]:
        """Gives all batches, epoch after epoch, without end."""
        for epoch in count():
            self.set_epoch(epoch)
            yield from self

    def _check_at_least(self, least: int, **arguments: int) -> None:
        for name, value in arguments.items():
            if value < least:
                raise ValueError(f"{type(self).__name__}: {name} must be at least {least}, got {value}")


class ExampleLoader(DataLoader):
    """Base of the loaders that make a batch from the numbers of its examples.

    With R devices, device r takes every R-th example, beginning with the r-th: step by step, the devices'
    batches of B together are the batch of R·B that one device would take. Where the examples cannot be
    divided evenly, some are repeated.

    Args:
        n: number of examples.
        batch_size: examples in a batch, on each device; the last batch holds what is left over.
        seed: shuffle by `epoch_order(n, seed, epoch)`; None keeps the examples' own order, and makes every
            epoch the same.
        num_replicas: number of devices.
        rank: which of them this one is.

    Raises:
        ValueError: `batch_size` or `num_replicas` is less than 1, `seed` negative, or there is no such rank.
    """

    def __init__(
        self, n: int, batch_size: int, seed: int | None = None, num_replicas: int = 1, rank: int = 0
    ) -> None:
        super().__init__(batch_size, seed, num_replicas, rank)
        self.n = n
        self._mine: tuple[int, np.ndarray] | None = None  # an epoch, and the examples it visits here

    def describe(self) -> dict[str, Any]:
        return {
            "examples": self.n,
            "batch_size": self.batch_size,
            "seed": self.seed,
            "num_replicas": self.num_replicas,
        }

    def __len__(self) -> int:
        return -(-self.n // (self.num_replicas * self.batch_size))

    def _get(self, number: int) -> tuple[Any, np.ndarray]:
        if self._mine is None or self._mine[0] != self.epoch:
            self._mine = self.epoch, self._visited()
        start = number * self.batch_size
        return self.batch(self._mine[1][start : start + self.batch_size], number)

    def _visited(self) -> Int64[np.ndarray, " examples"]:
        """Returns the examples that the epoch visits on this device, in their order."""
        order = np.arange(self.n) if self.seed is None else epoch_order(self.n, self.seed, self.epoch)
        uneven = self.n % self.num_replicas
        if uneven:
            order = np.resize(order, self.n + self.num_replicas - uneven)
        return order[self.rank :: self.num_replicas]

    @abstractmethod
    def batch(self, rows: Int64[np.ndarray, " batch"], number: int) -> tuple[Any, np.ndarray]:
        """Returns the inputs and targets of some examples, as batch `number` of the epoch."""

    def generator(self, number: int) -> np.random.Generator:
        """Returns the random numbers of batch `number` of the epoch, the same on every device.

        They are another stream than that of `epoch_order`, which has no spawn key.
        """
        seed, epoch = (0, 0) if self.seed is None else (self.seed, self.epoch)
        return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(epoch, number)))


class Batches(ExampleLoader):
    """The mini-batches of a split of images.

    Args:
        split: the items.
        batch_size: items in a batch, on each device; the last batch holds what is left over.
        seed: shuffle by `epoch_order(len(split), seed, epoch)`; None keeps the split's own order.
        num_replicas: number of devices; see `ExampleLoader`.
        rank: which of them this one is.

    Raises:
        ValueError: an argument is out of its range.
    """

    def __init__(
        self, split: Split, batch_size: int, seed: int | None = None, num_replicas: int = 1, rank: int = 0
    ) -> None:
        super().__init__(len(split), batch_size, seed, num_replicas, rank)
        self.split = split

    def describe(self) -> dict[str, Any]:
        # As checkpoints have it from the beginning on: without the number of devices.
        return {"examples": self.n, "batch_size": self.batch_size, "seed": self.seed}

    def batch(
        self, rows: Int64[np.ndarray, " batch"], number: int
    ) -> tuple[Float32[np.ndarray, "batch channels height width"], Int64[np.ndarray, " batch"]]:
        """Returns some of the images and their classes."""
        return self.split.inputs[rows], self.split.targets[rows]
