"""Secure aggregation: the sum is right whoever drops out, and nothing else can be read."""

from __future__ import annotations

import itertools
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("cryptography", reason="cryptography is not installed: pip install -e .[federated]")

from gdl_numpy.federated import RoundError, Update, split_evenly
from gdl_numpy.federated.fixed_point import FixedPoint
from gdl_numpy.federated.masked import Masked
from gdl_numpy.federated.masking import Keys, MaskingClient, agreed, public, stream, unmasked_sum
from gdl_numpy.federated.shamir import PRIME, Share, combine, split
from parity_tests.support.federation import LAYOUT, Sends, federation, plain, updates

NAMES = "abcde"
Clients = dict[str, MaskingClient]


@pytest.mark.parametrize("gone", ["", "a", "c", "ae", "bd"])
@pytest.mark.parametrize("bits", [8, 24, 40])
def test_the_average_is_the_plain_one_within_half_a_step(gone: str, bits: int) -> None:
    """Also of those who are left, where some dropped out after they had given their shares."""
    numbers = FixedPoint(bits)
    there = updates("".join(name for name in NAMES if name not in gone))
    average = Masked(numbers).average(LAYOUT, NAMES, there)
    error = np.abs(average.delta - plain(there)).max()
    assert error <= numbers.step / 2 + 4 * np.finfo(np.float64).eps * np.abs(plain(there)).max()
    assert error > 0 or bits > 8  # it is really rounded
    assert set(average.sent) == {update.participant for update in there}


def test_rounds_under_masks_are_the_plain_ones() -> None:
    """A whole federation, one of whose participants fails: the same model, but for fixed point."""
    rows = split_evenly(300, 4)
    ours, theirs = federation(rows, Masked()), federation(rows)
    for made in (ours, theirs):
        made.participants = [*made.participants[:2], Sends("c", OSError("no power")), made.participants[3]]
    for masked, open_ in zip(ours.run(1), theirs.run(1), strict=True):
        assert masked.missed == open_.missed == {"c": "participant 'c': it failed (no power)"}
    for name, array in theirs.task.model.state_dict().items():
        apart = np.abs(ours.task.model.state_dict()[name] - array).max()
        assert 0 < apart <= FixedPoint().step / 2 + 4 * np.finfo(np.float64).eps


def exchange(names: str, threshold: int) -> tuple[Clients, dict[str, Keys], dict[str, dict[str, bytes]]]:
    clients = {name: MaskingClient(name) for name in names}
    keys = {name: client.advertise() for name, client in clients.items()}
    return clients, keys, {name: client.share(keys, threshold) for name, client in clients.items()}


def masked_values(
    names: str, threshold: int, count: int = 1000
) -> tuple[Clients, dict[str, Keys], dict[str, np.ndarray]]:
    clients, keys, shares = exchange(names, threshold)
    masked = {
        name: client.mask(np.full(count, 7, np.uint64), {s: each[name] for s, each in shares.items()})
        for name, client in clients.items()
    }
    return clients, keys, masked


def test_the_sum_is_exact() -> None:
    clients, keys, masked = masked_values("abc", 2)
    answers = {name: client.unmask(["a", "b", "c"]) for name, client in clients.items()}
    np.testing.assert_array_equal(unmasked_sum(masked, answers, keys), np.full(1000, 21, np.uint64))


def test_of_one_masked_vector_nothing_is_seen() -> None:
    """All values are 7, and what is sent looks random: each bit is set in half of the numbers."""
    _, _, masked = masked_values("abc", 2, count=4096)
    for vector in masked.values():
        bits = np.unpackbits(vector.view(np.uint8).reshape(-1, 8), axis=1).mean(axis=0)
        # Of 4,096 fair coins, in 3 · 64 trials, not one in a million such tests is further off than this.
        assert np.abs(bits - 0.5).max() < math.sqrt(math.log(2 * 192 / 1e-6) / (2 * 4096))
        assert len(np.unique(vector)) == 4096


def test_masks_between_two_cancel_and_ones_own_does_not() -> None:
    _, _, masked = masked_values("ab", 2)
    assert (masked["a"] + masked["b"] != 14).all()


def test_shares_of_either_kind_are_given_once() -> None:
    """A server that says first that one dropped out, and then that it did not, gets one answer."""
    clients, _, _ = masked_values("abc", 2)
    clients["a"].unmask(["a", "b"])
    with pytest.raises(ValueError, match="'a' has given its shares: it gives no others"):
        clients["a"].unmask(["a", "b", "c"])


def test_no_question_is_answered_twice() -> None:
    """Two vectors under the same masks would show how their values differ; other shares, other thresholds."""
    clients, keys, _ = masked_values("abc", 2)
    with pytest.raises(ValueError, match="'a' has shared its secrets: it does so once"):
        clients["a"].share(keys, 2)
    with pytest.raises(ValueError, match="'a' has masked its values: it does so once"):
        clients["a"].mask(np.zeros(1000, np.uint64), {})


@pytest.mark.parametrize("gone", ["", "a", "b", "c"])
@pytest.mark.parametrize("then", ["", "a", "b", "c"])
def test_no_two_answers_have_both_secrets_of_one(gone: str, then: str) -> None:
    """Whatever the server says of survivors, first and then: of each participant a share of one secret."""
    clients, _, _ = masked_values("abc", 2)
    answer = clients["a"].unmask([name for name in "abc" if name != gone])
    seed_or_key = {name: clients["a"].received[name][name == gone] for name in "abc"}
    assert answer == seed_or_key
    with pytest.raises(ValueError, match="'a' has given its shares: it gives no others"):
        clients["a"].unmask([name for name in "abc" if name != then])


def test_questions_out_of_their_turn_are_refused() -> None:
    clients, keys, shares = exchange("abc", 2)
    with pytest.raises(ValueError, match="'a' has masked nothing: there is nothing to unmask"):
        clients["a"].unmask(["a", "b"])
    with pytest.raises(ValueError, match="masks need 2 participants, got shares of 0"):
        MaskingClient("d").mask(np.zeros(1, np.uint64), {})
    for_a = {sender: each["a"] for sender, each in shares.items()}
    with pytest.raises(ValueError, match="whose keys are known, got some of 'd'"):
        clients["a"].mask(np.zeros(1, np.uint64), for_a | {"d": for_a["b"]})
    with pytest.raises(ValueError, match="keys must have those that 'd' gave, under its name"):
        MaskingClient("d").share(keys, 2)
    clients["a"].mask(np.zeros(1, np.uint64), for_a)
    with pytest.raises(ValueError, match="survivors must be of those who gave shares, got 'd'"):
        clients["a"].unmask(["a", "d"])


def test_a_server_without_the_shares_that_it_needs_says_of_whom() -> None:
    clients, keys, masked = masked_values("abc", 2)
    answers = {name: dict(client.unmask("abc")) for name, client in clients.items()}
    lacking = {name: {o: s for o, s in answer.items() if o != "b"} for name, answer in answers.items()}
    with pytest.raises(ValueError, match="there are no shares of 'b'"):
        unmasked_sum(masked, lacking, keys)
    with pytest.raises(ValueError, match="there are no keys of 'd'"):
        unmasked_sum(masked, answers | {"a": answers["a"] | {"d": Share(1, 1)}}, keys)
    with pytest.raises(ValueError, match="the shares of the secrets of 'a' do not fit together"):
        unmasked_sum(masked, {"a": answers["a"]}, keys)


def test_too_few_survivors_get_no_shares() -> None:
    clients, _, _ = masked_values("abcd", 3)
    with pytest.raises(ValueError, match="3 participants are needed to unmask, got 2"):
        clients["a"].unmask(["a", "b"])
    with pytest.raises(ValueError, match="got 1"):
        clients["a"].unmask(["a", "a", "a"])


def test_shares_that_somebody_changed_or_swapped_are_refused() -> None:
    clients, _, shares = exchange("abc", 2)
    for_a = {sender: each["a"] for sender, each in shares.items()}
    for content in (for_a["b"][:-1] + bytes([for_a["b"][-1] ^ 1]), for_a["c"], shares["b"]["c"], b""):
        with pytest.raises(ValueError, match="the shares of 'b' for 'a' are not from there"):
            clients["a"].mask(np.zeros(1, np.uint64), for_a | {"b": content})


def test_wrong_shares_of_a_key_are_noticed() -> None:
    clients, keys, masked = masked_values("abc", 2)
    del masked["c"]
    answers = {name: dict(clients[name].unmask(["a", "b"])) for name in "ab"}
    answers["a"]["c"] = Share(answers["a"]["c"].x, answers["a"]["c"].y ^ 1)
    with pytest.raises(ValueError, match=r"do not fit together"):
        unmasked_sum(masked, answers, keys)


def test_the_server_cannot_pass_one_for_two() -> None:
    client = MaskingClient("a")
    keys = client.advertise()
    with pytest.raises(ValueError, match="with keys of their own"):
        client.share({"a": keys, "b": keys}, 2)
    with pytest.raises(ValueError, match="at least 2 participants with keys of their own, got 1"):
        client.share({"a": keys}, 1)
    with pytest.raises(ValueError, match=r"threshold must be more than half of 2 participants, .* got 1"):
        client.share({"a": keys, "b": MaskingClient("b").advertise()}, 1)


def test_both_ends_agree_on_a_key_for_each_purpose() -> None:
    one, other = MaskingClient("a").mask_key, MaskingClient("b").mask_key
    assert agreed(one, public(other), b"x") == agreed(other, public(one), b"x")
    assert agreed(one, public(other), b"x") != agreed(one, public(other), b"y")
    np.testing.assert_array_equal(stream(bytes(32), 5)[:3], stream(bytes(32), 3))


@pytest.mark.parametrize("there", ["", "a", "ab"])
def test_too_few_updates_are_not_averaged(there: str) -> None:
    with pytest.raises(ValueError, match=f"come off the sum of at least 3 updates, got {len(there)}"):
        Masked().average(LAYOUT, NAMES, updates(there))


def test_the_sum_of_one_is_refused_whatever_the_threshold() -> None:
    with pytest.raises(ValueError, match="at least 2 updates, got 1"):
        Masked(threshold=1).average(LAYOUT, "a", updates("a"))


def test_a_number_outside_the_range_is_missed_and_names_its_participant() -> None:
    rows = split_evenly(300, 3)
    ours = federation(rows, Masked(FixedPoint(40, 0)))
    large = Sends("b", lambda state: Update("b", {k: np.ones(a.shape) for k, a in state.items()}, 1, 0.0))
    ours.participants = [ours.participants[0], large, ours.participants[2]]
    (record,) = ours.run(1)
    reason = "participant 'b': values must be between -1 and 1 in fixed point, got 1"
    assert record.missed == {"b": reason}
    assert set(record.losses) == {"a", "c"}
    with pytest.raises(ValueError, match=r"^participant 'b': values must be between -1 and 1 in fixed point"):
        ours.protection.average(LAYOUT, "ab", updates("a", scale=0.01) + updates("b", scale=10))


def test_a_round_that_masks_do_not_come_off_says_why() -> None:
    ours = federation(split_evenly(300, 3), Masked())
    ours.participants = [ours.participants[0], *(Sends(name, OSError("no power")) for name in "bc")]
    with pytest.raises(RoundError, match=r"^round 1: masks of 3 participants .* at least 2 updates, got 1$"):
        list(ours.run(1))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 128.0, -128.0])
def test_values_that_fixed_point_does_not_have(value: float) -> None:
    with pytest.raises(ValueError, match="values must be between -128 and 128 in fixed point, got "):
        FixedPoint().encode(np.array([0.0, value]), 1, 2)


def test_examples_that_would_overflow_a_sum() -> None:
    numbers = FixedPoint(24, 20)
    most = numbers.most_examples
    values = np.array([-numbers.largest + numbers.step, numbers.largest - numbers.step])
    total = 2 * numbers.encode(values, most // 2, 2)
    np.testing.assert_array_equal(numbers.decode(total), values)
    with pytest.raises(ValueError, match=f"examples must be from 1 to {most // 2:,} for each of 2"):
        numbers.encode(values, most // 2 + 1, 2)
    with pytest.raises(ValueError, match="the sum must be of 1 to"):
        numbers.decode(np.zeros(3, np.int64))


@pytest.mark.parametrize("arguments", [(-1, 7), (24, -1), (40, 9)])
def test_fixed_points_that_cannot_be(arguments: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=r"^FixedPoint: .* got -?\d+"):
        FixedPoint(*arguments)


@given(st.binary(min_size=0, max_size=64), st.integers(1, 6), st.data())
def test_any_shares_that_are_enough_give_the_secret(
    secret: bytes, threshold: int, data: st.DataObject
) -> None:
    count = data.draw(st.integers(threshold, 8))
    shares = split(secret, count, threshold)
    for chosen in itertools.combinations(shares, threshold):
        assert combine(chosen, len(secret)) == secret
    assert combine(shares, len(secret)) == secret
    assert [Share.from_bytes(share.to_bytes()) for share in shares] == shares


def test_too_few_shares_fit_every_secret() -> None:
    """Two points of a parabola, and any third at 0: the shares of "no" would do for "yes" as well."""
    first, second, _ = split(b"no", 3, 3)
    for secret in (b"no", b"yes", bytes(32)):
        s = int.from_bytes(secret)
        # The third share that would make it so, from the parabola through (0, s) and the two.
        third = (s - 3 * first.y + 3 * second.y) % PRIME
        assert combine([first, second, Share(3, third)], max(len(secret), 1)) == secret


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: split(bytes(65), 2, 2), "secret must have at most 64 bytes, got 65"),
        (lambda: split(b"", 2, 3), "threshold must be from 1 to 2, the number of shares, got 3"),
        (lambda: split(b"", 2, 0), "threshold must be from 1 to 2"),
        (lambda: combine([], 2), r"shares must be of different x, got \[\]"),
        (lambda: combine([Share(1, 2), Share(1, 2)], 2), r"of different x, got \[1, 1\]"),
        (lambda: combine([Share(1, 256)], 1), "do not fit together"),
        (lambda: Share.from_bytes(b"x"), "content must be of a share"),
        (lambda: Share.from_bytes(bytes(70)), "content must be of a share"),
        (lambda: Share.from_bytes(b"\xff" * 70), "content must be of a share"),
    ],
)
def test_shares_that_cannot_be(call: object, message: str) -> None:
    assert callable(call)
    with pytest.raises(ValueError, match=message):
        call()


def test_what_a_client_knows_survives_between_two_steps() -> None:
    """Written down and read again after every step, it says the same as one that never was."""
    clients = {name: MaskingClient(name) for name in "abc"}

    def stored(name: str) -> MaskingClient:
        return MaskingClient.from_json(name, json.loads(json.dumps(clients[name].to_json())))

    keys = {name: client.advertise() for name, client in clients.items()}
    clients = {name: stored(name) for name in clients}
    shares = {name: client.share(keys, 2) for name, client in clients.items()}
    clients = {name: stored(name) for name in clients}
    masked = {
        name: clients[name].mask(
            np.arange(3, dtype=np.uint64), {other: shares[other][name] for other in "abc"}
        )
        for name in "ab"
    }
    clients = {name: stored(name) for name in clients}
    answers = {name: clients[name].unmask(["a", "b"]) for name in "ab"}
    assert unmasked_sum(masked, answers, keys).tolist() == [0, 2, 4]
    clients = {name: stored(name) for name in clients}
    with pytest.raises(ValueError, match="it gives no others"):
        clients["a"].unmask(["a", "b"])
