"""A checkpoint of Lightning's is the old one or the new one, whenever the process dies."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import pytest
import torch
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint

from gdl_numpy.checkpoint import CheckpointError
from gdl_torch import training
from gdl_torch.checkpoint_io import ReplacingCheckpointIO
from gdl_torch.data import DigitsDataModule
from gdl_torch.models import MLP
from gdl_torch.restoring import Restoring, check_remembered
from parity_tests.support import QUIET, WARNINGS_OF_LIGHTNING, gdl_torch, trainer

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = WARNINGS_OF_LIGHTNING


class Killed(BaseException):
    """What a SIGKILL is to the code that it hits: nothing after it runs."""


@pytest.fixture
def renames(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[Path, Path]]:
    """What is renamed to what; and no file may come from the folder of temporary ones."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    seen: list[tuple[Path, Path]] = []
    replace = os.replace

    def watched(source: Any, target: Any) -> None:
        seen.append((Path(source), Path(target)))
        replace(source, target)

    def refused(source: Any, target: Any, *_: Any) -> None:
        raise AssertionError(f"{source} was moved to {target}, which over file systems is a copy")

    monkeypatch.setattr(os, "replace", watched)
    monkeypatch.setattr(shutil, "move", refused)
    return seen


def fit(folder: Path, epochs: int, **arguments: Any) -> None:
    model = MLP(64, (3,), 10)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    arguments |= {"accelerator": "cpu", "progress": False}
    training.fit(model, optimizer, DigitsDataModule(), epochs=epochs, directory=folder, **arguments)


def by_hand(folder: Path) -> list[str]:
    fit(folder, 2, patience=1)
    return ["checkpoint.ckpt"] * 3 + ["best.ckpt"] * 2


def by_the_command_line(folder: Path) -> list[str]:
    line = "fit --model MLP --data DigitsDataModule --trainer.max_epochs 1 --trainer.accelerator cpu"
    gdl_torch(folder, *line.split(), *QUIET)
    return ["epoch=0-step=21.ckpt"]


def with_plugins_of_the_users(folder: Path) -> list[str]:
    line = "fit --model MLP --data DigitsDataModule --trainer.max_epochs 1 --trainer.accelerator cpu"
    plugin = "--trainer.plugins", "pytorch_lightning.plugins.environments.LightningEnvironment"
    gdl_torch(folder, *line.split(), *plugin, *QUIET)
    return ["epoch=0-step=21.ckpt"]


@pytest.mark.parametrize("run", [by_hand, by_the_command_line, with_plugins_of_the_users])
def test_every_checkpoint_is_renamed_within_its_folder(
    run: Callable[[Path], list[str]], renames: list[tuple[Path, Path]], tmp_path: Path
) -> None:
    written = run(tmp_path)
    checkpoints = [(source, target) for source, target in renames if target.suffix == ".ckpt"]
    assert sorted(target.name for _, target in checkpoints) == sorted(written)
    assert all(source.parent == target.parent for source, target in checkpoints)


def test_a_kill_while_a_checkpoint_is_written_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of the new one is written; the old one is whole, and the run goes on from there."""
    fit(tmp_path, 1)
    before = (tmp_path / "checkpoint.ckpt").read_bytes()
    save = torch.save

    def half(value: Any, file: BinaryIO) -> None:
        save(value, file)
        file.truncate(file.tell() // 2)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", half)
        with pytest.raises(Killed):
            fit(tmp_path, 2, resume=True)
    assert (tmp_path / "checkpoint.ckpt").read_bytes() == before
    fit(tmp_path, 2, resume=True)


@pytest.mark.skipif(os.name == "nt", reason="limits the size of files as POSIX does")
def test_a_full_disk_loses_nothing_and_says_which_file(tmp_path: Path) -> None:
    """The size of files is limited: as with a full disk, the system gives an error."""
    import resource

    save, path = ReplacingCheckpointIO().save_checkpoint, tmp_path / "x.ckpt"
    save({"x": torch.ones(2)}, str(path))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(OSError, match="File too large") as caught:
            save({"x": torch.ones(1_000_000)}, str(path))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert caught.value.filename == str(path)
    assert torch.equal(torch.load(path, weights_only=True)["x"], torch.ones(2))
    assert [file.name for file in tmp_path.iterdir()] == ["x.ckpt"]


VICTIMS = [
    "{folder}/../victim/mine.txt",
    "{victim}/mine.txt",
    "local://{victim}",
    "file://{victim}",
    "{victim}",
]


def name_as_best(saved: dict[str, Any], chosen: str) -> None:
    """What Lightning deletes, as soon as it has something better."""
    for state in saved["callbacks"].values():
        if "best_model_path" in state:
            state |= {"best_k_models": dict.fromkeys([chosen], torch.tensor(1e9))}
            state |= {"kth_value": torch.tensor(1e9), "dirpath": str(Path(chosen).parent)}
            state |= dict.fromkeys(("best_model_path", "kth_best_model_path", "last_model_path"), chosen)


@pytest.mark.parametrize("place", VICTIMS)
def test_a_checkpoint_does_not_choose_what_is_deleted(place: str, tmp_path: Path) -> None:
    """Whatever it calls the best weights, and however."""
    (tmp_path / "victim").mkdir()
    (tmp_path / "victim" / "mine.txt").write_text("mine")
    by_the_command_line(tmp_path)
    (checkpoint,) = tmp_path.rglob("epoch=0-step=21.ckpt")
    saved = torch.load(checkpoint, weights_only=True)
    name_as_best(saved, place.format(folder=tmp_path, victim=tmp_path / "victim"))
    torch.save(saved, checkpoint)
    line = f"fit --data DigitsDataModule --trainer.max_epochs 3 --ckpt_path {checkpoint}"
    gdl_torch(tmp_path, *line.split(), *QUIET, "--trainer.accelerator", "cpu")
    assert (tmp_path / "victim" / "mine.txt").read_text() == "mine"


def fit_with_callbacks(folder: Path, epochs: int, checkpoint: Path | None = None) -> None:
    restoring = Restoring(checkpoint)
    best = ModelCheckpoint(folder / str(epochs), "best", monitor="val_loss", save_top_k=1)
    callbacks = [restoring, EarlyStopping("val_loss"), best]
    fitter = trainer(max_epochs=epochs, callbacks=callbacks, limit_val_batches=1, enable_checkpointing=True)
    with restoring.blaming():
        fitter.fit(MLP(64, (3,), 10), datamodule=DigitsDataModule(), ckpt_path=checkpoint, weights_only=True)


WRONG_MEMORIES = [
    {"best_k_models": {"x": 1}},
    {"best_model_path": 5},
    {"kth_value": "x"},
    {"wait_count": "x"},
    {"patience": None},
    {"best_score": 5.0},
]


@pytest.mark.parametrize("wrong", WRONG_MEMORIES, ids=lambda wrong: next(iter(wrong)))
def test_a_memory_of_something_else(wrong: dict[str, Any], tmp_path: Path) -> None:
    """Of Lightning's callbacks, which believe it."""
    (name,) = wrong
    fit_with_callbacks(tmp_path, 1)
    saved = torch.load(tmp_path / "1" / "best.ckpt", weights_only=True)
    (state,) = [state for state in saved["callbacks"].values() if name in state]
    state |= wrong
    torch.save(saved, tmp_path / "wrong.ckpt")
    with pytest.raises(CheckpointError, match=f"{name} is not"):
        fit_with_callbacks(tmp_path, 2, tmp_path / "wrong.ckpt")


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        (torch.optim.SGD, {}),
        (torch.optim.SGD, {"momentum": 0.9, "foreach": True}),
        (torch.optim.Adam, {"fused": True}),
        (torch.optim.Adam, {"amsgrad": True}),
        (torch.optim.AdamW, {"foreach": True}),
    ],
)
def test_what_an_optimizer_remembers(kind: type[torch.optim.Optimizer], arguments: dict[str, Any]) -> None:
    """Is taken up, whichever of its kernels it used; and with any part of it missing it is refused."""
    model = MLP(64, (3,), 10)
    optimizer: Any = kind(model.parameters(), lr=0.1, **arguments)  # type: ignore[call-arg]
    model(torch.ones(2, 1, 8, 8)).sum().backward()
    optimizer.step()
    state = optimizer.state_dict()
    check_remembered(optimizer, state)
    for number, remembered in state["state"].items():
        for name in [name for name, value in remembered.items() if value is not None]:
            rest = {other: value for other, value in remembered.items() if other != name}
            wrong = {**state, "state": {**state["state"], number: rest}}
            with pytest.raises(ValueError, match="its optimizer remembers"):
                check_remembered(optimizer, wrong)


def test_a_worse_epoch_does_not_take_the_place_of_the_best(tmp_path: Path) -> None:
    """Of a run that is resumed, in another folder; which was the best its history says."""
    fit(tmp_path / "here", 1, patience=3)
    best = tmp_path / "there" / "best.ckpt"
    (tmp_path / "here").rename(best.parent)
    saved = torch.load(best.with_name("checkpoint.ckpt"), weights_only=True)
    saved["callbacks"]["_Recorder"]["rows"][0]["validation_loss"] = -1.0  # as if nothing could be better
    torch.save(saved, best.with_name("checkpoint.ckpt"))
    before = best.read_bytes()
    fit(best.parent, 2, patience=3, resume=True)
    assert best.read_bytes() == before


def test_a_store_of_objects_is_lightnings_affair(tmp_path: Path) -> None:
    """It has no files to rename, and addresses that are no paths."""
    ReplacingCheckpointIO().save_checkpoint({"x": torch.ones(2)}, "memory://store/x.ckpt")
    loaded = ReplacingCheckpointIO().load_checkpoint("memory://store/x.ckpt", weights_only=True)
    assert torch.equal(loaded["x"], torch.ones(2))
