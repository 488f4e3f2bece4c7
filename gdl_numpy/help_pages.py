"""The scripts' --help on narrow terminals, where typer would cut the names of options, and long words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.cells import cell_len
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
        if console.width >= WIDE and self._has_room(options.max_width):
            yield from super().__rich_console__(console, options)
            return
        for *names, about in zip(*(column.cells for column in self.columns), strict=True):
            yield joined(names)
            yield Padding.indent(joined([about]), 2)

    def _has_room(self, width: int) -> bool:
        """Whether no word of the last column is cut, beside the names and what stands between the columns."""
        *names, about = self.columns
        widest = [max((joined([cell]).cell_len for cell in column.cells), default=0) for column in names]
        words = (word for cell in about.cells for word in joined([cell]).plain.split())
        return sum(widest) + 2 * len(widest) + max(map(cell_len, words), default=0) <= width


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
