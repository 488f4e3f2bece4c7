"""Lightning's Trainer, quiet and in float64, and callbacks that keep what it did."""

from __future__ import annotations

from typing import Any

import pytest
import pytorch_lightning as pl
from torch import Tensor

from parity_tests.support.disturbance import State

WARNINGS_OF_LIGHTNING = [
    # Its own use of torch's interface.
    pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec:FutureWarning"),
    # On a machine with a GPU, in the tests that are about the CPU.
    pytest.mark.filterwarnings("ignore:GPU available but not used"),
]


def trainer(**arguments: Any) -> pl.Trainer:
    quiet = dict.fromkeys(
        ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False
    )
    defaults: dict[str, Any] = {
        "accelerator": "cpu",
        "devices": 1,
        "precision": "64-true",
        "num_sanity_val_steps": 0,
    }
    return pl.Trainer(**quiet | defaults | {"max_epochs": 2, "limit_val_batches": 0} | arguments)


class Steps(pl.Callback):
    """Keeps the parameters after every step of the optimizer, and the targets of every batch."""

    def __init__(self) -> None:
        self.states: list[State] = []
        self.targets: list[Tensor] = []

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.targets.append(batch[1])
        if trainer.global_step > len(self.states):
            self.states.append({k: v.cpu().numpy().copy() for k, v in pl_module.state_dict().items()})


class Losses(pl.Callback):
    """Keeps the loss that was logged for each step and for each epoch."""

    def __init__(self) -> None:
        self.steps: list[float] = []
        self.epochs: list[float] = []

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        # What Lightning differentiates: under accumulation, a part of the batch's loss.
        self.steps.append(float(outputs["loss"]) * trainer.accumulate_grad_batches)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.epochs.append(float(trainer.callback_metrics["train_loss_epoch"]))
