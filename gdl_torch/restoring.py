"""What a training is to go on from: that all of it is there, and that Lightning does nothing else with it."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from pytorch_lightning.callbacks import Callback, EarlyStopping, ModelCheckpoint
from torch import Tensor
from torch.optim import SGD, Adam, AdamW, Optimizer

from gdl_numpy.checkpoint import CheckpointError
from gdl_numpy.messages import reason_of
from gdl_numpy.schema import fault
from gdl_torch.checkpoint import model_class_in

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pytorch_lightning as pl


# Where the Trainer's loop was, and its optimizer.
PROGRESS = {"epoch_progress": dict[str, dict[str, int]], "epoch_loop.batch_progress": dict[str, Any]}
BATCHES = {"total": dict[str, int], "current": dict[str, int]}
OPTIMIZER = {"state": dict[int, dict[str, Any]], "param_groups": list[dict[str, Any]]}
GROUP = {"params": list[int], "lr": float | Tensor}
# Of a ModelCheckpoint's state: files, and the scores by which it chooses.
PLACES = ("best_model_path", "kth_best_model_path", "last_model_path")
REMEMBERED = {
    **dict.fromkeys(PLACES, str),
    "dirpath": str,
    "best_k_models": dict[str, Tensor],
    **dict.fromkeys(("best_model_score", "current_score", "kth_value"), Tensor | None),
}
# Of an EarlyStopping's.
WAITING = {"wait_count": int, "stopped_epoch": int, "patience": int, "best_score": Tensor}


def check_resumable(path: str | Path, checkpoint: Mapping[str, Any], epochs: int | None = None) -> None:
    """Makes sure that a checkpoint has all that a training of a model of ours goes on from.

    Lightning itself passes over what is not there, and trains on from somewhere else.

    Args:
        path: the checkpoint's.
        checkpoint: what `read_checkpoint` gave.
        epochs: how many it is the end of, where that is known.

    Raises:
        CheckpointError: something is missing, or cannot be what was saved.
    """
    try:
        _check_loop(checkpoint.get("loops", {}).get("fit_loop", {}), epochs)
        optimizers = checkpoint.get("optimizer_states", [])
        if len(optimizers) != 1:
            raise ValueError(f"it has {len(optimizers)} optimizers, not 1")
        begun = checkpoint.get("global_step", 0) > 0
        _check_optimizer(optimizers[0], begun and checkpoint["hyper_parameters"].get("optimizer") != "SGD")
    except ValueError as error:
        raise CheckpointError(f"{path} holds no whole training ({error}): give another checkpoint") from error


def _check_loop(loop: Mapping[str, Any], epochs: int | None) -> None:
    """Raises ValueError for the state of a Trainer's loop that is not that at the end of an epoch."""
    _check_complete("loop", loop, PROGRESS)
    _check_complete("loop's progress", loop["epoch_loop.batch_progress"], BATCHES)
    current = loop["epoch_progress"].get("current", {})
    processed, completed = current.get("processed", -1), current.get("completed", -1)
    if completed < 0 or processed - completed not in (0, 1) or epochs not in (None, processed):
        raise ValueError("its loop is not at the end of its last epoch")


def _check_optimizer(optimizer: Mapping[str, Any], remembers: bool) -> None:
    """Raises ValueError for the state of an optimizer that is none.

    Args:
        optimizer: its state.
        remembers: whether there must be something in it beside the parameters' groups.
    """
    _check_complete("optimizer", optimizer, OPTIMIZER)
    for group in optimizer["param_groups"]:
        _check_complete("optimizer's group", group, GROUP)
    numbers = [number for group in optimizer["param_groups"] for number in group["params"]]
    if (
        not numbers
        or sorted(numbers) != list(range(len(numbers)))
        or not optimizer["state"].keys() <= {*numbers}
    ):
        raise ValueError("its optimizer is one of other parameters")
    if remembers and not optimizer["state"]:
        raise ValueError("its optimizer has forgotten its steps")


def _check_complete(owner: str, values: Mapping[str, Any], schema: Mapping[str, Any]) -> None:
    """Raises ValueError where something is missing, or wrong, of what a schema knows."""
    if missing := schema.keys() - values.keys():
        raise ValueError(f"its {owner} is without {', '.join(sorted(missing))}")
    if wrong := fault(values, schema):
        raise ValueError(f"its {owner}: {wrong}")


def check_remembered(optimizer: Optimizer, state: Mapping[str, Any]) -> None:
    """Raises ValueError where an optimizer would not remember of each parameter what it does after a step.

    What that is, one of the same kind tells, after a step with tensors that have shapes and nothing else.

    Args:
        optimizer: over the parameters.
        state: what it is to go on from.
    """
    groups, saved = optimizer.param_groups, state["param_groups"]
    if type(optimizer) not in (SGD, Adam, AdamW):
        return
    if [len(group["params"]) for group in groups] != [len(group["params"]) for group in saved]:
        raise ValueError("its optimizer is one of other parameters")
    parameters = [parameter for group in groups for parameter in group["params"]]
    shadows = {parameter: torch.empty_like(parameter, device="meta") for parameter in parameters}
    # Kernels that want a real device remember the same.
    plain = dict.fromkeys(("foreach", "fused", "capturable"), False)
    stepped = type(optimizer)(  # type: ignore[call-arg]  # whose defaults are in the groups
        [{**group, **plain, "params": [shadows[each] for each in group["params"]]} for group in groups]
    )
    for parameter, shadow in shadows.items():
        shadow.grad = torch.empty_like(shadow) if parameter.requires_grad else None
    stepped.step()
    numbers = [number for group in saved for number in group["params"]]
    for parameter, number in zip(parameters, numbers, strict=True):
        found = _shapes(state["state"].get(number, {}))
        expected = _shapes(stepped.state[shadows[parameter]])
        if found != expected:
            size = tuple(parameter.shape)
            raise ValueError(f"of a parameter {size} its optimizer remembers {found}, not {expected}")


def _shapes(state: Mapping[str, Any]) -> dict[str, Any]:
    """The shapes of what an optimizer remembers of a parameter; of what has none, the type."""
    return {
        name: () if isinstance(value, int | float) else tuple(getattr(value, "shape", [type(value).__name__]))
        for name, value in state.items()
        if value is not None
    }


class Restoring(Callback):
    """Blames a checkpoint for all that goes wrong between a Trainer's setup and its first step.

    The states of loops, callbacks and optimizers are Lightning's affair, which it does not check. But no
    checkpoint is to say which files are deleted.
    """

    def __init__(self, path: str | Path | None) -> None:
        self.path = path
        self.under_way = False
        self.optimizer_states: list[dict[str, Any]] = []

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        self.under_way = self.path is not None

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        if model_class_in(checkpoint) and checkpoint.get("global_step", 0) > 0:
            self.optimizer_states = checkpoint.get("optimizer_states", [])
        for callback in trainer.callbacks:  # type: ignore[attr-defined]  # which it has
            state = checkpoint.get("callbacks", {}).get(callback.state_key)
            if isinstance(callback, ModelCheckpoint) and state:
                _keep_within(Path(str(callback.dirpath)), state)
            if isinstance(callback, EarlyStopping) and state:
                _check_complete("early stopping", state, WAITING)

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        for optimizer, state in zip(trainer.optimizers, self.optimizer_states, strict=False):
            check_remembered(optimizer, state)
        self.optimizer_states = []

    def on_train_start(self, *_: Any) -> None:
        self.under_way = False

    on_sanity_check_start: Any = on_train_start
    on_validation_start: Any = on_train_start
    on_test_start: Any = on_train_start
    on_predict_start: Any = on_train_start

    @contextmanager
    def blaming(self) -> Iterator[None]:
        """Within, an error of the checkpoint's is a CheckpointError that names it."""
        try:
            yield
        except Exception as error:
            if not self.under_way:
                raise
            raise CheckpointError(
                f"{self.path} cannot be taken up ({reason_of(error)}): "
                "give another checkpoint, or its own model and data"
            ) from error


def _keep_within(folder: Path, state: dict[str, Any]) -> None:
    """Makes a ModelCheckpoint remember, of what its state says, only files that are in its own folder.

    It deletes what it remembers once there is something better, wherever and whatever that may be. And a
    folder may have been moved: its files are known by their names.

    Raises:
        ValueError: there is something else in the state.
    """
    scores = state.get("best_k_models", {})
    if wrong := fault(state, REMEMBERED):
        raise ValueError(wrong)
    found = {path: folder / Path(path).name for path in (*scores, *(state.get(name, "") for name in PLACES))}
    here = {path: str(file) if path and file.is_file() else "" for path, file in found.items()}
    state["best_k_models"] = {here[path]: score for path, score in scores.items() if here[path]}
    state |= {name: here[state.get(name, "")] for name in PLACES}
    state["dirpath"] = str(folder)
