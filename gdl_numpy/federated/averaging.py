"""Federated averaging: one model of many, each with as much weight as it has examples.

    w ← w + Σ_k n_k Δ_k / Σ_k n_k,    Δ_k = w_k − w

H. B. McMahan, E. Moore, D. Ramage, S. Hampson and B. Agüera y Arcas, *Communication-Efficient Learning of
Deep Networks from Decentralized Data*, AISTATS 2017, algorithm 1. Where each participant makes one step on
all its examples, Δ_k = −η g_k, and the average is −η Σ n_k g_k / Σ n_k: the step on all examples together.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jaxtyping import Float64

    from gdl_numpy.federated.update import Layout, Update


@dataclass(frozen=True, eq=False)
class Average:
    """What the server has after a round.

    Attributes:
        delta: the average of the participants' updates, in one vector.
        sent: the bytes that each participant sent for it.
        seen: what the server has of each participant's update: what anybody who reads along would have.
    """

    delta: Float64[np.ndarray, " weights"]
    sent: Mapping[str, int]
    seen: Mapping[str, Any]


class Protection(ABC):
    """A way to an average of updates; subclasses differ in what the server gets to see of a single one.

    Attributes:
        sees: what that is, in words.
    """

    sees: str

    @abstractmethod
    def average(self, layout: Layout, selected: Sequence[str], updates: Sequence[Update]) -> Average:
        """Returns the average of the updates, by the whole of the protocol.

        Args:
            layout: of the model's parameters in a vector.
            selected: the names of the participants that began the round.
            updates: of those that got so far as to have one.

        Raises:
            ValueError: there are too few updates, or one does not suit the protection.
        """

    def check(self, layout: Layout, update: Update, participants: int) -> None:  # noqa: B027 (all may do)
        """Has a participant see whether its update suits the protection, before anything of it leaves.

        Args:
            layout: of the model's parameters in a vector.
            update: the participant's.
            participants: how many began the round.

        Raises:
            RefusedUpdateError: it does not; the message names the participant.
        """

    @property
    def epsilon(self) -> float | None:
        """The privacy spent so far, where the protection accounts for it."""
        return None

    def state(self) -> dict[str, Any]:
        """What a run that is started again has to know, as JSON can hold it."""
        return {}

    def restore(self, state: Mapping[str, Any], rounds: int) -> None:  # noqa: B027 (all may do)
        """Goes on from a state.

        Args:
            state: as `state` gave it.
            rounds: how many were made before.
        """


class Plain(Protection):
    """No protection: the server sees every update."""

    sees = "every participant's update"

    def average(self, layout: Layout, selected: Sequence[str], updates: Sequence[Update]) -> Average:
        vectors = {update.participant: layout.flatten(update.delta) for update in updates}
        delta = weighted_average(list(vectors.values()), [update.examples for update in updates])
        return Average(delta, {name: vector.nbytes for name, vector in vectors.items()}, vectors)


def weighted_average(
    vectors: Sequence[Float64[np.ndarray, " weights"]], examples: Sequence[int]
) -> Float64[np.ndarray, " weights"]:
    """Returns Σ n_k v_k / Σ n_k.

    Raises:
        ValueError: nothing to average, vectors of different lengths, or not one positive weight for each.
    """
    if not vectors or len(vectors) != len(examples):
        raise ValueError(
            f"weighted_average: one weight for each vector is needed, got {len(vectors)} vectors and "
            f"{len(examples)} weights"
        )
    if min(examples) < 1:
        raise ValueError(f"weighted_average: examples must be at least 1, got {min(examples)}")
    shares = np.array(examples, np.float64) / sum(examples)
    if len({len(vector) for vector in vectors}) > 1:
        lengths = ", ".join(str(len(vector)) for vector in vectors)
        raise ValueError(f"weighted_average: vectors must be of one length, got {lengths}")
    average: np.ndarray = shares @ np.stack(vectors)
    return average
