"""Affine transforms of images, and erasing, are torchvision's, image by image."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torchvision.transforms import v2

from gdl_numpy.data.augment import RandomAffine, RandomErasing, affine, erase, random_view


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


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 9, 14)])
def test_erase_is_torchvisions(shape: tuple[int, int, int]) -> None:
    """A rectangle in each image, the whole of it and none as well; the images stay as they are."""
    rng = np.random.default_rng(2)
    images = rng.random((30, *shape), dtype=np.float32)
    before = images.copy()
    size = np.floor(rng.random((30, 2)) * (np.array(shape[1:]) + 1))
    size[:2] = shape[1:], (0, 0)
    corner = np.floor(rng.random((30, 2)) * (np.array(shape[1:]) - size + 1))
    got = erase(images, corner, size)
    for image, (top, left), (height, width), erased in zip(before, corner, size, got, strict=True):
        box = (int(top), int(left), int(height), int(width))
        want = v2.functional.erase(torch.from_numpy(image), *box, torch.zeros(1, 1, 1))
        np.testing.assert_array_equal(erased, want.numpy())
    np.testing.assert_array_equal(images, before)


@pytest.mark.parametrize("shape", [(28, 28), (9, 14)])
def test_rectangles_are_drawn_as_torchvisions(shape: tuple[int, int]) -> None:
    """The same share of images, and in them the same distribution of areas, heights and corners."""
    count = 4000
    ours = RandomErasing(0.7)(np.ones((count, 1, *shape), np.float32), np.random.default_rng(0))
    torch.manual_seed(0)
    transform = v2.RandomErasing(0.7)
    theirs = np.stack([transform(torch.ones(1, *shape)).numpy() for _ in range(count)])
    # Two samples of one distribution: Kolmogorov and Smirnov's distance is below this in 999 of 1,000.
    limit = 1.95 * np.sqrt(2 / count)
    for mine, other in zip(*map(measures, (ours[:, 0], theirs[:, 0])), strict=True):
        places = np.union1d(mine, other)
        ranks = [np.searchsorted(np.sort(sample), places, side="right") / count for sample in (mine, other)]
        assert np.abs(ranks[0] - ranks[1]).max() < limit


def measures(images: np.ndarray) -> list[np.ndarray]:
    """Area, height and first row of what is erased in each."""
    erased = images == 0
    rows = erased.any(axis=2)
    return [erased.sum(axis=(1, 2)), rows.sum(axis=1), rows.argmax(axis=1)]


def test_both_in_turn() -> None:
    """Erased after it was turned, as it is turned without erasing; alone where the other is off."""
    images = np.random.default_rng(0).random((20, 1, 9, 9), dtype=np.float32)
    turned = random_view(25, 0.1, 0.2, 15, 0)(images, np.random.default_rng(1))
    erased = random_view(25, 0.1, 0.2, 15, 1)(images, np.random.default_rng(1))
    assert (erased != turned).any(axis=(1, 2, 3)).mean() > 0.8
    np.testing.assert_array_equal(erased[erased != 0], turned[erased != 0])
    alone = random_view(0, 0, 0, 0, 1)(images, np.random.default_rng(1))
    np.testing.assert_array_equal(alone[alone != 0], images[alone != 0])


@pytest.mark.parametrize("limits", [{"p": 1.5}, {"scale": (0, 1)}, {"scale": (0.5, 1.1)}, {"ratio": (2, 1)}])
def test_bad_limits_of_erasing_are_refused(limits: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"RandomErasing: .* must be"):
        RandomErasing(**limits)


def test_no_augmentation_gives_the_images_themselves() -> None:
    """With all zeros nothing is computed, nor copied."""
    images = np.ones((2, 1, 4, 4), np.float32)
    assert random_view(0, 0, 0, 0, 0)(images, np.random.default_rng(0)) is images


@pytest.mark.parametrize(
    "arguments",
    [
        (-1, 0, 0, 0, 0),
        (0, -1, 0, 0, 0),
        (0, 1.1, 0, 0, 0),  # which torchvision refuses too
        (math.inf, 0, 0, 0, 0),
        (0, 0, 0, math.inf, 0),
        (0, 0, 1, 0, 0),
        (0, 0, -0.1, 0, 0),
        (0, 0, 0, -1, 0),
        (0, 0, 0, 0, -0.1),
        (0, 0, 0, 0, 1.1),
    ],
)
def test_bad_limits_are_refused(arguments: tuple[float, float, float, float, float]) -> None:
    """Before any image is looked at."""
    with pytest.raises(ValueError, match=r"must be"):
        random_view(*arguments)
