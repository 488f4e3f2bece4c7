"""MNIST: 60,000 training and 10,000 test images of handwritten digits, 28×28.

Source: Y. LeCun, C. Cortes and C. Burges, *The MNIST database of handwritten digits*, 1998; files and
layout as torchvision has them, so that one folder serves both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gdl_numpy.data.dataset import Dataset, Split
from gdl_numpy.data.sets.idx import parse_idx
from gdl_numpy.data.sets.source import DataFile, Source

if TYPE_CHECKING:
    from pathlib import Path

MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)


def _file(name: str, published_size: int, size: int, sha256: str, content_sha256: str) -> DataFile:
    return DataFile(
        dataset="mnist",
        path=f"MNIST/raw/{name}.gz",
        urls=tuple(f"{mirror}{name}.gz" for mirror in MIRRORS),
        published_size=published_size,
        sha256=sha256,
        content_size=size,
        content_sha256=content_sha256,
    )


TRAIN_IMAGES = _file(
    "train-images-idx3-ubyte",
    9_912_422,
    47_040_016,
    "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
)
TRAIN_LABELS = _file(
    "train-labels-idx1-ubyte",
    28_881,
    60_008,
    "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
)
TEST_IMAGES = _file(
    "t10k-images-idx3-ubyte",
    1_648_877,
    7_840_016,
    "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
)
TEST_LABELS = _file(
    "t10k-labels-idx1-ubyte",
    4_542,
    10_008,
    "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
)
FILES = (TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS)


def read(root: Path) -> Dataset:
    """Returns the 60,000 training and 10,000 test images under `root`, (1, 28, 28) with pixels in [0, 1].

    Raises:
        DataError: a file is missing or is not the published one.
    """
    return Dataset(
        name="mnist",
        train=_split(root, TRAIN_IMAGES, TRAIN_LABELS),
        test=_split(root, TEST_IMAGES, TEST_LABELS),
        num_classes=10,
    )


def _split(root: Path, images: DataFile, labels: DataFile) -> Split:
    pixels = parse_idx(images.read(root))  # (N, 28, 28)
    targets = parse_idx(labels.read(root))  # (N,)
    # A float32 division, as torchvision's ToTensor does it: the same bits on both sides.
    inputs = np.divide(pixels[:, np.newaxis], 255, dtype=np.float32)
    return Split(inputs, targets.astype(np.int64))


SOURCES = (
    Source(
        name="mnist",
        title="MNIST",
        about="70,000 handwritten digits, 28×28",
        kind=Dataset,
        read=read,
        files=FILES,
    ),
)
