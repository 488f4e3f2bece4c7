"""What `scripts/train.py` refuses: in one line, with exit code 2, and before anything is lost."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from parity_tests.support.train_script import (
    as_run,
    needs_babi,
    train,
    weights,
)

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = as_run

RUN = '{"model": "MLP", "data": "digits", "backend": "numpy"}'

REFUSALS = {
    "unknown model": ("MPL", "unknown model 'MPL': did you mean 'MLP'"),
    "unknown data": ("MLP --data minst", "unknown data set 'minst': did you mean 'mnist'"),
    "unknown optimizer": ("MLP --optimizer adm", "unknown optimizer 'adm': did you mean 'Adam'"),
    "unknown activation": ("MLP --activation rellu", "did you mean 'relu'"),
    "unknown flag": ("MLP --learning-rate 1", "--learning-rate"),
    "not a number": ("MLP --epochs ten", "--epochs"),
    "not integers": ("CNN --channels 32;64", "expected integers like 32,64, or none; got '32;64'"),
    "negative lr": ("MLP --lr -1", "--lr must be 0 or more, got -1"),
    "no norm": ("MLP --clip-norm 0", "--clip-norm must be more than 0, got 0"),
    "negative norm": ("MLP --clip-norm -1", "--clip-norm must be more than 0, got -1"),
    "negative weight decay": ("MLP --weight-decay -1", "--weight-decay must be 0 or more, got -1"),
    "infinite lr": ("MLP --lr inf", "--lr must be a finite number, got inf"),
    "lr that is nan": ("MLP --backend torch --lr nan", "--lr must be a finite number, got nan"),
    "lr beyond float32": ("MLP --backend torch --lr 1e300", "--lr must be at most 1e+30, got 1e+300"),
    "weight decay beyond float32": ("MLP --weight-decay 1e39", "--weight-decay must be at most 1e+30"),
    "lr that grows beyond float32": (
        "MLP --lr-decay 1e20 --epochs 3",
        "--lr-decay 1e+20 makes the learning rate more than 1e+30 within 3 epochs",
    ),
    "no memory for the weights": ("MLP --hidden-features 2000000000", "not enough memory: Unable to all"),
    "infinite decay": ("MLP --lr-decay inf", "--lr-decay must be a finite number, got inf"),
    "dropout": ("MLP --dropout 1.5", "p in [0, 1], got 1.5"),
    "batch size": ("MLP --batch-size 0", "--batch-size"),
    "validation": ("MLP --validation 1", "validation must be a fraction in [0, 1), got 1"),
    "patience": ("MLP --validation 0 --patience 2", "--patience watches the validation loss"),
    "momentum": ("MLP --momentum 0.9 --optimizer Adam", "--momentum is for --optimizer SGD"),
    "size": ("CNN --in-shape 1,28,28", "Linear(in_features=10816"),
    "classes": ("MLP --out-features 5", "MLP has 5 outputs, but digits has 10 classes"),
    "device": ("MLP --device cuda", "--device cuda is for --backend torch"),
    "nothing to resume": ("MLP --resume", "there is no run to resume in"),
    "images to read": (
        "LSTMLanguageModel --data digits",
        "takes running text or sentences, but digits is images",
    ),
    "text to look at": (
        "CNN --data python_docs",
        "CNN takes images, but python_docs is running text",
    ),
    "a text's flag": ("MLP --chunk 3", "--chunk"),
    "images' flag": ("RNNLanguageModel --validation 0.2", "--validation"),
    "chunk": ("LSTMLanguageModel --chunk 0", "--chunk"),
    "too many streams": (
        "LSTMLanguageModel --batch-size 2000",
        "Streams: in the validation part the text has",
    ),
    "kind of token": ("LSTMLanguageModel --vocabulary syllables", "--vocabulary"),
    "max words": (
        "LSTMLanguageModel --max-words 9",
        "max_words is for vocabulary='words', not for 'char",
    ),
    "max words of characters": (
        "LSTMLanguageModel --max-words 9 --vocabulary characters",
        "max_words is for vocabulary='words', not for 'char",
    ),
    "no words": ("LSTMLanguageModel --vocabulary words --max-words 1", "--max-words"),
    "words left out, and not": (
        "LSTMLanguageModel --vocabulary words --max-words 9 --no-unknown",
        "max_words=9 leaves words out, which needs unknown=True",
    ),
    "task of a text": (
        "LSTMLanguageModel --data python_docs/2",
        "python_docs has no tasks: leave out",
    ),
    "no such task": ("LSTMLanguageModel --data babi/21", "babi: task must be from 1 to 20, got 21"),
    "on and over": ("MLP --resume --overwrite", "--resume goes on with a run and --overwrite starts over"),
    "too many units": (
        "MLP --hidden-features 9,1000000000000",
        "--hidden-features must be at most 2,147,483,647",
    ),
    "too many layers": (
        "RNNLanguageModel --num-layers 100000000",
        "--num-layers must be at most 1,000, got 1000",
    ),
    "too many views": (
        "ContrastiveEncoder --views 99999999999999999999",
        "--views must be at most 1,000, got 9",
    ),
    "too wide a window": (
        "FillInTheBlank --window 99999999999999999999",
        "--window must be at most 2,147,483,647",
    ),
    "all held out": ("MLP --validation 0.9999", "validation=0.9999 holds out all 1,437 examples"),
    "no such file here": ("LSTMLanguageModel --data ./digits2", "there is no file digits2"),
    "no such file": ("LSTMLanguageModel --data no.txt", "there is no file no.txt"),
    "temperature": (
        "ContrastiveEncoder --loss TripletMarginLoss --temperature 1",
        "--temperature is not for",
    ),
    "margin": ("ContrastiveEncoder --margin 1", "--margin is not for --loss NTXentLoss"),
    "labels": (
        "ContrastiveEncoder --labelled",
        "--loss NTXentLoss compares two views or more, and no labels",
    ),
    "one view": ("ContrastiveEncoder --views 1", "--loss NTXentLoss compares two views or more"),
    "alike to nothing": (
        "ContrastiveEncoder --loss ContrastiveLoss --no-labelled --views 1",
        "--no-labelled needs --views 2 or more",
    ),
    "loss": (
        "ContrastiveEncoder --loss TripletMargin",
        "unknown loss 'TripletMargin': did you mean 'TripletMarginLoss'",
    ),
    "no loss of temperature 0": ("ContrastiveEncoder --temperature 0", "temperature"),
    "vocab size": ("LSTMLanguageModel --vocab-size 9", "--vocab-size must be the data's"),
    "hidden size": ("LSTMLanguageModel --hidden-size 0", "hidden_size"),
    "nonlinearity": ("RNNLanguageModel --nonlinearity sigmoid", "nonlinearity"),
    "no such data": ("MLP --data mnist --data-dir /dev/null/data", "/dev/null/data"),
}


@pytest.mark.parametrize(("line", "message"), REFUSALS.values(), ids=REFUSALS)
@pytest.mark.usefixtures("unchecked_types")
def test_bad_usage_is_one_line_and_exit_code_2(
    line: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(line, *(["--out", tmp_path / "run"] if " " in line else [])) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith("train.py: ")
    assert message in said
    assert not any(tmp_path.rglob("checkpoint.*"))


@needs_babi
@pytest.mark.parametrize("flag", ["--chunk 9", "--vocabulary words", "--no-unknown"])
def test_flags_for_running_text_are_not_for_sentences(
    flag: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(f"TransitionMatrixLM {flag}", "--out", tmp_path) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("is for running text: babi has sentences")


@pytest.mark.skipif(torch.cuda.is_available(), reason="about machines without CUDA")
def test_cuda_where_there_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train("MLP --backend torch --device cuda", "--out", tmp_path) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("train.py: --device cuda: torch finds no CUDA device here")


def test_a_folder_that_cannot_be_written(capsys: pytest.CaptureFixture[str]) -> None:
    assert train("MLP", "--out", "/dev/null/run") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert (
        line == "train.py: cannot write to /dev/null/run (Not a directory): choose another folder with --out"
    )


def test_a_link_to_nowhere_is_called_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The system says "File exists" of it."""
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "gone")
    for out in (link, link / "run"):
        assert train("MLP", "--out", out) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"train.py: {link} is a link to {tmp_path / 'gone'}, which does not exist: ")
        assert line.endswith("with --out")


def test_a_finished_run_is_not_overwritten_by_accident(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags: list[Any] = ["MLP --epochs 1 --out", tmp_path]
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
        "--clip-norm 0",
        "--lr -1",
        "--lr-decay -1",
        "--momentum -1",
        "--weight-decay -1",
        "--validation 0.9999",
        "--validation 0.0001 --patience 2",
    ],
)
@pytest.mark.usefixtures("unchecked_types")
def test_a_refused_command_leaves_the_old_run_alone(flags: str, tmp_path: Path) -> None:
    """Nothing may be refused after the old run is gone."""
    old = ["checkpoint.safetensors", "best.ckpt", "model.safetensors", "history.png", "history.json"]
    for name in old:
        (tmp_path / name).write_text("old")
    (tmp_path / "run.json").write_text(RUN)
    assert train(f"MLP --overwrite {flags}", "--out", tmp_path) == 2
    found = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert found == dict.fromkeys(old, "old") | {"run.json": RUN}


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
