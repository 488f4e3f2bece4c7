"""`scripts/federated.py` as people run it: both backends, every protection, and what it refuses."""

from __future__ import annotations

import errno
import json
import os
import runpy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from gdl_numpy.checkpoint import load_checkpoint, load_model
from gdl_numpy.data import available, load
from gdl_numpy.federated import Participant
from gdl_numpy.federated.experiment import Experiment, Protect, protection_of

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.usefixtures("unchecked_types")  # as people run it

main = runpy.run_path(str(Path(__file__).parent.parent / "scripts" / "federated.py"))["main"]
WORDS = ("--data", "python_docs_topics", "--lr", "2")
LIBRARIES = {"masks": "cryptography", "paillier": "phe", "ckks": "tenseal", "noise": "opacus"}


@pytest.fixture
def federated(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Runs the script in a folder of its own; returns what rounds.json has."""

    def run(name: str, *arguments: str) -> dict[str, Any]:
        out = tmp_path / name
        assert main([*arguments, "--out", str(out)]) == 0
        assert (out / "rounds.png").read_bytes().startswith(b"\x89PNG")
        found: dict[str, Any] = json.loads((out / "rounds.json").read_text())
        found["model"] = load_model(out / "model.safetensors").state_dict()
        return found

    return run


def test_both_backends_learn_the_same(
    federated: Callable[..., dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    """Words by torch and by NumPy; nearly what one learns who has everything."""
    ours, theirs = (federated(backend, *WORDS, "--backend", backend) for backend in ("numpy", "torch"))
    printed = capsys.readouterr().out
    assert "SpamClassifier on python_docs_topics, torch: 3 participants" in printed
    for our, their in zip(ours["rounds"], theirs["rounds"], strict=True):
        assert our["metrics"] == pytest.approx(their["metrics"], abs=1e-5)
        assert our["losses"] == pytest.approx(their["losses"], abs=1e-5)
    accuracy = ours["rounds"][-1]["metrics"]["accuracy"]
    assert f"{accuracy:.2%}" in printed
    assert accuracy > ours["centralised"]["accuracy"] - 0.05 > 0.75


@pytest.mark.parametrize("name", [name for name in Protect if name != "none"])
def test_every_protection_gives_a_table(
    name: str, federated: Callable[..., dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    """Masks and encryption change nothing that could be seen; noise does, and says what privacy it costs."""
    pytest.importorskip(LIBRARIES[name])
    few = ("--participants", "2", "--rounds", "2", "--key-bits", "512", "--insecure-demo-keys")
    open_ = federated("none", *few)
    capsys.readouterr()
    hidden = federated(name, *few, "--protect", name)
    printed = capsys.readouterr().out
    apart = max(np.abs(hidden["model"][key] - array).max() for key, array in open_["model"].items())
    if name == "noise":
        assert apart > 0.1
        assert 0 < hidden["rounds"][0]["epsilon"] < hidden["rounds"][1]["epsilon"]
        assert "δ=1e-05" in printed
    else:
        assert apart < 1e-6
        assert hidden["rounds"][0]["epsilon"] is None
        assert hidden["rounds"][0]["metrics"] == pytest.approx(open_["rounds"][0]["metrics"], abs=1e-4)
    assert min(hidden["rounds"][0]["sent"].values()) >= min(open_["rounds"][0]["sent"].values())


@pytest.mark.parametrize("split", ["label", "100,200"])
def test_uneven_splits(split: str, federated: Callable[..., dict[str, Any]]) -> None:
    record = federated("run", "--split", split, "--rounds", "1")["rounds"][0]
    assert set(record["losses"]) == {"participant 1", "participant 2", "participant 3"}


def test_many_participants_have_one_column(
    federated: Callable[..., dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    federated("run", "--participants", "7", "--rounds", "1")
    assert "losses" in capsys.readouterr().out


def test_a_participant_that_fails_is_named_and_the_round_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    train = Participant.train

    def failing(self: Participant, state: Any, number: int) -> Any:
        if self.name == "participant 2" and number == 1:
            raise OSError("no power")
        return train(self, state, number)

    monkeypatch.setattr(Participant, "train", failing)
    assert main(["--out", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "round 2 was made without participant 'participant 2': it failed (no power)" in printed
    assert printed.count("missed") == 1
    rounds = json.loads((tmp_path / "rounds.json").read_text())["rounds"]
    assert [len(each["losses"]) for each in rounds] == [3, 2, 3]


def test_a_round_that_cannot_be_made_loses_none_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    train = Participant.train

    def failing(self: Participant, state: Any, number: int) -> Any:
        if number == 1:
            raise OSError("no power")
        return train(self, state, number)

    monkeypatch.setattr(Participant, "train", failing)
    assert main(["--out", str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert error.startswith(
        "federated.py: round 2 needs 1 update, got 0: participant 'participant 1': it failed"
    )
    assert error.count("\n") == 1
    assert len(json.loads((tmp_path / "rounds.json").read_text())["rounds"]) == 1
    load_checkpoint(tmp_path / "model.safetensors")


@pytest.mark.parametrize("writer", ["save_figure", "save_run"])
def test_a_full_disk_loses_no_round(
    writer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was made is in the table, whether the picture or the second round's model does not fit."""
    write, count = main.__globals__[writer], 0

    def full(*arguments: Any, **named: Any) -> None:
        nonlocal count
        count += 1
        if count == (2 if writer == "save_run" else 1):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(tmp_path / "file"))
        write(*arguments, **named)

    monkeypatch.setitem(main.__globals__, writer, full)
    assert main(["--out", str(tmp_path)]) == 2
    captured = capsys.readouterr()
    assert "accuracy" in captured.out
    assert captured.err.count("\n") == 1
    assert "No space left on device" in captured.err
    rounds = json.loads((tmp_path / "rounds.json").read_text())["rounds"]
    assert len(rounds) == (1 if writer == "save_run" else 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--participants", "1"], "--participants: Input should be greater than or equal to 2, got '1'"),
        (["--participants", "2000"], "participants must be at most 1,437, the number of examples, got 2,000"),
        (
            ["--split", "nobody"],
            "--split must be one of even, label, owner, or sizes like 1000,1000, got 'nobody'",
        ),
        (
            ["--split", "100"],
            "--split with 3 participants must have 2 sizes, and the last one has the rest; got 1",
        ),
        (["--split", "1000,1000"], "sizes must leave some of 1,437 examples, got 2,000 in all"),
        (
            ["--split", "owner"],
            "--split owner is for data whose examples have owners, such as spam_enron, not",
        ),
        (["--split", "label", "--alpha", "0"], "alpha must be more than 0, and finite, got 0.0"),
        (
            ["--data", "python_docs"],
            "python_docs is running text: choose other --data (images or labelled texts)",
        ),
        (["--data", "python_docs", "--model", "RNNLanguageModel"], "whose examples cannot be divided"),
        (["--model", "SpamClassifier"], "SpamClassifier takes labelled texts, but digits is images"),
        (["--lr", "nan"], "--lr must be more than 0, and finite, got nan"),
        (["--max-norm", "0"], "max_norm must be more than 0, got 0.0"),
        (["--protect", "paillier", "--key-bits", "1024"], "key_bits must be at least 2048, got 1024"),
        (
            ["--protect", "noise", "--noise-multiplier", "0"],
            "noise_multiplier must be from 0.001 to 10000, got 0.0",
        ),
        (["--protect", "noise", "--noise-multiplier", "1e300"], "noise_multiplier must be from 0.001 to"),
        (["--timeout", "nan"], "--timeout must be finite, got nan"),
        (["--ca", "ca.pem"], "--ca is for --join"),
        (["--protect", "noise", "--delta", "1"], "delta must be between 0 and 1, got 1.0"),
        (["--protect", "trust"], "'trust' is not one of 'none', 'masks', 'paillier', 'ckks', 'noise'"),
        (["--engine", "cloud"], "--engine: 'cloud'"),
    ],
)
def test_what_cannot_be_meant_is_one_line(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if "paillier" in arguments:
        pytest.importorskip("phe")
    assert main([*arguments, "--out", str(tmp_path / "run")]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("federated.py: ")
    assert captured.err.count("\n") == 1
    assert message in captured.err
    assert not captured.out


def test_noise_that_no_model_survives_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("opacus")
    assert main(["--protect", "noise", "--clip-norm", "1e99", "--out", str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert error.startswith("federated.py: round 1: the next model's 'layers.1.weight' must be finite, got ")
    assert error.count("\n") == 1


def test_a_run_is_not_replaced_unless_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--rounds", "1", "--out", str(tmp_path)]
    assert main(arguments) == 0
    assert main(arguments) == 2
    assert f"{tmp_path} has a run already: choose another with --out" in capsys.readouterr().err
    assert main([*arguments, "--overwrite"]) == 0


@pytest.mark.parametrize("protect", ["none", "noise"])
@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_a_run_goes_on_after_its_last_round(protect: str, backend: str, tmp_path: Path) -> None:
    """In two parts, it ends with the bits, the noise and the privacy spent of a run in one."""
    arguments = ["--protect", protect, "--backend", backend, "--out"]
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert main([*arguments, str(whole)]) == 0
    for rounds in ("1", "3"):
        assert main([*arguments, str(parts), "--rounds", rounds]) == 0
    records = [json.loads((folder / "rounds.json").read_text())["rounds"] for folder in (whole, parts)]
    for one, other in zip(*records, strict=True):
        assert {**one, "seconds": 0} == {**other, "seconds": 0}
    one, other = (load_checkpoint(folder / "model.safetensors")[0] for folder in (whole, parts))
    assert all(array.tobytes() == other[name].tobytes() for name, array in one.items())


def test_a_run_goes_on_with_the_same_settings_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--rounds", "1", "--out", str(tmp_path)]) == 0
    assert main(["--rounds", "2", "--seed", "1", "--batch-size", "10", "--out", str(tmp_path)]) == 2
    assert f"{tmp_path} has a run already with another batch_size, seed: choose" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "library"), LIBRARIES.items())
def test_a_library_that_is_missing_is_named(name: str, library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the way to have it; noise has an account of its own where Opacus is not there."""
    import sys

    if name == "noise":
        assert protection_of(name).epsilon == 0.0
        return
    for module in [m for m in sys.modules if m.partition(".")[0] == library]:
        monkeypatch.setitem(sys.modules, module, None)
    for module in ("masked", "masking", "paillier", "ckks"):
        monkeypatch.delitem(sys.modules, f"gdl_numpy.federated.{module}", raising=False)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ValueError, match=rf"--protect {name} needs {library}.*, which is not installed: pip"):
        protection_of(name)


def test_an_experiment_has_the_data_decide_its_sizes() -> None:
    experiment = Experiment.of("digits", batch_size=10)
    assert experiment.task.model.hparams["in_features"] == 64
    assert experiment.train.n == len(load("digits").train)
    assert [len(rows) for rows in experiment.shards("label", 4, 100.0, 0)] == pytest.approx(
        [359] * 4, rel=0.3
    )


@pytest.mark.skipif(not available("spam"), reason="spam is not there: see docs/federated.md")
def test_three_who_have_mail_filter_it_as_well_as_one(federated: Callable[..., dict[str, Any]]) -> None:
    """The book's rounds on real mail, on both backends: as in docs/federated.md."""
    mail = ("--data", "spam", "--split", "1000,1000")
    for backend in ("numpy", "torch"):
        found = federated(backend, *mail, "--backend", backend)
        accuracy = found["rounds"][-1]["metrics"]["accuracy"]
        assert accuracy > 0.98
        assert accuracy == pytest.approx(found["centralised"]["accuracy"], abs=0.005)
