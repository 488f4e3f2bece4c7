"""Affine transforms of images are torchvision's, image by image."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchvision.transforms import v2

from gdl_numpy.data.augment import RandomAffine, affine, random_affine


@pytest.mark.parametrize("shape", [(1, 28, 28), (1, 8, 8), (3, 9, 14)])
def test_affine_is_torchvisions(shape: tuple[int, int, int]) -> None:
    """Angle, shift, scale and shear mean the same, about the same centre, in oblong images too."""
    rng = np.random.default_rng(1)
    n = 50
    images = rng.random((n, *shape), dtype=np.float32)
    angle, shear = rng.uniform(-60, 60, n), rng.uniform(-30, 30, n)
    scale, translate = rng.uniform(0.6, 1.6, n), rng.integers(-3, 4, (n, 2)).astype(float)
    got = affine(images, angle, translate, scale, shear)
    want = [
        v2.functional.affine(
            torch.from_numpy(image), a, t.tolist(), s, [h, 0.0], v2.InterpolationMode.BILINEAR
        ).numpy()
        for image, a, t, s, h in zip(images, angle, translate, scale, shear, strict=True)
    ]
    # Places up to about 2·(28 + 3) from the centre, each by some 20 roundings of 2⁻²⁴ on either side; pixels
    # of 0 to 1 change by at most 1 from one to the next, in either direction.
    bound = 2 * 2 * 20 * 2 * (max(shape) + 3) * 2.0**-24
    np.testing.assert_allclose(got, want, rtol=0, atol=bound)


def test_each_image_has_its_own_transform_within_the_limits() -> None:
    """Copies of an image come out different; shifts stay within the fraction asked for."""
    images = np.zeros((40, 1, 21, 21), np.float32)
    images[:, :, 10, 10] = 1
    moved = RandomAffine(0, 0.1, (1, 1), 0)(images, np.random.default_rng(0))
    _, _, rows, columns = np.nonzero(moved > 0.5)
    assert len(rows) == 40
    assert max(abs(rows - 10).max(), abs(columns - 10).max()) == 2
    assert len(set(zip(rows.tolist(), columns.tolist(), strict=True))) > 5


def test_no_augmentation_gives_the_images_themselves() -> None:
    """With all zeros nothing is computed, nor copied."""
    images = np.ones((2, 1, 4, 4), np.float32)
    assert random_affine(0, 0, 0, 0)(images, np.random.default_rng(0)) is images


@pytest.mark.parametrize(
    "arguments", [(-1, 0, 0, 0), (0, -1, 0, 0), (0, 0, 1, 0), (0, 0, -0.1, 0), (0, 0, 0, -1)]
)
def test_bad_limits_are_refused(arguments: tuple[float, float, float, float]) -> None:
    """Before any image is looked at."""
    with pytest.raises(ValueError, match=r"must be"):
        random_affine(*arguments)
