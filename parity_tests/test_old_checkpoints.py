"""Files that version 0.1.0 wrote before there were tasks: they load, predict the same and go on.

Each folder of `data/written_before_tasks` is that of a run, by `scripts/train.py`: MLP --hidden-features 3
--epochs 2, and LSTMLanguageModel --embedding-dim 2 --hidden-size 3 --batch-size 100 --chunk 100
--epochs 1, each with both backends.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gdl_numpy.checkpoint import (
    check_model,
    load_checkpoint,
    load_model,
    load_vocabulary,
    save_checkpoint,
    save_model,
)
from gdl_numpy.models import SentimentClassifier
from gdl_numpy.run_folder import CHECKPOINTS
from gdl_torch.checkpoint import read_checkpoint, shared_arguments
from gdl_torch.export import export_checkpoint
from gdl_torch.export import load_model as load_torch_model
from gdl_torch.models import SentimentClassifier as TorchSentimentClassifier
from parity_tests.support.train_script import assert_rounded_alike, both_backends, train, weights

RUNS = Path(__file__).parent / "data" / "written_before_tasks"
# Two epochs of ContrastiveEncoder --hidden-features 3 --projection-features 2, with each backend.
RUNS_WITHOUT_SPREAD = RUNS.parent / "written_before_spread"


@both_backends
@pytest.mark.parametrize("name", ["mlp", "lstm"])
def test_a_saved_model_loads_on_both_sides(name: str, backend: str) -> None:
    path = RUNS / f"{name}-{backend}" / "model.safetensors"
    own, other = load_model(path), load_torch_model(path)
    state = load_checkpoint(path)[0]
    assert own.state_dict().keys() == other.state_dict().keys() == state.keys()
    for key, array in state.items():
        np.testing.assert_array_equal(own.state_dict()[key], array)
        np.testing.assert_array_equal(other.state_dict()[key].numpy(), array)


@both_backends
def test_a_saved_vocabulary_loads(backend: str) -> None:
    path = RUNS / f"lstm-{backend}" / "model.safetensors"
    assert len(load_vocabulary(path)) == len(load_checkpoint(path)[0]["embedding.weight"])


@pytest.mark.parametrize("name", ["mlp", "lstm"])
def test_a_checkpoint_of_lightnings_is_exported(name: str, tmp_path: Path) -> None:
    run = RUNS / f"{name}-torch"
    export_checkpoint(run / "checkpoint.ckpt", tmp_path / "model.safetensors")
    exported = load_model(tmp_path / "model.safetensors").state_dict()
    for key, tensor in read_checkpoint(run / "checkpoint.ckpt")["state_dict"].items():
        assert torch.equal(torch.from_numpy(exported[key]), tensor)


@both_backends
@pytest.mark.filterwarnings("ignore:The dirpath has changed")
def test_a_run_goes_on_as_if_never_stopped(backend: str, tmp_path: Path) -> None:
    """What was recorded of its two epochs stays, and a third ends where one run of three epochs ends now.

    To rounding: the machine that it was stopped on may have had other kernels.
    """
    line = f"MLP --backend {backend} --device cpu --hidden-features 3 --epochs 3"
    old, new = tmp_path / "old", tmp_path / "new"
    recorded = RUNS / f"mlp-{backend}"
    shutil.copytree(recorded, old)
    assert train(line, "--resume", "--out", old) == 0
    assert train(line, "--out", new) == 0
    histories = [json.loads((folder / "history.json").read_text()) for folder in (recorded, old, new)]
    assert histories[1][:2] == histories[0]
    results = [
        weights(folder) | {"train_loss": np.array([row["train_loss"] for row in rows])}
        for folder, rows in zip((old, new), histories[1:], strict=True)
    ]
    assert_rounded_alike(new, {}, *results)


@both_backends
def test_options_that_came_later(backend: str, tmp_path: Path) -> None:
    """A run that does not say that it samples words as often as they are in the text goes on doing so."""
    (tmp_path / "story.txt").write_text("to be or not to be " * 100)
    line = f"FillInTheBlank --embedding-dim 3 --batch-size 50 --backend {backend} --device cpu"
    words: list[Any] = [
        line,
        "--negatives",
        2,
        "--data",
        tmp_path / "story.txt",
        "--out",
        tmp_path / "run",
        "--epochs",
    ]
    assert train(*words, 1) == 0
    settings = json.loads((tmp_path / "run" / "run.json").read_text())
    assert settings.pop("power") == 1
    (tmp_path / "run" / "run.json").write_text(json.dumps(settings))
    path = tmp_path / "run" / CHECKPOINTS[backend]
    if backend == "numpy":
        tensors, metadata = load_checkpoint(path)
        del metadata["training"]["power"]
        save_checkpoint(path, tensors, metadata)
    else:
        saved = torch.load(path, weights_only=True)
        del saved["callbacks"]["_Recorder"]["settings"]["power"]
        torch.save(saved, path)
    assert train(*words, 2, "--resume") == 0
    assert train(*words, 3, "--resume", "--power", 0.75) == 2


@both_backends
@pytest.mark.filterwarnings("ignore:The dirpath has changed")
def test_metrics_that_came_later(backend: str, tmp_path: Path) -> None:
    """A run that measured no spread goes on, and on again, and is drawn: its first epochs are nan there."""
    recorded = RUNS_WITHOUT_SPREAD / backend
    shutil.copytree(recorded, tmp_path, dirs_exist_ok=True)
    line = f"ContrastiveEncoder --backend {backend} --device cpu --hidden-features 3 --projection-features 2"
    for epochs in (2, 3, 4):
        (tmp_path / "history.png").unlink(missing_ok=True)
        assert train(line, "--epochs", epochs, "--resume", "--out", tmp_path) == 0
        assert (tmp_path / "history.png").exists()
    rows = json.loads((tmp_path / "history.json").read_text())
    before = json.loads((recorded / "history.json").read_text())
    assert [{name: row[name] for name in old} for old, row in zip(before, rows, strict=False)] == before
    for name in ("train_spread", "validation_spread", "train_collapse_gap", "validation_collapse_gap"):
        assert np.isfinite([row[name] for row in rows]).tolist() == [False, False, True, True]


def test_arguments_that_came_later(tmp_path: Path) -> None:
    """A model that does not say how its vectors began is one whose vectors were drawn."""
    model = SentimentClassifier(4, 3, rng=0)
    save_model(tmp_path / "model.safetensors", model)
    tensors, metadata = load_checkpoint(tmp_path / "model.safetensors")
    del metadata["hparams"]["zero_embedding"]
    check_model("model.safetensors", metadata, model)
    save_checkpoint(tmp_path / "old.safetensors", tensors, metadata)
    assert load_torch_model(tmp_path / "old.safetensors").hparams["zero_embedding"] is False
    saved = {name: value for name, value in model.hparams.items() if name != "zero_embedding"}
    assert shared_arguments(TorchSentimentClassifier, saved) == model.hparams
