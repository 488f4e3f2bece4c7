"""Several processes, each of which writes down what it was given and what it made of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl


class SeenByEachDevice(pl.Callback):
    """Writes what this process was given, and the weights it began and ended with."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)
        self.seen: dict[str, np.ndarray] = {}

    def keep_weights(self, when: str, module: pl.LightningModule) -> None:
        self.seen |= {f"{when}.{name}": tensor.numpy().copy() for name, tensor in module.state_dict().items()}

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.keep_weights("start", pl_module)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self.seen[f"batch.{batch_idx}"] = batch[0].numpy()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.keep_weights("end", pl_module)
        arrays: dict[str, Any] = {**self.seen}
        np.savez(self.folder / f"rank{trainer.global_rank}.npz", **arrays)
