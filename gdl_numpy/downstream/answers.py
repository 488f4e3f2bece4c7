"""A model's own task in pictures: what it was asked of images and answers, or the views it learned from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import singledispatch
from typing import TYPE_CHECKING, Literal

import numpy as np

from gdl_numpy.data.pretext import cut_out, rotate, rotation, tint
from gdl_numpy.messages import kind_of
from gdl_numpy.models.contrastive import ContrastiveEncoder
from gdl_numpy.models.pretext import Colorizer, PatchInpainter, RotationClassifier

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxtyping import Float, Float32, Int64

    from gdl_numpy.data import Dataset
    from gdl_numpy.data.views import Transform
    from gdl_numpy.nn import Module

    Images = Float32[np.ndarray, "batch channels height width"]
    Rows = dict[str, Images]  # for `draw_rows`

VIEWS = 5  # of each image


@dataclass(frozen=True)
class Question:
    """What a pretext task asks of some images.

    Attributes:
        inputs: what the model is given.
        rows: takes its answer; gives rows of images that show both, and by which its answer can be judged.
    """

    inputs: Images
    rows: Callable[[np.ndarray], Rows]


def task_rows(
    model: Module,
    dataset: Dataset,
    answer: Callable[[Images], np.ndarray],
    transform: Transform,
    rng: np.random.Generator,
) -> tuple[Literal["views", "answers"], Rows]:
    """What a model was trained by, for an image of each class: what to call it, and the rows to draw.

    Args:
        model: an encoder, for views of training images; else of a pretext task, for answers on test images.
        dataset: the images.
        answer: the model as a function, whichever backend computes.
        transform: makes views of images.
        rng: draws the views, or what is asked.

    Raises:
        ValueError: a model of another kind.
    """
    is_encoder = isinstance(model, ContrastiveEncoder)
    split = dataset.train if is_encoder else dataset.test
    images = split.inputs[np.unique(split.targets, return_index=True)[1]]
    if is_encoder:
        return "views", view_rows(images, transform, rng)
    question = question_of(model, images, rng)
    return "answers", {"image": images} | question.rows(answer(question.inputs))


@singledispatch
def question_of(model: Module, images: Images, rng: np.random.Generator) -> Question:
    """Returns what a model's pretext task asks of images.

    Args:
        model: of a pretext task on images.
        images: upright and whole, of the model's in_shape.
        rng: draws by how much they are turned, or what is cut out.

    Raises:
        ValueError: a model of no such task.
    """
    raise ValueError(f"{kind_of(model)} has no pretext task on images")


@question_of.register(RotationClassifier)
def by_how_much_turned(model: RotationClassifier, images: Images, rng: np.random.Generator) -> Question:
    """By how many quarters is each image turned? It is turned back by those: upright, if that is right."""
    inputs, _ = rotation(images, rng)

    def rows(logits: Float[np.ndarray, "batch turns"]) -> Rows:
        return {"turned": inputs, "turned back": rotate(inputs, -logits.argmax(axis=1))}

    return Question(inputs, rows)


@question_of.register(PatchInpainter)
def what_was_cut_out(model: PatchInpainter, images: Images, rng: np.random.Generator) -> Question:
    """What was in the square that is cut out of each image? It is put there."""
    size = model.patch_shape[1]
    tops, lefts = (rng.integers(0, side - size + 1, len(images)) for side in images.shape[2:])
    inputs, _ = cut_out(images, tops, lefts, size)

    def rows(patches: Float[np.ndarray, "batch channels size size"]) -> Rows:
        return {"cut out": inputs, "filled in": fill_in(inputs, tops, lefts, patches)}

    return Question(inputs, rows)


@question_of.register(Colorizer)
def which_colours(model: Colorizer, images: Images, rng: np.random.Generator) -> Question:
    """Which colours has each image? Above those of the answer are the right ones."""

    def rows(coloured: Float[np.ndarray, "batch 3 height width"]) -> Rows:
        return {"colours": tint(images), "coloured": coloured}

    return Question(images, rows)


def fill_in(
    images: Images,
    tops: Int64[np.ndarray, " batch"],
    lefts: Int64[np.ndarray, " batch"],
    patches: Float[np.ndarray, "batch channels size size"],
) -> Images:
    """Puts a patch into each image, with its upper left corner there: what `cut_out` takes away."""
    filled, size = images.copy(), np.arange(patches.shape[-1])
    example, channel = np.ogrid[: len(images), : images.shape[1]]
    down, right = tops[:, None] + size, lefts[:, None] + size  # (N, size)
    places = example[..., None, None], channel[..., None, None], down[:, None, :, None], right[:, None, None]
    filled[places] = patches
    return filled


def view_rows(images: Images, transform: Transform, rng: np.random.Generator, count: int = VIEWS) -> Rows:
    """Images, and under each of them some random views of it."""
    return {"image": images} | {f"view {i}": transform(images, rng) for i in range(1, count + 1)}
