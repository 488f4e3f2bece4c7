"""Bad usage of `python -m gdl_torch` is one line and exit code 2."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch

from gdl_numpy.data import available
from parity_tests.support import QUIET, digits_checkpoint, gdl_torch
from parity_tests.support.forks import needs_forks, start

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture(scope="module")
def ckpt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return digits_checkpoint(tmp_path_factory.mktemp("run"))


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


@needs_forks
def test_what_cannot_be_written_is_found_before_the_work(ckpt: Path, tmp_path: Path) -> None:
    """Without a logger the folder is the user's own choice; what a terminal cannot say costs nothing."""
    (tmp_path / "notes").write_text("no folder")
    quiet = ["--data", "DigitsDataModule", *QUIET, "--trainer.logger", "false"]
    fit, predict = ["fit", "--model", "MLP", *quiet], ["predict", "--ckpt_path", str(ckpt), *quiet]
    for line, place in ((fit, "notes/x"), (predict, "notes/x/predictions.csv")):
        arguments = ["-m", "gdl_torch", *line, "--trainer.default_root_dir", "notes/x"]
        process, said = start(arguments, tmp_path)
        process.join(60)
        assert process.exitcode == 2
        (error,) = [line for line in said.read_text().splitlines() if line.startswith("error: ")]
        assert error.startswith(f"error: cannot write to {place} (Not a directory): choose another")
        assert "Epoch" not in said.read_text()
        said.unlink()
    arguments = ["-m", "gdl_torch", *predict, "--trainer.default_root_dir", "ж"]
    command = [sys.executable, *arguments]
    environment = os.environ | {"PYTHONIOENCODING": "cp1252", "PYTHONPATH": str(Path(__file__).parents[1])}
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=False)
    assert result.returncode == 0, result.stderr
    assert b"wrote 360 predictions to ?/predictions.csv" in result.stdout
    assert (tmp_path / "ж" / "predictions.csv").exists()


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
        gdl_torch(tmp_path, "test", "--data", "MNISTDataModule", "--ckpt_path", str(ckpt), *QUIET)
    assert caught.value.code == 2
    assert "size mismatch for layers.1.weight" in capsys.readouterr().err


@needs_forks
def test_a_gpu_that_is_not_there(tmp_path: Path) -> None:
    """What a person sees who asks for one: a single line, and no traceback."""
    line = "-m gdl_torch fit --model MLP --data DigitsDataModule --trainer.accelerator gpu"
    process, said = start(line.split(), tmp_path, CUDA_VISIBLE_DEVICES="")
    process.join(60)
    assert process.exitcode == 2
    assert said.read_text() == (
        "error: this machine cannot do what the --trainer flags ask for: No supported gpu backend found!\n"
    )


# What a crafted checkpoint may say its model is, in the place of what it was; and how that is refused.
CRAFTED: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "another class": (lambda _: {"_class_path": "evil.MLP"}, "holds no model of ours but evil.MLP"),
    "no class": (lambda _: {}, "holds no model of ours but None"),
    "a class to be parsed": (
        lambda _: {"class_path": "evil.MLP"},
        "arguments that are not those of a model of ours",
    ),
    "a class among the arguments": (
        lambda own: own | {"activation": [{"class_path": "evil.MLP"}]},
        "holds no MLP that this version can build",
    ),
    "a class under a key with dots": (
        lambda own: own | {"init_args.activation.class_path": "evil.MLP"},
        "there is no argument 'init_args",
    ),
    "no arguments": (lambda _: ["evil.MLP"], "its hyper_parameters is not dict"),
}


@pytest.mark.parametrize(
    ("subcommand", "crafted", "name"),
    [
        *(("fit", crafted, "crafted.ckpt") for crafted in CRAFTED),
        *((subcommand, "another class", "last") for subcommand in ("validate", "test", "predict")),
    ],
)
def test_a_checkpoint_chooses_no_code(
    subcommand: str,
    crafted: str,
    name: str,
    ckpt: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A file that names a class is refused before anything is imported, also under a name of Lightning's."""
    (tmp_path / "evil.py").write_text("from gdl_torch.models import MLP\nopen('run', 'w').close()\n")
    monkeypatch.syspath_prepend(tmp_path)
    checkpoint = torch.load(ckpt, weights_only=True)
    craft, message = CRAFTED[crafted]
    checkpoint["hyper_parameters"] = craft(checkpoint["hyper_parameters"])
    torch.save(checkpoint, tmp_path / name)
    arguments = (subcommand, "--data", "DigitsDataModule", "--ckpt_path", name, *QUIET)
    for model in ((), ("--model", "MLP")):
        with pytest.raises(SystemExit, match="2"):
            gdl_torch(tmp_path, *arguments, *model)
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"error: {name} ")
        assert model or message in line
    assert not (tmp_path / "run").exists()
    assert "evil" not in sys.modules


@pytest.mark.parametrize("address", ["http://127.0.0.1:1/x.ckpt", "https://x.org/x.ckpt", "file:///x.ckpt"])
def test_a_checkpoint_from_elsewhere_is_refused(
    address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Lightning would fetch it, and run what is in it."""
    line = f"validate --model MLP --data DigitsDataModule --ckpt_path {address}"
    with pytest.raises(SystemExit, match="2"):
        gdl_torch(tmp_path, *line.split())
    assert f"--ckpt_path must be a file of this machine, which can be checked; got {address}" in (
        capsys.readouterr().err
    )


def test_a_class_of_the_users_own_is_built(
    ckpt: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By exactly the path that the checkpoint has, if the user gives it too."""
    (tmp_path / "my_models.py").write_text(
        "from gdl_torch.models import MLP as Base\nclass Mine(Base): ...\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    checkpoint = torch.load(ckpt, weights_only=True)
    checkpoint["hyper_parameters"]["_class_path"] = "my_models.Mine"
    torch.save(checkpoint, tmp_path / "own.ckpt")
    arguments = ("validate", "--data", "DigitsDataModule", "--ckpt_path", "own.ckpt", *QUIET)
    gdl_torch(tmp_path, *arguments, "--model", "my_models.Mine")
    with pytest.raises(SystemExit, match="2"):
        gdl_torch(tmp_path, *arguments)


MINE = """
from collections.abc import Callable
from typing import Any, Literal
import torch
from gdl_torch.models import MLP
class Mine(MLP):
    def __init__(
        self, in_features: int, kind: type | None = None, module: torch.nn.Module | None = None,
        function: Callable | None = None, any: Any = None, untyped=None, said: Literal["a", "b"] = "a",
        **rest,
    ) -> None:
        super().__init__(in_features, **rest)
"""
EVIL = "import pathlib, torch\npathlib.Path('run').touch()\nclass Module(torch.nn.Module): ...\n"


@pytest.mark.parametrize("value", ["evil.Module", "evil.yaml", "class_path: evil.Module", ["evil.Module"]])
def test_a_checkpoint_chooses_no_code_for_a_class_of_the_users_own(
    value: Any,
    ckpt: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Nor for its arguments, where those may be something else than values; what the user gives counts."""
    (tmp_path / "my_model.py").write_text(MINE)
    (tmp_path / "evil.py").write_text(EVIL)
    (tmp_path / "evil.yaml").write_text("class_path: evil.Module")
    monkeypatch.syspath_prepend(tmp_path)
    checkpoint = torch.load(ckpt, weights_only=True)
    own = checkpoint["hyper_parameters"] | {"_class_path": "my_model.Mine", "said": "b"}
    line = "validate --model my_model.Mine --data DigitsDataModule --ckpt_path own.ckpt"
    for name in ("kind", "module", "function", "any", "untyped", "rest"):
        checkpoint["hyper_parameters"] = own | {name: value}
        torch.save(checkpoint, tmp_path / "own.ckpt")
        with pytest.raises(SystemExit, match="2"):
            gdl_torch(tmp_path, *line.split(), *QUIET)
        (error,) = capsys.readouterr().err.splitlines()
        assert f"own.ckpt: {name} is {value!r}" in error
    assert not (tmp_path / "run").exists()
    assert "evil" not in sys.modules
    checkpoint["hyper_parameters"] = own | {"untyped": "mine"}
    torch.save(checkpoint, tmp_path / "own.ckpt")
    gdl_torch(tmp_path, *line.split(), "--model.untyped", "mine", *QUIET)
