"""The texts: what is read is what was written, or published, and its parts follow each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gdl_numpy import data
from gdl_numpy.data import Vocabulary
from gdl_numpy.data.sets import babi

if TYPE_CHECKING:
    from pathlib import Path

# All code points, also those that are no characters: Python's strings hold lone surrogates.
any_text = st.text(st.characters(exclude_categories=()))


@given(text=any_text.filter(bool))
def test_a_text_is_divided_into_pieces_that_follow_each_other(text: str) -> None:
    dataset = data.TextDataset.split("sample", text)
    assert dataset.text == dataset.train + dataset.validation + dataset.test == text
    assert len(dataset.train) == int(len(text) * 0.9)
    assert abs(len(dataset.validation) - len(dataset.test)) <= 1


def test_an_empty_text_is_refused() -> None:
    with pytest.raises(ValueError, match="the text of 'sample' is empty"):
        data.TextDataset.split("sample", "")


def test_a_text_is_known_again_by_its_digest() -> None:
    """Where it is cut does not matter, a single character does, and lone surrogates can be digested too."""
    text = data.TextDataset("a", "to be", " or", "\ud800")
    assert text.sha256 == data.TextDataset("b", "to", " be or", "\ud800").sha256
    assert text.sha256 != data.TextDataset("a", "to be", " oR", "\ud800").sha256


def test_a_text_is_read_with_the_vocabulary_of_its_training_piece() -> None:
    """Unless nothing in the other pieces may be unknown."""
    text = data.TextDataset("sample", "aab", "bc", "cd")
    assert text.vocabulary() == Vocabulary.build("aab")
    assert text.vocabulary(unknown=False) == Vocabulary.build("abcd", unknown=False)
    assert text.vocabulary("words", max_size=2) == Vocabulary.build("aab", "words", max_size=2)
    sentences = data.SentenceDataset("sample", ("a b",), ("c",), ("a d",))
    assert sentences.vocabulary() == Vocabulary.build("a b c d", "spaces")


def test_a_file_of_text_is_read_as_it_is(tmp_path: Path) -> None:
    """Line ends and all, and cut as other texts are; a byte order mark is no character of it."""
    text = "Ein Mädchen\r\n\tging in den Wald.\n"
    (tmp_path / "story.txt").write_bytes(text.encode("utf-8-sig"))
    assert data.read_text_file(tmp_path / "story.txt") == data.TextDataset.split("story.txt", text)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"x" * 19, "has 19 characters, too few for three parts"),
        (b"x" * 30 + "é".encode("latin-1"), r"is no text in UTF-8 \(byte 30\)"),
    ],
)
def test_a_file_that_is_no_text_is_refused(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_bytes(content)
    with pytest.raises(data.DataError, match=f"file.txt {message}"):
        data.read_text_file(path)
    with pytest.raises(data.DataError, match="there is no file "):
        data.read_text_file(tmp_path / "nowhere.txt")
    with pytest.raises(data.DataError, match="is a folder"):
        data.read_text_file(tmp_path)
    with pytest.raises(data.DataError, match=r"cannot be read \(Not a directory"):
        data.read_text_file(path / "file.txt")


# --- those that were published -----------------------------------------------------------------------------


def needs(name: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(
        not data.available(name), reason=f"{name} is not there: run scripts/fetch_data.py {name}"
    )


def test_python_docs_are_always_there() -> None:
    """The text differs between versions of Python, but it is some, and its characters are in all pieces."""
    docs = data.load("python_docs")
    assert data.available("python_docs")
    assert len(docs.text) > 300_000
    assert docs.train.startswith('The "assert" statement')
    assert Vocabulary.build(docs.train).decode(Vocabulary.build(docs.train).encode(docs.text)) == docs.text


@needs("shakespeare")
def test_tiny_shakespeare_is_the_text_that_others_report_losses_on() -> None:
    text = data.load("shakespeare")
    assert [len(piece) for piece in (text.train, text.validation, text.test)] == [1_003_854, 55_770, 55_770]
    assert text.train.startswith("First Citizen:\nBefore we proceed any further, hear me speak.")
    vocabulary = Vocabulary.build(text.train, unknown=False)
    assert len(vocabulary) == 65
    assert vocabulary.decode(vocabulary.encode(text.text)) == text.text


@needs("shakespeare_book")
def test_the_books_shakespeare_has_62_characters() -> None:
    """So that a model that knows nothing yet has the perplexity 62 that the book prints."""
    text = data.load("shakespeare_book")
    assert len(text.text) == 99_993
    assert len(Vocabulary.build(text.train, unknown=False)) == 62
    assert set(text.text) == set(text.train)


# --- bAbI --------------------------------------------------------------------------------------------------


def test_babi_has_two_files_a_task() -> None:
    assert set(babi.FILES) == {(task, part) for task in range(1, 21) for part in ("train", "test")}
    for (task, part), file in babi.FILES.items():
        assert file.path.startswith(f"tasksv11/en/qa{task}_")
        assert file.path.endswith(f"_{part}.txt")
        assert file.urls[0].endswith(file.path)


@needs("babi")
def test_babi_sentences_are_the_books() -> None:
    """A vocabulary of 82 is what chapter 12's perplexity starts from."""
    dataset = data.load("babi")
    assert [len(part) for part in (dataset.train, dataset.validation, dataset.test)] == [1000, 500, 500]
    assert dataset.train[:3] == (
        "mary moved to the bathroom.",
        "john went to the hallway.",
        "where is mary? \tbathroom\t1",
    )
    assert len(Vocabulary.build(" ".join(dataset.train), "spaces", unknown=False)) == 82
    assert not dataset.padded
    assert dataset.text.split(" ")[-1] == dataset.test[-1].split(" ")[-1]


@needs("babi_padded")
def test_padded_babi_sentences_have_six_words() -> None:
    plain, padded = data.load("babi"), data.load("babi_padded")
    assert padded.padded
    assert padded.train[0] == "- mary moved to the bathroom."
    for part in ("train", "validation", "test"):
        sentences = getattr(padded, part)
        assert len(sentences) == (100 if part == "train" else 500)
        assert {len(sentence.split(" ")) for sentence in sentences} == {6}
        unpadded = tuple(sentence.lstrip("- ") for sentence in sentences)
        assert unpadded == getattr(plain, part)[: len(sentences)]


@needs("babi")
def test_other_tasks_of_babi_are_read_as_the_first() -> None:
    assert data.load("babi/1") == data.load("babi")
    assert data.load("babi_padded/1") == data.load("babi_padded")
    seventh = data.load("babi_padded/7")
    assert seventh.name == "babi_padded/7"
    assert len({len(sentence.split(" ")) for sentence in seventh.train + seventh.test}) == 1
    assert seventh.train[0].lstrip("- ") == data.load("babi/7").train[0]


@needs("babi")
@pytest.mark.parametrize("task", babi.TASKS)
def test_every_babi_task_has_a_thousand_questions_with_their_facts(task: int) -> None:
    for questions in babi.questions(data.data_root(), task):
        assert len(questions) == 1000
        for question in questions:
            assert question.question.endswith("?")
            assert question.answer.isascii()
            assert question.supporting
            assert max(question.supporting) < len(question.story)
            assert not any("\t" in fact for fact in question.story)


@needs("babi")
def test_a_question_follows_from_the_facts_it_names() -> None:
    """Line numbers count questions too: what they point at must be found among the facts alone."""
    train, _ = babi.questions(data.data_root(), 1)
    assert [len(question.story) for question in train[:6]] == [2, 4, 6, 8, 10, 2]
    assert train[1].story[-2:] == ("Daniel went back to the hallway.", "Sandra moved to the garden.")
    for question in train:
        (fact,) = question.supporting
        who = question.question.removeprefix("Where is ").removesuffix("?")
        assert question.story[fact].startswith(who)
        assert question.story[fact].endswith(f" the {question.answer}.")
    assert len(babi.read_task(data.data_root(), 20).train) == 1000


@pytest.mark.parametrize("task", [0, 21])
def test_there_are_twenty_tasks(task: int) -> None:
    message = f"babi: task must be from 1 to 20, got {task}"
    with pytest.raises(ValueError, match=message):
        babi.questions(data.data_root(), task)
    for use in (data.load, data.fetch, data.available):
        with pytest.raises(ValueError, match=message):
            use(f"babi/{task}")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("babi/", "babi: task must be from 1 to 20, got none"),
        ("babi/seven", "babi: task must be from 1 to 20, got seven"),
        ("digits/7", "digits has no tasks: leave out /7"),
        ("bab/7", "unknown data set 'bab': did you mean 'babi'"),
    ],
)
def test_a_task_that_there_is_not(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        data.find(name)


def test_a_task_is_a_data_set_of_two_files() -> None:
    source = data.find("BABI/7")
    assert source.name == "babi/7"
    assert [file.path for file in source.files] == [
        f"tasksv11/en/qa7_counting_{part}.txt" for part in ("train", "test")
    ]
