"""What all data modules have in common: a data set, the NumPy side's batches of it, models that read them."""

from __future__ import annotations

import inspect
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import pytorch_lightning as pl

from gdl_numpy.data import DATASETS, fetch, find, load
from gdl_numpy.data import DataModule as NumpyDataModule
from gdl_numpy.data.module import check_arguments
from gdl_numpy.models import MODELS
from gdl_torch.data.loading import as_torch_loader, ignore_advice

if TYPE_CHECKING:
    from pathlib import Path

    from torch.utils.data import DataLoader

    from gdl_numpy.data import AnyDataset, Part, Vocabulary


class DataModule(pl.LightningDataModule):
    """Base of the data modules: the batches of the NumPy side's module of the same name, as tensors.

    With several devices each takes its share of a batch that is so many times larger; where the examples
    cannot be divided evenly, some are repeated, in training, validation and test.

    Args:
        batch_size: examples in a batch, on each device.
        data_dir: where the files are or will be put; else $GDL_DATA, else the user cache.
        arguments: others of the subclass's, to be checked.

    Attributes:
        twin: the NumPy side's class.
        suffix: what the name of a data set's module has between the data set's title and "DataModule".
        dataset: name of the data set.
        loaded: the data set, as `gdl_numpy.data.load` returns it; it is downloaded, if it is not there.
        numpy: the NumPy side's data module.

    Raises:
        ValueError: an argument is out of its range.
    """

    twin: ClassVar[type[NumpyDataModule]]
    suffix: ClassVar[str] = ""
    # Arguments that a model has too, and that must be the same there.
    shared: ClassVar[tuple[str, ...]] = ()

    dataset: str

    def __init__(self, batch_size: int, data_dir: str | Path | None, **arguments: Any) -> None:
        super().__init__()
        check_arguments(type(self).__name__, batch_size=batch_size, **arguments)
        self.batch_size = batch_size
        self.data_dir = data_dir

    @classmethod
    def fitting(cls, dataset: AnyDataset, **arguments: Any) -> DataModule:
        """Returns the data module of a data set that is loaded, made with those of the arguments it takes."""
        names = inspect.signature(cls).parameters
        module = cls(**{name: value for name, value in arguments.items() if name in names})
        name = dataset.name.partition("/")[0]
        module.dataset = name if name in DATASETS else "text_file"  # as checkpoints call it
        module.loaded = dataset
        return module

    @property
    def source_name(self) -> str:
        """What `load` and `fetch` are asked for."""
        return self.dataset

    @cached_property
    def loaded(self) -> Any:
        return load(self.source_name, self.data_dir)

    @cached_property
    def numpy(self) -> NumpyDataModule:
        return self.make(self.loaded)

    def make(self, dataset: Any) -> NumpyDataModule:
        """Returns the NumPy side's data module, of the same arguments."""
        raise TypeError(f"{type(self).__name__} does not define make")

    @property
    def device(self) -> tuple[int, int]:
        """How many devices there are, and which of them this one is."""
        return (self.trainer.world_size, self.trainer.global_rank) if self.trainer else (1, 0)

    def can_be_read_by(self, model: type[Any], stage: str) -> bool:
        """Returns whether models of this class can do with the batches what the stage asks for.

        Of a model that is not of this package, nor derived from one that is, nothing is known.
        """
        known = [MODELS[base.__name__] for base in model.__mro__ if base.__name__ in MODELS]
        return not known or self.twin.can_be_read_by(known[0])

    def prepare_data(self) -> None:
        if "loaded" not in vars(self):
            fetch(find(self.source_name).name, self.data_dir)

    def setup(self, stage: str) -> None:
        """Raises ValueError for a model of this package that cannot read what there is."""
        ignore_advice()
        model: Any = self.trainer and self.trainer.lightning_module
        if model is None:
            return
        name, other = type(self).__name__, type(model).__name__
        if not self.can_be_read_by(type(model), stage):
            readers = " or ".join(
                reader for reader, numpy_model in MODELS.items() if self.twin.can_be_read_by(numpy_model)
            )
            raise ValueError(
                f"{name} gives {self.twin.gives}, which {other} cannot read: take {readers}, or other data"
            )
        for argument in self.shared:
            ours, theirs = self.numpy.model_arguments[argument], model.hparams.get(argument)
            if theirs is not None and theirs != ours:
                raise ValueError(
                    f"{name} has a {argument} of {ours}, {other} one of {theirs}: give both the same"
                )

    def train_dataloader(self) -> DataLoader[Any]:
        return self.loader("train")

    def val_dataloader(self) -> list[DataLoader[Any]]:
        return [self.loader("validation")] if self.numpy.has("validation") else []

    def test_dataloader(self) -> DataLoader[Any]:
        return self.loader("test")

    def loader(self, part: Part) -> DataLoader[Any]:
        """Returns the batches of one part of the data set."""
        self.numpy.batch_size = self.batch_size  # Lightning's tuner may have changed it
        return as_torch_loader(self.numpy.batches(part, *self.device))


class VocabularyDataModule(DataModule):
    """Base of the data modules that give ids, of tokens of a vocabulary.

    Attributes:
        vocabulary: what the ids mean.
    """

    @property
    def vocabulary(self) -> Vocabulary:
        vocabulary = self.numpy.vocabulary
        assert vocabulary is not None
        return vocabulary

    @property
    def vocab_size(self) -> int:
        """Number of tokens, with the one for unknown ones."""
        return len(self.vocabulary)
