"""The data of the models of words: every batch is what its definition says, word for word."""

from __future__ import annotations

import json
from collections import Counter
from itertools import permutations
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from gdl_numpy import data
from gdl_numpy.data import (
    UNKNOWN,
    BagsDataModule,
    BlanksDataModule,
    Documents,
    MaskedWordsDataModule,
    ShuffledSentencesDataModule,
    Vocabulary,
)
from gdl_numpy.data.pretext_text import ORDERS, MaskedWords, ShuffledSentences
from gdl_numpy.data.words import Bags, Blanks, bag_of_words
from parity_tests.support import bags_in, rows_of, small_reviews

if TYPE_CHECKING:
    from gdl_numpy.data.batches import ExampleLoader

# --- bags --------------------------------------------------------------------------------------------------

TEXTS = ["b a b x", "", "x y", "c", "a b c a !", "c c . a b . b", "a a a"]
LABELS = np.array([1, 0, 0, 1, 1, 0, 1])
VOCABULARY = Vocabulary((UNKNOWN, "!", ".", "a", "b", "c"), "spaces")


def known(text: str) -> list[int]:
    return [id_ for id_ in VOCABULARY.encode(text).tolist() if id_]


@pytest.fixture
def documents() -> Documents:
    return Documents.of(TEXTS).translate(VOCABULARY)


@pytest.mark.parametrize("distinct", [True, False])
@pytest.mark.parametrize("seed", [None, 4])
def test_bags_are_the_known_words_of_each_document(
    documents: Documents, distinct: bool, seed: int | None
) -> None:
    """A document without any is an empty bag, wherever in the batch it is."""
    loader = Bags(documents, LABELS, 3, seed, distinct)
    loader.set_epoch(2)
    order = range(7) if seed is None else data.epoch_order(7, seed, 2).tolist()
    seen = []
    for (ids, offsets), targets in loader:
        assert ids.dtype == offsets.dtype == np.int64
        assert targets.dtype == np.float32
        assert offsets.shape == targets.shape
        seen += list(zip(bags_in(ids, offsets), targets.tolist(), strict=True))
    bags = [sorted(set(known(text))) if distinct else known(text) for text in TEXTS]
    assert seen == [(bags[row], LABELS[row]) for row in order]
    assert json.loads(json.dumps(loader.describe()))["distinct"] == distinct


def test_a_bag_of_words_is_a_row_of_zeros_and_ones(documents: Documents) -> None:
    bags = bag_of_words(documents)
    assert bags.dtype == np.float32
    expected = [[float(id_ in known(text)) for id_ in range(len(VOCABULARY))] for text in TEXTS]
    np.testing.assert_array_equal(bags, expected)


# --- blanks ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("window", [1, 2, 9])
@pytest.mark.parametrize("seed", [None, 0, 5])
def test_blanks_are_each_word_once_with_those_around_it(
    documents: Documents, window: int, seed: int | None
) -> None:
    """No word of another document, no unknown one, never the word itself; alone in its document, no blank."""
    expected = []
    for words in map(known, TEXTS):
        for place, word in enumerate(words):
            context = words[max(0, place - window) : place] + words[place + 1 : place + 1 + window]
            if context:
                expected.append((word, context))
    loader = Blanks(documents, 4, window, negatives=3, seed=seed)
    loader.set_epoch(1)
    seen = []
    for (ids, offsets, candidates), targets in loader:
        assert ids.dtype == offsets.dtype == candidates.dtype == np.int64
        assert targets.dtype == np.float32
        assert candidates.shape == targets.shape == (len(offsets), 4)
        np.testing.assert_array_equal(targets, [[1, 0, 0, 0]] * len(offsets))
        assert set(candidates.ravel().tolist()) <= {word for word, _ in expected}
        seen += list(zip(candidates[:, 0].tolist(), bags_in(ids, offsets), strict=True))
    if seed is None:
        assert seen == expected
    else:
        assert sorted(seen) == sorted(expected)
        assert seen == [expected[row] for row in data.epoch_order(len(expected), seed, 1)]


def test_words_to_choose_from_are_drawn_as_often_as_they_occur() -> None:
    """Within five standard deviations of the binomial distribution."""
    documents = Documents.of(["a " * 70 + "b " * 25 + "c " * 5] * 20)
    draws = np.concatenate(
        [candidates[:, 1:] for (_, _, candidates), _ in Blanks(documents, 16, negatives=3)]
    )
    n = draws.size
    for id_, fraction in zip((1, 2, 3), (0.7, 0.25, 0.05), strict=True):
        deviation = np.sqrt(n * fraction * (1 - fraction))
        assert abs(np.count_nonzero(draws == id_) - n * fraction) < 5 * deviation


def test_words_are_drawn_by_a_power_of_their_frequency() -> None:
    """word2vec's table: of two words, one 16 times as frequent, the other is drawn an eighth as often."""
    documents = Documents.of(["a " * 16 + "b c"] * 40)
    known = documents.translate(Vocabulary((UNKNOWN, "a", "b"), "spaces"))
    loader = Blanks(known, 64, negatives=1, power=0.75)
    drawn = np.concatenate([inputs[2][:, 1] for (inputs, _) in loader])
    a, b = np.count_nonzero(drawn == 1), np.count_nonzero(drawn == 2)
    assert a + b == len(drawn)
    n, p = len(drawn), 1 / 9
    assert abs(b - n * p) < 5 * np.sqrt(n * p * (1 - p))
    assert loader.describe()["power"] == 0.75


def test_frequent_words_are_thinned_out_as_the_paper_says() -> None:
    documents = Documents.of(["a " * 9000 + "b " * 900 + "c " * 100])
    loader = Blanks(documents, 1000, negatives=3, subsample=0.04)
    counts = Counter(np.concatenate([candidates[:, 0] for (_, _, candidates), _ in loader]).tolist())
    assert counts[3] == 100
    for id_, n, fraction in ((1, 9000, 0.9), (2, 900, 0.09)):
        stays = np.sqrt(0.04 / fraction)
        assert abs(counts[id_] - n * stays) < 5 * np.sqrt(n * stays * (1 - stays))
    assert len(list(loader)) == len(loader)


# --- masks and sentences -----------------------------------------------------------------------------------


def test_masked_words_are_each_known_word_in_its_place(documents: Documents) -> None:
    mask = len(VOCABULARY)
    expected = []
    for text in TEXTS:
        ids = [mask, mask, *VOCABULARY.encode(text).tolist(), mask, mask]
        for place in range(2, len(ids) - 2):
            if ids[place]:
                around = [*ids[place - 2 : place], mask, *ids[place + 1 : place + 3]]
                expected.append((around, ids[place]))
    seen = []
    for inputs, targets in MaskedWords(documents, 4, window=2):
        assert inputs.dtype == targets.dtype == np.int64
        seen += list(zip(inputs.tolist(), targets.tolist(), strict=True))
    assert seen == expected
    loader = MaskedWords(documents, 4, window=2, seed=3)
    loader.set_epoch(1)
    shuffled = [
        pair for inputs, targets in loader for pair in zip(inputs.tolist(), targets.tolist(), strict=True)
    ]
    assert shuffled == [expected[row] for row in data.epoch_order(len(expected), 3, 1)]


def test_sentences_can_be_put_in_order_by_their_targets() -> None:
    """All six orders come, each example is three sentences of one document that follow each other."""
    texts = [" ".join(f"w{document} s{n} ." for n in range(5)) for document in range(20)] + ["one . two ."]
    documents = Documents.of(texts)
    assert [tuple(order) for order in ORDERS] == list(permutations(range(3)))
    loader = ShuffledSentences(*documents.sentences(), 7, seed=1)
    assert loader.n == 60
    loader.set_epoch(3)
    orders, starts = Counter[int](), []
    for (ids, offsets), targets in loader:
        assert offsets.shape == (3 * len(targets),)
        assert targets.dtype == np.int64
        sentences = [documents.vocabulary.decode(bag).split(" ") for bag in bags_in(ids, offsets)]
        for row, target in enumerate(targets.tolist()):
            shown = sentences[3 * row : 3 * row + 3]
            straight = [shown[place] for place in np.argsort(ORDERS[target])]
            start = int(straight[0][1][1:])
            assert straight == [[straight[0][0], f"s{start + n}", "."] for n in range(3)]
            starts.append((straight[0][0], start))
            orders[target] += 1
    assert sorted(starts) == sorted((f"w{document}", n) for document in range(20) for n in range(3))
    assert set(orders) == set(range(6))


# --- what all loaders promise ------------------------------------------------------------------------------


LOADERS = ["Bags", "Blanks", "weighed Bags", "Blanks by power", "MaskedWords", "ShuffledSentences"]


def loaders(
    documents: Documents, batch_size: int = 2, seed: int | None = 6, **devices: Any
) -> list[ExampleLoader]:
    return [
        Bags(documents, LABELS, batch_size, seed, True, **devices),
        Blanks(documents, batch_size, negatives=4, seed=seed, **devices),
        Bags(documents, LABELS, batch_size, seed, True, np.arange(6, dtype=np.float32), **devices),
        Blanks(documents, batch_size, negatives=2, seed=seed, power=0.75, **devices),
        MaskedWords(documents, batch_size, seed=seed, **devices),
        ShuffledSentences(documents, np.zeros(7, np.int64), batch_size, seed, **devices),
    ]


@pytest.mark.parametrize("which", range(6), ids=LOADERS)
def test_a_batch_depends_on_seed_epoch_and_place_alone(documents: Documents, which: int) -> None:
    """A resumed run, and the torch side, get the same whichever batches were looked at before."""
    loader, other = loaders(documents)[which], loaders(documents)[which]
    loader.set_epoch(2)
    batches = [rows_of(batch) for batch in loader]
    assert len(batches) == len(loader)
    np.random.default_rng(0).random(9)
    list(other)
    other.set_epoch(2)
    assert [rows_of(other[number]) for number in reversed(range(len(loader)))] == batches[::-1]
    other.set_epoch(3)
    assert [rows_of(batch) for batch in other] != batches
    other_seed = loaders(documents, seed=7)[which]
    other_seed.set_epoch(2)
    assert [rows_of(batch) for batch in other_seed] != batches
    with pytest.raises(IndexError, match=f"batch must be from 0 to {len(loader) - 1}, got {len(loader)}"):
        loader[len(loader)]
    unshuffled = loaders(documents, seed=None)[which]
    before = [rows_of(batch) for batch in unshuffled]
    unshuffled.set_epoch(5)
    assert [rows_of(batch) for batch in unshuffled] == before
    assert not loader.continues
    assert json.loads(json.dumps(loader.describe())) == loader.describe()


def test_each_batch_of_each_epoch_has_random_numbers_of_its_own(documents: Documents) -> None:
    """Also others than those that shuffle the epoch."""
    drawn = []
    for seed in (1, 2):
        loader = loaders(documents, seed=seed)[0]
        for epoch in range(3):
            loader.set_epoch(epoch)
            drawn += [loader.generator(number).random() for number in range(3)]
            drawn.append(np.random.default_rng((seed, epoch)).random())
    assert len(set(drawn)) == len(drawn) == 24


@pytest.mark.parametrize("which", range(6), ids=LOADERS)
@pytest.mark.parametrize("devices", [2, 3])
def test_devices_share_the_batch_that_one_would_take(documents: Documents, which: int, devices: int) -> None:
    """Row by row in turn, what is drawn included; where they cannot, some of the first come again."""
    one = loaders(documents, batch_size=2 * devices)[which]
    shares = [
        loaders(documents, batch_size=2, num_replicas=devices, rank=rank)[which] for rank in range(devices)
    ]
    assert {len(share) for share in shares} == {len(one)}
    for loader in (one, *shares):
        loader.set_epoch(1)
    for whole, *parts in zip(one, *shares, strict=True):
        rows, dealt = rows_of(whole), [rows_of(part) for part in parts]
        assert len({len(part) for part in dealt}) == 1
        together = [row for turn in zip(*dealt, strict=True) for row in turn]
        assert together[: len(rows)] == rows
        assert len(together) - len(rows) < devices


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda d: Bags(d, LABELS[:3], 2), "Bags: 7 documents but 3 labels"),
        (lambda d: Bags(d, LABELS, 0), "Bags: batch_size must be at least 1, got 0"),
        (lambda d: Bags(d, LABELS, 2, -1), "Bags: seed must be 0 or more, or None, got -1"),
        (lambda d: Bags(d, LABELS, 2, num_replicas=0), "Bags: num_replicas must be at least 1, got 0"),
        (lambda d: Bags(d, LABELS, 2, num_replicas=2, rank=2), "Bags: rank must be from 0 to 1, got 2"),
        (lambda d: Blanks(d, 2, window=0), "Blanks: window must be at least 1, got 0"),
        (lambda d: Blanks(d, 2, window=-1), "Blanks: window must be at least 1, got -1"),
        (lambda d: Blanks(d, 2, negatives=0), "Blanks: negatives must be at least 1, got 0"),
        (lambda d: Bags(d, LABELS, 2, weights=np.ones(5, np.float32)), "Bags: 5 weights but 6 words"),
        (
            lambda d: Blanks(d, 2, negatives=6),
            "Blanks: negatives must be at most 5, the number of words, got 6",
        ),
        (lambda d: Blanks(d, 2, power=-1), "Blanks: power must be 0 or more, and finite, got -1"),
        (lambda d: Blanks(d, 2, power=np.inf), "Blanks: power must be 0 or more, and finite, got inf"),
        (lambda d: Blanks(d, 2, subsample=0), "Blanks: subsample must be more than 0, or None, got 0"),
        (lambda d: Blanks(d.select(np.array([1, 2, 3])), 2), "Blanks: no document has two words"),
        (lambda d: MaskedWords(d, 2, window=0), "MaskedWords: window must be at least 1, got 0"),
        (lambda d: MaskedWords(d.select(np.array([1, 2])), 2), "MaskedWords: the text has no word"),
        (lambda d: ShuffledSentences(d, np.arange(7), 2), "ShuffledSentences: no document has three"),
        (lambda d: ShuffledSentences(d, np.arange(6), 2), "7 sentences but 6 in document_of"),
    ],
)
def test_what_makes_no_batches_is_refused(documents: Documents, make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(documents)


# --- data modules ------------------------------------------------------------------------------------------

SENTENCES = data.SentenceDataset("sentences", ("a b.", "b c!", "c a."), ("a.", "b d.", "c."), ("a b.",) * 3)


@pytest.mark.parametrize(
    "dataset", [small_reviews(60), data.load("python_docs"), SENTENCES], ids=lambda d: d.name
)
@pytest.mark.parametrize("make", [BlanksDataModule, MaskedWordsDataModule, ShuffledSentencesDataModule])
def test_any_texts_have_tasks_of_their_own(dataset: Any, make: Any) -> None:
    """With the vocabulary of those to learn from, and the same validation each time."""
    module = make(dataset, 2, max_words=50)
    assert module.model_arguments["vocab_size"] == len(module.vocabulary) <= 50
    assert module.validation is not None
    for loader in (module.train, module.validation, module.test):
        assert len(loader) > 0
        inputs, _ = loader[0]
        ids = inputs[0] if isinstance(inputs, tuple) else inputs
        assert 0 <= ids.min() <= ids.max() <= len(module.vocabulary)
    assert (module.train.seed, module.validation.seed, module.test.seed) == (0, None, None)
    assert (dataset.name == "sentences") == (module.identity == {})


def test_some_of_the_reviews_are_held_out() -> None:
    dataset = small_reviews(60)
    module = BagsDataModule(dataset, 4, validation=0.2, seed=1)
    assert [loader and loader.describe()["examples"] for loader in (module.train, module.validation)] == [
        24,
        6,
    ]
    assert module.test.describe()["examples"] == 30
    assert module.vocabulary == dataset.vocabulary()
    assert module.identity == {"text_sha256": dataset.sha256}
    assert BagsDataModule(dataset, 4, validation=0).validation is None
    assert BagsDataModule(dataset, 4, max_words=5).model_arguments == {"vocab_size": 5}
    assert BlanksDataModule(dataset, 4, validation=0).validation is None
