"""Words in a row as words of their own, "not_good" (n-grams), and how much each speaks for a label.

    vocabulary = frequent_ngrams(train, 2, max_size=600_000)     # words, and pairs of words
    bags = ngrams_in(train, vocabulary)
    ratio = log_count_ratio(bags, labels)

S. Wang and C. D. Manning, *Baselines and Bigrams: Simple, Good Sentiment and Topic Classification*, 2012.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from gdl_numpy.data.documents import Documents
from gdl_numpy.data.vocabulary import UNKNOWN, Vocabulary

if TYPE_CHECKING:
    from jaxtyping import Float32, Int64

LONGEST = 3  # words in a row: four of a large vocabulary have no number in int64
# Between the words of an n-gram. In `split_words` it is a word of its own, and in no other.
JOINT = "_"
PART = re.compile("(_|[^_]+)(?:_|$)")


def frequent_ngrams(documents: Documents, n: int, max_size: int | None = None) -> Vocabulary:
    """Returns the vocabulary of all words, and of all that stand in a row, up to n together.

    Args:
        documents: the texts, in a vocabulary that has all their words.
        n: the most words in a row, from 1 to 3.
        max_size: keep no more than this many, the most frequent ones, the unknown one included. Of equally
            frequent ones the shorter stay.

    Raises:
        ValueError: n is out of its range, there are no words, or `max_size` leaves none.
    """
    if not 1 <= n <= LONGEST:
        raise ValueError(f"ngrams must be from 1 to {LONGEST} words, got {n}")
    if max_size is not None and max_size < 2:
        raise ValueError(f"ngrams: max_size must be at least 2, the unknown one counted, got {max_size}")
    keys, counts = zip(
        *(np.unique(_keys(documents, k)[0], return_counts=True) for k in range(1, n + 1)), strict=True
    )
    if not len(keys[0]):
        raise ValueError("ngrams: a vocabulary needs at least one word, and there is none")
    lengths = np.repeat(np.arange(1, n + 1), [len(each) for each in keys])
    order = np.argsort(-np.concatenate(counts), kind="stable")[: None if max_size is None else max_size - 1]
    every, size, words = np.concatenate(keys), len(documents.vocabulary), documents.vocabulary.tokens
    tokens = []
    for key, length in zip(every[order].tolist(), lengths[order].tolist(), strict=True):
        parts = [words[key // size**place % size] for place in reversed(range(length))]
        tokens.append(JOINT.join(parts))
    return Vocabulary((UNKNOWN, *sorted(tokens)), "spaces")


def ngrams_in(documents: Documents, vocabulary: Vocabulary) -> Documents:
    """Returns those words of documents, and those in a row, that a vocabulary has: first words, then pairs.

    Args:
        documents: the texts, in a vocabulary that has all their words.
        vocabulary: as `frequent_ngrams` makes it, or without n-grams.
    """
    parts = [PART.findall(token) for token in vocabulary.tokens]
    lengths = np.array([len(each) for each in parts])
    found: list[tuple[np.ndarray, np.ndarray]] = []
    for k in range(1, 1 + min(LONGEST, lengths.max())):
        own = np.flatnonzero(lengths == k)
        words = " ".join(" ".join(parts[id_]) for id_ in own)
        known = _combined(documents.vocabulary.encode(words).reshape(-1, k).T, documents.vocabulary)
        own, known = own[known > 0], known[known > 0]
        if not len(own):
            continue
        order = np.argsort(known)
        keys, starts = _keys(documents, k)
        places = np.minimum(np.searchsorted(known[order], keys), len(order) - 1)
        there = known[order][places] == keys
        found.append((documents.document_of[starts[there]], own[order][places[there]]))
    document_of, ids = (
        (np.concatenate(each) for each in zip(*found, strict=True)) if found else np.zeros((2, 0), int)
    )
    counts = np.bincount(document_of, minlength=len(documents))
    by_document = np.argsort(document_of, kind="stable")
    return Documents(vocabulary, ids[by_document], np.concatenate([[0], np.cumsum(counts)]))


def has_ngrams(vocabulary: Vocabulary) -> bool:
    """Returns whether any of its tokens is several words in a row."""
    return any(JOINT in token and token != JOINT for token in vocabulary.tokens)


def log_count_ratio(
    documents: Documents, labels: Int64[np.ndarray, " documents"]
) -> Float32[np.ndarray, " words"]:
    """Returns by how much each word tells positive texts from negative ones.

        r = log (p / ‖p‖₁) − log (q / ‖q‖₁)

    where p is 1 plus the number of positive texts that have the word, for each word, and q that of negative
    ones. Words that tell nothing have about 0, and in a sum weighted by r they count as little.

    Raises:
        ValueError: all labels are the same.
    """
    check_both(labels)
    distinct = documents.distinct()
    label_of = labels[distinct.document_of]
    q, p = (
        1.0 + np.bincount(distinct.ids[label_of == label], minlength=len(documents.vocabulary))
        for label in (0, 1)
    )
    ratio: np.ndarray = np.log(p / p.sum()) - np.log(q / q.sum())
    return ratio.astype(np.float32)


def check_both(labels: Int64[np.ndarray, " documents"]) -> None:
    """Raises ValueError for labels of one class only: there is nothing to tell apart."""
    if len(labels) and (labels == labels[0]).all():
        raise ValueError(
            f"all {len(labels):,} texts to learn from have the label {labels[0]}: give some of both classes"
        )


def _keys(documents: Documents, k: int) -> tuple[Int64[np.ndarray, " rows"], Int64[np.ndarray, " rows"]]:
    """A number for each k known words in a row, the same for the same words; and where each row begins."""
    document_of, known = documents.document_of, documents.is_known
    last = max(0, len(documents.ids) - k + 1)
    is_row = document_of[:last] == document_of[k - 1 :]
    for place in range(k):
        is_row &= known[place : last + place]
    starts = np.flatnonzero(is_row)
    return _combined([documents.ids[starts + place] for place in range(k)], documents.vocabulary), starts


def _combined(ids: Any, vocabulary: Vocabulary) -> Int64[np.ndarray, " rows"]:
    """One number for several ids, its digits in the base of the vocabulary's size; 0 where one is unknown."""
    keys = np.zeros_like(ids[0])
    known = np.ones(len(keys), dtype=bool)
    for each in ids:
        keys = keys * len(vocabulary) + each
        known &= each > 0
    combined: np.ndarray = keys * known
    return combined
