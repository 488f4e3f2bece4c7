"""Chance is what the sampler says it is: softmax at a temperature, over the likeliest."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gdl_numpy.generation import Sampler
from parity_tests.harness.bounds import ELEMENTARY
from parity_tests.harness.rounding import gamma, unit_roundoff

U = unit_roundoff(np.float64)
UNLIKELY = 1e-6  # how often a test of a distribution may fail without a cause


def softmax(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """As the textbook has it."""
    powers = np.exp(logits.astype(np.float64) / temperature)
    result: np.ndarray = powers / powers.sum()
    return result


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_symbols_are_drawn_as_often_as_softmax_says(temperature: float) -> None:
    """And the frequencies tell: those of one temperature are not those of another."""
    logits = np.array([0.3, -1.0, 2.0, 0.3, 1.1, -0.5], np.float32)
    rng, sampler, draws = np.random.default_rng(0), Sampler(temperature), 10_000
    counts = np.bincount([sampler(logits, rng) for _ in range(draws)], minlength=len(logits))
    # Hoeffding: a frequency is off by more than t with a probability of at most 2 exp(-2 n t²).
    bound = np.sqrt(np.log(2 * len(logits) / UNLIKELY) / (2 * draws))
    assert np.abs(counts / draws - softmax(logits, temperature)).max() < bound
    assert np.abs(counts / draws - softmax(logits, 1.5 * temperature)).max() > bound


@given(
    logits=st.lists(st.integers(-3, 3), min_size=1, max_size=12),
    top_k=st.integers(1, 15),
    temperature=st.sampled_from([0.3, 1.0, 4.0]),
    excluded=st.sets(st.integers(0, 11)),
)
def test_top_k_is_softmax_over_the_k_likeliest(
    logits: list[int], top_k: int, temperature: float, excluded: set[int]
) -> None:
    """Of equally likely tokens those with the lowest ids; excluded ones do not count."""
    exclude = tuple(sorted(i for i in excluded if i < len(logits)))[: len(logits) - 1]
    allowed = [i for i in range(len(logits)) if i not in exclude]
    kept = sorted(allowed, key=lambda i: (-logits[i], i))[:top_k]
    expected = np.zeros(len(logits))
    expected[kept] = softmax(np.array(logits)[kept], temperature)
    given_logits = np.array(logits, np.float64)
    probabilities = Sampler(temperature, top_k, exclude).probabilities(given_logits)
    np.testing.assert_array_equal(probabilities > 0, expected > 0)
    np.testing.assert_allclose(probabilities, expected, rtol=float(gamma(4 * ELEMENTARY + len(logits), U)))
    np.testing.assert_array_equal(given_logits, logits)  # the caller's own


@given(seed=st.integers(0, 2**32), top_k=st.integers(1, 4))
def test_nothing_outside_the_top_k_is_ever_drawn(seed: int, top_k: int) -> None:
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=20).astype(np.float32)
    drawn = {Sampler(3.0, top_k, exclude=(7,))(logits, rng) for _ in range(50)}
    likeliest = np.argsort(-np.where(np.arange(20) == 7, -np.inf, logits))[:top_k]
    assert drawn <= set(likeliest.tolist())


@given(seed=st.integers(0, 2**32))
def test_greedy_takes_the_first_of_the_likeliest(seed: int) -> None:
    rng = np.random.default_rng(seed)
    logits = rng.integers(0, 4, 30).astype(np.float32)
    assert Sampler(top_k=1)(logits, rng) == logits.argmax()


@pytest.mark.parametrize("number", [0.0, np.nextafter(1, 0)])
def test_chance_at_its_ends_draws_what_can_be_drawn(number: float) -> None:
    """A number of exactly 0 is rare, but must not draw an excluded token with no share at all."""

    class Rigged(np.random.Generator):
        def random(self, *args: Any, **kwargs: Any) -> Any:
            return number

    drawn = Sampler(exclude=(0, 1, 4))(np.array([9.0, 1.0, 1.0, 2.0, 9.0]), Rigged(np.random.PCG64()))
    assert drawn == (2 if number == 0 else 3)


@pytest.mark.parametrize("temperature", [1e-6, 5e-324])
def test_cold_is_greedy(temperature: float) -> None:
    rng = np.random.default_rng(0)
    for _ in range(100):
        logits = rng.normal(size=40).astype(np.float32)
        assert Sampler(temperature)(logits, rng) == logits.argmax()


@pytest.mark.parametrize("temperature", [1e6, 1e300])
def test_hot_is_indifferent(temperature: float) -> None:
    """Logits differ by 2 at most, and so probabilities by a factor of exp(2 / temperature)."""
    probabilities = Sampler(temperature).probabilities(np.linspace(-1, 1, 25))
    factor = np.exp(2 / temperature) * (1 + gamma(2 * ELEMENTARY + 25, U))
    assert probabilities.max() <= factor * probabilities.min()
    assert probabilities.max() <= factor / 25


def test_logits_too_large_for_exp_are_no_trouble() -> None:
    probabilities = Sampler().probabilities(np.array([3e38, 3e38, -3e38], np.float32))
    np.testing.assert_array_equal(probabilities, [0.5, 0.5, 0])


@pytest.mark.parametrize("logits", [[0, np.nan, 1], [np.inf, 0, 0]])
def test_logits_of_a_model_that_diverged_are_refused(logits: list[float]) -> None:
    with pytest.raises(ValueError, match=r"the largest logit is (nan|inf): .* train it again"):
        Sampler(top_k=2)(np.array(logits, np.float32), np.random.default_rng(0))
