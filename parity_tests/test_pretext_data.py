"""The tasks on images: NumPy's functions and torch's are the same."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gdl_numpy.data import PatchesDataModule, load
from gdl_numpy.data import pretext as ours
from gdl_torch.data import pretext as theirs
from parity_tests.harness.rounding import gamma, unit_roundoff

IMAGES = load("digits").train.inputs[:200]
rng = np.random.default_rng(0)


def test_rotate_is_torchs_bit_for_bit() -> None:
    """Turns of more than a whole one and backwards, too."""
    turns = rng.integers(-4, 8, len(IMAGES))
    want = ours.rotate(IMAGES, turns)
    got = theirs.rotate(torch.from_numpy(IMAGES), torch.from_numpy(turns))
    np.testing.assert_array_equal(got.numpy(), want)
    np.testing.assert_array_equal(want[turns == 1], np.rot90(IMAGES[turns == 1], 1, (2, 3)))


@pytest.mark.parametrize("size", [1, 3, 8])
def test_cut_out_is_torchs_and_can_be_put_back(size: int) -> None:
    """Bit for bit; the square put back gives the image."""
    rows, columns = rng.integers(0, 9 - size, (2, len(IMAGES)))
    left, patches = ours.cut_out(IMAGES, rows, columns, size)
    images, down, right = map(torch.from_numpy, (IMAGES, rows, columns))
    got = theirs.cut_out(images, down, right, size)
    np.testing.assert_array_equal(got[0].numpy(), left)
    np.testing.assert_array_equal(got[1].numpy(), patches)
    for image, patch, row, column, whole in zip(left, patches, rows, columns, IMAGES, strict=True):
        assert not image[:, row : row + size, column : column + size].any()
        image[:, row : row + size, column : column + size] = patch
        np.testing.assert_array_equal(image, whole)


def test_tint_is_torchs() -> None:
    """Within what rounding can do to the angle of the main axis."""
    want, got = ours.tint(IMAGES), theirs.tint(torch.from_numpy(IMAGES)).numpy()
    ink = IMAGES[:, 0].astype(np.float64)
    y, x = np.mgrid[:8, :8].astype(np.float64)
    total = ink.sum((1, 2))[:, None, None]
    x, y = (p - (ink * p).sum((1, 2), keepdims=True) / total for p in (x, y))
    xx, yy, xy = ((ink * p).sum((1, 2)) for p in (x * x, y * y, x * y))
    # No term of a moment is over ink · 8²; each is rounded some 3·64 times, with its centre, on each side.
    # An error e in both parts of the angle's vector, of length r, turns it by at most 2e/r.
    e = 2 * gamma(3 * 64, unit_roundoff(np.dtype(np.float32))) * 64 * ink.sum((1, 2))
    turn = 2 * e / np.hypot(2 * xy, xx - yy)
    bound = 6 / (2 * np.pi) * turn + 2 * 6 * 8 * 2.0**-24
    assert np.median(bound) < 0.05
    assert (np.abs(got - want).max((1, 2, 3)) <= bound).all()


@pytest.mark.parametrize("size", [0, 9])
def test_a_square_that_is_not_within_the_image_is_refused(size: int) -> None:
    """Before an image is looked at."""
    with pytest.raises(ValueError, match=f"patch_size must be from 1 to 8, got {size}"):
        PatchesDataModule(load("digits"), patch_size=size)
    with pytest.raises(ValueError, match=f"patch_size must be from 1 to 8, got {size}"):
        ours.missing_patch(size)(IMAGES, rng)


@pytest.mark.parametrize(("row", "column", "name"), [(6, 0, "rows"), (0, -1, "columns")])
def test_a_square_over_the_edge_is_refused_by_both_sides(row: int, column: int, name: str) -> None:
    rows, columns = np.array([[0, row], [0, column]])
    message = f"cut_out expects {name} from 0 to 5, for squares of 3 in images of 8×8, got {row + column}"
    with pytest.raises(ValueError, match=message):
        ours.cut_out(IMAGES[:2], rows, columns, 3)
    with pytest.raises(ValueError, match=message):
        theirs.cut_out(torch.from_numpy(IMAGES[:2]), torch.from_numpy(rows), torch.from_numpy(columns), 3)


@pytest.mark.usefixtures("unchecked_types")
def test_colours_of_what_has_colours_are_refused_by_both_sides() -> None:
    """Their first channel would be taken for the whole image."""
    images = IMAGES[:2].repeat(3, axis=1)
    message = r"tint expects grey images .*, got shape \(2, 3, 8, 8\)"
    with pytest.raises(ValueError, match=message):
        ours.tint(images)
    with pytest.raises(ValueError, match=message):
        theirs.tint(torch.from_numpy(images))
