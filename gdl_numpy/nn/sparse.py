"""Gradients of a few rows of a large table, without the zeros of all the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float, Int


class SparseRows:
    """A matrix of which all rows but some are zero: the gradient of a table from which those were looked up.

    Attributes:
        indices: (n,) int64, the rows that are there, sorted, each once.
        values: (n, columns), what is in them.
        shape: (rows, columns) of the whole.
    """

    def __init__(
        self,
        indices: Int[np.ndarray, " n"],
        values: Float[np.ndarray, "n columns"],
        shape: tuple[int, int],
    ) -> None:
        self.indices, self.values, self.shape = indices, values, shape

    @classmethod
    def sum_of(
        cls,
        ids: Int[np.ndarray, " many"],
        rows: Float[np.ndarray, "many columns"],
        shape: tuple[int, int],
    ) -> SparseRows:
        """Row r is the sum of all ``rows[k]`` with ``ids[k] == r``."""
        indices, positions = np.unique(ids, return_inverse=True)
        columns = rows.shape[1]
        sums = np.zeros((len(indices), columns), rows.dtype)
        # np.add.at adds repeated indices up, where ``sums[positions] += rows`` would keep one of them;
        # on flat indices it is several times faster than on rows.
        flat = positions.reshape(-1, 1) * columns + np.arange(columns)
        np.add.at(sums.reshape(-1), flat.reshape(-1), rows.reshape(-1))
        return cls(indices.astype(np.int64), sums, shape)

    def to_dense(self) -> Float[np.ndarray, "rows columns"]:
        dense = np.zeros(self.shape, self.values.dtype)
        dense[self.indices] = self.values
        return dense

    def __add__(self, other: SparseRows) -> SparseRows:
        return SparseRows.sum_of(
            np.concatenate([self.indices, other.indices]),
            np.concatenate([self.values, other.values]),
            self.shape,
        )

    def __repr__(self) -> str:
        return f"SparseRows({len(self.indices)} of {self.shape[0]} rows, dtype={self.values.dtype})"
