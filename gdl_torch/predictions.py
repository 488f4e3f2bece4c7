"""What `python -m gdl_torch predict` found, as a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import BasePredictionWriter
from torch import Tensor

from gdl_numpy.files import check_file, replacing
from gdl_numpy.messages import counted

if TYPE_CHECKING:
    from collections.abc import Sequence


class PredictionsFile(BasePredictionWriter):
    """Writes predictions.csv, a line for each example in the data's order, into the run's folder.

    With several devices each has predicted its share: the first one collects them all.
    """

    def __init__(self) -> None:
        super().__init__(write_interval="epoch")

    def check_free(self, trainer: pl.Trainer) -> None:
        """Refuses, before the work, to replace what is there: without a logger that is the user's folder.

        Raises:
            ValueError: there is a predictions.csv already, or none can be written.
        """
        if (path := self.path(trainer)).exists():
            raise ValueError(
                f"{path} is there already: move it away, or choose another folder with "
                "--trainer.default_root_dir"
            )
        check_file("--trainer.default_root_dir", path)

    def path(self, trainer: pl.Trainer) -> Path:
        return Path(trainer.log_dir or trainer.default_root_dir) / "predictions.csv"

    def write_on_epoch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        predictions: Sequence[Tensor],
        batch_indices: Sequence[Sequence[Sequence[int]]],
    ) -> None:
        indices = [index for batch in batch_indices[0] for index in batch]  # [0]: there is one DataLoader
        found = list(zip(indices, torch.cat(list(predictions)).tolist(), strict=True))
        if trainer.world_size > 1:
            shares: list[list[tuple[int, int]]] = [[]] * trainer.world_size
            torch.distributed.all_gather_object(shares, found)
            found = [row for share in shares for row in share]
        path = self.path(trainer)  # of all devices, which agree on it
        if trainer.is_global_zero:
            with replacing(path) as temporary:
                temporary.write_text("".join(["index,class\n", *(f"{i},{c}\n" for i, c in sorted(found))]))
            print(f"wrote {counted(len(found), 'prediction')} to {path}")
