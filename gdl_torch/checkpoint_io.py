"""How Lightning writes checkpoints here: whole, or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from lightning_fabric.plugins import TorchCheckpointIO

from gdl_numpy.files import replacing

if TYPE_CHECKING:
    from pathlib import Path


class ReplacingCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint beside its target and renames it, so that a kill leaves the old one or the new one.

    Lightning's own way goes through the system's folder of temporary files. Where that is on another file
    system, the last step is a copy over the old checkpoint, and a kill in that moment leaves neither.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None
    ) -> None:
        if "://" in str(path):  # in a store of objects, which has no files to rename
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        with replacing(path) as temporary, temporary.open("wb") as file:
            try:
                torch.save(checkpoint, file)  # to a path, it would put that temporary name into the file
            except RuntimeError as error:  # about the end of the archive, which a full disk has kept it from
                if isinstance(error.__context__, OSError):
                    raise error.__context__ from error
                raise
