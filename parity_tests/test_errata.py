"""docs/errata.md, row by row: how far each printed rule is from the gradient, and what both of them reach.

What a whole training ends at is in the long tests (minutes).
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

import gdl_torch.replays
from gdl_numpy import data, replays
from gdl_numpy.data import Streams
from gdl_numpy.replays.shakespeare_lstm import ShakespeareLSTM
from parity_tests.harness.verdict import Deviation, deviation, deviations, judge

if TYPE_CHECKING:
    from gdl_numpy.replays.listing import Images

ERRATA = Path(__file__).parents[1] / "docs" / "errata.md"
SIDES: dict[str, Any] = {"numpy": replays, "torch": gdl_torch.replays}


@dataclass(frozen=True)
class Row:
    """What the table says of a listing.

    Attributes:
        begins: how its line begins.
        deviations: of each wrong parameter at the start: degrees, and the ratio of the lengths.
        at: the pass (chapter 12: the sentence; 14: the batch) that it gives the results of.
        results: test accuracy there (chapters 12 and 14: perplexity), as printed and with the gradient.
    """

    begins: str
    deviations: dict[str, tuple[float, float]]
    at: int
    results: tuple[str, str]


ROWS = {
    "MLP": Row("8 | plain, pass 349", {"W1": (36.8, 1.25)}, 349, ("0.7073", "0.829")),
    "DropoutMLP": Row("8 | dropout, pass 290", {"W1": (43.0, 0.68)}, 290, ("0.8181", "0.879")),
    "MiniBatchMLP": Row("8 | mini-batch, pass 290", {"W1": (36.9, 0.67)}, 290, ("0.7975", "0.8793")),
    "SoftmaxMLP": Row("9 | tanh and softmax, pass 290", {"W1": (0.8, 0.49)}, 290, ("0.8701", "0.8673")),
    "CNN": Row("10 | convolution, pass 299", {"K": (180.0, 0.5)}, 299, ("0.8774", "0.8683")),
    "TransitionMatrix": Row(
        "12 | transition matrix, sentence 29,000",
        {"E": (63.1, 1.59), "R": (35.3, 1.47), "start": (0.0, 1.0)},
        29_000,
        ("4.19", "4.15"),
    ),
    "WordSum": Row("11 | word sum on IMDB, pass 1", {"E": (1.6, 4.1)}, 1, ("0.824", "0.831")),
    "ShakespeareLSTM": Row(
        "14 | LSTM, batch 249",
        {
            "table": (68.6, 0.017),
            "xf": (66.9, 0.016),
            "hf": (25.4, 0.009),
            "xg": (71.1, 0.016),
            "hg": (42.8, 0.009),
        },
        249,
        ("19.1", "18.9"),
    ),
}
# The line of the first pass, as printed, which the book publishes but for chapter 9, and with the gradient.
FIRST = {
    "MLP": (
        "I:0 Test-Err:0.601 Test-Acc:0.6488 Train-Err:0.722 Train-Acc:0.537",
        "I:0 Test-Err:0.593 Test-Acc:0.6493 Train-Err:0.729 Train-Acc:0.527",
    ),
    "DropoutMLP": (
        "I:0 Test-Err:0.641 Test-Acc:0.6333 Train-Err:0.891 Train-Acc:0.413",
        "I:0 Test-Err:0.604 Test-Acc:0.663 Train-Err:0.854 Train-Acc:0.443",
    ),
    "MiniBatchMLP": (
        "I:0 Test-Err:0.815 Test-Acc:0.3832 Train-Err:1.284 Train-Acc:0.165",
        "I:0 Test-Err:0.797 Test-Acc:0.4225 Train-Err:1.202 Train-Acc:0.19",
    ),
    "SoftmaxMLP": ("I:0 Test-Acc:0.394 Train-Acc:0.156", "I:0 Test-Acc:0.5647 Train-Acc:0.268"),
    "CNN": ("I:0 Test-Acc:0.0288 Train-Acc:0.055", "I:0 Test-Acc:0.2504 Train-Acc:0.152"),
}
of_images = pytest.mark.parametrize("name", FIRST)
each_rule = pytest.mark.parametrize("corrected", [False, True], ids=["printed", "gradient"])


@pytest.fixture(scope="module")
def images() -> tuple[Images, Images]:
    """The book's thousand training images, and the ten thousand for testing."""
    if not data.available("mnist"):
        pytest.skip("MNIST is not there: python scripts/fetch_data.py mnist, or GDL_DATA says where it is")
    mnist = data.load("mnist")
    train = replays.as_in_the_book(mnist.train.inputs[:1000], mnist.train.targets[:1000])
    return train, replays.as_in_the_book(mnist.test.inputs, mnist.test.targets)


@pytest.fixture(scope="module")
def babi() -> tuple[int, list[np.ndarray]]:
    """The size of the vocabulary of bAbI's first thousand lines, and their sentences."""
    if not data.available("babi"):
        pytest.skip("bAbI is not there: python scripts/fetch_data.py babi, or GDL_DATA says where it is")
    lines: Any = data.load("babi")
    vocabulary, sentences = replays.read_sentences(lines.train)
    return len(vocabulary), sentences


@pytest.fixture(scope="module")
def reviews() -> tuple[int, list[np.ndarray], np.ndarray]:
    """The size of IMDB's vocabulary, the distinct words of each review to learn from, and their labels."""
    if not data.available("imdb"):
        pytest.skip("IMDB is not there: python scripts/fetch_data.py imdb, or GDL_DATA says where it is")
    train = data.load("imdb").train.select(np.arange(25_000))
    vocabulary = train.documents.frequent()
    distinct = train.documents.translate(vocabulary).distinct()
    return len(vocabulary), np.split(distinct.ids, distinct.offsets[1:-1]), train.labels


@pytest.fixture(scope="module")
def characters() -> tuple[int, list[tuple[np.ndarray, np.ndarray]]]:
    """The number of characters in the book's part of Shakespeare, and the batches of chapter 14's LSTM."""
    if not data.available("shakespeare_book"):
        pytest.skip("Shakespeare is not there: scripts/fetch_data.py shakespeare_book, or GDL_DATA")
    text = data.load("shakespeare_book").text
    vocabulary, ids = np.unique(list(text), return_inverse=True)
    return len(vocabulary), list(islice(Streams(ids, 16, 25), 249))


def test_the_table() -> None:
    """Each line has the figures that are measured here: angle and ratio of each parameter, and results."""
    table = [line.removeprefix("| ") for line in ERRATA.read_text().splitlines() if line.startswith("| ")]
    for row in ROWS.values():
        (line,) = [line for line in table if line.startswith(row.begins)]
        _, _, _, angles, lengths, _, printed, gradient = (cell.strip(" |*") for cell in line.split(" | "))
        assert list(zip(numbers(angles), numbers(lengths), strict=True)) == list(row.deviations.values())
        assert (printed.split()[-1], gradient.split()[-1]) == row.results


def numbers(cell: str) -> list[float]:
    """Those of "E 63.1°, R 35.3°", or of "36.8°"."""
    return [float(part.split()[-1].rstrip("°")) for part in cell.split(", ")]


@of_images
def test_angles_and_lengths(name: str, images: tuple[Images, Images]) -> None:
    """At the start, on the first of the book's batches, under its first mask. W₂'s is the true gradient."""
    listing = getattr(replays, name)()
    found = off_at_the_first_batch(listing, images[0])
    for key, (angle, ratio) in ROWS[name].deviations.items():
        assert found[key].angle == pytest.approx(angle, abs=0.05)
        assert found[key].ratio == pytest.approx(ratio, abs=0.005)
    assert found["W2"].angle < np.degrees(1e-9)
    assert found["W2"].ratio == pytest.approx(1)


def test_angles_and_lengths_in_chapter_12(babi: tuple[int, list[np.ndarray]]) -> None:
    """On the first sentence. At the start R is the identity, and the start vector's update still right."""
    vocabulary, sentences = babi
    assert vocabulary == 82
    listing = replays.TransitionMatrix(vocabulary)
    found = deviations(listing, gdl_torch.replays.TransitionMatrix(vocabulary), (sentences[0],))
    for key, (angle, ratio) in {**ROWS["TransitionMatrix"].deviations, "D": (0.0, 1.0)}.items():
        assert found[key].angle == pytest.approx(angle, abs=0.05)
        assert found[key].ratio == pytest.approx(ratio, abs=0.005)


def test_angle_and_length_in_chapter_11(reviews: tuple[int, list[np.ndarray], np.ndarray]) -> None:
    """On the first review. The output's weights move along the gradient."""
    words, y = reviews[1][0], reviews[2][:1]
    listing, twin = replays.WordSum(len(words)), gdl_torch.replays.WordSum(len(words))
    found = deviations(listing, twin, (np.arange(len(words)), y))
    for key, (angle, ratio) in {**ROWS["WordSum"].deviations, "W2": (0.0, 1.0)}.items():
        assert found[key].angle == pytest.approx(angle, abs=0.05)
        assert found[key].ratio == pytest.approx(ratio, abs=0.05)


def test_chapter_13_s_cross_entropy_is_right_but_for_its_length() -> None:
    """Its p − y of each example is N times the gradient of the mean that is printed, and no other way."""
    rng = np.random.default_rng(0)
    logits, classes = rng.standard_normal((5, 4)), rng.integers(0, 4, 5)
    leaf = torch.tensor(logits, requires_grad=True)
    torch.nn.functional.cross_entropy(leaf, torch.from_numpy(classes)).backward()  # type: ignore[no-untyped-call]
    assert leaf.grad is not None
    found = deviation(replays.listing.softmax(logits) - np.eye(4)[classes], leaf.grad.numpy())
    assert found.angle < np.degrees(1e-9)
    assert found.ratio == pytest.approx(5)


def test_angles_and_lengths_in_chapter_14(
    characters: tuple[int, list[tuple[np.ndarray, np.ndarray]]],
) -> None:
    """In the fourth batch; in the first, where the output's weights are zero, there are none."""
    listing = ShakespeareLSTM(characters[0])
    for batch in characters[1][:3]:
        listing.learn(*batch)
    loss = listing.loss(*characters[1][3])
    printed, true = (listing.gradients(loss, as_printed) for as_printed in (True, False))
    for key, (angle, ratio) in {**ROWS["ShakespeareLSTM"].deviations, "out": (0.0, 1.0)}.items():
        found = deviation(printed[key].astype(float), true[key].astype(float))
        assert found.angle == pytest.approx(angle, abs=0.05)
        assert found.ratio == pytest.approx(ratio, abs=0.0005)


def test_what_is_not_wrong(images: tuple[Images, Images]) -> None:
    """The harness's verdict on the real images: W₁ alone is wrong in chapter 8's first listing."""
    x, y = images[0]
    verdict = judge(replays.MLP(), gdl_torch.replays.MLP(), (x[:1], y[:1]))
    assert verdict.wrong == ["W1"]
    assert judge(replays.MLP(corrected=("slope",)), gdl_torch.replays.MLP(), (x[:1], y[:1])).report.ok


def test_what_the_hundred_steps_leave(images: tuple[Images, Images]) -> None:
    """With slope and mask put right: 10.8° in the first mini-batch, and 2.0° after a pass."""
    listing = replays.MiniBatchMLP(corrected=("slope", "dropout"))
    assert off_at_the_first_batch(listing, images[0])["W1"].angle == pytest.approx(10.8, abs=0.05)
    listing = replays.MiniBatchMLP(corrected=("slope", "dropout"))
    list(replays.replay(listing, images[0], images[1], passes=1))
    assert off_at_the_first_batch(listing, images[0])["W1"].angle == pytest.approx(2.0, abs=0.05)


def off_at_the_first_batch(listing: replays.Listing, train: Images) -> dict[str, Deviation]:
    """Under the next mask of the listing's stream."""
    size = listing.batch_size
    example = (train[0][:size], train[1][:size], *listing.masks(size))
    return deviations(listing, getattr(gdl_torch.replays, type(listing).__name__)(), example)


@pytest.mark.parametrize("side", SIDES)
@of_images
def test_the_first_published_lines(name: str, side: str, images: tuple[Images, Images]) -> None:
    """Digit for digit, on both sides."""
    records = SIDES[side].replay(getattr(SIDES[side], name)(), *images, passes=1)
    assert [str(record) for record in records] == [FIRST[name][0]]


@of_images
def test_the_first_lines_with_the_gradient(name: str, images: tuple[Images, Images]) -> None:
    """Every listing knows the test images better after one pass if it goes down the gradient."""
    kind = getattr(replays, name)
    (record,) = replays.replay(kind(corrected=kind.terms), *images, passes=1)
    assert str(record) == FIRST[name][1]


@each_rule
def test_the_first_perplexities(corrected: bool, babi: tuple[int, list[np.ndarray]]) -> None:
    """At the start the vocabulary's size; after a thousand sentences the printed rule is a little ahead."""
    terms = replays.TransitionMatrix.terms if corrected else ()
    listing = replays.TransitionMatrix(babi[0], corrected=terms)
    found = [record["Perplexity"] for record in replays.replay_sentences(listing, babi[1], 1001)]
    assert [f"{perplexity:.2f}" for perplexity in found] == ["81.94", "81.82" if corrected else "81.86"]


@pytest.mark.long
@each_rule
@of_images
def test_results(name: str, corrected: bool, images: tuple[Images, Images]) -> None:
    """The last two columns of the table."""
    kind, at = getattr(replays, name), ROWS[name].at
    listing = kind(corrected=kind.terms if corrected else ())
    *_, record = replays.replay(listing, *images, passes=at + 1, every=at)
    assert record.texts()["Test-Acc"] == ROWS[name].results[corrected]


@pytest.mark.long
@each_rule
def test_results_in_chapter_12(corrected: bool, babi: tuple[int, list[np.ndarray]]) -> None:
    """The last two columns of the table."""
    row = ROWS["TransitionMatrix"]
    terms = replays.TransitionMatrix.terms if corrected else ()
    listing = replays.TransitionMatrix(babi[0], corrected=terms)
    *_, record = replays.replay_sentences(listing, babi[1], row.at + 1, row.at)
    assert f"{record['Perplexity']:.2f}" == row.results[corrected]


@pytest.mark.long
@each_rule
def test_results_in_chapter_11(corrected: bool, reviews: tuple[int, list[np.ndarray], np.ndarray]) -> None:
    """The last two columns of the table."""
    listing = replays.WordSum(reviews[0], corrected=replays.WordSum.terms if corrected else ())
    *_, record = replays.replay_reviews(listing, *reviews[1:], passes=ROWS["WordSum"].at + 1)
    assert record.texts()["Test Accuracy"] == ROWS["WordSum"].results[corrected]


@pytest.mark.long
@each_rule
def test_results_in_chapter_14(
    corrected: bool, characters: tuple[int, list[tuple[np.ndarray, np.ndarray]]]
) -> None:
    """The last two columns of the table; the gradient with a tenth of the α (else it explodes)."""
    listing = ShakespeareLSTM(characters[0], alpha=0.005 if corrected else 0.05)
    losses = [listing.learn(*batch, printed=not corrected) for batch in characters[1]]
    assert f"{np.exp(np.mean(losses)):.1f}" == ROWS["ShakespeareLSTM"].results[corrected]


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "options", "accuracy"),
    [
        ("MiniBatchMLP", {"alpha": 0.001 / 100}, 0.6301),
        ("CNN", {"corrected": ("sign",)}, 0.8702),
    ],
    ids=["mini-batch, mean", "kernels, sign alone"],
)
def test_results_in_the_text(
    name: str, options: dict[str, Any], accuracy: float, images: tuple[Images, Images]
) -> None:
    """Other steps and other corrections than those of the table."""
    kind, at = getattr(replays, name), ROWS[name].at
    listing = kind(**{"corrected": kind.terms, **options})
    *_, record = replays.replay(listing, *images, passes=at + 1, every=at)
    assert record["Test-Acc"] == accuracy


@pytest.mark.long
def test_rounding_decides_where_a_rough_training_ends(images: tuple[Images, Images]) -> None:
    """Chapter 9 with α = 2 on the mean: the last digit of its first weights makes a point's difference."""
    ends = []
    for off in (0.0, 1e-15, -1e-15):
        listing = replays.SoftmaxMLP(corrected=replays.SoftmaxMLP.terms, alpha=2 * 100)
        listing.W1.data *= 1 + off
        *_, record = replays.replay(listing, *images, passes=291, every=290)
        ends.append(record["Test-Acc"])
    assert len({*ends}) > 1
    assert 0.84 < min(ends) <= max(ends) < 0.89


@pytest.mark.long
def test_kernels_stop_climbing(images: tuple[Images, Images]) -> None:
    """Chapter 10's printed step is opposite to the gradient at first, and later across it."""
    listing, angles = replays.CNN(), {}
    for passes in range(1, 301):
        for start in range(0, 1000 - 127, 128):
            listing.learn(images[0][0][start : start + 128], images[0][1][start : start + 128])
        if passes % 20 == 0:  # a copy, since the mask that it draws would be missing in the stream
            angles[passes] = off_at_the_first_batch(copy.deepcopy(listing), images[0])["K"].angle
    assert (round(angles.pop(20)), round(angles.pop(60))) == (172, 99)
    assert angles.pop(40) > 120
    # What it is at a later pass hangs by the last bits of a sum; that it is across the gradient does not.
    assert all(60 < angle < 120 for angle in angles.values())
