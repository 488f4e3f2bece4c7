"""What training did, epoch by epoch: rows to print, to save as JSON or CSV, and to draw."""

from __future__ import annotations

import csv
import json
import math
from typing import TYPE_CHECKING

from gdl_numpy.files import replacing, save_figure
from gdl_numpy.messages import literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes

    from gdl_numpy.tasks import Metrics


class History:
    """One row an epoch, for either backend.

    Attributes:
        rows: for each epoch its number `epoch` (from 1), `lr`, `seconds`, and each metric with the prefix
            `train_` (measured on the way, on weights that change, with dropout) and, with validation,
            `validation_` (measured at the epoch's end). Only numbers: the rows are JSON as they are.
    """

    def __init__(self, rows: Iterable[Mapping[str, float]] = ()) -> None:
        self.rows = [dict(row) for row in rows]

    @classmethod
    def from_rows(cls, rows: Sequence[Mapping[str, float]], metrics: type[Metrics]) -> History:
        """Returns the history with these rows, which come from a file; nan in columns that came later.

        Raises:
            ValueError: they are not of epochs 1, 2, …, or have not all the same columns, or lack one.
        """
        parts = ("train", "validation") if rows and "validation_loss" in rows[0] else ("train",)
        columns = {"lr", "seconds", *(f"{part}_{name}" for part in parts for name in metrics.columns)}
        unknown = {f"{part}_{name}": math.nan for part in parts for name in metrics.later}
        if not any(unknown.keys() & row.keys() for row in rows):
            rows = [{**row, **unknown} for row in rows]
        for epoch, row in enumerate(rows, start=1):
            if row.get("epoch") != epoch or not columns <= row.keys() == rows[0].keys():
                raise ValueError(f"its history has no whole row of epoch {epoch}")
        return cls(rows)

    def __len__(self) -> int:
        return len(self.rows)

    def append(self, train: Metrics, validation: Metrics | None, lr: float, seconds: float) -> None:
        """Adds the row of an epoch that is done."""
        row = {"epoch": len(self) + 1, "lr": lr, "seconds": seconds}
        row |= {f"train_{name}": value for name, value in train.row().items()}
        if validation is not None:
            row |= {f"validation_{name}": value for name, value in validation.row().items()}
        self.rows.append(row)

    @property
    def best_epoch(self) -> int:
        """Number of the epoch with the lowest validation loss, the first of equals; 0 if there is none."""
        losses = [(row["validation_loss"], row["epoch"]) for row in self.rows if "validation_loss" in row]
        numbers = [pair for pair in losses if not math.isnan(pair[0])]
        return int(min(numbers)[1]) if numbers else 0

    def stalled(self, patience: int | None) -> bool:
        """Whether the validation loss has had no new minimum for `patience` epochs; never if that is None."""
        return patience is not None and len(self) - self.best_epoch >= patience

    def save(self, directory: Path) -> None:
        """Writes `history.json` and `history.csv`."""
        with replacing(directory / "history.json") as path:
            path.write_text(json.dumps(self.rows, indent=1) + "\n")
        with replacing(directory / "history.csv") as path, path.open("w", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=self.rows[0] if self.rows else ["epoch"])
            writer.writeheader()
            writer.writerows(self.rows)

    def plot(self, path: Path, title: str, panels: Mapping[str, str]) -> None:
        """Draws training against validation.

        Args:
            path: the file; its suffix says the format.
            title: what was trained.
            panels: the metrics to draw, each with its scale, as in `Metrics.panels`.
        """
        # A figure of its own, not pyplot's: no window, and nothing shared with the caller's plots.
        from matplotlib.figure import Figure

        figure = Figure(figsize=(5.5 * len(panels), 4), layout="constrained")
        figure.suptitle(literal(title))
        all_axes = figure.subplots(1, len(panels), squeeze=False)[0]
        for (metric, scale), axes in zip(panels.items(), all_axes, strict=True):
            self._plot_metric(metric, scale, axes)
        save_figure(figure, path, replace=True)  # of a run, whose folder holds nobody else's files

    def _plot_metric(self, metric: str, scale: str, axes: Axes) -> None:
        from matplotlib.ticker import LogFormatter

        epochs = [row["epoch"] for row in self.rows]
        marker = "o" if len(self) <= 30 else None
        is_finite = False
        for part, when in (("train", "on the way"), ("validation", "at the epoch's end")):
            if f"{part}_{metric}" in self.rows[0]:
                values = [row[f"{part}_{metric}"] for row in self.rows]
                axes.plot(epochs, values, marker=marker, markersize=4, label=f"{part}, {when}")
                is_finite = is_finite or any(map(math.isfinite, values))
        if self.best_epoch:
            axes.axvline(self.best_epoch, color="grey", linestyle=":", label="lowest validation loss")
        axes.set(xlabel="epoch", ylabel=metric)
        axes.locator_params(axis="x", integer=True)
        if scale == "log" and is_finite:  # of nothing but inf there is no logarithmic scale
            axes.set_yscale("log")
            for which in (axes.yaxis.set_major_formatter, axes.yaxis.set_minor_formatter):
                which(LogFormatter(labelOnlyBase=False))  # 20, not 2 · 10¹
        axes.grid(alpha=0.3)
        axes.legend()
