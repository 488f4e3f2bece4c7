"""Checkpoints cross the border: exported ones predict without torch, and what is no checkpoint is refused."""

from __future__ import annotations

import io
import os
import pickle
import warnings
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from gdl_numpy import models as numpy_models
from gdl_numpy.checkpoint import CheckpointError, save_checkpoint
from gdl_numpy.checkpoint import load_model as load_numpy_model
from gdl_numpy.checkpoint import save_model as save_numpy_model
from gdl_numpy.data import load
from gdl_numpy.nn import Linear, Tanh
from gdl_torch.checkpoint import read_checkpoint
from gdl_torch.export import export_checkpoint, load_model, main, save_model
from gdl_torch.models import CNN, MLP
from parity_tests.harness.bounds import ELEMENTARY
from parity_tests.harness.rounding import gamma, unit_roundoff
from parity_tests.support import NO_TORCH, ONE_EPOCH, digits_checkpoint, gdl_torch, run_python

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture(scope="module")
def ckpt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return digits_checkpoint(tmp_path_factory.mktemp("run"))


def assert_same_predictions(torch_model: MLP | Any, path: Path) -> None:
    """The NumPy side, in an interpreter without torch, gives the model's logits, within float32 rounding.

    The bound follows the network: a linear layer passes on its input's error through its weights, and adds
    γₙ Σ|w||x| for its sums of n terms; tanh, whose slope is at most 1, passes it on and adds its own few
    roundings. Each side may be off by that much.
    """
    inputs = load("digits").test.inputs
    np.save(path.with_name("inputs.npy"), inputs)
    run_python(
        NO_TORCH
        + """
import numpy as np
from gdl_numpy.checkpoint import load_model
logits = load_model(sys.argv[1])(np.load(sys.argv[2]))
np.save(sys.argv[3], logits)
assert not [name for name in sys.modules if "torch" in name]
""",
        *map(str, (path, path.with_name("inputs.npy"), path.with_name("logits.npy"))),
    )
    with torch.inference_mode():
        expected = torch_model.eval()(torch.from_numpy(inputs)).numpy()

    u = unit_roundoff(np.float32)
    x = inputs.reshape(len(inputs), -1).astype(np.float64)
    error = np.zeros_like(x)
    for layer in load_numpy_model(path, dtype=np.float64).layers:  # type: ignore[attr-defined]
        if isinstance(layer, Linear):
            weight, bias = (np.abs(parameter.data) for parameter in layer.parameters())
            terms = weight.shape[1] + 1
            error = error @ weight.T + gamma(terms, u) * ((np.abs(x) + error) @ weight.T + bias)
            x = layer(x)
        elif isinstance(layer, Tanh):
            x = layer(x)
            error = error + gamma(ELEMENTARY, u) * np.abs(x)
    logits = np.load(path.with_name("logits.npy"))
    assert (np.abs(logits - expected) <= 2 * error).all()
    assert error.max() < 0.001 * np.abs(expected).max()  # a bound much wider would let mistakes through


def test_an_exported_checkpoint_predicts_the_same_without_torch(ckpt: Path, tmp_path: Path) -> None:
    """The way from training with Lightning to predicting with NumPy, and back again."""
    assert main([str(ckpt), str(tmp_path / "model.safetensors")]) == 0
    assert_same_predictions(MLP.load_from_checkpoint(ckpt, weights_only=True), tmp_path / "model.safetensors")
    back = load_model(tmp_path / "model.safetensors")
    for name, tensor in read_checkpoint(ckpt)["state_dict"].items():
        assert torch.equal(back.state_dict()[name], tensor)


def test_the_types_of_arguments_are_known_where_annotations_are_not_checked() -> None:
    """What is read of a checkpoint is held to them; these tests import also what only annotations need."""
    run_python(
        """
import inspect
from gdl_numpy.schema import type_of
from gdl_torch.models import MODELS
for model in MODELS.values():
    for parameter in inspect.signature(model).parameters.values():
        type_of(parameter, model)
"""
    )


@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device here")
def test_a_model_trained_on_a_gpu_predicts_in_numpy(tmp_path: Path) -> None:
    """The GPU and mixed precision by flags alone; what it learned moves to a machine with neither."""
    gdl_torch(
        tmp_path, "fit", "--model", "MLP", "--data", "DigitsDataModule", "--trainer.accelerator", "gpu",
        "--trainer.precision", "bf16-mixed", *ONE_EPOCH,
    )  # fmt: skip
    (path,) = tmp_path.rglob("*.ckpt")
    export_checkpoint(path, tmp_path / "model.safetensors")
    assert_same_predictions(load_model(tmp_path / "model.safetensors"), tmp_path / "model.safetensors")


def test_models_cross_the_border_both_ways(dtype: str, tmp_path: Path) -> None:
    """Class, arguments, dtype and weights, exactly, of an untrained model of either side."""
    ours = numpy_models.CNN((1, 8, 8), (3,), padding=1, pool_size=2, hidden_features=(7,), rng=0, dtype=dtype)
    save_numpy_model(tmp_path / "numpy.safetensors", ours)
    theirs = load_model(tmp_path / "numpy.safetensors")
    assert isinstance(theirs, CNN)
    assert not theirs.training
    save_model(tmp_path / "torch.safetensors", theirs)
    back = load_numpy_model(tmp_path / "torch.safetensors")
    assert isinstance(back, numpy_models.CNN)
    assert back.hparams == ours.hparams
    for name, array in ours.state_dict().items():
        np.testing.assert_array_equal(back.state_dict()[name], array)
        assert back.state_dict()[name].dtype == dtype


def test_narrow_floats_are_widened(tmp_path: Path) -> None:
    """NumPy has no bfloat16; each of its values is a float32."""
    model = MLP(4, (3,)).bfloat16()
    save_model(tmp_path / "model.safetensors", model)
    state = load_numpy_model(tmp_path / "model.safetensors").state_dict()
    assert {array.dtype for array in state.values()} == {np.dtype(np.float32)}
    np.testing.assert_array_equal(state["layers.1.weight"], model.state_dict()["layers.1.weight"].float())


class RunsCode:
    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return os.system, ("exit 1",)


def flip_a_weight(content: bytes) -> bytes:
    """Changes a bit of the first tensor. The archive keeps a checksum of it; torch takes no notice."""
    weights = content.index(b"PK\x03\x04", content.index(b"data/0")) - 200
    return content[:weights] + bytes([content[weights] ^ 1]) + content[weights + 1 :]


def twice(content: bytes) -> bytes:
    """With two files of one name in the archive: one is what is checked, the other what is read, perhaps."""
    buffer = io.BytesIO(content)
    with zipfile.ZipFile(buffer, "a") as archive:
        name = next(name for name in archive.namelist() if name.endswith("data.pkl"))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            archive.writestr(name, archive.read(name))
    return buffer.getvalue()


def saved(value: object) -> Callable[[bytes], bytes]:
    def save(_: bytes) -> bytes:
        buffer = io.BytesIO()
        torch.save(value, buffer)
        return buffer.getvalue()

    return save


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content[:-1000], "is truncated, or is not a checkpoint that Lightning wrote"),
        (lambda _: b"", "is truncated, or is not a checkpoint that Lightning wrote"),
        (lambda _: b"hello, I am a text", "is truncated, or is not a checkpoint that Lightning wrote"),
        (
            lambda _: pickle.dumps({"state_dict": {}}),
            "is truncated, or is not a checkpoint that Lightning wrote",
        ),
        (flip_a_weight, r"is damaged \(in .*data/0\): use another copy"),
        (
            saved({"state_dict": RunsCode(), "hyper_parameters": {}}),
            "is not a checkpoint that Lightning wrote",
        ),
        (saved({"weights": torch.zeros(1)}), "no state_dict with its hyper_parameters"),
        (
            saved({"state_dict": {}, "hyper_parameters": {}, "x": bytearray(10)}),
            "is not a checkpoint that Lightning wrote",
        ),
        (lambda content: pickle.dumps({"state_dict": {}}) + content, "is truncated, or is not a checkpoint"),
        (twice, "is truncated, or is not a checkpoint"),
        (saved([1, 2]), "no state_dict with its hyper_parameters"),
        (saved({"state_dict": {}, "hyper_parameters": {}}), "holds no model of gdl_torch"),
        (
            saved({"state_dict": {}, "hyper_parameters": {"_class_path": "other.Transformer"}}),
            "holds no model of gdl_torch but other.Transformer",
        ),
        (
            saved({"state_dict": {}, "hyper_parameters": {"_class_path": "gdl_torch.models.mlp.MLP"}}),
            "holds no MLP that this version can build .its hyper_parameters lack in_features",
        ),
    ],
)
def test_what_is_no_checkpoint_is_refused(
    change: Callable[[bytes], bytes],
    message: str,
    ckpt: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One line that names the file and the way out; nothing in the file is run, and nothing is written."""
    bad = tmp_path / "bad.ckpt"
    bad.write_bytes(change(ckpt.read_bytes()))
    with pytest.raises(CheckpointError, match=message) as caught:
        export_checkpoint(bad, tmp_path / "out.safetensors")
    assert str(bad) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert main([str(bad)]) == 2
    assert capsys.readouterr().err == f"gdl_torch.export: {caught.value}\n"
    assert [path.name for path in tmp_path.iterdir()] == ["bad.ckpt"]


def test_export_says_which_file_is_missing_or_cannot_be_written(
    ckpt: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    behind = tmp_path / "file" / "out.safetensors"
    for arguments, message in (
        ([tmp_path / "no.ckpt"], f"there is no checkpoint {tmp_path / 'no.ckpt'}"),
        ([tmp_path], f"cannot read the checkpoint {tmp_path}"),
        ([ckpt, behind], f"{behind}: Not a directory"),
        ([ckpt, ckpt], f"{ckpt} is the checkpoint itself"),
    ):
        content = ckpt.read_bytes()
        assert main([str(argument) for argument in arguments]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"gdl_torch.export: {message}")
        assert ckpt.read_bytes() == content


def test_export_replaces_exported_models_only(
    ckpt: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not a file of the user's, nor what a training goes on from, unless that is asked for."""
    notes, training = tmp_path / "notes.txt", tmp_path / "checkpoint.safetensors"
    notes.write_text("mine")
    save_checkpoint(training, {"weight": np.zeros(2)}, {"model": "MLP", "hparams": {}, "history": []})
    for path in (notes, training):
        before = path.read_bytes()
        assert main([str(ckpt), str(path)]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"gdl_torch.export: {path} is there, and no exported model: ")
        assert path.read_bytes() == before
        assert main([str(ckpt), str(path), "--overwrite"]) == 0
        assert main([str(ckpt), str(path)]) == 0  # which is one now
        load_numpy_model(path)
