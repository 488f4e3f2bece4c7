"""IMDB: the published reviews in their order or a refusal, and what is kept of them is never just trusted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pooch
import pytest

from gdl_numpy import data
from gdl_numpy.checkpoint import save_checkpoint
from gdl_numpy.data import words_of
from gdl_numpy.data.sets import imdb
from gdl_numpy.data.sets.archive import Folder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FEW = 3  # reviews in a folder
SPLIT, VERSION, CACHE = imdb.WORDS["imdb"]


def text_of(part: str, label: str, number: int) -> str:
    return f"Review {number}<br /><br />of {part}, {label}: it’s fine, isn't it?"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data root with few reviews, whose numbers do not sort as their names do; and an own user's cache."""
    few = tuple(Folder(f.archive, f.path, FEW, f.name, f.pattern) for f in imdb.FOLDERS)
    monkeypatch.setattr(imdb, "FOLDERS", few)
    monkeypatch.setattr(imdb, "COUNT", FEW)
    monkeypatch.setattr(pooch, "os_cache", lambda name: tmp_path / "user" / name)
    for folder in few:
        _, part, label = folder.path.split("/")
        (tmp_path / "data" / folder.path).mkdir(parents=True)
        for number in (9, 10, 100):
            path = tmp_path / "data" / folder.path / f"{number}_{9 if label == 'pos' else 1}.txt"
            path.write_text(text_of(part, label, number), encoding="utf-8")
    return tmp_path / "data"


def expected(part: str) -> tuple[str, ...]:
    return tuple(
        words_of(text_of(part, label, number)) for number in (9, 10, 100) for label in ("pos", "neg")
    )


def not_read(*_: object) -> Any:
    raise AssertionError("the reviews were read, where they need not be")


def test_reviews_take_turns_in_the_order_of_their_numbers(root: Path) -> None:
    dataset = imdb.read(root)
    assert dataset.train.texts == expected("train")
    assert dataset.test.texts == expected("test")
    for part in (dataset.train, dataset.test):
        np.testing.assert_array_equal(part.labels, [1, 0, 1, 0, 1, 0], strict=True)
    assert dataset.train.texts[0] == "review 9 of train , pos : it's fine , isn't it ?"
    assert "test" not in dataset.vocabulary().tokens


def same(first: data.ReviewDataset, second: data.ReviewDataset) -> None:
    assert first.train.documents.vocabulary == second.train.documents.vocabulary
    assert first.sha256 == second.sha256
    assert second.train.documents.ids.dtype == second.train.documents.offsets.dtype == np.int64


def test_reviews_are_read_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = imdb.read(root)
    monkeypatch.setattr(imdb, "_texts", not_read)
    same(first, imdb.read(root))


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    "damage",
    [
        flip_a_bit,
        lambda path: path.write_bytes(path.read_bytes()[:-10]),
        lambda path: path.write_bytes(b"something else"),
        lambda path: save_checkpoint(path, {"ids": np.arange(3)}, {"key": "another"}),
        lambda path: save_checkpoint(path, {"ids": np.arange(3)}, {}),
    ],
    ids=["changed", "truncated", "something else", "of other reviews", "another checkpoint"],
)
def test_what_is_kept_is_made_anew_when_it_is_not_right(damage: Callable[[Path], object], root: Path) -> None:
    first = imdb.read(root)
    damage(root / CACHE)
    same(first, imdb.read(root))
    same(first, imdb.read(root))


def test_changed_reviews_are_read_again(root: Path) -> None:
    before = imdb.read(root)
    path = root / "aclImdb/train/neg/10_1.txt"
    path.write_text("Another review")
    after = imdb.read(root)
    assert after.train.texts[3] == "another review"
    assert after.sha256 != before.sha256


def test_reviews_are_read_again_when_words_are_told_apart_in_another_way(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    imdb.read(root)
    monkeypatch.setitem(imdb.WORDS, "imdb", (SPLIT, f"{VERSION}, in another way", CACHE))
    monkeypatch.setattr(imdb, "_texts", not_read)
    with pytest.raises(AssertionError, match="the reviews were read"):
        imdb.read(root)


def test_words_as_the_chapter_has_them(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What stands between spaces; kept beside the other words of the same reviews."""
    others = imdb.read(root)
    between_spaces = imdb.read(root, "imdb_spaces")
    assert between_spaces.name == "imdb_spaces"
    assert between_spaces.train.texts[0] == "review 9<br /><br />of train, pos: it’s fine, isn't it?"
    assert {"9<br", "/><br", "/>of", "it’s", "it?"} <= set(between_spaces.vocabulary().tokens)
    monkeypatch.setattr(imdb, "_texts", not_read)
    same(others, imdb.read(root))
    same(between_spaces, imdb.read(root, "imdb_spaces"))


def test_where_the_data_cannot_be_written_to_the_users_cache_will_do(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder in the file's place stops the superuser too."""
    (root / CACHE).mkdir()
    first = imdb.read(root)
    assert (tmp_path / "user/gdl-parity" / CACHE).is_file()
    with monkeypatch.context() as patch:
        patch.setattr(imdb, "_texts", not_read)
        same(first, imdb.read(root))
    (tmp_path / "user/gdl-parity" / CACHE).unlink()
    (tmp_path / "user/gdl-parity" / CACHE).mkdir()
    same(first, imdb.read(root))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            lambda root: (root / "aclImdb/test/pos/9_9.txt").unlink(),
            r"aclImdb/test/pos is not as it was published \(it holds 2 files, not 3\): run ",
        ),
        (
            lambda root: (root / "aclImdb/train/neg/9_1.txt").rename(root / "aclImdb/train/neg/nine.txt"),
            r"neg is not as it was published \(it holds nine\.txt, which is not named NUMBER_RATING\.txt",
        ),
        (
            lambda root: (root / "aclImdb/train/neg/9_1.txt").write_bytes(b"caf\xe9"),
            r"train/neg/9_1\.txt is damaged \(no UTF-8 at byte 3\): delete .*train/neg and run ",
        ),
        (lambda root: (root / "aclImdb/test").rename(root / "other"), "aclImdb/test/pos is missing: run "),
    ],
    ids=["too few", "wrong name", "not UTF-8", "no folder"],
)
def test_other_reviews_are_refused(damage: Callable[[Path], object], message: str, root: Path) -> None:
    damage(root)
    with pytest.raises(data.DataError, match=message) as refusal:
        imdb.read(root)
    assert "\n" not in str(refusal.value)


def test_the_published_reviews_are_50000() -> None:
    assert [(folder.path, folder.count) for folder in imdb.FOLDERS] == [
        (f"aclImdb/{part}/{label}", 12_500) for part in ("train", "test") for label in ("pos", "neg")
    ]
    assert {folder.archive for folder in imdb.FOLDERS} == {imdb.ARCHIVE}


@pytest.mark.skipif(not data.available("imdb"), reason="imdb is not there: run scripts/fetch_data.py imdb")
def test_imdb_is_half_positive_in_any_stretch() -> None:
    """Such as the last 1,000 reviews, which the book keeps for testing."""
    dataset = data.load("imdb")
    for part in (dataset.train, dataset.test):
        assert len(part) == 25_000
        assert part.labels.sum() == 12_500
        assert part.labels[-1000:].sum() == 500
        assert part.documents.lengths.min() > 0
    assert 80_000 < len(dataset.vocabulary()) < 83_000
    assert len(dataset.vocabulary(10_000)) == 10_000
    assert {"terrible", "beautiful", "don't", "!", "."} <= set(dataset.vocabulary(10_000).tokens)
    assert "<" not in dataset.train.texts[0]
