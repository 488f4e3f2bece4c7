"""How a batch of sequences lies in memory, and which of its sequences have ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gdl_numpy.nn.checks import check_class_ids, check_floating

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

    from gdl_numpy.nn.module import Module

    Ended = Bool[np.ndarray, "time 1 batch"]

State = tuple[np.ndarray, ...]  # (h,) or (h, c), each (num_layers, batch, hidden_size)


class Rows(NamedTuple):
    """A sequence whose elements are rows of a table, such as the embeddings of a vocabulary's tokens.

    A recurrent layer multiplies the table, once, and looks the products up. With more elements than rows that
    is less to do, forward and backward, than to look up first.

    Attributes:
        table: (rows, input_size)
        ids: (time, batch), integers in [0, rows).
    """

    table: Float[np.ndarray, "rows input_size"]
    ids: Int[np.ndarray, "time batch"]


class Layout(NamedTuple):
    """How a caller's arrays lie. Inside, sequences are (time, batch, …) and states (layers, batch, …)."""

    batched: bool
    batch_first: bool

    def inward(self, y: np.ndarray) -> np.ndarray:
        return self.outward(y) if self.batched else y[:, None]

    def outward(self, y: np.ndarray) -> np.ndarray:
        return y[:, 0] if not self.batched else y.swapaxes(0, 1) if self.batch_first else y

    def inward_state(self, state: np.ndarray) -> np.ndarray:
        return state if self.batched else state[:, None]

    def outward_state(self, state: np.ndarray) -> np.ndarray:
        return state if self.batched else state[:, 0]


def layout_of(layer: Module, x: np.ndarray | Rows, weight_ih: np.ndarray, batch_first: bool) -> Layout:
    """How the input of a layer lies that multiplies it by `weight_ih`.

    Raises:
        ValueError: another dtype than the weight's, a shape that is not one of the two, or no time step.
        IndexError: an id in `Rows` that is out of range.
    """
    input_size = weight_ih.shape[1]
    if isinstance(x, Rows):
        check_floating(layer, weight=weight_ih, table=x.table)
        check_class_ids(layer, x.ids, len(x.table))
        shape, layout = (*x.ids.shape, x.table.shape[-1]), Layout(True, False)
    else:
        check_floating(layer, weight=weight_ih, input=x)
        shape, layout = x.shape, Layout(x.ndim == 3, batch_first and x.ndim == 3)
    if len(shape) not in (2, 3) or shape[-1] != input_size:
        order = "(batch, time" if batch_first else "(time, batch"
        raise ValueError(
            f"{layer!r} expects an input of shape {order}, {input_size}) or (time, {input_size}), got {shape}"
        )
    if shape[1 if layout.batch_first else 0] == 0:
        raise ValueError(f"{layer!r} expects at least one time step, got none")
    return layout


def ended_of(layer: object, lengths: np.ndarray | None, steps: int, batch: int) -> Ended | None:
    """True where a sequence of the batch has ended; None where no lengths are given.

    Raises:
        ValueError: lengths that are not `batch` integers from 1 to `steps`.
    """
    if lengths is None:
        return None
    lengths = np.asarray(lengths)
    if lengths.shape != (batch,) or not np.issubdtype(lengths.dtype, np.integer):
        raise ValueError(
            f"{layer!r} expects lengths to be {batch} integers, one for each sequence of the batch, "
            f"got {lengths.dtype} of shape {lengths.shape}"
        )
    if batch and (lengths.min() < 1 or lengths.max() > steps):
        raise ValueError(f"{layer!r} expects lengths from 1 to {steps}, got {lengths.tolist()}")
    ended: np.ndarray = np.arange(steps)[:, None, None] >= lengths
    return ended


def unless_ended(
    ended: Ended | None,
    t: int,
    moved: Float[np.ndarray, "size batch"],
    stayed: Float[np.ndarray, "size batch"],
) -> Float[np.ndarray, "size batch"]:
    """What step `t` has moved; where a sequence had ended before it, what stayed."""
    return moved if ended is None else np.where(ended[t], stayed, moved)
