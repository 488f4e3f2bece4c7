"""Updates under Paillier's encryption: the server adds what it cannot read, and only the sum is decrypted.

With a public key n, E(a) E(b) mod n² is an encryption of a + b mod n. A plaintext has as many bits as n, far
more than one weight needs: so it holds many, each in 64 bits of its own, side by side. With B = 2^64 and the
weights as integers q_i, whose sums stay below B/2,

    M = Σ_i q_i B^i,    Σ_k M_k = Σ_i (Σ_k q_ki) B^i

The digits are signed. With B/2 added to each, none is negative, and they are read off the bytes of the sum.

The encryption is the library's (`phe`, with `gmpy2` for its arithmetic); the packing is written here. Whoever
holds the private key can read everything that it is given: it must be given sums alone, and so must not be
the server.

Sources: P. Paillier, *Public-Key Cryptosystems Based on Composite Degree Residuosity Classes*, 1999; chapter
    15.
"""

from __future__ import annotations

import functools
import operator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from phe.paillier import EncryptedNumber, PaillierPrivateKey, PaillierPublicKey, generate_paillier_keypair

from gdl_numpy.federated.averaging import Average, Protection
from gdl_numpy.federated.fixed_point import WORD, FixedPoint, encoded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Int64

    from gdl_numpy.federated.update import Layout, Update

LEAST_BITS = 2048
HALF = np.uint64(1 << (WORD - 1))  # B / 2


class KeyHolder:
    """The one that can decrypt, and is given sums alone.

    Args:
        bits: of the key.
        insecure_demo_keys: take shorter ones, such as the book's 128 bits, which a computer breaks at once.

    Raises:
        ValueError: a key that is too short.
    """

    def __init__(self, bits: int = LEAST_BITS, insecure_demo_keys: bool = False) -> None:
        if bits < LEAST_BITS and not insecure_demo_keys:
            raise ValueError(
                f"key_bits must be at least {LEAST_BITS}, got {bits}: shorter keys are broken "
                "(--insecure-demo-keys takes them all the same)"
            )
        if bits < WORD + 2:
            raise ValueError(f"key_bits must be at least {WORD + 2}, for one number, got {bits}")
        self.public_key: PaillierPublicKey
        self._private_key: PaillierPrivateKey
        self.public_key, self._private_key = generate_paillier_keypair(n_length=bits)

    def decrypt(
        self, ciphertexts: Sequence[int], packing: Packing, count: int
    ) -> Int64[np.ndarray, " count"]:
        """Returns the integers in a sum of encrypted vectors.

        Raises:
            ValueError: what was encrypted was not packed in this way.
        """
        return packing.unpack([self._private_key.raw_decrypt(c) for c in ciphertexts], count)


@dataclass(frozen=True)
class Packing:
    """How many integers share a plaintext.

    Attributes:
        public_key: whose n the plaintexts are below.
        slots: integers in one.

    Raises:
        ValueError: slots below 1, or more than there is room for.
    """

    public_key: PaillierPublicKey
    slots: int

    @classmethod
    def fitting(cls, public_key: PaillierPublicKey, slots: int | None = None) -> Packing:
        """Returns a packing of as many integers as there is room for, or of `slots`."""
        return cls(public_key, cls.room(public_key) if slots is None else slots)

    @staticmethod
    def room(public_key: PaillierPublicKey) -> int:
        """How many integers a plaintext has room for."""
        room: int = (public_key.n.bit_length() - 2) // WORD  # |M| < B^slots / 2 ≤ n / 2: signs can be told
        return room

    def __post_init__(self) -> None:
        room = self.room(self.public_key)
        if not 1 <= self.slots <= room:
            raise ValueError(f"slots must be from 1 to {room} with such a key, got {self.slots}")

    @property
    def offset(self) -> int:
        """What makes all digits positive, Σ_i B/2 · B^i."""
        return sum(1 << (WORD * slot + WORD - 1) for slot in range(self.slots))

    def pack(self, values: Int64[np.ndarray, " numbers"]) -> list[int]:
        """Returns plaintexts, each of `slots` of the values, the last one filled up with zeros."""
        padded = np.zeros((-(-len(values) // self.slots), self.slots), np.int64)
        padded.reshape(-1)[: len(values)] = values
        rows = (padded.view(np.uint64) ^ HALF).astype("<u8")  # + B/2 modulo B is a flip of the highest bit
        n, offset = self.public_key.n, self.offset
        return [(int.from_bytes(row.tobytes(), "little") - offset) % n for row in rows]

    def unpack(self, plaintexts: Sequence[int], count: int) -> Int64[np.ndarray, " count"]:
        """Returns the first `count` values of plaintexts, or of sums of some.

        Raises:
            ValueError: a plaintext that is no sum of packed ones.
        """
        n, offset, size = self.public_key.n, self.offset, self.slots * WORD // 8
        signed = (m - n if m > n // 2 else m for m in plaintexts)
        try:
            content = b"".join((m + offset).to_bytes(size, "little") for m in signed)
        except OverflowError:
            raise ValueError(
                "the decrypted sum is none of packed numbers: a participant sent others"
            ) from None
        values: np.ndarray = (np.frombuffer(content, "<u8").astype(np.uint64) ^ HALF).view(np.int64)
        return values[:count]


@dataclass
class Encrypted(Protection):
    """Averaging of updates that the server cannot read; one key for all rounds.

    Attributes:
        key_bits: of the key.
        insecure_demo_keys: take keys below 2,048 bits.
        numbers: how real numbers become integers; the average is off by half its step at most.
        slots: numbers in a ciphertext; None for as many as there is room for.

    Raises:
        ValueError: a key that is too short, or more slots than it has room for.
    """

    key_bits: int = LEAST_BITS
    insecure_demo_keys: bool = False
    numbers: FixedPoint = field(default_factory=FixedPoint)
    slots: int | None = None

    sees = "ciphertexts"

    def __post_init__(self) -> None:
        self.holder = KeyHolder(self.key_bits, self.insecure_demo_keys)
        self.packing = Packing.fitting(self.holder.public_key, self.slots)

    def check(self, layout: Layout, update: Update, participants: int) -> None:
        encoded(self.numbers, layout, update, participants)

    def average(self, layout: Layout, selected: Sequence[str], updates: Sequence[Update]) -> Average:
        """See `Protection.average`.

        Raises:
            ValueError: fewer than two updates, whose sum would be one of them; or numbers outside the fixed
                point's range.
        """
        if len(updates) < 2:
            raise ValueError(f"a sum of at least 2 updates may be decrypted, got {len(updates)}")
        sent = {
            update.participant: encrypt(self.packing, encoded(self.numbers, layout, update, len(selected)))
            for update in updates
        }
        total = add(self.holder.public_key, list(sent.values()))
        average = self.numbers.decode(self.holder.decrypt(total, self.packing, layout.size + 1))
        size = -(-self.holder.public_key.nsquare.bit_length() // 8)
        return Average(average, {name: size * len(c) for name, c in sent.items()}, sent)


def encrypt(packing: Packing, values: Int64[np.ndarray, " numbers"]) -> list[int]:
    """Returns ciphertexts of some integers: a participant's part, with the public key."""
    return [int(packing.public_key.raw_encrypt(m)) for m in packing.pack(values)]


def add(public_key: PaillierPublicKey, vectors: Sequence[Sequence[int]]) -> list[int]:
    """Returns ciphertexts of the sum of encrypted vectors: the server's part, which needs no key to read."""
    columns = zip(*vectors, strict=True)
    sums = (
        functools.reduce(operator.add, (EncryptedNumber(public_key, c) for c in column)) for column in columns
    )
    return [int(total.ciphertext(be_secure=False)) for total in sums]
