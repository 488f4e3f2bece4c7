"""Noise and randomised response: what they cost in privacy and in accuracy is what is said."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest

pytest.importorskip("opacus", reason="opacus is not installed: pip install -e .[federated]")

from gdl_numpy.federated import Layout, Update, split_evenly
from gdl_numpy.federated.noise import (
    NOISE,
    ExactAccountant,
    Noised,
    clipped,
    delta_of,
    epsilon_of,
    log_normal_cdf,
)
from gdl_numpy.federated.randomised_response import epsilon, estimate, respond
from gdl_torch.federated import OpacusAccountant
from parity_tests.support.federation import federation

NOISES, ROUNDS = (0.3, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0), (1, 3, 10, 50, 200)
DELTAS = (1e-10, 1e-8, 1e-5, 1e-3, 1e-2)
ROUNDING = 1e-9


def spent(accountant: Any, noise_multiplier: float, rounds: int, delta: float) -> float:
    for _ in range(rounds):
        accountant.spend(noise_multiplier)
    return float(accountant.epsilon(delta))


@pytest.mark.parametrize("delta", DELTAS)
def test_two_accountants_agree_within_one_percent(delta: float) -> None:
    """The one that is used, Opacus' numerical one, and the exact formula, which it is never below."""
    numerical = 0
    for z, rounds in itertools.product(NOISES, ROUNDS):
        opacus, exact = OpacusAccountant(), ExactAccountant()
        found, wanted = (spent(each, z, rounds, delta) for each in (opacus, exact))
        assert wanted <= found <= 1.01 * wanted, (z, rounds)
        numerical += found > (1 + ROUNDING) * wanted
    assert numerical >= 0.9 * len(NOISES) * len(ROUNDS)  # the others come from the formula itself


@pytest.mark.parametrize("delta", [1e-300, *DELTAS, 0.5, 0.999])
def test_where_densities_say_nothing_the_account_is_exact(delta: float) -> None:
    """At both ends of the noise that is taken, also after many rounds: ε up to 10⁸, and down to 0."""
    for z, rounds in itertools.product(NOISE, (1, 100)):
        assert spent(OpacusAccountant(), z, rounds, delta) == spent(ExactAccountant(), z, rounds, delta)


def test_there_is_no_gap_between_densities_and_formula() -> None:
    """Round after round across the limits, above and below: the account stays within one percent."""
    for z in (0.3, 100.0):
        opacus, exact, ways = OpacusAccountant(), ExactAccountant(), set()
        for _ in range(80):
            found, wanted = spent(opacus, z, 1, 1e-5), spent(exact, z, 1, 1e-5)
            assert wanted <= found <= 1.01 * wanted
            ways.add(found > (1 + ROUNDING) * wanted)
        assert ways == {True, False}


def test_rounds_with_different_noise_add_up() -> None:
    opacus, exact = OpacusAccountant(), ExactAccountant()
    for z in (1.0, 4.0, 1.0, 0.7, 20.0):
        found, wanted = spent(opacus, z, 2, 1e-5), spent(exact, z, 2, 1e-5)
        assert wanted <= found <= 1.01 * wanted


@pytest.mark.parametrize("delta", [1e-8, 1e-5])
def test_renyis_bound_is_above_by_an_eighth_at_most(delta: float) -> None:
    """A bound, not an estimate: it says how fine to compute, and no claim of one percent is true of it."""
    for z, rounds in itertools.product((0.5, 1.0, 2.0, 5.0), (3, 10, 100)):
        opacus, exact = OpacusAccountant(), ExactAccountant()
        spent(opacus, z, rounds, delta)
        wanted = spent(exact, z, rounds, delta)
        assert 1.01 * wanted < opacus.bound(delta) < 1.125 * wanted


def test_nothing_is_spent_before_the_first_round() -> None:
    for accountant in (ExactAccountant(), OpacusAccountant()):
        assert accountant.epsilon(1e-5) == 0


@pytest.mark.parametrize("rate", [0.5, 0.1])
def test_drawing_participants_at_random_costs_less(rate: float) -> None:
    """In one round by theorem: for δ, ε is ln(1 + q (e^ε' − 1)) of the ε' that all spend for δ / q."""
    for z, delta in itertools.product((0.5, 1.0, 2.0), (1e-8, 1e-5)):
        wanted = math.log1p(rate * math.expm1(epsilon_of(z, delta / rate)))
        found = spent(OpacusAccountant(rate), z, 1, delta)
        assert wanted <= found <= 1.01 * wanted
    assert spent(OpacusAccountant(rate), 1.0, 10, 1e-5) < spent(OpacusAccountant(), 1.0, 10, 1e-5)


def test_of_participants_drawn_at_random_a_bound_is_known_where_densities_say_nothing() -> None:
    opacus = OpacusAccountant(0.5)
    assert spent(opacus, 0.01, 3, 1e-5) == opacus.bound(1e-5) > 500


@pytest.mark.parametrize("rate", [0.0, 1.5, math.nan])
def test_rates_that_are_none(rate: float) -> None:
    with pytest.raises(ValueError, match=f"sample_rate must be more than 0, and at most 1, got {rate}"):
        OpacusAccountant(rate)


def test_the_formula_is_what_a_simulation_finds() -> None:
    """δ is by how much an answer is likelier than e^ε times what it is without the participant."""
    z, eps = 1.0, 1.0
    x = (
        np.random.default_rng(0).standard_normal(2_000_000) * z + 1
    )  # with the participant; without it, around 0
    log_ratio = (x**2 - (x - 1) ** 2) / (2 * z**2)
    found = float(np.maximum(0, 1 - np.exp(eps - log_ratio)).mean())
    assert abs(found - delta_of(z, eps)) < 5 * 0.3 / math.sqrt(len(x))


def test_epsilon_and_delta_undo_each_other() -> None:
    for z in (0.3, 1.0, 30.0):
        for delta in (1e-10, 1e-5, 1e-2):
            assert delta_of(z, epsilon_of(z, delta)) == pytest.approx(delta, rel=1e-6)


def test_the_normal_distribution_far_out() -> None:
    """Where the formula changes it fits, and where Φ is no float any more there is its logarithm."""
    assert log_normal_cdf(-20.000001) == pytest.approx(log_normal_cdf(-19.999999), abs=1e-4)
    assert log_normal_cdf(0.0) == pytest.approx(math.log(0.5))
    assert log_normal_cdf(-100.0) == pytest.approx(-5005.524, abs=1e-3)


def test_clipping() -> None:
    vector = np.array([3.0, 4.0])
    np.testing.assert_allclose(clipped(vector, 1.0), [0.6, 0.8])
    np.testing.assert_array_equal(clipped(vector, 5.0), vector)
    np.testing.assert_array_equal(clipped(np.zeros(2), 1.0), [0, 0])


def test_the_noise_is_of_the_size_that_is_accounted_for() -> None:
    layout = Layout({"w": (20_000,)})
    protection = Noised(clip_norm=2.0, noise_multiplier=3.0, rng=np.random.default_rng(0))
    delta = {"w": np.full(20_000, 1.0)}
    given = [Update(name, delta, examples, 0.0) for name, examples in (("a", 1), ("b", 999))]
    average = protection.average(layout, "ab", given)
    signal = clipped(delta["w"], 2.0)
    for seen in average.seen.values():
        noise = seen - signal
        assert noise.std() == pytest.approx(6.0, rel=4 / math.sqrt(2 * 20_000))
        assert abs(noise.mean()) < 4 * 6 / math.sqrt(20_000)
    # Whose examples are more does not weigh more: the mean's noise is smaller by √2.
    assert (average.delta - signal).std() == pytest.approx(6 / math.sqrt(2), rel=0.02)


def test_rounds_with_noise_say_what_they_spent() -> None:
    made = federation(split_evenly(300, 3), Noised(1.0, 2.0, accountant=OpacusAccountant()))
    first, second = made.run(2)
    assert first.epsilon is not None
    assert second.epsilon is not None
    assert 0 < first.epsilon < second.epsilon
    assert second.epsilon == spent(OpacusAccountant(), 2.0, 2, 1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"clip_norm": 0.0}, r"clip_norm must be more than 0, and at most 1e\+100, got 0.0"),
        ({"clip_norm": 1e308}, r"clip_norm must be more than 0, and at most 1e\+100, got 1e\+308"),
        ({"clip_norm": math.nan}, r"clip_norm must be more than 0, and at most 1e\+100, got nan"),
        ({"noise_multiplier": math.inf}, "noise_multiplier must be from 0.001 to 10000, got inf"),
        ({"noise_multiplier": math.nan}, "noise_multiplier must be from 0.001 to 10000, got nan"),
        ({"noise_multiplier": 0.0}, "noise_multiplier must be from 0.001 to 10000, got 0.0"),
        ({"noise_multiplier": 1e-300}, "noise_multiplier must be from 0.001 to 10000, got 1e-300"),
        ({"delta": 0.0}, "delta must be between 0 and 1, got 0.0"),
        ({"delta": 1.0}, "delta must be between 0 and 1, got 1.0"),
    ],
)
def test_noise_that_cannot_be_meant(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Noised(**{"clip_norm": 1.0, "noise_multiplier": 1.0, **arguments})


@pytest.mark.parametrize(
    "arguments", [(0.0, 1e-5), (-1.0, 1e-5), (math.nan, 1e-5), (1e200, 1e-5), (1.0, 0.0), (1.0, math.nan)]
)
def test_privacy_that_cannot_be_computed(arguments: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match=r"^(noise_multiplier|delta) must be .*, got "):
        epsilon_of(*arguments)


def test_a_bound_below_nothing_is_nothing() -> None:
    """Opacus' formula gives -0.001 here."""
    opacus = OpacusAccountant()
    opacus.spend(1e5)
    assert opacus.bound(1e-5) == 0


@pytest.mark.parametrize("p", [0.6, 0.75, 0.95])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.7])
def test_randomised_answers_give_the_share_within_its_error(p: float, share: float) -> None:
    """Over 2,000 surveys: unbiased, and as far off as the standard error says."""
    rng = np.random.default_rng(0)
    answers = np.arange(400) < share * 400
    found = [estimate(respond(answers, p, rng), p) for _ in range(2000)]
    shares, errors = np.array(found).T
    spread = math.sqrt(p * (1 - p) / 400) / (2 * p - 1)  # with the answers given, only the coins vary
    assert abs(shares.mean() - share) < 4.5 * spread / math.sqrt(2000)
    assert shares.std() == pytest.approx(spread, rel=4 / math.sqrt(2 * 2000))
    assert errors.mean() >= 0.99 * spread  # it counts the drawing of the people, too


def test_a_single_answer_can_be_denied() -> None:
    """Both answers come from both truths, with odds of p to 1 − p."""
    p, count = 0.75, 100_000
    yes = respond(np.ones(count, bool), p, 0).mean()
    no = respond(np.zeros(count, bool), p, 1).mean()
    assert yes == pytest.approx(p, abs=4 * 0.5 / math.sqrt(count))
    assert no == pytest.approx(1 - p, abs=4 * 0.5 / math.sqrt(count))
    assert epsilon(p) == pytest.approx(math.log(3))
    assert epsilon(1.0) == math.inf
    np.testing.assert_array_equal(respond(np.array([True, False]), 1.0), [True, False])


@pytest.mark.parametrize("p", [0.5, 0.2, 1.1, math.nan])
def test_probabilities_that_say_nothing(p: float) -> None:
    for call in (
        lambda: respond(np.ones(3, bool), p),
        lambda: estimate(np.ones(3, bool), p),
        lambda: epsilon(p),
    ):
        with pytest.raises(ValueError, match=r"p must be more than 0\.5, and at most 1, got "):
            call()
    with pytest.raises(ValueError, match="at least 2 answers are needed for an error, got 1"):
        estimate(np.ones(1, bool), 0.75)
