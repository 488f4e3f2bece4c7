"""Checkpoints: what was saved comes back, anything else is refused in one line."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import safetensors.numpy

from gdl_numpy.checkpoint import (
    CheckpointError,
    check_model,
    describe_model,
    load_checkpoint,
    load_model,
    load_vocabulary,
    save_checkpoint,
    save_model,
)
from gdl_numpy.data import Vocabulary
from gdl_numpy.models import CNN, MLP, LSTMLanguageModel
from gdl_numpy.nn import Linear

if TYPE_CHECKING:
    from gdl_numpy.nn import Module

ARRAYS = {
    "float32": np.array([[1.5, -0.0, np.inf]], np.float32),
    "float64": np.array([np.pi, np.nan]),
    "float16": np.array([1, 2], np.float16),
    "int64": np.array([-(2**63), 2**63 - 1]),
    "uint8": np.arange(5, dtype=np.uint8),
    "bool": np.array([True, False]),
    "scalar": np.array(7.0),
    "empty": np.zeros((0, 3), np.float32),
    "transposed": np.arange(6.0).reshape(2, 3).T,
    "strided": np.arange(10)[::3],
    "big-endian": np.arange(3, dtype=">f4"),
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "checkpoint.safetensors"


def small_models() -> list[Module]:
    return [
        MLP(6, (5, 4), 3, activation="relu", rng=1),
        CNN((2, 6, 5), (3,), pool_size=2, hidden_features=(4,), out_features=3, rng=2),
    ]


def example_for(model: Module) -> np.ndarray:
    shape = (4, 6) if isinstance(model, MLP) else (4, 2, 6, 5)
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


# --- what comes back ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_come_back(path: Path, name: str) -> None:
    """Every dtype, no dimensions, no elements, any memory layout (safetensors writes memory as it lies)."""
    original = ARRAYS[name].copy(order="K")
    save_checkpoint(path, {"x": ARRAYS[name]}, {})
    loaded = load_checkpoint(path)[0]["x"]
    assert loaded.shape == original.shape
    assert loaded.dtype == original.dtype.newbyteorder("=")
    np.testing.assert_array_equal(loaded, original)
    assert loaded.flags.writeable


def test_metadata_comes_back(path: Path) -> None:
    metadata: dict[str, Any] = {
        "text": 'naïve "quotes" \\ \n 漢字',
        "losses": [{"loss": 0.1, "diverged": float("inf")}, None, True],
        "zeros": "0" * 64,
        "nested": {"a": {"b": []}},
    }
    save_checkpoint(path, {"0" * 64: np.arange(3)}, metadata)
    assert load_checkpoint(path)[1] == metadata


def test_metadata_takes_tuples_and_numpy_scalars(path: Path) -> None:
    """What training has at hand: losses as NumPy floats, sizes as tuples."""
    save_checkpoint(path, {}, {"sizes": (1, 2), "loss": np.float32(0.5), "steps": np.int64(3)})
    assert load_checkpoint(path)[1] == {"sizes": [1, 2], "loss": 0.5, "steps": 3}


def test_a_generator_goes_on_where_it_was(path: Path) -> None:
    """Its state holds 128-bit integers, which must not pass through a float."""
    generator = np.random.default_rng(3)
    generator.random(7)
    save_checkpoint(path, {}, {"rng": generator.bit_generator.state})
    resumed = np.random.default_rng()
    resumed.bit_generator.state = load_checkpoint(path)[1]["rng"]
    np.testing.assert_array_equal(resumed.random(5), generator.random(5))


def test_the_same_content_is_the_same_file(tmp_path: Path) -> None:
    """So that runs can be compared with `cmp`."""
    for name in ("a", "b"):
        save_checkpoint(tmp_path / name, ARRAYS, {"one": 1, "two": 2})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_any_safetensors_reader_opens_the_file(path: Path) -> None:
    save_checkpoint(path, {"x": ARRAYS["float32"]}, {})
    np.testing.assert_array_equal(safetensors.numpy.load_file(path)["x"], ARRAYS["float32"])


# --- what is refused ---------------------------------------------------------------------------------------


def refused(path: Path, message: str) -> None:
    with pytest.raises(CheckpointError, match=message) as refusal:
        load_checkpoint(path)
    assert str(path) in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_any_changed_bit_is_noticed(path: Path) -> None:
    """In the arrays, in the header, in the digest itself: every bit of the file is tried."""
    save_checkpoint(path, {"a": np.arange(3, dtype=np.float32)}, {"epoch": 3})
    good = path.read_bytes()
    for position in range(len(good)):
        for bit in range(8):
            bad = bytearray(good)
            bad[position] ^= 1 << bit
            path.write_bytes(bad)
            with pytest.raises(CheckpointError):
                load_checkpoint(path)


def test_a_truncated_or_lengthened_file_is_refused(path: Path) -> None:
    save_checkpoint(path, {"a": np.arange(3, dtype=np.float32)}, {"epoch": 3})
    good = path.read_bytes()
    for length in range(len(good)):
        path.write_bytes(good[:length])
        with pytest.raises(CheckpointError):
            load_checkpoint(path)
    path.write_bytes(good[:-1])
    refused(
        path,
        "is truncated or was changed .* delete it and use another copy, or train or export the model again",
    )
    path.write_bytes(good + b"\0")
    refused(path, "is truncated or was changed")


def other_peoples_files() -> dict[str, bytes]:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("data.pkl", b"")
    return {
        "empty": b"",
        "text": b"epoch: 3\n" * 100,
        "zip, as torch.save writes it": archive.getvalue(),
        "safetensors without metadata": safetensors.numpy.save({"a": np.arange(3)}),
        "safetensors with other metadata": safetensors.numpy.save({"a": np.arange(3)}, {"format": "pt"}),
        "our entry, but a list": safetensors.numpy.save({"a": np.arange(3)}, {"gdl_parity": "[]"}),
        "header of no object": (2).to_bytes(8, "little") + b"[]",
        "header nested without end": (10**5).to_bytes(8, "little") + b"[" * 10**5,
    }


@pytest.mark.parametrize("kind", other_peoples_files())
def test_other_peoples_files_are_refused(path: Path, kind: str) -> None:
    path.parent.mkdir()
    path.write_bytes(other_peoples_files()[kind])
    refused(path, "is not a checkpoint of this project, or its header is damaged: give a file that")


@pytest.mark.parametrize("entry", ["{}", '{"sha256": 3}', '{"sha256": ""}', '{"sha256": "\\ud800"}'])
def test_an_entry_without_a_digest_is_refused(path: Path, entry: str) -> None:
    path.parent.mkdir()
    path.write_bytes(safetensors.numpy.save({"a": np.arange(3)}, {"gdl_parity": entry}))
    refused(path, "its SHA-256 does not match")


def test_a_pickle_is_not_run(path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (path.with_name("trapped"),)

    path.parent.mkdir()
    path.write_bytes(pickle.dumps(Trap()))
    refused(path, "is not a checkpoint of this project")
    assert not path.with_name("trapped").exists()


def test_a_missing_file_and_a_folder_are_refused(path: Path) -> None:
    refused(path, "there is no checkpoint .*: check the name, or train a model first")
    path.mkdir(parents=True)
    refused(path, "cannot read the checkpoint")


def test_what_cannot_be_stored_is_refused_before_anything_is_written(path: Path) -> None:
    with pytest.raises(ValueError, match="metadata of a checkpoint must be JSON: it holds a Generator"):
        save_checkpoint(path, {}, {"rng": np.random.default_rng()})
    with pytest.raises(
        ValueError, match="tensor 'x' of a checkpoint must be bool, integer or float, got object"
    ):
        save_checkpoint(path, {"x": np.array([None])}, {})
    assert not path.parent.exists()


def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"Not a directory: .*checkpoint.safetensors"):
        save_checkpoint(tmp_path / "file" / "checkpoint.safetensors", {}, {})


def test_a_failed_write_leaves_the_old_file_alone(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fills up while a checkpoint is written must not cost the one before."""
    save_checkpoint(path, {}, {"epoch": 1})

    def fill_up(self: Path, content: bytes) -> int:
        with self.open("wb") as file:
            file.write(content[: len(content) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fill_up)
    with pytest.raises(OSError, match="No space left on device"):
        save_checkpoint(path, {}, {"epoch": 2})
    assert load_checkpoint(path)[1] == {"epoch": 1}
    assert list(path.parent.iterdir()) == [path]


# --- models ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", small_models(), ids=lambda model: type(model).__name__)
def test_a_model_comes_back(path: Path, model: Module) -> None:
    """From the file alone, ready to predict: the dropout of 0.5 is off."""
    save_model(path, model)
    loaded = load_model(path)
    assert type(loaded) is type(model)
    assert not any(module.training for _, module in loaded.named_modules())
    assert describe_model(loaded) == describe_model(model)
    x = example_for(model)
    np.testing.assert_array_equal(loaded(x), model.eval()(x), strict=True)


@pytest.mark.parametrize("stored", [np.float32, np.float64])
def test_a_models_dtype_is_the_stored_one_unless_asked(path: Path, stored: type[np.floating[Any]]) -> None:
    save_model(path, MLP(6, (5,), 3, rng=1, dtype=stored))
    assert {p.data.dtype for p in load_model(path).parameters()} == {np.dtype(stored)}
    assert {p.data.dtype for p in load_model(path, np.float64).parameters()} == {np.dtype(np.float64)}


def test_a_model_is_found_in_a_training_checkpoint(path: Path) -> None:
    model = MLP(6, (5,), 3, rng=1)
    tensors = {f"model.{name}": array for name, array in model.state_dict().items()}
    tensors |= {"optimizer.momentum.0": np.ones((5, 6)), "best.layers.1.weight": np.ones((5, 6), np.float32)}
    save_checkpoint(path, tensors, {**describe_model(model), "epoch": 3})
    loaded = load_model(path)
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(loaded.state_dict()[name], array, strict=True)


def test_a_vocabulary_comes_back(path: Path) -> None:
    """Any Unicode, also what is no character at all; and the model beside it as without."""
    vocabulary = Vocabulary.build('naïve "quotes" \\ \n 漢字 \U0001f600 \ud800')
    model = LSTMLanguageModel(len(vocabulary), 3, 4, rng=1)
    save_model(path, model, vocabulary)
    assert load_vocabulary(path) == vocabulary
    assert describe_model(load_model(path)) == describe_model(model)
    check_model(path, load_checkpoint(path)[1], model)


def test_a_checkpoint_without_a_vocabulary_is_refused(path: Path) -> None:
    save_model(path, MLP(6, (5,), 3, rng=1))
    with pytest.raises(CheckpointError, match="holds no vocabulary: give the checkpoint of a language model"):
        load_vocabulary(path)


@pytest.mark.parametrize("value", [None, [], {"kind": "letters", "unknown": True, "symbols": ["a"]}])
def test_a_vocabulary_of_another_version_is_refused(path: Path, value: Any) -> None:
    save_checkpoint(path, {}, {"vocabulary": value})
    with pytest.raises(CheckpointError, match="holds no vocabulary that this version can read") as refusal:
        load_vocabulary(path)
    assert str(path) in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("tensors", "metadata", "reason"),
    [
        ({"w": np.ones(3)}, {}, "unknown model 'None'"),
        ({"w": np.ones(3)}, {"model": "MPL", "hparams": {}}, "unknown model 'MPL': did you mean 'MLP'"),
        ({"w": np.ones(3)}, {"model": "MLP"}, "more weights than it holds"),
        ({"w": np.ones(3)}, {"model": "MLP", "hparams": {"depth": 3}}, "there is no argument 'depth'"),
        ({"w": np.ones(3)}, {"model": "MLP", "hparams": {}}, "more weights than it holds"),
        ({"w": np.ones(200_000)}, {"model": "MLP", "hparams": {}}, "unexpected key"),
        ({"w": np.ones(200_000, int)}, {"model": "MLP", "hparams": {}}, "must be float32 or float64"),
        ({}, {"model": "MLP", "hparams": {}}, "must be float32 or float64, and are none"),
    ],
    ids=[
        "no model",
        "unknown model",
        "no arguments",
        "other arguments",
        "few weights",
        "other weights",
        "integers",
        "no weights",
    ],
)
def test_a_checkpoint_without_a_known_model_is_refused(
    path: Path, tensors: dict[str, np.ndarray], metadata: dict[str, Any], reason: str
) -> None:
    save_checkpoint(path, tensors, metadata)
    with pytest.raises(
        CheckpointError, match=rf"holds no model that this version can build \(.*{reason}"
    ) as refusal:
        load_model(path)
    assert "\n" not in str(refusal.value)


def test_a_checkpoint_of_another_model_is_refused(path: Path) -> None:
    """Another class, or the same with other arguments: resuming it would train something else."""
    mlp, other, cnn = MLP(6, (5,), 3), MLP(6, (4,), 3), CNN((2, 6, 5))
    save_model(path, mlp)
    _, metadata = load_checkpoint(path)
    check_model(path, metadata, mlp)
    with pytest.raises(
        CheckpointError, match=r"holds MLP\(.*hidden_features=\[5\].*not MLP\(.*=\[4\].*: give"
    ):
        check_model(path, metadata, other)
    with pytest.raises(CheckpointError, match=r"holds MLP\(.*\), not CNN\("):
        check_model(path, metadata, cnn)
    with pytest.raises(CheckpointError, match=r"holds no model\(\), not MLP\("):
        check_model(path, {}, mlp)


def test_a_module_without_arguments_to_keep_is_refused(path: Path) -> None:
    with pytest.raises(ValueError, match="Linear has no hparams to build it from again"):
        save_model(path, Linear(2, 3))
