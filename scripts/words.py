"""What a trained model of words knows: words and reviews that are alike, analogies, sentiment, a picture.

    python scripts/words.py runs/blanks/model.safetensors nearest beautiful terrible
    python scripts/words.py runs/blanks/model.safetensors analogy terrible good --minus bad
    python scripts/words.py runs/blanks/model.safetensors questions
    python scripts/words.py runs/sentiment/model.safetensors predict "A beautiful, touching film."
    python scripts/words.py runs/sentiment/model.safetensors similar --review 7
    python scripts/words.py runs/masked/model.safetensors probe --data imdb
    python scripts/words.py runs/sentiment/model.safetensors plot
    python scripts/words.py runs/sentiment/model.safetensors save vectors.txt

The checkpoint is that of any model with a table of words, such as a SentimentClassifier, a FillInTheBlank or
a MaskedWord, as train.py writes it and gdl_torch exports it; no torch is needed. Exit code 2, and one line
that says why, for bad usage and words that are not known.
"""

from __future__ import annotations

if __name__ == "__main__":
    from gdl_numpy.interrupts import exit_on_ctrl_c

    exit_on_ctrl_c()

import json
import sys
import textwrap
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import typer
from matplotlib.backend_bases import FigureCanvasBase
from matplotlib.figure import Figure
from rich.table import Column, Table

from gdl_numpy.analogies import QUESTIONS, Score, answer, read_questions
from gdl_numpy.checkpoint import load_model, load_vocabulary
from gdl_numpy.command_line import make_console, run
from gdl_numpy.data import BagsDataModule, Documents, ReviewDataset, load_or_read, words_of
from gdl_numpy.data.ngrams import has_ngrams, ngrams_in
from gdl_numpy.downstream import known_labels, labelled_subset, probe_accuracy, untrained
from gdl_numpy.files import check_file, naming, save_figure
from gdl_numpy.messages import kind_of, literal
from gdl_numpy.models import SentimentClassifier
from gdl_numpy.nn import Sigmoid
from gdl_numpy.tables import print_table
from gdl_numpy.tasks import BinaryClassification
from gdl_numpy.word_picture import draw_words, most_telling
from gdl_numpy.word_vectors import WordVectors, finite_logits, log_odds, most_alike, table_of, word_sentiment

if TYPE_CHECKING:
    from gdl_numpy.data import Vocabulary
    from gdl_numpy.word_vectors import Metric, Neighbour

SHOWN = 70  # characters of a review in the table
SENTIMENTS = ("negative", "positive")
app = typer.Typer(add_completion=False, no_args_is_help=True)

Count = Annotated[int, typer.Option("--count", "-n", min=1, help="How many to show.")]
Near = Annotated[
    Literal["cosine", "euclidean"], typer.Option("--metric", help="What is near; the book's is euclidean.")
]
Data = Annotated[
    str | None,
    typer.Option(
        help="Data set, of reviews with labels.", show_default="what the model learned from, by its run.json"
    ),
]
Labels = Annotated[str, typer.Option(help="How many labels are known: parts, or numbers.", metavar="P%|N,…")]
DataDir = Annotated[Path | None, typer.Option(help="Its folder; else $GDL_DATA, else the user's cache.")]


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint's model and words, read when they are asked for: --help needs none."""

    path: Path

    @cached_property
    def model(self) -> Any:
        return load_model(self.path)

    @cached_property
    def vocabulary(self) -> Vocabulary:
        if table_of(self.model) is None:
            raise ValueError(
                f"{self.path} holds {kind_of(self.model)}, which has no word vectors: "
                "give the file of a model of words, such as a SentimentClassifier or a FillInTheBlank"
            )
        return load_vocabulary(self.path)

    @cached_property
    def vectors(self) -> WordVectors:
        return WordVectors.of(self.model, self.vocabulary)

    @cached_property
    def data(self) -> str:
        """What the model learned from, as the run's folder has it.

        Raises:
            ValueError: it does not say.
        """
        settings = self.path.parent / "run.json"
        with suppress(OSError, ValueError, TypeError, KeyError):
            name = json.loads(settings.read_text(encoding="utf-8"))["data"]
            if isinstance(name, str):
                return name
        raise ValueError(f"--data is needed, such as imdb: no {settings} says what the model learned from")

    def reviews(self, data: str | None, data_dir: Path | None) -> ReviewDataset:
        """The data set that was named, or else the one that the model learned from.

        Raises:
            ValueError: it has no labels.
        """
        dataset: Any = load_or_read(data or self.data, data_dir)
        if not BagsDataModule.accepts(dataset):
            learned = "" if data else ", which the model learned from,"
            raise ValueError(
                f"{dataset.name}{learned} has no labelled texts: choose other --data, such as imdb"
            )
        found: ReviewDataset = dataset
        return found

    def read(self, text: str) -> Documents:
        """The words of a text that the model knows, as the one document; on stderr, those it does not know.

        Raises:
            ValueError: it knows none.
        """
        words = words_of(text)
        documents = Documents.of([text])
        if has_ngrams(self.vocabulary):
            documents = ngrams_in(documents, self.vocabulary)
        else:
            documents = documents.translate(self.vocabulary)
            documents = documents.keep(documents.is_known)
        if not len(documents.ids):
            raise ValueError(f"{words[:SHOWN]!r} has no word that the model knows: give another text")
        if missing := self.vocabulary.unknown_in(words):
            typer.echo(f"words.py: not known, left out: {' '.join(missing)}", err=True)
        return documents


@app.callback()
def words(
    context: typer.Context,
    checkpoint: Annotated[Path, typer.Argument(help="model.safetensors of a model of words.")],
) -> None:
    """Show what a trained model of words knows."""
    context.obj = Checkpoint(checkpoint)


@app.command()
def nearest(
    context: typer.Context,
    word: Annotated[list[str], typer.Argument(help="One or more.")],
    n: Count = 10,
    metric: Near = "cosine",
) -> None:
    """Show the words most like a word."""
    vectors: WordVectors = context.obj.vectors
    print_neighbours({each: vectors.nearest(each, n, metric) for each in word}, metric)


@app.command()
def analogy(
    context: typer.Context,
    plus: Annotated[list[str], typer.Argument(help="Words to add.")],
    minus: Annotated[list[str] | None, typer.Option(help="A word to subtract; can be given again.")] = None,
    n: Count = 10,
    metric: Near = "cosine",
) -> None:
    """Show the words nearest to a sum of words: `analogy king woman --minus man`."""
    title = " − ".join([" + ".join(plus), *(minus or [])])
    print_neighbours({title: context.obj.vectors.analogy(plus, minus or [], n, metric)}, metric)


@app.command()
def questions(
    context: typer.Context,
    file: Annotated[
        Path, typer.Argument(help="Pairs of words under lines ': KIND'.", show_default="ours")
    ] = QUESTIONS,
    n: Annotated[int, typer.Option("--count", "-n", min=1, help="Among so many an answer is near.")] = 5,
    metric: Near = "cosine",
) -> None:
    """Ask questions: which word is to woman as king is to man? Show how many are answered."""
    kinds = read_questions(file)
    scores = answer(context.obj.vectors, kinds, n, metric)
    scores["all"] = sum(scores.values(), Score(0, 0, 0, 0))
    if not scores["all"].asked:
        raise ValueError(f"{file}: the vocabulary has the four words of no question")
    columns = ("questions", "nearest", f"among {n}", "not known")
    table = Table("kind", *(Column(name, justify="right") for name in columns))
    for kind, score in scores.items():
        parts = (f"{right / score.asked:.1%}" if score.asked else "" for right in (score.first, score.among))
        table.add_row(kind, str(score.asked), *parts, str(score.unknown))
    print_table(make_console(110), table)


@app.command()
def save(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(dir_okay=False, help="Where to write them.")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace FILE, whatever it is.")] = False,
) -> None:
    """Write the vectors in word2vec's text format, which other tools read."""
    if file.exists() and file.samefile(context.obj.path):
        raise ValueError(f"{file} is the checkpoint itself: give another file to write the vectors to")
    if file.exists() and not overwrite:
        raise ValueError(f"{file} is there already: choose another file, or replace it with --overwrite")
    context.obj.vectors.save(file)
    typer.echo(f"saved in {file}")


def print_neighbours(columns: dict[str, list[Neighbour]], metric: Metric) -> None:
    """A pair of columns for each list: the words, and how near they are."""
    score = "cosine" if metric == "cosine" else "distance"
    table = Table()
    for title in columns:
        table.add_column(title)
        table.add_column(score, justify="right")
    for row in zip(*columns.values(), strict=True):
        table.add_row(*(cell for word, near in row for cell in (word, f"{near:.3f}")))
    print_table(make_console(110), table)


@app.command()
def predict(
    context: typer.Context,
    text: Annotated[str, typer.Argument(help="Text of a review.")],
    distinct: Annotated[
        bool, typer.Option("--distinct/--every", help="Each word once, or as often as it is there.")
    ] = True,
) -> None:
    """Say whether a review is positive, and what each of its words adds, taken alone."""
    model = context.obj.model
    if not isinstance(model, SentimentClassifier):
        raise ValueError(f"{type(model).__name__} predicts no sentiment: give a SentimentClassifier's file")
    documents = context.obj.read(text)
    alone = documents.distinct()
    ids = alone.ids if distinct else documents.ids
    logit = float(finite_logits(model, ids, np.zeros(1, np.int64))[0])
    likely = float(Sigmoid()(np.array([abs(logit)]))[0])
    typer.echo(f"{SENTIMENTS[logit > 0]}, {likely:.1%} (logit {logit:+.2f})")
    added = word_sentiment(model)[alone.ids]
    table = Table("word", Column("adds alone", justify="right"))
    for place in np.argsort(-added, kind="stable"):
        table.add_row(alone.vocabulary.tokens[alone.ids[place]], f"{added[place]:+.2f}")
    print_table(make_console(110), table)


@app.command()
def similar(
    context: typer.Context,
    text: Annotated[str | None, typer.Argument(help="Text of a review.")] = None,
    review: Annotated[
        int | None, typer.Option(min=0, help="Instead of a text, a training review's number.")
    ] = None,
    n: Count = 5,
    metric: Near = "cosine",
    data: Data = None,
    data_dir: DataDir = None,
) -> None:
    """Show the training reviews most like a text: those with the nearest mean of their words' vectors."""
    if (text is None) is (review is None):
        raise ValueError("similar: give either a text or --review")
    vectors: WordVectors = context.obj.vectors
    query = None if text is None else context.obj.read(text)
    train = context.obj.reviews(data, data_dir).train
    if review is not None:
        if review >= len(train):
            raise ValueError(f"--review must be less than {len(train)}, the number of reviews; got {review}")
        query = train.documents.select(np.array([review]))
        typer.echo(f"like review {review}, {SENTIMENTS[train.labels[review]]}: {beginning(query, 0)}\n")
    assert query is not None
    means = vectors.of_documents(train.documents)
    others = np.arange(len(train)) != (-1 if review is None else review)
    rows, scores = most_alike(means, vectors.of_documents(query)[0], n, metric, others)
    score_head = "cosine" if metric == "cosine" else "distance"
    table = Table("review", Column(score_head, justify="right"), "is", Column("begins", min_width=24))
    for row, score in zip(rows.tolist(), scores, strict=True):
        label = SENTIMENTS[train.labels[row]]
        table.add_row(str(row), f"{score:.3f}", label, beginning(train.documents, row))
    print_table(make_console(110), table)


def beginning(documents: Documents, document: int) -> str:
    return textwrap.shorten(documents.text(document), SHOWN, placeholder=" …")


@app.command()
def probe(
    context: typer.Context,
    labels: Labels = "10%,1%,100",
    draws: Annotated[int, typer.Option(min=1, help="Sets of labels to draw; the mean counts.")] = 3,
    seed: Annotated[int, typer.Option(min=0, help="Of the first weights, and of the draws.")] = 0,
    data: Data = None,
    data_dir: DataDir = None,
) -> None:
    """Tell positive from negative reviews by a line through the means of their words' vectors.

    That is logistic regression on what the model has learned, beside the same model untrained.
    """
    known = known_labels(labels)
    vectors: WordVectors = context.obj.vectors
    before = WordVectors.of(untrained(context.obj.model, seed), vectors.vocabulary)
    reviews = context.obj.reviews(data, data_dir)
    train, test = reviews.train, reviews.test
    subsets = {"all": [np.arange(len(train))]} | {
        text: [labelled_subset(train.labels, n, np.random.default_rng((seed, draw))) for draw in range(draws)]
        for text, n in known.items()
    }
    points = [[each.of_documents(part.documents) for part in (train, test)] for each in (vectors, before)]
    table = Table("labels", *(Column(name, justify="right") for name in ("trained", "untrained")))
    for text, drawn in subsets.items():
        cells = [
            np.mean([probe_accuracy(known[rows], train.labels[rows], asked, test.labels) for rows in drawn])
            for known, asked in points
        ]
        table.add_row(text, *(f"{cell:.2%}" for cell in cells))
    print_table(make_console(110), table)


@app.command()
def plot(
    context: typer.Context,
    n: Annotated[int, typer.Option("--count", "-n", min=3, help="Words, those that tell the most.")] = 400,
    data: Data = None,
    data_dir: DataDir = None,
    out: Annotated[
        Path, typer.Option(metavar="FILE", dir_okay=False, help="Where the picture goes; or a .svg or .pdf.")
    ] = Path("words.png"),
) -> None:
    """Draw word vectors in two dimensions, coloured by sentiment.

    A SentimentClassifier says the sentiment of each word itself; for a FillInTheBlank it is how much more
    often a word is in the positive reviews of --data than in the negative ones.
    """
    check_file("--out", out)
    if out.suffix[1:].lower() not in FigureCanvasBase.get_supported_filetypes():
        raise ValueError(f"--out must end in a picture's suffix, such as .png, .svg or .pdf; got {out}")
    model, vectors = context.obj.model, context.obj.vectors
    size = len(vectors.vocabulary)
    if type(model).task is BinaryClassification:
        sentiment = telling = word_sentiment(model)[:size]
        meaning = "what the word alone adds to the logit"
    else:
        reviews = context.obj.reviews(data, data_dir)
        train = reviews.train
        sentiment, telling = log_odds(train.documents.translate(vectors.vocabulary), train.labels)
        meaning = f"log odds of the word in {reviews.name}'s positive reviews"
    unknown = int(vectors.vocabulary.unknown)
    chosen = unknown + most_telling(telling[unknown:], n)
    figure = Figure((10, 8), layout="constrained")
    axes = figure.subplots()
    axes.set_title(f"{len(chosen)} words as {type(model).__name__} has them")
    names = [vectors.vocabulary.tokens[word] for word in chosen]
    points = draw_words(axes, vectors.vectors[chosen], names, sentiment[chosen])
    figure.colorbar(points, ax=axes, label=literal(meaning), shrink=0.7)
    with naming(out):
        save_figure(figure, out)
    typer.echo(f"drawn in {out}")


def main(arguments: list[str]) -> int:
    """Runs the command line; returns the exit code."""
    commands = [
        command.name or command.callback.__name__ for command in app.registered_commands if command.callback
    ]
    if arguments and arguments[0] in commands and not Path(arguments[0]).exists():
        if "--help" not in arguments:
            typer.echo(f"words.py: the checkpoint comes first: words.py FILE {arguments[0]} …", err=True)
            return 2
        arguments = ["FILE", *arguments]  # --help needs none
    return run(app, "words.py", arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
