"""The losses of a training run on both sides: as numbers, and drawn over each other."""

from __future__ import annotations

import math
import textwrap
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure

from gdl_numpy.files import save_figure
from gdl_numpy.messages import literal
from parity_tests.harness.report import Comparison, ParityReport

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.axes import Axes

NUMPY: dict[str, Any] = {"color": "#9ecae1", "linewidth": 7, "solid_capstyle": "round"}
# Drawn over it, thin and dark: where the sides agree, all of them are to be seen.
TORCH: dict[str, dict[str, Any]] = {
    "cpu": {"color": "#08306b", "linewidth": 1.6, "linestyle": "--"},
    "cuda": {"color": "#d94801", "linewidth": 1.6, "linestyle": ":"},
}


def step_losses(report: ParityReport, side: str = "torch") -> list[Comparison]:
    """One side's loss at each training step, held against the truth."""
    return [c for c in report.comparisons if c.tensor == "loss" and c.side == side]


def losses(report: ParityReport) -> dict[str, list[float]]:
    """The loss of each training step, by side. In float64 the NumPy side is itself the truth."""
    torch = step_losses(report)
    numpy = [c.actual for c in step_losses(report, "numpy")]
    return {"numpy": numpy or [c.expected for c in torch], "torch": [c.actual for c in torch]}


def plot(path: Path, title: str, unit: str, reports: Sequence[ParityReport]) -> None:
    """Draws a column for each dtype: the losses above, below them their errors and what rounding explains.

    Args:
        path: where to, in the format that the suffix says.
        title: of the figure.
        unit: of the loss.
        reports: of one model, in some dtypes and on some devices, with at least one training step.
    """
    dtypes = list(dict.fromkeys(report.dtype for report in reports))
    figure = Figure(figsize=(1 + 5 * len(dtypes), 7), layout="constrained")
    figure.suptitle(literal(textwrap.fill(title, 60 * len(dtypes))))
    panels = figure.subplots(2, len(dtypes), sharex=True, squeeze=False, height_ratios=(3, 2))
    for dtype, upper, lower in zip(dtypes, *panels, strict=True):
        chosen = [report for report in reports if report.dtype == dtype]
        upper.set_title(dtype)
        _plot_losses(upper, chosen)
        _plot_errors(lower, chosen)
        lower.set_xlabel("training step")
        lower.locator_params(axis="x", integer=True)
    panels[0, 0].set_ylabel(f"loss of the step's batch ({unit})")
    panels[1, 0].set_ylabel(f"error of the loss ({unit})\nagainst NumPy in float64")
    save_figure(figure, path)


def _plot_losses(panel: Axes, reports: Sequence[ParityReport]) -> None:
    numpy = losses(reports[0])["numpy"]
    panel.plot(_steps(numpy), numpy, label="NumPy", **NUMPY)
    for report in reports:
        torch = losses(report)["torch"]
        panel.plot(_steps(torch), torch, label=f"torch, {report.device}", **TORCH[report.device])
    panel.grid(alpha=0.3)
    panel.legend()


def _plot_errors(panel: Axes, reports: Sequence[ParityReport]) -> None:
    bounds = [c.bound for c in step_losses(reports[0])]
    panel.fill_between(_steps(bounds), bounds, color="0.88", label="what rounding explains")
    drawn = [*bounds]
    curves = [("NumPy", NUMPY, step_losses(reports[0], "numpy"))]
    curves += [(f"torch, {r.device}", TORCH[r.device], step_losses(r)) for r in reports]
    for label, style, comparisons in curves:
        if comparisons:
            errors = [c.error for c in comparisons]
            panel.plot(_steps(errors), errors, label=label, **style)
            drawn += errors
    # Logarithmic down to the smallest number there is, so that an error of exactly 0 has its place as well.
    # A power of ten, since the label of a larger one would be printed over that of 0.
    smallest = min((value for value in drawn if 0 < value < math.inf), default=1.0)
    panel.set_yscale("symlog", linthresh=10.0 ** math.floor(math.log10(smallest)))
    panel.set_ylim(bottom=0)
    panel.grid(alpha=0.3)
    panel.legend(fontsize="small")


def _steps(values: Sequence[float]) -> range:
    return range(1, len(values) + 1)
