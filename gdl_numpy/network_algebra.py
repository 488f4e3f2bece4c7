"""A network as algebra (chapter 7): l₁ = tanh(l₀ W₀ᵀ + b₀), l₂ = l₁ W₁ᵀ + b₁; and its backward pass.

The gradient of the loss by x is dx. Rows are examples: ∘ multiplies number by number, Σ adds all rows up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gdl_numpy.diagram import Layer

DIGITS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
STEPS = {  # what a recurrence does in each step: x are its inputs, h or s what it gives
    "RNN": ("hₜ = {f}(xₜ Wᵀ + b + hₜ₋₁ Uᵀ + c)",),
    "LSTM": (
        "i, f, o = sigmoid(xₜ Wᵀ + b + hₜ₋₁ Uᵀ + c), g = tanh(…), each with weights of its own",
        "cₜ = f ∘ cₜ₋₁ + i ∘ g,   hₜ = o ∘ tanh(cₜ)",
    ),
    "Transition": ("sₜ = sₜ₋₁ W + xₜ, and it gives s₀ … sₜ₋₁",),
}
STEPS_BACK = {  # and from the last step to the first, with dh or ds what comes from its own output and later
    "RNN": (
        "dzₜ = dhₜ ∘ {slope},   dxₜ = dzₜ W,   dhₜ₋₁ += dzₜ U",
        "dW += dzₜᵀ xₜ,   dU += dzₜᵀ hₜ₋₁,   db = dc += Σ dzₜ",
    ),
    "LSTM": (
        "dcₜ += dhₜ ∘ o ∘ (1 - tanh(cₜ)²),   dcₜ₋₁ = dcₜ ∘ f",
        "di = dcₜ ∘ g ∘ i ∘ (1 - i),   df = dcₜ ∘ cₜ₋₁ ∘ f ∘ (1 - f)",
        "dg = dcₜ ∘ i ∘ (1 - g²),   do = dhₜ ∘ tanh(cₜ) ∘ o ∘ (1 - o)",
        "for each of them: dxₜ += di W,   dhₜ₋₁ += di U",
        "dW += diᵀ xₜ,   dU += diᵀ hₜ₋₁,   db = dc += Σ di",
    ),
    "Transition": ("dxₜ = dsₜ₊₁,   dsₜ += dsₜ₊₁ Wᵀ,   dW += sₜᵀ dsₜ₊₁",),
}
WEIGHTS_BACK = {  # of layers that learn: x goes in, and g is the gradient of what comes out
    "Linear": "dW{i} = {g}ᵀ {x},  db{i} = Σ {g}",
    "Conv2d": "dW{i} = {x} ⋆ {g},  db{i} = Σ {g}",
    "Embedding": "dW{i}[{x}] += {g}",
    "EmbeddingBag": "dW{i}[{x}] += {weighted}{g} of its bag{mean}",
    "RNN": "dW{i}, dU{i}, db{i}, dc{i}: step by step, from dh = {g}",
    "LSTM": "dW{i}, dU{i}, db{i}, dc{i}: step by step, from dh = {g}",
    "Transition": "dW{i}, ds₀: step by step, from ds = {g}",
}


class Algebra(NamedTuple):
    """A network as formulas.

    Attributes:
        forward: a line for each layer that learns, with what follows it; then what recurrences do in a step.
        backward: from the gradient of the last line, those of all weights and lines before it.
    """

    forward: list[str]
    backward: list[str]


def algebra(layers: Sequence[Layer]) -> Algebra:
    """The formulas of layers that ran in this order."""
    lines: list[str] = []
    values: dict[str, str] = {}  # what each layer gives, by its name: a formula, or the name of a line
    indices: dict[str, str] = {}  # of each layer's weights
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
        indices[layer.name] = str(learning).translate(DIGITS)
        learning += layer.weights > 0
        terms = [values.get(source, source) for source in layer.sources]
        values[layer.name] = formula(layer, terms, indices[layer.name])
        if layer.weights or learned.intersection(layer.sources):
            learned.add(layer.name)
    give_name(layers[-1].name)
    recurrences = {layer.kind: layer for layer in layers if layer.kind in STEPS}
    steps, steps_back = [], []
    for kind, layer in recurrences.items():
        f, slope = ("relu", "[hₜ > 0]") if "'relu'" in layer.arguments else ("tanh", "(1 - hₜ²)")
        steps += [f"    {step.format(f=f)}" for step in (f"in each step of the {kind}:", *STEPS[kind])]
        head = f"back through the steps of the {kind}:"
        steps_back += [f"    {step.format(slope=slope)}" for step in (head, *STEPS_BACK[kind])]
    names = {line.partition(" = ")[0] for line in lines}
    named = {layer: value for layer, value in values.items() if value in names}
    return Algebra(lines + steps, backward(layers, values, named, indices) + steps_back)


def backward(
    layers: Sequence[Layer], values: Mapping[str, str], named: Mapping[str, str], indices: Mapping[str, str]
) -> list[str]:
    """The chain rule, from the last layer to the first: a line for each value that has a name, and weight."""
    lines: list[str] = []
    learns: set[str] = set()  # layers with a weight in what they give
    for layer in layers:
        if layer.weights or learns.intersection(layer.sources):
            learns.add(layer.name)
    known = dict(named)  # also what a Dropout that drops nothing gives on
    for layer in reversed(layers):
        if is_identity(layer) and layer.name in known:
            known.setdefault(layer.sources[0], known[layer.name])
    reported: dict[str, list[str]] = {layer.name: [] for layer in layers}  # a gradient for each use
    for layer in reversed(layers):
        value, i = named.get(layer.name, ""), indices[layer.name]
        grad = " + ".join(reported[layer.name])
        if value:
            lines += [f"d{value} = {grad}"] if grad else []
            grad = f"d{value}"
        elif layer.weights and not grad.removeprefix("dl").isdigit():
            lines.append(f"dz{i} = {grad}")
            grad = f"dz{i}"
        terms = [values.get(source, source) for source in layer.sources]
        if layer.weights:
            mean = "" if "mode='sum'" in layer.arguments else " / its size"
            weighted = f"{terms[2]} ∘ " if len(terms) > 2 else ""
            line = WEIGHTS_BACK.get(layer.kind, "dW{i} of {kind}{i}, from {g}")
            line = line.format(g=grad, x=terms[0], i=i, kind=layer.kind, mean=mean, weighted=weighted)
            lines.append(line.partition(",  db")[0] if "bias=False" in layer.arguments else line)
        for place, source in enumerate(layer.sources):
            if source in learns:
                reported[source].append(pulled_back(layer, grad, known.get(layer.name, ""), terms, place, i))
    return lines


def pulled_back(layer: Layer, grad: str, value: str, terms: Sequence[str], place: int, i: str) -> str:
    """The gradient of an input of a layer, from that of its value, which may have a name."""
    if layer.kind == "Dropout":
        return grad if is_identity(layer) else f"{inner(grad)} ∘ mask"
    slopes = {
        "Tanh": f"(1 - {value}²)" if value else "tanh′",
        "ReLU": f"[{value} > 0]" if value else "relu′",
        "Sigmoid": f"{value} ∘ (1 - {value})" if value else "sigmoid′",
    }
    if layer.kind in slopes:
        return f"{inner(grad)} ∘ {slopes[layer.kind]}"
    others = " ".join(term for k, term in enumerate(terms) if k != place)
    written = {
        "Linear": f"{grad} W{i}",
        "Conv2d": f"{grad} ∗ᵀ W{i}",
        "Flatten": f"unflat({grad})",
        "DotProduct": f"{grad} {others}",
        "RNN": f"dx of RNN{i}",
        "LSTM": f"dx of LSTM{i}",
        "Transition": f"dx of Transition{i}",
    }
    return written.get(layer.kind, f"{layer.kind.lower()}′({grad})")


def is_identity(layer: Layer) -> bool:
    return layer.kind == "Dropout" and "p=0.0" in layer.arguments


def inner(grad: str) -> str:
    """In parentheses, where it is a sum or a product of matrices."""
    is_one = " " not in grad or ("∘" in grad and " + " not in grad) or grad.startswith("unflat(")
    return grad if is_one else f"({grad})"


def formula(layer: Layer, terms: Sequence[str], index: str) -> str:
    """What a layer makes of its inputs, with W and b of this index."""
    x, given = terms[0], ", ".join(terms)
    bias = "" if "bias=False" in layer.arguments else f" + b{index}"
    mode = "sum" if "mode='sum'" in layer.arguments else "mean"
    weighted = f"{terms[2]} ∘ " if layer.kind == "EmbeddingBag" and len(terms) > 2 else ""
    written = {
        "Linear": f"{x} W{index}ᵀ{bias}",
        "Conv2d": f"{x} ∗ W{index}{bias}",
        "Embedding": f"W{index}[{given}]",
        "EmbeddingBag": f"{mode}({weighted}W{index}[{x}])",
        "Flatten": f"flat({x})",
        "DotProduct": " · ".join(terms),
        "Dropout": x if is_identity(layer) else f"dropout({x})",
    }
    named = f"{layer.kind}{index}" if layer.weights else layer.kind.lower()
    return written.get(layer.kind, f"{named}({given})")
