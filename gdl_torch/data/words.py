"""The data of the models of words: bags of words with labels, and blanks to fill in (chapter 11)."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from gdl_numpy.data import LabelledTexts, Part, ReviewDataset, Vocabulary, hold_out
from gdl_numpy.data.corpus import Corpus
from gdl_numpy.data.words import Bags, Blanks
from gdl_torch.data.loading import feed_loader
from gdl_torch.data.vocabulary import VocabularyDataModule
from gdl_torch.models.embeddings import FillInTheBlank, SentimentClassifier

if TYPE_CHECKING:
    from pathlib import Path

    from torch.utils.data import DataLoader

    from gdl_numpy.data.examples import ExampleFeed


class WordDataModule(VocabularyDataModule):
    """Base of the data modules that give the batches of an `ExampleFeed`, epoch by epoch.

    With several devices each takes its share of a batch that is so many times larger; where the examples
    cannot be divided evenly, some are repeated, in training, validation and test.

    Args:
        batch_size: examples in a batch, on each device.
        data_dir: where the files are or will be put; else $GDL_DATA, else the user cache.
        validation: fraction of reviews held out to watch the training by; 0 for none. Texts that have a part
            of their own for it use that.
        seed: decides which are held out, the order of the examples, and what is drawn for them.
        max_words: keep only so many words, the most frequent ones, the unknown one included; None for all.

    Raises:
        ValueError: a batch_size below 1, a negative seed, a validation outside [0, 1), or max_words below 2.
    """

    def __init__(
        self,
        batch_size: int,
        data_dir: str | Path | None,
        validation: float,
        seed: int,
        max_words: int | None,
    ) -> None:
        super().__init__(batch_size, data_dir)
        name = type(self).__name__
        if seed < 0:
            raise ValueError(f"{name}: seed must be 0 or more, got {seed}")
        if not 0 <= validation < 1:
            raise ValueError(f"{name}: validation must be a fraction in [0, 1), got {validation}")
        if max_words is not None and max_words < 2:
            raise ValueError(
                f"{name}: max_words must be at least 2, the unknown one counted, got {max_words}"
            )
        self.held_out_fraction = validation
        self.seed = seed
        self.max_words = max_words

    @cached_property
    def corpus(self) -> Corpus:
        """The texts in their three parts, without labels."""
        return Corpus.of(self.texts, self.max_words, self.held_out_fraction, self.seed)

    @cached_property
    def vocabulary(self) -> Vocabulary:
        return self.corpus.vocabulary

    def has(self, part: Part) -> bool:
        """Whether there is anything in this part."""
        return len(self.corpus.documents(part)) > 0

    def feed(self, part: Part, seed: int | None, num_replicas: int, rank: int) -> ExampleFeed:
        """The NumPy side's batches of one part."""
        raise NotImplementedError

    def loader(self, part: Part) -> DataLoader[Any]:
        return feed_loader(self.feed(part, self.seed if part == "train" else None, *self.device))

    def val_dataloader(self) -> list[DataLoader[Any]]:
        return [self.loader("validation")] if self.has("validation") else []


class BagsDataModule(WordDataModule):
    """Labelled texts as bags of words: the batches of `gdl_numpy.data.words.Bags`.

    Args:
        batch_size: texts in a batch, on each device; the last batch of an epoch may be smaller.
        data_dir: where the files are or will be put; else $GDL_DATA, else the user cache.
        validation: fraction of the training texts held out to watch the training by; 0 for none.
        seed: decides which are held out, and the order of the others.
        max_words: keep only so many words, the most frequent ones, the unknown one included; None for all.
        distinct: take each word of a text once, as the book does.

    Raises:
        ValueError: as WordDataModule.
    """

    gives = "labelled texts"
    reader = SentimentClassifier

    def __init__(
        self,
        batch_size: int = 32,
        data_dir: str | Path | None = None,
        validation: float = 0.1,
        seed: int = 0,
        max_words: int | None = None,
        distinct: bool = True,
    ) -> None:
        super().__init__(batch_size, data_dir, validation, seed, max_words)
        self.distinct = distinct

    @cached_property
    def vocabulary(self) -> Vocabulary:
        texts: ReviewDataset = self.texts
        return texts.vocabulary(self.max_words)

    @cached_property
    def labelled(self) -> dict[Part, LabelledTexts]:
        """The texts in their three parts, with their labels."""
        texts: ReviewDataset = self.texts
        train, validation = hold_out(texts.train, self.held_out_fraction, self.seed)
        return {"train": train, "validation": validation, "test": texts.test}

    def has(self, part: Part) -> bool:
        return len(self.labelled[part]) > 0

    def feed(self, part: Part, seed: int | None, num_replicas: int, rank: int) -> Bags:
        texts = self.labelled[part]
        documents = texts.documents.translate(self.vocabulary)
        return Bags(documents, texts.labels, self.batch_size, seed, self.distinct, num_replicas, rank)


class IMDBDataModule(BagsDataModule):
    """50,000 reviews of films, positive or negative; half of them to test with."""

    dataset = "imdb"


class PythonDocsTopicsDataModule(BagsDataModule):
    """Paragraphs of Python's reference manual, about objects or about statements; they come with Python."""

    dataset = "python_docs_topics"


class BlanksDataModule(WordDataModule):
    """Texts as blanks to fill in: the batches of `gdl_numpy.data.words.Blanks`.

    Args:
        batch_size: blanks in a batch, on each device; the last batch of an epoch may be smaller.
        data_dir: where the files are or will be put; else $GDL_DATA, else the user cache.
        validation: fraction of reviews held out to watch the training by; 0 for none. Texts that have a part
            of their own for it use that.
        seed: decides which are held out, the order of the blanks, and the words drawn.
        max_words: keep only so many words, the most frequent ones, the unknown one included; None for all.
        window: the most words to either side of a blank.
        negatives: how many words to draw for each blank.
        subsample: leaves out some of the frequent words of the texts to learn from; see `Blanks`.

    Raises:
        ValueError: as WordDataModule; and, by the loaders, for a window or negatives below 1, or a subsample
            that is not more than 0.
    """

    gives = "blanks to fill in"
    reader = FillInTheBlank

    def __init__(
        self,
        batch_size: int = 256,
        data_dir: str | Path | None = None,
        validation: float = 0.1,
        seed: int = 0,
        max_words: int | None = None,
        window: int = 2,
        negatives: int = 5,
        subsample: float | None = None,
    ) -> None:
        super().__init__(batch_size, data_dir, validation, seed, max_words)
        self.window = window
        self.negatives = negatives
        self.subsample = subsample

    def feed(self, part: Part, seed: int | None, num_replicas: int, rank: int) -> Blanks:
        thinned = self.subsample if part == "train" else None
        documents = self.corpus.documents(part)
        return Blanks(
            documents, self.batch_size, self.window, self.negatives, seed, thinned, num_replicas, rank
        )


class IMDBBlanksDataModule(BlanksDataModule):
    """The running text of 25,000 reviews of films, and of 25,000 to test with."""

    dataset = "imdb"


class PythonDocsBlanksDataModule(BlanksDataModule):
    """The running text of Python's reference manual, which comes with Python."""

    dataset = "python_docs"
