"""1,797 real handwritten digits of 8×8 pixels: always there, since scikit-learn carries them.

Source: E. Alpaydin and C. Kaynak, *Optical Recognition of Handwritten Digits*, UCI Machine Learning
Repository, 1998 (the test part of it).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gdl_numpy.data.dataset import Dataset, Split
from gdl_numpy.data.sets.source import Source

if TYPE_CHECKING:
    from pathlib import Path


def read(root: Path) -> Dataset:
    """Returns 1,437 training and 360 test images, (1, 8, 8) pixels in [0, 1]; `root` is not looked at."""
    from sklearn.datasets import load_digits

    pixels, targets = load_digits(return_X_y=True)
    inputs = (pixels / 16).astype(np.float32).reshape(-1, 1, 8, 8)
    targets = targets.astype(np.int64)
    # Every fifth image, counted class by class, is for testing: a stratified division that no library's
    # random stream can change.
    is_test = np.zeros(len(targets), dtype=bool)
    is_test[np.argsort(targets, kind="stable")[::5]] = True
    return Dataset(
        name="digits",
        train=Split(inputs[~is_test], targets[~is_test]),
        test=Split(inputs[is_test], targets[is_test]),
        num_classes=10,
    )


SOURCES = (
    Source(
        name="digits",
        title="Digits",
        about="1,797 handwritten digits, 8×8; comes with scikit-learn",
        kind=Dataset,
        read=read,
    ),
)
