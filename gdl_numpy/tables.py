"""Tables for terminals of any width: nothing is ever cut, and what does not fit is laid out anew.

For consoles that take what they are given as text, such as `make_console`'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from rich.console import Group
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from gdl_numpy.messages import plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.console import Console, RenderableType

    Section: TypeAlias = tuple[Text, Sequence[Sequence[Text]]]

ENDLESS = 1_000_000  # characters


def print_table(console: Console, table: Table) -> None:
    """Prints a table, as `fitted` has it."""
    console.print(fitted(console, table))


def fit_tables(console: Console) -> None:
    """Makes a console that a library prints its tables on lay out anew what does not fit."""
    show = console.print

    def print_fitted(*parts: Any, **options: Any) -> None:
        show(
            *(
                fitted(console, each) if isinstance(each, Table) and each.show_header else each
                for each in parts
            ),
            **options,
        )

    console.print = print_fitted  # type: ignore[method-assign]


def fitted(console: Console, table: Table) -> RenderableType:
    """The table where it fits the console; else, of each row, a list: "column: value" under its first cell.

    Only columns with a `min_width` are wrapped, and not to less than that.
    """
    columns = [[text_of(cell) for cell in (column.header, *column.cells)] for column in table.columns]
    least = Measurement.get(console, console.options.update(width=ENDLESS), table).maximum
    for column, cells in zip(table.columns, columns, strict=True):
        column.no_wrap = column.min_width is None
        if column.min_width is not None:
            column.overflow = "fold"
            least -= max(0, max(map(width_of, cells)) - column.min_width)
    if least <= console.width:
        return table
    heads, *rows = zip(*columns, strict=True)
    parts: list[Any] = [text_of(table.title or "", "table.title"), *(listed(heads, row) for row in rows)]
    parts.append(text_of(table.caption or "", "table.caption"))
    return Group(*(part for part in parts if part))


def print_sections(console: Console, heads: Sequence[str], sections: Sequence[Section]) -> None:
    """Prints rows of cells in columns, under headings of their own; where they do not fit, as lists.

    Args:
        console: where to.
        heads: of the columns, all of equally many lines.
        sections: each of a heading and its rows. All columns but the first stand to the right.
    """
    lines = [[Text(cell) for cell in line] for line in zip(*map(str.splitlines, heads), strict=True)]
    columns = zip(*lines, *(row for _, rows in sections for row in rows), strict=True)
    widths = [max(map(width_of, column)) for column in columns]
    is_fitting = sum(widths) + len(widths) - 1 <= console.width
    for line in lines if is_fitting else ():
        console.print(aligned(line, widths), style="bold")
    for heading, rows in sections:
        console.print()
        console.print(heading)
        for row in rows:
            console.print(aligned(row, widths) if is_fitting else listed([Text(head) for head in heads], row))


def listed(heads: Sequence[Text], row: Sequence[Text]) -> RenderableType:
    """A row as a list: its first cell, and below it the others that have something in them."""
    names = [" ".join(head.plain.split()) for head in heads]
    first, *others = [
        Text.assemble(name, ": " if name else "", cell) for name, cell in zip(names, row, strict=True) if cell
    ]
    first.stylize("bold")
    return Group(first, *(Padding.indent(other, 2) for other in others))


def aligned(cells: Iterable[Text], widths: Sequence[int]) -> Text:
    """A line of cells, the first to the left, all others to the right."""
    line: list[Text] = []
    for cell, width in zip(cells, widths, strict=True):
        space = " " * (width - cell.cell_len)
        line.append(Text.assemble(space, cell) if line else Text.assemble(cell, space))
    return Text(" ").join(line)


def text_of(cell: object, style: str = "") -> Text:
    # Tabs are as wide as what they become, which rich does not ask before it sets a column's width.
    return cell if isinstance(cell, Text) else Text(plain(str(cell)).expandtabs(), style)


def width_of(cell: Text) -> int:
    return max((line.cell_len for line in cell.split("\n")), default=0)
