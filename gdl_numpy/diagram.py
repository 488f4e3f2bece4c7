"""Pictures of networks (chapter 7): a model's layers with their shapes, the same as algebra, and its source.

What is drawn is what ran: `layers_of` runs a model once and writes down what each layer got and gave. Its
torch twin has the same name in `gdl_torch.diagram`; all the rest is for both. What a model itself does
between its layers, such as to pick a column, is in its source alone.
"""

from __future__ import annotations

import copy
import inspect
from functools import partial
from textwrap import wrap
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from gdl_numpy.messages import literal
from gdl_numpy.models.language_model import look_up_
from gdl_numpy.nn import Module

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from matplotlib.axes import Axes

DIGITS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
STEPS = {  # what a recurrence does in each step: x are its inputs, h or s what it gives
    "RNN": ("hₜ = {f}(xₜ Wᵀ + b + hₜ₋₁ Uᵀ + c)",),
    "LSTM": (
        "i, f, o = sigmoid(xₜ Wᵀ + b + hₜ₋₁ Uᵀ + c), g = tanh(…), each with weights of its own",
        "cₜ = f ∘ cₜ₋₁ + i ∘ g,   hₜ = o ∘ tanh(cₜ)",
    ),
    "Transition": ("sₜ = sₜ₋₁ W + xₜ, and it gives s₀ … sₜ₋₁",),
}


class Layer(NamedTuple):
    """A layer as it ran.

    Attributes:
        name: dotted, as in the state_dict's keys.
        kind: its class.
        arguments: what it was made with.
        weights: how many numbers it learns.
        sources: where its inputs come from: names of layers, or of the model's own inputs.
        inputs: their shapes.
        output: the shape of what it gave; without the state, where it gave one too.
    """

    name: str
    kind: str
    arguments: str
    weights: int
    sources: tuple[str, ...]
    inputs: tuple[tuple[int, ...], ...]
    output: tuple[int, ...]


class Recorder:
    """Writes layers down as they run, and finds out who made their inputs.

    Args:
        inputs: the model's own, by name.

    Attributes:
        layers: what has run so far.
    """

    def __init__(self, inputs: Mapping[str, np.ndarray]) -> None:
        self.layers: list[Layer] = []
        self._made = list(inputs.items())

    def add(
        self,
        name: str,
        kind: str,
        arguments: str,
        weights: int,
        inputs: Sequence[np.ndarray],
        output: np.ndarray,
    ) -> None:
        """Writes down what a layer got and gave."""
        sources = tuple(self._source(array) for array in inputs)
        shapes = tuple(array.shape for array in inputs)
        self.layers.append(Layer(name, kind, arguments, weights, sources, shapes, output.shape))
        self._made.append((name, output))

    def _source(self, array: np.ndarray) -> str:
        """Who made this: of those that share its memory (a Flatten gives what it got), the last."""
        sharing = (name for name, made in reversed(self._made) if np.may_share_memory(array, made))
        return next(sharing, self._made[-1][0])


def layers_of(module: Module, *inputs: np.ndarray) -> list[Layer]:
    """Runs a copy of the module in eval mode; returns its innermost layers in the order in which they ran."""
    module = look_up_(copy.deepcopy(module).eval())
    recorder = Recorder(named_inputs(module.forward, inputs))

    def forward(name: str, layer: Module, original: Callable[..., Any], *given: Any) -> Any:
        output = original(*given)
        arrays = [array for array in given if isinstance(array, np.ndarray)]
        weights = sum(parameter.data.size for parameter in layer.parameters())
        first = output[0] if isinstance(output, tuple) else output
        recorder.add(name, type(layer).__name__, layer.extra_repr(), weights, arrays, first)
        return output

    for name, layer in module.named_modules():
        if next(layer.named_children(), None) is None:
            vars(layer)["forward"] = partial(forward, name, layer, layer.forward)
    module(*inputs)
    return recorder.layers


def named_inputs(forward: Callable[..., Any], inputs: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """A model's inputs: the only one is l₀, several have the names of forward's parameters."""
    if len(inputs) == 1:
        return {"l₀": inputs[0]}
    return dict(zip(inspect.signature(forward).parameters, inputs, strict=False))


def algebra(layers: Sequence[Layer]) -> list[str]:
    """A line for each layer that learns, with what follows it: l₁ = tanh(l₀ W₀ᵀ + b₀), l₂ = l₁ W₁ᵀ + b₁.

    After them, what each kind of recurrence does in a step.
    """
    lines: list[str] = []
    values: dict[str, str] = {}  # what each layer gives, by its name
    learned: set[str] = set()  # those whose value has a weight in it, and no name so far
    learning = 0

    def give_name(name: str) -> None:
        result = f"l{len(lines) + 1}".translate(DIGITS)
        lines.append(f"{result} = {values[name]}")
        values[name] = result
        learned.discard(name)

    for layer in layers:
        for source in layer.sources:
            if source in learned and (layer.weights or len(layer.sources) > 1):
                give_name(source)
        terms = [values.get(source, source) for source in layer.sources]
        values[layer.name] = formula(layer, terms, str(learning).translate(DIGITS))
        learning += layer.weights > 0
        if layer.weights or learned.intersection(layer.sources):
            learned.add(layer.name)
    give_name(layers[-1].name)
    recurrences = {layer.kind: layer for layer in layers if layer.kind in STEPS}
    for kind, layer in recurrences.items():
        f = "relu" if "'relu'" in layer.arguments else "tanh"
        lines += [f"    {step.format(f=f)}" for step in (f"in each step of the {kind}:", *STEPS[kind])]
    return lines


def formula(layer: Layer, terms: Sequence[str], index: str) -> str:
    """What a layer makes of its inputs, with W and b of this index."""
    x, given = terms[0], ", ".join(terms)
    bias = "" if "bias=False" in layer.arguments else f" + b{index}"
    mode = "sum" if "mode='sum'" in layer.arguments else "mean"
    written = {
        "Linear": f"{x} W{index}ᵀ{bias}",
        "Conv2d": f"{x} ∗ W{index}{bias}",
        "Embedding": f"W{index}[{given}]",
        "EmbeddingBag": f"{mode}(W{index}[{x}])",
        "Flatten": f"flat({x})",
        "DotProduct": " · ".join(terms),
        "Dropout": x if "p=0.0" in layer.arguments else f"dropout({x})",
    }
    named = f"{layer.kind}{index}" if layer.weights else layer.kind.lower()
    return written.get(layer.kind, f"{named}({given})")


def source_of(model: type) -> str:
    """The source of a model's class, and of the bases from which it has what it computes with."""
    computing = {getattr(model, name, None) for name in ("forward", "backward", "run")}
    package = model.__module__.partition(".")[0]
    owners = [
        owner
        for owner in model.__mro__
        if owner.__module__.partition(".")[0] == package
        and (owner is model or computing.intersection(filter(callable, vars(owner).values())))
    ]
    return "\n\n".join(inspect.getsource(owner) for owner in owners)


WIDTH, MARGIN = 7.3, 0.3  # of a side's column, and around it, in inches
BOX, GAP, LINE = 0.5, 0.36, 0.125  # heights: of a layer's box, between two, and of a line of source
COLOURS = ("#f2f2f2", "#d6e6f4")  # of layers that learn nothing, and of those that learn


def draw(title: str, sides: Mapping[str, tuple[Sequence[Layer], str]]) -> Figure:
    """Draws the sides of a model next to each other: its diagram, the same as algebra, and the source.

    Args:
        title: stands above all.
        sides: by name, the layers and the source.
    """
    formulas_at = 1.2 + (1 + max(len(layers) for layers, _ in sides.values())) * (BOX + GAP)
    source_at = formulas_at + 0.3 + 0.24 * max(len(algebra(layers)) for layers, _ in sides.values())
    lines = max(source.count("\n") for _, source in sides.values())
    size = len(sides) * WIDTH + MARGIN, source_at + LINE * lines + MARGIN
    figure = Figure(figsize=size)
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, size[0]), ylim=(size[1], 0))  # in inches, from above
    axes.axis("off")
    axes.text(MARGIN, 0.35, literal(title), fontsize=16, va="center", weight="bold")
    for column, (side, (layers, source)) in enumerate(sides.items()):
        left = MARGIN + column * WIDTH
        axes.text(left, 0.8, literal(side), fontsize=13, va="center", color="#555555")
        draw_layers(axes, layers, left, 1.05)
        for number, line in enumerate(algebra(layers)):
            axes.text(left, formulas_at + 0.24 * number, literal(line), fontsize=10, va="top")
        for number, line in enumerate(source.splitlines()):
            place = source_at + LINE * number
            axes.text(left, place, literal(line), family="monospace", fontsize=6.5, va="top")
    return figure


def draw_layers(axes: Axes, layers: Sequence[Layer], left: float, top: float) -> None:
    """Draws a box for each layer below that of the inputs, and arrows that carry shapes."""
    names = {layer.name for layer in layers}
    inputs = {
        source: shape
        for layer in layers
        for source, shape in zip(layer.sources, layer.inputs, strict=True)
        if source not in names
    }
    width = WIDTH - 2  # room for arrows that go around a layer
    places = dict.fromkeys(inputs, top)
    shapes = "   ".join(f"{name} {shape}" for name, shape in inputs.items())
    draw_box(axes, left, top, width, shapes, "", "white")
    for number, layer in enumerate(layers, 1):
        y = places[layer.name] = top + number * (BOX + GAP)
        arguments = "\n".join(wrap(f"{layer.kind}({layer.arguments})", 62))
        draw_box(axes, left, y, width, arguments, layer.name, COLOURS[layer.weights > 0])
        if layer.weights:
            axes.text(
                left + width - 0.08, y + 0.12, f"{layer.weights:,}", fontsize=7, ha="right", va="center"
            )
        arriving: dict[float, list[str]] = {}  # at each place that arrows come from, the shapes they carry
        for source, shape in zip(layer.sources, layer.inputs, strict=True):
            arriving.setdefault(places[source], []).append(str(shape))
        for start, carried in arriving.items():
            draw_arrow(axes, left, width, start, y, " ".join(carried))
    place = left + width / 2 + 0.1, y + BOX + GAP / 2
    axes.text(*place, f"→ {layers[-1].output}", fontsize=8, va="center", weight="bold")


def draw_arrow(axes: Axes, left: float, width: float, start: float, end: float, text: str) -> None:
    """Draws an arrow from a box to a lower one, around what is between them."""
    distance = end - start
    around = distance > 1.5 * (BOX + GAP)
    x = left + (width if around else width / 2)
    ends = ((x, start + BOX / 2), (x, end + BOX / 2)) if around else ((x, start + BOX), (x, end))
    style = {"arrowstyle": "-|>", "color": "#555555", "shrinkA": 0, "shrinkB": 0}
    bend = f"arc3,rad={-0.4 * around}"  # its middle is then a fifth of the distance away from the boxes
    axes.annotate("", ends[1], ends[0], arrowprops=style | {"connectionstyle": bend})
    place = x + 0.2 * distance * around + 0.08, (ends[0][1] + ends[1][1]) / 2
    axes.text(*place, text, fontsize=8, va="center", color="#333333")


def draw_box(axes: Axes, x: float, y: float, width: float, text: str, name: str, colour: str) -> None:
    """Draws a box with a text in it, and a small name in its upper left corner."""
    style = "round,pad=0,rounding_size=0.07"
    axes.add_patch(FancyBboxPatch((x, y), width, BOX, style, facecolor=colour, edgecolor="#888888"))
    axes.text(x + width / 2, y + BOX / 2, literal(text), fontsize=9, ha="center", va="center")
    axes.text(x + 0.08, y + 0.12, literal(name), fontsize=7, va="center", color="#555555")
