"""CKKS: the average of what is encrypted is the plain one, within its noise; and the server has no key."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("tenseal", reason="tenseal is not installed: pip install -e .[ckks]")

import tenseal

from gdl_numpy.federated import Layout, Update
from gdl_numpy.federated.ckks import DEGREE, MODULI, Approximate
from parity_tests.support.federation import LAYOUT, plain, updates


def test_the_average_is_the_plain_one_within_a_ten_millionth() -> None:
    """What the noise is at a scale of 2^40 with 200 times as much to spare."""
    given = updates("abc")
    average = Approximate().average(LAYOUT, "abc", given)
    error = np.abs(average.delta - plain(given)).max()
    assert 0 < error < 1e-7


def test_more_numbers_than_a_ciphertext_has_room_for() -> None:
    layout = Layout({"w": (DEGREE // 2 + 10,)})
    rng = np.random.default_rng(0)
    given = [Update(name, {"w": rng.standard_normal(layout.size)}, 10, 0.0) for name in "ab"]
    average = Approximate().average(layout, "ab", given)
    np.testing.assert_allclose(average.delta, plain_mean(given), atol=1e-7)
    assert [len(pieces) for pieces in average.seen.values()] == [2, 2]


@pytest.mark.parametrize("examples", [1, 2**30])
def test_the_largest_numbers_that_are_let_in(examples: int) -> None:
    """A whole ciphertext of them: within a millionth, the noise growing with what it is added to."""
    layout = Layout({"w": (DEGREE // 2 - 1,)})
    largest = np.nextafter(128.0, 0) * np.where(np.arange(layout.size) % 2, 1, -1)
    given = [Update(name, {"w": largest}, examples, 0.0) for name in "ab"]
    average = Approximate().average(layout, "ab", given)
    np.testing.assert_allclose(average.delta, largest, atol=1e-6, rtol=0)


@pytest.mark.parametrize(("value", "examples"), [(128.0, 1), (-1e15, 1), (1e300, 1), (1.0, 2**31)])
def test_numbers_that_would_come_back_as_others_are_refused(value: float, examples: int) -> None:
    layout = Layout({"w": (2,)})
    given = [Update(name, {"w": np.array([0.0, value])}, examples, 0.0) for name in "ab"]
    reason = r"^participant 'a': (values|examples) must be .* in fixed point, got "
    with pytest.raises(ValueError, match=reason):
        Approximate().average(layout, "ab", given)
    with pytest.raises(ValueError, match=reason):
        Approximate().check(layout, given[0], 2)


def plain_mean(given: list[Update]) -> np.ndarray:
    mean: np.ndarray = np.mean([update.delta["w"] for update in given], axis=0)
    return mean


def test_the_server_cannot_decrypt() -> None:
    protection = Approximate()
    assert not protection.public.has_secret_key()
    vector = tenseal.ckks_vector_from(protection.public, protection.encrypt(LAYOUT, updates("a")[0])[0])
    with pytest.raises(ValueError, match="secret_key"):
        vector.decrypt()


def test_the_modulus_is_short_enough_for_its_ring() -> None:
    """128 bits of security by the standard: at most 218 bits with a ring of 8,192."""
    assert DEGREE == 8192
    assert sum(MODULI) <= 218


def test_a_single_update_is_not_decrypted() -> None:
    with pytest.raises(ValueError, match="a sum of at least 2 updates may be decrypted, got 1"):
        Approximate().average(LAYOUT, "ab", updates("a"))
