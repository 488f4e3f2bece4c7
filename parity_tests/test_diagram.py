"""Chapter 7's pictures: both sides of every model come out the same, and the picture has it all."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from PIL import Image

import gdl_torch.diagram
from gdl_numpy import diagram, network_picture, nn
from gdl_numpy.files import save_figure
from gdl_numpy.models import MLP, LSTMLanguageModel
from gdl_numpy.network_algebra import algebra
from parity_tests.harness.model_cases import MODELS
from parity_tests.harness.rounding import unit_roundoff
from parity_tests.picture import inputs_of, sides_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gdl_numpy.diagram import Layer

U = unit_roundoff(np.float64)
VARIANTS = {
    f"{name}-{number}": (name, variant)
    for name, case in MODELS.items()
    for number, variant in enumerate(case.variants)
}


def both_sides(name: str, arguments: Any) -> tuple[nn.Module, Sequence[Layer], Sequence[Layer]]:
    """The NumPy model, and what ran on either side."""
    sides = sides_of(name, (arguments, inputs_of(name, arguments, np.random.default_rng(0))))
    return MODELS[name].build(arguments)[0], sides["NumPy"][0], sides["torch"][0]


@pytest.mark.parametrize(("name", "arguments"), VARIANTS.values(), ids=list(VARIANTS))
def test_both_sides_of_every_model_are_the_same_picture(name: str, arguments: Any) -> None:
    """The same layers, fed by the same, with the same shapes; no weight is missing; the same algebra."""
    model, here, there = both_sides(name, arguments)
    assert [layer._replace(arguments="") for layer in here] == [
        layer._replace(arguments="") for layer in there
    ]
    assert sum(layer.weights for layer in here) == sum(array.size for array in model.state_dict().values())
    assert algebra(here) == algebra(there)


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
        assert algebra(layers).forward == expected


@pytest.mark.parametrize("activation", ["tanh", "relu", "sigmoid"])
def test_the_algebra_of_a_perceptron_computes_its_output_and_its_gradients(activation: str) -> None:
    """Reads as Python, the lines give what the model gives, forward and backward."""
    model = MLP(6, [5, 4], 3, activation, 0.0, rng=0, dtype=np.float64)
    x, grad = (np.random.default_rng(i).standard_normal((2, n)) for i, n in enumerate((6, 3)))
    functions = {
        "tanh": np.tanh,
        "relu": lambda a: np.maximum(a, 0),
        "sigmoid": lambda a: 1 / (1 + np.exp(-a)),
    }
    values: dict[str, Any] = {
        "l0": x,
        "dl3": grad,
        "flat": lambda a: a,
        "add": lambda a: a.sum(0),
        **functions,
    }
    gradients = []
    for name in model.state_dict():
        kind = "W" if name.endswith("weight") else "b"
        symbol = f"{kind}{sum(key[0] == kind for key in values if key[1:].isdigit())}"
        values[symbol] = model.state_dict()[name]
        gradients.append(f"d{symbol}")
    forward, backward = algebra(diagram.layers_of(model, x))
    for formula in [*forward, *",  ".join(backward).split(",  ")]:
        exec(as_python(formula), {}, values)
    np.testing.assert_allclose(values["l3"], model(x), rtol=0, atol=64 * U)
    model.backward(grad)
    for symbol, (_, parameter) in zip(gradients, model.named_parameters(), strict=True):
        assert isinstance(parameter.grad, np.ndarray)
        np.testing.assert_allclose(values[symbol], parameter.grad, rtol=0, atol=64 * U)


def as_python(line: str) -> str:
    """W₀ᵀ is a transpose, a space before a factor a product of matrices, Σ adds rows up."""
    text = line.translate(str.maketrans("₀₁₂₃∘", "0123*")).replace("²", "**2").replace("ᵀ", ".T")
    text = text.replace("[", "(").replace("]", ")")
    text = re.sub(r"Σ (\w+)", r"add(\1)", text)
    return re.sub(r"(?<=[\w)]) (?=[A-Za-z(])", " @ ", text)


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        (
            "CNN",
            {"in_shape": [2, 9, 8], "pool_size": 2},
            [
                "dW₁ = dl₂ᵀ l₁,  db₁ = Σ dl₂",
                "dl₁ = dl₂ W₁",
                "dz₀ = maxpool2d′(unflat(dl₁ ∘ mask) ∘ tanh′)",
                "dW₀ = l₀ ⋆ dz₀,  db₀ = Σ dz₀",
            ],
        ),
        (
            "FillInTheBlank",
            {"vocab_size": 11},
            [
                "dl₂ = dl₃ l₁",
                "dW₁[candidates] += dl₂",
                "dl₁ = dl₃ l₂",
                "dW₀[ids] += dl₁ of its bag / its size",
            ],
        ),
        (
            "SentimentClassifier",
            {"vocab_size": 11},
            [
                "dW₁ = dl₂ᵀ l₁,  db₁ = Σ dl₂",
                "dl₁ = dl₂ W₁",
                "dz₀ = dl₁ ∘ l₁ ∘ (1 - l₁)",
                "dW₀[ids] += weights ∘ dz₀ of its bag",
            ],
        ),
        (
            "TransitionMatrixLM",
            {"vocab_size": 11},
            [
                "dW₂ = dl₃ᵀ l₂",
                "dl₂ = dl₃ W₂",
                "dW₁, ds₀: step by step, from ds = dl₂",
                "dl₁ = dx of Transition₁",
                "dW₀[l₀] += dl₁",
                "    back through the steps of the Transition:",
                "    dxₜ = dsₜ₊₁,   dsₜ += dsₜ₊₁ Wᵀ,   dW += sₜᵀ dsₜ₊₁",
            ],
        ),
    ],
)
def test_the_backward_pass_as_algebra(name: str, arguments: Any, expected: list[str]) -> None:
    for layers in both_sides(name, arguments)[1:]:
        assert algebra(layers).backward == expected


def test_a_single_layer_is_a_network_too() -> None:
    (layer,) = diagram.layers_of(nn.Linear(3, 2, rng=0), np.zeros((4, 3), np.float32))
    arguments = "in_features=3, out_features=2, bias=True"
    assert layer == diagram.Layer("", "Linear", arguments, 8, ("l₀",), ((4, 3),), (4, 2))
    assert gdl_torch.diagram.layers_of(torch.nn.Linear(3, 2), torch.zeros(4, 3)) == [layer]
    assert algebra([layer]).forward == ["l₁ = l₀ W₀ᵀ + b₀"]


def test_what_is_used_twice_is_named_once() -> None:
    """Two layers that read the same one: its value has one name in both of theirs."""
    layers = [
        diagram.Layer(name, "Linear", "bias=False", 9, (source,), ((1, 3),), (1, 3))
        for name, source in (("a", "l₀"), ("b", "a"), ("c", "a"))
    ]
    total = diagram.Layer("d", "Add", "", 0, ("b", "c"), ((1, 3), (1, 3)), (1, 3))
    expected = ["l₁ = l₀ W₀ᵀ", "l₂ = l₁ W₁ᵀ", "l₃ = l₁ W₂ᵀ", "l₄ = add(l₂, l₃)"]
    assert "dl₁ = dl₃ W₂ + dl₂ W₁" in algebra([*layers, total]).backward
    assert algebra([*layers, total]).forward == expected


def test_a_layer_that_runs_twice_is_refused() -> None:
    """Its name would stand for two values in the algebra."""
    layer, other = nn.Linear(3, 3, rng=0), torch.nn.Linear(3, 3)
    with pytest.raises(ValueError, match="expects each layer to run once, '0' ran again"):
        diagram.layers_of(nn.Sequential(layer, nn.Tanh(), layer), np.zeros((4, 3), np.float32))
    with pytest.raises(ValueError, match="expects each layer to run once, '0' ran again"):
        gdl_torch.diagram.layers_of(torch.nn.Sequential(other, torch.nn.Tanh(), other), torch.zeros(4, 3))


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
    picture = network_picture.draw("A title", {"NumPy": (here, source), "torch": (there, source)})
    save_figure(picture, tmp_path / "picture.svg")
    root = ElementTree.parse(tmp_path / "picture.svg").getroot()
    namespace = "{http://www.w3.org/2000/svg}"
    texts = ["".join(element.itertext()).replace("\xa0", " ") for element in root.iter(f"{namespace}text")]
    assert texts.count("A title") == 1
    for text in (
        "embedding",
        "output",
        "score",
        "DotProduct()",
        "l₃ = l₁ · l₂",
        "dl₂ = dl₃ l₁",
        "66 weights",
    ):
        assert texts.count(text) == 2 * (1 + (text == "66 weights")), text
    for line in ("NumPy", "torch"):
        assert texts.count(line) == 1
    assert sum("(3, 4, 6)" in text for text in texts) == 2
    for line in source.splitlines():
        assert texts.count(line) == 2
    arrows = [group for group in root.iter(f"{namespace}g") if group.get("class") == "edge"]
    # ids, offsets, candidates, both embeddings to the score, and from it; of text to text there are none.
    assert len(arrows) == 2 * 6


def test_pictures_are_saved_as_svg_and_png(tmp_path: Path) -> None:
    """And drawn over, as long as what is there is one of ours."""
    layers = diagram.layers_of(nn.Linear(3, 2, rng=0), np.zeros((4, 3), np.float32))
    picture = network_picture.draw("Linear", {"NumPy": (layers, "pass")})
    for _ in range(2):
        for suffix in ("svg", "png"):
            save_figure(picture, tmp_path / f"linear.{suffix}")
    with Image.open(tmp_path / "linear.png") as image:
        pixels = np.asarray(image.convert("L"))
    assert min(pixels.shape) > 100
    assert pixels.min() < 50
    (tmp_path / "linear.svg").write_text("somebody's own")
    with pytest.raises(ValueError, match="no picture of this program"):
        save_figure(picture, tmp_path / "linear.svg")


def test_the_script_draws_any_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By the beginning of its name; what is no model is refused in one line."""
    main = runpy.run_path(str(Path(__file__).parents[1] / "scripts" / "picture.py"))["main"]
    assert main(["fill", "MaskedWord", "--out", str(tmp_path)]) == 0
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {
        f"{model}.{suffix}" for model in ("FillInTheBlank", "MaskedWord") for suffix in ("svg", "png")
    }
    capsys.readouterr()
    assert main(["MPL", "--out", str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "did you mean 'MLP'?" in line
