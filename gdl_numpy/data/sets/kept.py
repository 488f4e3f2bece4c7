"""Texts that took long to read, kept as ids of words beside their files, to be used again if they fit.

What is kept is never trusted: it is of this program's format, of the very files that are there (their names,
sizes and times), and of the same way to tell words apart; or it is made anew.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gdl_numpy.data.documents import Documents
from gdl_numpy.data.vocabulary import Vocabulary

if TYPE_CHECKING:
    from jaxtyping import Int64

Arrays = dict[str, "Int64[np.ndarray, ' _']"]


def _caches(root: Path, cache: str) -> tuple[Path, Path]:
    import pooch

    return root / cache, Path(pooch.os_cache("gdl-parity")) / cache


def recall(root: Path, cache: str, key: str) -> tuple[Documents, Arrays] | None:
    """Returns what `remember` kept under this key; None if it is not there as it was written.

    Args:
        root: the data root.
        cache: the file, relative to the data root, or else to the user's cache folder.
        key: of the files that the texts were read from.
    """
    # Here, since the module needs this package for vocabularies.
    from gdl_numpy.checkpoint import CheckpointError, load_checkpoint

    for path in _caches(root, cache):
        try:
            tensors, metadata = load_checkpoint(path)
        except CheckpointError:
            continue
        if metadata.get("key") == key:
            arrays = {name: tensor.astype(np.int64) for name, tensor in tensors.items()}
            vocabulary = Vocabulary.from_json(metadata["vocabulary"])
            return Documents(vocabulary, arrays.pop("ids"), arrays.pop("offsets")), arrays
    return None


def remember(root: Path, cache: str, key: str, documents: Documents, **arrays: np.ndarray) -> None:
    """Keeps documents, and integers about them, in the first place that can be written to, if there is one.

    Args:
        root: the data root; this and the next two as in `recall`.
        cache: the file.
        key: of the files.
        documents: the texts.
        arrays: what else to keep, by names other than "ids" and "offsets".
    """
    from gdl_numpy.checkpoint import save_checkpoint

    tensors = {"ids": documents.ids.astype(np.int32), "offsets": documents.offsets, **arrays}
    for path in _caches(root, cache):
        try:
            save_checkpoint(path, tensors, {"key": key, "vocabulary": documents.vocabulary.to_json()})
        except OSError:
            continue
        return
