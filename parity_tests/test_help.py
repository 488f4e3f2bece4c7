"""--help on terminals of any width: every word is there, and no name of an option is cut."""

from __future__ import annotations

import runpy
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gdl_numpy.models import MODELS

if TYPE_CHECKING:
    from collections.abc import Callable

SCRIPTS = Path(__file__).parents[1] / "scripts"
FRAME = str.maketrans(dict.fromkeys("│╭╮╰╯─", " "))
PAGES: dict[str, list[list[str]]] = {
    "../parity_tests/check": [[]],
    "compare": [[]],
    "detection": [[], ["rules"], ["random"]],
    "downstream": [[]],
    "federated": [[]],
    "fetch_data": [[]],
    "generate": [[]],
    "gradient_flow": [[]],
    "picture": [[]],
    "train": [[], *([name] for name in MODELS)],
    "words": [[], *([name] for name in ("nearest", "questions", "save", "similar", "plot"))],
}


@pytest.fixture(scope="module", params=PAGES)
def script(request: pytest.FixtureRequest) -> tuple[str, Callable[[list[str]], int]]:
    return request.param, runpy.run_path(str(SCRIPTS / f"{request.param}.py"))["main"]


@pytest.mark.parametrize("width", [80, 60, 40])
def test_no_word_is_cut(
    width: int,
    script: tuple[str, Callable[[list[str]], int]],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name, main = script

    def words_of(columns: int, page: list[str]) -> Counter[str]:
        monkeypatch.setenv("COLUMNS", str(columns))
        assert main([*page, "--help"]) == 0
        shown = capsys.readouterr().out
        assert max(map(len, shown.splitlines())) <= columns
        return Counter(shown.translate(FRAME).split())

    for page in PAGES[name]:
        narrow, wide = words_of(width, page), words_of(300, page)
        assert narrow.keys() >= wide.keys(), (page, wide.keys() - narrow.keys())
