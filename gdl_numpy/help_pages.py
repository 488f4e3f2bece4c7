"""The scripts' --help on narrow terminals, where typer would cut the names of options, and long words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console, ConsoleOptions

WIDE = 80  # columns, with which typer's own tables do


class OptionsTable(Table):
    """A table of options or commands; on a narrow terminal, of each its name, and below it what it is for."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Any]:
        if console.width >= WIDE:
            yield from super().__rich_console__(console, options)
            return
        for *names, about in zip(*(column.cells for column in self.columns), strict=True):
            yield joined(names)
            yield Padding.indent(joined([about]), 2)


def joined(cells: list[Any]) -> Text:
    return Text(" ").join(text for cell in cells for text in texts_in(cell))


def texts_in(cell: Any) -> Iterator[Text]:
    """What a cell says, which typer puts together of texts, columns and groups of them."""
    if isinstance(cell, str | Text):
        if cell:
            yield Text(cell) if isinstance(cell, str) else cell
    else:
        for part in cell.renderables:
            yield from texts_in(part)


def fit_help_pages() -> None:
    """Makes typer's help pages of such tables."""
    from typer import rich_utils  # which typer, too, imports where it is needed

    rich_utils.Table = OptionsTable  # type: ignore[attr-defined]
