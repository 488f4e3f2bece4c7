"""Views of images: the same for the same seed and epoch, others in the next."""

from __future__ import annotations

import numpy as np
import pytest

from gdl_numpy.data import Split, load
from gdl_numpy.data.augment import RandomAffine, unchanged
from gdl_numpy.data.views import Views, ViewsDataModule

rng = np.random.default_rng(0)
SPLIT = Split(rng.random((50, 1, 8, 8), dtype=np.float32), np.arange(50) % 3)


def test_views_are_a_function_of_seed_and_epoch() -> None:
    """They differ from each other and from epoch to epoch; what is left over is dropped."""
    loader, again = (Views(SPLIT, 16, RandomAffine(), seed=4) for _ in range(2))
    first = list(loader)
    assert len(first) == 3
    for ((a, b), _), ((c, d), _) in zip(first, again, strict=True):
        assert a.shape == (16, 1, 8, 8)
        assert (np.abs(a - b).max((1, 2, 3)) > 0).all()
        np.testing.assert_array_equal(a, c)
        np.testing.assert_array_equal(b, d)
    loader.set_epoch(1)
    assert not np.array_equal(loader[0][0][0], first[0][0][0])


def test_replicas_together_see_what_one_device_sees() -> None:
    """Step by step, and each has the label of its image."""
    whole = Views(SPLIT, 16, unchanged, 1, True, seed=2)
    parts = [Views(SPLIT, 8, unchanged, 1, True, 2, 2, rank) for rank in range(2)]
    for (want, labels), *shares in zip(whole, *parts, strict=True):
        for rank, (got, own) in enumerate(shares):
            np.testing.assert_array_equal(got[0], want[0][rank::2])
            np.testing.assert_array_equal(own, labels[rank::2])


def test_what_cannot_be_compared_is_refused() -> None:
    """Labels of a single class, fewer images than are in a batch, and one image alone."""
    alike = Split(SPLIT.inputs, np.zeros(50, np.int64))
    with pytest.raises(ValueError, match="same label"):
        Views(alike, 16, unchanged, labelled=True)
    with pytest.raises(ValueError, match="smaller batch_size"):
        Views(SPLIT, 51, unchanged)
    with pytest.raises(ValueError, match=r"batch_size, .* must be at least 2, got 1"):
        Views(SPLIT, 1, unchanged)
    assert len(Views(SPLIT, 1, unchanged, num_replicas=2)[0][0][0]) == 1  # of two in all


def test_a_part_of_fewer_images_than_a_batch_is_one_batch() -> None:
    """As the 144 digits held out of 1,437."""
    validation = ViewsDataModule(load("digits"), 256).validation
    assert validation is not None
    ((first, _), numbers), *others = validation
    assert (len(first), len(numbers), others) == (144, 144, [])


def test_copies_of_an_image_have_different_views_in_and_across_batches() -> None:
    """Every image of the epoch has random numbers of its own."""
    copies = Split(np.repeat(SPLIT.inputs[:1], 32, axis=0), np.arange(32))
    seen = np.concatenate([view for views, _ in Views(copies, 16, RandomAffine(), seed=1) for view in views])
    assert len(np.unique(seen, axis=0)) == 64
