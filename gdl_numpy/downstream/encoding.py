"""Images through the trunk of a model, in batches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from gdl_numpy.checkpoint import describe_model
from gdl_numpy.messages import kind_of
from gdl_numpy.models.contrastive import ContrastiveEncoder
from gdl_numpy.models.trunk import HasTrunk
from gdl_numpy.nn import evaluating
from gdl_numpy.progress import Bar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from jaxtyping import Float, Shaped

    from gdl_numpy.data import Dataset
    from gdl_numpy.nn import Module

M = TypeVar("M", bound="Module")
BATCH_SIZE = 256  # what convolutions unfold of so many images still fits into a cache


def check_trunk(model: Module) -> HasTrunk:
    """Returns the model, once it is sure that it has a trunk.

    Raises:
        ValueError: it has none.
    """
    if not isinstance(model, HasTrunk):
        raise ValueError(
            f"{kind_of(model)} has no trunk whose features could be used: "
            "give a ContrastiveEncoder, or a model of a pretext task on images"
        )
    return model


def check_encoder(model: Module, dataset: Dataset) -> HasTrunk:
    """Returns the model, once it is sure that it has a trunk, and one for the images of a data set.

    Raises:
        ValueError: it has none, or one for images of another shape.
    """
    model = check_trunk(model)
    expected = tuple(describe_model(model)["hparams"]["in_shape"])
    if expected != dataset.in_shape:
        raise ValueError(
            f"this {type(model).__name__} takes images of shape {expected}, "
            f"and those of {dataset.name} have shape {dataset.in_shape}"
        )
    return model


def untrained(model: M, seed: int) -> M:
    """Returns a model with the same arguments, with the first weights that the seed gives."""
    # Any: every model takes rng and dtype, which Module does not say.
    model_class: Any = type(model)
    dtype = next(iter(model.parameters())).data.dtype
    fresh: M = model_class(**describe_model(model)["hparams"], rng=seed, dtype=dtype)
    return fresh.eval()


def features_of(
    model: HasTrunk,
    images: Float[np.ndarray, "images channels height width"],
    batch_size: int = BATCH_SIZE,
    progress: bool = False,
) -> Float[np.ndarray, "images features"]:
    """What a model's trunk sees in images, in eval mode, which the model leaves again.

    Args:
        model: has a trunk.
        images: any number of them, at least one.
        batch_size: images that go through it at a time.
        progress: show a bar, which disappears at the end.

    Raises:
        ValueError: no images, images of another shape, or a batch_size below 1.
    """
    with evaluating(model):
        return in_batches(model.features, images, batch_size, "features", progress)


def embeddings_of(
    model: ContrastiveEncoder, features: Float[np.ndarray, "images features"]
) -> Float[np.ndarray, "images projected"]:
    """Where on the sphere the encoder's head puts images with these features: what it was trained by."""
    z: np.ndarray = model.normalize(model.head(features))
    return z


def answers_of(
    model: HasTrunk, inputs: Float[np.ndarray, "images channels height width"]
) -> Float[np.ndarray, "images ..."]:
    """What a model of a pretext task says of a few inputs, in eval mode, which the model leaves again."""
    with evaluating(model):
        answers: np.ndarray = model(inputs)
    return answers


def in_batches(
    function: Callable[[np.ndarray], np.ndarray],
    images: Shaped[np.ndarray, "images ..."],
    batch_size: int,
    title: str,
    progress: bool = False,
) -> np.ndarray:
    """Returns what a function makes of images, each batch of it in its place.

    Raises:
        ValueError: there are no images, or batch_size is below 1.
    """
    if not len(images):
        raise ValueError(f"{title} of no images: give at least one")
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")
    starts = range(0, len(images), batch_size)

    def results() -> Iterator[np.ndarray]:
        for start in Bar(starts, desc=title, unit="batch", leave=False, disable=not progress):
            yield function(images[start : start + batch_size])

    return np.concatenate(list(results()))
