"""A data set in batches for a training run: to learn from, to watch it by, to decide in the end."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from gdl_numpy.data.augment import random_affine
from gdl_numpy.data.batches import Batches
from gdl_numpy.data.corpus import Corpus
from gdl_numpy.data.held_out import hold_out
from gdl_numpy.data.pretext import Pretext, colour, missing_patch, patch_side, rotation
from gdl_numpy.data.pretext_text import MaskedWords, ShuffledSentences
from gdl_numpy.data.text import Sentences, Streams
from gdl_numpy.data.views import Views
from gdl_numpy.data.words import Bags, Blanks
from gdl_numpy.lookup import lookup

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from gdl_numpy.data.batches import Feed
    from gdl_numpy.data.corpus import Texts
    from gdl_numpy.data.dataset import Dataset, Split
    from gdl_numpy.data.reviews import LabelledTexts, ReviewDataset
    from gdl_numpy.data.text import Part, SentenceDataset, TextDataset
    from gdl_numpy.data.vocabulary import Kind, Vocabulary

ImageTask = Literal["rotation", "patch", "colour"]


@dataclass(frozen=True)
class Material:
    """What there is to learn from, in the NumPy side's batches.

    Attributes:
        name: of the data set.
        train: the batches to learn from.
        validation: those to watch the training by, if there are any.
        test: those that decide in the end.
        arguments: a model's arguments that the data decides.
        vocabulary: what ids stand for, in text.
        identity: what tells the data from other data of this name, in JSON's types.
    """

    name: str
    train: Feed
    validation: Feed | None
    test: Feed
    arguments: dict[str, Any]
    vocabulary: Vocabulary | None = None
    identity: dict[str, Any] = field(default_factory=dict)

    @property
    def unit(self) -> str:
        """What is predicted, one at a time."""
        return "example" if self.vocabulary is None else self.vocabulary.unit


def images(dataset: Dataset, batch_size: int, validation: float = 0.1, seed: int = 0) -> Material:
    """Return images in shuffled batches, with a fraction of the training images held out to watch it by.

    Args:
        dataset: the images.
        batch_size: images in a batch.
        validation: the fraction; 0 for none.
        seed: decides which are held out, and the order of the others.

    Raises:
        ValueError: an argument is out of its range, or nothing is left to learn from.
    """
    train, held_out = hold_out(dataset.train, validation, seed)
    return Material(
        dataset.name,
        Batches(train, batch_size, seed),
        Batches(held_out, batch_size) if len(held_out) else None,
        Batches(dataset.test, batch_size),
        {
            "in_features": math.prod(dataset.in_shape),
            "in_shape": dataset.in_shape,
            "out_features": dataset.num_classes,
        },
    )


def views(
    dataset: Dataset,
    batch_size: int,
    count: int = 2,
    labelled: bool = False,
    validation: float = 0.1,
    seed: int = 0,
    degrees: float = 25.0,
    translate: float = 0.1,
    scale: float = 0.2,
    shear: float = 15.0,
) -> Material:
    """Return images in several views at once, with a fraction of the training images held out.

    Args:
        dataset: the images.
        batch_size: images in a batch; a part of fewer held-out or test images is one batch.
        count: views of each image.
        labelled: images of the same label are alike; else the views of the same image.
        validation: the fraction; 0 for none.
        seed: decides which are held out, the order of the others, and their views.
        degrees: largest angle, to either side; with `translate` and `shear`, see `RandomAffine`.
        translate: largest shift, as a fraction of height and width.
        scale: largest change of scale, less than 1; with all four 0, views are the images themselves.
        shear: largest angle of shear.

    Raises:
        ValueError: an argument is out of its range, a batch is larger than what there is to learn from, or a
            part has labels of one class only.
    """
    train, held_out = hold_out(dataset.train, validation, seed)
    transform = random_affine(degrees, translate, scale, shear)

    def feed(split: Split) -> Views:
        return Views(split, min(batch_size, len(split)), transform, count, labelled)

    return Material(
        dataset.name,
        Views(train, batch_size, transform, count, labelled, seed),
        feed(held_out) if len(held_out) else None,
        feed(dataset.test),
        {"in_shape": dataset.in_shape},
    )


def pretext_images(
    dataset: Dataset,
    batch_size: int,
    task: ImageTask,
    patch_size: int | None = None,
    validation: float = 0.1,
    seed: int = 0,
) -> Material:
    """Return images as a task with answers of their own, with a fraction of the training images held out.

    Args:
        dataset: the images.
        batch_size: images in a batch.
        task: by how much an image was turned, what was in a square cut out of it, or its colours.
        patch_size: side of the square; None for a third of the image's.
        validation: the fraction; 0 for none.
        seed: decides which are held out, the order of the others, and what is drawn for them.

    Raises:
        ValueError: an unknown task, or an argument is out of its range.
    """
    side = patch_side(patch_size, dataset.in_shape)
    tasks = {"rotation": rotation, "patch": missing_patch(side), "colour": colour}
    make = lookup("task", task, tasks)
    train, held_out = hold_out(dataset.train, validation, seed)
    return Material(
        dataset.name,
        Pretext(train, batch_size, make, seed),
        Pretext(held_out, batch_size, make) if len(held_out) else None,
        Pretext(dataset.test, batch_size, make),
        {"in_shape": dataset.in_shape, **({"patch_size": side} if task == "patch" else {})},
    )


def running_text(
    dataset: TextDataset,
    batch_size: int,
    chunk: int,
    ahead: int = 1,
    kind: Kind = "characters",
    unknown: bool = True,
    max_words: int | None = None,
) -> Material:
    """Return a text in streams.

    Args:
        dataset: the text.
        batch_size: streams read side by side.
        chunk: steps in a batch.
        ahead: how many steps the targets are ahead of the inputs.
        kind: what a symbol is; with `unknown` and `max_words`, see `TextDataset.vocabulary`.
        unknown: whether there is a symbol for what the training text lacks.
        max_words: the most symbols to keep; None for all.

    Raises:
        ValueError: an argument is out of its range, or a part of the text is too short for the streams.
    """
    vocabulary = dataset.vocabulary(kind, unknown, max_words)

    def streams(part: Part) -> Streams:
        return Streams(vocabulary.encode(getattr(dataset, part)), batch_size, chunk, ahead, part=part)

    return Material(
        dataset.name,
        streams("train"),
        streams("validation"),
        streams("test"),
        {"vocab_size": len(vocabulary)},
        vocabulary,
        {"text_sha256": dataset.sha256},
    )


def sentences(dataset: SentenceDataset, batch_size: int, ahead: int = 1, seed: int = 0) -> Material:
    """Return sentences in batches, those to learn from shuffled.

    Args:
        dataset: the sentences.
        batch_size: sentences in a batch.
        ahead: how many steps the targets are ahead of the inputs.
        seed: decides the order.

    Raises:
        ValueError: an argument is out of its range.
    """
    vocabulary = dataset.vocabulary()

    def batches(part: Iterable[str], seed: int | None = None) -> Sentences:
        ids = [vocabulary.encode(sentence) for sentence in part]
        return Sentences(ids, batch_size, seed, ahead, last_only=dataset.padded)

    return Material(
        dataset.name,
        batches(dataset.train, seed),
        batches(dataset.validation),
        batches(dataset.test),
        {"vocab_size": len(vocabulary)},
        vocabulary,
    )


def reviews(
    dataset: ReviewDataset,
    batch_size: int,
    validation: float = 0.1,
    seed: int = 0,
    max_words: int | None = None,
    distinct: bool = True,
) -> Material:
    """Return labelled texts as bags of words, with a fraction of those to learn from held out.

    Args:
        dataset: the texts.
        batch_size: texts in a batch.
        validation: the fraction; 0 for none.
        seed: decides which are held out, and the order of the others.
        max_words: keep only so many words, the most frequent ones, the unknown one included; None for all.
        distinct: take each word of a text once, as the book does.

    Raises:
        ValueError: an argument is out of its range, or nothing is left to learn from.
    """
    vocabulary = dataset.vocabulary(max_words)
    train, held_out = hold_out(dataset.train, validation, seed)

    def bags(part: LabelledTexts, seed: int | None = None) -> Bags:
        return Bags(part.documents.translate(vocabulary), part.labels, batch_size, seed, distinct)

    return Material(
        dataset.name,
        bags(train, seed),
        bags(held_out) if len(held_out) else None,
        bags(dataset.test),
        {"vocab_size": len(vocabulary)},
        vocabulary,
        {"text_sha256": dataset.sha256},
    )


def blanks(
    dataset: Texts,
    batch_size: int,
    window: int = 2,
    negatives: int = 5,
    subsample: float | None = None,
    validation: float = 0.1,
    seed: int = 0,
    max_words: int | None = None,
) -> Material:
    """Return texts as blanks to fill in.

    Args:
        dataset: the texts.
        batch_size: blanks in a batch.
        window: the most words to either side of a blank.
        negatives: how many words to draw for each blank.
        subsample: leaves out some of the frequent words of the texts to learn from; see `Blanks`.
        validation: fraction of reviews held out; other texts have a part of their own for it.
        seed: decides which are held out, the order of the blanks, and the words drawn.
        max_words: keep only so many words, the most frequent ones, the unknown one included; None for all.

    Raises:
        ValueError: an argument is out of its range, or a part of the texts is too short.
    """
    corpus = Corpus.of(dataset, max_words, validation, seed)

    def feed(part: Part, seed: int | None) -> Blanks:
        thinned = subsample if part == "train" else None
        return Blanks(corpus.documents(part), batch_size, window, negatives, seed, thinned)

    return _of_texts(corpus, feed, seed)


def masked_words(
    dataset: Texts,
    batch_size: int,
    window: int = 3,
    validation: float = 0.1,
    seed: int = 0,
    max_words: int | None = None,
) -> Material:
    """Return texts as words under a mask.

    Args:
        dataset: the texts.
        batch_size: words in a batch.
        window: words on either side of the mask.
        validation: fraction of reviews held out; other texts have a part of their own for it.
        seed: decides which are held out, and the order of the words.
        max_words: keep only so many words, the most frequent ones, the unknown one included; None for all.

    Raises:
        ValueError: an argument is out of its range, or a part of the texts is too short.
    """
    corpus = Corpus.of(dataset, max_words, validation, seed)
    return _of_texts(
        corpus,
        lambda part, seed: MaskedWords(corpus.documents(part), batch_size, window, seed),
        seed,
        window=window,
    )


def shuffled_sentences(
    dataset: Texts, batch_size: int, validation: float = 0.1, seed: int = 0, max_words: int | None = None
) -> Material:
    """Return texts as sentences out of order.

    Args:
        dataset: the texts.
        batch_size: threes of sentences in a batch.
        validation: fraction of reviews held out; other texts have a part of their own for it.
        seed: decides which are held out, the order of the examples, and that of their sentences.
        max_words: keep only so many words, the most frequent ones, the unknown one included; None for all.

    Raises:
        ValueError: an argument is out of its range, or a part of the texts is too short.
    """
    corpus = Corpus.of(dataset, max_words, validation, seed)
    return _of_texts(
        corpus, lambda part, seed: ShuffledSentences(*corpus.sentences(part), batch_size, seed), seed
    )


def _of_texts(
    corpus: Corpus, feed: Callable[[Part, int | None], Feed], seed: int, **arguments: int
) -> Material:
    return Material(
        corpus.name,
        feed("train", seed),
        feed("validation", None) if len(corpus.validation) else None,
        feed("test", None),
        {"vocab_size": len(corpus.vocabulary), **arguments},
        corpus.vocabulary,
        {"text_sha256": corpus.sha256} if corpus.sha256 else {},
    )
