"""What Lightning adds to a step of torch's: the plain loop, a bare Trainer, and `gdl_torch`'s own."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import threading
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader
from tqdm import tqdm

from gdl_torch.training import fit
from parity_tests.benchmark.rows import Row, TextRow
from parity_tests.benchmark.turns import endless

if TYPE_CHECKING:
    from collections.abc import Callable

    from parity_tests.benchmark.turns import Run

EPOCH = 500  # batches
LR = 0.01


class Bare(pl.LightningModule):
    """The least that a model is under the Trainer: nothing is logged."""

    def __init__(self, task: Any) -> None:
        super().__init__()
        self.task = task

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        loss: torch.Tensor = self.task.compare(*batch).loss
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.task.parameters(), lr=LR)


class Repeated(pl.LightningDataModule):
    """One batch, again and again."""

    continues = True

    def __init__(self, batch: Any) -> None:
        super().__init__()
        self.batch = batch

    def train_dataloader(self) -> DataLoader[Any]:
        return DataLoader([self.batch] * EPOCH, batch_size=None, collate_fn=lambda batch: batch)  # type: ignore[arg-type]


@dataclass(frozen=True)
class TrainerRow:
    """A training step of a row's torch side, under the Trainer and without it."""

    kind: ClassVar[str] = "lightning"
    sides: ClassVar[tuple[str, ...]] = ("loop", "bare", "ours")
    unit: ClassVar[str] = ""

    row: Row

    @property
    def about(self) -> str:
        return self.row.about

    @property
    def batch(self) -> int:
        return self.row.batch

    def contender(self, side: str) -> Run:
        """What the process of a side runs."""
        if side == "loop":
            return endless(self.row.torch())
        return self._under_trainer(self.bare if side == "bare" else self.ours)

    def _under_trainer(self, train: Callable[[Any, Repeated, Callable[[], None]], None]) -> Run:
        inputs, targets = self.row.tensors()
        data = Repeated((inputs, targets))

        def run(after_step: Callable[[], None]) -> None:
            logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
            tqdm.set_lock(threading.RLock())  # else one for processes, which this one would leave behind
            with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
                # Progress bars are drawn, and not seen.
                train(self.row.torch_model(), data, after_step)

        return run

    def bare(self, model: Any, data: Repeated, after_step: Callable[[], None]) -> None:
        """A Trainer that does nothing but train."""
        module = Bare(model)
        callback = pl.callbacks.LambdaCallback(on_train_batch_end=lambda *_: after_step())
        trainer = pl.Trainer(
            accelerator="cpu",
            max_epochs=-1,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            callbacks=[callback],
        )
        trainer.fit(module, data)

    def ours(self, model: Any, data: Repeated, after_step: Callable[[], None]) -> None:
        """As `scripts/train.py --backend torch` trains, but for the data."""
        optimizer = torch.optim.SGD(model.parameters(), lr=LR)
        optimizer.register_step_post_hook(lambda *_: after_step())
        with tempfile.TemporaryDirectory() as folder:
            fit(model, optimizer, data, epochs=sys.maxsize, directory=Path(folder), accelerator="cpu")


TRAINER_ROWS = {
    "lightning-mlp": TrainerRow(Row("book MLP 784-100-10", "MLP", {"dropout": 0.0}, 100)),
    "lightning-cnn": TrainerRow(Row("book CNN, 16 kernels 3×3", "CNN", {"dropout": 0.0}, 128)),
    "lightning-lstm": TrainerRow(TextRow("LSTM 512, 25 steps", "LSTMLanguageModel", {}, 32, steps=25)),
}
