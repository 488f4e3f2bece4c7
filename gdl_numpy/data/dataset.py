"""What every data set of images looks like once it is loaded: two splits of arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float32, Int64


@dataclass(frozen=True, eq=False)
class Split:
    """Images and their classes.

    Attributes:
        inputs: pixels in [0, 1], float32 of shape (items, channels, height, width).
        targets: class ids, int64 of shape (items,).
    """

    inputs: Float32[np.ndarray, "items channels height width"]
    targets: Int64[np.ndarray, " items"]

    def __post_init__(self) -> None:
        if len(self.inputs) != len(self.targets):
            raise ValueError(f"Split: {len(self.inputs)} inputs but {len(self.targets)} targets")

    def __len__(self) -> int:
        return len(self.targets)

    def take(self, n: int) -> Split:
        """Return the first `n` items, as views.

        Raises:
            ValueError: `n` is negative or more than there are.
        """
        if not 0 <= n <= len(self):
            raise ValueError(f"take: n must be from 0 to {len(self)}, the number of items; got {n}")
        return Split(self.inputs[:n], self.targets[:n])

    def select(self, rows: Int64[np.ndarray, " some"]) -> Split:
        """Return some of the items, in the order of `rows`."""
        return Split(self.inputs[rows], self.targets[rows])


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set with its fixed division into training and test items."""

    kind: ClassVar[str] = "images"
    name: str
    train: Split
    test: Split
    num_classes: int

    @property
    def in_shape(self) -> tuple[int, int, int]:
        """Shape of one input: (channels, height, width)."""
        _, channels, height, width = self.train.inputs.shape
        return channels, height, width
