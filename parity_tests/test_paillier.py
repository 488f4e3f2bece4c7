"""Paillier: only the sum is decrypted, many weights share a ciphertext, and short keys are refused."""

from __future__ import annotations

import time
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("phe", reason="phe is not installed: pip install -e .[federated]")

from phe.paillier import PaillierPublicKey, generate_paillier_keypair

from gdl_numpy.federated import Layout, Update, split_evenly
from gdl_numpy.federated.fixed_point import FixedPoint
from gdl_numpy.federated.paillier import Encrypted, KeyHolder, Packing, add, encrypt
from parity_tests.support.federation import LAYOUT, federation, plain, updates

NAMES = "abcde"


@cache
def demo() -> Encrypted:
    """With short keys, which are quick to compute with."""
    return Encrypted(512, insecure_demo_keys=True)


@cache
def short_key() -> PaillierPublicKey:
    return generate_paillier_keypair(n_length=256)[0]


@pytest.mark.parametrize("gone", ["", "a", "bd"])
@pytest.mark.parametrize("bits", [8, 24, 40])
def test_the_average_is_the_plain_one_within_half_a_step(gone: str, bits: int) -> None:
    numbers = FixedPoint(bits)
    protection = Encrypted(512, True, numbers)
    there = updates("".join(name for name in NAMES if name not in gone))
    average = protection.average(LAYOUT, NAMES, there)
    error = np.abs(average.delta - plain(there)).max()
    assert error <= numbers.step / 2 + 4 * np.finfo(np.float64).eps * np.abs(plain(there)).max()
    assert error > 0 or bits > 8


def test_with_a_key_of_2048_bits() -> None:
    """As long as it is by default: 31 weights in a ciphertext of 512 bytes."""
    protection = Encrypted()
    assert protection.packing.slots == 31
    assert protection.holder.public_key.n.bit_length() == 2048
    average = protection.average(LAYOUT, "ab", updates("ab"))
    assert np.abs(average.delta - plain(updates("ab"))).max() <= FixedPoint().step / 2 + 1e-15
    assert average.sent == {"a": 512, "b": 512}


def test_packing_costs_a_tenth_and_less_for_each_weight() -> None:
    """Beside one ciphertext for each weight: in bytes by count, and in seconds, with 2,048 bits."""
    key = generate_paillier_keypair(n_length=2048)[0]
    values = np.arange(62)
    seconds, sizes = [], []
    for slots in (1, None):
        packing = Packing.fitting(key, slots)
        start = time.process_time()
        sizes.append(len(encrypt(packing, values)))
        seconds.append(time.process_time() - start)
    assert sizes == [62, 2]
    assert seconds[0] > 10 * seconds[1]


def test_rounds_under_encryption_are_the_plain_ones() -> None:
    rows = split_evenly(300, 3)
    ours, theirs = federation(rows, demo()), federation(rows)
    list(ours.run(1))
    list(theirs.run(1))
    for name, array in theirs.task.model.state_dict().items():
        apart = np.abs(ours.task.model.state_dict()[name] - array).max()
        assert 0 < apart <= FixedPoint().step / 2 + 4 * np.finfo(np.float64).eps


WORDS = st.lists(st.integers(-(2**61), 2**61), min_size=1, max_size=9)


@given(WORDS, st.integers(1, 3))
def test_what_is_packed_is_unpacked(values: list[int], slots: int) -> None:
    packing = Packing.fitting(short_key(), slots)
    array = np.array(values, np.int64)
    np.testing.assert_array_equal(packing.unpack(packing.pack(array), len(array)), array)


@given(st.lists(st.tuples(*[st.integers(-(2**60), 2**60)] * 3), min_size=1, max_size=7))
def test_sums_of_packed_numbers_do_not_spill(rows: list[tuple[int, int, int]]) -> None:
    """Up to the largest, of both signs: no digit borrows from its neighbour for good."""
    packing = Packing.fitting(short_key())
    vectors = [np.array(row, np.int64) for row in rows]
    totals = [sum(column) % packing.public_key.n for column in zip(*map(packing.pack, vectors), strict=True)]
    np.testing.assert_array_equal(packing.unpack(totals, 3), np.sum(vectors, axis=0))


def test_a_sum_is_encrypted_anew_each_time() -> None:
    """The same numbers do not look the same, and their sum is added without the private key."""
    holder = demo().holder
    packing = demo().packing
    values = np.array([1, -2, 3])
    one, other = encrypt(packing, values), encrypt(packing, values)
    assert one != other
    total = add(holder.public_key, [one, other])
    np.testing.assert_array_equal(holder.decrypt(total, packing, 3), [2, -4, 6])


def test_what_is_no_sum_of_packed_numbers_is_refused() -> None:
    holder = demo().holder
    packing = Packing.fitting(holder.public_key, 1)
    wild = [holder.public_key.raw_encrypt(holder.public_key.n // 2)]
    with pytest.raises(ValueError, match="the decrypted sum is none of packed numbers"):
        holder.decrypt(wild, packing, 1)


@pytest.mark.parametrize("bits", [128, 1024, 2047])
def test_short_keys_are_refused(bits: int) -> None:
    with pytest.raises(
        ValueError, match=f"key_bits must be at least 2048, got {bits}: .*--insecure-demo-keys"
    ):
        Encrypted(bits)


def test_keys_for_no_number_at_all() -> None:
    with pytest.raises(ValueError, match="key_bits must be at least 66, for one number, got 64"):
        KeyHolder(64, insecure_demo_keys=True)
    assert Encrypted(128, insecure_demo_keys=True).packing.slots == 1  # the book's


@pytest.mark.parametrize("slots", [0, 4])
def test_slots_that_there_is_no_room_for(slots: int) -> None:
    with pytest.raises(ValueError, match=f"slots must be from 1 to 3 with such a key, got {slots}"):
        Packing.fitting(short_key(), slots)
    with pytest.raises(ValueError, match=f"slots must be from 1 to 3 with such a key, got {slots}"):
        Packing(short_key(), slots)


@pytest.mark.parametrize("count", [2, 50])
@pytest.mark.parametrize("sign", [-1, 1])
def test_the_largest_that_fixed_point_lets_in_stays_in_its_slot(count: int, sign: int) -> None:
    """As many examples as there may be, of the largest weights, beside the largest of the other sign."""
    protection = demo()
    layout = Layout({"w": (7,)})
    largest = np.nextafter(protection.numbers.largest, 0)
    delta = sign * largest * np.array([1, -1, 1, 1, -1, 0, -1])
    n = protection.numbers.most_examples // count
    given = [Update(f"{number}", {"w": delta}, n, 0.0) for number in range(count)]
    average = protection.average(layout, [update.participant for update in given], given).delta
    assert np.abs(average - delta).max() <= protection.numbers.step / 2


def test_a_single_update_is_not_decrypted() -> None:
    with pytest.raises(ValueError, match="a sum of at least 2 updates may be decrypted, got 1"):
        demo().average(LAYOUT, NAMES, updates("a"))
