"""Gradients of a few rows of a large table, without the zeros of all the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float, Int

# A matrix product makes of each count a fast multiplication, adding row by row of each occurrence a slow
# addition: with so many counts to an occurrence, the two take equally long.
COUNTS_PER_ROW = 32


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
        rows: Float[np.ndarray, "given columns"],
        sources: Int[np.ndarray, " many"],
        shape: tuple[int, int],
        factors: Float[np.ndarray, " many"] | None = None,
    ) -> SparseRows:
        """Row r is the sum of `factors[k] · rows[sources[k]]` over all k with `ids[k] == r`.

        Args:
            ids: which row of the whole each k goes to.
            rows: what is added up.
            sources: which of `rows` each k takes; many may take the same.
            shape: of the whole.
            factors: None for ones.
        """
        indices, places = distinct(ids, shape[0])

        # Most ids of a large vocabulary appear once: one occurrence of each is copied, and only the others
        # are added.
        occurrences = np.arange(len(ids))
        copied = np.empty(len(indices), np.int64)
        copied[places] = occurrences
        sums = rows.take(sources.take(copied), axis=0)
        if factors is not None:
            sums *= factors.take(copied)[:, None]
        others = np.flatnonzero(copied.take(places) != occurrences)
        more = None if factors is None else factors.take(others)
        add_rows(sums, places.take(others), rows, sources.take(others), more)
        return cls(indices, sums, shape)

    def to_dense(self) -> Float[np.ndarray, "rows columns"]:
        dense = np.zeros(self.shape, self.values.dtype)
        dense[self.indices] = self.values
        return dense

    def __add__(self, other: SparseRows) -> SparseRows:
        return SparseRows.sum_of(
            np.concatenate([self.indices, other.indices]),
            np.concatenate([self.values, other.values]),
            np.arange(len(self.indices) + len(other.indices)),
            self.shape,
        )

    def __repr__(self) -> str:
        return f"SparseRows({len(self.indices)} of {self.shape[0]} rows, dtype={self.values.dtype})"


def distinct(
    ids: Int[np.ndarray, " many"], count: int
) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " many"]]:
    """The ids that there are, sorted, each once, and where among them each of `ids` is. All are < count.

    As `np.unique` with `return_inverse`, but without sorting: a mark for each possible id is cheaper.
    """
    there = np.zeros(count, bool)
    there[ids] = True
    indices = np.flatnonzero(there).astype(np.int64)
    place_of = np.empty(count, np.int64)
    place_of[indices] = np.arange(len(indices))
    return indices, place_of.take(ids)


def add_rows(
    sums: Float[np.ndarray, "n columns"],
    places: Int[np.ndarray, " many"],
    rows: Float[np.ndarray, "given columns"],
    sources: Int[np.ndarray, " many"],
    factors: Float[np.ndarray, " many"] | None = None,
) -> None:
    """Adds `factors[k] · rows[sources[k]]` to `sums[places[k]]` for all k, repeated places several times."""
    repeated, targets = distinct(places, len(sums))
    columns = rows.shape[1]
    if len(repeated) * len(rows) <= COUNTS_PER_ROW * len(places) and np.isfinite(rows).all():
        # counts[p, s]: how often place p takes source s, or what its factors then add up to. Their product
        # with the rows is faster than adding row by row, as long as few sources are taken often. (Of an
        # infinite row, 0 times would be nan.)
        counts = np.zeros((len(repeated), len(rows)), rows.dtype)
        once = rows.dtype.type(1) if factors is None else factors
        np.add.at(counts.reshape(-1), targets * len(rows) + sources, once)
        sums[repeated] += counts @ rows
    else:
        # np.add.at adds repeated indices up, where `sums[places] += …` would keep one of them; on flat
        # indices it is several times faster than on rows.
        flat = places.reshape(-1, 1) * columns + np.arange(columns)
        added = rows.take(sources, axis=0)
        if factors is not None:
            added *= factors[:, None]
        np.add.at(sums.reshape(-1), flat.reshape(-1), added.reshape(-1))
