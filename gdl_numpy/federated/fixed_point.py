"""Real numbers as integers, which can be masked, encrypted and added up without rounding.

    q = round(2^f · v),    Σ_k n_k v_k / Σ_k n_k  ≈  Σ_k n_k q_k / (2^f Σ_k n_k)

Each q is off by half a step of 2^−f at most, and so is the weighted mean of them: the average under masks or
encryption is the plain one within 2^−(f+1), and the rounding of float64. Sums are exact, modulo 2^64.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gdl_numpy.federated.update import RefusedUpdateError

if TYPE_CHECKING:
    from jaxtyping import Float64, Int64

    from gdl_numpy.federated.update import Layout, Update

WORD = 64  # bits of a sum


@dataclass(frozen=True)
class FixedPoint:
    """How numbers are rounded, and how large they may be.

    Attributes:
        fraction_bits: f, bits after the point.
        integer_bits: values are less than 2 to the power of this, and more than minus that.

    Raises:
        ValueError: bits below 0, or more together than leave room for a sum.
    """

    fraction_bits: int = 24
    integer_bits: int = 7

    def __post_init__(self) -> None:
        for name in ("fraction_bits", "integer_bits"):
            if getattr(self, name) < 0:
                raise ValueError(f"FixedPoint: {name} must be 0 or more, got {getattr(self, name)}")
        bits = self.fraction_bits + self.integer_bits
        if bits > 48:
            raise ValueError(
                f"FixedPoint: fraction_bits and integer_bits must be at most 48 together, got {bits}: "
                f"a sum has {WORD} bits, and some of them are for the number of examples"
            )

    @property
    def step(self) -> float:
        """The distance of neighbouring numbers, 2^−f."""
        return 2.0**-self.fraction_bits

    @property
    def largest(self) -> float:
        """What values are less than."""
        return 2.0**self.integer_bits

    @property
    def most_examples(self) -> int:
        """How many examples all participants may have together, so that no sum overflows."""
        bits: int = 2 ** (WORD - 2 - self.fraction_bits - self.integer_bits)
        return bits

    def encode(
        self, values: Float64[np.ndarray, " weights"], examples: int, participants: int
    ) -> Int64[np.ndarray, " numbers"]:
        """Returns n q of each value, and at last n itself: all that an average needs, in one sum.

        Args:
            values: v, of one participant.
            examples: n, of the same.
            participants: how many vectors will be added up, at most.

        Raises:
            ValueError: values that are not finite or too large, or too many examples.
        """
        wrong = values[~(np.abs(values) < self.largest)]
        if wrong.size:
            raise ValueError(
                f"values must be between -{self.largest:g} and {self.largest:g} in fixed point, "
                f"got {wrong[0]:g}"
            )
        if not 1 <= examples <= self.most_examples // participants:
            raise ValueError(
                f"examples must be from 1 to {self.most_examples // participants:,} for each of "
                f"{participants} participants in fixed point, got {examples:,}"
            )
        rounded = np.rint(values * 2.0**self.fraction_bits).astype(np.int64)
        return np.append(rounded * examples, examples)

    def decode(self, total: Int64[np.ndarray, " numbers"]) -> Float64[np.ndarray, " weights"]:
        """Returns the average that a sum of encoded vectors stands for.

        Raises:
            ValueError: the sum is of no examples, and so of no such vectors.
        """
        examples = int(total[-1])
        if not 1 <= examples <= self.most_examples:
            raise ValueError(f"the sum must be of 1 to {self.most_examples:,} examples, got {examples:,}")
        average: np.ndarray = total[:-1] / (examples * 2.0**self.fraction_bits)
        return average


def encoded(
    numbers: FixedPoint, layout: Layout, update: Update, participants: int
) -> Int64[np.ndarray, " numbers"]:
    """Returns an update as integers.

    Raises:
        RefusedUpdateError: a number outside the fixed point's range; the message names the participant.
    """
    try:
        return numbers.encode(layout.flatten(update.delta), update.examples, participants)
    except ValueError as error:
        raise RefusedUpdateError(f"participant {update.participant!r}: {error}") from None
