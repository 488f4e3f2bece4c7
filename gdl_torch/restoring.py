"""Whose fault an error is: the checkpoint's, where Lightning was about to take it up."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytorch_lightning.callbacks import Callback, ModelCheckpoint
from torch import Tensor

from gdl_numpy.checkpoint import CheckpointError
from gdl_numpy.files import reason_of
from gdl_numpy.schema import fault

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytorch_lightning as pl


# Of a ModelCheckpoint's state: files, and the scores by which it chooses.
PLACES = ("best_model_path", "kth_best_model_path", "last_model_path")
REMEMBERED = {
    **dict.fromkeys(PLACES, str),
    "dirpath": str,
    "best_k_models": dict[str, Tensor],
    **dict.fromkeys(("best_model_score", "current_score", "kth_value"), Tensor | None),
}


class Restoring(Callback):
    """Blames a checkpoint for all that goes wrong between a Trainer's setup and its first step.

    The states of loops, callbacks and optimizers are Lightning's affair, which it does not check. But no
    checkpoint is to say which files are deleted.
    """

    def __init__(self, path: str | Path | None) -> None:
        self.path = path
        self.under_way = False

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        self.under_way = self.path is not None

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        for callback in trainer.checkpoint_callbacks:
            state = checkpoint.get("callbacks", {}).get(callback.state_key)
            if isinstance(callback, ModelCheckpoint) and state:
                _keep_within(Path(str(callback.dirpath)), state)

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
