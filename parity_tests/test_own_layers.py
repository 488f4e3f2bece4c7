"""Layers of somebody's own: the command line, the fixture for other projects' tests, and what docs/ say."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from parity_tests.check import main

if TYPE_CHECKING:
    from collections.abc import Callable

    Lines = Callable[..., tuple[int, str, str]]

DOCUMENT = (Path(__file__).parents[1] / "docs" / "your-own-layer.md").read_text()
LAYER, TEST, *EXAMPLES = re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL)
ARGS = ["--args", '{"in_features": 3, "out_features": 4}', "--input", "5,3"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the document's layers are, in `my_layer.py`."""
    (tmp_path / "my_layer.py").write_text(LAYER)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.delitem(sys.modules, "my_layer", raising=False)
    return tmp_path


@pytest.fixture
def run(folder: Path, capsys: pytest.CaptureFixture[str]) -> Lines:
    """Runs a command line in that folder: its exit code, output and errors."""

    def run(*arguments: str) -> tuple[int, str, str]:
        code = main(list(arguments))
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def test_the_document_s_other_examples_run(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One after the other, each with nothing but what it says itself."""
    for example in EXAMPLES:
        exec(compile(example, "your-own-layer.md", "exec"), {"__name__": "example"})
    found = capsys.readouterr().out.splitlines()
    assert len(found) == 2
    assert all("tensors agree" in line for line in found)


def without_numbers(line: str) -> str:
    """What is the same on every machine."""
    return re.sub(r"-?\d+(\.\d+)?(e[-+]\d+)?", "#", line)


def test_the_document_shows_what_comes_out(run: Lines) -> None:
    """Every command in it, and the lines after its table; the first finds no difference, the second one."""
    (console,) = re.findall(r"```console\n(.*?)```", DOCUMENT, re.DOTALL)
    codes = []
    for shown in re.split(r"^\$ ", console, flags=re.MULTILINE)[1:]:
        command, *output = shown.splitlines()
        python, flag, module, *arguments = shlex.split(command)
        assert (python, flag, module) == ("python", "-m", "parity_tests.check")
        code, out, _ = run(*arguments)
        codes.append(code)
        expected = [without_numbers(line) for line in output if "(float" in line]
        assert expected == [without_numbers(line) for line in out.splitlines() if "(float" in line]
        assert without_numbers(output[2]) in without_numbers(out)
    assert codes == [0, 1]


TORCH_LAYER = """
import torch
class Inside(torch.nn.Module):
    def __init__(self, *sizes):
        super().__init__()
        self.fc = torch.nn.Linear(*sizes)
    def forward(self, x):
        return self.fc(x)
"""


@pytest.mark.parametrize(
    "arguments",
    [
        "torch.nn:GRU torch.nn:GRU --args [3,4] --input 5,2,3 --eval",
        "gdl_numpy.nn:Embedding torch.nn:Embedding --args [10,4] --input 5,2:10",
        "gdl_numpy.nn:CrossEntropyLoss torch.nn:CrossEntropyLoss --input 5,2 --target 5:2",
        "my_layer.py:MyLinear torch.nn:Linear --args [3,4] --input 5,3 --target 5:4 --loss CrossEntropyLoss",
        "torch.nn:Linear torch.nn:Linear --args [3,4] --input 5,3 --target 5,4 --loss mseloss",
        "my_layer.py:MyLinear my_torch.py:Inside --args [3,4] --input 5,3 --names order",
        'my_layer.py:MyLinear my_torch.py:Inside --args [3,4] --input x.npy --names \'{"": "fc"}\'',
        "my_layer.py:MyLinear torch.nn:Linear --args [3,4] --torch-args '[3,4,true]' --input 5,3",
    ],
)
def test_what_can_be_compared(arguments: str, run: Lines, folder: Path) -> None:
    (folder / "my_torch.py").write_text(TORCH_LAYER)
    np.save(folder / "x.npy", np.ones((5, 3)))
    code, out, err = run(*shlex.split(arguments), "--steps", "1")
    assert (code, err, out.count("tensors agree")) == (0, "", 2)


def test_json_has_every_comparison(run: Lines, folder: Path) -> None:
    run("my_layer.py:Wrong", "torch.nn:Linear", *ARGS, "--json", "found.json")
    single, double = json.loads((folder / "found.json").read_text())
    assert (single["dtype"], double["dtype"]) == ("float32", "float64")
    wrong = {c["tensor"] for c in double["comparisons"] if not c["ok"]}
    assert wrong == {"grad bias", "bias"}


BROKEN = """
from gdl_numpy import nn
class Broken(nn.Module):
    def forward(self, x):
        return x[0, 0, 0]
class Nothing: pass
class Leaves(nn.Module):
    def forward(self, x):
        raise SystemExit("bye")
"""


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (
            "my_layer.py:MyLiner torch.nn:Linear",
            "unknown name in my_layer.py 'MyLiner': did you mean 'MyLinear'",
        ),
        ("my_layer.py torch.nn:Linear", "expected FILE.py:NAME or MODULE:NAME, got 'my_layer.py'"),
        ("nowhere.py:A torch.nn:Linear", "nowhere.py: there is no such file"),
        ("nowhere:A torch.nn:Linear", "nowhere:A: ModuleNotFoundError: No module named 'nowhere'"),
        (
            "my_layer.py:MyLinear torch.nn:Linear",
            "my_layer.py:MyLinear: TypeError: MyLinear.__init__() missing",
        ),
        ("my_layer.py:MyLinear torch.nn:Linear --args {", "--args expects JSON, got '{'"),
        ("my_layer.py:MyLinear torch.nn:Linear --args 3", "--args expects a JSON object or list, got 3"),
        ("broken.py:Broken torch.nn:Identity --input 5,3", "broken.py, line 5: IndexError: too many indices"),
        ("broken.py:Nothing torch.nn:Identity --input 5,3", "broken.py:Nothing makes Nothing, which is no"),
        (
            "torch.nn:ReLU gdl_numpy.nn:ReLU --input 5,3",
            "gdl_numpy.nn:ReLU makes ReLU, which is no torch.nn.Module",
        ),
        ("torch.nn:ReLU torch.nn:ReLU --input 5x3", "--input expects a shape such as 5,3, or of ids"),
        ("torch.nn:ReLU torch.nn:ReLU --input 5:0", "--input 5:0: there are no ids below 0"),
        ("broken.py:Leaves torch.nn:Identity --input 5,3", "broken.py, line 9: SystemExit: bye"),
        ("torch.nn:ReLU torch.nn:ReLU --input empty.npy", "--input empty.npy: the file is empty"),
        (
            "torch.nn:ReLU torch.nn:ReLU --input 5,3 --dtype tf32 --device cpu",
            "--dtype tf32 is for --device cuda",
        ),
        ("torch.nn:ReLU torch.nn:ReLU --input no.npy", "no.npy: No such file or directory"),
        ("torch.nn:ReLU torch.nn:ReLU --input 5,3 --names [1]", "--names expects names by names, or: order"),
        (
            "torch.nn:ReLU torch.nn:ReLU --input 5,3 --loss MSLoss",
            "unknown loss 'MSLoss': did you mean 'MSELoss'",
        ),
    ],
    ids=str,
)
def test_bad_usage_is_one_line(arguments: str, line: str, run: Lines, folder: Path) -> None:
    (folder / "broken.py").write_text(BROKEN)
    (folder / "empty.npy").touch()
    code, out, err = run(*shlex.split(arguments))
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(f"parity_tests.check: {line}")


WRONG = """
from my_layer import Wrong

X = np.ones((5, 3))


def test_wrong(parity):
    parity(Wrong(3, 4), torch.nn.Linear(3, 4), X)
"""


def test_the_fixture_in_another_project(folder: Path) -> None:
    """Whoever has this package installed has it: one test that passes, and one that fails."""
    (folder / "test_mine.py").write_text(TEST + WRONG)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "1 failed, 1 passed" in done.stdout, done.stdout + done.stderr
    said = "Wrong (float#, cpu): # of # tensors disagree, first module: torch grad bias["
    assert said in without_numbers(done.stdout)
