"""Mail: the corpora in their layouts or a refusal, no mail in both parts; the model of one weight a word."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pooch
import pytest
import torch

from gdl_numpy import data
from gdl_numpy.data.sets import spam
from gdl_numpy.data.sets.download import download
from gdl_numpy.data.words import BagsDataModule
from gdl_numpy.models import SpamClassifier
from gdl_numpy.optim import SGD
from gdl_numpy.tasks import ProbabilityClassification
from gdl_numpy.training import evaluate, fit
from gdl_torch.export import from_numpy

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FEW = 10  # mails in a folder


def few(corpus: spam.Corpus, root: Path) -> spam.Corpus:
    """A corpus with few mails in each folder, which are written under `root`."""
    boxes = tuple(replace(box, folder=replace(box.folder, count=FEW)) for box in corpus.mailboxes)
    for box in boxes:
        folder = root / box.folder.path
        folder.mkdir(parents=True)
        for number in range(FEW):
            name = f"{number:05}.{number:032x}.txt" if corpus.name == "spam" else f"{number:04}.x.txt"
            kind = "cheap" if box.label else "lunch"
            text = f"Subject: {kind}\n\nnumber{number} of {box.folder.path.replace('/', ' ')}\n"
            (folder / name).write_text(text)
    return replace(corpus, mailboxes=boxes)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(pooch, "os_cache", lambda name: tmp_path / "user" / name)
    return tmp_path / "data"


def not_read(*_: object) -> Any:
    raise AssertionError("the mails were read, where they need not be")


@pytest.mark.parametrize("corpus", [spam.SPAMASSASSIN, spam.ENRON], ids=lambda corpus: corpus.name)
def test_every_fifth_mail_of_each_mailbox_is_to_test_with(corpus: spam.Corpus, root: Path) -> None:
    corpus = few(corpus, root)
    dataset = spam.read(root, corpus)
    folders = len(corpus.mailboxes)
    assert (len(dataset.train), len(dataset.test)) == (8 * folders, 2 * folders)
    for part in (dataset.train, dataset.test):
        words = [text.split() for text in part.texts]
        np.testing.assert_array_equal(part.labels, ["cheap" in each for each in words])
    assert not set(dataset.train.texts) & set(dataset.test.texts)
    if corpus.has_owners:
        assert dataset.train.owners is not None
        np.testing.assert_array_equal(np.bincount(dataset.train.owners), [16] * 6)
        assert all(
            f"enron{owner + 1} " in text
            for owner, text in zip(dataset.train.owners, dataset.train.texts, strict=True)
        )
    else:
        assert dataset.train.owners is None


def test_mails_are_read_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = few(spam.ENRON, root)
    first = spam.read(root, corpus)
    monkeypatch.setattr(spam, "_texts", not_read)
    again = spam.read(root, corpus)
    assert first.sha256 == again.sha256
    assert first.train.owners is not None
    np.testing.assert_array_equal(first.train.owners, again.train.owners)


@pytest.mark.parametrize(
    "damage", [lambda p: p.write_bytes(p.read_bytes()[:-9]), lambda p: p.write_text("x")]
)
def test_what_is_kept_is_made_anew_when_it_is_not_right(damage: Callable[[Path], object], root: Path) -> None:
    corpus = few(spam.SPAMASSASSIN, root)
    first = spam.read(root, corpus)
    damage(root / corpus.cache)
    assert spam.read(root, corpus).sha256 == first.sha256


def test_a_changed_mail_is_read_again(root: Path) -> None:
    corpus = few(spam.SPAMASSASSIN, root)
    before = spam.read(root, corpus)
    path = next(path for path in (root / "spamassassin/spam-1").iterdir() if path.name.startswith("00003"))
    path.write_text("Subject: other\n\nwords\n")
    assert spam.read(root, corpus).sha256 != before.sha256


def test_mails_of_the_same_words_are_taken_once_and_long_or_empty_ones_not_at_all(root: Path) -> None:
    corpus = few(spam.SPAMASSASSIN, root)
    folder = root / "spamassassin/easy-ham-1"
    bodies = ("a b", "b a a", " ".join(f"w{i}" for i in range(500)), "", "a c")
    for path, body in zip(sorted(folder.iterdir()), bodies, strict=False):
        path.write_text(f"\n{body}\n")
    dataset = spam.read(root, corpus)
    texts = [*dataset.train.texts, *dataset.test.texts]
    assert len(texts) == FEW * len(corpus.mailboxes) - 3
    assert ("a b" in texts) + ("b a a" in texts) == 1
    assert "a c" in texts


def test_other_mails_are_refused(root: Path) -> None:
    corpus = few(spam.SPAMASSASSIN, root)
    folder = root / "spamassassin/hard-ham-1"
    (folder / "notes").write_text("")
    with pytest.raises(data.DataError, match=r"hard-ham-1 is not as it was published \(it holds notes"):
        spam.read(root, corpus)


def test_a_missing_folder_is_named_and_where_it_goes(root: Path) -> None:
    folders = [box.folder for box in spam.SPAMASSASSIN.mailboxes]
    with pytest.raises(data.DataError) as refusal:
        download(folders, root)
    message = str(refusal.value)
    assert "\n" not in message
    assert "spamassassin/easy-ham-1 is missing" in message
    assert f"put it under {root} in its folder" in message


def test_a_subject_line_of_enron_is_no_header() -> None:
    mail = b"Subject: lunch\nhttp: //menu\nbody caf\xe9"
    assert spam.preprocessed(mail).split() == ["lunch", "http:", "//menu", "body", "café"]


def test_the_first_step_moves_the_words_of_the_mail_alone() -> None:
    """By what the book's rule says: from p = ½, each of its words by lr · 2 (t − p) p (1 − p) = lr / 4."""
    model = SpamClassifier(6)
    task = ProbabilityClassification(model)
    loss = task.step(SGD(model.parameters(), lr=0.1), ((np.array([1, 4]), np.array([0])), np.array([1.0])))
    assert loss == 0.25
    np.testing.assert_allclose(
        model.embedding.weight.data[:, 0], np.array([0, 0.025, 0, 0, 0.025, 0], np.float32)
    )


def test_yes_is_a_probability_above_one_half() -> None:
    model = SpamClassifier(3)
    model.embedding.weight.data[:, 0] = [-1, 1, 3]
    task = ProbabilityClassification(model)
    task((np.array([0, 1, 2, 0]), np.array([0, 1, 2])), np.array([0.0, 1.0, 0.0]))
    assert task.metrics.row()["accuracy"] == pytest.approx(2 / 3)
    inputs = (np.array([0, 1, 2, 0]), np.array([0, 1, 2]))
    twin = from_numpy(model)
    batch = tuple(map(torch.from_numpy, inputs)), None
    assert twin.predict_step(batch, 0).tolist() == [0, 1, 1]


@pytest.mark.skipif(not data.available("spam"), reason="spam is not there: see data/sets/spam.py")
def test_three_passes_tell_spam_from_ham() -> None:
    """The published corpus, centralised, by the book's rule: batches of 500, sums of squares, 0.01."""
    dataset = data.load("spam")
    assert len(dataset.train) + len(dataset.test) > 5500
    module = BagsDataModule(dataset, 500, validation=0.0)
    model = SpamClassifier(len(module.vocabulary))
    task = ProbabilityClassification(model)
    fit(task, SGD(model.parameters(), lr=5.0), module.train, epochs=3, progress=False)
    assert evaluate(task, module.test).row()["accuracy"] > 0.95
