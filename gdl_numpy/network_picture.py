"""Pictures of networks (chapter 7), drawn by Graphviz: a diagram, the algebra and the source, side by side.

The diagram shows each layer as it ran, with the shapes that go from one to the next; layers that learn are
blue, with the number of their weights.
"""

from __future__ import annotations

import html
import os
import tempfile
from functools import cache
from itertools import pairwise
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import matplotlib
import pygraphviz
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from gdl_numpy.messages import plain
from gdl_numpy.network_algebra import algebra

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gdl_numpy.diagram import Layer

SANS, MONO = "DejaVu Sans", "DejaVu Sans Mono"
COLOURS = ("#f2f2f2", "#d6e6f4")  # of layers that learn nothing, and of those that learn
BOX = 'BORDER="1" COLOR="#888888" STYLE="ROUNDED" CELLPADDING="3" BGCOLOR="{}"'
WIDEST = 60  # characters in a line of a box


class Picture:
    """A drawing, which `gdl_numpy.files.save_figure` saves like one of matplotlib.

    Attributes:
        graph: what Graphviz draws.
    """

    def __init__(self, graph: pygraphviz.AGraph) -> None:
        self.graph = graph

    def savefig(self, path: Path, dpi: int = 96, metadata: Mapping[str, str] | None = None) -> None:
        """Draws in the format that the suffix says, such as .svg or .png.

        Args:
            path: the file.
            dpi: dots per inch, of formats that have dots.
            metadata: what is written into an SVG or PNG beside the picture.
        """
        use_own_fonts()
        path, kind = Path(path), Path(path).suffix.lower().removeprefix(".")
        self.graph.graph_attr["dpi"] = str(72 if kind == "svg" else dpi)
        self.graph.draw(str(path), format="png:cairo" if kind == "png" else kind, prog="dot")
        if metadata and kind == "png":
            info = PngInfo()
            for key, value in metadata.items():
                info.add_text(key, value)
            with Image.open(path) as image:
                image.save(path, pnginfo=info)
        elif metadata and kind == "svg":
            noted = "".join(f"<!-- {key}: {value} -->\n" for key, value in metadata.items())
            path.write_text(path.read_text(encoding="utf-8") + noted, encoding="utf-8")


def draw(title: str, sides: Mapping[str, tuple[Sequence[Layer], str]]) -> Picture:
    """Draws the sides of a model next to each other: diagram, algebra, source.

    Args:
        title: stands above all.
        sides: by name, the layers and the source.
    """
    graph = pygraphviz.AGraph(directed=True, strict=False)
    graph.graph_attr.update(
        label=table([(title, f'POINT-SIZE="20" FACE="{SANS} Bold"')]),
        labelloc="t",
        labeljust="l",
        fontname=SANS,
    )
    graph.graph_attr.update(rankdir="TB", ranksep="0.3", nodesep="0.6")
    graph.node_attr.update(shape="plain", fontname=SANS, fontsize="10")
    graph.edge_attr.update(fontname=SANS, fontsize="9", color="#555555", arrowsize="0.7")
    texts = {side: (formulas_of(layers), source.splitlines()) for side, (layers, source) in sides.items()}
    heights = [max(len(lines) for lines in part) for part in zip(*texts.values(), strict=True)]
    for side, (layers, _) in sides.items():
        # Filled up, so that they begin at the same height on all sides.
        formulas, source = (
            [*lines, *[""] * (height - len(lines))]
            for lines, height in zip(texts[side], heights, strict=True)
        )
        draw_side(graph, side, layers, formulas, source)
    return Picture(graph)


def formulas_of(layers: Sequence[Layer]) -> list[str]:
    """The algebra, forward and backward, as lines."""
    forward, backward = algebra(layers)
    return [*forward, "", "backward, from the gradient of the last line:", *backward]


def draw_side(
    graph: Any, side: str, layers: Sequence[Layer], formulas: Sequence[str], source: Sequence[str]
) -> None:
    """Adds a side to a graph: its diagram from above to below, and under it two texts."""
    nodes: dict[str, str] = {}  # by what it is of, a node's name and label

    def add(kind: str, name: str, label: str) -> str:
        node = f"{side}, {kind} {name}"
        if node not in nodes:
            nodes[node] = label
            graph.add_node(node, label=label)
        return node

    names = {layer.name for layer in layers}
    for layer in layers:
        box = add("layer", layer.name, box_of(layer))
        for origin, shape in zip(layer.sources, layer.inputs, strict=True):
            above = (
                add("layer", origin, "") if origin in names else add("input", origin, input_of(origin, shape))
            )
            graph.add_edge(above, box, label=f" {shape}  ")
    below = [
        add("shape", "out", table([(str(layers[-1].output), "")])),
        add("text", "algebra", table([(line, 'POINT-SIZE="11"') for line in formulas])),
        add("text", "source", table([(line, f'FACE="{MONO}" POINT-SIZE="8"') for line in source])),
    ]
    graph.add_edge(box, below[0])
    for upper, lower in pairwise(below):
        graph.add_edge(upper, lower, style="invis")
    heading = table([(side, 'POINT-SIZE="14" COLOR="#555555"')])
    graph.add_subgraph(list(nodes), name=f"cluster {side}", label=heading, labeljust="l", color="#cccccc")


def input_of(name: str, shape: tuple[int, ...]) -> str:
    """What goes into the model from outside."""
    return table([(f"{name} {shape}", "")], BOX.format("white"))


def box_of(layer: Layer) -> str:
    """A layer's name, what it is and was made with, and how many weights it has."""
    rows = [(layer.name, 'POINT-SIZE="8" COLOR="#555555"')] if layer.name else []
    rows += [(line, "") for line in wrap(f"{layer.kind}({layer.arguments})", WIDEST)]
    if layer.weights:
        rows.append((f"{layer.weights:,} weights", 'POINT-SIZE="8" COLOR="#08306b"'))
    return table(rows, BOX.format(COLOURS[layer.weights > 0]))


def table(rows: Sequence[tuple[str, str]], style: str = 'BORDER="0" CELLPADDING="1"') -> str:
    """Lines of text, each with a style of its own, one below the other, as Graphviz's HTML."""
    cells = "".join(
        f'<TR><TD ALIGN="LEFT" BALIGN="LEFT"><FONT {font}>{text_of(line)}</FONT></TD></TR>'
        if font
        else f'<TR><TD ALIGN="LEFT">{text_of(line)}</TD></TR>'
        for line, font in rows
    )
    return f'<<TABLE {style} CELLBORDER="0" CELLSPACING="0">{cells}</TABLE>>'


def text_of(line: str) -> str:
    """As it stands in the picture, with the spaces in front; an empty line is not nothing."""
    text = plain(line).encode(errors="replace").decode()
    indent = len(text) - len(text.lstrip(" "))
    return "&#160;" * indent + html.escape(text[indent:]).replace("  ", "&#160; ") or "&#160;"


@cache
def use_own_fonts() -> tempfile.TemporaryDirectory[str] | None:
    """Lets Graphviz find matplotlib's fonts, the same on every machine, unless the user chose others.

    Gives the folder of the fonts' configuration, which is there as long as this process.
    """
    if "FONTCONFIG_FILE" in os.environ:
        return None
    folder = tempfile.TemporaryDirectory(prefix="gdl-fonts-")
    fonts, config = Path(matplotlib.get_data_path(), "fonts", "ttf"), Path(folder.name, "fonts.conf")
    config.write_text(f"<fontconfig><dir>{fonts}</dir><cachedir>{folder.name}</cachedir></fontconfig>")
    os.environ["FONTCONFIG_FILE"] = str(config)
    return folder
