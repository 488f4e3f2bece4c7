"""One vector for a bag of tokens: the sum or the mean of theirs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import DTypeLike

from gdl_numpy.nn.checks import check_class_ids, check_floating, check_grad_output
from gdl_numpy.nn.embedding import Table

if TYPE_CHECKING:
    from jaxtyping import Float, Int

LONG = 32  # ids in an average bag that is long


class EmbeddingBag(Table):
    """The sum or the mean of the rows that each bag names, as `torch.nn.EmbeddingBag` (chapter 11).

    The ids of all bags lie one after the other; bag b is ids[offsets[b]:offsets[b + 1]]. With n its length:

        y[b] = s_b · Σ_k a_k W[id_k]        dL/dW[r] = Σ s_b a_k · dL/dy[b], over every place k that names r

    where s_b is 1 for a sum, 1/n for a mean, and a_k is 1, or the weight of place k where a sum is given
    weights; dL/da_k = dL/dy[b] · W[id_k]. A bag of no ids gives zeros. Places that name `padding_idx` count
    neither in the sum nor in n.

    Attributes:
        weight: W, (num_embeddings, embedding_dim)
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        *,
        mode: Literal["mean", "sum"] = "mean",
        padding_idx: int | None = None,
        sparse: bool = False,
        rng: np.random.Generator | int | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        """Makes a table as `Embedding` does.

        Raises:
            ValueError: what `Embedding` refuses, or another mode than "mean" and "sum".
        """
        if mode not in ("mean", "sum"):
            raise ValueError(f'EmbeddingBag expects mode "mean" or "sum", got {mode!r}')
        super().__init__(num_embeddings, embedding_dim, padding_idx, sparse=sparse, rng=rng, dtype=dtype)
        self.mode = mode

    def forward(
        self,
        ids: Int[np.ndarray, " n"],
        offsets: Int[np.ndarray, " bags"],
        per_sample_weights: Float[np.ndarray, " n"] | None = None,
    ) -> Float[np.ndarray, "bags embedding_dim"]:
        """The vector of each bag.

        Args:
            ids: those of all bags, one bag after the other.
            offsets: where each bag begins.
            per_sample_weights: a_k, where the mode is "sum".

        Raises:
            IndexError: an id out of range.
            ValueError: other dtypes, dimensions or offsets, or weights for a mean.
        """
        check_class_ids(self, ids, self.num_embeddings)
        self._check_bags(ids, offsets)
        weights = per_sample_weights
        if weights is not None:
            self._check_weights(ids, weights)
        counted, starts = None, offsets
        if self.padding_idx is not None:
            counted = ids != self.padding_idx
            starts = np.concatenate([[0], np.cumsum(counted)])[offsets]
            ids, weights = ids[counted], None if weights is None else weights[counted]
        lengths = np.diff(starts, append=len(ids))
        y = self._sums(ids, starts, lengths, weights)
        divisor = np.maximum(lengths, 1).astype(y.dtype)[:, None]
        if self.mode == "mean":
            y /= divisor
        self.save_for_backward(ids, lengths, divisor, weights, counted)
        return y

    def _sums(
        self, ids: np.ndarray, starts: np.ndarray, lengths: np.ndarray, weights: np.ndarray | None
    ) -> np.ndarray:
        """The sum of each bag's rows, each times its weight."""
        table = self.weight.data
        y = np.zeros((len(starts), self.embedding_dim), table.dtype)
        if len(ids) <= LONG * len(starts):
            rows = table.take(ids, axis=0)
            if weights is not None:
                rows *= weights[:, None]
            filled = lengths > 0  # of a bag without ids, reduceat would make its neighbour's first
            y[filled] = np.add.reduceat(rows, starts[filled], axis=0)
            return y
        # A product with the weights adds up several times faster, and the rows of one bag fit the cache: if
        # bags are long, that is worth a loop over them.
        factors = np.ones(lengths.max(), table.dtype)
        for bag, (start, length) in enumerate(zip(starts.tolist(), lengths.tolist(), strict=True)):
            end = start + length
            y[bag] = (factors[:length] if weights is None else weights[start:end]) @ table.take(
                ids[start:end], axis=0
            )
        return y

    def _check_bags(self, ids: np.ndarray, offsets: np.ndarray) -> None:
        if not isinstance(offsets, np.ndarray) or not np.issubdtype(offsets.dtype, np.integer):
            got = getattr(offsets, "dtype", type(offsets).__name__)
            raise ValueError(f"{self!r} expects integer offsets, got {got}")
        if ids.ndim != 1 or offsets.ndim != 1:
            raise ValueError(
                f"{self!r} expects flat ids (n,) and offsets (bags,), got {ids.shape} and {offsets.shape}"
            )
        ends = np.append(offsets, len(ids))
        if ends[0] != 0:
            raise ValueError(
                f"{self!r} expects offsets to start at 0, so that every id is in a bag, got {offsets[:1]}"
            )
        falls = np.flatnonzero(ends[1:] < ends[:-1])
        if len(falls):
            bag = falls[0]
            raise ValueError(
                f"{self!r} expects offsets that never decrease and are at most {len(ids)}, the number "
                f"of ids, got {offsets[bag]} for bag {bag}, followed by {ends[bag + 1]}"
            )

    def _check_weights(self, ids: np.ndarray, weights: np.ndarray) -> None:
        if self.mode != "sum":
            raise ValueError(f"{self!r} expects no per_sample_weights: they are for the mode 'sum'")
        check_floating(self, weight=self.weight.data, per_sample_weights=weights)
        if weights.shape != ids.shape:
            raise ValueError(
                f"{self!r} expects per_sample_weights of the ids' shape {ids.shape}, got {weights.shape}"
            )

    def backward(
        self, grad_output: Float[np.ndarray, "bags embedding_dim"]
    ) -> Float[np.ndarray, " n"] | None:
        """Adds to the weight's gradient; returns that of per_sample_weights. Ids have none."""
        ids, lengths, divisor, weights, counted = self.saved
        table = self.weight.data
        check_grad_output(self, grad_output, (len(lengths), self.embedding_dim), table.dtype)
        rows = grad_output / divisor if self.mode == "mean" else grad_output
        bag_of = np.repeat(np.arange(len(lengths)), lengths)
        self.accumulate_rows(ids, rows, bag_of, weights)
        if weights is None or not self.needs_input_grad:
            return None
        # dL/da_k = dL/dy[b] · W[id_k]
        grad_weights: np.ndarray = np.einsum("kj,kj->k", rows.take(bag_of, axis=0), table.take(ids, axis=0))
        if counted is None:
            return grad_weights
        grad = np.zeros(len(counted), table.dtype)
        grad[counted] = grad_weights
        return grad

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, mode={self.mode!r}"
