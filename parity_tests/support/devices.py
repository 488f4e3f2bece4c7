"""Several processes, each of which writes down what it was given and what it made of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor, distributed, nn

from gdl_torch.models import ContrastiveEncoder
from parity_tests.support.command_line import ONE_EPOCH
from parity_tests.support.disturbance import State
from parity_tests.support.forks import start

ROOT = Path(__file__).parents[2]


class SeenByEachDevice(pl.Callback):
    """Writes what this process was given and what it learned, and the weights it began and ended with.

    The input of batch 3 is "batch.3"; where there are several, they are "batch.3.0", "batch.3.1", … Its loss
    is "loss.3", and the gradient of a parameter, the mean over all processes, "grad.3.<its name>".
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

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        self.seen |= {f"grad.{trainer.global_step}.{k}": v for k, v in gradients(pl_module).items()}

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.seen[f"loss.{batch_idx}"] = outputs["loss"].numpy()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.keep_weights("end", pl_module)
        arrays: dict[str, Any] = {**self.seen}
        np.savez(self.folder / f"rank{trainer.global_rank}.npz", **arrays)


def two_processes(folder: Path, strategy: str, *arguments: str) -> list[State]:
    """What each of two processes on the CPU saw in 5 steps of `fit`, in float64; they meet by gloo."""
    words = [
        "-m", "gdl_torch", "fit", *arguments,
        "--trainer.accelerator", "cpu", "--trainer.devices", "2", "--trainer.strategy", strategy,
        "--trainer.precision", "64-true", "--trainer.limit_train_batches", "5",
        "--trainer.limit_val_batches", "0", "--trainer.logger", "false",
        "--trainer.enable_checkpointing", "false", "--trainer.log_every_n_steps", "1", *ONE_EPOCH,
        "--trainer.callbacks", "parity_tests.support.SeenByEachDevice",
        "--trainer.callbacks.folder", str(folder),
    ]  # fmt: skip
    process, said = start(words, folder, daemon=False, PYTHONPATH=str(ROOT))
    process.join(120)
    assert process.exitcode == 0, said.read_text()
    assert "distributed_backend=gloo" in said.read_text()
    return [dict(np.load(folder / f"rank{rank}.npz")) for rank in range(2)]


def weights(seen: State, when: str) -> State:
    return {name.removeprefix(f"{when}."): array for name, array in seen.items() if name.startswith(when)}


def same_end(ranks: list[State]) -> State:
    """The weights that all processes end with."""
    end, *others = (weights(seen, "end") for seen in ranks)
    for other in others:
        np.testing.assert_equal(other, end)
    return end


def gradients(model: nn.Module) -> State:
    """A copy of the gradient of each parameter that has one; a sparse one with its zeros."""
    found = {name: parameter.grad for name, parameter in model.named_parameters()}
    return {name: grad.to_dense().numpy().copy() for name, grad in found.items() if grad is not None}


def contrast_of_a_share(
    rank: int,
    ranks: int,
    folder: Path,
    arguments: dict[str, Any],
    start: State,
    batch: tuple[np.ndarray, ...],
) -> None:
    """One of several processes that meet by gloo: writes the loss of the batch that all have together.

    With it the gradients, by DDP and without Lightning, and what this process adds to the means logged.

    Args:
        rank: which of them this is.
        ranks: how many there are.
        folder: where they meet, and write.
        arguments: of the encoder.
        start: its weights.
        batch: this one's share: two views of images, and labels.
    """
    torch.set_default_dtype(torch.float64)
    distributed.init_process_group("gloo", f"file://{folder / 'meeting'}", rank=rank, world_size=ranks)
    model = ContrastiveEncoder(**arguments)
    model.load_state_dict({name: torch.from_numpy(array) for name, array in start.items()})
    first, second, labels = map(torch.from_numpy, batch)
    shared = nn.parallel.DistributedDataParallel(_Compared(model))
    outcome = shared((first, second), labels)
    outcome.loss.backward()
    totals = {name: total.numpy() for name, total in model.totals(outcome, 1).items()}
    loss = outcome.loss.detach().numpy()
    arrays: dict[str, Any] = {"loss": loss, **totals, **gradients(model)}
    np.savez(folder / f"rank{rank}.npz", **arrays)
    distributed.destroy_process_group()


class _Compared(nn.Module):
    """What DDP calls, in the place of Lightning's training step."""

    def __init__(self, model: ContrastiveEncoder) -> None:
        super().__init__()
        self.model = model

    def forward(self, views: tuple[Tensor, ...], labels: Tensor) -> Any:
        return self.model.compare(views, labels)
