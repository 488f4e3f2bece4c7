"""The account of privacy that Opacus keeps, for rounds in which all take part, or some drawn at random."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from gdl_numpy.federated.noise import ExactAccountant

# Rényi's α, of which the one that gives the best bound is taken. Opacus' own end at 63, too soon for much
# noise.
ORDERS = [1 + x / 10 for x in range(1, 100)] + list(range(12, 64)) + [2**x for x in range(6, 17)]
# Where numbers are computed from densities: for a δ, and a bound of ε, within these. Above, e^ε is no float
# (the result is infinite, or wrong, from 709 on); below, seconds are needed for one percent.
DELTAS = (1e-10, 1e-2)
BOUNDS = (0.05, 500.0)
ERROR = 0.002  # of ε, as a share of its bound


class OpacusAccountant:
    """Opacus' numerical accountant, as `gdl_numpy.federated.noise` uses one.

    The privacy loss of each round is a random variable, and that of all rounds their sum: its distribution is
    computed on a grid, by Fourier's transform (PRV; Gopi, Lee and Wutschitz, *Numerical Composition of
    Differential Privacy*, 2021). The result is never too small, and the grid so fine that where all take part
    it is at most one percent above ε; how fine that is, a bound by Rényi's divergence says (`bound`; Mironov
    2017).

    Where that cannot be (`is_numerical`), ε is the exact one of `ExactAccountant` if all take part, and else
    Rényi's bound.

    Args:
        sample_rate: the probability with which each participant takes part in a round.

    Raises:
        ValueError: a rate that is not more than 0, or more than 1.
    """

    def __init__(self, sample_rate: float = 1.0) -> None:
        from opacus.accountants import PRVAccountant, RDPAccountant  # here, since it takes seconds

        if not 0 < sample_rate <= 1:
            raise ValueError(f"sample_rate must be more than 0, and at most 1, got {sample_rate}")
        self.numerical: Any = PRVAccountant()
        self.renyi: Any = RDPAccountant()
        self.exact = ExactAccountant()
        self.sample_rate = sample_rate

    def spend(self, noise_multiplier: float) -> None:
        """Notes a round with noise of `noise_multiplier` times the clipping norm."""
        for each in (self.numerical, self.renyi):
            each.step(noise_multiplier=noise_multiplier, sample_rate=self.sample_rate)
        self.exact.spend(noise_multiplier)

    def epsilon(self, delta: float) -> float:
        """Returns what was spent so far: 0 before the first round."""
        bound = self.bound(delta)
        if not is_numerical(bound, delta):
            return self.exact.epsilon(delta) if self.sample_rate == 1 else bound
        # Where all take part, the logarithm of 1 − 1 is taken; and Rényi's bound in Opacus' own orders says
        # how far to compute, where a looser one only means more work.
        with np.errstate(divide="ignore"), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Optimal order", UserWarning)
            return float(self.numerical.get_epsilon(delta=delta, eps_error=ERROR * bound))

    def bound(self, delta: float) -> float:
        """Returns Rényi's bound of what was spent so far, which is never below it."""
        if not len(self.renyi):
            return 0.0
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Optimal order", UserWarning)
            # Of much noise, or a large δ, it may come out below 0: then nothing was spent.
            return max(0.0, float(self.renyi.get_epsilon(delta=delta, alphas=ORDERS)))


def is_numerical(bound: float, delta: float) -> bool:
    """Whether ε is computed from densities, for a bound of it and a δ."""
    return DELTAS[0] <= delta <= DELTAS[1] and BOUNDS[0] <= bound <= BOUNDS[1]
