"""Where the torch side computes, on how many threads, and that Lightning is quiet about it."""

from __future__ import annotations

import logging
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from threadpoolctl import threadpool_limits

from gdl_numpy.command_line import Device

if TYPE_CHECKING:
    from collections.abc import Iterator


def accelerator(device: Device) -> str:
    """Returns "cpu" or "cuda", for Lightning's Trainer and torch alike; of both, `Device.auto` takes CUDA.

    Raises:
        ValueError: CUDA is asked for where there is none.
    """
    if device is Device.cuda and not torch.cuda.is_available():
        raise ValueError("--device cuda: torch finds no CUDA device here; --device cpu and auto do without")
    return "cuda" if device is not Device.cpu and torch.cuda.is_available() else "cpu"


@contextmanager
def one_thread() -> Iterator[None]:
    """Within, NumPy and torch compute on one thread.

    Who alternates between them with every layer would have threads that still spin for one side keep the
    other from its cores.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(threads)


def quiet_lightning() -> None:
    """Leaves out Lightning's notes on the machine, and a warning on its own use of torch."""
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", message=".*LeafSpec.* is deprecated", category=FutureWarning)
