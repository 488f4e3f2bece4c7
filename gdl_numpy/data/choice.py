"""Which data module a model learns from.

A new data module is a class beside its loader, and its entry in `DATA_MODULES`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gdl_numpy.data.images import ImageDataModule
from gdl_numpy.data.module import kinds_of
from gdl_numpy.data.pretext import ColoursDataModule, PatchesDataModule, RotationsDataModule
from gdl_numpy.data.pretext_text import MaskedWordsDataModule, ShuffledSentencesDataModule
from gdl_numpy.data.sets import DATASETS
from gdl_numpy.data.text import LineDataModule, SentenceDataModule, TextDataModule
from gdl_numpy.data.views import ViewsDataModule
from gdl_numpy.data.words import BagsDataModule, BlanksDataModule

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gdl_numpy.data.module import DataModule

# Of several that a model can read, the first one that takes the data set is its own.
DATA_MODULES: tuple[type[DataModule], ...] = (
    ImageDataModule,
    ViewsDataModule,
    RotationsDataModule,
    PatchesDataModule,
    ColoursDataModule,
    TextDataModule,
    SentenceDataModule,
    LineDataModule,
    BagsDataModule,
    BlanksDataModule,
    MaskedWordsDataModule,
    ShuffledSentencesDataModule,
)


def names_of(*modules: type[DataModule]) -> str:
    """Returns the names of the data sets that one of these data modules takes, for people."""
    kinds = [kind for module in modules for kind in module.takes]
    return ", ".join(name for name, source in DATASETS.items() if source.kind in kinds)


def data_modules_of(model: type[Any]) -> tuple[type[DataModule], ...]:
    """Returns the data modules that a model of the NumPy side learns from by itself, its own first."""
    able = [module for module in DATA_MODULES if module.can_be_read_by(model)]
    first = {kind: module for module in reversed(able) for kind in module.takes}
    return tuple(module for module in able if module in first.values())


def data_module_for(
    model: type[Any], dataset: Any, among: Sequence[type[DataModule]] = ()
) -> type[DataModule]:
    """Returns the data module in which a model of the NumPy side learns from a data set.

    Args:
        model: the class.
        dataset: what it is to learn from.
        among: which to choose from, the first one first; else `data_modules_of(model)`.

    Raises:
        ValueError: none of them takes the data set.
    """
    modules = among or data_modules_of(model)
    for module in modules:
        if module.accepts(dataset):
            return module
    raise ValueError(
        f"{model.__name__} takes {kinds_of(*modules)}, but {dataset.name} is {dataset.kind}: "
        "choose other --data"
    )
