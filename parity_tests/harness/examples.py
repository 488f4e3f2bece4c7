"""Random batches for the models' small variants: from their arguments, a batch size and a generator."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from gdl_numpy.data.text import IGNORED
from gdl_numpy.models.pretext import TURNS
from gdl_numpy.models.pretext_text import ORDERS

Example = Callable[[Mapping[str, Any], int, np.random.Generator], tuple[Any, Any]]


def classified(shape: tuple[int, ...], classes: int = 10) -> Example:
    """Images and classes, as many as `out_features` says or else `classes`."""

    def example(hparams: Mapping[str, Any], batch: int, rng: np.random.Generator) -> Any:
        count = hparams.get("out_features", classes)
        return rng.standard_normal((batch, *shape)), rng.integers(0, count, batch)

    return example


def text(hparams: Mapping[str, Any], batch: int, rng: np.random.Generator) -> Any:
    """Ids, some of them often, and targets, some of which are not counted."""
    ids = rng.integers(0, hparams["vocab_size"], (7, batch)) // rng.integers(1, 3, (7, batch))
    targets = rng.integers(0, hparams["vocab_size"], (7, batch))
    targets[5:, ::2] = IGNORED
    return ids, targets


def bags(hparams: Mapping[str, Any], count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Bags of words, some of them empty: ids and offsets."""
    lengths = rng.integers(0, 6, count)
    ids = rng.integers(0, hparams["vocab_size"], lengths.sum()) // rng.integers(1, 3, lengths.sum())
    return ids, np.cumsum(lengths) - lengths


def reviews(hparams: Mapping[str, Any], batch: int, rng: np.random.Generator) -> Any:
    """Bags of words, with weights where they are summed up, and whether each is positive."""
    ids, offsets = bags(hparams, batch, rng)
    weights = [rng.standard_normal(len(ids))] if hparams.get("mode", "sum") == "sum" else []
    return (ids, offsets, *weights), rng.integers(0, 2, batch).astype(np.float64)


def blanks(hparams: Mapping[str, Any], batch: int, rng: np.random.Generator) -> Any:
    """The words around blanks, candidates, some of them twice, and which of those are the word."""
    candidates = rng.integers(0, hparams["vocab_size"], (batch, 4))
    return (*bags(hparams, batch, rng), candidates), rng.integers(0, 2, (batch, 4)).astype(np.float64)


def masked(hparams: Mapping[str, Any], batch: int, rng: np.random.Generator) -> Any:
    """Words around a mask, which has an id of its own, and the word under it."""
    ids = rng.integers(0, hparams["vocab_size"], (batch, 2 * hparams["window"] + 1))
    ids[:, hparams["window"]] = hparams["vocab_size"]
    return ids, rng.integers(0, hparams["vocab_size"], batch)


def sentences(hparams: Mapping[str, Any], batch: int, rng: np.random.Generator) -> Any:
    """Three bags of words each, and the number of their order."""
    return bags(hparams, 3 * batch, rng), rng.integers(0, ORDERS, batch)


def views(shape: tuple[int, ...]) -> Example:
    """Two views of the same images, and labels."""

    def example(hparams: Mapping[str, Any], batch: int, rng: np.random.Generator) -> Any:
        x = rng.standard_normal((batch, *shape))
        return (x, x + 0.3 * rng.standard_normal(x.shape)), rng.integers(0, 10, batch)

    return example


def turned(shape: tuple[int, ...]) -> Example:
    """Images, and by how many quarters they are turned."""
    return classified(shape, TURNS)


def filled(shape: tuple[int, ...], missing: Callable[[Mapping[str, Any]], tuple[int, ...]]) -> Example:
    """Images, and the numbers that are to be filled in, in a shape that the arguments say."""

    def example(hparams: Mapping[str, Any], batch: int, rng: np.random.Generator) -> Any:
        return rng.standard_normal((batch, *shape)), rng.random((batch, *missing(hparams)))

    return example
