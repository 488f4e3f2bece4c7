"""Mail, wanted (ham) or not (spam), for chapter 15: the SpamAssassin corpus, or Enron-Spam's six mailboxes.

Both are read from folders of single mails that are there already: neither is published in an archive of this
layout with a checksum to hold it to, so nothing is downloaded.

Sources: the SpamAssassin public corpus (2002 and 2003), its mails as they were received; V. Metsis, I.
Androutsopoulos and G. Paliouras, *Spam Filtering with Naive Bayes: Which Naive Bayes?*, CEAS 2006, the
preprocessed form, a subject line and the words.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable  # noqa: TC003 (dataclasses are read under beartype)
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from gdl_numpy.data.dataset import LabelledTexts, ReviewDataset
from gdl_numpy.data.documents import WORD, Documents, split_words
from gdl_numpy.data.mail import decoded, text_of
from gdl_numpy.data.sets.archive import Archive, Folder
from gdl_numpy.data.sets.kept import recall, remember
from gdl_numpy.data.sets.source import Source
from gdl_numpy.data.sets.state import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from gdl_numpy.data.sets.archive import Entry

MOST_WORDS = 500  # a mail with so many distinct words is left out, as in the book
EVERY = 5  # every fifth mail of a folder's kind is to test with
SUBJECT = re.compile(r"\ASubject:", re.IGNORECASE)


@dataclass(frozen=True)
class Mailbox:
    """A folder of mails of one kind.

    Attributes:
        folder: where they are.
        label: 1 for spam, 0 for ham.
        owner: whose they are, from 0 on.
    """

    folder: Folder
    label: int
    owner: int


@dataclass(frozen=True)
class Corpus:
    """Mailboxes that make up a data set.

    Attributes:
        name: of the data set.
        mailboxes: in the order of their owners.
        has_owners: whether the owners are different people.
        text: what a file says.
        version: a name for how that is found, which changes when it does.
        cache: where, in the data's folder, the mails are kept as ids of words.
    """

    name: str
    mailboxes: tuple[Mailbox, ...]
    has_owners: bool
    text: Callable[[bytes], str]
    version: str
    cache: str


def preprocessed(mail: bytes) -> str:
    """Returns a mail of Enron-Spam: "Subject: " and the words, to which no header belongs any more."""
    return SUBJECT.sub("", decoded(mail, None), count=1)


def mailbox(dataset: str, path: str, count: int, name: str, pattern: str, owner: int = 0) -> Mailbox:
    """Returns the mailbox of a folder; one whose name begins with "spam" holds spam."""
    archive = Archive(dataset, f"{path.split('/')[0]}.tar.gz", urls=(), published_size=0, sha256="")
    label = int(path.split("/")[1].startswith("spam"))
    return Mailbox(Folder(archive, path, count, re.compile(name), pattern), label, owner)


SPAMASSASSIN = Corpus(
    name="spam",
    mailboxes=tuple(
        mailbox("spam", f"spamassassin/{folder}", count, r"\d{5}\.[0-9a-f]{32}(\.txt)?", "NUMBER.DIGEST.txt")
        for folder, count in (
            ("easy-ham-1", 2500),
            ("easy-ham-2", 1400),
            ("hard-ham-1", 250),
            ("spam-1", 500),
            ("spam-2", 1396),
        )
    ),
    has_owners=False,
    text=text_of,
    version="mail 1",
    cache="spamassassin/words.safetensors",
)
COUNTS = ((3672, 1500), (4361, 1496), (4012, 1500), (1500, 4500), (1500, 3675), (4500, 1500))
ENRON = Corpus(
    name="spam_enron",
    mailboxes=tuple(
        mailbox("spam_enron", f"enron{owner + 1}/{kind}", count, r"\d+\..+\.txt", "NUMBER.NAME.txt", owner)
        for owner, counts in enumerate(COUNTS)
        for kind, count in zip(("ham", "spam"), counts, strict=True)
    ),
    has_owners=True,
    text=preprocessed,
    version="words 1",
    cache="enron1/words.safetensors",
)


def read(root: Path, corpus: Corpus = SPAMASSASSIN) -> ReviewDataset:
    """Returns the mails under `root`; label 1 is spam.

    A mail that has no words, or 500 different ones or more, is left out; and one with just the words of
    another, so that what is tested with was not learned from. Of each mailbox the mails stand in the order of
    digests of their names, which is like none, and every fifth is to test with. What was read is kept beside
    the files, or else in the user's cache folder, and is used again as long as the files stay the same.

    Args:
        root: the folder that has the corpus's folders.
        corpus: which one.

    Raises:
        DataError: a folder does not hold the mails that it should, or one cannot be read.
    """
    entries = [sorted(box.folder.entries(root), key=_digest) for box in corpus.mailboxes]
    version = (corpus.version, WORD.pattern, MOST_WORDS, EVERY)
    key = hashlib.sha256(repr((version, entries)).encode()).hexdigest()
    kept = recall(root, corpus.cache, key)
    if kept is None:
        names = [[entry.name for entry in each] for each in entries]
        kept = _made_of(root, corpus, names)
        remember(root, corpus.cache, key, kept[0], **kept[1])
    documents, arrays = kept
    owners = arrays["owners"] if corpus.has_owners else None
    every = LabelledTexts(documents, arrays["labels"], owners)
    is_test = arrays["is_test"] == 1
    train, test = (every.select(np.flatnonzero(chosen)) for chosen in (~is_test, is_test))
    return ReviewDataset(corpus.name, train, test)


def _digest(entry: Entry) -> bytes:
    return hashlib.sha256(entry.name.encode("utf-8", "surrogateescape")).digest()


def _made_of(root: Path, corpus: Corpus, names: list[list[str]]) -> tuple[Documents, dict[str, np.ndarray]]:
    """The mails that are kept of all that there are, and of each its label, owner and part."""
    texts: list[str] = []
    rows: list[tuple[int, int, int]] = []
    known: set[frozenset[str]] = set()
    for box, number, text in _texts(root, corpus, names):
        words = split_words(text)
        distinct = frozenset(words)
        if not 0 < len(distinct) < MOST_WORDS or distinct in known:
            continue
        known.add(distinct)
        texts.append(" ".join(words))
        rows.append((box.label, box.owner, int(number % EVERY == EVERY - 1)))
    columns = np.array(rows, np.int64).reshape(-1, 3).T
    arrays = dict(zip(("labels", "owners", "is_test"), columns, strict=True))
    return Documents.of(texts, str.split), arrays


def _texts(root: Path, corpus: Corpus, names: list[list[str]]) -> Iterator[tuple[Mailbox, int, str]]:
    """Yields what each mail says, with its mailbox and its number there."""
    from gdl_numpy.progress import Bar

    bar = Bar(total=sum(map(len, names)), desc=f"read {corpus.name}", unit="mail", disable=None, leave=False)
    with bar:
        for box, each in zip(corpus.mailboxes, names, strict=True):
            for number, name in enumerate(each):
                path = root / box.folder.path / name
                try:
                    content = path.read_bytes()
                except OSError as error:
                    raise DataError(f"{path} cannot be read ({error.strerror})") from error
                yield box, number, corpus.text(content)
                bar.update()


SOURCES = tuple(
    Source(
        name=corpus.name,
        title=title,
        about=about,
        kind=ReviewDataset,
        read=partial(read, corpus=corpus),
        files=tuple(box.folder for box in corpus.mailboxes),
    )
    for corpus, title, about in (
        (SPAMASSASSIN, "Spam", "6,046 mails of the SpamAssassin corpus, spam or not"),
        (ENRON, "SpamEnron", "33,716 mails of Enron-Spam's six mailboxes, spam or not"),
    )
)
