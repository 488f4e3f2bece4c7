"""Text: nothing is lost between text and ids, and every token is predicted once, from the ones before it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from gdl_numpy import data
from gdl_numpy.data import IGNORED, UNKNOWN, Kind, Sentences, Streams, Vocabulary
from gdl_numpy.data.sets import babi

if TYPE_CHECKING:
    from pathlib import Path

KINDS: tuple[Kind, ...] = get_args(Kind)

# All code points, also those that are no characters: Python's strings hold lone surrogates.
any_text = st.text(st.characters(exclude_categories=()))
# Text with many words and spaces in it, of few letters, so that two texts have tokens in common.
prose = st.text(st.sampled_from("aé'’ \n\t.-\ufffd\ud800字"))
texts = any_text | prose
SURROGATE_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")

# --- vocabularies ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@given(text=texts.filter(bool), unknown=st.booleans())
@example(text="\ud83d\ude00 two halves of an emoji, which JSON must not join", unknown=False)
@example(text="\ufffd", unknown=True)
@example(text="  two  spaces ", unknown=True)
@example(text="e\u0301 \u00e9 \u2028\x85\r\n", unknown=True)
def test_text_to_ids_and_back_loses_nothing(kind: Kind, text: str, unknown: bool) -> None:
    """Also with the vocabulary of a checkpoint, which has been JSON in between."""
    assume(kind != "spaces" or not SURROGATE_PAIR.search(text))  # see Vocabulary.to_json
    built = Vocabulary.build(text, kind, unknown)
    read = Vocabulary.from_json(json.loads(json.dumps(built.to_json())))
    assert read == built
    ids = read.encode(text)
    assert ids.dtype == np.int64
    assert not ids.size or 0 <= ids.min() <= ids.max() < len(read)
    assert read.decode(ids) == text
    assert read.decode(ids.tolist()) == text
    assert read.unknown_in(text) == ()


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_text_has_no_symbols(kind: Kind) -> None:
    """Not one empty token either, which is what dividing it at its spaces would give."""
    vocabulary = Vocabulary.build("a b", kind)
    np.testing.assert_array_equal(vocabulary.encode(""), np.zeros(0, np.int64), strict=True)
    assert vocabulary.decode([]) == ""


@pytest.mark.parametrize("kind", KINDS)
@given(known=texts.filter(bool), text=texts)
def test_what_is_not_known_is_shown_and_named(kind: Kind, known: str, text: str) -> None:
    vocabulary = Vocabulary.build(known, kind)
    tokens = vocabulary.split(text)
    lacking = set(tokens) - {*vocabulary.split(known), UNKNOWN}
    shown = [UNKNOWN if token in lacking else token for token in tokens]
    assert vocabulary.decode(vocabulary.encode(text)) == (" " if kind == "spaces" else "").join(shown)
    assert vocabulary.unknown_in(text) == tuple(dict.fromkeys(s for s in tokens if s in lacking))


@given(known=prose.filter(bool), text=prose)
def test_without_an_unknown_symbol_the_first_one_lacking_is_refused(known: str, text: str) -> None:
    vocabulary = Vocabulary.build(known, unknown=False)
    assume(lacking := vocabulary.unknown_in(text))
    with pytest.raises(ValueError, match="the vocabulary lacks") as refusal:
        vocabulary.encode(text)
    assert f"lacks {lacking[0]!r}, character {text.index(lacking[0])} of the text" in str(refusal.value)


def test_words_are_words_and_marks_with_the_space_before_them() -> None:
    words = Vocabulary.build("x", "words")
    text = "To be, don't  _x_ 'tis 12.5:\n\n字 - "
    assert words.split(text) == [
        *("To", " be", ",", " don't", " ", " _x_", " '", "tis", " 12", ".", "5", ":"),
        *("\n", "\n", "字", " -", " "),
    ]
    assert words.unit == "word"


def test_spaces_divide_words_as_the_book_divides_them() -> None:
    vocabulary = Vocabulary.build("where is mary? \tbathroom\t1", "spaces", unknown=False)
    assert set(vocabulary.tokens) == {"where", "is", "mary?", "\tbathroom\t1"}
    assert vocabulary.unit == "word"


def test_ids_do_not_depend_on_where_symbols_stand_in_the_text() -> None:
    """Checkpoints of one text can be compared: its characters are sorted, the unknown one before them."""
    assert Vocabulary.build("hello").tokens == (UNKNOWN, *"ehlo")
    assert Vocabulary.build("olleh", unknown=False).tokens == tuple("ehlo")
    assert Vocabulary.build("hello").unit == "character"


@pytest.mark.parametrize(
    ("max_size", "unknown", "tokens"),
    [
        (3, False, ("b", "c", "d")),  # of a, c and d, twice each, c and d come first
        (3, True, (UNKNOWN, "b", "d")),
        (99, True, (UNKNOWN, *"abcde")),
        (2, True, (UNKNOWN, "b")),
        (1, False, ("b",)),
    ],
)
def test_a_full_vocabulary_keeps_the_most_frequent_symbols(
    max_size: int, unknown: bool, tokens: tuple[str, ...]
) -> None:
    assert Vocabulary.build("dcbabbacde", unknown=unknown, max_size=max_size).tokens == tokens


def test_bad_texts_and_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="text must have at least one token, got an empty one"):
        Vocabulary.build("")
    with pytest.raises(ValueError, match=r"max_size must be at least 2 \(with unknown=True\), got 1"):
        Vocabulary.build("text", max_size=1)
    with pytest.raises(ValueError, match=r"max_size must be at least 1 \(with unknown=False\), got 0"):
        Vocabulary.build("text", unknown=False, max_size=0)


@pytest.mark.parametrize(
    ("tokens", "kind", "unknown", "message"),
    [
        ((), "characters", False, "at least one token"),
        (("a", "b", "a"), "characters", False, "'a' is there more than once"),
        (("a", "bc"), "characters", False, "'bc' is not one token, where tokens are characters"),
        (("",), "characters", False, "'' is not one token"),
        (("a b",), "words", False, "'a b' is not one token, where tokens are words"),
        (("a b",), "spaces", False, "'a b' is not one token, where tokens are spaces"),
        (("a", UNKNOWN), "characters", True, "with unknown=True token 0 must be '\ufffd', got 'a'"),
    ],
)
def test_inconsistent_vocabularies_are_refused(
    tokens: tuple[str, ...], kind: Kind, unknown: bool, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Vocabulary(tokens, kind, unknown)


def change(**fields: object) -> dict[str, object]:
    return {"kind": "characters", "unknown": False, "symbols": ["a", "b"]} | fields


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, r"expected \['kind', 'symbols', 'unknown'\], got NoneType"),
        ([], "got list"),
        ({"symbols": ["a"]}, r"got \['symbols'\]"),
        (change(extra=1), r"got \['extra', 'kind', 'symbols', 'unknown'\]"),
        (change(kind="letters"), "kind must be one of characters, words, spaces; got 'letters'"),
        (change(kind=["words"]), r"kind must be one of .*; got \['words'\]"),
        (change(unknown=1), "unknown must be true or false, got 1"),
        (change(unknown=True), "token 0 must be"),
        (change(symbols="ab"), "symbols must be a list of strings"),
        (change(symbols=["a", 2]), "symbols must be a list of strings"),
        (change(symbols=["a", "a"]), "'a' is there more than once"),
    ],
)
def test_what_is_no_vocabulary_is_refused(value: Any, message: str) -> None:
    """A checkpoint's metadata may come from anywhere."""
    with pytest.raises(ValueError, match=message):
        Vocabulary.from_json(value)


@pytest.mark.parametrize("wrong", [-1, 3])
def test_ids_out_of_range_are_refused(wrong: int) -> None:
    """Also -1, which Python would take for the last token."""
    with pytest.raises(IndexError, match=f"ids must be from 0 to 2, got {wrong}"):
        Vocabulary.build("abc", unknown=False).decode([0, wrong])


# --- texts in streams --------------------------------------------------------------------------------------


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


sizes = st.integers(1, 4)


@given(extra=st.integers(0, 60), batch_size=sizes, chunk=sizes, ahead=st.integers(0, 2), num_replicas=sizes)
def test_streams_read_every_symbol_once_and_in_order(
    extra: int, batch_size: int, chunk: int, ahead: int, num_replicas: int
) -> None:
    """Side by side on all devices, the columns put one below the other are the text."""
    streams = num_replicas * batch_size
    ids = 1000 + np.arange(streams * chunk + ahead + extra)
    columns: list[np.ndarray] = []
    for rank in range(num_replicas):
        loader = Streams(ids, batch_size, chunk, ahead, num_replicas, rank)
        batches = list(loader)
        assert len(batches) == len(loader)
        assert {len(inputs) for inputs, _ in batches[:-1]} <= {chunk}
        assert 1 <= len(batches[-1][0]) <= chunk
        for inputs, targets in batches:
            assert inputs.shape == targets.shape == (len(inputs), batch_size)
            assert inputs.flags.c_contiguous
            assert targets.flags.c_contiguous
            np.testing.assert_array_equal(targets, inputs + ahead)
        columns.extend(np.concatenate([inputs for inputs, _ in batches]).T)
    read = np.concatenate(columns)
    np.testing.assert_array_equal(read, ids[: len(read)], strict=True)
    assert 0 <= len(ids) - ahead - len(read) < streams


def test_streams_are_the_same_in_every_epoch() -> None:
    loader = Streams(np.arange(50), 4, 5)
    first = list(loader)
    loader.set_epoch(3)
    np.testing.assert_equal(list(loader), first)
    assert loader.continues
    assert json.loads(json.dumps(loader.describe())) == {
        "symbols": 50,
        "batch_size": 4,
        "chunk": 5,
        "ahead": 1,
        "num_replicas": 1,
    }


@pytest.mark.parametrize("batch_size", [1, 3])
def test_batches_of_streams_are_arrays_that_torch_takes(batch_size: int) -> None:
    """It warns of arrays that must not be written to, as views of overlapping windows are."""
    for inputs, targets in Streams(np.arange(50), batch_size, 5):
        assert inputs.flags.writeable
        assert targets.flags.writeable


def test_a_text_too_short_says_how_much_is_needed() -> None:
    """One full chunk for each stream, on all devices, and what is to be predicted after it."""
    for num_replicas, ahead, needed in [(1, 1, 51), (1, 0, 50), (2, 1, 101)]:
        Streams(np.arange(needed), 5, 10, ahead, num_replicas)
        message = (
            f"the text has {needed - 1} tokens, but {5 * num_replicas} streams in chunks of 10 need "
            f"at least {needed}: "
        )
        with pytest.raises(ValueError, match=message):
            Streams(np.arange(needed - 1), 5, 10, ahead, num_replicas)
    with pytest.raises(ValueError, match="the text has 0 tokens"):
        Streams(np.arange(0), 1, 1)
    parts: dict[Any, str] = {"train": "training", "validation": "validation", "test": "test"}
    for part, called in parts.items():
        with pytest.raises(ValueError, match=f"in the {called} part the text has 0 tokens"):
            Streams(np.arange(0), 1, 1, part=part)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 0}, "Streams: batch_size must be at least 1, got 0"),
        ({"chunk": 0}, "Streams: chunk must be at least 1, got 0"),
        ({"ahead": -1}, "Streams: ahead must be at least 0, got -1"),
        ({"num_replicas": 0}, "Streams: num_replicas must be at least 1, got 0"),
        ({"num_replicas": 2, "rank": 2}, "Streams: rank must be from 0 to 1, got 2"),
        ({"rank": -1}, "Streams: rank must be from 0 to 0, got -1"),
    ],
)
def test_streams_refuse_bad_arguments_by_name(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Streams(np.arange(100), **({"batch_size": 2, "chunk": 3} | arguments))
    with pytest.raises(ValueError, match="Streams: epoch must be at least 0, got -1"):
        Streams(np.arange(100), 2, 3).set_epoch(-1)


# --- sentences ---------------------------------------------------------------------------------------------


@given(
    lengths=st.lists(st.integers(2, 6), max_size=12),
    batch_size=st.integers(1, 5),
    seed=st.none() | st.integers(0, 2**40),
    ahead=st.integers(0, 1),
    last_only=st.booleans(),
)
def test_sentences_are_predicted_whole_or_at_their_end(
    lengths: list[int], batch_size: int, seed: int | None, ahead: int, last_only: bool
) -> None:
    """One by one and without padding, each column of the batches is a sentence."""
    sentences = [100 * row + np.arange(1, 1 + length) for row, length in enumerate(lengths)]
    loader = Sentences(sentences, batch_size, seed, ahead, last_only)
    loader.set_epoch(2)
    order = np.arange(len(lengths)) if seed is None else data.epoch_order(len(lengths), seed, 2)
    batches = list(loader)
    assert len(batches) == len(loader)
    rows = iter(order)
    for inputs, targets in batches:
        assert inputs.shape == targets.shape
        assert inputs.dtype == targets.dtype == np.int64
        assert np.any(targets[-1] != IGNORED), "no longer than the longest of the batch"
        for read, wanted in zip(inputs.T, targets.T, strict=True):
            sentence = sentences[next(rows)]
            pairs = list(zip(sentence, sentence[ahead:], strict=False))
            assert [(i, t) for i, t in zip(read, wanted, strict=True) if t != IGNORED] == (
                pairs[-1:] if last_only else pairs
            )
            np.testing.assert_array_equal(read[: len(pairs)], sentence[: len(pairs)])
            assert not read[len(pairs) :].any()
    assert next(rows, None) is None


def test_sentences_say_what_a_resumed_run_must_share() -> None:
    loader = Sentences([np.arange(3), np.arange(4)], 2, seed=5, last_only=True)
    assert not loader.continues
    assert json.loads(json.dumps(loader.describe())) == {
        "examples": 2,
        "batch_size": 2,
        "seed": 5,
        "ahead": 1,
        "last_only": True,
    }


def test_a_sentence_without_a_target_is_named() -> None:
    sentences = [np.arange(3), np.arange(1)]
    assert len(list(Sentences(sentences, 1, ahead=0))) == 2
    with pytest.raises(ValueError, match="sequence 1 has 1 tokens, but needs at least 2 to have a target"):
        Sentences(sentences, 1)
    with pytest.raises(ValueError, match="sequence 0 has 0 tokens, but needs at least 1"):
        Sentences([np.arange(0)], 1, ahead=0)


def test_sentences_refuse_bad_arguments_by_name() -> None:
    sentences = [np.arange(3)]
    with pytest.raises(ValueError, match="Sentences: batch_size must be at least 1, got 0"):
        Sentences(sentences, 0)
    with pytest.raises(ValueError, match="Sentences: seed must be 0 or more, or None, got -1"):
        Sentences(sentences, 1, seed=-1)
    with pytest.raises(ValueError, match="Sentences: ahead must be at least 0, got -1"):
        Sentences(sentences, 1, ahead=-1)


def test_devices_share_sentences() -> None:
    """Each takes every other one of a batch twice as large."""
    sentences = [100 * row + np.arange(1, 4) for row in range(6)]
    whole = Sentences(sentences, 4, seed=2)
    shares = [Sentences(sentences, 2, 2, num_replicas=2, rank=rank) for rank in range(2)]
    for (inputs, targets), *parts in zip(whole, *shares, strict=True):
        for rank, part in enumerate(parts):
            np.testing.assert_equal(part, (inputs[:, rank::2], targets[:, rank::2]))


def test_the_lines_of_a_text_are_sentences_for_those_who_cannot_read_on() -> None:
    """Neither the empty ones nor those too long; in words, those of all the text."""
    text = data.TextDataset("sample", "a b c\n\n  d e\na b c d e\nb\n", "c b\n", "f a\n")
    module = data.LineDataModule(text, 9, longest=3, ahead=0)
    assert module.vocabulary == Vocabulary.build(text.text, "words")
    lines = [module.vocabulary.encode(line) for line in ("a b c", "d e", "b")]
    np.testing.assert_equal(list(module.train), list(Sentences(lines, 9, seed=0, ahead=0)))
    assert module.validation is not None
    assert [module.test[0][0].shape, module.validation[0][0].shape] == [(2, 1), (2, 1)]
    assert module.identity == {"text_sha256": text.sha256}
    assert len(data.LineDataModule(text, longest=3).train.sequences) == 2  # type: ignore[attr-defined]
    assert len(data.LineDataModule(text, max_words=3).vocabulary) == 3
    with pytest.raises(ValueError, match="LineDataModule: longest must be at least 1, got 0"):
        data.LineDataModule(text, longest=0)


# --- the texts ---------------------------------------------------------------------------------------------


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
