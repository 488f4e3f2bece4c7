"""Where the torch side computes, and that Lightning is quiet about it."""

from __future__ import annotations

import logging
import warnings

import torch

from gdl_numpy.command_line import Device


def accelerator(device: Device) -> str:
    """Returns "cpu" or "cuda", for Lightning's Trainer and torch alike; of both, `Device.auto` takes CUDA.

    Raises:
        ValueError: CUDA is asked for where there is none.
    """
    if device is Device.cuda and not torch.cuda.is_available():
        raise ValueError("--device cuda: torch finds no CUDA device here; --device cpu and auto do without")
    return "cuda" if device is not Device.cpu and torch.cuda.is_available() else "cpu"


def quiet_lightning() -> None:
    """Leaves out Lightning's notes on the machine, and a warning on its own use of torch."""
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", message=".*LeafSpec.* is deprecated", category=FutureWarning)
