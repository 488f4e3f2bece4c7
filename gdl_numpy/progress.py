"""Progress bars for terminals of any width: what does not fit is left out as a whole, and never cut."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any

from tqdm import tqdm
from tqdm.utils import disp_len

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WHOLE = "{l_bar}{bar}{r_bar}"
R_BAR = "| {n_fmt}/{total_fmt} [{elapsed}<{remaining}, {rate_fmt}{postfix}]"
RATE = re.compile(r", \{rate\w*\}")
BAR = 10  # characters, where tqdm knows of no width


def fitted_meter(
    n: float,
    total: float | None,
    elapsed: float,
    ncols: int | None = None,
    *,
    bar_format: str | None = None,
    postfix: str | None = None,
    **more: Any,
) -> str:
    """The line of a bar, as `tqdm.format_meter` gives it, of as many fields as a terminal has room for."""
    draw: Callable[..., str] = partial(tqdm.format_meter, n, total, elapsed, **more)  # type: ignore[arg-type]
    if not ncols or ncols < 1:  # a file, or a terminal that does not know its width
        return draw(bar_format=bar_format, postfix=postfix)
    if total is None and bar_format is None:  # a count, and no bar
        return draw(ncols=ncols, postfix=postfix)
    for form, fields in forms((bar_format or WHOLE).replace("{r_bar}", R_BAR), postfix or ""):
        line = draw(bar_format=form, postfix=fields)
        if disp_len(line) - (BAR - 1 if "{bar}" in form else 0) <= ncols:
            return draw(ncols=ncols, bar_format=form, postfix=fields)
    return draw(ncols=ncols, bar_format="{percentage:.0f}%")


def forms(whole: str, postfix: str) -> Iterator[tuple[str, str]]:
    """Formats and postfixes, shorter and shorter: first goes the rate, then one result after the other."""
    yield whole, postfix
    timed = RATE.sub("", whole)
    fields = re.split(r"(?<=[,;]) ", postfix)
    for count in range(len(fields), 0, -1):
        yield timed, " ".join(fields[:count]).rstrip(",;")
    yield "{l_bar}{bar}| {n_fmt}/{total_fmt}{postfix}", fields[0].rstrip(",;")
    yield timed, ""
    yield "{l_bar}{bar}| {n_fmt}/{total_fmt}", ""
    yield "{percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt}", ""


class Bar(tqdm):  # type: ignore[type-arg]  # tqdm's class is generic for type checkers only
    """tqdm's bar, with a line that fits."""

    format_meter = staticmethod(fitted_meter)  # type: ignore[assignment]
