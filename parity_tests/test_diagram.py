"""Chapter 7's pictures: both sides of every model come out the same, and the picture has it all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from matplotlib import rc_context

import gdl_torch.diagram
from gdl_numpy import diagram, nn
from gdl_numpy.models import MLP, LSTMLanguageModel
from gdl_numpy.tasks import as_arguments
from parity_tests.harness.evaluate import as_dtype
from parity_tests.harness.model_cases import MODELS

if TYPE_CHECKING:
    from pathlib import Path

    from gdl_numpy.diagram import Layer

VARIANTS = {
    f"{name}-{number}": (name, variant)
    for name, case in MODELS.items()
    for number, variant in enumerate(case.variants)
}


def both_sides(name: str, arguments: Any) -> tuple[nn.Module, list[Layer], list[Layer]]:
    """The NumPy model, and what ran on either side."""
    case = MODELS[name]
    numpy_model, torch_model = case.build(arguments)
    inputs, _ = case.example(arguments, 3, np.random.default_rng(0))
    given = as_arguments(as_dtype(inputs[0] if name == "ContrastiveEncoder" else inputs, np.float32))
    there = gdl_torch.diagram.layers_of(torch_model, *map(torch.tensor, given))
    return numpy_model, diagram.layers_of(numpy_model, *given), there


@pytest.mark.parametrize(("name", "arguments"), VARIANTS.values(), ids=list(VARIANTS))
def test_both_sides_of_every_model_are_the_same_picture(name: str, arguments: Any) -> None:
    """The same layers, fed by the same, with the same shapes; no weight is missing; the same algebra."""
    model, here, there = both_sides(name, arguments)
    assert [layer._replace(arguments="") for layer in here] == [
        layer._replace(arguments="") for layer in there
    ]
    assert sum(layer.weights for layer in here) == sum(array.size for array in model.state_dict().values())
    assert diagram.algebra(here) == diagram.algebra(there)


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        (
            "MLP",
            {"in_features": 25, "hidden_features": [12, 7], "activation": "relu", "dropout": 0.0},
            ["l₁ = relu(flat(l₀) W₀ᵀ + b₀)", "l₂ = relu(l₁ W₁ᵀ + b₁)", "l₃ = l₂ W₂ᵀ + b₂"],
        ),
        (
            "CNN",
            {"in_shape": [2, 9, 8], "pool_size": 2},
            ["l₁ = dropout(flat(tanh(maxpool2d(l₀ ∗ W₀ + b₀))))", "l₂ = l₁ W₁ᵀ + b₁"],
        ),
        (
            "FillInTheBlank",
            {"vocab_size": 11},
            ["l₁ = mean(W₀[ids])", "l₂ = W₁[candidates]", "l₃ = l₁ · l₂"],
        ),
        (
            "RNNLanguageModel",
            {"vocab_size": 11, "embedding_dim": 4, "hidden_size": 3, "nonlinearity": "relu"},
            [
                "l₁ = W₀[l₀]",
                "l₂ = RNN₁(l₁)",
                "l₃ = l₂ W₂ᵀ + b₂",
                "    in each step of the RNN:",
                "    hₜ = relu(xₜ Wᵀ + b + hₜ₋₁ Uᵀ + c)",
            ],
        ),
        (
            "TransitionMatrixLM",
            {"vocab_size": 11},
            [
                "l₁ = W₀[l₀]",
                "l₂ = Transition₁(l₁)",
                "l₃ = l₂ W₂ᵀ",
                "    in each step of the Transition:",
                "    sₜ = sₜ₋₁ W + xₜ, and it gives s₀ … sₜ₋₁",
            ],
        ),
    ],
)
def test_algebra_says_what_the_model_computes(name: str, arguments: Any, expected: list[str]) -> None:
    for layers in both_sides(name, arguments)[1:]:
        assert diagram.algebra(layers) == expected


def test_the_algebra_of_a_perceptron_computes_its_output() -> None:
    """Reads as Python, the lines give what the model gives."""
    model = MLP(6, [5, 4], 3, "tanh", 0.0, rng=0, dtype=np.float64)
    x = np.random.default_rng(0).standard_normal((2, 6))
    values: dict[str, Any] = {"l0": x, "tanh": np.tanh, "flat": lambda a: a}
    for name, array in model.state_dict().items():
        kind = "W" if name.endswith("weight") else "b"
        values[f"{kind}{sum(key[0] == kind for key in values)}"] = array
    for line in diagram.algebra(diagram.layers_of(model, x)):
        readable = line.translate(str.maketrans("₀₁₂₃", "0123")).replace(" W", " @ W").replace("ᵀ", ".T")
        exec(readable, {}, values)
    np.testing.assert_allclose(values["l3"], model(x))


def test_a_single_layer_is_a_network_too() -> None:
    (layer,) = diagram.layers_of(nn.Linear(3, 2, rng=0), np.zeros((4, 3), np.float32))
    arguments = "in_features=3, out_features=2, bias=True"
    assert layer == diagram.Layer("", "Linear", arguments, 8, ("l₀",), ((4, 3),), (4, 2))
    assert gdl_torch.diagram.layers_of(torch.nn.Linear(3, 2), torch.zeros(4, 3)) == [layer]
    assert diagram.algebra([layer]) == ["l₁ = l₀ W₀ᵀ + b₀"]


def test_what_is_used_twice_is_named_once() -> None:
    """Two layers that read the same one: its value has one name in both of theirs."""
    layers = [
        diagram.Layer(name, "Linear", "bias=False", 9, (source,), ((1, 3),), (1, 3))
        for name, source in (("a", "l₀"), ("b", "a"), ("c", "a"))
    ]
    total = diagram.Layer("d", "Add", "", 0, ("b", "c"), ((1, 3), (1, 3)), (1, 3))
    expected = ["l₁ = l₀ W₀ᵀ", "l₂ = l₁ W₁ᵀ", "l₃ = l₁ W₂ᵀ", "l₄ = add(l₂, l₃)"]
    assert diagram.algebra([*layers, total]) == expected


def test_looking_at_a_model_leaves_it_alone() -> None:
    """It stays in its mode, keeps what it had saved, and its layers are not watched any more."""
    model = MLP(6, [5], 3, rng=0)
    before = [set(vars(module)) for _, module in model.named_modules()]
    diagram.layers_of(model, np.zeros((2, 6), np.float32))
    assert before == [set(vars(module)) for _, module in model.named_modules()]
    assert model.training


def test_the_source_has_all_that_computes() -> None:
    """Where a base has the forward and backward passes, it is shown too; the base of all layers is not."""
    source = diagram.source_of(LSTMLanguageModel)
    for line in ("class LSTMLanguageModel", "class RecurrentLanguageModel", "def forward", "def backward"):
        assert source.count(line) == 1
    assert diagram.source_of(MLP).count("class ") == 1
    assert "def run" in diagram.source_of(gdl_torch.models.LSTMLanguageModel)


def test_the_picture_shows_every_layer_shape_formula_and_line(tmp_path: Path) -> None:
    """As text in the SVG, which can be searched and copied; with an arrow for each connection."""
    _, here, there = both_sides("FillInTheBlank", {"vocab_size": 11, "embedding_dim": 6})
    source = "def forward(self):\n    return '$x$ < y'"
    figure = diagram.draw("A title", {"NumPy": (here, source), "torch": (there, source)})
    with rc_context({"svg.fonttype": "none"}):
        figure.savefig(tmp_path / "picture.svg")
    root = ElementTree.parse(tmp_path / "picture.svg").getroot()
    texts = ["".join(element.itertext()) for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert texts.count("A title") == 1
    for text in ("embedding", "output", "score", "DotProduct()", "(3, 4, 6)", "l₃ = l₁ · l₂"):
        assert texts.count(text) == 2, text
    for line in source.splitlines():
        assert texts.count(line) == 2
    arrows = [text for text in figure.axes[0].texts if getattr(text, "arrow_patch", None)]
    assert len(arrows) == 2 * 4  # ids and offsets share one


def test_nothing_is_drawn_outside_of_the_picture() -> None:
    """The widest model there is: all text ends within the page and, but for the source, in its column."""
    _, here, there = both_sides("CNN", {"in_shape": [2, 9, 8], "hidden_features": [11], "pool_size": 2})
    figure = diagram.draw("CNN", {"NumPy": (here, "pass"), "torch": (there, "pass")})
    figure.draw_without_rendering()
    page = figure.bbox
    for text in figure.axes[0].texts:
        if text.get_text():
            box = text.get_window_extent()
            assert page.x0 <= box.x0 < box.x1 <= page.x1, text
            assert page.y0 <= box.y0 < box.y1 <= page.y1, text
            assert box.width < diagram.WIDTH * figure.dpi
