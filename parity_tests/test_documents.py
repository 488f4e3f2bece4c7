"""Documents and labelled texts: their words, in any vocabulary, are those that were written."""

from __future__ import annotations

import unicodedata

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from gdl_numpy import data
from gdl_numpy.data import Documents, LabelledTexts, Vocabulary, hold_out, words_of
from gdl_numpy.data.documents import paragraphs, split_words
from gdl_numpy.data.sets.python_docs_topics import OBJECTS, STATEMENTS
from gdl_numpy.data.words import bag_of_words
from parity_tests.support import bags_in, small_reviews

# Few words, so that documents have some in common; and ends of sentences.
some_texts = st.lists(
    st.lists(st.sampled_from(["a", "b", "c", "don't", "\ufffd", ".", "!"]), max_size=9).map(" ".join),
    max_size=6,
)


any_text = st.text(st.characters(exclude_categories=()) | st.sampled_from("aB'’ \n.<br/>_İß"))


def ids_of(documents: Documents, row: int) -> list[int]:
    ids: list[int] = documents.ids[documents.offsets[row] : documents.offsets[row + 1]].tolist()
    return ids


# --- words -------------------------------------------------------------------------------------------------


def test_words_are_in_lower_case_with_marks_set_off() -> None:
    assert words_of("Great film.<br /><br />I don’t mind; it's «good»...") == (
        "great film . i don't mind ; it's « good » . . ."
    )
    assert words_of("10/10 _Titanic_ 'twas rock'n'roll, the boys'") == (
        "10 / 10 _ titanic _ ' twas rock'n'roll , the boys '"
    )
    assert words_of(" \n ") == ""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a cafe\u0301, cafe\u0301s", "a cafe\u0301 , cafe\u0301s"),
        ("हिन्दी फ़िल्म।", "हिन्दी फ़िल्म ।"),
        ("l'e\u0301te\u0301 d'e", "l'e\u0301te\u0301 d'e"),
        ("\u0301a !\u0301 _\u0301", "\u0301 a !\u0301 _ \u0301"),
    ],
)
def test_combining_marks_belong_to_their_letter(text: str, words: str) -> None:
    assert words_of(text) == words
    assert split_words(unicodedata.normalize("NFD", "Amélie")) == [unicodedata.normalize("NFD", "amélie")]


@given(text=any_text)
def test_words_are_read_as_they_were_written(text: str) -> None:
    """What is shown to people, and typed again, is the same document."""
    words = words_of(text)
    assert words_of(words) == words
    assert words == " ".join(words.split())
    if words:
        assert Vocabulary.build(words, "spaces", unknown=False).split(words) == words.split()


def test_paragraphs_are_what_blank_lines_divide() -> None:
    assert paragraphs("\n\na\nb\n \t\n\n  c\n\n\n") == ["a\nb", "  c"]
    assert paragraphs(" \n \n") == []


# --- documents ---------------------------------------------------------------------------------------------


@example(texts=["b a c", "c b a"], max_size=2, unknown=True)  # equally frequent: the first in the text stays
@given(texts=some_texts, max_size=st.none() | st.integers(2, 6), unknown=st.booleans())
def test_documents_are_their_texts_in_any_vocabulary(
    texts: list[str], max_size: int | None, unknown: bool
) -> None:
    """The fast way, one table from one vocabulary to another, gives what encoding the words gives."""
    documents = Documents.of(texts)
    assert [documents.text(row) for row in range(len(documents))] == texts
    together = " ".join(filter(None, texts))
    assume(together and (not unknown or together.strip("\ufffd ")))
    vocabulary = documents.frequent(max_size, unknown)
    assert vocabulary == Vocabulary.build(together, "spaces", unknown, max_size)
    assume(unknown or max_size is None)
    translated = documents.translate(vocabulary)
    for row, text in enumerate(texts):
        assert ids_of(translated, row) == vocabulary.encode(text).tolist()


def test_a_word_without_a_place_in_a_vocabulary_is_refused() -> None:
    documents = Documents.of(["a b"])
    with pytest.raises(ValueError, match="lacks 'b'"):
        documents.translate(Vocabulary(("a",), "spaces", unknown=False))
    with pytest.raises(ValueError, match="max_size must be at least 2"):
        documents.frequent(1)
    with pytest.raises(ValueError, match="at least one word, and there is none"):
        Documents.of(["", "\ufffd"]).frequent()
    with pytest.raises(ValueError, match="offsets must go up from 0 to 2"):
        Documents(documents.vocabulary, documents.ids, np.array([0, 1]))


@given(texts=some_texts, rows=st.lists(st.integers(0, 5), max_size=8))
def test_documents_are_gathered_selected_and_made_distinct(texts: list[str], rows: list[int]) -> None:
    documents = Documents.of(texts)
    rows = [row for row in rows if row < len(texts)]
    ids, offsets = documents.gather(np.array(rows, np.int64))
    assert ids.dtype == offsets.dtype == np.int64
    if rows:
        assert bags_in(ids, offsets) == [ids_of(documents, row) for row in rows]
    selected = documents.select(np.array(rows, np.int64))
    assert [selected.text(row) for row in range(len(selected))] == [texts[row] for row in rows]
    distinct = documents.distinct()
    assert len(distinct) == len(documents)
    for row in range(len(documents)):
        assert ids_of(distinct, row) == sorted(set(ids_of(documents, row)))
    first, others = documents.split(len(texts) // 2)
    assert [part.text(row) for part in (first, others) for row in range(len(part))] == texts


@given(texts=some_texts)
def test_sentences_end_with_their_marks(texts: list[str]) -> None:
    """Puts together they are their documents again; only the last of a document may lack a mark."""
    documents = Documents.of(texts)
    sentences, document_of = documents.sentences()
    found: dict[int, list[str]] = {row: [] for row in range(len(texts))}
    for row, document in enumerate(document_of.tolist()):
        found[document].append(sentences.text(row))
    for row, text in enumerate(texts):
        assert " ".join(found[row]) == text
        for sentence in found[row][:-1]:
            assert sentence[-1] in ".!"
            assert not any(mark in sentence.rstrip(".! ") for mark in ".!")


# --- labelled texts --------------------------------------------------------------------------------------


def test_the_vocabulary_is_of_the_training_texts() -> None:
    dataset = small_reviews()
    assert "w9" in dataset.vocabulary().tokens
    assert "w10" not in dataset.vocabulary().tokens
    assert dataset.test.texts[0] == "w10 is bad . so it is ! yes"
    assert dataset.sha256 == small_reviews().sha256 != small_reviews(18).sha256


@pytest.mark.usefixtures("unchecked_types")
def test_labels_are_one_for_each_text_and_0_or_1() -> None:
    documents = Documents.of(["a", "b"])
    with pytest.raises(ValueError, match="2 texts but 1 labels"):
        LabelledTexts(documents, np.array([1]))
    with pytest.raises(ValueError, match="labels must be 0 or 1, got 2"):
        LabelledTexts(documents, np.array([1, 2]))


def test_texts_and_labels_are_held_out_together() -> None:
    """As images are: in their old order, each in exactly one of the two."""
    train = small_reviews(40).train
    rest, held_out = hold_out(train, 0.25, seed=3)
    assert (len(rest), len(held_out)) == (15, 5)
    assert sorted(rest.texts + held_out.texts) == sorted(train.texts)
    for part in (rest, held_out):
        numbers = [int(text.split()[0][1:]) for text in part.texts]
        assert numbers == sorted(numbers)
        np.testing.assert_array_equal(part.labels, np.array(numbers) % 2)
    with pytest.raises(ValueError, match=r"holds out all 20 examples"):
        hold_out(train, 0.99, seed=0)


def test_neighbours_are_held_out_together_or_not_at_all() -> None:
    """Stretches are counted from the first text; a shorter one at the end is one, too."""
    train = small_reviews(86).train
    rest, held_out = hold_out(train, 0.25, seed=2, together=6)
    numbers = [{int(text.split()[0][1:]) for text in part.texts} for part in (rest, held_out)]
    assert numbers[0] | numbers[1] == set(range(43))
    stretches = [{number // 6 for number in part} for part in numbers]
    assert stretches[0].isdisjoint(stretches[1])
    assert (len(stretches[0]), len(stretches[1])) == (6, 2)
    module = data.BagsDataModule(small_reviews(86), 4, 0.25, seed=2, together=6)
    assert module.texts["validation"].texts == held_out.texts
    with pytest.raises(ValueError, match="BagsDataModule: together must be at least 1, got 0"):
        data.BagsDataModule(small_reviews(86), together=0)


def test_topics_have_labels_that_a_bag_of_words_can_learn() -> None:
    """Better than always saying the more frequent one, and each paragraph is there once."""
    dataset = data.load("python_docs_topics")
    assert data.available("python_docs_topics")
    every = dataset.train.texts + dataset.test.texts
    assert len(every) > 1500
    assert len(set(every)) == len(every)
    assert min(len(text.split()) for text in every) >= 5
    assert set(STATEMENTS.split()).isdisjoint(OBJECTS.split())
    for part in (dataset.train, dataset.test):
        assert 0.45 < part.labels.mean() < 0.6
    assert abs(len(dataset.test) - len(every) / 5) <= 1
    vocabulary = dataset.vocabulary()
    train, test = (
        bag_of_words(part.documents.translate(vocabulary)) for part in (dataset.train, dataset.test)
    )
    model = LogisticRegression(max_iter=1000).fit(train, dataset.train.labels)
    assert model.score(test, dataset.test.labels) > 0.8
