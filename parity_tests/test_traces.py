"""A run written down by one side is held against the other, also where there is no torch."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from gdl_numpy import nn
from gdl_numpy.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from parity_tests.harness import check_trace, write_trace
from parity_tests.support.reports import batch, fails

if TYPE_CHECKING:
    from pathlib import Path

IDS = np.array([0, 2, 1, 1, 0])


def numpy_net(p: float = 0.0) -> nn.Module:
    return nn.Sequential(nn.Linear(4, 6, rng=0), nn.ReLU(), nn.Dropout(p, rng=1), nn.Linear(6, 3, rng=2))


def torch_net(p: float = 0.0) -> torch.nn.Module:
    return torch.nn.Sequential(
        torch.nn.Linear(4, 6), torch.nn.ReLU(), torch.nn.Dropout(p), torch.nn.Linear(6, 3)
    )


SIDES: dict[str, tuple[Any, Any]] = {
    "numpy": (numpy_net, nn.CrossEntropyLoss),
    "torch": (torch_net, torch.nn.CrossEntropyLoss),
}


class Leaky(nn.ReLU):
    def backward(self, grad_output: np.ndarray) -> np.ndarray | None:
        grad = super().backward(grad_output)
        return None if grad is None else grad + 0.01 * grad_output


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run.safetensors"


@pytest.mark.parametrize(("writes", "checks"), [("numpy", "torch"), ("torch", "numpy"), ("torch", "torch")])
@pytest.mark.parametrize("with_loss", [True, False])
def test_either_way(writes: str, checks: str, with_loss: bool, path: Path, dtype: str) -> None:
    """With dropout, and other batches in later steps; everything that is written is compared."""
    make, loss = SIDES[writes]
    targets, losses = (IDS, (loss(),)) if with_loss else (None, ())
    more = [(batch(5, 4, seed=2), targets)]
    options: dict[str, Any] = {"optimizer": "AdamW", "optimizer_args": {"lr": 0.01}, "steps": 3}
    write_trace(path, make(0.4), batch(5, 4), targets, *losses, batches=more, dtype=dtype, **options)
    make, loss = SIDES[checks]
    report = check_trace(path, make(0.4), *((loss(),) if with_loss else ()))
    report.raise_if_different()
    compared = {(c.layer, c.tensor) for c in report.comparisons}
    assert {
        ("0", "output in the model"),
        ("3", "grad weight in the model"),
        ("step 3", "0.weight"),
    } <= compared
    assert ((("step 2", "loss") in compared), (("step 3", "output of the model") in compared)) == (
        with_loss,
        True,
    )


def test_a_mistake_is_seen_in_what_another_wrote(path: Path, dtype: str) -> None:
    """The right side wrote it, and the wrong one is checked; and the other way round."""
    wrong: Any = numpy_net()
    setattr(wrong, "1", Leaky())
    write_trace(path, torch_net(), batch(5, 4), dtype=dtype)
    fails(check_trace(path, wrong), "0: numpy grad_output in the model")
    write_trace(path, wrong, batch(5, 4), dtype=dtype)
    fails(check_trace(path, torch_net()), "0: trace grad_output in the model")


@pytest.mark.parametrize("layer", ["ReLU", "LSTM"])
def test_a_layer_alone(layer: str, path: Path, dtype: str) -> None:
    """All of what it gives is compared, where a model would be compared layer by layer."""
    sizes = () if layer == "ReLU" else (4, 3)
    x = batch(5, 2, 4)
    write_trace(path, getattr(torch.nn, layer)(*sizes), x, dtype=dtype)
    report = check_trace(path, getattr(nn, layer)(*sizes))
    report.raise_if_different()
    assert {c.tensor.split()[0] for c in report.comparisons} >= {"output", "grad_input", "grad_output"}
    write_trace(path, getattr(nn, layer)(*sizes), x, dtype=dtype)
    check_trace(path, getattr(torch.nn, layer)(*sizes)).raise_if_different()


def test_what_is_in_the_file(path: Path) -> None:
    """Activations, gradients, inputs, and the parameters after each step, under their names."""
    write_trace(path, numpy_net(), batch(5, 4), IDS, nn.CrossEntropyLoss(), steps=2)
    arrays = load_file(path)
    assert arrays["inputs/0/0"].shape == (5, 4)
    assert arrays["value/0/output/model.0/0"].shape == arrays["value/0/grad_output/model.0/0"].shape == (5, 6)
    assert arrays["value/0/grad/model.3.weight"].shape == (3, 6)
    assert not np.array_equal(
        arrays["value/0/parameter/model.3.bias"], arrays["value/1/parameter/model.3.bias"]
    )


def test_what_cannot_be_held_against_each_other(path: Path, tmp_path: Path) -> None:
    write_trace(path, numpy_net(), batch(5, 4))
    with pytest.raises(ValueError, match="has no bounds, since a NumPy module wrote it"):
        check_trace(path, numpy_net())
    with pytest.raises(ValueError, match="was written without a loss"):
        check_trace(path, torch_net(), torch.nn.CrossEntropyLoss())
    with pytest.raises(ValueError, match=r"missing|unexpected|shape"):
        check_trace(path, torch.nn.Linear(4, 3))
    with pytest.raises(ValueError, match=r"expected dtype float32, .*got float16"):
        write_trace(path, numpy_net(), batch(5, 4), dtype="float16")
    other = tmp_path / "other.safetensors"
    save_checkpoint(other, {}, {"model": "MLP", "hparams": {}})
    with pytest.raises(CheckpointError, match="is a checkpoint, and no trace"):
        check_trace(other, torch_net())
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(CheckpointError, match="truncated or was changed"):
        check_trace(path, torch_net())


MISSING = ["inputs/", "targets/", "start/", "probe/", "bound/", "bound/0/grad/"]
MISSING += ["value/0/grad/", "value/0/result", "value/1/parameter"]


def change(told: dict[str, Any], arrays: dict[str, np.ndarray], what: str) -> None:
    """Makes a file that is whole, and signed, say something else."""
    if what == "optimizer":
        told["optimizer"] = "__class__"
    elif what == "calls":
        told["calls"] = [[], [], []]
    elif what == "no calls":
        told["calls"] = []
    elif what == "batches":
        told["batches"] *= 3
    elif what == "negative":
        arrays |= {
            name: np.asarray(-1 - array) for name, array in arrays.items() if name.startswith("bound/")
        }
    else:
        for name in [name for name in arrays if name.startswith(what)]:
            del arrays[name]


@pytest.mark.parametrize("what", ["optimizer", "calls", "no calls", "batches", "negative", *MISSING])
def test_a_file_that_does_not_fit_together_is_refused(what: str, path: Path) -> None:
    write_trace(path, torch_net(), batch(5, 4), IDS, torch.nn.CrossEntropyLoss())
    arrays, metadata = load_checkpoint(path)
    change(metadata["trace"], arrays, what)
    save_checkpoint(path, arrays, metadata)
    with pytest.raises(CheckpointError, match="was written by something else, or a newer version of this"):
        check_trace(path, numpy_net(), nn.CrossEntropyLoss())


def test_a_model_that_is_not_trained(path: Path) -> None:
    write_trace(path, torch_net().requires_grad_(False), batch(5, 4))
    check_trace(path, numpy_net()).raise_if_different()


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="there is no such file: give one that write_trace wrote"):
        check_trace(tmp_path / "no.safetensors", numpy_net())


WITHOUT_TORCH = """
import sys
sys.modules["torch"] = None
from pathlib import Path
import numpy as np
from gdl_numpy import nn
from parity_tests.harness import check_trace, write_trace
net = nn.Sequential(nn.Linear(4, 6, rng=3), nn.ReLU(), nn.Dropout(0.4, rng=4), nn.Linear(6, 3, rng=5))
report = check_trace("theirs.safetensors", net, nn.CrossEntropyLoss())
report.raise_if_different()
x, ids = np.random.default_rng(0).standard_normal((5, 4)), np.array([0, 2, 1, 1, 0])
write_trace("ours.safetensors", net, x, ids, nn.CrossEntropyLoss())
print(len(report.comparisons), "tensors", any(name.startswith("torch.") for name in sys.modules))
"""


def test_where_there_is_no_torch(tmp_path: Path) -> None:
    """There a torch module's trace is checked, and one is written that is then checked here."""
    theirs, ours = tmp_path / "theirs.safetensors", tmp_path / "ours.safetensors"
    write_trace(theirs, torch_net(0.4), batch(5, 4), IDS, torch.nn.CrossEntropyLoss())
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[1:] == ["tensors", "False"]
    check_trace(ours, torch_net(0.4), torch.nn.CrossEntropyLoss()).raise_if_different()
