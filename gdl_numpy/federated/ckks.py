"""Updates under CKKS, which encrypts vectors of approximate real numbers, thousands in one ciphertext.

As with Paillier, the server adds what it cannot read, and only the sum is decrypted. CKKS is a hundred times
faster, since its ciphertexts are polynomials and not powers modulo a number of 4,096 bits; the price is noise
in the last places of what is decrypted, and that it must not be shown to who could ask again: what CKKS
decrypts to, noise included, tells of its key (Li and Micciancio 2021). Here the average is all that leaves,
once a round.

By a library (`tenseal`, which has Microsoft SEAL in it): the encryption, and the choice of its noise. The
parameters are the ones of 128-bit security for a ring of 8,192 (HomomorphicEncryption.org's standard: at most
218 bits of modulus, here 200).

Source: J. H. Cheon, A. Kim, M. Kim and Y. Song, *Homomorphic Encryption for Arithmetic of Approximate
    Numbers*, 2017.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import tenseal

from gdl_numpy.federated.averaging import Average, Protection
from gdl_numpy.federated.fixed_point import FixedPoint, encoded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gdl_numpy.federated.update import Layout, Update

DEGREE = 8192  # of the ring; half as many numbers share a ciphertext
MODULI = (60, 40, 40, 60)  # bits
SCALE = 2.0**40


@dataclass
class Approximate(Protection):
    """Averaging under CKKS; one key for all rounds, which the server does not have."""

    sees = "ciphertexts"

    def __post_init__(self) -> None:
        self._holder = tenseal.context(
            tenseal.SCHEME_TYPE.CKKS, poly_modulus_degree=DEGREE, coeff_mod_bit_sizes=list(MODULI)
        )
        self._holder.global_scale = SCALE
        self.public = self._holder.copy()
        self.public.make_context_public()

    def check(self, layout: Layout, update: Update, participants: int) -> None:
        """Refuses what fixed point has no room for: CKKS would take it, and decrypt it to something else."""
        encoded(FixedPoint(), layout, update, participants)

    def average(self, layout: Layout, selected: Sequence[str], updates: Sequence[Update]) -> Average:
        """See `Protection.average`.

        Raises:
            ValueError: fewer than two updates, whose sum would be one of them; or numbers outside the fixed
                point's range.
        """
        if len(updates) < 2:
            raise ValueError(f"a sum of at least 2 updates may be decrypted, got {len(updates)}")
        for update in updates:
            self.check(layout, update, len(selected))
        sent = {update.participant: self.encrypt(layout, update) for update in updates}
        totals = [self._sum(pieces) for pieces in zip(*sent.values(), strict=True)]
        numbers = np.concatenate([self._decrypt(total) for total in totals])[: layout.size + 1]
        sizes = {name: sum(map(len, pieces)) for name, pieces in sent.items()}
        return Average(numbers[:-1] / numbers[-1], sizes, sent)

    def encrypt(self, layout: Layout, update: Update) -> list[bytes]:
        """Returns ciphertexts of n v and n, 4,096 numbers in each: what a participant does."""
        values = np.append(layout.flatten(update.delta) * update.examples, update.examples)
        pieces = np.split(values, range(DEGREE // 2, len(values), DEGREE // 2))
        return [tenseal.ckks_vector(self.public, piece).serialize() for piece in pieces]

    def _sum(self, pieces: Sequence[bytes]) -> Any:
        first, *others = (tenseal.ckks_vector_from(self.public, piece) for piece in pieces)
        for other in others:
            first += other
        return first

    def _decrypt(self, total: Any) -> np.ndarray:
        total.link_context(self._holder)
        return np.array(total.decrypt())
