"""The book's listings: the same rule on both sides, which of its terms are wrong, and no other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import gdl_torch.replays
from gdl_numpy import replays
from parity_tests.harness.bounds import error_bound
from parity_tests.harness.evaluate import run_numpy
from parity_tests.harness.evaluate_torch import run_torch, twin
from parity_tests.harness.rounding import comparison_roundoff, gamma, unit_roundoff
from parity_tests.harness.verdict import deviation, judge, judge_terms

SIDES: dict[str, Any] = {"numpy": replays, "torch": gdl_torch.replays}
# Each listing, its arguments, and for each of its terms the parameter whose update that term is in.
LISTINGS: dict[str, tuple[tuple[int, ...], dict[str, str]]] = {
    "MLP": ((40,), {"slope": "W1"}),
    "DropoutMLP": ((30,), {"slope": "W1", "dropout": "W1"}),
    "MiniBatchMLP": ((30,), {"slope": "W1", "dropout": "W1", "repeats": "W1"}),
    "SoftmaxMLP": ((30,), {"slope": "W1", "dropout": "W1"}),
    "CNN": ((4,), {"slope": "K", "dropout": "K", "sign": "K"}),
    "WordSum": ((12, 7), {"slope": "E"}),
    "TransitionMatrix": ((12,), {"start": "start", "embedding": "E", "transition": "R"}),
}
each_listing = pytest.mark.parametrize("name", LISTINGS)
each_side = pytest.mark.parametrize("side", SIDES)


def some_images(items: int) -> tuple[np.ndarray, np.ndarray]:
    """Smooth blots of ink, each class at places of its own, as one-hot labels say."""
    rng = np.random.default_rng(0)
    classes = rng.integers(0, 10, items)
    rows, columns = np.mgrid[:28, :28]
    places = rng.uniform(5, 23, (10, 2, 3))[classes] + rng.normal(0, 1, (items, 2, 3))
    down, across = rows[..., None] - places[:, 0, None, None], columns[..., None] - places[:, 1, None, None]
    far = down**2 + across**2
    ink = np.exp(-far / 8).sum(axis=-1).clip(0, 1)
    return np.where(ink > 0.05, ink, 0).reshape(items, 784), np.eye(10)[classes]


def some_sentences() -> list[np.ndarray]:
    return [np.array(ids) for ids in ([3, 1, 4, 1, 5, 9], [2, 6, 5, 3], [8, 0, 7, 11, 10, 3, 3])]


def some_reviews() -> tuple[list[np.ndarray], np.ndarray]:
    """One of them without words."""
    reviews: tuple[list[int], ...] = ([1, 3, 4, 5, 9], [2, 3, 5, 6], [0, 3, 7, 8, 10, 11], [], [1, 5])
    return [np.array(ids, np.int64) for ids in reviews], np.array([1, 0, 1, 0, 0])


def learned(name: str, corrected: Any = ()) -> tuple[replays.Listing, tuple[Any, ...]]:
    """A listing that has left its start (R is no identity, tanh gives no zeros), and what it gets next."""
    arguments, _ = LISTINGS[name]
    listing: replays.Listing = getattr(replays, name)(*arguments, corrected=corrected)
    if name == "TransitionMatrix":
        listing.alpha = 0.3
        for ids in some_sentences() * 3:
            listing.learn(ids)
        return listing, (some_sentences()[0],)
    if name == "WordSum":
        listing.alpha = 2.0
        reviews, labels = some_reviews()
        for i in range(len(reviews)):
            listing.learn(reviews[i], labels[i : i + 1])
        return listing, (reviews[0], labels[:1])
    size = min(listing.batch_size, 8)
    x, y = some_images(4 * size)
    for start in range(0, 3 * size, size):
        listing.learn(x[start : start + size], y[start : start + size])
    return listing, (x[-size:], y[-size:], *listing.masks(size))


def torch_twin(name: str, corrected: Any = ()) -> gdl_torch.replays.Listing:
    arguments, _ = LISTINGS[name]
    listing: gdl_torch.replays.Listing = getattr(gdl_torch.replays, name)(*arguments, corrected=corrected)
    return listing


@each_listing
def test_which_tensors_differ(name: str) -> None:
    """The printed rule is wrong in these parameters and in no other; the harness names the first of them."""
    listing, example = learned(name)
    verdict = judge(listing, torch_twin(name), example)
    places = LISTINGS[name][1]
    assert verdict.wrong == [key for key in listing.state_dict() if key in places.values()]
    first = verdict.report.first_disagreement
    assert first is not None
    assert first.tensor == f"grad {verdict.wrong[0]}"
    for key in listing.state_dict().keys() - set(verdict.wrong):
        assert verdict.deviations[key].angle < np.degrees(1e-9)
        assert verdict.deviations[key].ratio == pytest.approx(1)


@each_listing
def test_each_term_is_wrong_and_no_other(name: str) -> None:
    """With all terms put right the rule is the gradient; with all but one it is wrong where that one is."""
    listing, example = learned(name)
    places = LISTINGS[name][1]
    assert listing.terms.keys() == places.keys()
    for left in ("", *places):
        listing.corrected = frozenset(places.keys() - {left})
        verdict = judge(listing, torch_twin(name), example)
        assert verdict.wrong == ([places[left]] if left else [])
        assert verdict.report.ok is not bool(left)


@each_listing
def test_both_sides_print_the_same_rule(name: str) -> None:
    """The printed gradients of NumPy and torch agree within rounding, and their angles to the true one."""
    listing, example = learned(name)
    one: list[np.ndarray] = [np.ones(())]
    printed = run_numpy(listing, (), example, lambda _: one).grad_params
    torch_listing: Any = twin(torch_twin(name), listing, np.float64, "cpu")
    true = run_torch(torch_listing, (), example, lambda _: one).grad_params
    bound = error_bound(torch_listing, (), example, one, comparison_roundoff(np.float64)).grad_params
    with torch.no_grad():
        tensors = [torch.from_numpy(array) for array in example]
        torch_listing(*tensors)
        torch_listing.printed(*tensors)
    for key, parameter in torch_listing.named_parameters():
        by_torch = parameter.grad.to_dense().numpy()
        # The bound is of the true gradient: as sums of the same length, the printed one's is its multiple.
        larger = max(1.0, np.abs(printed[key]).max() / np.abs(true[key]).max())
        assert np.abs(by_torch - printed[key]).max() <= larger * bound[key].max()
        angles = [deviation(grad, true[key]).angle for grad in (printed[key], by_torch)]
        slack = larger * np.linalg.norm(bound[key]) / np.linalg.norm(printed[key])
        assert abs(angles[0] - angles[1]) <= np.degrees(slack)


@each_listing
@pytest.mark.parametrize("corrected", [False, True], ids=["printed", "corrected"])
def test_both_sides_replay_the_same_lines(name: str, corrected: bool) -> None:
    """Line for line, as printed by explicit updates, and with the gradient by hand and by autograd."""
    terms = LISTINGS[name][1] if corrected else ()
    lines = []
    for package in SIDES.values():
        kind: Any = getattr(package, name)
        if name == "TransitionMatrix":
            listing = kind(12, alpha=0.1, corrected=terms)
            records = package.replay_sentences(listing, some_sentences(), steps=30, every=10)
        elif name == "WordSum":
            listing = kind(12, alpha=0.5, corrected=terms)
            records = package.replay_reviews(listing, *some_reviews(), passes=2, held_out=1)
        else:
            train = some_images(256 if name == "CNN" else 200)
            listing = kind(*LISTINGS[name][0], corrected=terms)
            records = package.replay(listing, train, some_images(50), passes=3, every=2)
        lines.append([{k: f"{v:.9g}" for k, v in record.values.items()} for record in records])
    assert lines[0] == lines[1]
    assert len(lines[0]) == (3 if name in ("TransitionMatrix", "WordSum") else 2)


def test_a_hundred_steps_are_taken_as_one() -> None:
    """The mini-batch listing's hundred updates, one by one as printed, end at the same weights."""
    listing = replays.MiniBatchMLP(30)
    x, y = some_images(100)
    listing.learn(x, y)
    found = {key: array.copy() for key, array in listing.state_dict().items()}
    again = replays.MiniBatchMLP(30)
    w1, w2 = again.W1.data, again.W2.data
    mask = again.draw_mask(100)
    h = x @ w1
    h *= h >= 0
    h *= mask * 2
    out = h @ w2
    for _ in range(100):
        delta2 = (y - out) / 100
        delta1 = delta2 @ w2.T * (h >= 0) * mask
        w2 += 0.001 * h.T @ delta2
        w1 += 0.001 * x.T @ delta1
    rounding = float(gamma(100 * (784 + 100 + 10), unit_roundoff(np.float64)))
    for key, expected in (("W1", w1), ("W2", w2)):
        assert np.abs(found[key] - expected).max() <= rounding * np.abs(expected).max()


def test_chapter_6_has_the_right_slope() -> None:
    """Its deep network is chapter 8's first with the term put right: the six published errors."""
    lights = np.array([[1.0, 0, 1], [0, 1, 1], [0, 0, 1], [1, 1, 1]])
    walk = np.array([[1.0], [1], [0], [0]])
    sizes: dict[str, Any] = {"in_features": 3, "out_features": 1, "spread": 2, "alpha": 0.2}
    for package in SIDES.values():
        listing = package.MLP(4, **sizes, corrected=("slope",))
        as_array = torch.from_numpy if package is gdl_torch.replays else np.asarray
        x, y = as_array(lights), as_array(walk)
        errors = []
        for i in range(60):
            error = sum(2 * listing.learn(x[k : k + 1], y[k : k + 1]) for k in range(4))
            if i % 10 == 9:
                errors.append(error)
        published = [
            0.6342311598444467,
            0.35838407676317513,
            0.0830183113303298,
            0.006467054957103705,
            0.0003292669000750734,
            1.5055622665134859e-05,
        ]
        assert errors == pytest.approx(published, rel=1e-12)
    rule = replays.MLP(4, **sizes, corrected=("slope",))
    assert judge(rule, gdl_torch.replays.MLP(4, **sizes), (lights[:1], walk[:1])).report.ok


def test_terms_are_judged_one_by_one() -> None:
    """As printed, each term alone, and all: half the length is the missing 2, the angle is the slope's."""
    listing, example = learned("DropoutMLP")
    verdicts = dict(judge_terms(listing, torch_twin("DropoutMLP"), example))
    assert list(verdicts) == ["", "slope", "dropout", "all"]
    angle = {term: verdict.deviations["W1"].angle for term, verdict in verdicts.items()}
    ratio = {term: verdict.deviations["W1"].ratio for term, verdict in verdicts.items()}
    assert angle[""] > 10
    assert angle["dropout"] == pytest.approx(angle[""])
    assert ratio["dropout"] == pytest.approx(2 * ratio[""])
    assert angle["slope"] < np.degrees(1e-9)
    assert ratio["slope"] == pytest.approx(0.5)
    assert "off by" in str(verdicts[""])
    assert str(verdicts["all"]).endswith("the printed rule is the gradient of its loss")
    assert listing.corrected == frozenset()


def test_a_planted_error_is_found_and_measured() -> None:
    """Twice the gradient of W₂, in a rule that is otherwise right."""

    class Doubled(replays.MLP):
        def backward(self, grad_output: float) -> None:
            super().backward(grad_output)
            grad: Any = self.W2.grad
            self.W2.accumulate(grad.copy())

    verdict = judge(Doubled(corrected=("slope",)), torch_twin("MLP"), some_images(1))
    assert verdict.wrong == ["W2"]
    assert verdict.deviations["W2"].ratio == pytest.approx(2)


def test_angles_are_exact() -> None:
    """Also the smallest, which an arc cosine would take for 0; of a zero gradient there is none."""
    right = np.array([1.0, 0.0])
    assert deviation(3 * right, right) == deviation(np.array([3.0, 0.0]), np.array([1.0, 0.0]))
    assert (deviation(3 * right, right).angle, deviation(3 * right, right).ratio) == (0, 3)
    assert deviation(-right, right).angle == pytest.approx(180)
    assert deviation(np.array([0.0, 2.0]), right).angle == pytest.approx(90)
    assert np.radians(deviation(np.array([1.0, 1e-12]), right).angle) == pytest.approx(1e-12)
    assert np.isnan(deviation(0 * right, right).angle)


def test_lines_are_the_books() -> None:
    """All digits of accuracies, five characters of errors, in the book's order."""
    values = {
        "I": 290,
        "Test-Err": 0.39912345,
        "Test-Acc": 0.8181,
        "Train-Err": 0.3019999,
        "Train-Acc": 0.908,
    }
    record = replays.Record(values)
    assert str(record) == "I:290 Test-Err:0.399 Test-Acc:0.8181 Train-Err:0.301 Train-Acc:0.908"
    assert record.template.format(*record.texts().values()) == str(record)


def test_pixels_are_the_books() -> None:
    """The float64 255ths of which the data set holds the float32 roundings."""
    pixels = np.arange(256)
    x, y = replays.as_in_the_book((pixels / 255).astype(np.float32).reshape(1, 1, 16, 16), np.array([3]))
    np.testing.assert_array_equal(x, [pixels / 255])
    np.testing.assert_array_equal(y, np.eye(10)[[3]])


@each_side
def test_refusals(side: str) -> None:
    """A term that the rule has not; and for autograd, half of them."""
    package: Any = SIDES[side]
    with pytest.raises(ValueError, match=r"MLP expects corrected to be among \['slope'\], got \['sign'\]"):
        package.MLP(corrected=("sign",))
    if package is gdl_torch.replays:
        with pytest.raises(ValueError, match=r"expects corrected to be no terms or all, got .'dropout'"):
            package.DropoutMLP(corrected=("dropout",))
