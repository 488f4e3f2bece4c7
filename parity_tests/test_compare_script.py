"""`scripts/compare.py` as people run it: what it shows, writes and refuses, and that it finds mistakes."""

from __future__ import annotations

import json
import re
import runpy
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib import image

from gdl_numpy import nn, optim
from gdl_numpy.command_line import PlainConsole
from gdl_numpy.data import Batches, SentenceDataset, Streams, TextDataset, Vocabulary, load
from gdl_numpy.models import MLP, RNNLanguageModel
from gdl_numpy.tasks import Classification, LanguageModelling
from gdl_torch import models as torch_models
from parity_tests.harness.model_cases import MODELS
from parity_tests.harness.pair import Pair

pytestmark = pytest.mark.usefixtures("unchecked_types")  # as people run it, for whom time counts

main = runpy.run_path(str(Path(__file__).parent.parent / "scripts" / "compare.py"))["main"]

QUICK = ["--steps", "3", "--batch-size", "20", "--device", "cpu"]


@pytest.fixture(autouse=True)
def short_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Timings that say little, but come at once."""
    monkeypatch.setitem(main.__globals__, "TURN", 1e-3)
    monkeypatch.setitem(main.__globals__, "PAUSE", 0.0)


def compare(*words: str | Path) -> int:
    """Runs the script within this process; returns its exit code."""
    code: int = main([str(word) for word in words])
    return code


def assert_losses(report: dict[str, Any], plain: list[float]) -> None:
    """The truth and what both sides find are as near to what a plain loop in float64 finds as is allowed."""
    compared = {c["layer"]: c for c in report["comparisons"] if c["tensor"] == "loss"}
    for step, loss in enumerate(plain):
        truth = compared[f"step {step + 1}"]
        for found in (truth["expected"], report["losses"]["numpy"][step], report["losses"]["torch"][step]):
            assert abs(found - loss) <= truth["bound"]


def test_all_models_agree(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With no name, every model in every configuration and both dtypes, on data that is always there.

    On a terminal of the usual width, each side has a line with all its numbers.
    """
    monkeypatch.setenv("GDL_DATA", str(tmp_path))  # nothing is there but what needs no download
    monkeypatch.setitem(main.__globals__, "make_console", lambda _: PlainConsole(width=80))
    assert compare("--steps", "1", "--batch-size", "8", "--device", "cpu") == 0
    out = capsys.readouterr().out
    lines = out.splitlines()
    for case in MODELS.values():
        for word in case.compared:
            title = f"{case.name} {word}".strip()
            headings = [
                line for line in lines if line.startswith(f"{title} on ") and line.endswith(": agree")
            ]
            assert len(headings) == 2, title
    assert "MLP on digits, float32: agree" in lines
    assert "MLP on digits, float64: agree" in lines
    assert "RNNLanguageModel on python_docs, float32: agree" in lines
    heads = next(line for line in lines if line.startswith("side  "))
    assert heads.split() == ["side", *["error", "bound"] * 3, "step", "1", "step"]
    sides = [line.split() for line in lines if line.startswith(("NumPy ", "torch "))]
    assert len(sides) == 4 * sum(len(case.compared) for case in MODELS.values())
    assert all(len(cells) == 9 for cells in sides)
    assert max(map(len, lines[:-1])) <= 80
    assert lines[-1].startswith("All agree: ")


def test_json_and_plot(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All that was compared, in strict JSON: its losses are those of a plain training loop. And a picture."""
    path, plots = tmp_path / "new" / "report.json", tmp_path / "plots"
    assert compare("mlp", *QUICK, "--seed", "4", "--json", path, "--plot", plots) == 0
    content = json.loads(path.read_text(), parse_constant=pytest.fail)
    assert content["ok"]
    assert [row["dtype"] for row in content["rows"]] == ["float32", "float64"]
    for row in content["rows"]:
        assert (row["title"], row["data"], row["batch_size"], row["ok"]) == ("MLP", "digits", 20, True)
        assert row["hparams"] == {**MLP().hparams, "in_features": 64}
        assert row["milliseconds"].keys() == {"NumPy", "cpu"}
        (report,) = row["reports"]
        assert report["first_disagreement"] is None
        assert report["comparisons"]
        assert report["worst"].keys() == {"output", "loss", "gradient", "training"}
        for worst in report["worst"].values():
            assert 0 <= worst["error"] <= worst["bound"]
        assert report["worst"]["output"]["layer"] in ("", "layers", "layers.4")  # all of them give the logits
        assert report["worst"]["training"]["layer"] == "step 3"

    task = Classification(MLP(64, rng=4).astype(np.float64))
    optimizer = optim.SGD(task.parameters(), lr=0.1)
    batches = Batches(load("digits").train, 20, seed=4)
    plain = [
        task.step(optimizer, (inputs.astype(np.float64), targets))
        for (inputs, targets), _ in zip(batches, range(3), strict=False)
    ]
    for row in content["rows"]:
        assert_losses(row["reports"][0], plain)

    (plot,) = plots.iterdir()
    assert plot.name == "mlp-digits.png"
    assert image.imread(plot).std() > 0.05
    assert str(plot) in capsys.readouterr().out.splitlines()[-1]


def test_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Chunks of text that go on from each other: the losses are those of a plain training loop."""
    words: list[str | Path] = ["--steps", "3", "--device", "cpu", "--dtype", "float64", "--plot", tmp_path]
    assert compare("RNNLanguageModel", *words, "--json", tmp_path / "report.json") == 0
    (row,) = json.loads((tmp_path / "report.json").read_text())["rows"]
    assert (row["data"], row["batch_size"], row["hparams"]["hidden_size"]) == ("python_docs", 16, 128)

    text = load("python_docs")
    vocabulary = Vocabulary.build(text.text)
    model = RNNLanguageModel(len(vocabulary), 128, 128, rng=0).astype(np.float64)
    task, optimizer = LanguageModelling(model), optim.SGD(model.parameters(), MODELS["RNNLanguageModel"].lr)
    task.begin(continues=True)
    batches = islice(Streams(vocabulary.encode(text.train), 16, 16), 3)
    plain = [task.step(optimizer, batch) for batch in batches]
    assert_losses(row["reports"][0], plain)

    plot = tmp_path / "rnnlanguagemodel-python_docs.png"
    assert image.imread(plot).std() > 0.05
    assert str(plot) in capsys.readouterr().out.splitlines()[-1]


def test_sentences(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Sentences, each from its own beginning; models of images are left out, and that is said."""
    sentences = ("mary went home", "where is john", "the end of a longer sentence than those", "john left")
    data = SentenceDataset("babi", sentences, sentences, sentences)
    monkeypatch.setitem(main.__globals__, "load", lambda *_: data)
    assert compare("--data", "babi", "--steps", "3", "--batch-size", "3", "--dtype", "float64") == 0
    out = capsys.readouterr().out
    (left_out,) = re.findall(r"Not for babi, and left out: MLP, CNN, (.*)\.", out)
    assert "LM" not in left_out
    for name in ("TransitionMatrixLM", "RNNLanguageModel", "LSTMLanguageModel"):
        assert f"{name} " in out


def test_at_the_books_sizes() -> None:
    """`--book`: 512 units, the book's chunks; one row of each model, whatever it is compared at otherwise."""
    text = TextDataset.split("some", "to be or not to be, that is the question. " * 40)
    for name, steps in (("RNNLanguageModel", 16), ("LSTMLanguageModel", 25)):
        (pair,) = Pair.all_of(MODELS[name], text, steps=2, batch_size=8, book=True)
        assert pair.title == f"{name} book"
        hparams: Any = vars(pair.numpy_module)["hparams"]
        assert (hparams["embedding_dim"], hparams["hidden_size"]) == (512, 512)
        assert [inputs.shape for inputs, _ in pair.batches] == [(steps, 8)] * 2
        assert pair.carries_state


def test_a_mistake_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Exit code 1, and where the sides first part: layer, tensor, index, both values, error, bound."""
    right: Any = nn.Tanh.backward
    monkeypatch.setattr(nn.Tanh, "backward", lambda self, grad: -right(self, grad))
    assert compare("MLP", *QUICK, "--dtype", "float32", "--json", tmp_path / "report.json") == 1
    out = capsys.readouterr().out
    assert "differ" in out
    assert "All agree" not in out
    (row,) = json.loads((tmp_path / "report.json").read_text())["rows"]
    first = row["reports"][0]["first_disagreement"]
    assert first.startswith("layers.2: torch grad_input[")
    for word in ("] is ", ", expected ", ": error ", ", bound "):
        assert word in first
    assert f"MLP (float32, cpu): {sum(not c['ok'] for c in row['reports'][0]['comparisons'])} of " in out
    assert first in out


def test_a_mistake_in_the_optimizer(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Output, loss and gradient agree; the training does not."""
    once = optim.SGD.step

    def twice(self: optim.SGD) -> None:
        once(self)
        once(self)

    monkeypatch.setattr(optim.SGD, "step", twice)
    assert compare("MLP", *QUICK, "--dtype", "float64") == 1
    out = capsys.readouterr().out
    assert "first step 1: torch layers.1.weight[" in out
    assert out.count(" > ") == 1


def test_sides_too_different_to_compare(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Parameters of other shapes are a disagreement as well, not a crash; the other models are compared."""

    class Wider(torch_models.MLP):
        def __init__(self, *arguments: Any, **hparams: Any) -> None:
            super().__init__(*arguments, **{**hparams, "hidden_features": (101,)})

    monkeypatch.setitem(torch_models.MODELS, "MLP", Wider)
    assert compare("MLP", "CNN", "--steps", "1", "--batch-size", "4", "--dtype", "float32") == 1
    out = capsys.readouterr().out
    assert "numpy and torch cannot be compared: the two sides do not have the same parameters" in out
    assert out.count(": agree\n") == 2


def test_nan_passes_and_is_located(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """The same nan on both sides is agreement, and the report says where the first one is."""
    digits = load("digits")
    inputs = digits.train.inputs.copy()
    order = np.random.default_rng((0, 0)).permutation(len(inputs))
    inputs[order[25]] = np.nan
    spoilt = replace(digits, train=replace(digits.train, inputs=inputs))
    monkeypatch.setitem(main.__globals__, "load", lambda *_: spoilt)
    files: list[str | Path] = ["--json", tmp_path / "report.json", "--plot", tmp_path]
    assert compare("MLP", *QUICK, "--dtype", "float32", *files) == 0
    assert "nan first appears in the input in step 2" in capsys.readouterr().out
    content = json.loads((tmp_path / "report.json").read_text(), parse_constant=pytest.fail)
    assert content["rows"][0]["reports"][0]["losses"]["numpy"][1:] == ["nan", "nan"]


REFUSALS = {
    "unknown model": (["MPL"], "unknown model 'MPL': did you mean 'MLP'"),
    "unknown data": (["MLP", "--data", "minst"], "unknown data set 'minst': did you mean 'mnist'"),
    "text for images": (
        ["MLP", "--data", "python_docs"],
        "MLP takes images, but python_docs is running text",
    ),
    "images for text": (
        ["RNNLanguageModel", "--data", "digits"],
        "takes running text or sentences, but digits is images: choose",
    ),
    "a short text": (
        ["RNNLanguageModel", "--batch-size", "100000"],
        "tokens, but 100000 streams in chunks of",
    ),
    "unknown flag": (["--step", "1"], "--step"),
    "unknown dtype": (["--dtype", "float16"], "float16"),
    "no steps": (["--steps", "0"], "--steps"),
    "no examples": (["--batch-size", "0"], "--batch-size"),
    "negative seed": (["--seed", "-1"], "--seed"),
    "no such data": (["MLP", "--data", "mnist", "--data-dir", "/dev/null/data"], "/dev/null/data"),
    "json to nowhere": (
        ["--json", "/dev/null/a.json"],
        "cannot write to /dev/null/a.json (Not a directory): choose",
    ),
    "json to a folder": (["--json", "/"], "is a directory"),
    "plot to nowhere": (["--plot", "/dev/null/plots"], "cannot write to /dev/null/plots (Not a directory)"),
}


@pytest.mark.parametrize(("words", "message"), REFUSALS.values(), ids=REFUSALS)
@pytest.mark.usefixtures("unchecked_types")
def test_bad_usage_is_one_line_and_exit_code_2(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert compare(*words) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert line.startswith("compare.py: ")
    assert message in line


@pytest.mark.skipif(torch.cuda.is_available(), reason="about machines without CUDA")
def test_cuda_where_there_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert compare("--device", "cuda") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("compare.py: --device cuda: torch finds no CUDA device here")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device here")
def test_cpu_and_cuda_side_by_side(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    files: list[str | Path] = ["--json", tmp_path / "report.json", "--plot", tmp_path]
    assert compare("--steps", "3", "--device", "auto", *files) == 0
    assert "CUDA" in capsys.readouterr().out
    for row in json.loads((tmp_path / "report.json").read_text())["rows"]:
        assert [report["device"] for report in row["reports"]] == ["cpu", "cuda"]
        assert row["milliseconds"].keys() == {"NumPy", "cpu", "cuda"}


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert compare("--help") == 0
    out = capsys.readouterr().out
    for flag in (
        "--data",
        "--device",
        "--dtype",
        "--steps",
        "--batch-size",
        "--seed",
        "--book",
        "--json",
        "--plot",
    ):
        assert flag in out
