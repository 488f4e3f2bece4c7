"""Names and words in pictures are drawn as they are: a dollar in them begins no formula."""

from __future__ import annotations

import os
import runpy
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib import rc_context
from matplotlib.figure import Figure

from gdl_numpy import diagram, network_picture
from gdl_numpy.downstream import draw_map, draw_nearest
from gdl_numpy.files import save_figure
from gdl_numpy.messages import literal
from gdl_numpy.word_picture import draw_words
from parity_tests.harness import Comparison, ParityReport, curves
from parity_tests.support import some_digits

if TYPE_CHECKING:
    from collections.abc import Callable

NAMES = ("a$_$b", r"$\x$", "$", r"a\$b", "$x$ and $y$", "_a$b$")
gradient_flow = runpy.run_path(str(Path(__file__).parent.parent / "scripts" / "gradient_flow.py"))
TEXT = "{http://www.w3.org/2000/svg}text"


def words_picture(name: str, path: Path) -> None:
    figure = Figure()
    draw_words(figure.subplots(), np.eye(3), [name, "b", "c"], np.array([1.0, 0.0, -1.0]))
    save_figure(figure, path)


def map_picture(name: str, path: Path) -> None:
    save_figure(draw_map({name: np.eye(2)}, np.array([0, 1])), path)


def nearest_picture(name: str, path: Path) -> None:
    digits = some_digits()
    digits.setup("fit")
    few = digits.test.select(np.arange(2))
    found = np.zeros((2, 1), np.int64), np.ones((2, 1))
    save_figure(draw_nearest(few, few, {name: found}), path)


def diagram_picture(name: str, path: Path) -> None:
    layer = diagram.Layer(name, "Linear", "4, 3", 12, ("l₀",), ((1, 4),), (1, 3))
    save_figure(network_picture.draw(name, {name: ([layer], f"# {name}")}), path)


def curves_picture(name: str, path: Path) -> None:
    step = Comparison("step 1", "loss", "torch", error=1e-9, bound=1e-7)
    curves.plot(path, name, "nats", [ParityReport("MLP", "float32", "cpu", [step])])


def reach_picture(name: str, path: Path) -> None:
    figure = Figure()
    panel = figure.subplots()
    subject = gradient_flow["Subject"](name, {"h": np.ones(3), "c": np.ones(3)})
    gradient_flow["draw_reach"](panel, [subject])
    panel.legend()
    save_figure(figure, path)


PICTURES = [words_picture, map_picture, nearest_picture, diagram_picture, curves_picture, reach_picture]


@pytest.mark.parametrize("draw", PICTURES, ids=lambda draw: draw.__name__)
def test_names_are_drawn_as_they_are(draw: Callable[[str, Path], None], tmp_path: Path) -> None:
    """Not as the formula that they look like, which may even be none, so that nothing would be drawn."""
    for number, name in enumerate(NAMES):
        path = tmp_path / f"{number}.svg"
        with rc_context({"svg.fonttype": "none"}):  # text as text
            draw(name, path)
        texts = ["".join(element.itertext()) for element in ElementTree.parse(path).iter(TEXT)]
        assert any(name in text for text in texts), texts


def test_a_name_that_is_no_text_is_drawn_all_the_same(tmp_path: Path) -> None:
    """Files' names are bytes, which need not be UTF-8."""
    words_picture(os.fsdecode(b"a\xff"), tmp_path / "a.png")
    assert literal(os.fsdecode(b"a\xff$")) == r"a?\$"
