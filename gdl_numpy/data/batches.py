"""Mini-batches in an order that is a pure function of seed and epoch.

Both sides of a comparison, and a run that is resumed, see the same batches without any generator state to
share or save.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jaxtyping import Float32, Int64

    from gdl_numpy.data.dataset import Split


def epoch_order(n: int, seed: int, epoch: int) -> Int64[np.ndarray, " n"]:
    """Return the order in which epoch `epoch` visits `n` items: a permutation of 0 … n − 1."""
    return np.random.default_rng((seed, epoch)).permutation(n)


class Feed(ABC):
    """What feeds a training loop: iterate over it once an epoch, for pairs of inputs and targets.

    Attributes:
        continues: each batch goes on where the one before it ended, so that a model's state carries over.

    Args:
        batch_size: items in a batch.
        seed: items are shuffled, differently in each epoch; None keeps their own order.

    Raises:
        ValueError: `batch_size` is less than 1, or `seed` is negative.
    """

    continues: ClassVar[bool] = False

    def __init__(self, batch_size: int, seed: int | None = None) -> None:
        self._check_at_least(1, batch_size=batch_size)
        if seed is not None and seed < 0:
            raise ValueError(f"{type(self).__name__}: seed must be 0 or more, or None, got {seed}")
        self.batch_size = batch_size
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order the next iteration follows, as torch's DistributedSampler does.

        Raises:
            ValueError: `epoch` is negative.
        """
        self._check_at_least(0, epoch=epoch)
        self.epoch = epoch

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Return what must be the same for a resumed run to go on as the same run, in JSON's types."""

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of batches in an epoch."""

    @abstractmethod
    def __iter__(self) -> Iterator[tuple[Any, np.ndarray]]:
        """Give inputs, an array or a tuple of arrays, and targets."""

    def _check_at_least(self, least: int, **arguments: int) -> None:
        for name, value in arguments.items():
            if value < least:
                raise ValueError(f"{type(self).__name__}: {name} must be at least {least}, got {value}")


class Batches(Feed):
    """The mini-batches of a split of images.

    Args:
        split: the items.
        batch_size: items in a batch; the last batch holds what is left over.
        seed: shuffle by `epoch_order(len(split), seed, epoch)`; None keeps the split's own order.

    Raises:
        ValueError: `batch_size` is less than 1, or `seed` is negative.
    """

    def __init__(self, split: Split, batch_size: int, seed: int | None = None) -> None:
        super().__init__(batch_size, seed)
        self.split = split

    def describe(self) -> dict[str, Any]:
        return {"examples": len(self.split), "batch_size": self.batch_size, "seed": self.seed}

    def __len__(self) -> int:
        return -(-len(self.split) // self.batch_size)

    def __iter__(
        self,
    ) -> Iterator[tuple[Float32[np.ndarray, "batch channels height width"], Int64[np.ndarray, " batch"]]]:
        inputs, targets = self.split.inputs, self.split.targets
        starts = range(0, len(self.split), self.batch_size)
        if self.seed is None:
            for start in starts:
                batch = slice(start, start + self.batch_size)
                yield inputs[batch], targets[batch]
        else:
            order = epoch_order(len(self.split), self.seed, self.epoch)
            for start in starts:
                rows = order[start : start + self.batch_size]
                yield inputs[rows], targets[rows]
