"""`scripts/train.py` as people run it: what it writes, what it refuses, how it goes on after Ctrl-C."""

from __future__ import annotations

import inspect
import json
import os
import re
import runpy
import shlex
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import typer

from gdl_numpy.checkpoint import load_model, load_vocabulary
from gdl_numpy.data import Batches, SentenceDataModule, SentenceDataset, Sentences, Streams, available, load
from gdl_numpy.history import History
from gdl_numpy.models import MODELS, RNNLanguageModel
from gdl_numpy.tasks import Classification, ClassificationMetrics, LanguageMetrics, LanguageModelling
from gdl_numpy.training import evaluate
from gdl_numpy.training_flags import TextFlags

SCRIPT = Path(__file__).parent.parent / "scripts" / "train.py"
script = runpy.run_path(str(SCRIPT))
main = script["main"]

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec:FutureWarning"),
    pytest.mark.filterwarnings("ignore:GPU available but not used"),
]
needs_babi = pytest.mark.skipif(
    not available("babi"), reason="bAbI is not there: run scripts/fetch_data.py babi"
)
both_backends = pytest.mark.parametrize("backend", ["numpy", "torch"])


def train(*words: str | Path | int) -> int:
    """Runs the script within this process; returns its exit code."""
    code: int = main([str(word) for word in words])
    return code


def weights(out: Path) -> dict[str, np.ndarray]:
    return load_model(out / "model.safetensors").state_dict()


def assert_same_weights(out: Path, expected: Path) -> None:
    for name, array in weights(expected).items():
        assert weights(out)[name].tobytes() == array.tobytes(), name


@both_backends
def test_a_run_leaves_everything_in_its_folder(
    backend: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same files on both sides, and the last line says what the saved model really does."""
    assert (
        train("MLP", "--backend", backend, "--epochs", 2, "--device", "cpu", "--out", tmp_path / "run") == 0
    )
    checkpoint = {"numpy": "checkpoint.safetensors", "torch": "checkpoint.ckpt"}[backend]
    names = {"history.csv", "history.json", "history.png", "model.safetensors", "run.json", checkpoint}
    assert {path.name for path in (tmp_path / "run").iterdir()} == names
    rows = json.loads((tmp_path / "run" / "history.json").read_text())
    assert [row["epoch"] for row in rows] == [1, 2]
    assert {"train_loss", "train_accuracy", "validation_loss", "validation_accuracy"} < rows[0].keys()

    digits = load("digits").test
    model = load_model(tmp_path / "run" / "model.safetensors")
    found = evaluate(Classification(model), Batches(digits, 360))
    assert isinstance(found, ClassificationMetrics)
    last_line = capsys.readouterr().out.splitlines()[-1]
    expected = f"MLP on digits, {backend}: test accuracy {found.accuracy:.2%} on 360 examples, after 2 epochs"
    assert expected in last_line


def test_both_backends_train_the_same_network(tmp_path: Path) -> None:
    """One seed, one start, one order of batches: without dropout, the same weights at the end."""
    flags = ["CNN", "--channels", "4,6", "--hidden-features", "12", "--activation", "relu", "--dropout", "0"]
    flags += [
        "--optimizer",
        "SGD",
        "--momentum",
        "0.9",
        "--weight-decay",
        "0.01",
        "--lr-decay",
        "0.5",
        "--lr",
        "0.05",
    ]
    flags += ["--clip-norm", "1", "--seed", "5", "--epochs", "2", "--validation", "0.25", "--device", "cpu"]
    for backend in ("numpy", "torch"):
        assert train(*flags, "--backend", backend, "--out", tmp_path / backend) == 0
    assert load_model(tmp_path / "numpy" / "model.safetensors").hparams["channels"] == [4, 6]  # type: ignore[attr-defined]
    for name, array in weights(tmp_path / "numpy").items():
        np.testing.assert_allclose(weights(tmp_path / "torch")[name], array, atol=1e-5, err_msg=name)


# An epoch of some forty steps, in milliseconds.
SMALL_TEXT = ["LSTMLanguageModel", "--hidden-size", "6", "--embedding-dim", "5", "--dropout", "0.1"]
SMALL_TEXT += ["--batch-size", "100", "--chunk", "100"]


@both_backends
def test_a_language_model_leaves_the_same_and_its_vocabulary(
    backend: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the last line says is what the saved model does with the saved vocabulary."""
    flags = ["--backend", backend, "--device", "cpu", "--epochs", "2", "--lr", "0.02"]
    assert train(*SMALL_TEXT, *flags, "--out", tmp_path) == 0
    checkpoint = {"numpy": "checkpoint.safetensors", "torch": "checkpoint.ckpt"}[backend]
    names = {"history.csv", "history.json", "history.png", "model.safetensors", "run.json", checkpoint}
    assert {path.name for path in tmp_path.iterdir()} == names
    row = json.loads((tmp_path / "history.json").read_text())[-1]
    assert row["validation_perplexity"] == pytest.approx(np.exp(row["validation_loss"]))
    assert {"train_bits_per_token", "validation_bits_per_token"} < row.keys()

    model, vocabulary = (
        load_model(tmp_path / "model.safetensors"),
        load_vocabulary(tmp_path / "model.safetensors"),
    )
    test = Streams(vocabulary.encode(load("python_docs").test), 100, 100)
    found = evaluate(LanguageModelling(model), test)
    out = capsys.readouterr().out
    last_line = out.splitlines()[-1]
    assert last_line.startswith(f"LSTMLanguageModel on python_docs, {backend}: validation loss ")
    validation, loss = re.findall(r"loss ([\d.]+)", last_line)
    assert float(validation) == pytest.approx(row["validation_loss"], abs=5.1e-5)
    assert float(loss) == pytest.approx(found.loss, abs=5.1e-5)
    assert f"nats a character on {test.steps * 100:,} characters, after 2 epochs" in last_line
    for head in ("perplexity", "bits per", "accuracy"):
        assert head in out


def test_both_backends_train_the_same_language_model(tmp_path: Path) -> None:
    """Words and sentences, the state carried and not: the same start, the same steps, the same weights."""
    words = ["RNNLanguageModel", "--vocabulary", "words", "--max-words", "50", "--nonlinearity", "relu"]
    words += [
        "--hidden-size",
        "7",
        "--embedding-dim",
        "6",
        "--batch-size",
        "30",
        "--chunk",
        "40",
        "--clip-norm",
    ]
    runs = {"words": [*words, "0.5"]}
    if available("babi"):
        runs["sentences"] = ["TransitionMatrixLM"]
        runs["last words"] = ["RNNLanguageModel", "--data", "babi_padded", "--hidden-size", "8"]
    for name, flags in runs.items():
        flags += ["--optimizer", "SGD", "--lr", "0.1", "--epochs", "1", "--device", "cpu"]
        for backend in ("numpy", "torch"):
            assert train(*flags, "--backend", backend, "--out", tmp_path / name / backend) == 0
        for key, array in weights(tmp_path / name / "numpy").items():
            theirs = weights(tmp_path / name / "torch")[key]
            np.testing.assert_allclose(theirs, array, atol=1e-5, err_msg=f"{name}: {key}")


def test_a_text_without_a_symbol_for_the_unknown(tmp_path: Path) -> None:
    """Then the vocabulary is that of the whole text, so that nothing in it is unknown."""
    assert train(*SMALL_TEXT, "--no-unknown", "--epochs", 0, "--out", tmp_path) == 0
    vocabulary = load_vocabulary(tmp_path / "model.safetensors")
    assert not vocabulary.unknown
    assert set(vocabulary.tokens) == set(load("python_docs").text)
    settings = json.loads((tmp_path / "run.json").read_text())
    assert (settings["vocabulary"], settings["unknown"]) == ("characters", False)


def test_without_validation_all_examples_are_trained_on(tmp_path: Path) -> None:
    assert train("MLP", "--validation", 0, "--epochs", 1, "--out", tmp_path) == 0
    (row,) = json.loads((tmp_path / "history.json").read_text())
    assert "validation_loss" not in row


def test_zero_epochs_are_the_untrained_model(tmp_path: Path) -> None:
    assert train("MLP", "--epochs", 0, "--seed", 4, "--out", tmp_path) == 0
    expected: Any = MODELS["MLP"]
    for name, array in expected(64, rng=4).state_dict().items():
        assert weights(tmp_path)[name].tobytes() == array.tobytes()


@pytest.mark.skipif(not available("mnist"), reason="MNIST is not there: run scripts/fetch_data.py mnist")
def test_one_pass_over_mnist(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The README's command for the MLP, cut short: all 60,000 images, and far better than a linear model."""
    flags = ["--hidden-features", "128", "--activation", "relu", "--dropout", "0", "--optimizer", "Adam"]
    assert train("MLP", "--data", "mnist", *flags, "--epochs", 1, "--validation", 0, "--out", tmp_path) == 0
    last_line = capsys.readouterr().out.splitlines()[-1]
    accuracy = re.search(r"test accuracy (.*)% on 10,000 examples", last_line)
    assert accuracy is not None
    assert float(accuracy[1]) > 94


REFUSALS = {
    "unknown model": (["MPL"], "unknown model 'MPL': did you mean 'MLP'"),
    "unknown data": (["MLP", "--data", "minst"], "unknown data set 'minst': did you mean 'mnist'"),
    "unknown optimizer": (["MLP", "--optimizer", "adm"], "unknown optimizer 'adm': did you mean 'Adam'"),
    "unknown activation": (["MLP", "--activation", "rellu"], "did you mean 'relu'"),
    "unknown flag": (["MLP", "--learning-rate", "1"], "--learning-rate"),
    "not a number": (["MLP", "--epochs", "ten"], "--epochs"),
    "not integers": (["CNN", "--channels", "32;64"], "expected integers like 32,64, or none; got '32;64'"),
    "negative lr": (["MLP", "--lr", "-1"], "--lr must be 0 or more, got -1"),
    "no norm": (["MLP", "--clip-norm", "0"], "--clip-norm must be more than 0, got 0"),
    "negative norm": (["MLP", "--clip-norm", "-1"], "--clip-norm must be more than 0, got -1"),
    "negative weight decay": (["MLP", "--weight-decay", "-1"], "--weight-decay must be 0 or more, got -1"),
    "infinite lr": (["MLP", "--lr", "inf"], "--lr must be a finite number, got inf"),
    "lr that is nan": (["MLP", "--backend", "torch", "--lr", "nan"], "--lr must be a finite number, got nan"),
    "infinite decay": (["MLP", "--lr-decay", "inf"], "--lr-decay must be a finite number, got inf"),
    "dropout": (["MLP", "--dropout", "1.5"], "p in [0, 1], got 1.5"),
    "batch size": (["MLP", "--batch-size", "0"], "--batch-size"),
    "validation": (["MLP", "--validation", "1"], "validation must be a fraction in [0, 1), got 1"),
    "patience": (["MLP", "--validation", "0", "--patience", "2"], "--patience watches the validation loss"),
    "momentum": (["MLP", "--momentum", "0.9", "--optimizer", "Adam"], "--momentum is for --optimizer SGD"),
    "size": (["CNN", "--in-shape", "1,28,28"], "Linear(in_features=10816"),
    "classes": (["MLP", "--out-features", "5"], "MLP has 5 outputs, but digits has 10 classes"),
    "device": (["MLP", "--device", "cuda"], "--device cuda is for --backend torch"),
    "nothing to resume": (["MLP", "--resume"], "there is no run to resume in"),
    "images to read": (
        ["LSTMLanguageModel", "--data", "digits"],
        "takes running text or sentences, but digits is images",
    ),
    "text to look at": (
        ["CNN", "--data", "python_docs"],
        "CNN takes images, but python_docs is running text",
    ),
    "a text's flag": (["MLP", "--chunk", "3"], "--chunk"),
    "images' flag": (["RNNLanguageModel", "--validation", "0.2"], "--validation"),
    "chunk": (["LSTMLanguageModel", "--chunk", "0"], "--chunk"),
    "too many streams": (
        ["LSTMLanguageModel", "--batch-size", "2000"],
        "Streams: in the validation part the text has",
    ),
    "kind of token": (["LSTMLanguageModel", "--vocabulary", "syllables"], "--vocabulary"),
    "max words": (["LSTMLanguageModel", "--max-words", "9"], "--max-words is for --vocabulary words"),
    "max words of characters": (
        ["LSTMLanguageModel", "--max-words", "9", "--vocabulary", "characters"],
        "--max-words is for --vocabulary words",
    ),
    "no words": (["LSTMLanguageModel", "--vocabulary", "words", "--max-words", "1"], "--max-words"),
    "words left out, and not": (
        ["LSTMLanguageModel", "--vocabulary", "words", "--max-words", "9", "--no-unknown"],
        "--max-words needs a token for the words left out: it does not go with --no-unknown",
    ),
    "task of a text": (
        ["LSTMLanguageModel", "--data", "python_docs/2"],
        "python_docs has no tasks: leave out",
    ),
    "no such task": (["LSTMLanguageModel", "--data", "babi/21"], "babi: task must be from 1 to 20, got 21"),
    "all held out": (["MLP", "--validation", "0.9999"], "validation=0.9999 holds out all 1,437 examples"),
    "no such file": (["LSTMLanguageModel", "--data", "no.txt"], "there is no file no.txt"),
    "file of text": (["CNN", "--data", __file__], "takes images, but test_train_script.py is running text"),
    "vocab size": (["LSTMLanguageModel", "--vocab-size", "9"], "--vocab-size must be the data's"),
    "hidden size": (["LSTMLanguageModel", "--hidden-size", "0"], "hidden_size"),
    "nonlinearity": (["RNNLanguageModel", "--nonlinearity", "sigmoid"], "nonlinearity"),
    "no such data": (["MLP", "--data", "mnist", "--data-dir", "/dev/null/data"], "/dev/null/data"),
}


@pytest.mark.parametrize(("words", "message"), REFUSALS.values(), ids=REFUSALS)
@pytest.mark.usefixtures("unchecked_types")
def test_bad_usage_is_one_line_and_exit_code_2(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ["--out", str(tmp_path / "run")] if len(words) > 1 else []
    assert train(*words, *out) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("train.py: ")
    assert message in line
    assert not any(tmp_path.rglob("checkpoint.*"))


@needs_babi
@pytest.mark.parametrize("flag", [["--chunk", "9"], ["--vocabulary", "words"], ["--no-unknown"]])
def test_flags_for_running_text_are_not_for_sentences(
    flag: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("TransitionMatrixLM", *flag, "--out", tmp_path) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("is for running text: babi has sentences, read word by word")


@pytest.mark.skipif(torch.cuda.is_available(), reason="about machines without CUDA")
def test_cuda_where_there_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train("MLP", "--backend", "torch", "--device", "cuda", "--out", tmp_path) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("train.py: --device cuda: torch finds no CUDA device here")


def test_a_folder_that_cannot_be_written(capsys: pytest.CaptureFixture[str]) -> None:
    assert train("MLP", "--out", "/dev/null/run") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert (
        line == "train.py: cannot write to /dev/null/run (Not a directory): choose another folder with --out"
    )


def test_a_finished_run_is_not_overwritten_by_accident(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["MLP", "--epochs", "1", "--out", str(tmp_path)]
    assert train(*flags) == 0
    first = weights(tmp_path)
    capsys.readouterr()
    assert train(*flags, "--seed", 1) == 2
    assert "holds a run already: --resume goes on with it, --overwrite starts over" in capsys.readouterr().err
    for name, array in first.items():
        np.testing.assert_array_equal(weights(tmp_path)[name], array)
    assert train(*flags, "--seed", 1, "--overwrite") == 0
    assert json.loads((tmp_path / "run.json").read_text())["seed"] == 1


@pytest.mark.parametrize(
    "flags",
    [
        ["--clip-norm", "0"],
        ["--lr", "-1"],
        ["--lr-decay", "-1"],
        ["--momentum", "-1"],
        ["--weight-decay", "-1"],
        ["--validation", "0.9999"],
        ["--validation", "0.0001", "--patience", "2"],
    ],
)
@pytest.mark.usefixtures("unchecked_types")
def test_a_refused_command_leaves_the_old_run_alone(flags: list[str], tmp_path: Path) -> None:
    """Nothing may be refused after the old run is gone."""
    old = ["checkpoint.safetensors", "best.ckpt", "model.safetensors", "history.png", "history.json"]
    for name in old:
        (tmp_path / name).write_text("old")
    assert train("MLP", "--out", tmp_path, "--overwrite", *flags) == 2
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == dict.fromkeys(old, "old")


def test_starting_over_leaves_nothing_of_the_old_run(tmp_path: Path) -> None:
    """A model or a plot of the old run, beside the new run's history, would be taken for the new one's."""
    for name in ("checkpoint.ckpt", "best.ckpt", "model.safetensors", "history.png", "notes.txt"):
        (tmp_path / name).write_text("old")
    script["claim"](tmp_path, {"seed": 1}, overwrite=True)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"history.csv", "history.json", "run.json", "notes.txt"}
    (tmp_path / "model.safetensors").write_text("all that was kept of a run")
    with pytest.raises(ValueError, match="holds a run already"):
        script["claim"](tmp_path, {"seed": 1}, overwrite=False)


@pytest.mark.parametrize("losses", [(9e3, 8e3), (9e3, 3.0), (float("nan"), float("nan"))])
def test_any_history_can_be_drawn(losses: tuple[float, ...], tmp_path: Path) -> None:
    """Also one whose every perplexity is infinite, which no logarithmic scale can show."""
    history = History()
    for loss in losses:
        history.append(LanguageMetrics(loss, 0.1), LanguageMetrics(loss, 0.1), 0.1, 1.0)
    history.plot(tmp_path / "history.png", "title")
    assert (tmp_path / "history.png").stat().st_size > 1000


def test_sentences_are_shuffled_by_the_seed() -> None:
    """Those to learn from, each epoch anew; the others keep their order."""
    words = tuple(f"word {number}" for number in range(40))
    module = SentenceDataModule(SentenceDataset("sample", words, words, words), 7, seed=5)
    ids = [module.vocabulary.encode(sentence) for sentence in words]
    module.train.set_epoch(3)
    shuffled = Sentences(ids, 7, seed=5)
    shuffled.set_epoch(3)
    np.testing.assert_equal(list(module.train), list(shuffled))
    for part in (module.validation, module.test):
        assert part is not None
        np.testing.assert_equal(list(part), list(Sentences(ids, 7)))


@needs_babi
@both_backends
def test_the_seed_of_a_run_decides_the_order_of_sentences(backend: str, tmp_path: Path) -> None:
    """With the first weights given by another seed, the runs would differ anyway: so look at the batches."""
    flags = TextFlags(data="babi", seed=5, batch_size=50, backend=script["Backend"](backend))
    module = flags.data_module(RNNLanguageModel, {}, load("babi"))
    model = RNNLanguageModel(module.model_arguments["vocab_size"], 3, 4)
    run = script["Run"](LanguageModelling(model), module, flags, tmp_path)
    batches = list(module.train)
    assert module.train.seed == 5
    if backend == "torch":
        for batch, (inputs, targets) in zip(batches, run.torch_data().train_dataloader(), strict=True):
            np.testing.assert_equal((inputs.numpy(), targets.numpy()), batch)


def test_both_backends_train_on_a_file_of_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By its path; the run is called by the file's name."""
    text = tmp_path / "babi"  # a name that means something else too
    text.write_text("Es war einmal ein Mädchen. " * 400, encoding="utf-8")
    flags = [
        *SMALL_TEXT,
        "--dropout",
        "0",
        "--batch-size",
        "5",
        "--chunk",
        "20",
        "--epochs",
        "2",
        "--data",
        str(text),
    ]
    for backend in ("numpy", "torch"):
        out = tmp_path / backend
        assert train(*flags, "--backend", backend, "--device", "cpu", "--out", out) == 0
        assert f"LSTMLanguageModel on babi, {backend}: " in capsys.readouterr().out
        assert "ä" in load_vocabulary(out / "model.safetensors").tokens
    for name, array in weights(tmp_path / "numpy").items():
        np.testing.assert_allclose(weights(tmp_path / "torch")[name], array, atol=1e-5, err_msg=name)


@both_backends
def test_a_run_goes_on_only_with_the_text_that_it_began_with(
    backend: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One as long, of the same characters, is another text; the same text in another folder is the same."""
    (tmp_path / "moved").mkdir()
    text, moved = tmp_path / "story.txt", tmp_path / "moved" / "story.txt"
    flags = [*SMALL_TEXT, "--batch-size", "5", "--chunk", "20", "--backend", backend, "--device", "cpu"]
    flags += ["--out", str(tmp_path / "run")]
    text.write_text("to be or not to be " * 200)
    moved.write_text("to be or not to be " * 200)
    assert train(*flags, "--data", text, "--epochs", 1) == 0
    text.write_text("not to be or to be " * 200)
    capsys.readouterr()
    assert train(*flags, "--data", text, "--epochs", 1, "--resume") == 2
    assert "text_sha256 was " in capsys.readouterr().err
    assert train(*flags, "--data", moved, "--epochs", 1, "--resume") == 0


def test_files_that_are_no_text_to_train_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty.txt").touch()
    (tmp_path / "short.txt").write_text("short")
    (tmp_path / "image.png").write_bytes(b"\x89PNG" + bytes(range(256)))
    (tmp_path / "folder").mkdir()
    refused = {
        "empty.txt": "is empty",
        "short.txt": "has 5 characters, too few for three parts",
        "image.png": "is no text in UTF-8 (byte 0)",
        "folder": "is a folder",
    }
    for name, message in refused.items():
        assert train("LSTMLanguageModel", "--data", tmp_path / name, "--out", tmp_path / "run") == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"train.py: {tmp_path / name} {message}")
    assert not (tmp_path / "run").exists()


@needs_babi
@pytest.mark.parametrize("data", ["babi", "babi_padded"])
def test_every_task_of_babi_on_both_backends(data: str, tmp_path: Path) -> None:
    """The task decides the sentences, on both sides the same, and a run is known by it."""
    flags = ["TransitionMatrixLM", "--optimizer", "SGD", "--epochs", "1", "--device", "cpu"]
    for backend in ("numpy", "torch"):
        out = tmp_path / backend
        assert train(*flags, "--data", f"{data}/7", "--backend", backend, "--out", out) == 0
        settings = json.loads((out / "run.json").read_text())
        assert settings["data"] == f"{data}/7"
        assert load_vocabulary(out / "model.safetensors") == load(f"{data}/7").vocabulary()
        assert train(*flags, "--data", f"{data}/8", "--backend", backend, "--out", out, "--resume") == 2
        # A run from before tasks were data sets goes on.
        (out / "run.json").write_text(json.dumps({**settings, "data": f"{data}_task7", "task": 7}))
        assert train(*flags, "--data", f"{data}/7", "--backend", backend, "--out", out, "--resume") == 0
    for name, array in weights(tmp_path / "numpy").items():
        np.testing.assert_allclose(weights(tmp_path / "torch")[name], array, atol=1e-5, err_msg=name)


@both_backends
def test_resume_adds_epochs_or_says_why_not(
    backend: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two epochs and two more are four; anything but the same run, whole, is refused in one line."""
    flags = ["MLP", "--backend", backend, "--device", "cpu", "--optimizer", "Adam"]
    assert train(*flags, "--epochs", 4, "--out", tmp_path / "whole") == 0
    flags += ["--out", str(tmp_path / "run")]
    assert train(*flags, "--epochs", 2) == 0
    capsys.readouterr()

    def refused(*words: str | int) -> str:
        assert train(*flags, "--resume", *words) == 2
        (line,) = capsys.readouterr().err.splitlines()
        return line

    assert "lr was 0.001, not 0.01" in refused("--lr", "0.01")
    assert "seed was 0, not 3" in refused("--seed", 3)
    assert "has 2 epochs already" in refused("--epochs", 1)
    assert train(*flags, "--resume", "--epochs", 4) == 0
    assert_same_weights(tmp_path / "run", tmp_path / "whole")

    capsys.readouterr()
    (checkpoint,) = (tmp_path / "run").glob("checkpoint.*")
    content = checkpoint.read_bytes()
    checkpoint.write_bytes(content[: len(content) // 2])
    assert checkpoint.name in refused("--epochs", 5)
    checkpoint.write_bytes(content)
    (tmp_path / "run" / "run.json").write_text("{")
    assert "run.json" in refused("--epochs", 5)
    checkpoint.unlink()
    assert "no run to resume" in refused("--epochs", 5)


@both_backends
def test_a_language_model_goes_on_as_if_never_stopped(
    backend: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With dropout and moments; and only on the text, in the chunks, that it began with."""
    flags = [*SMALL_TEXT, "--backend", backend, "--device", "cpu", "--lr-decay", "0.9"]
    assert train(*flags, "--epochs", 2, "--out", tmp_path / "whole") == 0
    flags += ["--out", str(tmp_path / "run")]
    assert train(*flags, "--epochs", 1) == 0
    capsys.readouterr()
    assert train(*flags, "--epochs", 2, "--resume", "--chunk", 50) == 2
    assert "chunk was 100, not 50" in capsys.readouterr().err
    assert train(*flags, "--epochs", 2, "--resume") == 0
    assert_same_weights(tmp_path / "run", tmp_path / "whole")


@both_backends
@pytest.mark.skipif(os.name == "nt", reason="sends SIGINT")
def test_ctrl_c_and_the_command_that_goes_on(backend: str, tmp_path: Path) -> None:
    """Exit code 130, a command that works as printed, and in the end the weights of a run left in peace."""
    flags = ["CNN", "--channels", "8,8", "--backend", backend, "--device", "cpu", "--epochs", "12"]
    command = [sys.executable, str(SCRIPT), *flags, "--out", str(tmp_path / "run")]
    # As many threads as this process has: another number sums in another order, and not to the same bits.
    env = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    # A job in the background ignores SIGINT, and its children with it.
    heed = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=env, preexec_fn=heed)
    history = tmp_path / "run" / "history.json"
    while process.poll() is None and not (history.exists() and json.loads(history.read_text())):
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    *_, said, printed = err.splitlines()
    assert "Interrupted; " in said
    assert "Traceback" not in err
    assert len(json.loads(history.read_text())) < 12
    words = shlex.split(printed)
    assert words == [*command, "--resume"]
    if backend == "numpy":
        subprocess.run(words, check=True, capture_output=True, timeout=60, env=env)
    else:  # importing torch again takes long
        assert train(*words[2:]) == 0
    assert train(*flags, "--out", tmp_path / "whole") == 0
    assert_same_weights(tmp_path / "run", tmp_path / "whole")


@pytest.mark.parametrize("name", MODELS)
def test_help_has_every_argument_of_the_model(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Flags come from the constructor: a new model needs none written for it."""
    assert train(name.lower(), "--help") == 0
    shown = capsys.readouterr().out
    parameters = inspect.signature(MODELS[name]).parameters.values()
    for parameter in parameters:
        flag = f"--{parameter.name.replace('_', '-')}"
        assert (flag in shown) == (parameter.kind is not parameter.KEYWORD_ONLY), flag
    for flag in ("--backend", "--data", "--resume"):
        assert flag in shown


def test_help_without_a_model(capsys: pytest.CaptureFixture[str]) -> None:
    """No model is bad usage; the help that it brings lists them."""
    assert train() == 2
    shown = "".join(capsys.readouterr())
    for name in MODELS:
        assert name in shown


class Gadget:
    """A model, as far as its options go.

    Args:
        width: how wide it is.
    """

    def __init__(
        self,
        width: int = 3,
        rate: float = 0.5,
        name: str = "x",
        bias: bool = True,
        sizes: tuple[int, ...] = (4,),
    ) -> None: ...


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], {"width": 3, "rate": 0.5, "name": "x", "bias": True, "sizes": (4,)}),
        (
            ["--width", "5", "--rate", "1e-2", "--name", "y", "--no-bias", "--sizes", "none"],
            {"width": 5, "rate": 0.01, "name": "y", "bias": False, "sizes": ()},
        ),
    ],
)
def test_arguments_of_every_type_become_options(words: list[str], expected: dict[str, Any]) -> None:
    found: dict[str, Any] = {}
    parameters = list(inspect.signature(Gadget).parameters.values())
    options = [script["model_option"](Gadget, parameter) for parameter in parameters]

    def command(**arguments: Any) -> None:
        found.update(arguments)

    command.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [option.replace(kind=option.KEYWORD_ONLY) for option in options]
    )
    app = typer.Typer()
    app.command()(command)
    app(words, standalone_mode=False)
    assert found == expected
    assert [type(found[name]) for name in expected] == [type(value) for value in expected.values()]
