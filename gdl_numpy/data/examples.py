"""What feeds of separate examples have in common: their order, and how devices share them."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np

from gdl_numpy.data.batches import Feed, epoch_order

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jaxtyping import Int64


class ExampleFeed(Feed):
    """Base of the feeds that make a batch from the numbers of its examples.

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
        super().__init__(batch_size, seed)
        self._check_at_least(1, num_replicas=num_replicas)
        if not 0 <= rank < num_replicas:
            raise ValueError(f"{type(self).__name__}: rank must be from 0 to {num_replicas - 1}, got {rank}")
        self.n = n
        self._mine: tuple[int, np.ndarray] | None = None  # an epoch, and the examples it visits here
        self.num_replicas = num_replicas
        self.rank = rank

    def describe(self) -> dict[str, Any]:
        return {
            "examples": self.n,
            "batch_size": self.batch_size,
            "seed": self.seed,
            "num_replicas": self.num_replicas,
        }

    def __len__(self) -> int:
        return -(-self.n // (self.num_replicas * self.batch_size))

    def __iter__(self) -> Iterator[tuple[Any, np.ndarray]]:
        return map(self.__getitem__, range(len(self)))

    def __getitem__(self, number: int) -> tuple[Any, np.ndarray]:
        """Return a batch of the epoch.

        Raises:
            IndexError: there is no such batch.
        """
        if not 0 <= number < len(self):
            raise IndexError(f"{type(self).__name__}: batch must be from 0 to {len(self) - 1}, got {number}")
        if self._mine is None or self._mine[0] != self.epoch:
            self._mine = self.epoch, self._visited()
        start = number * self.batch_size
        return self.batch(self._mine[1][start : start + self.batch_size], number)

    def _visited(self) -> Int64[np.ndarray, " examples"]:
        """Return the examples that the epoch visits on this device, in their order."""
        order = np.arange(self.n) if self.seed is None else epoch_order(self.n, self.seed, self.epoch)
        uneven = self.n % self.num_replicas
        if uneven:
            order = np.resize(order, self.n + self.num_replicas - uneven)
        return order[self.rank :: self.num_replicas]

    @abstractmethod
    def batch(self, rows: Int64[np.ndarray, " batch"], number: int) -> tuple[Any, np.ndarray]:
        """Return the inputs and targets of some examples, as batch `number` of the epoch."""

    def generator(self, number: int) -> np.random.Generator:
        """Return the random numbers of batch `number` of the epoch, the same on every device.

        They are another stream than that of `epoch_order`, which has no spawn key.
        """
        seed, epoch = (0, 0) if self.seed is None else (self.seed, self.epoch)
        return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(epoch, number)))
