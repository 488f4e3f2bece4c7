"""Neighbours, analogies and vectors of texts are what their definitions say, and nothing gives a nan."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.neighbors import NearestNeighbors

from gdl_numpy.analogies import Score, answer, read_questions
from gdl_numpy.checkpoint import save_model
from gdl_numpy.data import Documents, Vocabulary
from gdl_numpy.data.words import bag_of_words
from gdl_numpy.models import MLP, FillInTheBlank, SentimentClassifier
from gdl_numpy.word_vectors import WordVectors, log_odds, most_alike, word_sentiment
from parity_tests.harness.rounding import gamma, unit_roundoff

if TYPE_CHECKING:
    from pathlib import Path

VOCABULARY = Vocabulary(("\ufffd", "awful", "bad", "don't", "fine", "good"), "spaces")
SIZE = len(VOCABULARY)
both_metrics = pytest.mark.parametrize("metric", ["cosine", "euclidean"])


def some_vectors(dtype: str = "float64", dim: int = 4) -> WordVectors:
    vectors = np.random.default_rng(0).normal(size=(SIZE, dim)).astype(dtype)
    return WordVectors(vectors, VOCABULARY)


# --- what is most alike ------------------------------------------------------------------------------------


@both_metrics
@given(seed=st.integers(0, 2**32), items=st.integers(1, 30), n=st.integers(1, 35))
def test_most_alike_is_sklearns_nearest(metric: Any, seed: int, items: int, n: int) -> None:
    """The same rows in the same order, with the same distances."""
    rng = np.random.default_rng(seed)
    rows, query = rng.normal(size=(items, 7)), rng.normal(size=7)
    found, scores = most_alike(rows, query, n, metric)
    search = NearestNeighbors(n_neighbors=min(n, items), metric=metric, algorithm="brute").fit(rows)
    distances, expected = search.kneighbors([query])
    np.testing.assert_array_equal(found, expected[0])
    np.testing.assert_allclose(1 - scores if metric == "cosine" else scores, distances[0], atol=1e-14)


@both_metrics
@given(
    rows=hnp.arrays(np.float64, st.tuples(st.integers(1, 12), st.just(2)), elements=st.integers(-1, 1)),
    query=hnp.arrays(np.float64, 2, elements=st.integers(-1, 1)),
    n=st.integers(1, 14),
    data=st.data(),
)
def test_of_equals_the_first_come_first(
    metric: Any, rows: np.ndarray, query: np.ndarray, n: int, data: st.DataObject
) -> None:
    """Among the candidates only; rows and queries of zeros are like nothing, and never a nan."""
    candidates = data.draw(hnp.arrays(np.bool_, len(rows)))
    found, scores = most_alike(rows, query, n, metric, candidates)
    every, all_scores = most_alike(rows, query, len(rows), metric)
    far = np.empty(len(rows))
    far[every] = -all_scores if metric == "cosine" else all_scores
    expected = sorted(np.flatnonzero(candidates), key=lambda row: (far[row], row))[:n]
    assert found.tolist() == expected
    assert np.isfinite(scores).all()
    if metric == "cosine":
        assert (all_scores[~rows[every].any(axis=1)] == 0).all()


@both_metrics
def test_precision_is_the_rows(metric: Any, dtype: str) -> None:
    """A row is nearest to itself, within the rounding of a sum of so many products; also if it is huge."""
    rows = np.random.default_rng(1).normal(size=(50, 33)).astype(dtype)
    rows[7] *= np.finfo(np.float32).max / 100
    for row in (3, 7):
        found, scores = most_alike(rows, rows[row], 1, metric)
        assert found.tolist() == [row]
        rounding = float(gamma(2 * 33 + 5, unit_roundoff(dtype)))
        assert abs(scores[0] - (metric == "cosine")) <= rounding


def test_a_metric_or_number_that_cannot_be_meant_is_refused() -> None:
    rows = np.eye(3)
    with pytest.raises(ValueError, match="n must be at least 1, got 0"):
        most_alike(rows, rows[0], 0)


@pytest.mark.usefixtures("unchecked_types")
def test_an_unknown_metric_is_refused() -> None:
    with pytest.raises(ValueError, match='metric must be "cosine" or "euclidean", got \'manhattan\''):
        some_vectors().nearest("good", metric="manhattan")  # type: ignore[arg-type]


# --- words -------------------------------------------------------------------------------------------------


@both_metrics
def test_neighbours_are_all_other_words(metric: Any, dtype: str) -> None:
    """In the order of their cosines or distances; neither the word itself nor the unknown one is there."""
    words = some_vectors(dtype)
    found = words.nearest("good", 100, metric)
    exact = words.vectors.astype(np.float64)
    if metric == "cosine":
        exact /= np.linalg.norm(exact, axis=1, keepdims=True)
        scores = exact @ exact[5]
    else:
        scores = np.linalg.norm(exact - exact[5], axis=1)
    order = np.argsort(-scores[1:5] if metric == "cosine" else scores[1:5]) + 1
    assert [word for word, _ in found] == [VOCABULARY.tokens[i] for i in order]
    rounding = float(gamma(20, unit_roundoff(dtype)) * np.abs(words.vectors).max())
    np.testing.assert_allclose([score for _, score in found], scores[order], atol=rounding)
    assert words.nearest("good", 2, metric) == found[:2]


@both_metrics
def test_analogies_are_sums_and_differences(metric: Any) -> None:
    """What is made to be the answer is found, the words of the question are not."""
    words = some_vectors(dim=8)
    vectors = words.vectors
    if metric == "cosine":
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    answer = vectors[2] + vectors[5] - vectors[4]  # bad + good − fine
    vectors[1] = 3 * answer if metric == "cosine" else answer
    found = words.analogy(["bad", "good"], ["fine"], metric=metric)
    assert [word for word, _ in found] == ["awful", "don't"]
    assert found[0].score == pytest.approx(1 if metric == "cosine" else 0, abs=1e-15)
    with pytest.raises(ValueError, match="positive must have at least one word"):
        words.analogy([], ["bad"])


def test_words_of_zeros_are_like_nothing() -> None:
    """Pytest makes an error of numpy's warnings about 0/0."""
    words = some_vectors()
    words.vectors[4] = 0
    assert ("fine", 0.0) in words.nearest("good")
    assert [score for _, score in words.nearest("fine")] == [0.0] * 4
    assert not words.unit[4].any()
    assert words.analogy(["good"], ["fine"], 1) == words.nearest("good", 1)


def test_words_are_found_as_texts_are_read() -> None:
    words = some_vectors()
    for spelling in ("don't", "Don’t", " DON'T "):
        np.testing.assert_array_equal(words[spelling], words.vectors[3])
    own = WordVectors(np.eye(2), Vocabulary(("Good", "good"), "spaces", unknown=False))
    assert (own.id_of("Good"), own.id_of("good")) == (0, 1)


@pytest.mark.parametrize("word", ["god", "", "good bad", "��", "zzzzzz"])
def test_a_word_that_is_not_known_is_refused(word: str) -> None:
    """With the nearest spellings, where there are any."""
    with pytest.raises(ValueError, match="the vocabulary of 5 words lacks") as refusal:
        some_vectors().nearest(word)
    assert ("did you mean 'good'?" in str(refusal.value)) is (word in ("god", "good bad"))


def test_vectors_that_cannot_be_the_words_are_refused() -> None:
    with pytest.raises(ValueError, match=r"vectors must be \(6, dim\), one a word, got \(5, 2\)"):
        WordVectors(np.zeros((5, 2)), VOCABULARY)
    with pytest.raises(ValueError, match="vectors must be finite, got inf or nan: train with a smaller"):
        WordVectors(np.full((6, 2), np.nan), VOCABULARY)
    with pytest.raises(ValueError, match="MLP has no word vectors: give a model with an embedding"):
        WordVectors.of(MLP(rng=0), VOCABULARY)
    with pytest.raises(ValueError, match="one a word, got"):
        WordVectors.of(SentimentClassifier(SIZE - 1, 3, rng=0), VOCABULARY)


@pytest.mark.parametrize("kind", [SentimentClassifier, FillInTheBlank])
def test_vectors_of_a_checkpoint_are_the_models(kind: Any, tmp_path: Path) -> None:
    """Of both models, also of one that was built for more words than its vocabulary has."""
    model = kind(SIZE + 2, 3, rng=0)
    save_model(tmp_path / "m.safetensors", model, VOCABULARY)
    words = WordVectors.load(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(words.vectors, model.embedding.weight.data[:SIZE])
    assert words.vocabulary == VOCABULARY


# --- texts and their sentiment -----------------------------------------------------------------------------

TEXTS = ["Good, good. Bad!", "fine good", "unheard of", "", "awful bad"]


def test_a_text_is_the_mean_of_its_known_words(dtype: str) -> None:
    """Repeated words count again; a text without known words is zeros, and like nothing."""
    words = some_vectors(dtype)
    documents = Documents.of(TEXTS)
    found = words.of_documents(documents)
    unit = words.vectors.astype(np.float64)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    zeros = np.zeros(4)
    expected = [(2 * unit[5] + unit[2]) / 3, (unit[4] + unit[5]) / 2, zeros, zeros, (unit[1] + unit[2]) / 2]
    assert found.dtype == dtype
    np.testing.assert_allclose(found, expected, atol=float(gamma(10, unit_roundoff(dtype))))
    np.testing.assert_array_equal(words.of_documents(documents.translate(VOCABULARY)), found)
    nearest, scores = most_alike(found, found[2], 5)
    assert nearest.tolist() == [0, 1, 2, 3, 4]
    assert not scores.any()


def test_the_sentiment_of_a_word_is_what_it_adds_alone() -> None:
    """Without dropout, and the model stays in its mode."""
    model = SentimentClassifier(SIZE, 4, dropout=0.9, rng=0, dtype=np.float64)
    found = word_sentiment(model)
    assert model.training
    model.eval()
    (empty,) = model(np.zeros(0, np.int64), np.array([0]))
    for word in range(SIZE):
        (alone,) = model(np.array([word]), np.array([0]))
        assert found[word] == pytest.approx(alone - empty, abs=1e-15)
    assert len(set(found.tolist())) == SIZE


def test_log_odds_are_counts_of_texts() -> None:
    """A word counts once a text, however often it is there; and both classes count alike."""
    documents = Documents.of(TEXTS).translate(VOCABULARY)
    labels = np.array([1, 1, 0, 0, 1])
    odds, deviations = log_odds(documents, labels)
    bags = bag_of_words(documents).astype(np.float64)
    positive, negative = 1 + bags[labels == 1].sum(axis=0), 1 + bags[labels == 0].sum(axis=0)
    expected = np.log(positive / (3 + 2)) - np.log(negative / (2 + 2))
    np.testing.assert_allclose(odds[1:], expected[1:], rtol=1e-12)
    np.testing.assert_allclose(deviations[1:], (odds / np.sqrt(1 / positive + 1 / negative))[1:])
    flipped, _ = log_odds(documents, 1 - labels)
    np.testing.assert_allclose(flipped, -odds, rtol=1e-12)


def test_vectors_are_written_as_word2vec_does(dtype: str, tmp_path: Path) -> None:
    """Read back, they are the same numbers, to the last bit; the unknown word is not a word."""
    table = (
        np.random.default_rng(0).standard_normal((4, 3)) * 10.0 ** np.arange(-9, 3).reshape(4, 3)
    ).astype(dtype)
    WordVectors(table, Vocabulary(("\ufffd", "'", "naïve", "a_b"), "spaces")).save(tmp_path / "v.txt")
    head, *lines = (tmp_path / "v.txt").read_text(encoding="utf-8").splitlines()
    assert head == "3 3"
    assert [line.split(" ")[0] for line in lines] == ["'", "naïve", "a_b"]
    read = np.array([line.split(" ")[1:] for line in lines]).astype(dtype)
    np.testing.assert_array_equal(read, table[1:])
    with pytest.raises(ValueError, match=r"cannot hold the word 'a\\tb', with white space or empty"):
        WordVectors(table[:2], Vocabulary(("\ufffd", "a\tb"), "spaces")).save(tmp_path / "w.txt")
    assert not (tmp_path / "w.txt").exists()


def test_the_questions_are_pairs_and_each_is_asked_both_ways() -> None:
    """A table in which each answer is exact answers all; one in which one is not, all but its own."""
    kinds = read_questions()
    assert sum(len(pairs) * (len(pairs) - 1) for pairs in kinds.values()) > 500
    for pairs in kinds.values():
        assert len(set(pairs)) == len(pairs) > 1
    pairs = kinds["he and she"]
    words = sorted({word for pair in pairs for word in pair})
    vocabulary = Vocabulary(("\ufffd", *words), "spaces")
    rng = np.random.default_rng(0)
    table = np.zeros((len(vocabulary), 40))
    for i, (he, she) in enumerate(pairs):
        base = 10 * np.eye(40)[i]
        table[vocabulary.encode(he)[0]], table[vocabulary.encode(she)[0]] = base, base + np.eye(40)[39]
    table[0] = rng.standard_normal(40)
    for metric in ("cosine", "euclidean"):
        score = answer(WordVectors(table, vocabulary), {"k": pairs}, 2, metric)["k"]
        assert score == Score(len(pairs) * (len(pairs) - 1), score.asked, score.asked, 0)
    # One that is where nobody looks for it: as an answer it is missed, every other answer is found.
    table[vocabulary.encode(pairs[0][1])[0]] = rng.standard_normal(40)
    score = answer(WordVectors(table, vocabulary), {"k": pairs}, 1)["k"]
    assert score.first == score.asked - (len(pairs) - 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a b\n", "line 1: expected ': KIND', or two words after one; got 'a b'"),
        (": kind\n\na b c\n", "line 3: expected ': KIND', or two words"),
        (": kind\na b\n", "expected at least two pairs of words of a kind"),
        ("", "expected at least two pairs"),
    ],
)
def test_other_questions_are_refused(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "q.txt").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_questions(tmp_path / "q.txt")


def test_weights_that_make_no_numbers_are_one_line() -> None:
    """Of a training that went wrong: products beyond float32, without a warning."""
    model = SentimentClassifier(5, 3, activation="relu", rng=0)
    model.embedding.weight.data[...] = 1e30
    model.classifier.weight.data[...] = 1e30
    with pytest.raises(ValueError, match="make logits of inf or nan: train with a smaller learning rate"):
        word_sentiment(model)
