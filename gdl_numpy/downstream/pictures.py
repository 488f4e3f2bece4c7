"""Images drawn: a map of all as an encoder has them, which ones it finds most alike, and rows of them."""

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
    if points.shape[1] < 2:  # a line has no second direction
        points = np.pad(points, ((0, 0), (0, 2 - points.shape[1])))
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
    width, height = 1.5 + (k + 0.5) * len(neighbours), 1.2 * len(queries) + 0.5  # of an image: 1
    figure = Figure((0.8 * width, 0.8 * height))
    axes = figure.add_axes((0, 0, 1, 1))  # one for all: a pair of axes for each image takes seconds
    axes.set_axis_off()
    for row, (image, label) in enumerate(zip(queries.inputs, queries.targets, strict=True)):
        top = 0.5 + 1.2 * row
        show(axes, image, 0.25, top)
        for block, (indices, cosines) in enumerate(neighbours.values()):
            for column, (index, cosine) in enumerate(zip(indices[row], cosines[row], strict=True)):
                left = 1.5 + (k + 0.5) * block + column
                show(axes, keys.inputs[index], left, top, RIGHT if keys.targets[index] == label else WRONG)
                axes.text(left + 0.5, top + 0.05, f"{cosine:.3f}", fontsize=6, ha="center", va="bottom")
    axes.text(0.75, 0.25, "image", fontsize=10, ha="center", va="center")
    for block, title in enumerate(neighbours):
        middle = 1.5 + (k + 0.5) * block + k / 2
        axes.text(middle, 0.25, literal(f"nearest, {title}"), fontsize=10, ha="center", va="center")
    axes.set(xlim=(0, width), ylim=(height, 0), aspect="equal")
    return figure


def draw_rows(rows: Mapping[str, Float[np.ndarray, "images channels height width"]]) -> Figure:
    """Draws images in rows, under each other what belongs together; before each row its title."""
    from matplotlib.figure import Figure

    columns = max(map(len, rows.values()))
    figure = Figure((0.8 * (columns + 1.5), 0.8 * len(rows)))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    for top, (title, images) in enumerate(rows.items()):
        axes.text(1.4, top + 0.5, literal(title), ha="right", va="center")
        for column, image in enumerate(images):
            show(axes, image, 1.5 + column, top)
    axes.set(xlim=(0, columns + 1.5), ylim=(len(rows), 0), aspect="equal")
    return figure


def show(
    axes: Axes, image: Float[np.ndarray, "channels height width"], left: float, top: float, frame: str = ""
) -> None:
    """Draws an image into a square of side 1, which has another image's square at its side.

    Args:
        axes: whose y grows downwards.
        image: of 1 channel, or of 3, from 0 to 1.
        left: where the square begins.
        top: where it begins.
        frame: a colour, or none.
    """
    from matplotlib.patches import Rectangle

    pixels = image[0] if len(image) == 1 else np.clip(np.moveaxis(image, 0, -1), 0, 1)
    side, gap = 0.85, 0.075
    corner = (left + gap, top + gap)
    extent = (corner[0], corner[0] + side, corner[1] + side, corner[1])
    axes.imshow(pixels, cmap="gray_r", vmin=0, vmax=1, extent=extent)
    if frame:
        axes.add_patch(Rectangle(corner, side, side, fill=False, edgecolor=frame, linewidth=2))
