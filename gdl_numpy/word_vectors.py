"""What word vectors are good for: words and texts that are alike, and words that relate as others do.

    vectors = WordVectors.load("runs/sentiment/model.safetensors")
    vectors.nearest("beautiful")
    vectors.analogy(["terrible", "good"], ["bad"])     # terrible − bad + good

Alike is, by "cosine", what points the same way, or, by "euclidean", what is near, as in chapter 11.
"""

from __future__ import annotations

import difflib
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from gdl_numpy.checkpoint import load_model, load_vocabulary
from gdl_numpy.data.documents import words_of
from gdl_numpy.files import naming, replacing
from gdl_numpy.nn import Embedding, EmbeddingBag, evaluating

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from jaxtyping import Bool, Float, Int64

    from gdl_numpy.data.documents import Documents
    from gdl_numpy.data.vocabulary import Vocabulary
    from gdl_numpy.models import SentimentClassifier
    from gdl_numpy.nn import Module

Metric = Literal["cosine", "euclidean"]
OFFERED = 3  # spellings near to one that is not known


class Neighbour(NamedTuple):
    """A word, and how near it is: its cosine, the larger the nearer, or its Euclidean distance."""

    word: str
    score: float


class WordVectors:
    """Words as vectors.

    Args:
        vectors: that of each word; a word that was never seen may have zeros, which are like nothing.
        vocabulary: the words. The token for unknown ones, if there is one, is nobody's neighbour.

    Raises:
        ValueError: there is not one vector for each word, or one has numbers that are not finite.
    """

    def __init__(self, vectors: Float[np.ndarray, "words dim"], vocabulary: Vocabulary) -> None:
        if vectors.ndim != 2 or len(vectors) != len(vocabulary):
            raise ValueError(
                f"WordVectors: vectors must be ({len(vocabulary)}, dim), one a word, got {vectors.shape}"
            )
        if not np.isfinite(vectors).all():
            raise ValueError(
                "WordVectors: vectors must be finite, got inf or nan: train with a smaller learning rate"
            )
        self.vectors, self.vocabulary = vectors, vocabulary

    @classmethod
    def of(cls, model: Module, vocabulary: Vocabulary) -> WordVectors:
        """Returns the vectors that a model of words has learned; its table, not a copy.

        Raises:
            ValueError: the model has none, or fewer than the vocabulary has words.
        """
        table = table_of(model)
        if table is None:
            raise ValueError(f"{type(model).__name__} has no word vectors: give a model with an embedding")
        return cls(table[: len(vocabulary)], vocabulary)  # a mask's row comes after the words'

    @classmethod
    def load(cls, path: str | Path) -> WordVectors:
        """Returns the vectors of the model in a checkpoint.

        Raises:
            CheckpointError: the file cannot be used.
            ValueError: it is of a model without word vectors.
        """
        return cls.of(load_model(path), load_vocabulary(path))

    def id_of(self, word: str) -> int:
        """Returns a word's id, of the word as it is or as texts are read: in lower case.

        Raises:
            ValueError: the vocabulary lacks it; the message offers the nearest spellings.
        """
        for spelling in (word, words_of(word)):
            if len(self.vocabulary.split(spelling)) == 1 and not self.vocabulary.unknown_in(spelling):
                return int(self.vocabulary.encode(spelling)[0])
        known = self.vocabulary.tokens[self.vocabulary.unknown :]
        near = difflib.get_close_matches(words_of(word), known, OFFERED)
        hint = f": did you mean {', '.join(map(repr, near))}?" if near else ""
        raise ValueError(f"the vocabulary of {len(known)} words lacks {word!r}{hint}")

    def __getitem__(self, word: str) -> Float[np.ndarray, " dim"]:
        """Returns the vector of a word; see `id_of`."""
        vector: np.ndarray = self.vectors[self.id_of(word)]
        return vector

    @cached_property
    def unit(self) -> Float[np.ndarray, "words dim"]:
        """The vectors scaled to length 1; zeros stay zeros."""
        lengths = norms(self.vectors)
        lengths[lengths == 0] = 1
        unit: np.ndarray = (self.vectors / lengths[:, None]).astype(self.vectors.dtype)
        return unit

    def nearest(self, word: str, n: int = 10, metric: Metric = "cosine") -> list[Neighbour]:
        """Returns the n words most like a given one, the nearest first, without the word itself.

        Raises:
            ValueError: an unknown word or metric, or an n below 1.
        """
        return self.analogy([word], [], n, metric)

    def analogy(
        self, positive: Sequence[str], negative: Sequence[str], n: int = 10, metric: Metric = "cosine"
    ) -> list[Neighbour]:
        """Returns the n words nearest to a sum of some words' vectors minus those of others.

        What is to a as b is to c is asked by a + b − c (Mikolov et al. 2013): for "cosine" with vectors of
        length 1, so that all words have the same say, for "euclidean" with the vectors as they are.

        Args:
            positive: the words to add, one or more.
            negative: the words to subtract.
            n: how many to return; none of the given ones.
            metric: what is near.

        Raises:
            ValueError: an unknown word or metric, no word to add, or an n below 1.
        """
        if not positive:
            raise ValueError("analogy: positive must have at least one word")
        plus, minus = ([self.id_of(word) for word in words] for words in (positive, negative))
        vectors = self.unit if metric == "cosine" else self.vectors
        query = vectors[plus].sum(axis=0) - vectors[minus].sum(axis=0)
        candidates = np.ones(len(vectors), dtype=bool)
        candidates[[*range(self.vocabulary.unknown), *plus, *minus]] = False
        ids, scores = most_alike(vectors, query, n, metric, candidates)
        return [
            Neighbour(self.vocabulary.tokens[id_], score)
            for id_, score in zip(ids, scores.tolist(), strict=True)
        ]

    def save(self, path: str | Path) -> None:
        """Writes the vectors in word2vec's text format, which other tools read: gensim, fastText, spaCy.

        In the first line is how many words there are and how long their vectors; then there is a line for
        each, its word and the vector's numbers, with spaces between. The unknown word is left out.

        Raises:
            ValueError: the file cannot be written, or a word cannot be: the format has no quotes.
        """
        names = self.vocabulary.tokens[self.vocabulary.unknown :]
        wrong = next((name for name in names if name.split() != [name]), None)
        if wrong is not None:
            raise ValueError(
                f"word2vec's text format cannot hold the word {wrong!r}, with white space or empty"
            )
        digits = np.finfo(self.vectors.dtype).precision + 3  # so many tell apart all numbers of the dtype
        rows = self.vectors[self.vocabulary.unknown :].tolist()
        with naming(path), replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
            file.write(f"{len(names)} {self.vectors.shape[1]}\n")
            for name, row in zip(names, rows, strict=True):
                file.write(f"{name} {' '.join(f'{number:.{digits}g}' for number in row)}\n")

    def of_documents(self, documents: Documents) -> Float[np.ndarray, "documents dim"]:
        """Returns a vector for each text: the mean of its words', all scaled to length 1 beforehand.

        Words that are not known are left out, and a text without others gets zeros.

        Args:
            documents: the texts, in any vocabulary.
        """
        documents = documents.translate(self.vocabulary)
        known = documents.keep(documents.is_known)
        words, dim = self.unit.shape
        bag = EmbeddingBag(words, dim, rng=0, dtype=self.unit.dtype)
        bag.weight.data = self.unit
        means: np.ndarray = bag(known.ids, known.offsets[:-1])
        return means


def table_of(model: Module) -> Float[np.ndarray, "words dim"] | None:
    """The vectors of a model's words, or None where it has no table of them."""
    embedding = getattr(model, "embedding", None)
    return embedding.weight.data if isinstance(embedding, Embedding | EmbeddingBag) else None


def most_alike(
    rows: Float[np.ndarray, "items dim"],
    query: Float[np.ndarray, " dim"],
    n: int = 10,
    metric: Metric = "cosine",
    candidates: Bool[np.ndarray, " items"] | None = None,
) -> tuple[Int64[np.ndarray, " nearest"], Float[np.ndarray, " nearest"]]:
    """Returns which n rows are most like the query, the nearest first, and their cosines or distances.

    Of equally near ones the first come first. A row of zeros has the cosine 0 to all others.

    Args:
        rows: what to choose from.
        query: what they should be like.
        n: how many; all of them, if there are fewer.
        metric: what is near.
        candidates: which rows may be chosen; None for all.

    Raises:
        ValueError: an unknown metric, or an n below 1.
    """
    if metric not in ("cosine", "euclidean"):
        raise ValueError(f'metric must be "cosine" or "euclidean", got {metric!r}')
    if n < 1:
        raise ValueError(f"n must be at least 1, got {n}")
    if metric == "cosine":
        direction = (query / (norms(query) or 1)).astype(rows.dtype)
        lengths = norms(rows)
        lengths[lengths == 0] = 1
        scores = rows @ direction / lengths
        far = -scores
    else:
        scores = far = norms(rows - query)
    if candidates is not None:
        far = np.where(candidates, far, np.inf)
        n = min(n, int(np.count_nonzero(candidates)))
    if n < len(far):
        some = np.flatnonzero(far <= np.partition(far, n)[n])  # more than n, where several are equally near
        ids = some[np.argsort(far[some], kind="stable")][:n]
    else:
        ids = np.argsort(far, kind="stable")[:n]
    return ids, scores[ids]


def norms(vectors: Any) -> Any:
    """Lengths of vectors, in float64: squares of float32's numbers would not all fit float32."""
    return np.sqrt(np.einsum("...i,...i->...", vectors, vectors, dtype=np.float64))


def word_sentiment(model: SentimentClassifier) -> Float[np.ndarray, " words"]:
    """Returns how much each word alone adds to the logit of an empty review: above 0, it speaks for it.

    Raises:
        ValueError: the weights are so large that logits are infinite, or no numbers.
    """
    ids = np.arange(model.hparams["vocab_size"])
    logits = finite_logits(model, ids, np.append(ids, len(ids)))  # the last review is empty
    added: np.ndarray = logits[:-1] - logits[-1]
    return added


def finite_logits(
    model: SentimentClassifier, ids: Int64[np.ndarray, " words"], offsets: Int64[np.ndarray, " reviews"]
) -> Float[np.ndarray, " reviews"]:
    """The logits of reviews. Raises ValueError where they are infinite, or no numbers."""
    with evaluating(model), np.errstate(over="ignore", invalid="ignore"):
        logits: np.ndarray = model(ids, offsets)
    if not np.isfinite(logits).all():
        raise ValueError(
            f"{type(model).__name__}: its weights make logits of inf or nan: "
            "train with a smaller learning rate"
        )
    return logits


def log_odds(
    documents: Documents, labels: Int64[np.ndarray, " documents"]
) -> tuple[Float[np.ndarray, " words"], Float[np.ndarray, " words"]]:
    """Returns how much more often each word is in positive texts than in negative ones, and how surely.

        log (p + 1)/(P + 2) − log (n + 1)/(N + 2)

    where p of P positive texts have the word, and n of N negative ones. The standard deviation of this is
    √(1/(p + 1) + 1/(n + 1)).

    Args:
        documents: the texts; the words are those of their vocabulary.
        labels: 1 of positive texts, 0 of negative ones.

    Returns:
        the log odds, and those in standard deviations: the words with the largest of these tell the most.
    """
    distinct = documents.distinct()
    label_of = labels[distinct.document_of]
    negative, positive = (
        1.0 + np.bincount(distinct.ids[label_of == label], minlength=len(documents.vocabulary))
        for label in (0, 1)
    )
    odds = np.log(positive / (2 + (labels == 1).sum())) - np.log(negative / (2 + (labels == 0).sum()))
    return odds, odds / np.sqrt(1 / positive + 1 / negative)
