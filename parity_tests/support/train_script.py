"""What the tests of `scripts/train.py` share: runs, what they leave, and how far rounding moves it."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from gdl_numpy import training
from gdl_numpy.checkpoint import load_model
from gdl_numpy.command_line import Backend
from gdl_numpy.data import available
from gdl_numpy.optim import OPTIMIZERS
from gdl_numpy.run_folder import CHECKPOINTS
from gdl_numpy.tasks import ClassificationMetrics
from gdl_torch import training as torch_training
from parity_tests.harness.rounding import gamma, unit_roundoff
from parity_tests.support.disturbance import assert_within, moved_by_rounding, nothing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gdl_numpy.history import History
    from parity_tests.support.disturbance import Disturb, State

SCRIPT = Path(__file__).parents[2] / "scripts" / "train.py"
script = runpy.run_path(str(SCRIPT))

# An epoch of some forty steps, in milliseconds.
SMALL_TEXT = "LSTMLanguageModel --hidden-size 6 --embedding-dim 5 --dropout 0.1 --batch-size 100 --chunk 100"

needs_babi = pytest.mark.skipif(
    not available("babi"), reason="bAbI is not there: run scripts/fetch_data.py babi"
)
both_backends = pytest.mark.parametrize("backend", ["numpy", "torch"])
# As people run it, without run-time checks; and what Lightning says of its own use of torch, or of a GPU.
as_run = [
    pytest.mark.usefixtures("unchecked_types"),
    pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec:FutureWarning"),
    pytest.mark.filterwarnings("ignore:GPU available but not used"),
]


def train(line: str = "", *words: Any) -> int:
    """Runs the script within this process, by a line and further words; returns its exit code."""
    code: int = script["main"]([*line.split(), *map(str, words)])
    return code


def weights(out: Path) -> State:
    """The trained parameters in the folder of a run."""
    return load_model(out / "model.safetensors").state_dict()


def saved_history(backend: str, out: Path) -> History:
    """What the checkpoint in the folder of a run knows of it."""
    side = {"numpy": training, "torch": torch_training}[backend]
    saved: History = side.saved_history(out / CHECKPOINTS[backend], ClassificationMetrics)
    return saved


def assert_same_weights(out: Path, expected: Path) -> None:
    """To the last bit."""
    for name, array in weights(expected).items():
        assert weights(out)[name].tobytes() == array.tobytes(), name


def assert_same_training(line: str, folder: Path, **more: Any) -> None:
    """Trains on both backends, in `folder`: to rounding, the weights are the same in the end."""
    for backend in ("numpy", "torch"):
        words = [word for name, value in more.items() for word in (f"--{name}", value)]
        assert train(line, *words, "--backend", backend, "--device", "cpu", "--out", folder / backend) == 0
    assert_rounded_alike(folder / "numpy", more, weights(folder / "torch"), weights(folder / "numpy"))


def assert_rounded_alike(out: Path, more: Mapping[str, Any], found: State, expected: State) -> None:
    """Fails where two results of the run in `out` are further apart than rounding can move them.

    The bound is how far rounding, of float32 and in sums over all that a batch holds, moves what a run ends
    with. It would not hide a learning rate that is one percent off.
    """
    inputs, _ = next(iter(planned(out, more).data.train))
    relative = float(gamma(inputs.size, unit_roundoff(np.float32)))
    bounds = moved_by_rounding(lambda disturb: run_again(out, more, disturb), relative)
    assert_within([found], [expected], bounds, widest=np.inf)
    with pytest.raises(AssertionError, match="off by"):
        assert_within(run_again(out, more, nothing, lr_factor=1.01), [expected], bounds, widest=np.inf)


def planned(out: Path, more: Mapping[str, Any]) -> Any:
    """The run whose settings are in a folder, to be made again; `more` says what they do not: paths."""
    settings = json.loads((out / "run.json").read_text()) | more
    given = {name: value for name, value in settings.items() if value is not None}
    given["backend"] = Backend(given["backend"])
    return script["plan"](given.pop("model"), given)


def run_again(out: Path, more: Mapping[str, Any], disturb: Disturb, lr_factor: float = 1.0) -> list[State]:
    """The weights and losses that a run ends with, when its parameters are disturbed before each step."""
    run = planned(out, more)
    disturb(run.task.model)
    optimizer = OPTIMIZERS[run.flags.optimizer](run.task.model.parameters(), **run.flags.optimizer_arguments)
    optimizer.lr *= lr_factor
    history = training.fit(
        run.task,
        optimizer,
        run.data.train,
        epochs=len(json.loads((out / "history.json").read_text())),
        clip_norm=run.flags.clip_norm,
        lr_decay=run.flags.lr_decay,
        progress=False,
        on_step=lambda *_: disturb(run.task.model),
    )
    losses = np.array([row["train_loss"] for row in history.rows])
    return [run.task.model.state_dict() | {"train_loss": losses}]
