"""What an encoder makes of images, drawn: a map of all, and which ones it finds most alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gdl_numpy.messages import literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jaxtyping import Float, Int
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from gdl_numpy.data import Split

RIGHT, WRONG = "#1b7837", "#b2182b"


def on_a_plane(
    points: Float[np.ndarray, "points size"], tsne: bool = False, seed: int = 0
) -> Float[np.ndarray, "points 2"]:
    """The points in two dimensions: by PCA, where their spread is largest; or by t-SNE, near what was near.

    Args:
        points: at least two, and for t-SNE more than 30, its perplexity.
        tsne: takes about a minute for 3,000 points.
        seed: of t-SNE, which begins with PCA's picture.

    Raises:
        ValueError: too few points.
    """
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    least = 31 if tsne else 2
    if len(points) < least:
        raise ValueError(f"a map needs {least} points or more, got {len(points)}")
    if tsne:
        plane: np.ndarray = TSNE(init="pca", random_state=seed).fit_transform(points)
        return plane
    flat: np.ndarray = PCA(2, svd_solver="covariance_eigh").fit_transform(points)
    return flat


def draw_map(
    planes: Mapping[str, Float[np.ndarray, "points 2"]], labels: Int[np.ndarray, " points"]
) -> Figure:
    """Draws points on a plane, each in the colour of its label; one panel for each title."""
    from matplotlib.figure import Figure

    figure = Figure((3.8 * len(planes) + 0.8, 4), layout="constrained")
    panels = figure.subplots(1, len(planes), squeeze=False)[0]
    size = min(20, max(4, 6000 / len(labels)))  # fewer points are larger ones
    for panel, (title, plane) in zip(panels, planes.items(), strict=True):
        dots = panel.scatter(*plane.T, c=labels, cmap="tab10", s=size, alpha=0.7, linewidths=0)
        panel.set(title=literal(title), xticks=[], yticks=[])
    handles, names = dots.legend_elements(num=None, alpha=1)
    figure.legend(handles, names, loc="outside right center", title="label", frameon=False)
    return figure


def draw_nearest(
    queries: Split,
    keys: Split,
    neighbours: Mapping[str, tuple[Int[np.ndarray, "queries k"], Float[np.ndarray, "queries k"]]],
) -> Figure:
    """Draws images, one a row, and beside each the k images nearest to it, under their cosines.

    Args:
        queries: the images to find others for, a few.
        keys: the images to be found.
        neighbours: what `nearest_neighbours` gave; one block of columns for each title. Framed red is what
            has another label than the query.
    """
    from matplotlib.figure import Figure

    k = max(indices.shape[1] for indices, _ in neighbours.values())
    figure = Figure((0.8 * (1 + k * len(neighbours)) + 0.6, 0.95 * len(queries) + 0.5), layout="constrained")
    parts = figure.subfigures(
        1, 1 + len(neighbours), width_ratios=[1.1, *[k] * len(neighbours)], squeeze=False
    )[0]
    parts[0].suptitle("image", fontsize=10)
    for panel, image in zip(
        parts[0].subplots(len(queries), 1, squeeze=False)[:, 0], queries.inputs, strict=True
    ):
        show(panel, image)
    for part, (title, (indices, cosines)) in zip(parts[1:], neighbours.items(), strict=True):
        part.suptitle(literal(f"nearest, {title}"), fontsize=10)
        panels = part.subplots(len(queries), k, squeeze=False)
        for row, label in enumerate(queries.targets):
            for panel, index, cosine in zip(panels[row], indices[row], cosines[row], strict=True):
                show(panel, keys.inputs[index], RIGHT if keys.targets[index] == label else WRONG)
                panel.set_title(f"{cosine:.3f}", fontsize=6, pad=2)
    return figure


def show(panel: Axes, image: Float[np.ndarray, "channels height width"], frame: str | None = None) -> None:
    """Draws an image of 1 channel, or of 3, from 0 to 1, in a frame of some colour or in none."""
    pixels = image[0] if len(image) == 1 else np.clip(np.moveaxis(image, 0, -1), 0, 1)
    panel.imshow(pixels, cmap="gray_r", vmin=0, vmax=1)
    panel.set(xticks=[], yticks=[])
    panel.spines[:].set(color=frame, linewidth=2, visible=frame is not None)
