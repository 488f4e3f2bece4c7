"""Data modules: the one place where a data set becomes batches.

    data = ImageDataModule(load("digits"), batch_size=100, seed=0)
    model = MLP(data.model_arguments["in_features"], rng=0)
    history = fit(model, CrossEntropyLoss(), optimizer, data.train, epochs=10, validation=data.validation)

Each is the twin of Lightning's data module of the same name in `gdl_torch.data`, which takes its batches from
here. Which one a model learns from is found by `data_module_for`.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from functools import cached_property
from math import inf
from typing import TYPE_CHECKING, Any, ClassVar

from gdl_numpy.data.ngrams import LONGEST

if TYPE_CHECKING:
    from gdl_numpy.data.batches import DataLoader
    from gdl_numpy.data.dataset import Part
    from gdl_numpy.data.vocabulary import Vocabulary

# The smallest values of the arguments that are counts or seeds.
LEAST = {"seed": 0, "ahead": 0} | dict.fromkeys(
    ("batch_size", "chunk", "views", "window", "negatives", "longest", "ngrams", "together"), 1
)


def check_arguments(owner: str, **arguments: Any) -> None:
    """Refuses arguments of a data module that are out of their range, before any data is read.

    Args:
        owner: the data module's name, for the message.
        arguments: those whose range does not depend on the data.

    Raises:
        ValueError: an argument is out of its range.
    """
    for name, value in arguments.items():
        least = LEAST.get(name)
        if least is not None and value < least:
            wanted = "0 or more" if least == 0 else f"at least {least}"
            raise ValueError(f"{owner}: {name} must be {wanted}, got {value}")
        if name == "ngrams" and value > LONGEST:
            raise ValueError(f"{owner}: ngrams must be at most {LONGEST}, got {value}")
        if name == "ratio_power" and not 0 < value < inf:
            raise ValueError(f"{owner}: ratio_power must be more than 0, and finite, got {value}")
        if name == "validation" and not 0 <= value < 1:
            raise ValueError(f"{owner}: validation must be a fraction in [0, 1), got {value}")
        if name == "max_words" and value is not None and value < 2:
            raise ValueError(f"{owner}: max_words must be at least 2, the unknown one counted, got {value}")


class DataModule(ABC):
    """A data set in batches: to learn from, to watch the training by, to decide in the end.

    Args:
        dataset: of a kind in `takes`.
        batch_size: examples in a batch, on each device.
        arguments: the subclass's own, to be checked by `check_arguments`.

    Attributes:
        takes: the kinds of data set that it makes batches of.
        gives: what it makes of them, for people.
        readers: the models that learn from it, by the names of their classes, or of these classes' bases.
        continues: each batch goes on where the one before it ended, so that a model's state carries over.

    Raises:
        ValueError: a data set of another kind, or an argument out of its range.
    """

    takes: ClassVar[tuple[type[Any], ...]]
    gives: ClassVar[str]
    readers: ClassVar[tuple[str, ...]]
    continues: ClassVar[bool] = False

    def __init__(self, dataset: Any, batch_size: int, **arguments: Any) -> None:
        if not self.accepts(dataset):
            raise ValueError(
                f"{type(self).__name__} takes {kinds_of(type(self))}, but {dataset.name} is {dataset.kind}"
            )
        check_arguments(type(self).__name__, batch_size=batch_size, **arguments)
        self.dataset = dataset
        self.batch_size = batch_size
        self.seed: int | None = arguments.get("seed")

    @classmethod
    def fitting(cls, dataset: Any, **arguments: Any) -> DataModule:
        """Returns the data module of a data set, made with those of the arguments that it takes."""
        names = inspect.signature(cls).parameters
        return cls(dataset, **{name: value for name, value in arguments.items() if name in names})

    @classmethod
    def accepts(cls, dataset: Any) -> bool:
        """Returns whether the data set is of a kind that it takes."""
        return isinstance(dataset, cls.takes)

    @classmethod
    def can_be_read_by(cls, model: type[Any]) -> bool:
        """Returns whether models of this class of the NumPy side learn from its batches."""
        return any(base.__name__ in cls.readers for base in model.__mro__)

    @property
    def name(self) -> str:
        """The data set's."""
        name: str = self.dataset.name
        return name

    @property
    @abstractmethod
    def model_arguments(self) -> dict[str, Any]:
        """A model's arguments that the data decides, of whatever model."""

    @cached_property
    def vocabulary(self) -> Vocabulary | None:
        """What ids stand for, in text."""
        return None

    @property
    def unit(self) -> str:
        """What is predicted, one at a time."""
        return "example" if self.vocabulary is None else self.vocabulary.unit

    @property
    def identity(self) -> dict[str, Any]:
        """What tells the data from other data of this name, in JSON's types."""
        return {}

    @abstractmethod
    def batches(self, part: Part, num_replicas: int = 1, rank: int = 0) -> DataLoader:
        """Returns the batches of one part; see `DataLoader` for what several devices share.

        Raises:
            ValueError: the part is too small for a batch.
        """

    def has(self, part: Part) -> bool:
        """Returns whether there is anything in this part."""
        return True

    def finished(self, model: Any) -> Any:
        """Returns a model that was trained on these batches as it reads data that does not come from here."""
        return model

    def seed_of(self, part: Part) -> int | None:
        """Returns the seed of a part's batches: those to learn from are shuffled."""
        return self.seed if part == "train" else None

    @cached_property
    def train(self) -> DataLoader:
        """The batches to learn from."""
        return self.batches("train")

    @cached_property
    def validation(self) -> DataLoader | None:
        """Those to watch the training by, if there are any."""
        return self.batches("validation") if self.has("validation") else None

    @cached_property
    def test(self) -> DataLoader:
        """Those that decide in the end."""
        return self.batches("test")

    def setup(self) -> None:
        """Makes the batches of all parts, so that what makes none is refused now.

        Raises:
            ValueError: a part is too small for a batch.
        """
        _ = self.train, self.validation, self.test


class VocabularyDataModule(DataModule):
    """Base of the data modules that give ids, of tokens of a vocabulary."""

    @cached_property
    @abstractmethod
    def vocabulary(self) -> Vocabulary:
        """What the ids stand for."""

    @property
    def model_arguments(self) -> dict[str, Any]:
        return {"vocab_size": len(self.vocabulary)}

    @property
    def identity(self) -> dict[str, Any]:
        digest = getattr(self.dataset, "sha256", None)  # sentences have none: their name is enough
        return {"text_sha256": digest} if digest else {}


def kinds_of(*modules: type[DataModule]) -> str:
    """Returns the kinds of data set that one of these data modules takes, for people."""
    return " or ".join(dict.fromkeys(kind.kind for module in modules for kind in module.takes))
