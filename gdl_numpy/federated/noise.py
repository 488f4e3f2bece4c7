"""Updates that are clipped and blurred, so that no participant's can be told from none.

Each participant scales its update down to a norm of C at most, and adds Gaussian noise of standard deviation
z C to every number of it, before it leaves. To whoever sees it, the server included, it is then nearly as
likely as if the participant had sent noise alone: (ε, δ)-differential privacy, of the participant, not of its
single examples.

    Δ̃_k = Δ_k · min(1, C / ‖Δ_k‖) + N(0, z² C² I),    w ← w + (1 / K) Σ_k Δ̃_k

All weigh the same in the average, since their numbers of examples tell something too. The noise of the mean
is z C / √K in each number: with few participants and many weights little is left of what was learned.

T rounds are one Gaussian mechanism with noise z / √T, and how much privacy it costs is known exactly
(`epsilon_of`). The accountants of libraries give bounds for this, and for rounds in which participants are
drawn at random.

Noise from floating-point generators is not quite Gaussian in its last places, which can be used against it
(Mironov 2012), and NumPy's generators are not made to keep secrets: this shows the method, and its price.

Sources: H. B. McMahan, D. Ramage, K. Talwar and L. Zhang, *Learning Differentially Private Recurrent Language
Models*, 2018; B. Balle and Y.-X. Wang, *Improving the Gaussian Mechanism for Differential Privacy*, 2018,
theorem 8.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from gdl_numpy.federated.averaging import Average, Protection, weighted_average

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jaxtyping import Float64

    from gdl_numpy.federated.update import Layout, Update

LARGEST_NORM = 1e100  # so that no noise is infinite
NOISE = (1e-3, 1e4)  # of a round: less keeps nothing private, with more there is nothing to learn


@runtime_checkable
class Accountant(Protocol):
    """Whoever keeps the account of privacy."""

    def spend(self, noise_multiplier: float) -> None:
        """Notes a round."""

    def epsilon(self, delta: float) -> float:
        """Returns what was spent so far."""
        ...


class ExactAccountant:
    """The account of rounds in which all take part, with the same noise or not: theorem, and no bound.

    Rounds with z_1, z_2, … are together as one with 1 / z² = Σ_t 1 / z_t².
    """

    def __init__(self) -> None:
        self.precision = 0.0

    def spend(self, noise_multiplier: float) -> None:
        """Notes a round with noise of `noise_multiplier` times the clipping norm."""
        self.precision += noise_multiplier**-2

    def epsilon(self, delta: float) -> float:
        """Returns what was spent so far: 0 before the first round."""
        return epsilon_of(self.precision**-0.5, delta) if self.precision else 0.0


@dataclass
class Noised(Protection):
    """The mean of clipped updates with noise.

    Attributes:
        clip_norm: C.
        noise_multiplier: z.
        delta: δ; much less than one over the number of participants.
        accountant: of what is spent.
        rng: where the noise comes from.

    Raises:
        ValueError: an argument out of its range.
    """

    clip_norm: float
    noise_multiplier: float
    delta: float = 1e-5
    accountant: Accountant = field(default_factory=ExactAccountant)
    rng: np.random.Generator = field(default_factory=np.random.default_rng)

    sees = "clipped updates with noise"

    def __post_init__(self) -> None:
        if not 0 < self.clip_norm <= LARGEST_NORM:
            raise ValueError(
                f"clip_norm must be more than 0, and at most {LARGEST_NORM:g}, got {self.clip_norm}"
            )
        check_account(self.noise_multiplier, self.delta, *NOISE)

    def average(self, layout: Layout, selected: Sequence[str], updates: Sequence[Update]) -> Average:
        sent = {update.participant: self.protect(layout.flatten(update.delta)) for update in updates}
        self.accountant.spend(self.noise_multiplier)
        mean = weighted_average(list(sent.values()), [1] * len(sent))
        return Average(mean, {name: vector.nbytes for name, vector in sent.items()}, sent)

    def protect(self, vector: Float64[np.ndarray, " weights"]) -> Float64[np.ndarray, " weights"]:
        """Returns what a participant sends instead of its update."""
        noise = self.rng.standard_normal(len(vector))
        noised: np.ndarray = clipped(vector, self.clip_norm) + self.noise_multiplier * self.clip_norm * noise
        return noised

    @property
    def epsilon(self) -> float:
        return self.accountant.epsilon(self.delta)

    def state(self) -> dict[str, Any]:
        return {"rng": self.rng.bit_generator.state}

    def restore(self, state: Mapping[str, Any], rounds: int) -> None:
        self.rng.bit_generator.state = state["rng"]  # no noise may come twice
        for _ in range(rounds):
            self.accountant.spend(self.noise_multiplier)


def check_account(noise_multiplier: float, delta: float, least: float, most: float) -> None:
    """Refuses what no privacy is computed of.

    Raises:
        ValueError: noise that is not from `least` to `most`, or a δ that is not between 0 and 1.
    """
    if not least <= noise_multiplier <= most:
        raise ValueError(f"noise_multiplier must be from {least:g} to {most:g}, got {noise_multiplier}")
    if not 0 < delta < 1:
        raise ValueError(f"delta must be between 0 and 1, got {delta}")


def clipped(vector: Float64[np.ndarray, " weights"], norm: float) -> Float64[np.ndarray, " weights"]:
    """Returns the vector, scaled down where its norm is larger than `norm`."""
    length = float(np.linalg.norm(vector))
    scaled: np.ndarray = vector * (norm / length) if length > norm else vector.copy()
    return scaled


def delta_of(noise_multiplier: float, epsilon: float) -> float:
    """Returns the δ that a Gaussian mechanism has for an ε: Φ(1/2z − ε z) − e^ε Φ(−1/2z − ε z)."""
    z = noise_multiplier
    tail = log_normal_cdf(-1 / (2 * z) - epsilon * z)
    return math.exp(log_normal_cdf(1 / (2 * z) - epsilon * z)) - math.exp(epsilon + tail)


def epsilon_of(noise_multiplier: float, delta: float) -> float:
    """Returns the ε that a Gaussian mechanism has for a δ, by halving intervals: δ falls as ε grows.

    Args:
        noise_multiplier: z, the noise's standard deviation over the largest distance of two answers.
        delta: δ, between 0 and 1.

    Raises:
        ValueError: an argument out of its range.
    """
    check_account(noise_multiplier, delta, 1e-100, 1e100)  # their squares are floats
    low, high = 0.0, 1.0
    while delta_of(noise_multiplier, high) > delta:
        low, high = high, 2 * high
    while high - low > 1e-12 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if delta_of(noise_multiplier, middle) > delta else (low, middle)
    return high


def log_normal_cdf(x: float) -> float:
    """The logarithm of Φ(x), also far to the left, where Φ(x) is too small for a float."""
    if x > -20:
        return math.log(0.5 * math.erfc(-x / math.sqrt(2)))
    # Φ(x) = φ(x) / −x · (1 − 1/x² + 3/x⁴ − 15/x⁶ …), off by 1e-8 at -20 and less below
    series = 1 - 1 / x**2 + 3 / x**4 - 15 / x**6
    return -(x**2) / 2 - math.log(-x * math.sqrt(2 * math.pi)) + math.log(series)
