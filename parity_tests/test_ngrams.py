"""Words in a row as words of their own, and what they say of a label."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gdl_numpy import models
from gdl_numpy.data import BagsDataModule, Documents, ReviewDataset, Vocabulary
from gdl_numpy.data.ngrams import frequent_ngrams, has_ngrams, log_count_ratio, ngrams_in
from gdl_numpy.models import SentimentClassifier
from gdl_torch import models as torch_models
from gdl_torch.data import PythonDocsTopicsDataModule
from parity_tests.harness.bounds import ELEMENTARY
from parity_tests.harness.rounding import gamma, unit_roundoff
from parity_tests.support import small_reviews

U = unit_roundoff(np.float32)  # in which counts become weights
WORDS = st.lists(st.sampled_from(["a", "b", "_", "it's", "."]), max_size=12)


def rows_in(words: list[str], n: int) -> list[str]:
    return ["_".join(words[i : i + k]) for k in range(1, n + 1) for i in range(len(words) - k + 1)]


@given(st.lists(WORDS, min_size=1, max_size=5), st.integers(1, 3))
def test_rows_of_words_are_those_of_each_document(texts: list[list[str]], n: int) -> None:
    """None reaches from one document into the next; _ is a word like others, and no two rows are mixed up."""
    documents = Documents.of(" ".join(words) for words in texts)
    expected = [rows_in(words, n) for words in texts]
    counts = Counter(row for rows in expected for row in rows)
    if not counts:
        with pytest.raises(ValueError, match="at least one word"):
            frequent_ngrams(documents, n)
        return
    vocabulary = frequent_ngrams(documents, n)
    assert list(vocabulary.tokens[1:]) == sorted(counts)
    found = ngrams_in(documents, vocabulary)
    for document, rows in enumerate(expected):
        start, end = found.offsets[document : document + 2]
        assert [vocabulary.tokens[id_] for id_ in found.ids[start:end]] == rows
    assert has_ngrams(vocabulary) == any(len(words) > 1 for words in texts) * (n > 1)
    few = frequent_ngrams(documents, n, 4)
    kept = [counts[token] for token in few.tokens[1:]]
    assert len(kept) == min(3, len(counts))
    assert min(kept) >= max((count for token, count in counts.items() if token not in few.tokens), default=0)


def test_other_texts_are_read_with_the_vocabulary_of_some() -> None:
    vocabulary = Vocabulary(("\ufffd", "a", "a_b", "b_zz", "c"), "spaces")
    found = ngrams_in(Documents.of(["x a b", "", "c a c b"]), vocabulary)
    assert [found.text(i) for i in range(3)] == ["a a_b", "", "c a c"]
    assert len(ngrams_in(Documents.of(["x"]), vocabulary).ids) == 0


def test_a_vocabulary_of_words_alone_is_read_as_ever() -> None:
    train = small_reviews().train.documents
    vocabulary = train.frequent(5)
    known = train.translate(vocabulary)
    found = ngrams_in(train, vocabulary)
    np.testing.assert_array_equal(found.ids, known.ids[known.is_known])
    assert not has_ngrams(vocabulary)


@pytest.mark.parametrize(("n", "size"), [(0, None), (4, None), (2, 1)])
def test_what_makes_no_vocabulary_is_refused(n: int, size: int | None) -> None:
    with pytest.raises(ValueError, match="ngrams"):
        frequent_ngrams(Documents.of(["a b"]), n, size)


def test_the_ratio_is_wang_and_mannings() -> None:
    """Counted by hand: each text has a word once, each word has one more than its texts."""
    texts, labels = ["good good film", "good plot", "bad film", "bad plot plot"], np.array([1, 1, 0, 0])
    documents = Documents.of(texts)
    ratio = log_count_ratio(documents, labels)
    assert documents.vocabulary.tokens == ("\ufffd", "bad", "film", "good", "plot")
    p, q = np.array([1, 1, 2, 3, 2]), np.array([1, 3, 2, 1, 2])
    np.testing.assert_allclose(ratio, np.log(p / 9) - np.log(q / 9), rtol=2 * U)
    assert ratio.dtype == np.float32
    with pytest.raises(ValueError, match="all 4 texts to learn from have the label 1: give some of both"):
        log_count_ratio(documents, np.ones(4, np.int64))


def test_labels_of_one_class_are_refused() -> None:
    texts = [f"w{i}" for i in range(6)]
    dataset = ReviewDataset.of("alike", texts, np.array([1, 1, 1, 1, 0, 1]), np.arange(6) >= 4)
    with pytest.raises(ValueError, match="all 4 texts to learn from have the label 1"):
        BagsDataModule(dataset, validation=0.0)


def test_a_finished_model_needs_no_weights() -> None:
    """What it says of texts is what it said of them with weights; only the copy has them in its vectors."""
    data = BagsDataModule(small_reviews(60), 4, 0.2, ngrams=2, ratio=True)
    assert data.weights is not None
    model = SentimentClassifier(len(data.vocabulary), 5, activation="tanh", rng=0, dtype=np.float64).eval()
    before = model.embedding.weight.data.copy()
    finished = data.finished(model)
    (ids, offsets, weights), _ = data.test[0]
    np.testing.assert_array_equal(weights, data.weights[ids])
    expected = model(ids, offsets, weights.astype(np.float64))
    np.testing.assert_allclose(finished(ids, offsets), expected, rtol=1e-12)
    np.testing.assert_array_equal(model.embedding.weight.data, before)
    plain = BagsDataModule(small_reviews(60), 4, 0.2)
    assert plain.weights is None
    assert plain.finished(model) is model


@pytest.mark.parametrize("power", [1.0, 0.5])
def test_weights_are_those_of_the_texts_to_learn_from_alone(power: float) -> None:
    """Each on its side of zero; the power is of its distance."""
    data = BagsDataModule(small_reviews(60), 4, 0.2, ngrams=2, ratio=True, ratio_power=power)
    train = ngrams_in(data.texts["train"].documents, data.vocabulary)
    ratio = log_count_ratio(train, data.texts["train"].labels)
    assert data.weights is not None
    assert data.weights.dtype == np.float32
    np.testing.assert_array_equal(np.sign(data.weights), np.sign(ratio))
    assert {-1.0, 1.0} <= {*np.sign(ratio)}
    np.testing.assert_allclose(np.abs(data.weights), np.abs(ratio) ** power, rtol=float(gamma(ELEMENTARY, U)))
    assert "is_good" in data.vocabulary.tokens


@pytest.mark.parametrize("power", [0.0, -1.0, np.nan, np.inf])
def test_a_power_of_the_ratio_that_is_none_is_refused(power: float) -> None:
    """Of 0 nothing would be left but signs, and of less, infinities."""
    message = "DataModule: ratio_power must be more than 0, and finite, got"
    with pytest.raises(ValueError, match=message):
        BagsDataModule(small_reviews(60), ratio=True, ratio_power=power)
    with pytest.raises(ValueError, match=f"PythonDocsTopics{message}"):
        PythonDocsTopicsDataModule(ratio=True, ratio_power=power)


@pytest.mark.parametrize("side", [models, torch_models], ids=["numpy", "torch"])
def test_weights_are_for_sums_and_a_start_at_zero_for_slopes(side: Any) -> None:
    """Both sides say it in the same words, before anything is trained."""
    as_array = torch.from_numpy if side is torch_models else np.asarray
    ids, offsets, weights = (as_array(a) for a in (np.array([1, 2]), np.array([0]), np.ones(2, np.float32)))
    with pytest.raises(ValueError, match=r"weights of words \(--ratio\) are for the mode 'sum', not 'mean'"):
        side.SentimentClassifier(5, 3, "mean")(ids, offsets, weights)
    with pytest.raises(ValueError, match="zero_embedding is for sigmoid and tanh, relu would never learn"):
        side.SentimentClassifier(5, 3, activation="ReLU", zero_embedding=True)
