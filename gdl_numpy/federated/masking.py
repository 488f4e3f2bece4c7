"""Masks that cancel in a sum: a server adds up vectors of which it can read none.

Every two participants u < v agree on a secret that nobody else knows, and stretch it to a mask; u adds it, v
subtracts it. Each adds a mask of its own as well. Modulo 2^64, with PRG a stream of random 64-bit numbers:

    y_u = x_u + PRG(b_u) + Σ_{v>u} PRG(s_uv) − Σ_{v<u} PRG(s_uv)

In the sum over all, the masks between two cancel. What is left, the server takes away by shares of secrets
that participants have of each other: of b_u for each u whose y_u came, and for each that dropped out of its
private key, from which its masks with all others follow. Nobody gives both of one participant: with both, y_u
could be read, had it only been late. That is what b_u is for.

By a library (`cryptography`): X25519, HKDF-SHA-256, ChaCha20 as the stream, ChaCha20-Poly1305 for the shares.
Written here: who sends what to whom, the sums, and `shamir`. This is the protocol against a server that is
curious but keeps to it: signatures on the public keys, without which a server could invent participants, and
the check that all were told of the same survivors are not in here.

Source: K. Bonawitz et al., *Practical Secure Aggregation for Privacy-Preserving Machine Learning*, CCS 2017,
figure 4 without the parts for active adversaries.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from gdl_numpy.federated import shamir
from gdl_numpy.federated.shamir import Share

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from jaxtyping import UInt64

KEY = 32  # bytes of every key and seed
NONCE = bytes(12)  # the same always: each key encrypts one message


class Keys(NamedTuple):
    """A participant's public keys: for masks, and for the shares that others send it through the server."""

    mask: bytes
    channel: bytes


class MaskingClient:
    """A participant's part, for one round: `advertise`, `share`, `mask`, `unmask`, in this order.

    Args:
        name: by which the others know it.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.mask_key, self.channel_key = X25519PrivateKey.generate(), X25519PrivateKey.generate()
        self.own_seed = secrets.token_bytes(KEY)
        self.keys: dict[str, Keys] = {}
        self.threshold = 0
        self.received: dict[str, tuple[Share, Share]] = {}  # of others: of the own seed, of the mask key
        self.has_answered = False

    def advertise(self) -> Keys:
        """Returns the public keys, which the server hands to the others."""
        return Keys(public(self.mask_key), public(self.channel_key))

    def share(self, keys: Mapping[str, Keys], threshold: int) -> dict[str, bytes]:
        """Returns, for each participant, shares of this one's two secrets that only that one can read.

        Args:
            keys: everybody's public keys, this one's among them.
            threshold: how many shares give a secret back.

        Raises:
            ValueError: fewer than two participants, two with the same key, this one not among them or asked
                before; or a threshold of half of them or fewer: two groups could then be told different
                things, and each give what the other does not.
        """
        if self.keys:
            raise ValueError(f"{self.name!r} has shared its secrets: it does so once")
        if len(keys) < 2 or len({key for each in keys.values() for key in each}) != 2 * len(keys):
            raise ValueError(f"masks need at least 2 participants with keys of their own, got {len(keys)}")
        if keys.get(self.name) != self.advertise():
            raise ValueError(f"keys must have those that {self.name!r} gave, under its name")
        if not len(keys) / 2 < threshold <= len(keys):
            raise ValueError(
                f"threshold must be more than half of {len(keys)} participants, and at most all, "
                f"got {threshold}"
            )
        self.keys, self.threshold = dict(keys), threshold
        of_seed = shamir.split(self.own_seed, len(keys), threshold)
        of_key = shamir.split(self.mask_key.private_bytes_raw(), len(keys), threshold)
        return {
            name: self._channel(self.name, name).encrypt(NONCE, one.to_bytes() + other.to_bytes(), None)
            for name, one, other in zip(sorted(keys), of_seed, of_key, strict=True)
        }

    def mask(
        self, values: UInt64[np.ndarray, " numbers"], shares: Mapping[str, bytes]
    ) -> UInt64[np.ndarray, " numbers"]:
        """Returns the values under all masks.

        Args:
            values: x, modulo 2^64.
            shares: what each participant that is still there has for this one, encrypted.

        Raises:
            ValueError: fewer participants than the threshold, or than two; some that no keys are known of;
                shares that are not from whom they should be; or this one was asked before: the difference of
                two vectors under the same masks is that of their values.
        """
        if self.received:
            raise ValueError(f"{self.name!r} has masked its values: it does so once")
        if len(shares) < max(self.threshold, 2):
            raise ValueError(f"masks need {max(self.threshold, 2)} participants, got shares of {len(shares)}")
        if unknown := sorted(shares.keys() - self.keys.keys()):
            raise ValueError(f"shares must be of those whose keys are known, got some of {unknown[0]!r}")
        received = {}
        for name, content in shares.items():
            try:
                opened = self._channel(name, self.name).decrypt(NONCE, content, None)
            except InvalidTag:
                raise ValueError(f"the shares of {name!r} for {self.name!r} are not from there") from None
            half = len(opened) // 2
            received[name] = Share.from_bytes(opened[:half]), Share.from_bytes(opened[half:])
        self.received = received
        masked: np.ndarray = values + stream(self.own_seed, len(values))
        for other in shares:
            masked += self._pairwise(other, len(values))
        return masked

    def unmask(self, survivors: Collection[str]) -> dict[str, Share]:
        """Returns a share for each participant: of its own mask, or of its key where it dropped out.

        Args:
            survivors: the participants whose masked values the server has.

        Raises:
            ValueError: this one has masked nothing yet; there are too few, or some who have masked nothing
                either; or the server has asked before: a second answer might complete what the first began.
        """
        if self.has_answered:
            raise ValueError(f"{self.name!r} has given its shares: it gives no others")
        if not self.received:
            raise ValueError(f"{self.name!r} has masked nothing: there is nothing to unmask")
        if unknown := sorted(set(survivors) - self.received.keys()):
            raise ValueError(f"survivors must be of those who gave shares, got {unknown[0]!r}")
        if len(set(survivors)) < self.threshold:
            raise ValueError(f"{self.threshold} participants are needed to unmask, got {len(set(survivors))}")
        self.has_answered = True
        return {name: pair[name not in survivors] for name, pair in self.received.items()}

    def to_json(self) -> dict[str, Any]:
        """Returns all that it knows, for a participant that does not run from one step to the next.

        It holds secrets, and is for the participant alone.
        """
        return {
            "secrets": [self.mask_key.private_bytes_raw().hex(), self.channel_key.private_bytes_raw().hex()],
            "own_seed": self.own_seed.hex(),
            "keys": {name: [key.hex() for key in keys] for name, keys in self.keys.items()},
            "threshold": self.threshold,
            "received": {name: [s.to_bytes().hex() for s in pair] for name, pair in self.received.items()},
            "has_answered": self.has_answered,
        }

    @classmethod
    def from_json(cls, name: str, known: Mapping[str, Any]) -> MaskingClient:
        """Returns the one that knows what `to_json` gave.

        Args:
            name: by which the others know it.
            known: what it knows.
        """
        client = cls(name)
        client.mask_key, client.channel_key = (
            X25519PrivateKey.from_private_bytes(bytes.fromhex(secret)) for secret in known["secrets"]
        )
        client.own_seed = bytes.fromhex(known["own_seed"])
        client.keys = {other: Keys(*map(bytes.fromhex, keys)) for other, keys in known["keys"].items()}
        client.threshold = known["threshold"]
        for other, (one, two) in known["received"].items():
            client.received[other] = (
                Share.from_bytes(bytes.fromhex(one)),
                Share.from_bytes(bytes.fromhex(two)),
            )
        client.has_answered = known["has_answered"]
        return client

    def _channel(self, sender: str, receiver: str) -> ChaCha20Poly1305:
        other = self.keys[receiver if sender == self.name else sender].channel
        ends = self.keys[sender].channel + self.keys[receiver].channel
        return ChaCha20Poly1305(agreed(self.channel_key, other, b"gdl-parity shares" + ends))

    def _pairwise(self, other: str, count: int) -> UInt64[np.ndarray, " numbers"]:
        return pairwise(self.mask_key, self.name, other, self.keys, count)


def unmasked_sum(
    masked: Mapping[str, UInt64[np.ndarray, " numbers"]],
    answers: Mapping[str, Mapping[str, Share]],
    keys: Mapping[str, Keys],
) -> UInt64[np.ndarray, " numbers"]:
    """Returns the sum of the values of those whose masked values came: the server's part.

    Args:
        masked: what each survivor sent.
        answers: the shares that survivors gave, by the participants that they are of.
        keys: everybody's public keys.

    Raises:
        ValueError: no shares of a survivor, some of one that has no keys, or shares that do not fit together.
    """
    total: np.ndarray = np.stack(list(masked.values())).sum(axis=0, dtype=np.uint64)
    owners = {owner for answer in answers.values() for owner in answer}
    if wrong := sorted((masked.keys() - owners) | (owners - keys.keys())):
        what = "shares" if wrong[0] in masked else "keys"
        raise ValueError(f"the masks do not come off: there are no {what} of {wrong[0]!r}")
    for owner in sorted(owners):
        try:
            secret = shamir.combine([answer[owner] for answer in answers.values() if owner in answer], KEY)
        except ValueError:  # too few, or not of one polynomial
            raise ValueError(f"the shares of the secrets of {owner!r} do not fit together") from None
        if owner in masked:
            total -= stream(secret, len(total))
            continue
        key = X25519PrivateKey.from_private_bytes(secret)
        if public(key) != keys[owner].mask:
            raise ValueError(f"the shares of the secrets of {owner!r} do not fit together")
        for survivor in masked:  # whose masks with the one that dropped out are still in the sum
            total += pairwise(key, owner, survivor, keys, len(total))
    return total


def pairwise(
    key: X25519PrivateKey, name: str, other: str, keys: Mapping[str, Keys], count: int
) -> UInt64[np.ndarray, " numbers"]:
    """Returns the mask that `name` adds for itself and `other`, minus what `other` adds; 0 for itself."""
    if name == other:
        return np.zeros(count, np.uint64)
    first, second = sorted((name, other))
    seed = agreed(key, keys[other].mask, b"gdl-parity mask" + keys[first].mask + keys[second].mask)
    mask = stream(seed, count)
    return mask if name == first else np.negative(mask)


def public(key: X25519PrivateKey) -> bytes:
    """The public key, in 32 bytes."""
    return key.public_key().public_bytes_raw()


def agreed(key: X25519PrivateKey, other: bytes, purpose: bytes) -> bytes:
    """A key that two have in common: of one's private and the other's public key, for one purpose."""
    shared = key.exchange(X25519PublicKey.from_public_bytes(other))
    return HKDF(SHA256(), KEY, salt=None, info=purpose).derive(shared)


def stream(seed: bytes, count: int) -> UInt64[np.ndarray, " count"]:
    """Random numbers that follow from a seed: ChaCha20's stream, eight bytes each."""
    encryptor = Cipher(ChaCha20(seed, bytes(16)), mode=None).encryptor()
    return np.frombuffer(encryptor.update(bytes(8 * count)), "<u8").astype(np.uint64)
