"""`python -m gdl_torch` as people use it: train, validate, test, predict, by flags or a configuration."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from gdl_numpy.checkpoint import load_model as load_numpy_model
from gdl_numpy.checkpoint import load_vocabulary
from gdl_numpy.data import available, load, read_text_file
from gdl_torch.checkpoint import read_checkpoint
from gdl_torch.export import export_checkpoint
from gdl_torch.models import MLP
from gdl_torch.tasks import Classification
from parity_tests.harness.bounds import ELEMENTARY
from parity_tests.harness.rounding import gamma, unit_roundoff
from parity_tests.support import ONE_EPOCH, QUIET, gdl_torch

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of one epoch with a CSV log."""
    folder = tmp_path_factory.mktemp("run")
    gdl_torch(
        folder, "fit", "--model", "MLP", "--model.hidden_features", "[20]", "--data", "DigitsDataModule",
        "--data.augment", "true", "--trainer.logger", "CSVLogger", "--trainer.logger.save_dir", ".",
        *ONE_EPOCH,
    )  # fmt: skip
    return folder / "lightning_logs" / "version_0"


@pytest.fixture(scope="module")
def ckpt(trained: Path) -> Path:
    (path,) = (trained / "checkpoints").iterdir()
    return path


def test_fit_by_flags_leaves_logs_configuration_and_checkpoint(trained: Path, ckpt: Path) -> None:
    """Short class names are enough, and the model is built for the data: 64 features, not its default 784."""
    with (trained / "metrics.csv").open() as file:
        columns = set().union(*({k for k, v in row.items() if v} for row in csv.DictReader(file)))
    assert columns == {
        "epoch", "step", "train_loss_step", "train_loss_epoch", "train_acc", "val_loss", "val_acc",
    }  # fmt: skip
    assert "hidden_features" in (trained / "config.yaml").read_text()
    model = Classification.load_from_checkpoint(ckpt, weights_only=True)
    assert isinstance(model, MLP)
    assert (model.hparams["in_features"], model.hparams["hidden_features"]) == (64, [20])
    assert model.layers[1].weight.shape == (20, 64)


def test_the_kept_configuration_repeats_the_run(trained: Path, ckpt: Path, tmp_path: Path) -> None:
    """config.yaml is for `--config`; the same seed gives the same weights, bit for bit."""
    gdl_torch(tmp_path, "fit", "--config", str(trained / "config.yaml"))
    (again,) = (tmp_path / "lightning_logs" / "version_0" / "checkpoints").iterdir()
    states = [read_checkpoint(path)["state_dict"] for path in (ckpt, again)]
    for name in states[0]:
        assert torch.equal(states[0][name], states[1][name])


def test_test_and_predict_take_the_model_from_the_checkpoint(
    ckpt: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No --model is needed. The file of predictions is in the data's order and as good as the test says."""
    gdl_torch(tmp_path, "test", "--data", "DigitsDataModule", "--ckpt_path", str(ckpt), *QUIET)
    gdl_torch(tmp_path, "predict", "--data", "DigitsDataModule", "--ckpt_path", str(ckpt), *QUIET)
    printed = capsys.readouterr().out
    (path,) = tmp_path.rglob("predictions.csv")
    rows = np.loadtxt(path, delimiter=",", skiprows=1, dtype=int)
    targets = load("digits").test.targets
    assert rows[:, 0].tolist() == list(range(len(targets)))
    (accuracy,) = re.findall(r"test_acc\W+([\d.]+)", printed)
    assert float(accuracy) == np.mean(rows[:, 1] == targets)
    assert f"wrote 360 predictions to {path}" in printed


def test_predictions_of_before_are_not_replaced(
    ckpt: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a logger they would be in the user's folder; refused before the work, in one line."""
    path = tmp_path / "predictions.csv"
    path.write_text("mine")
    monkeypatch.delattr(Classification, "predict_step")  # so that no work can be done
    line = ("predict", "--data", "DigitsDataModule", "--ckpt_path", str(ckpt), "--trainer.logger", "false")
    with pytest.raises(SystemExit, match="2"):
        gdl_torch(tmp_path, *line, *QUIET)
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith(f"error: {path} is there already: move it away, or choose another folder with")
    assert path.read_text() == "mine"


def test_help_says_how_it_is_called(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        gdl_torch(tmp_path, "--help")
    assert capsys.readouterr().out.startswith("usage: python -m gdl_torch ")


TEXT_LIMITS = [f"--trainer.limit_{part}_batches=3" for part in ("train", "val", "test")]


@pytest.mark.parametrize("data", ["PythonDocsDataModule", "BabiDataModule", "PaddedBabiDataModule"])
@pytest.mark.parametrize("model", ["TransitionMatrixLM", "RNNLanguageModel", "LSTMLanguageModel"])
def test_language_models_by_flags(
    model: str, data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """fit, validate, test and export; the model is built for the data's vocabulary, which goes with it."""
    name = {"PythonDocsDataModule": "python_docs", "BabiDataModule": "babi"}.get(data, "babi_padded")
    if not available(name):
        pytest.skip(f"needs {name} under $GDL_DATA")
    small = ["--model.embedding_dim", "4"] + ["--model.hidden_size", "5"] * (model != "TransitionMatrixLM")
    gdl_torch(
        tmp_path, "fit", "--model", model, *small, "--data", data, *ONE_EPOCH, *TEXT_LIMITS,
        "--trainer.log_every_n_steps", "1",
    )  # fmt: skip
    (ckpt,) = tmp_path.rglob("*.ckpt")
    rtol = float(gamma(ELEMENTARY, unit_roundoff(np.float64)))  # the loss is printed in full
    for command, stage in (("validate", "val"), ("test", "test")):
        capsys.readouterr()
        gdl_torch(tmp_path, command, "--data", data, "--ckpt_path", str(ckpt), *QUIET, *TEXT_LIMITS)
        printed = capsys.readouterr().out
        loss, perplexity = (
            float(re.findall(rf"{stage}_{name}\W+([\d.]+)", printed)[0]) for name in ("loss", "perplexity")
        )
        np.testing.assert_allclose(perplexity, np.exp(loss), rtol=rtol)
    export_checkpoint(ckpt, tmp_path / "model.safetensors")
    exported = load_numpy_model(tmp_path / "model.safetensors")
    assert type(exported).__name__ == model
    assert exported.hparams["vocab_size"] == len(load_vocabulary(tmp_path / "model.safetensors"))  # type: ignore[attr-defined]


def test_a_file_of_text_by_flags(tmp_path: Path) -> None:
    """Its characters are the model's, and its parts those of the NumPy side."""
    text = "Es war einmal ein Mädchen. " * 300
    (tmp_path / "story.txt").write_text(text, encoding="utf-8")
    gdl_torch(
        tmp_path, "fit", "--model", "RNNLanguageModel", "--model.hidden_size", "5",
        "--data", "TextFileDataModule", "--data.path", "story.txt", "--data.batch_size", "3",
        *ONE_EPOCH, *TEXT_LIMITS, "--trainer.log_every_n_steps", "1",
    )  # fmt: skip
    (ckpt,) = tmp_path.rglob("*.ckpt")
    export_checkpoint(ckpt, tmp_path / "model.safetensors")
    expected = read_text_file(tmp_path / "story.txt").vocabulary()
    assert load_vocabulary(tmp_path / "model.safetensors") == expected


def test_the_example_configuration(tmp_path: Path) -> None:
    """configs/digits_cnn.yaml: checkpoints, early stopping, TensorBoard's file; flags go on top."""
    gdl_torch(
        tmp_path, "fit", "--config", str(ROOT / "configs" / "digits_cnn.yaml"), "--trainer.max_epochs", "2",
        "--trainer.callbacks.init_args.dirpath", "kept", "--model.lr", "0.05", "--data.batch_size", "128",
        "--trainer.enable_progress_bar", "false",
    )  # fmt: skip
    assert (tmp_path / "kept" / "best.ckpt").exists()
    last = read_checkpoint(tmp_path / "kept" / "last.ckpt")
    assert last["hyper_parameters"]["lr"] == 0.05
    (stopping,) = (state for name, state in last["callbacks"].items() if name.startswith("EarlyStopping"))
    assert stopping["patience"] == 5
    assert stopping["best_score"] < 2.4
    assert list(tmp_path.glob("runs/digits_cnn/version_0/events.out.tfevents.*"))


def test_lower_precision_by_flag(tmp_path: Path) -> None:
    """bf16-mixed computes in bfloat16 and keeps the weights in float32. On the CPU too."""
    gdl_torch(
        tmp_path, "fit", "--model", "CNN", "--data", "DigitsDataModule", "--trainer.accelerator", "cpu",
        "--trainer.precision", "bf16-mixed", *ONE_EPOCH,
    )  # fmt: skip
    (path,) = tmp_path.rglob("*.ckpt")
    hparams = read_checkpoint(path)["hyper_parameters"]
    assert [list(hparams[name]) for name in ("in_shape", "channels", "hidden_features")] == [
        [1, 8, 8],
        [16],
        [],
    ]
    assert {tensor.dtype for tensor in read_checkpoint(path)["state_dict"].values()} == {torch.float32}
