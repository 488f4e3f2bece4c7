"""Images turned, shifted, scaled and sheared at random: views in which a thing is still the same thing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxtyping import Float, Float32


@dataclass(frozen=True)
class RandomAffine:
    """Draws an affine transform for each image, as torchvision's `v2.RandomAffine` does, and applies it.

    Args:
        degrees: largest angle, to either side.
        translate: largest shift, as a fraction of height and width, either way.
        scale: smallest and largest scale.
        shear: largest angle of shear along x, to either side.

    Raises:
        ValueError: a negative argument, or scales that are not 0 < smallest ≤ largest.
    """

    degrees: float = 25.0
    translate: float = 0.1
    scale: tuple[float, float] = (0.8, 1.2)
    shear: float = 15.0

    def __post_init__(self) -> None:
        for name in ("degrees", "translate", "shear"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"RandomAffine: {name} must be 0 or more, got {getattr(self, name)}")
        if not 0 < self.scale[0] <= self.scale[1]:
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


def random_affine(
    degrees: float, translate: float, scale: float, shear: float
) -> Callable[[np.ndarray, np.random.Generator], np.ndarray]:
    """Returns the transform with scales from 1 - scale to 1 + scale; with all 0, one that does nothing.

    Raises:
        ValueError: an argument is out of its range.
    """
    if not 0 <= scale < 1:
        raise ValueError(f"scale must be in [0, 1), got {scale}")
    transform = RandomAffine(degrees, translate, (1 - scale, 1 + scale), shear)
    return transform if any((degrees, translate, scale, shear)) else unchanged


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
