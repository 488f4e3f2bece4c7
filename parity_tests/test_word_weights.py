"""Weights of words come with the batches; who reads texts without them meets a model that has them inside."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from gdl_numpy import models as numpy_models
from gdl_numpy.checkpoint import CheckpointError, load_vocabulary
from gdl_numpy.checkpoint import load_model as load_numpy_model
from gdl_numpy.data import BagsDataModule, load
from gdl_numpy.data.words import with_weights
from gdl_torch.checkpoint import read_checkpoint
from gdl_torch.data import PythonDocsTopicsDataModule
from gdl_torch.export import load_model, main, save_model
from gdl_torch.models import SentimentClassifier
from parity_tests.harness.rounding import unit_roundoff
from parity_tests.support import ONE_EPOCH, QUIET, WARNINGS_OF_LIGHTNING, gdl_torch, trainer

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = WARNINGS_OF_LIGHTNING

SCRIPTS = Path(__file__).parent.parent / "scripts"
WORDS = 200
DATA = ("--data", "PythonDocsTopicsDataModule", "--data.max_words", str(WORDS), "--data.ngrams", "2")
TEXT = "This function raises a ValueError , if the string is not a number ."


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("weighted")


@pytest.fixture(scope="module")
def ckpt(folder: Path) -> Path:
    """What `python -m gdl_torch fit` leaves of a training with weights."""
    model = ("--model", "SentimentClassifier", "--model.embedding_dim", "4", "--model.activation", "tanh")
    gdl_torch(folder, "fit", *model, *DATA, "--data.ratio", "true", *ONE_EPOCH)
    (path,) = folder.rglob("*.ckpt")
    return path


@pytest.fixture(scope="module")
def data() -> BagsDataModule:
    return BagsDataModule(load("python_docs_topics"), max_words=WORDS, ngrams=2, ratio=True)


def exported(ckpt: Path, way: str) -> Any:
    """NumPy's model, by the ways that a model of Lightning's can take."""
    path = ckpt.with_name(f"{way}.safetensors")
    if way == "export":
        assert main([str(ckpt), str(path), "--overwrite"]) == 0
    elif way == "load_model":
        save_model(path, load_model(ckpt))
    else:
        save_model(path, SentimentClassifier.load_from_checkpoint(ckpt, weights_only=True))
    return load_numpy_model(path)


@pytest.mark.parametrize("way", ["export", "load_model", "load_from_checkpoint"])
def test_exported_vectors_have_the_weights_in_them(way: str, ckpt: Path, data: BagsDataModule) -> None:
    """Each once: the product of two float32 numbers, which has one rounding."""
    assert data.weights is not None
    vectors = read_checkpoint(ckpt)["state_dict"]["embedding.weight"].numpy().astype(np.float64)
    expected = vectors * data.weights[:, None]
    found = exported(ckpt, way).embedding.weight.data
    assert found.dtype == np.float32
    assert (np.abs(found - expected) <= unit_roundoff(np.float32) * np.abs(expected)).all()
    assert not np.array_equal(found, vectors)


def test_words_py_predicts_what_the_training_would(
    ckpt: Path, data: BagsDataModule, capsys: pytest.CaptureFixture[str]
) -> None:
    """From text to logit, by the model of Lightning's with weights and by the exported one without."""
    exported(ckpt, "export")
    path = ckpt.with_name("export.safetensors")
    capsys.readouterr()
    assert runpy.run_path(str(SCRIPTS / "words.py"))["main"]([str(path), "predict", TEXT]) == 0
    (logit,) = re.findall(r"logit ([+-][\d.]+)", capsys.readouterr().out)

    vocabulary = load_vocabulary(path)
    assert vocabulary == data.vocabulary
    documents = runpy.run_path(str(SCRIPTS / "words.py"))["Checkpoint"](path).read(TEXT).distinct()
    assert data.weights is not None
    weighted = SentimentClassifier.load_from_checkpoint(ckpt, weights_only=True).eval()
    assert weighted.word_weights is not None
    with torch.inference_mode():
        ids = torch.from_numpy(documents.ids)
        expected = weighted(ids, torch.zeros(1, dtype=torch.int64), weighted.word_weights[ids])
        unweighted = weighted(ids, torch.zeros(1, dtype=torch.int64))
    assert logit == f"{float(expected):+.2f}"
    assert logit != f"{float(unweighted):+.2f}"


def test_a_live_model_is_saved_with_its_weights(tmp_path: Path) -> None:
    """Without any checkpoint between; the model itself goes on to be trained as it was."""
    data = PythonDocsTopicsDataModule(max_words=WORDS, ratio=True)
    data.setup("fit")
    model = SentimentClassifier(WORDS, 4, activation="tanh")
    trainer(max_epochs=1, precision="32-true").fit(model, datamodule=data)
    vectors = model.embedding.weight.detach().numpy().copy()
    save_model(tmp_path / "model.safetensors", model)
    assert data.weights is not None
    found = load_numpy_model(tmp_path / "model.safetensors").state_dict()["embedding.weight"]
    np.testing.assert_array_equal(found, vectors * data.weights.numpy()[:, None])
    np.testing.assert_array_equal(model.embedding.weight.detach().numpy(), vectors)


@pytest.mark.parametrize(
    ("arguments", "is_refused"),
    [
        (("--data.ratio", "true"), False),
        ((), True),
        (("--data.ratio", "true", "--data.seed", "7"), True),
        (("--data.ratio", "true", "--data.validation", "0.3"), True),
    ],
    ids=["the same", "none", "of another split", "of a smaller one"],
)
def test_a_checkpoint_meets_the_weights_that_it_was_trained_with(
    arguments: tuple[str, ...],
    is_refused: bool,
    ckpt: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With others it would be another model: that is a line, and no wrong accuracy."""
    words = ("test", *DATA, *arguments, "--ckpt_path", str(ckpt), *QUIET)
    if not is_refused:
        gdl_torch(tmp_path, *words)
        assert "test_acc" in capsys.readouterr().out
        return
    with pytest.raises(SystemExit) as end:
        gdl_torch(tmp_path, *words)
    assert end.value.code == 2
    error = capsys.readouterr().err
    assert "was trained with other weights of words than those of the data: give the ratio" in error
    assert error.count("\n") == 1


def test_without_weights_it_does_not_meet_some(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gdl_torch(tmp_path, "fit", "--model", "SentimentClassifier", *DATA, *ONE_EPOCH)
    (path,) = tmp_path.rglob("*.ckpt")
    assert read_checkpoint(path)["word_weights"] is None
    with pytest.raises(SystemExit):
        gdl_torch(tmp_path, "test", *DATA, "--data.ratio", "true", "--ckpt_path", str(path), *QUIET)
    assert "was trained with other weights of words" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda weights: weights[1:], r"holds no weights of its model's words \(200 words need as many"),
        (lambda weights: weights[:, None], "need as many weights, got"),
        (lambda weights: weights.long(), r"its word_weights is torch\.int64"),
        (lambda weights: weights[:1].expand(WORDS * 1000), "its word_weights is larger than what is stored"),
        (lambda weights: weights.tolist(), "its word_weights is not"),
        (lambda weights: weights.to_sparse(), "is truncated, or is not a checkpoint that Lightning wrote"),
    ],
    ids=["too few", "of another shape", "integers", "of strides of 0", "a list", "sparse"],
)
def test_what_are_no_weights_of_its_words_is_refused(
    change: Callable[[torch.Tensor], Any], message: str, ckpt: Path, tmp_path: Path
) -> None:
    checkpoint = torch.load(ckpt, weights_only=True)
    checkpoint["word_weights"] = change(checkpoint["word_weights"])
    torch.save(checkpoint, tmp_path / "changed.ckpt")
    with pytest.raises(CheckpointError, match=message):
        load_model(tmp_path / "changed.ckpt")


def test_one_weight_a_word() -> None:
    model = numpy_models.SentimentClassifier(5, 3, rng=0)
    with pytest.raises(ValueError, match=r"5 words need as many weights, got \(4,\)"):
        with_weights(model, np.ones(4, np.float32))


@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_of_train_pys_files_the_last_has_weights(
    backend: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """NumPy's checkpoint has them not, and says so; what is exported of Lightning's is model.safetensors."""
    words = [
        "SentimentClassifier", "--backend", backend, "--ratio", "--max-words", str(WORDS), "--epochs", "1",
        "--embedding-dim", "4", "--activation", "tanh", "--out", str(tmp_path / "run"),
    ]  # fmt: skip
    assert runpy.run_path(str(SCRIPTS / "train.py"))["main"](words) == 0
    finished = load_numpy_model(tmp_path / "run" / "model.safetensors").state_dict()
    if backend == "torch":
        again = load_model(tmp_path / "run" / "checkpoint.ckpt").state_dict()
        for name, array in finished.items():
            np.testing.assert_array_equal(again[name].numpy(), array)
        return
    capsys.readouterr()
    path = tmp_path / "run" / "checkpoint.safetensors"
    assert runpy.run_path(str(SCRIPTS / "words.py"))["main"]([str(path), "predict", TEXT]) == 2
    assert capsys.readouterr().err == (
        f"words.py: {path} is of a training that weights its words (--ratio), and has no weights: "
        "give the model.safetensors that train.py writes at the end\n"
    )
