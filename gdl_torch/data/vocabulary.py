"""What all data modules of texts have in common: a data set, a vocabulary, and models that can read them."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import pytorch_lightning as pl

from gdl_numpy.data import Part, Vocabulary, fetch, load
from gdl_torch.data.loading import ignore_advice_on_workers
from gdl_torch.tasks import Task

if TYPE_CHECKING:
    from pathlib import Path

    from torch.utils.data import DataLoader


class VocabularyDataModule(pl.LightningDataModule):
    """Base of the data modules that give ids; subclasses say which data set, and make its batches.

    Args:
        batch_size: streams, sentences or examples in a batch, on each device.
        data_dir: where the files are or will be put; else $GDL_DATA, else the user cache.

    Attributes:
        vocabulary: what the ids mean.

    Raises:
        ValueError: a batch_size below 1.
    """

    dataset: ClassVar[str]
    gives: ClassVar[str]  # for people
    reader: ClassVar[type[Task]]  # what models of this package must be to read it

    def __init__(self, batch_size: int, data_dir: str | Path | None) -> None:
        super().__init__()
        if batch_size < 1:
            raise ValueError(f"{type(self).__name__}: batch_size must be at least 1, got {batch_size}")
        self.batch_size = batch_size
        self.data_dir = data_dir

    @cached_property
    def texts(self) -> Any:
        """The data set, as `gdl_numpy.data.load` returns it; it is downloaded, if it is not there."""
        return load(self.dataset, self.data_dir)

    @cached_property
    def vocabulary(self) -> Vocabulary:
        raise NotImplementedError

    @property
    def vocab_size(self) -> int:
        """Number of symbols, with the one for unknown ones."""
        return len(self.vocabulary)

    def prepare_data(self) -> None:
        fetch(self.dataset, self.data_dir)

    def setup(self, stage: str) -> None:
        """Raises ValueError for a model of this package that cannot read what there is."""
        model = self.trainer and self.trainer.lightning_module
        if isinstance(model, Task) and not isinstance(model, self.reader):
            raise ValueError(
                f"{type(self).__name__} gives {self.gives}, which {type(model).__name__} cannot read: "
                f"take a {self.reader.__name__}, or other data"
            )
        ignore_advice_on_workers()

    def train_dataloader(self) -> DataLoader[Any]:
        return self.loader("train")

    def val_dataloader(self) -> DataLoader[Any] | list[DataLoader[Any]]:
        return self.loader("validation")

    def test_dataloader(self) -> DataLoader[Any]:
        return self.loader("test")

    def loader(self, part: Part) -> DataLoader[Any]:
        """The batches of one part of the data set."""
        raise NotImplementedError

    @property
    def device(self) -> tuple[int, int]:
        """How many devices there are, and which of them this one is."""
        return (self.trainer.world_size, self.trainer.global_rank) if self.trainer else (1, 0)
