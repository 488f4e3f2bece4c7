"""A secret in shares, any t of which give it back, and t − 1 of which say nothing about it.

    f(x) = s + a_1 x + … + a_{t−1} x^{t−1}  mod p,    the share of i is f(i),    s = f(0)

with random a. Through t points goes one such polynomial, and through t − 1 points and any s there goes one
too.

Written here, since the library `cryptography` has no secret sharing; the random numbers are `secrets`'.
Python's integers do not take the same time for all values, so this is not for where somebody can measure
that.

Source: A. Shamir, *How to Share a Secret*, 1979.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection

PRIME = 2**521 - 1
SIZE = 66  # bytes of a number below it
SECRET = 64  # the most bytes of a secret


class Share(NamedTuple):
    """A point of the polynomial.

    Attributes:
        x: i, from 1 on.
        y: f(i).
    """

    x: int
    y: int

    def to_bytes(self) -> bytes:
        """Returns the share in 70 bytes."""
        return self.x.to_bytes(4) + self.y.to_bytes(SIZE)

    @classmethod
    def from_bytes(cls, content: bytes) -> Share:
        """Returns the share that `to_bytes` wrote.

        Raises:
            ValueError: the bytes are of no share.
        """
        share = cls(int.from_bytes(content[:4]), int.from_bytes(content[4:]))
        if len(content) != 4 + SIZE or share.x < 1 or share.y >= PRIME:
            raise ValueError("Share: content must be of a share")
        return share


def split(secret: bytes, count: int, threshold: int) -> list[Share]:
    """Returns shares of a secret, for x from 1 to `count`.

    Args:
        secret: at most 64 bytes.
        count: how many shares there are.
        threshold: how many of them give the secret back.

    Raises:
        ValueError: a secret that is too long, or a threshold that is not from 1 to `count`.
    """
    if len(secret) > SECRET:
        raise ValueError(f"split: secret must have at most {SECRET} bytes, got {len(secret)}")
    if not 1 <= threshold <= count:
        raise ValueError(f"split: threshold must be from 1 to {count}, the number of shares, got {threshold}")
    coefficients = [int.from_bytes(secret), *(secrets.randbelow(PRIME) for _ in range(threshold - 1))]
    return [Share(index, _value(coefficients, index)) for index in range(1, count + 1)]


def combine(shares: Collection[Share], size: int) -> bytes:
    """Returns the secret, by Lagrange's interpolation at 0: s = Σ_i f(i) Π_{j≠i} j / (j − i).

    Args:
        shares: as many as the threshold says, or more. Of fewer, or wrong ones, comes another number.
        size: bytes of the secret.

    Raises:
        ValueError: no shares, one x twice, or what comes out has more bytes.
    """
    places = [share.x for share in shares]
    if not places or len(set(places)) != len(places):
        raise ValueError(f"combine: shares must be of different x, got {places}")
    secret = 0
    for x, y in shares:
        numerator = denominator = 1
        for other in places:
            if other != x:
                numerator = numerator * other % PRIME
                denominator = denominator * (other - x) % PRIME
        secret += y * numerator * pow(denominator, -1, PRIME)
    secret %= PRIME
    if secret >= 256**size:
        raise ValueError("combine: the shares do not fit together")
    return secret.to_bytes(size)


def _value(coefficients: list[int], x: int) -> int:
    """The polynomial at x, by Horner's rule."""
    value = 0
    for coefficient in reversed(coefficients):
        value = (value * x + coefficient) % PRIME
    return value
