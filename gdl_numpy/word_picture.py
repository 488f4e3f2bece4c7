"""The 2-D picture of word vectors, coloured by sentiment (chapter 11)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sklearn.decomposition import PCA

from gdl_numpy.messages import literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float, Int64
    from matplotlib.axes import Axes
    from matplotlib.collections import PathCollection

NAMED = 40  # of the words, so many have room for their names


def draw_words(
    axes: Axes,
    vectors: Float[np.ndarray, "words dim"],
    words: Sequence[str],
    sentiment: Float[np.ndarray, " words"],
) -> PathCollection:
    """Draws words where the two directions in which their vectors differ most put them.

    Args:
        axes: where to draw.
        vectors: of the words to draw, the most telling ones first: of those, the names are written.
        words: their names.
        sentiment: what colours them, blue above 0 and red below.

    Returns:
        the points, for a colour bar.
    """
    flat = PCA(2, svd_solver="full").fit_transform(vectors.astype(np.float64))
    limit = float(np.abs(sentiment).max()) or 1.0
    points = axes.scatter(
        flat[:, 0], flat[:, 1], c=sentiment, cmap="coolwarm_r", vmin=-limit, vmax=limit, s=14, alpha=0.8
    )
    for (x, y), word in zip(flat[:NAMED], words, strict=False):
        axes.annotate(literal(word), (x, y), xytext=(2, 2), textcoords="offset points", fontsize=7)
    axes.set(xticks=[], yticks=[])
    return points


def most_telling(sentiment: Float[np.ndarray, " words"], n: int) -> Int64[np.ndarray, " n"]:
    """Returns the words that tell the most: the most positive and the most negative in turn, n/2 of each."""
    order = np.argsort(-sentiment, kind="stable")
    half = min(n, len(order)) // 2
    return np.column_stack([order[:half], order[::-1][:half]]).reshape(-1)
