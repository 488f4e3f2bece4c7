"""Files that version 0.1.0 wrote before there were tasks: they load, predict the same and go on.

Each folder of `data/written_before_tasks` is that of a run, by `scripts/train.py`: MLP --hidden-features 3
--epochs 2, and LSTMLanguageModel --embedding-dim 2 --hidden-size 3 --batch-size 100 --chunk 100
--epochs 1, each with both backends.
"""

from __future__ import annotations

import json
import runpy
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from gdl_numpy.checkpoint import load_checkpoint, load_model, load_vocabulary
from gdl_torch.checkpoint import read_checkpoint
from gdl_torch.export import export_checkpoint
from gdl_torch.export import load_model as load_torch_model
from parity_tests.harness.rounding import gamma, unit_roundoff

RUNS = Path(__file__).parent / "data" / "written_before_tasks"
train = runpy.run_path(str(Path(__file__).parent.parent / "scripts" / "train.py"))["main"]
both_backends = pytest.mark.parametrize("backend", ["numpy", "torch"])


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
    """The epochs that were recorded then, and one more, are those of a run of three epochs made now.

    To the bit, but for the means over an epoch's 13 batches, which Lightning took in float32.
    """
    rel = float(gamma(13 + 2, unit_roundoff(np.float32))) if backend == "torch" else 0.0
    flags = ["MLP", "--backend", backend, "--device", "cpu", "--hidden-features", "3"]
    flags += ["--epochs", "3"]
    shutil.copytree(RUNS / f"mlp-{backend}", tmp_path / "old")
    assert train([*flags, "--resume", "--out", str(tmp_path / "old")]) == 0
    assert train([*flags, "--out", str(tmp_path / "new")]) == 0
    rows = [json.loads((tmp_path / folder / "history.json").read_text()) for folder in ("old", "new")]
    assert len(rows[0]) == len(rows[1]) == 3
    for old, new in zip(*rows, strict=True):
        for key in old.keys() - {"seconds"}:
            assert old[key] == pytest.approx(new[key], rel=rel, abs=0), key
    models = [load_checkpoint(tmp_path / folder / "model.safetensors")[0] for folder in ("old", "new")]
    for key, array in models[0].items():
        np.testing.assert_array_equal(array, models[1][key])
