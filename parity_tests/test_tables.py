"""Tables on terminals of any width: each cell is there in full, as it is, and is nobody's markup."""

from __future__ import annotations

import io
import re
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from gdl_numpy.command_line import PlainConsole, make_console
from gdl_numpy.reporting import table_of
from gdl_numpy.tables import fit_tables, fitted, print_sections, print_table
from gdl_numpy.tasks.language_modelling import LanguageMetrics

WIDTHS = (110, 80, 60, 40)
NAME = "runs/[red]a[/b]/:smile: lstm"
PATH = "MNIST/raw/train-images-idx3-ubyte.gz"


def console(width: int) -> Any:
    """A terminal of a width, that keeps what is printed."""
    return PlainConsole(width=width, file=io.StringIO(), force_terminal=True, color_system=None)


def printed(table: Table, width: int) -> list[str]:
    shown = console(width)
    print_table(shown, table)
    lines: list[str] = shown.file.getvalue().splitlines()
    return lines


def some_table() -> Table:
    """Of names that look like markup, a path, and numbers."""
    table = Table("model", Column("file", min_width=20), title="What :boom: is [b]where[/b]")
    table.add_column("error of\nthe loss", justify="right")
    table.add_column("bytes", justify="right")
    table.add_row(NAME, PATH, "6.4e-08", "9,912,422")
    table.add_row(
        Text("other", "red"), "a file of some words that can be wrapped", Text("> 1.2e-07", "red"), ""
    )
    return table


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_cut_at_any_width(width: int) -> None:
    """Every cell is whole, but for the one column that says that it may be wrapped."""
    lines = printed(some_table(), width)
    assert max(map(len, lines)) <= width
    text = "\n".join(lines)
    assert "…" not in text
    for cell in (NAME, "6.4e-08", "9,912,422", "other", "> 1.2e-07"):
        assert cell in text
    assert " ".join(text.split()).count("What :boom: is [b]where[/b]") == 1
    joined = "".join(line.split("│")[2].strip() if "│" in line else line.strip() for line in lines)
    assert PATH in joined


def test_where_it_fits_it_is_a_table_and_else_a_list() -> None:
    """At the last width that the table has room in, and one below."""
    table = some_table()
    widths = [width for width in range(30, 120) if fitted(console(width), table) is table]
    assert widths == list(range(79, 120))
    assert [line.rstrip() for line in printed(table, 78)] == [
        "What :boom: is [b]where[/b]",
        f"model: {NAME}",
        f"  file: {PATH}",
        "  error of the loss: 6.4e-08",
        "  bytes: 9,912,422",
        "model: other",
        "  file: a file of some words that can be wrapped",
        "  error of the loss: > 1.2e-07",
    ]


def test_a_terminals_commands_are_written_out() -> None:
    """A word of a checkpoint's may hold them; in a table, in a list, and in a line."""
    word = "\x1b[2Jred\x07\x9b1m"
    table = Table("word", Column("sum", justify="right"))
    table.add_row(word, "1.0")
    written_out = r"\x1b[2Jred\x07\x9b1m"
    for width in (40, 30):
        assert written_out in "\n".join(printed(table, width))
    line = console(80)
    line.print(word)
    assert line.file.getvalue() == f"{written_out}\n"


def test_what_a_script_prints_is_text(capsys: pytest.CaptureFixture[str]) -> None:
    """On the console that all scripts have: a path that looks like markup is printed as it is."""
    shown = make_console()
    shown.print(f"drawn in {NAME}", soft_wrap=True)
    shown.print(f"drawn in {NAME}", style="bold red", soft_wrap=True)
    assert capsys.readouterr().out == f"drawn in {NAME}\n" * 2


@pytest.mark.parametrize("cell", ["is daniel?\tgarden\t4", Text("is daniel?      garden  4")], ids=str)
def test_a_tab_is_as_wide_as_what_it_becomes(cell: str | Text) -> None:
    """Words of a text may have tabs in them, as bAbI's; rich would cut them."""
    table = Table("guessed", "n", box=None)
    table.add_row(cell, "1")
    assert any("is daniel?      garden  4" in line for line in printed(table, 60))


@pytest.mark.parametrize("width", [80, 30])
def test_a_librarys_own_tables_are_laid_out_anew(width: int) -> None:
    """As Lightning's of a model's layers, on rich's own console; grids, which are no tables, are let be."""
    kept = io.StringIO()
    shown = Console(width=width, file=kept)
    fit_tables(shown)
    table = Table(" ", "Name", "Type", "Params")
    table.add_row("0", "loss", "CrossEntropyLoss", "7.5 K")
    grid = Table.grid(expand=True)
    grid.add_row("[bold]Trainable params[/]: 7.5 K")
    shown.print(table, grid)
    text = kept.getvalue()
    lists = ["0", "  Name: loss", "  Type: CrossEntropyLoss", "  Params: 7.5 K"]
    if width < 80:
        assert [line.rstrip() for line in text.splitlines()] == [*lists, "Trainable params: 7.5 K"]
    else:
        assert "│ CrossEntropyLoss │" in text
        assert "Trainable params: 7.5 K" in text


def tables_of_scripts() -> dict[str, Table]:
    """One of each kind that a script prints, but for words.py's, which are drawn for words that are typed."""
    folder = Path(__file__).parent.parent / "scripts"
    benchmark, detection, downstream, gradient_flow = (
        runpy.run_path(str(folder / f"{name}.py"))
        for name in ("benchmark", "detection", "downstream", "gradient_flow")
    )
    found = {}
    for kind, table in benchmark["TABLES"].items():
        rows = {name: row for name, row in benchmark["ROWS"].items() if row.kind == kind}
        results = [benchmark["Result"](name, [dict.fromkeys(row.sides, 0.123)]) for name, row in rows.items()]
        found[kind] = table(results)
    uses = ({"use": use, "labels": "1%", "trained": 0.9, "untrained": 0.8} for use in ("probe", "neighbours"))
    found["detection"] = detection["table"]([detection["Tally"](dtype) for dtype in ("float32", "float64")])
    found["downstream"] = downstream["table_of"](list(uses), NAME)
    norms = {state: np.full(50, 1e-9) for state in "hc"}
    found["reach"] = gradient_flow["reach_table"]([gradient_flow["Subject"](NAME, norms)], 50)
    found["demonstration"] = gradient_flow["demonstration_table"]()
    metrics = LanguageMetrics(1.5, 0.25)
    row = {"epoch": 7} | {
        f"{part}_{k}": v for part in ("train", "validation") for k, v in metrics.row().items()
    }
    found["train"] = table_of(row, metrics, "character", NAME)
    return found


def test_every_scripts_table_is_whole_at_any_width() -> None:
    """And at the usual width most are tables: what is compared stands beside each other."""
    tables = tables_of_scripts()
    for name, table in tables.items():
        for width in WIDTHS:
            lines = printed(table, width)
            assert max(map(len, lines)) <= width, name
            words = re.sub(r"[│┃]", " ", "\n".join(lines)).split()
            for column in table.columns:
                for cell in map(str, () if column.min_width else column.cells):
                    assert set(cell.split()) <= set(words), (name, width, cell)
    narrow = [name for name, table in tables.items() if fitted(console(80), table) is not table]
    assert narrow == ["reach"]  # by the length of the name


SECTIONS = [
    (
        Text(f"{name} on digits: agree"),
        [[Text(side), Text("1.0e-07"), Text("2.5")] for side in ("NumPy", "torch")],
    )
    for name in ("MLP", "CNN")
]
HEADS = ["\nside", " output\nerror", "ms a\nstep"]


def test_sections_share_their_columns() -> None:
    shown = console(40)
    print_sections(shown, HEADS, SECTIONS)
    assert [line.rstrip() for line in shown.file.getvalue().splitlines()] == [
        "       output ms a",
        "side    error step",
        "",
        "MLP on digits: agree",
        "NumPy 1.0e-07  2.5",
        "torch 1.0e-07  2.5",
        "",
        "CNN on digits: agree",
        "NumPy 1.0e-07  2.5",
        "torch 1.0e-07  2.5",
    ]


def test_sections_that_do_not_fit_are_lists() -> None:
    shown = console(17)
    print_sections(shown, HEADS, SECTIONS[:1])
    assert [line.rstrip() for line in shown.file.getvalue().splitlines()] == [
        "",
        "MLP on digits:",
        "agree",
        "side: NumPy",
        "  output error:",
        "  1.0e-07",
        "  ms a step: 2.5",
        "side: torch",
        "  output error:",
        "  1.0e-07",
        "  ms a step: 2.5",
    ]
