"""`python -m gdl_torch` in this process: importing Lightning takes longer than all that most runs do."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from gdl_torch.__main__ import main

if TYPE_CHECKING:
    from pathlib import Path

QUIET = ("--trainer.enable_progress_bar", "false")
ONE_EPOCH = ("--trainer.max_epochs", "1", *QUIET)


def gdl_torch(folder: Path, *arguments: str) -> None:
    """`python -m gdl_torch ARGUMENTS`, in `folder`; its seed stays out of other tests' environment."""
    with pytest.MonkeyPatch.context() as patch:
        for variable in ("PL_GLOBAL_SEED", "PL_SEED_WORKERS"):
            patch.setenv(variable, "0")
        patch.setattr(sys, "argv", ["gdl_torch", *arguments])
        patch.chdir(folder)
        main()


def digits_checkpoint(folder: Path) -> Path:
    """What an epoch with a small MLP leaves in `folder`."""
    model = ("--model", "MLP", "--model.hidden_features", "[20]")
    gdl_torch(folder, "fit", *model, "--data", "DigitsDataModule", *ONE_EPOCH)
    (path,) = folder.rglob("*.ckpt")
    return path
