"""A data module for each data set and each way to make batches of it.

Their names come from the data set's title: of `digits`, called Digits, there are `DigitsDataModule`,
`DigitsViewsDataModule`, `DigitsRotationsDataModule`, …
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from gdl_numpy.data import DATASETS
from gdl_torch.data.images import ImageDataModule
from gdl_torch.data.pretext import ColoursDataModule, PatchesDataModule, RotationsDataModule
from gdl_torch.data.pretext_text import MaskedWordsDataModule, ShuffledSentencesDataModule
from gdl_torch.data.text import (
    LineDataModule,
    SentenceDataModule,
    SentenceTaskDataModule,
    TextDataModule,
    TextFileDataModule,
)
from gdl_torch.data.views import ViewsDataModule
from gdl_torch.data.words import BagsDataModule, BlanksDataModule

if TYPE_CHECKING:
    from gdl_numpy.data import DataModule as NumpyDataModule
    from gdl_numpy.data import Source
    from gdl_torch.data.module import DataModule

BASES: tuple[type[DataModule], ...] = (
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


def twin_of(module: type[NumpyDataModule]) -> type[DataModule]:
    """Returns the data module that has the NumPy side's batches, or in the case of images makes the same."""
    return next(base for base in BASES if base.twin is module)


def data_module(source: Source, base: type[DataModule]) -> type[DataModule]:
    """Returns the class for a data set: `base` with the data set's name, and a docstring that says so."""
    if base is SentenceDataModule and source.tasks:
        base = SentenceTaskDataModule
    summary = inspect.cleandoc(base.__doc__ or "").partition("\n\nArgs:")[0]
    docstrings = (inspect.cleandoc(each.__doc__ or "") for each in base.__mro__)
    arguments = next(rest for doc in docstrings for _, found, rest in [doc.partition("\n\nArgs:")] if found)
    attributes: dict[str, Any] = {
        "dataset": source.name,
        "__doc__": f"{source.about[0].upper()}{source.about[1:]}.\n\n{summary}\n\nArgs:{arguments}",
        "__module__": __package__,  # where it can be imported from
    }
    return type(f"{source.title}{base.suffix}DataModule", (base,), attributes)


DATA_MODULES: dict[str, type[DataModule]] = {
    made.__name__: made
    for base in BASES
    for source in DATASETS.values()
    if source.kind in base.twin.takes
    for made in (data_module(source, base),)
}
DATA_MODULES[TextFileDataModule.__name__] = TextFileDataModule
