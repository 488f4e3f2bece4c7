"""Images turned, shifted, scaled, sheared and partly erased at random: a thing is still the same thing."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxtyping import Float, Float32

TRIES = 10  # rectangles drawn for an image, until one fits


@dataclass(frozen=True)
class RandomAffine:
    """Draws an affine transform for each image, as torchvision's `v2.RandomAffine` does, and applies it.

    Args:
        degrees: largest angle, to either side.
        translate: largest shift, as a fraction of height and width, either way; at most 1.
        scale: smallest and largest scale.
        shear: largest angle of shear along x, to either side.

    Raises:
        ValueError: an argument that is negative or infinite, a shift above 1, or scales that are not
            0 < smallest ≤ largest.
    """

    degrees: float = 25.0
    translate: float = 0.1
    scale: tuple[float, float] = (0.8, 1.2)
    shear: float = 15.0

    def __post_init__(self) -> None:
        for name in ("degrees", "shear"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(
                    f"RandomAffine: {name} must be 0 or more, and finite, got {getattr(self, name)}"
                )
        if not 0 <= self.translate <= 1:
            raise ValueError(f"RandomAffine: translate must be from 0 to 1, got {self.translate}")
        if not 0 < self.scale[0] <= self.scale[1] < math.inf:
            raise ValueError(f"RandomAffine: scale must be two numbers 0 < a ≤ b, got {self.scale}")

    def __call__(
        self, images: Float32[np.ndarray, "batch channels height width"], rng: np.random.Generator
    ) -> Float32[np.ndarray, "batch channels height width"]:
        n, _, *sides = images.shape
        # As torchvision, whole pixels.
        shifts = [np.round(rng.uniform(-self.translate, self.translate, n) * side) for side in sides]
        angle, shear = rng.uniform(-1, 1, (2, n)) * np.array([[self.degrees], [self.shear]])
        scale = np.asarray(rng.uniform(*self.scale, n))
        return affine(images, angle, np.stack(shifts[::-1], axis=1), scale, shear)


@dataclass(frozen=True)
class RandomErasing:
    """Draws a rectangle in each image, with some probability, and blackens it: `v2.RandomErasing`.

    Source: Zhong et al. 2017, *Random Erasing Data Augmentation*, https://arxiv.org/abs/1708.04896.

    Args:
        p: probability that an image loses one.
        scale: smallest and largest part of an image's area.
        ratio: smallest and largest ratio of height to width, drawn evenly in its logarithm.

    Raises:
        ValueError: a probability outside [0, 1], or limits that are not 0 < smallest ≤ largest.
    """

    p: float = 0.5
    scale: tuple[float, float] = (0.02, 0.33)
    ratio: tuple[float, float] = (0.3, 3.3)

    def __post_init__(self) -> None:
        if not 0 <= self.p <= 1:
            raise ValueError(f"RandomErasing: p must be from 0 to 1, got {self.p}")
        if not 0 < self.scale[0] <= self.scale[1] <= 1:
            raise ValueError(f"RandomErasing: scale must be two numbers 0 < a ≤ b ≤ 1, got {self.scale}")
        if not 0 < self.ratio[0] <= self.ratio[1]:
            raise ValueError(f"RandomErasing: ratio must be two numbers 0 < a ≤ b, got {self.ratio}")

    def __call__(
        self, images: Float32[np.ndarray, "batch channels height width"], rng: np.random.Generator
    ) -> Float32[np.ndarray, "batch channels height width"]:
        n, _, *sides = images.shape
        # As torchvision, up to ten rectangles are drawn, until one is smaller than the image both ways.
        area = rng.uniform(*self.scale, (TRIES, n)) * np.prod(sides)
        ratio = np.exp(rng.uniform(math.log(self.ratio[0]), math.log(self.ratio[1]), (TRIES, n)))
        drawn = np.round(np.sqrt([area * ratio, area / ratio]))  # (height and width, tries, images)
        fits = (drawn < np.reshape(sides, (2, 1, 1))).all(axis=0)
        size = drawn[:, fits.argmax(axis=0), np.arange(n)] * (fits.any(axis=0) & (rng.random(n) < self.p))
        corner = np.floor(rng.random((2, n)) * (np.reshape(sides, (2, 1)) - size + 1))
        return erase(images, corner.T, size.T)


def random_view(
    degrees: float, translate: float, scale: float, shear: float, erasing: float
) -> Callable[[np.ndarray, np.random.Generator], np.ndarray]:
    """Returns an affine transform, and erasing after it; with all 0, what does nothing.

    Args:
        degrees: see `RandomAffine`.
        translate: see `RandomAffine`.
        scale: of the scales from 1 - scale to 1 + scale.
        shear: see `RandomAffine`.
        erasing: probability that a rectangle is erased.

    Raises:
        ValueError: an argument is out of its range.
    """
    if not 0 <= scale < 1:
        raise ValueError(f"scale must be in [0, 1), got {scale}")
    if not 0 <= erasing <= 1:
        raise ValueError(f"erasing must be from 0 to 1, got {erasing}")
    affine, erase = RandomAffine(degrees, translate, (1 - scale, 1 + scale), shear), RandomErasing(erasing)
    if not any((degrees, translate, scale, shear)):
        return erase if erasing else unchanged
    return (lambda images, rng: erase(affine(images, rng), rng)) if erasing else affine


def unchanged(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Returns the images themselves: for views that are alike by their labels only."""
    return images


def affine(
    images: Float32[np.ndarray, "batch channels height width"],
    angle: Float[np.ndarray, " batch"],
    translate: Float[np.ndarray, "batch 2"],
    scale: Float[np.ndarray, " batch"],
    shear: Float[np.ndarray, " batch"],
) -> Float32[np.ndarray, "batch channels height width"]:
    """Transforms each image about its centre, with bilinear interpolation and zeros from outside.

    A point p, seen from the centre, goes to scale · R(angle) S(shear) p + translate, where R turns clockwise
    as an image is looked at and S = [[1, -tan shear], [0, 1]]; as torchvision's `v2.functional.affine`.

    Args:
        images: the images.
        angle: in degrees.
        translate: (x, y) in pixels.
        scale: factors.
        shear: along x, in degrees.
    """
    height, width = images.shape[2:]
    turn, slant = np.deg2rad(angle), np.tan(np.deg2rad(shear))
    cos, sin = np.cos(turn) / scale, np.sin(turn) / scale
    # Where a pixel of the result comes from: S⁻¹ R⁻¹ (p - translate) / scale.
    inverse = np.array([[cos + slant * -sin, sin + slant * cos], [-sin, cos]], np.float32)  # (2, 2, n)
    x = (np.arange(width, dtype=np.float32) - (width - 1) / 2)[None, None, :]
    y = (np.arange(height, dtype=np.float32) - (height - 1) / 2)[None, :, None]
    x, y = (p - t[:, None, None] for p, t in zip((x, y), translate.T.astype(np.float32), strict=True))
    from_x, from_y = (row[0, :, None, None] * x + row[1, :, None, None] * y for row in inverse)
    from_x += (width - 1) / 2
    from_y += (height - 1) / 2
    return bilinear(images, from_x, from_y)


def erase(
    images: Float32[np.ndarray, "batch channels height width"],
    corner: Float[np.ndarray, "batch 2"],
    size: Float[np.ndarray, "batch 2"],
) -> Float32[np.ndarray, "batch channels height width"]:
    """Images, in each of which a rectangle is black.

    Args:
        images: the images, which stay as they are.
        corner: (top, left) of the rectangles, in pixels.
        size: (height, width) of them; 0 for none.
    """
    inside = []
    for first, count, side in zip(corner.T, size.T, images.shape[2:], strict=True):
        places = np.arange(side)
        inside.append((places >= first[:, None]) & (places < (first + count)[:, None]))
    rows, columns = inside
    erased = rows[:, None, :, None] & columns[:, None, None, :]
    return np.where(erased, images.dtype.type(0), images)


def bilinear(
    images: Float32[np.ndarray, "batch channels height width"],
    x: Float32[np.ndarray, "batch rows columns"],
    y: Float32[np.ndarray, "batch rows columns"],
) -> Float32[np.ndarray, "batch channels rows columns"]:
    """Each image at points between its pixels, numbered from 0; all around it are zeros."""
    n, channels, height, width = images.shape
    # One row and column of zeros before the image and two after it: where every point outside may read.
    padded = np.zeros((n, channels, height + 3, width + 3), np.float32)
    padded[:, :, 1:-2, 1:-2] = images
    x, y = np.clip(x, -1, width) + 1, np.clip(y, -1, height) + 1
    left, top = x.astype(np.int32), y.astype(np.int32)  # truncates, and nothing is below 0
    right_part, lower_part = (x - left)[:, None], (y - top)[:, None]

    image = np.arange(n * channels, dtype=np.int64).reshape(n, channels, 1, 1)
    places = (image * (height + 3) + top[:, None]) * (width + 3) + left[:, None]
    flat = padded.reshape(-1)
    upper = flat[places]
    upper += right_part * (flat[places + 1] - upper)
    places += width + 3
    lower = flat[places]
    lower += right_part * (flat[places + 1] - lower)
    lower -= upper
    lower *= lower_part
    upper += lower
    blended: np.ndarray = upper
    return blended
