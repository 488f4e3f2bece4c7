"""Several processes, each of which writes down what it was given and what it made of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
from torch import Tensor


class SeenByEachDevice(pl.Callback):
    """Writes what this process was given, and the weights it began and ended with.

    The input of batch 3 is "batch.3"; where there are several, they are "batch.3.0", "batch.3.1", …
    """

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
        inputs, _ = batch
        if isinstance(inputs, Tensor):
            self.seen[f"batch.{batch_idx}"] = inputs.numpy()
        else:
            self.seen |= {f"batch.{batch_idx}.{place}": each.numpy() for place, each in enumerate(inputs)}

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.keep_weights("end", pl_module)
        arrays: dict[str, Any] = {**self.seen}
        np.savez(self.folder / f"rank{trainer.global_rank}.npz", **arrays)
