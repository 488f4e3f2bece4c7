"""`scripts/train.py` as people run it: what it writes, and that both backends train the same model."""

from __future__ import annotations

import json
import math
import os
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from gdl_numpy.checkpoint import load_model, load_vocabulary
from gdl_numpy.data import Batches, SentenceDataModule, SentenceDataset, Sentences, Streams, available, load
from gdl_numpy.history import History
from gdl_numpy.models import MODELS
from gdl_numpy.run_folder import CHECKPOINTS, LOCK
from gdl_numpy.tasks import Classification, ClassificationMetrics, LanguageMetrics, LanguageModelling
from gdl_numpy.training import evaluate
from parity_tests.support.train_script import (
    SMALL_TEXT,
    as_run,
    assert_same_training,
    both_backends,
    needs_babi,
    script,
    train,
    weights,
)

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = as_run

# What is in the folder of a run, beside its checkpoint.
LEFT = {LOCK, "history.csv", "history.json", "history.png", "model.safetensors", "run.json"}


@both_backends
def test_a_run_leaves_everything_in_its_folder(
    backend: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same files on both sides, and the last line says what the saved model really does."""
    assert (
        train("MLP", "--backend", backend, "--epochs", 2, "--device", "cpu", "--out", tmp_path / "run") == 0
    )
    assert {path.name for path in (tmp_path / "run").iterdir()} == LEFT | {CHECKPOINTS[backend]}
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
    assert_same_training(
        "CNN --channels 4,6 --hidden-features 12 --dropout 0 --optimizer SGD --lr 0.1 --momentum 0.9"
        " --weight-decay 0.01 --lr-decay 0.5 --clip-norm 1 --seed 5 --epochs 2 --validation 0.25",
        tmp_path,
    )
    assert load_model(tmp_path / "numpy" / "model.safetensors").hparams["channels"] == [4, 6]  # type: ignore[attr-defined]


@both_backends
def test_a_language_model_leaves_the_same_and_its_vocabulary(
    backend: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the last line says is what the saved model does with the saved vocabulary."""
    flags = ["--backend", backend, "--device", "cpu", "--epochs", "2", "--lr", "0.02"]
    assert train(SMALL_TEXT, *flags, "--out", tmp_path) == 0
    assert {path.name for path in tmp_path.iterdir()} == LEFT | {CHECKPOINTS[backend]}
    row = json.loads((tmp_path / "history.json").read_text())[-1]
    assert row["validation_perplexity"] == math.exp(row["validation_loss"])
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
    assert validation == f"{row['validation_loss']:.4f}"
    assert loss == f"{found.loss:.4f}"
    assert f"nats a character on {test.steps * 100:,} characters, after 2 epochs" in last_line
    for head in ("perplexity", "bits per", "accuracy"):
        assert head in out


SAME_LANGUAGE_MODELS = {
    "words": "RNNLanguageModel --vocabulary words --max-words 50 --nonlinearity relu --hidden-size 7"
    " --embedding-dim 6 --batch-size 30 --chunk 40 --clip-norm 0.5",
    "sentences": "TransitionMatrixLM",
    "last words": "RNNLanguageModel --data babi_padded --hidden-size 8",
}


@pytest.mark.parametrize("name", SAME_LANGUAGE_MODELS)
def test_both_backends_train_the_same_language_model(name: str, tmp_path: Path) -> None:
    """Words and sentences, the state carried and not: the same start, the same steps, the same weights."""
    if name != "words" and not available("babi"):
        pytest.skip("bAbI is not there: run scripts/fetch_data.py babi")
    assert_same_training(f"{SAME_LANGUAGE_MODELS[name]} --optimizer SGD --lr 0.1 --epochs 1", tmp_path)


def test_a_text_without_a_symbol_for_the_unknown(tmp_path: Path) -> None:
    """Then the vocabulary is that of the whole text, so that nothing in it is unknown."""
    assert train(SMALL_TEXT, "--no-unknown", "--epochs", 0, "--out", tmp_path) == 0
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
    line = "MLP --data mnist --hidden-features 128 --activation relu --dropout 0 --optimizer Adam --epochs 1"
    assert train(line, "--validation", 0, "--out", tmp_path) == 0
    last_line = capsys.readouterr().out.splitlines()[-1]
    accuracy = re.search(r"test accuracy (.*)% on 10,000 examples", last_line)
    assert accuracy is not None
    assert float(accuracy[1]) > 94


@pytest.mark.parametrize("losses", [(9e3, 8e3), (9e3, 3.0), (float("nan"), float("nan"))])
def test_any_history_can_be_drawn(losses: tuple[float, ...], tmp_path: Path) -> None:
    """Also one whose every perplexity is infinite, which no logarithmic scale can show."""
    history = History()
    for loss in losses:
        history.append(LanguageMetrics(loss, 0.1), LanguageMetrics(loss, 0.1), 0.1, 1.0)
    history.plot(tmp_path / "history.png", "title", LanguageMetrics.panels)
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
def test_the_seed_of_a_run_decides_the_order_of_sentences() -> None:
    """With the first weights given by another seed, the runs would differ anyway: so look at the batches."""
    run = script["plan"]("RNNLanguageModel", {"data": "babi", "seed": 5, "batch_size": 50, "hidden_size": 3})
    assert run.data.train.seed == 5
    theirs = run.torch_data().train_dataloader()
    for batch, (inputs, targets) in zip(run.data.train, theirs, strict=True):
        np.testing.assert_equal((inputs.numpy(), targets.numpy()), batch)


def test_both_backends_train_on_a_file_of_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By its path; the run is called by the file's name."""
    text = tmp_path / "babi"  # a name that means something else too
    text.write_text("Es war einmal ein Mädchen. " * 150, encoding="utf-8")
    line = f"{SMALL_TEXT} --dropout 0 --batch-size 5 --chunk 20 --epochs 1 --optimizer SGD"
    assert_same_training(line, tmp_path, data=str(text))
    said = capsys.readouterr().out
    for backend in ("numpy", "torch"):
        assert f"LSTMLanguageModel on babi, {backend}: " in said
        assert "ä" in load_vocabulary(tmp_path / backend / "model.safetensors").tokens


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
def test_a_file_of_any_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither the plot nor the terminal takes it for formulas, markup or an emoji."""
    monkeypatch.chdir(tmp_path)
    name = r"$\frac$ [red]ä :cat: on %s"
    (tmp_path / name).write_text("Es war einmal ein Mädchen. " * 20, encoding="utf-8")
    line = f"{SMALL_TEXT} --batch-size 2 --chunk 4 --epochs 1"
    assert train(line, "--data", name, "--out", "run[/bold]") == 0
    *_, saved, last = capsys.readouterr().out.splitlines()
    assert saved.startswith("saved in run[/bold]: ")
    assert last.startswith(f"LSTMLanguageModel on {name}, numpy: ")
    assert (tmp_path / "run[" / "bold]" / "history.png").exists()


@needs_babi
@pytest.mark.parametrize("data", ["babi", "babi_padded"])
def test_every_task_of_babi_on_both_backends(data: str, tmp_path: Path) -> None:
    """The task decides the sentences, on both sides the same, and a run is known by it."""
    line = "TransitionMatrixLM --optimizer SGD --epochs 1 --device cpu --data"
    assert_same_training("TransitionMatrixLM --optimizer SGD --epochs 1", tmp_path, data=f"{data}/7")
    for backend in ("numpy", "torch"):
        out = tmp_path / backend
        settings = json.loads((out / "run.json").read_text())
        assert settings["data"] == f"{data}/7"
        assert load_vocabulary(out / "model.safetensors") == load(f"{data}/7").vocabulary()
        assert train(line, f"{data}/8", "--backend", backend, "--out", out, "--resume") == 2
        # A run from before tasks were data sets goes on.
        (out / "run.json").write_text(json.dumps({**settings, "data": f"{data}_task7", "task": 7}))
        assert train(line, f"{data}/7", "--backend", backend, "--out", out, "--resume") == 0
