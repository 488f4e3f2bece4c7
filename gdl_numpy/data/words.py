"""Batches for the models of words: bags of words with labels, and blanks to fill in (chapter 11)."""

from __future__ import annotations

from copy import deepcopy
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from gdl_numpy.data.batches import ExampleLoader
from gdl_numpy.data.corpus import Corpus
from gdl_numpy.data.dataset import ReviewDataset, SentenceDataset, TextDataset, hold_out
from gdl_numpy.data.module import VocabularyDataModule
from gdl_numpy.data.ngrams import check_both, frequent_ngrams, log_count_ratio, ngrams_in
from gdl_numpy.messages import counted

if TYPE_CHECKING:
    from jaxtyping import Float32, Int64

    from gdl_numpy.data.corpus import Texts
    from gdl_numpy.data.dataset import LabelledTexts, Part
    from gdl_numpy.data.documents import Documents
    from gdl_numpy.data.vocabulary import Vocabulary


def bag_of_words(documents: Documents) -> Float32[np.ndarray, "documents vocab_size"]:
    """Returns a matrix with 1 where a document has a word, else 0, as chapter 11 first builds it.

    Words that the vocabulary lacks are left out. A row is as long as the vocabulary: for few documents only.
    """
    known = documents.keep(documents.is_known)
    bags = np.zeros((len(documents), len(documents.vocabulary)), np.float32)
    bags[known.document_of, known.ids] = 1
    return bags


class Bags(ExampleLoader):
    """The words of each document, in any order, with its label: for a sum or mean of their vectors.

    Words that the vocabulary lacks are left out; a document without others is an empty bag.

    Args:
        documents: the documents.
        labels: the label of each, 0 or 1.
        batch_size: documents in a batch, on each device.
        seed: shuffles them, differently in each epoch; None keeps their order.
        distinct: take each word of a document once, as the book does.
        weights: of each word of the vocabulary in the sum; None for ones.
        num_replicas: number of devices; see `ExampleLoader`.
        rank: which of them this one is.

    Raises:
        ValueError: there is not one label for each document, not one weight for each word, or an argument is
            out of its range.
    """

    def __init__(
        self,
        documents: Documents,
        labels: Int64[np.ndarray, " documents"],
        batch_size: int,
        seed: int | None = None,
        distinct: bool = True,
        weights: Float32[np.ndarray, " vocab_size"] | None = None,
        num_replicas: int = 1,
        rank: int = 0,
    ) -> None:
        super().__init__(len(labels), batch_size, seed, num_replicas, rank)
        if len(documents) != len(labels):
            raise ValueError(f"Bags: {len(documents)} documents but {len(labels)} labels")
        if weights is not None and len(weights) != len(documents.vocabulary):
            raise ValueError(f"Bags: {len(weights)} weights but {len(documents.vocabulary)} words")
        known = documents.keep(documents.is_known)
        self.documents = known.distinct() if distinct else known
        self.targets = labels.astype(np.float32)
        self.distinct = distinct
        self.weights = weights

    def describe(self) -> dict[str, Any]:
        described = super().describe() | {"distinct": self.distinct}
        return described if self.weights is None else described | {"weighted": True}

    def batch(
        self, rows: Int64[np.ndarray, " batch"], number: int
    ) -> tuple[tuple[np.ndarray, ...], Float32[np.ndarray, " batch"]]:
        """Returns the ids of the documents' words, where each begins, any weights of words; and labels."""
        ids, offsets = self.documents.gather(rows)
        weights = () if self.weights is None else (self.weights.take(ids),)
        return (ids, offsets, *weights), self.targets[rows]


class Blanks(ExampleLoader):
    """Which word was left out? The words around it, and what might stand there: the word, then some others.

    Every word that has others in its document is the blank of one example. The others to choose from are
    drawn from the running text, as in the book, so each as often as it occurs; or with `power` p each in
    proportion to the p-th power of that, word2vec's table. Now and then one is the word itself.

    Words that the vocabulary lacks are taken out of the text beforehand, and so are, with `subsample`, some
    of the frequent ones: a word that makes up the fraction f of the text stays with probability √(t / f), if
    that is less than 1. This is drawn once, by the seed, so that all epochs are of one length. (T. Mikolov et
    al., *Distributed Representations of Words and Phrases and their Compositionality*, 2013.)

    Args:
        documents: the text.
        batch_size: blanks in a batch, on each device.
        window: the most words to either side of a blank.
        negatives: how many words to draw for each blank.
        seed: shuffles the blanks, and draws words, differently in each epoch; None keeps the order of the
            text, and draws the same words each time.
        subsample: t, such as 1e-4; None for the whole text.
        power: p, such as word2vec's 0.75.
        num_replicas: number of devices; see `ExampleLoader`.
        rank: which of them this one is.

    Raises:
        ValueError: an argument is out of its range, or no document has two known words.
    """

    def __init__(
        self,
        documents: Documents,
        batch_size: int,
        window: int = 2,
        negatives: int = 5,
        seed: int | None = 0,
        subsample: float | None = None,
        power: float = 1.0,
        num_replicas: int = 1,
        rank: int = 0,
    ) -> None:
        if not 0 <= power < np.inf:
            raise ValueError(f"Blanks: power must be 0 or more, and finite, got {power}")
        text = documents.keep(documents.is_known)
        if subsample is not None:
            text = _thinned(text, subsample, 0 if seed is None else seed)
        self.row, places = text.spread(max(window, 0), -1)
        self.places = places[np.repeat(text.lengths > 1, text.lengths)]
        super().__init__(len(self.places), batch_size, seed, num_replicas, rank)
        self._check_at_least(1, window=window, negatives=negatives)
        if not self.n:
            raise ValueError("Blanks: no document has two words of the vocabulary: take a longer text")
        known = len(text.vocabulary) - text.vocabulary.unknown
        if negatives > known:
            raise ValueError(
                f"Blanks: negatives must be at most {known}, the number of words, got {negatives}"
            )
        self.negatives = negatives
        self.power = power
        if power != 1:
            counts = np.bincount(self.row[self.places])
            self.table = np.cumsum(counts**power * (counts > 0))
            self.table /= self.table[-1]
        self.around = np.concatenate([np.arange(-window, 0), np.arange(1, window + 1)])
        self.settings = {"window": window, "negatives": negatives, "subsample": subsample, "power": power}

    def describe(self) -> dict[str, Any]:
        return super().describe() | self.settings

    def batch(
        self, rows: Int64[np.ndarray, " batch"], number: int
    ) -> tuple[
        tuple[
            Int64[np.ndarray, " words"], Int64[np.ndarray, " batch"], Int64[np.ndarray, "batch candidates"]
        ],
        Float32[np.ndarray, "batch candidates"],
    ]:
        """Returns the words around each blank, where those of each begin, the candidates; and 1, 0, … 0."""
        places = self.places[rows]
        context = self.row[places[:, None] + self.around]  # (B, 2·window)
        is_word = context >= 0
        ends = np.cumsum(is_word.sum(axis=1))
        offsets = np.concatenate([[0], ends[:-1]])

        candidates = np.empty((len(rows), 1 + self.negatives), np.int64)
        candidates[:, 0] = self.row[places]
        candidates[:, 1:] = self._draw(number, len(rows))

        targets = np.zeros(candidates.shape, np.float32)
        targets[:, 0] = 1
        return (context[is_word], offsets, candidates), targets

    def _draw(self, number: int, count: int) -> Int64[np.ndarray, "batch negatives"]:
        """The words to choose from beside the right one: this device's share of those of all devices."""
        everywhere, share = (
            (self.num_replicas * count, self.negatives),
            slice(self.rank, None, self.num_replicas),
        )
        rng = self.generator(number)
        if self.power == 1:
            drawn: np.ndarray = self.row[self.places[rng.integers(self.n, size=everywhere)[share]]]
        else:
            drawn = np.searchsorted(self.table, rng.random(everywhere)[share], side="right")
        return drawn


def _thinned(text: Documents, t: float, seed: int) -> Documents:
    if not t > 0:
        raise ValueError(f"Blanks: subsample must be more than 0, or None, got {t}")
    frequency = np.bincount(text.ids, minlength=len(text.vocabulary)) / max(1, len(text.ids))
    stays = np.sqrt(t / np.maximum(frequency, t))  # (V,)
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(0,)))
    return text.keep(rng.random(len(text.ids)) < stays[text.ids])


class WordDataModule(VocabularyDataModule):
    """Base of the data modules of texts whose labels, if there are any, are not looked at.

    Args:
        dataset: reviews, a text or sentences.
        batch_size: examples in a batch, on each device; the last batch of an epoch may be smaller.
        validation: fraction of reviews held out to watch the training by; other texts have a part for it.
        seed: decides which are held out, the order of the examples, and what is drawn for them.
        max_words: keep only so many words, the most frequent ones, the unknown one included; None for all.

    Attributes:
        corpus: the texts in their three parts.

    Raises:
        ValueError: an argument is out of its range; by the batches, for a part that is too short.
    """

    takes = (ReviewDataset, TextDataset, SentenceDataset)

    def __init__(
        self,
        dataset: Texts,
        batch_size: int,
        validation: float,
        seed: int,
        max_words: int | None,
        **arguments: Any,
    ) -> None:
        super().__init__(
            dataset, batch_size, validation=validation, seed=seed, max_words=max_words, **arguments
        )
        self.held_out = validation, seed
        self.max_words = max_words

    @cached_property
    def corpus(self) -> Corpus:
        return Corpus.of(self.dataset, self.max_words, *self.held_out)

    @cached_property
    def vocabulary(self) -> Vocabulary:
        return self.corpus.vocabulary

    def has(self, part: Part) -> bool:
        return len(self.corpus.documents(part)) > 0


class BagsDataModule(VocabularyDataModule):
    """Labelled texts as bags of words: the batches of `Bags`.

    Args:
        dataset: the texts.
        batch_size: texts in a batch, on each device; the last batch of an epoch may be smaller.
        validation: fraction of the training texts held out to watch the training by; 0 for none.
        seed: decides which are held out, and the order of the others.
        max_words: keep only so many words, the most frequent ones, the unknown one included; None for all.
        distinct: take each word of a text once, as the book does.
        ngrams: take up to so many words in a row for words of their own, too: 2 for pairs, at most 3.
        ratio: weight words by their log-count ratio, how much more often they are in positive texts (Wang and
            Manning 2012).
        ratio_power: take this power of the ratio, its sign kept: below 1, words weigh more alike.
        together: hold out so many neighbours together: reviews of one film are neighbours in IMDB, and what
            names it tells of the one review what is known of the others.

    Raises:
        ValueError: an argument is out of its range, nothing is left to learn from, or only one class.
    """

    takes = (ReviewDataset,)
    gives = "labelled texts"
    readers = ("SentimentClassifier", "SpamClassifier")

    def __init__(
        self,
        dataset: ReviewDataset,
        batch_size: int = 32,
        validation: float = 0.1,
        seed: int = 0,
        max_words: int | None = None,
        distinct: bool = True,
        ngrams: int = 1,
        ratio: bool = False,
        ratio_power: float = 1.0,
        together: int = 1,
    ) -> None:
        checked: dict[str, Any] = {"ngrams": ngrams, "ratio_power": ratio_power, "together": together}
        super().__init__(
            dataset, batch_size, validation=validation, seed=seed, max_words=max_words, **checked
        )
        self.max_words = max_words
        self.distinct = distinct
        self.ngrams = ngrams
        self.ratio = ratio
        self.ratio_power = ratio_power
        train, held_out = hold_out(dataset.train, validation, seed, together)
        check_both(train.labels)
        self.texts: dict[Part, LabelledTexts] = {
            "train": train,
            "validation": held_out,
            "test": dataset.test,
        }
        self._documents: dict[Part, Documents] = {}

    @cached_property
    def vocabulary(self) -> Vocabulary:
        if self.ngrams > 1:
            return frequent_ngrams(self.dataset.train.documents, self.ngrams, self.max_words)
        found: Vocabulary = self.dataset.vocabulary(self.max_words)
        return found

    @cached_property
    def weights(self) -> Float32[np.ndarray, " vocab_size"] | None:
        """Of words in the sum: with `ratio` a power of that in the texts to learn from; None for ones."""
        if not self.ratio:
            return None
        ratio = log_count_ratio(self.documents("train"), self.texts["train"].labels)
        weights: np.ndarray = np.sign(ratio) * np.abs(ratio) ** np.float32(self.ratio_power)
        return weights

    def finished(self, model: Any) -> Any:
        """Returns a copy whose vectors have the weights in them: it reads texts without this data module."""
        return model if self.weights is None else with_weights(model, self.weights)

    def has(self, part: Part) -> bool:
        return len(self.texts[part]) > 0

    def documents(self, part: Part) -> Documents:
        """Returns the texts of a part in the vocabulary."""
        if part not in self._documents:
            texts = self.texts[part].documents
            self._documents[part] = (
                ngrams_in(texts, self.vocabulary) if self.ngrams > 1 else texts.translate(self.vocabulary)
            )
        return self._documents[part]

    def batches(self, part: Part, num_replicas: int = 1, rank: int = 0) -> Bags:
        labels, seed = self.texts[part].labels, self.seed_of(part)
        documents = self.documents(part)
        return Bags(documents, labels, self.batch_size, seed, self.distinct, self.weights, num_replicas, rank)


def with_weights(model: Any, weights: np.ndarray) -> Any:
    """Returns a copy of a model of bags that gives alone what the model gives with weights of words.

    The weights w are in its vectors, since the sum Σ w E[word] is that of the vectors w E[word].

    Raises:
        ValueError: there is not one weight for each word.
    """
    vocab_size = len(model.embedding.weight.data)
    if weights.shape != (vocab_size,):
        raise ValueError(f"{counted(vocab_size, 'word')} need as many weights, got {weights.shape}")
    model = deepcopy(model)
    model.embedding.weight.data *= weights[:, None]
    return model


class BlanksDataModule(WordDataModule):
    """Texts as blanks to fill in: the batches of `Blanks`.

    Args:
        dataset: reviews, a text or sentences.
        batch_size: blanks in a batch, on each device; the last batch of an epoch may be smaller.
        validation: fraction of reviews held out to watch the training by; other texts have a part for it.
        seed: decides which are held out, the order of the blanks, and the words drawn.
        max_words: keep only so many words, the most frequent ones, the unknown one included; None for all.
        window: the most words to either side of a blank.
        negatives: how many words to draw for each blank.
        subsample: leaves out some of the frequent words of the texts to learn from; see `Blanks`.
        power: draws words in proportion to this power of their frequency: 1 as the book, 0.75 as word2vec.

    Raises:
        ValueError: an argument is out of its range; by the batches, for a part that is too short.
    """

    gives = "blanks to fill in"
    readers = ("FillInTheBlank",)

    def __init__(
        self,
        dataset: Texts,
        batch_size: int = 256,
        validation: float = 0.1,
        seed: int = 0,
        max_words: int | None = None,
        window: int = 2,
        negatives: int = 5,
        subsample: float | None = None,
        power: float = 1.0,
    ) -> None:
        super().__init__(dataset, batch_size, validation, seed, max_words, window=window, negatives=negatives)
        self.window = window
        self.negatives = negatives
        self.subsample = subsample
        self.power = power

    def batches(self, part: Part, num_replicas: int = 1, rank: int = 0) -> Blanks:
        settings = (
            self.window,
            self.negatives,
            self.seed_of(part),
            self.subsample if part == "train" else None,
        )
        documents = self.corpus.documents(part)
        return Blanks(documents, self.batch_size, *settings, self.power, num_replicas, rank)
