"""How arrays in memory become batches under Lightning, in the same order as `gdl_numpy.data.Batches`."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from lightning_fabric.utilities.warnings import PossibleUserWarning
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, DistributedSampler

from gdl_numpy.data import Split, epoch_order

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from gdl_numpy.data import DataLoader as NumpyLoader

Batch = tuple[Tensor, Tensor]


class TensorBatches(Dataset[Batch]):
    """A data set that hands out whole batches, by one indexing of the arrays that it shares with NumPy.

    DataLoader prefers `__getitems__` to fetching examples one by one; with `as_is` as its `collate_fn`,
    nothing is stacked afterwards either.

    Args:
        split: inputs (examples, …) and targets (examples,).
        transform: applied to the inputs of one example at a time, so that each gets its own random numbers.
    """

    def __init__(self, split: Split, transform: Callable[[Tensor], Tensor] | None = None) -> None:
        self.inputs = torch.from_numpy(split.inputs)
        self.targets = torch.from_numpy(split.targets)
        self.transform = transform

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> Batch:
        inputs = self.inputs[index]
        return inputs if self.transform is None else self.transform(inputs), self.targets[index]

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        rows = torch.tensor(indices)
        inputs = self.inputs[rows]
        if self.transform is not None:
            inputs = torch.stack([self.transform(example) for example in inputs])
        return inputs, self.targets[rows]


def as_is(batch: Any) -> Any:
    """The `collate_fn` for a data set that gives batches: there is nothing left to collate."""
    return batch


def ignore_advice() -> None:
    """Silences Lightning's advice where it does not apply.

    More workers are only slower, for arrays in memory; and an empty list of loaders is meant, where nothing
    is held out for validation.
    """
    warnings.filterwarnings("ignore", "The '.*' does not have many workers", PossibleUserWarning)
    warnings.filterwarnings("ignore", "Total length of `list` across ranks is zero", UserWarning)


class NumpyBatches(Dataset[Any]):
    """The batches of a loader of `gdl_numpy.data`, as tensors that share its memory, by their numbers."""

    def __init__(self, loader: NumpyLoader) -> None:
        self.loader = loader

    def __len__(self) -> int:
        return len(self.loader)

    def __getitem__(self, number: int) -> tuple[Any, Tensor]:
        inputs, targets = self.loader[number]
        if isinstance(inputs, tuple):
            return tuple(map(torch.from_numpy, inputs)), torch.from_numpy(targets)
        return torch.from_numpy(inputs), torch.from_numpy(targets)


class NumpySampler(DistributedSampler[int]):
    """Goes through all batches of a NumPy loader in their order, and tells the loader the epoch.

    A DistributedSampler, since Lightning leaves those alone: with several devices the loader itself makes
    each one's share.
    """

    def __init__(self, batches: NumpyBatches) -> None:
        super().__init__(batches, num_replicas=1, rank=0, shuffle=False)
        self.loader = batches.loader

    def set_epoch(self, epoch: int) -> None:
        super().set_epoch(epoch)
        self.loader.set_epoch(epoch)


def as_torch_loader(loader: NumpyLoader, num_workers: int = 0) -> DataLoader[Any]:
    """Returns torch's loader of a NumPy loader's batches, the same in each epoch."""
    batches = NumpyBatches(loader)
    # Workers start anew in each epoch, or they would not hear of it.
    return DataLoader(
        batches,
        batch_size=None,
        sampler=NumpySampler(batches),
        collate_fn=as_is,
        num_workers=num_workers,
        pin_memory=torch.cuda.is_available(),
    )


class EpochSampler(DistributedSampler[int]):
    """Goes through the data in the order `epoch_order(n, seed, epoch)`, which the NumPy side follows too.

    A DistributedSampler, also on one device: Lightning tells it the epoch, and with several devices leaves it
    alone. A sampler of any other kind it then wraps in one that shuffles the order once more.

    Device r of R takes every R-th example, beginning with the r-th. So, step by step, the devices' batches of
    B together are the batch of R·B that one device would take.

    Args:
        dataset: what to go through; only its length matters.
        seed: seed of the order.
        num_replicas: number of devices.
        rank: which of them this one is.
    """

    def __init__(self, dataset: Dataset[Batch], seed: int, num_replicas: int = 1, rank: int = 0) -> None:
        super().__init__(dataset, num_replicas=num_replicas, rank=rank, shuffle=True, seed=seed)
        self.n = len(dataset)  # type: ignore[arg-type]  # torch's Dataset does not promise a length

    def __iter__(self) -> Iterator[int]:
        order = epoch_order(self.n, self.seed, self.epoch)
        # As many for every device, repeating some, or the others would wait for a last gradient for ever.
        order = np.resize(order, self.total_size)
        return iter(order[self.rank :: self.num_replicas].tolist())
