"""`words.py` shows what a checkpoint's words know, in a table or a picture; what cannot be is one line."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from gdl_numpy.checkpoint import load_model, save_model
from gdl_numpy.command_line import PlainConsole
from gdl_numpy.data import Documents, Vocabulary, load
from gdl_numpy.models import MLP, FillInTheBlank, MaskedWord, SentenceOrder, SentimentClassifier
from gdl_numpy.word_picture import NAMED, draw_words, most_telling
from gdl_numpy.word_vectors import WordVectors, log_odds, most_alike
from parity_tests.harness.rounding import gamma, unit_roundoff
from parity_tests.support import NO_TORCH

SCRIPT = Path(__file__).parent.parent / "scripts" / "words.py"
script = runpy.run_path(str(SCRIPT))
TOPICS = ("--data", "python_docs_topics")


def run(*words: str | Path | float) -> int:
    """Runs the script within this process; returns its exit code."""
    code: int = script["main"]([str(word) for word in words])
    return code


def cells(table: str) -> list[list[str]]:
    """What is in the rows of a table, without its header."""
    rows = [line.strip("│").split("│") for line in table.splitlines() if line.startswith("│")]
    return [[cell.strip() for cell in row] for row in rows]


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    found: Vocabulary = load("python_docs_topics").vocabulary(300)
    return found


def build(kind: Any, vocabulary: Vocabulary) -> Any:
    """A model with opinions."""
    model = kind(len(vocabulary), 5, rng=0).eval()
    model.embedding.weight.data *= 10
    return model


WITH_WORDS = [SentimentClassifier, FillInTheBlank, SentenceOrder, MaskedWord]


@pytest.fixture(params=WITH_WORDS, ids=lambda kind: kind.__name__)
def either(request: pytest.FixtureRequest, vocabulary: Vocabulary, tmp_path: Path) -> Path:
    save_model(tmp_path / "m.safetensors", build(request.param, vocabulary), vocabulary)
    return tmp_path / "m.safetensors"


@pytest.fixture
def sentiment(vocabulary: Vocabulary, tmp_path: Path) -> Path:
    save_model(tmp_path / "m.safetensors", build(SentimentClassifier, vocabulary), vocabulary)
    return tmp_path / "m.safetensors"


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_neighbours_are_those_of_the_vectors(
    either: Path, metric: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of each word that is asked for, side by side; marks of rich's own language are words too."""
    words = WordVectors.load(either)
    assert run(either, "nearest", "class", "[", "-n", 4, "--metric", metric) == 0
    out, err = capsys.readouterr()
    assert err == ""
    first, second = (words.nearest(word, 4, metric) for word in ("class", "["))
    assert cells(out) == [
        [a.word, f"{a.score:.3f}", b.word, f"{b.score:.3f}"] for a, b in zip(first, second, strict=True)
    ]
    assert "class" in out.splitlines()[1]


def test_analogies_are_those_of_the_vectors(either: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = WordVectors.load(either)
    assert run(either, "analogy", "class", "method", "--minus", "function", "--minus", "a", "-n", 3) == 0
    out = capsys.readouterr().out
    assert "class + method − function − a" in out
    found = words.analogy(["class", "method"], ["function", "a"], 3)
    assert cells(out) == [[word, f"{score:.3f}"] for word, score in found]


@pytest.mark.parametrize("flag", ["--distinct", "--every"])
def test_a_prediction_is_the_models(
    flag: str, sentiment: Path, vocabulary: Vocabulary, capsys: pytest.CaptureFixture[str]
) -> None:
    """Words that it does not know are named and left out; repeated ones count once, unless asked for."""
    assert run(sentiment, "predict", "A class, a qwertzu class.", flag) == 0
    out, err = capsys.readouterr()
    assert err == "words.py: not known, left out: qwertzu\n"
    ids = vocabulary.encode("a class , a class .")
    model = build(SentimentClassifier, vocabulary)
    (logit,) = model(np.unique(ids) if flag == "--distinct" else ids, np.array([0]))
    label, probability = (
        ("positive", 1 / (1 + np.exp(-logit))) if logit > 0 else ("negative", 1 / (1 + np.exp(logit)))
    )
    line, table = out.split("\n", 1)
    assert line == f"{label}, {probability:.1%} (logit {logit:+.2f})"
    assert sorted(word for word, _ in cells(table)) == sorted([",", ".", "a", "class"])
    added = [float(value) for _, value in cells(table)]
    assert added == sorted(added, reverse=True)


def test_similar_reviews_are_those_with_the_nearest_means(
    either: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a text, and of one of the reviews, which is then not its own neighbour."""
    train = load("python_docs_topics").train
    words = WordVectors.load(either)
    means = words.of_documents(train.documents)
    text = "the class of an object"
    assert run(either, "similar", text, *TOPICS, "-n", 3) == 0
    rows, scores = most_alike(means, words.of_documents(Documents.of([text]))[0], 3)
    found = cells(capsys.readouterr().out)
    assert [row[:2] for row in found] == [[str(r), f"{s:.3f}"] for r, s in zip(rows, scores, strict=True)]
    assert [row[2] for row in found] == [["negative", "positive"][label] for label in train.labels[rows]]
    assert run(either, "similar", "--review", 2, *TOPICS, "-n", 3, "--metric", "euclidean") == 0
    out = capsys.readouterr().out
    rows, _ = most_alike(means, means[2], 4, "euclidean")
    assert [row[0] for row in cells(out)] == [str(row) for row in rows if row != 2]
    assert out.startswith(f"like review 2, {['negative', 'positive'][train.labels[2]]}: ")


def test_the_picture_is_drawn(either: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(either, "plot", *TOPICS, "-n", 50, "--out", tmp_path / "p.svg") == 0
    assert capsys.readouterr().out == f"drawn in {tmp_path / 'p.svg'}\n"
    assert (tmp_path / "p.svg").read_text().count("<use ") > 50


def test_the_picture_is_of_the_two_main_directions() -> None:
    """Words in a plane are drawn as they lie there, but turned; the first of them have names."""
    rng = np.random.default_rng(0)
    plane = rng.normal(size=(60, 2)) * [3, 1]
    vectors = plane @ np.linalg.qr(rng.normal(size=(7, 2)))[0].T + rng.normal(size=7)
    axes = Figure().subplots()
    words = [f"w{i}" for i in range(60)]
    sentiment = rng.normal(size=60)
    points = draw_words(axes, vectors, words, sentiment)
    drawn = np.asarray(points.get_offsets())
    distances = np.linalg.norm(plane[:, None] - plane, axis=2)
    # A stable decomposition disturbs its matrix by no more than so many roundings.
    rounding = float(gamma(vectors.size, unit_roundoff(np.float64)) * np.linalg.norm(vectors))
    np.testing.assert_allclose(np.linalg.norm(drawn[:, None] - drawn, axis=2), distances, atol=rounding)
    assert drawn[:, 0].std() > drawn[:, 1].std()
    np.testing.assert_array_equal(points.get_array(), sentiment)
    assert [text.get_text() for text in axes.texts] == words[:NAMED]
    assert points.get_clim() == (-np.abs(sentiment).max(), np.abs(sentiment).max())


def test_the_most_telling_take_turns() -> None:
    sentiment = np.array([0.0, 3, -2, 1, -5])
    assert most_telling(sentiment, 4).tolist() == [1, 4, 3, 2]
    assert most_telling(sentiment, 100).tolist() == [1, 4, 3, 2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nearest", "klass"], "words lacks 'klass': did you mean 'class'"),
        (["nearest", "class", "-n", "0"], "Input should be greater than or equal to 1"),
        (["analogy", "class", "--minus", "qwertzu"], "words lacks 'qwertzu'"),
        (["predict", "qwertzu"], "'qwertzu' has no word that the model knows: give another text"),
        (["predict", ""], "'' has no word that the model knows"),
        (["similar", *TOPICS], "give either a text or --review"),
        (["similar", "class", "--review", "1", *TOPICS], "give either a text or --review"),
        (["similar", "qwertzu", *TOPICS], "'qwertzu' has no word that the model knows"),
        (["similar", "--review", "99999", *TOPICS], "--review must be less than"),
        (["similar", "class", "--data", "digits"], "digits has no labelled texts: choose other --data"),
        (["plot", "--out", "words.txt"], "--out must end in a picture's suffix, such as .png"),
        (["plot", "--out", "words"], "--out must end in a picture's suffix, such as .png"),
        (["plot", "--out", "/dev/null/words.png"], "cannot write to /dev/null/words.png (Not a directory)"),
        (["similar", "class"], "--data is needed, such as imdb: no"),
        (["questions", "/dev/null/none.txt"], "cannot read the questions in /dev/null/none.txt"),
        (["save", "/dev/null/vectors.txt"], "cannot write /dev/null/vectors.txt (Not a directory)"),
        (["neerest"], "No such command 'neerest'"),
        ([], "Missing command"),
    ],
)
def test_what_cannot_be_is_one_line(
    arguments: list[str], message: str, sentiment: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(sentiment, *arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("words.py: ")
    assert err.count("\n") == 1
    assert message in err


def test_a_file_that_is_there_is_replaced_only_if_that_is_asked_for(
    sentiment: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And the checkpoint itself never."""
    content, file = sentiment.read_bytes(), tmp_path / "vectors.txt"
    for flags in ([], ["--overwrite"]):
        assert run(sentiment, "save", sentiment, *flags) == 2
        assert "is the checkpoint itself" in capsys.readouterr().err
    assert sentiment.read_bytes() == content
    file.write_text("mine")
    assert run(sentiment, "save", file) == 2
    assert f"{file} is there already: choose another file" in capsys.readouterr().err
    assert file.read_text() == "mine"
    assert run(sentiment, "save", file, "--overwrite") == 0
    assert len(file.read_text().splitlines()) > 10


def test_other_checkpoints_are_refused(
    tmp_path: Path, vocabulary: Vocabulary, capsys: pytest.CaptureFixture[str]
) -> None:
    save_model(tmp_path / "mlp.safetensors", MLP(rng=0))
    save_model(tmp_path / "blanks.safetensors", build(FillInTheBlank, vocabulary), vocabulary)
    for path, arguments, message in (
        (tmp_path / "none.safetensors", ["nearest", "class"], "none.safetensors"),
        (
            tmp_path / "mlp.safetensors",
            ["nearest", "class"],
            "holds an MLP, which has no word vectors: give the",
        ),
        (
            tmp_path / "mlp.safetensors",
            ["similar", "class", *TOPICS],
            "holds an MLP, which has no word vectors",
        ),
        (tmp_path / "mlp.safetensors", ["plot", *TOPICS], "holds an MLP, which has no word vectors"),
        (tmp_path / "mlp.safetensors", ["predict", "class"], "MLP predicts no sentiment"),
        (tmp_path / "blanks.safetensors", ["predict", "class"], "FillInTheBlank predicts no sentiment"),
    ):
        assert run(path, *arguments) == 2
        err = capsys.readouterr().err
        assert message in err
        assert err.count("\n") == 1


def test_reviews_are_those_that_the_model_learned_from(
    either: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the run.json beside it; where there is none, or one of other data, --data is asked for."""
    assert run(either, "similar", "the class of an object", *TOPICS) == 0
    expected = capsys.readouterr().out
    settings = either.parent / "run.json"
    settings.write_text('{"data": "python_docs_topics"}')
    assert run(either, "similar", "the class of an object") == 0
    assert capsys.readouterr().out == expected
    assert run(either, "plot", "--out", either.parent / "p.png") == 0
    settings.write_text('{"data": "python_docs"}')
    capsys.readouterr()
    assert run(either, "similar", "class") == 2
    message = "python_docs, which the model learned from, has no labelled texts: choose other --data"
    assert message in capsys.readouterr().err
    for damaged in ("{", "[]", "{}", '{"data": 3}', "\x00"):
        settings.write_text(damaged)
        assert run(either, "similar", "class") == 2
        assert "--data is needed" in capsys.readouterr().err


def test_the_probe_finds_what_the_vectors_know(
    either: Path, vocabulary: Vocabulary, capsys: pytest.CaptureFixture[str]
) -> None:
    """A model as it was drawn is what it is compared with; one whose vectors know of the labels beats it."""
    assert run(either, "probe", "--labels", "20%,40", *TOPICS) == 0
    rows = cells(capsys.readouterr().out)
    assert [row[0] for row in rows] == ["all", "20%", "40"]
    assert all(trained == untrained for _, trained, untrained in rows)
    model: Any = load_model(either)
    train = load("python_docs_topics").train
    odds, _ = log_odds(train.documents.translate(vocabulary), train.labels)
    model.embedding.weight.data[:] = 0.1
    model.embedding.weight.data[: len(vocabulary), 0] = odds
    save_model(either, model, vocabulary)
    assert run(either, "probe", "--draws", 1, *TOPICS) == 0
    for _, trained, untrained in cells(capsys.readouterr().out):
        assert float(trained[:-1]) > float(untrained[:-1]) + 3
    for labels, message in (
        ("100000", "take fewer"),
        ("0%", "above 0 and at most 1"),
        ("all", "the likes of"),
    ):
        assert run(either, "probe", "--labels", labels, *TOPICS) == 2
        err = capsys.readouterr().err
        assert message in err
        assert err.count("\n") == 1


@pytest.mark.parametrize("command", ["nearest", "questions", "save", "probe", "plot"])
def test_help_needs_no_checkpoint(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """It is the command's own; without it, what comes first is said."""
    assert run(command, "--help") == 0
    usage = capsys.readouterr().out.replace("CHECKPOINT", "{checkpoint}")  # as typer before 0.21 writes it
    assert f" {{checkpoint}} {command} [OPTIONS]" in usage
    assert run(command, "class") == 2
    assert capsys.readouterr().err == f"words.py: the checkpoint comes first: words.py FILE {command} …\n"


def test_questions_are_asked_of_the_vectors(
    sentiment: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "q.txt").write_text(
        ": kinds\nclass method\nfunction module\n\n: others\nclass qwertzu\na the\n"
    )
    assert run(sentiment, "questions", tmp_path / "q.txt", "-n", 3) == 0
    words = WordVectors.load(sentiment)
    asked = [(["method", "function"], "class", "module"), (["module", "class"], "function", "method")]
    nearest = [[near.word for near in words.analogy(plus, [minus], 3)] for plus, minus, _ in asked]
    first = sum(found[0] == d for found, (*_, d) in zip(nearest, asked, strict=True))
    among = sum(d in found for found, (*_, d) in zip(nearest, asked, strict=True))
    counts = ["2", f"{first / 2:.1%}", f"{among / 2:.1%}"]
    assert cells(capsys.readouterr().out) == [
        ["kinds", *counts, "0"],
        ["others", "0", "", "", "2"],
        ["all", *counts, "2"],
    ]
    (tmp_path / "q.txt").write_text(": kinds\nqwertzu a\na qwertzu\n")
    assert run(sentiment, "questions", tmp_path / "q.txt") == 2
    assert "has the four words of no question" in capsys.readouterr().err


def test_pairs_of_words_are_read_in_texts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    vocabulary = Vocabulary(("\ufffd", "good", "not", "not_good"), "spaces")
    model = build(SentimentClassifier, vocabulary)
    save_model(tmp_path / "m.safetensors", model, vocabulary)
    assert run(tmp_path / "m.safetensors", "predict", "not good") == 0
    out = capsys.readouterr().out
    assert f"(logit {model(np.array([1, 2, 3]), np.array([0]))[0]:+.2f})" in out
    assert sorted(row[0] for row in cells(out)) == ["good", "not", "not_good"]


def test_no_torch_is_needed(sentiment: Path) -> None:
    """In a fresh interpreter, as people run it."""
    code = (
        NO_TORCH
        + f"import runpy; sys.argv[0] = {str(SCRIPT)!r}; runpy.run_path({str(SCRIPT)!r}, None, '__main__')"
    )
    command = [sys.executable, "-W", "error", "-c", code, str(sentiment), "nearest", "class"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (result.returncode, result.stderr) == (0, "")
    assert len(cells(result.stdout)) == 10


def test_words_are_text(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever they look like: to the console, to matplotlib and to a terminal."""
    tokens = ("\ufffd", "[/b]", "[red]x", ":smile:", "$_$", "\x1b[2J", "a" * 60)
    vocabulary = Vocabulary(tokens, "spaces")
    path = tmp_path / "$_$.safetensors"
    save_model(path, build(SentimentClassifier, vocabulary), vocabulary)
    for width in (110, 40):
        monkeypatch.setitem(
            script["print_neighbours"].__globals__,
            "make_console",
            lambda _, width=width: PlainConsole(width=width),
        )
        assert run(path, "nearest", "[/b]", "[red]x", "-n", 5) == 0
        out = capsys.readouterr().out
        for word in ("[/b]", "[red]x", ":smile:", "$_$", r"\x1b[2J"):
            assert word in out
        assert out.replace("\n", "").replace(" ", "").count("a" * 60) == 2
    assert run(path, "plot", "--out", tmp_path / "$_$.png", "-n", 6) == 0
    assert (tmp_path / "$_$.png").exists()
