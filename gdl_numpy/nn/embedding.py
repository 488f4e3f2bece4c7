"""A vector for each token of a vocabulary: the table that embeddings share, and looking up one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import DTypeLike

from gdl_numpy.nn.checks import check_class_ids, check_grad_output, whole
from gdl_numpy.nn.module import Module, Parameter
from gdl_numpy.nn.sparse import SparseRows

if TYPE_CHECKING:
    from jaxtyping import Float, Int


class Table(Module):
    """A vector for each id, and the gradient of those that were looked up: what embeddings share.

    Attributes:
        weight: (num_embeddings, embedding_dim)
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        *,
        sparse: bool = False,
        rng: np.random.Generator | int | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        """Makes a table of standard normal numbers.

        Args:
            num_embeddings: rows, one for each id.
            embedding_dim: numbers in a row.
            padding_idx: an id whose row starts at zero and gets no gradient; negative counts from the end.
            sparse: make the gradient `SparseRows`: only the rows that were looked up. SGD takes it.
            rng: where the weight comes from.
            dtype: of the weight.

        Raises:
            ValueError: sizes below 1, or a padding_idx that is no row.
        """
        name = type(self).__name__
        num_embeddings, embedding_dim = whole(
            name, num_embeddings=num_embeddings, embedding_dim=embedding_dim
        )
        if padding_idx is not None:
            if not -num_embeddings <= padding_idx < num_embeddings:
                raise ValueError(
                    f"{name} expects padding_idx to be one of {num_embeddings} rows, got {padding_idx}"
                )
            padding_idx %= num_embeddings
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        self.padding_idx, self.sparse = padding_idx, sparse
        table = np.random.default_rng(rng).standard_normal((num_embeddings, embedding_dim))
        if padding_idx is not None:
            table[padding_idx] = 0
        self.weight = Parameter(table.astype(dtype))

    def accumulate_rows(
        self,
        ids: Int[np.ndarray, " many"],
        rows: Float[np.ndarray, "given embedding_dim"],
        sources: Int[np.ndarray, " many"],
        factors: Float[np.ndarray, " many"] | None = None,
    ) -> None:
        """Adds `factors[k] · rows[sources[k]]` to the gradient of row `ids[k]`, for all k; None for ones."""
        if self.padding_idx is not None:
            counted = ids != self.padding_idx
            ids, sources = ids[counted], sources[counted]
            factors = None if factors is None else factors[counted]
        grad = SparseRows.sum_of(ids, rows, sources, self.weight.data.shape, factors)
        self.weight.accumulate(grad if self.sparse else grad.to_dense())

    def extra_repr(self) -> str:
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        sparse = ", sparse=True" if self.sparse else ""
        return f"{self.num_embeddings}, {self.embedding_dim}{padding}{sparse}"


class Embedding(Table):
    """Looks up rows of a table: y[…] = W[ids[…]], as `torch.nn.Embedding` (chapter 11).

    That is the product of one-hot vectors with W, without the product. So dL/dW[r] is the sum of dL/dy over
    all places where r was looked up.

    Attributes:
        weight: (num_embeddings, embedding_dim)
    """

    def forward(self, ids: Int[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape embedding_dim"]:
        """Raises ValueError for ids that are no integers, IndexError for one out of range."""
        check_class_ids(self, ids, self.num_embeddings)
        self.save_for_backward(ids)
        return self.weight.data.take(ids, axis=0)

    def backward(self, grad_output: Float[np.ndarray, "*shape embedding_dim"]) -> None:
        """Adds to the weight's gradient. Ids have none."""
        (ids,) = self.saved
        weight = self.weight.data
        check_grad_output(self, grad_output, (*ids.shape, self.embedding_dim), weight.dtype)
        rows = grad_output.reshape(-1, self.embedding_dim)
        self.accumulate_rows(ids.reshape(-1), rows, np.arange(ids.size))
