"""`python -m gdl_torch` as people use it: train, test, predict, export; several processes; bad usage.

Most runs are made in this process, as importing Lightning takes longer than all that they do.
"""

from __future__ import annotations

import csv
import importlib
import inspect
import io
import itertools
import os
import pickle
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from typer.testing import CliRunner

from gdl_numpy import models as numpy_models
from gdl_numpy.checkpoint import CheckpointError, load_vocabulary
from gdl_numpy.checkpoint import load_model as load_numpy_model
from gdl_numpy.checkpoint import save_model as save_numpy_model
from gdl_numpy.data import DATASETS, available, epoch_order, load, read_text_file
from gdl_numpy.nn import Linear, Tanh
from gdl_torch.__main__ import main
from gdl_torch.data import (
    DATA_MODULES,
    BabiDataModule,
    DigitsDataModule,
    PaddedBabiDataModule,
    PythonDocsDataModule,
)
from gdl_torch.export import app, export_checkpoint, from_numpy, load_model, read_checkpoint, save_model
from gdl_torch.models import CNN, MLP
from gdl_torch.tasks import Classification
from parity_tests.disturbance import assert_within, moved_by_rounding
from parity_tests.harness.bounds import ELEMENTARY
from parity_tests.harness.rounding import gamma, unit_roundoff
from parity_tests.test_imports import NO_TORCH, run_python
from parity_tests.test_lightning import Recipe, allowed, run_numpy
from parity_tests.test_lightning_text import truncated

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[1]
SMALL = ("--trainer.max_epochs", "1", "--trainer.enable_progress_bar", "false")


@pytest.fixture(autouse=True)
def no_seed_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """The runs of this module put their seed into the environment."""
    for variable in ("PL_GLOBAL_SEED", "PL_SEED_WORKERS"):
        monkeypatch.setenv(variable, "0")


def gdl_torch(folder: Path, *arguments: str) -> None:
    """`python -m gdl_torch ARGUMENTS`, in `folder`, in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["gdl_torch", *arguments])
        patch.chdir(folder)
        main()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of one epoch with a CSV log."""
    folder = tmp_path_factory.mktemp("run")
    gdl_torch(
        folder, "fit", "--model", "MLP", "--model.hidden_features", "[20]", "--data", "DigitsDataModule",
        "--data.augment", "true", "--trainer.logger", "CSVLogger", "--trainer.logger.save_dir", ".", *SMALL,
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
    gdl_torch(tmp_path, "test", "--data", "DigitsDataModule", "--ckpt_path", str(ckpt), *SMALL[2:])
    gdl_torch(tmp_path, "predict", "--data", "DigitsDataModule", "--ckpt_path", str(ckpt), *SMALL[2:])
    printed = capsys.readouterr().out
    (path,) = tmp_path.rglob("predictions.csv")
    rows = np.loadtxt(path, delimiter=",", skiprows=1, dtype=int)
    targets = load("digits").test.targets
    assert rows[:, 0].tolist() == list(range(len(targets)))
    (accuracy,) = re.findall(r"test_acc\W+([\d.]+)", printed)
    assert float(accuracy) == pytest.approx(np.mean(rows[:, 1] == targets), rel=1e-6)
    assert f"wrote 360 predictions to {path}" in printed


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
        tmp_path, "fit", "--model", model, *small, "--data", data, *SMALL, *TEXT_LIMITS,
        "--trainer.log_every_n_steps", "1",
    )  # fmt: skip
    (ckpt,) = tmp_path.rglob("*.ckpt")
    for command, stage in (("validate", "val"), ("test", "test")):
        capsys.readouterr()
        gdl_torch(tmp_path, command, "--data", data, "--ckpt_path", str(ckpt), *SMALL[2:], *TEXT_LIMITS)
        printed = capsys.readouterr().out
        loss, perplexity = (
            float(re.findall(rf"{stage}_{name}\W+([\d.]+)", printed)[0]) for name in ("loss", "perplexity")
        )
        assert perplexity == pytest.approx(np.exp(loss), rel=1e-5)
    export_checkpoint(ckpt, tmp_path / "model.safetensors")
    exported = load_numpy_model(tmp_path / "model.safetensors")
    assert type(exported).__name__ == model
    assert exported.hparams["vocab_size"] == len(load_vocabulary(tmp_path / "model.safetensors"))  # type: ignore[attr-defined]


@pytest.mark.usefixtures("unchecked_types")
def test_a_vocabulary_that_there_is_not() -> None:
    """For those who make the data module themselves; sentences' vocabulary is not for running text."""
    for kind in ("letters", "spaces"):
        wrong: Any = kind
        with pytest.raises(ValueError, match=f"vocabulary must be 'characters' or 'words', got '{kind}'"):
            PythonDocsDataModule(vocabulary=wrong)


def test_a_part_that_is_too_short_is_named() -> None:
    data = PythonDocsDataModule(chunk=20_000)
    loaders = {
        "training": data.train_dataloader,
        "validation": data.val_dataloader,
        "test": data.test_dataloader,
    }
    for part, loader in loaders.items():
        with pytest.raises(ValueError, match=f"Streams: in the {part} part the text has"):
            loader()


def test_a_file_of_text_by_flags(tmp_path: Path) -> None:
    """Its characters are the model's, and its parts those of the NumPy side."""
    text = "Es war einmal ein Mädchen. " * 300
    (tmp_path / "story.txt").write_text(text, encoding="utf-8")
    gdl_torch(
        tmp_path, "fit", "--model", "RNNLanguageModel", "--model.hidden_size", "5",
        "--data", "TextFileDataModule", "--data.path", "story.txt", "--data.batch_size", "3",
        *SMALL, *TEXT_LIMITS, "--trainer.log_every_n_steps", "1",
    )  # fmt: skip
    (ckpt,) = tmp_path.rglob("*.ckpt")
    export_checkpoint(ckpt, tmp_path / "model.safetensors")
    expected = read_text_file(tmp_path / "story.txt").vocabulary()
    assert load_vocabulary(tmp_path / "model.safetensors") == expected


@pytest.mark.skipif(not available("babi"), reason="needs babi under $GDL_DATA")
@pytest.mark.parametrize("module", [BabiDataModule, PaddedBabiDataModule])
def test_the_other_tasks_of_babi(module: type[BabiDataModule]) -> None:
    assert module(task=7).loaded == load(f"{module.dataset}/7")
    assert module().loaded == load(module.dataset)


@pytest.mark.parametrize("name", DATA_MODULES)
def test_every_data_module_can_be_imported_pickled_and_read_about(name: str) -> None:
    """Classes made of a data set and a way to make batches are like those that stand in the source."""
    module = getattr(importlib.import_module("gdl_torch.data"), name)
    assert module is DATA_MODULES[name]
    arguments = {"path": "story.txt"} if "path" in inspect.signature(module).parameters else {}
    again = pickle.loads(pickle.dumps(module(batch_size=7, **arguments)))
    assert (type(again), again.batch_size) == (module, 7)
    _, _, arguments_and_more = (module.__doc__ or "").partition("Args:")
    documented = re.findall(r"^ +(\w+): ", arguments_and_more, re.MULTILINE)
    assert set(inspect.signature(module).parameters) <= set(documented)


def test_every_data_set_has_a_data_module_of_its_own() -> None:
    for source in DATASETS.values():
        assert DATA_MODULES[f"{source.title}DataModule"].dataset == source.name


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
        "--trainer.precision", "bf16-mixed", *SMALL,
    )  # fmt: skip
    (path,) = tmp_path.rglob("*.ckpt")
    hparams = read_checkpoint(path)["hyper_parameters"]
    assert [list(hparams[name]) for name in ("in_shape", "channels", "hidden_features")] == [
        [1, 8, 8],
        [16],
        [],
    ]
    assert {tensor.dtype for tensor in read_checkpoint(path)["state_dict"].values()} == {torch.float32}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device here")
def test_a_model_trained_on_a_gpu_predicts_in_numpy(tmp_path: Path) -> None:
    """The GPU and mixed precision by flags alone; what it learned moves to a machine with neither."""
    gdl_torch(
        tmp_path, "fit", "--model", "MLP", "--data", "DigitsDataModule", "--trainer.accelerator", "gpu",
        "--trainer.precision", "bf16-mixed", *SMALL,
    )  # fmt: skip
    (path,) = tmp_path.rglob("*.ckpt")
    export_checkpoint(path, tmp_path / "model.safetensors")
    assert_same_predictions(load_model(tmp_path / "model.safetensors"), tmp_path / "model.safetensors")


class SeenByEachDevice(pl.Callback):
    """Writes what this process was given, and the weights it began and ended with."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)
        self.seen: dict[str, np.ndarray] = {}

    def keep_weights(self, when: str, module: pl.LightningModule) -> None:
        self.seen |= {f"{when}.{name}": tensor.numpy().copy() for name, tensor in module.state_dict().items()}

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.keep_weights("start", pl_module)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self.seen[f"batch.{batch_idx}"] = batch[0].numpy()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.keep_weights("end", pl_module)
        arrays: dict[str, Any] = {**self.seen}
        np.savez(self.folder / f"rank{trainer.global_rank}.npz", **arrays)


def two_processes(folder: Path, *arguments: str) -> list[dict[str, np.ndarray]]:
    """What each of two processes on the CPU saw in 5 steps of `fit`, in float64; they meet by gloo."""
    command = [
        sys.executable, "-m", "gdl_torch", "fit", *arguments,
        "--trainer.accelerator", "cpu", "--trainer.devices", "2", "--trainer.strategy", "ddp",
        "--trainer.precision", "64-true", "--trainer.limit_train_batches", "5",
        "--trainer.limit_val_batches", "0", "--trainer.logger", "false",
        "--trainer.enable_checkpointing", "false", "--trainer.log_every_n_steps", "1", *SMALL,
        "--trainer.callbacks", "parity_tests.test_gdl_torch_cli.SeenByEachDevice",
        "--trainer.callbacks.folder", str(folder),
    ]  # fmt: skip
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    for variable in ("PL_GLOBAL_SEED", "PL_SEED_WORKERS"):
        environment.pop(variable, None)
    result = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert result.returncode == 0, result.stderr
    assert "distributed_backend=gloo" in result.stderr
    return [dict(np.load(folder / f"rank{rank}.npz")) for rank in range(2)]


def weights(seen: dict[str, np.ndarray], when: str) -> dict[str, np.ndarray]:
    return {name.removeprefix(f"{when}."): array for name, array in seen.items() if name.startswith(when)}


def test_two_processes_are_one_with_a_batch_twice_as_large(tmp_path: Path) -> None:
    """`--trainer.devices 2 --trainer.strategy ddp`, by flags alone.

    The two see different examples, together those of one batch of 120; averaged, their gradients are that
    batch's. So both end with the weights of the NumPy loop with batches of 120, within rounding.
    """
    ranks = two_processes(
        tmp_path, "--model", "MLP", "--model.hidden_features", "[20]", "--model.dropout", "0",
        "--model.lr", "0.3", "--data", "DigitsDataModule", "--data.batch_size", "60",
        "--data.validation", "0", "--data.seed", "5",
    )  # fmt: skip
    data = DigitsDataModule(batch_size=120, validation=0.0, seed=5)
    data.setup("fit")
    order = epoch_order(len(data.train), seed=5, epoch=0)
    for step in range(5):
        together = order[120 * step : 120 * (step + 1)]
        for rank, seen in enumerate(ranks):
            np.testing.assert_array_equal(seen[f"batch.{step}"], data.train.inputs[together[rank::2]])

    recipe = Recipe(start=weights(ranks[0], "start"), epochs=1)
    states, _ = run_numpy(recipe, data)
    bound = allowed(recipe, data)[4]
    for name, expected in states[4].items():
        np.testing.assert_array_equal(weights(ranks[0], "end")[name], weights(ranks[1], "end")[name])
        assert np.abs(weights(ranks[0], "end")[name] - expected).max() <= bound[name] < 1e-6


def test_two_processes_read_streams_of_their_own(tmp_path: Path) -> None:
    """Each has 3 of 6 streams, its own state for them, and half of the gradient of one process with all 6.

    Truncated backpropagation through time goes on over 5 chunks, with clipping; the weights that both end
    with are those of a loop of plain torch over all 6 streams, but for the order of sums.
    """
    ranks = two_processes(
        tmp_path, "--model", "LSTMLanguageModel", "--model.embedding_dim", "5", "--model.hidden_size", "7",
        "--model.lr", "0.3", "--data", "PythonDocsDataModule", "--data.batch_size", "3", "--data.chunk", "10",
        "--trainer.gradient_clip_val", "0.2",
    )  # fmt: skip
    data = PythonDocsDataModule(batch_size=6, chunk=10)
    batches = list(itertools.islice(data.train_dataloader(), 5))
    for step, (ids, _) in enumerate(batches):
        for rank, seen in enumerate(ranks):
            np.testing.assert_array_equal(seen[f"batch.{step}"], ids[:, 3 * rank : 3 * rank + 3])

    def run(disturb: Callable[[Any], None]) -> list[dict[str, np.ndarray]]:
        numpy_model = numpy_models.LSTMLanguageModel(data.vocab_size, 5, 7, dtype=np.float64)
        numpy_model.load_state_dict(weights(ranks[0], "start"))
        disturb(numpy_model)
        model = from_numpy(numpy_model, lr=0.3)
        return truncated(model, batches, epochs=1, accumulate=1, max_norm=0.2)[-1:]

    ends = [weights(seen, "end") for seen in ranks]
    for name in ends[0]:
        np.testing.assert_array_equal(ends[0][name], ends[1][name])
    relative = float(gamma(5 * 6 * 10 * 28, unit_roundoff(np.float64)))
    assert_within(ends[:1], run(lambda _: None), moved_by_rounding(run, relative))


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
    assert error.max() < 1e-3


def test_an_exported_checkpoint_predicts_the_same_without_torch(ckpt: Path, tmp_path: Path) -> None:
    """The way from training with Lightning to predicting with NumPy, and back again."""
    result = CliRunner().invoke(app, [str(ckpt), str(tmp_path / "model.safetensors")])
    assert result.exit_code == 0, result.output
    assert_same_predictions(MLP.load_from_checkpoint(ckpt, weights_only=True), tmp_path / "model.safetensors")
    back = load_model(tmp_path / "model.safetensors")
    for name, tensor in read_checkpoint(ckpt)["state_dict"].items():
        assert torch.equal(back.state_dict()[name], tensor)


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
        (saved([1, 2]), "no state_dict with its hyper_parameters"),
        (saved({"state_dict": {}, "hyper_parameters": {}}), "holds no model that this version can build"),
        (
            saved({"state_dict": {}, "hyper_parameters": {"_class_path": "other.Transformer"}}),
            "unknown model 'Transformer'",
        ),
        (
            saved({"state_dict": {}, "hyper_parameters": {"_class_path": "gdl_torch.models.mlp.MLP"}}),
            "holds no model that this version can build .'in_features'",
        ),
    ],
)
def test_what_is_no_checkpoint_is_refused(
    change: Callable[[bytes], bytes], message: str, ckpt: Path, tmp_path: Path
) -> None:
    """One line that names the file and the way out; nothing in the file is run, and nothing is written."""
    bad = tmp_path / "bad.ckpt"
    bad.write_bytes(change(ckpt.read_bytes()))
    with pytest.raises(CheckpointError, match=message) as caught:
        export_checkpoint(bad, tmp_path / "out.safetensors")
    assert str(bad) in str(caught.value)
    assert "\n" not in str(caught.value)
    result = CliRunner().invoke(app, [str(bad)])
    assert result.exit_code == 2
    assert result.stderr == f"error: {caught.value}\n"
    assert [path.name for path in tmp_path.iterdir()] == ["bad.ckpt"]


def test_export_says_which_file_is_missing_or_cannot_be_written(ckpt: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for arguments, message in (
        ([tmp_path / "no.ckpt"], f"there is no checkpoint {tmp_path / 'no.ckpt'}"),
        ([tmp_path], f"cannot read the checkpoint {tmp_path}"),
        ([ckpt, tmp_path / "file" / "out.safetensors"], f"cannot write {tmp_path / 'file'}"),
    ):
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        assert result.exit_code == 2
        assert result.stderr.startswith(f"error: {message}")
        assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("fit --data DIGITS --model MLQ", "unknown model 'MLQ': did you mean 'MLP'? (known: CNN, "),
        ("fit --data DIGITS --model cnn", "unknown model 'cnn': did you mean 'CNN'?"),
        (
            "fit --model MLP --data MNISTDataModul",
            "unknown data module 'MNISTDataModul': did you mean 'MNISTD",
        ),
        ("fit --model MLP", "--data is needed: DigitsDataModule, MNISTDataModule"),
        ("fit --data DIGITS", "(or a class of yours), or a --ckpt_path"),
        ("fit --model MLP --data DIGITS --model.dropot 0.5", "Option 'dropot' is not accepted"),
        ("fit --model MLP --data DIGITS --model.lr high", "Expected a <class 'float'>. Got value: high"),
        ("fit --model MLP --data DIGITS --model.lr -1", "lr must be a finite number ≥ 0, got -1.0"),
        (
            "fit --model MLP --data DIGITS --model.optimizer adamm",
            "unknown optimizer 'adamm': did you mean 'Adam'?",
        ),
        ("fit --model MLP --data DIGITS --model.dropout 2", "between 0 and 1, but got 2.0"),
        ("fit --data DIGITS --model CNN --model.kernel_size 9", "images that survive its convolutions"),
        ("fit --model MLP --data DIGITS --data.batch_size 0", "batch_size must be at least 1, got 0"),
        ("fit --model MLP --data DIGITS --trainer.max_epochs many", "Given value: many"),
        ("fit --model MLP --data DIGITS --trainer.accelerator abacus", "accelerator='abacus'"),
        ("fit --config nowhere.yaml", "File does not exist"),
        ("fit --model MLP --data DIGITS --model.lr .inf", "lr must be a finite number ≥ 0, got inf"),
        (
            "fit --model MLP --data DIGITS --model.hidden_features [0]",
            "MLP expects hidden_features ≥ 1, got [0]",
        ),
        ("fit --model CNN --data DIGITS --model.kernel_size 0", "CNN expects kernel_size ≥ 1, got 0"),
        ("fit --model MLP --data DIGITS --ckpt_path nowhere.ckpt", "there is no checkpoint nowhere.ckpt"),
        ("test --data DIGITS --ckpt_path nowhere.ckpt", "there is no checkpoint nowhere.ckpt"),
        (
            "fit --model RNNLanguageModel --data DIGITS",
            "labelled images, which RNNLanguageModel cannot read",
        ),
        ("fit --model MLP --data DOCS", "PythonDocsDataModule gives texts, which MLP cannot read"),
        (
            "fit --model TransitionMatrixLM --data DOCS --data.chunk 20000",
            "Streams: in the validation part the",
        ),
        (
            "fit --model RNNLanguageModel --data DOCS --data.max_words 9",
            "max_words is for vocabulary='words'",
        ),
        (
            "fit --model RNNLanguageModel --data DOCS --data.vocabulary words --data.max_words 1",
            "max_words must be at least 2, the unknown one counted, got 1",
        ),
        (
            "fit --model RNNLanguageModel --data DOCS --data.vocabulary words --data.max_words 9 "
            "--data.unknown false",
            "PythonDocsDataModule: max_words=9 leaves words out, which needs unknown=True",
        ),
        (
            "fit --model RNNLanguageModel --data BabiDataModule --data.task 0",
            "task must be from 1 to 20, got 0",
        ),
        ("fit --model RNNLanguageModel --data DOCS --data.task 2", "Option 'task' is not accepted"),
        ("fit --model RNNLanguageModel --data TextFileDataModule", "required: path"),
        (
            "fit --model RNNLanguageModel --data TextFileDataModule --data.path nowhere.txt",
            "there is no file nowhere.txt",
        ),
        ("fit --model RNNLanguageModel --data TextFileDataModule --data.path .", "is a folder"),
        (
            "fit --model RNNLanguageModel --data DOCS --data.vocabulary letters",
            "'words']. Got value: letters",
        ),
        ("predict --model RNNLanguageModel --data DOCS", "use scripts/generate.py with its checkpoint"),
        ("test --data DIGITS --ckpt_path notes.txt", "notes.txt is truncated, or is not a checkpoint"),
        (
            "fit --model MLP --data MNISTDataModule --data.data_dir notes.txt/data",
            "cannot write notes.txt/data",
        ),
        ("train", "invalid choice: 'train'"),
        ("fit --epochs 3", "unrecognized arguments: --epochs 3"),
    ],
)
def test_bad_usage_is_one_line_and_exit_code_2(
    arguments: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notes.txt").write_text("not a checkpoint and not a folder")
    for short, name in (("DIGITS", "DigitsDataModule"), ("DOCS", "PythonDocsDataModule")):
        arguments = arguments.replace(short, name)
    with pytest.raises(SystemExit) as caught:
        gdl_torch(tmp_path, *arguments.split())
    assert caught.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error
    assert error.count("\n") == 1


def test_a_checkpoint_of_another_model_is_refused(
    ckpt: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """LightningCLI would build the checkpoint's model and train that."""
    with pytest.raises(SystemExit) as caught:
        gdl_torch(tmp_path, "fit", "--model", "CNN", "--data", "DigitsDataModule", "--ckpt_path", str(ckpt))
    assert caught.value.code == 2
    assert f"{ckpt} holds the model MLP, not CNN: leave out --model" in capsys.readouterr().err


@pytest.mark.skipif(not available("mnist"), reason="needs MNIST under $GDL_DATA")
def test_weights_of_another_model_are_refused(
    ckpt: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A model for 8×8 digits does not run on MNIST."""
    with pytest.raises(SystemExit) as caught:
        gdl_torch(tmp_path, "test", "--data", "MNISTDataModule", "--ckpt_path", str(ckpt), *SMALL[2:])
    assert caught.value.code == 2
    assert "size mismatch for layers.1.weight" in capsys.readouterr().err


def test_a_gpu_that_is_not_there(tmp_path: Path) -> None:
    """What a person sees who asks for one: a single line, and no traceback."""
    command = [
        sys.executable,
        "-m",
        "gdl_torch",
        "fit",
        "--model",
        "MLP",
        "--data",
        "DigitsDataModule",
        "--trainer.accelerator",
        "gpu",
    ]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""}
    result = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert result.returncode == 2
    assert result.stderr == (
        "error: this machine cannot do what the --trainer flags ask for: No supported gpu backend found!\n"
    )
    assert not result.stdout
