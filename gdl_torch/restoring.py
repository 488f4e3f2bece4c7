"""Whose fault an error is: the checkpoint's, where Lightning was about to take it up."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytorch_lightning.callbacks import Callback

from gdl_numpy.checkpoint import CheckpointError
from gdl_numpy.files import reason_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytorch_lightning as pl


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
        # ModelCheckpoint deletes what it remembers as the best, once there is a better one, where the path
        # begins with its folder: so does one that leads through ".." to anywhere.
        for state in checkpoint.get("callbacks", {}).values():
            if any(".." in Path(path).parts for path in state.get("best_k_models", ())):
                raise ValueError("its best checkpoint is outside of its folder")

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
