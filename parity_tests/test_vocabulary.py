"""Nothing is lost between text and ids, in any vocabulary; what is no vocabulary is refused."""

from __future__ import annotations

import json
import re
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from gdl_numpy.data import UNKNOWN, Kind, Vocabulary

KINDS: tuple[Kind, ...] = get_args(Kind)
# All code points, also those that are no characters: Python's strings hold lone surrogates.
any_text = st.text(st.characters(exclude_categories=()))
# Text with many words and spaces in it, of few letters, so that two texts have tokens in common.
prose = st.text(st.sampled_from("aé'’ \n\t.-\ufffd\ud800字"))
texts = any_text | prose
SURROGATE_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")


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
