"""What a participant sends: by how much its training moved each weight; and what a server refuses of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gdl_numpy.nn.checks import state_dict_faults

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jaxtyping import Float64

FEW = 3  # faults that a message names


class RefusedUpdateError(ValueError):
    """An update that must not get into an average; the message is one line that names its participant."""


@dataclass(frozen=True, eq=False)
class Update:
    """What one participant learned in one round.

    Attributes:
        participant: its name.
        delta: its weights minus those that it was sent, by the parameters' names, in float64: so is no digit
            of a float32 model lost, and what comes back is just what was learned.
        examples: how many it learned from: its weight in the average.
        loss: their mean loss while it learned, in its last pass.
    """

    participant: str
    delta: Mapping[str, np.ndarray]
    examples: int
    loss: float


def delta_of(before: Mapping[str, np.ndarray], after: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns by how much each parameter moved, in float64."""
    return {name: np.subtract(after[name], array, dtype=np.float64) for name, array in before.items()}


def moved(state: Mapping[str, np.ndarray], delta: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns the weights of `state`, moved by `delta`, in their own dtypes."""
    return {name: (array + delta[name]).astype(array.dtype) for name, array in state.items()}


@dataclass(frozen=True)
class Layout:
    """The order in which a model's parameters stand in one vector: what is masked, packed or clipped.

    Attributes:
        shapes: of the parameters, by their names.
    """

    shapes: Mapping[str, tuple[int, ...]]

    @classmethod
    def of(cls, state: Mapping[str, np.ndarray]) -> Layout:
        """Returns that of a model's `state_dict`."""
        return cls({name: array.shape for name, array in state.items()})

    @property
    def size(self) -> int:
        """How many numbers the vector has."""
        return sum(map(math.prod, self.shapes.values()))

    def flatten(self, delta: Mapping[str, np.ndarray]) -> Float64[np.ndarray, " weights"]:
        """Returns the parameters one after the other."""
        parts = [np.asarray(delta[name], np.float64).reshape(-1) for name in self.shapes]
        return np.concatenate([np.zeros(0), *parts])

    def unflatten(self, vector: Float64[np.ndarray, " weights"]) -> dict[str, np.ndarray]:
        """Returns the parameters of a vector, as views.

        Raises:
            ValueError: a vector of another length.
        """
        if len(vector) != self.size:
            raise ValueError(f"Layout: vector must have {self.size:,} numbers, got {len(vector):,}")
        sizes = [math.prod(shape) for shape in self.shapes.values()]
        pieces = np.split(vector, np.cumsum(sizes)[:-1])
        return {
            name: piece.reshape(shape)
            for (name, shape), piece in zip(self.shapes.items(), pieces, strict=True)
        }


def check_update(update: Update, state: Mapping[str, np.ndarray], max_norm: float = math.inf) -> None:
    """Refuses what would spoil an average.

    Args:
        update: as it came from a participant, who may be wrong or mean harm.
        state: the weights that the participant was sent.
        max_norm: the largest Euclidean norm that the update may have.

    Raises:
        RefusedUpdateError: other parameters or shapes than were sent, numbers that are not finite, a larger
            norm, a number of examples below 1, or a loss that is not finite.
    """
    try:
        _check_numbers(update, state, max_norm)
    except ValueError as error:
        raise RefusedUpdateError(f"participant {update.participant!r}: {error}") from None


def _check_numbers(update: Update, state: Mapping[str, np.ndarray], max_norm: float) -> None:
    if faults := state_dict_faults(state, update.delta):
        raise ValueError(f"its update does not fit the model: {'; '.join(faults[:FEW])}")
    if update.examples < 1:
        raise ValueError(f"examples must be at least 1, got {update.examples}")
    if not math.isfinite(update.loss):
        raise ValueError(f"its loss must be finite, got {update.loss}")
    for name, array in update.delta.items():
        if array.dtype.kind != "f":
            raise ValueError(f"its update of {name!r} must be of floats, got {array.dtype}")
        wrong = array[~np.isfinite(array)]
        if wrong.size:
            raise ValueError(f"its update of {name!r} must be finite, got {wrong.size:,} of {wrong.flat[0]}")
    norm = norm_of(update.delta)
    if norm > max_norm:
        raise ValueError(f"the norm of its update must be at most {max_norm:g}, got {norm:.3g}")


def norm_of(delta: Mapping[str, np.ndarray]) -> float:
    """Returns the Euclidean norm of all parameters together, also where its square would be too large."""
    return math.hypot(*(_norm(np.asarray(array, np.float64)) for array in delta.values()))


def _norm(array: np.ndarray) -> float:
    largest = float(np.abs(array).max(initial=0.0))
    return largest * float(np.linalg.norm(array / largest)) if 0 < largest < math.inf else largest
