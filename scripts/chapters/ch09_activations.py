# ---
# jupyter:
#   jupytext:
#     formats: py:percent
# ---

# %% [markdown]
# # Chapter 9: Modeling probabilities and nonlinearities
#
# What makes a function an activation function, which ones there are, and what the last layer should be: with
# tanh and a softmax, on batches of a hundred, chapter 8's network does better on the same thousand digits,
# once it has learned for 300 passes (`--full`).

# %%
from __future__ import annotations

if __name__ == "__main__":
    from gdl_numpy.interrupts import end_silently_on_ctrl_c

    end_silently_on_ctrl_c()

import math
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from matplotlib.figure import Figure

import gdl_torch.replays
from gdl_numpy import nn, replays
from gdl_numpy.chapter import Chapter
from parity_tests.harness.verdict import judge_terms

if TYPE_CHECKING:
    from collections.abc import Callable

    from gdl_numpy.chapter import Side

chapter = Chapter(9, "Modeling probabilities and nonlinearities")
mnist = chapter.load("mnist")
train = replays.as_in_the_book(mnist.train.inputs[:1000], mnist.train.targets[:1000])
test = replays.as_in_the_book(mnist.test.inputs, mnist.test.targets)
SIDES: dict[Side, Any] = {"NumPy": replays, "torch": gdl_torch.replays}
ORANGE, BLUE, GREY = "#d94801", "#08306b", "#737373"

# %% [markdown]
# ## The constraints
#
# An activation function
#
# 1. is defined everywhere, and continuous;
# 2. never turns round, else two inputs would give one output, and learning would not know which way to go;
# 3. is no straight line, else layers would collapse into one;
# 4. is cheap, and so is its slope.
#
# The slopes below come from the output y alone, as the book has them, and agree with the backward passes of
# gdl_numpy.nn and torch: the last column is the largest difference.

# %%
x = np.linspace(-4, 4, 801)
ACTIVATIONS: dict[str, tuple[nn.Module, torch.nn.Module, str, Any]] = {
    "ReLU": (nn.ReLU(), torch.nn.ReLU(), "y > 0", lambda y: (y > 0).astype(float)),
    "sigmoid": (nn.Sigmoid(), torch.nn.Sigmoid(), "y (1 − y)", lambda y: y * (1 - y)),
    "tanh": (nn.Tanh(), torch.nn.Tanh(), "1 − y²", lambda y: 1 - y**2),
}
curves: dict[str, tuple[np.ndarray, np.ndarray]] = {}
shown: list[list[str]] = []
for name, (layer, torch_layer, formula, slope_of) in ACTIVATIONS.items():
    y = layer(x)
    slope = slope_of(y)
    tensor = torch.from_numpy(x).requires_grad_()
    torch_layer(tensor).sum().backward()
    assert tensor.grad is not None
    apart = [np.abs(slope - other).max() for other in (layer.backward(np.ones_like(x)), tensor.grad.numpy())]
    at = [f"{slope[np.searchsorted(x, place)]:.3f}" for place in (-1, 0, 1)]
    bounded, rises = np.ptp(layer(1e6 * x)) <= 2, bool((np.diff(y) >= 0).all())
    shown.append([name, formula, *at, str(bounded), str(rises), f"{apart[0]:.1g}, {apart[1]:.1g}"])
    curves[name] = y, slope
heads = ["", "slope", "at −1", "at 0", "at 1", "bounded", "never falls", "apart from nn, torch"]
chapter.table(heads, shown, left=2)
chapter.say("softmax  has no slope of its own here: with cross-entropy, both together have p − target")

# %% [markdown]
# ## Four functions, each of which breaks one of them
#
# One weight w, the input 1, the output f(w) and the goal 0.25: where does gradient descent take w? √x (1) is
# not defined below 0, and its slope is infinite at 0: who starts there ends in nan, which is no number. x²
# (2) turns round at 0: from the left the weight ends at another place than from the right, and in the middle,
# where the slope is 0, it stays for good. tanh finds the same weight from anywhere.


# %%
def descend(f: Callable[[Any], Any], slope: Callable[[Any], Any], start: float) -> dict[Side, float]:
    """Where a weight ends on each side: by the slope that is given, and by autograd's."""
    w, goal, alpha = np.float64(start), 0.25, 0.1
    tensor = torch.tensor(start, dtype=torch.float64, requires_grad=True)
    for _ in range(300):
        with np.errstate(divide="ignore", invalid="ignore"):
            w -= alpha * 2 * (f(w) - goal) * slope(w)
        (gradient,) = torch.autograd.grad((f(tensor) - goal) ** 2, tensor)
        tensor = (tensor - alpha * gradient).detach().requires_grad_()
    return {"NumPy": float(w), "torch": tensor.item()}


# Written with what arrays and tensors have in common: tanh is 1 − 2 / (1 + e²ˣ).
UNITS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "tanh": (lambda x: 1 - 2 / (1 + np.e ** (2 * x)), lambda x: 1 - (1 - 2 / (1 + np.e ** (2 * x))) ** 2),
    "√x, not everywhere": (lambda x: x**0.5, lambda x: 0.5 * x**-0.5),
    "x², turns round": (lambda x: x**2, lambda x: 2 * x),
}
STARTS = (-1.0, 0.0, 1.0)
chapter.say("\nwhere the weight ends")
chapter.table(
    ["", "side", *(f"from {start:.0f}" for start in STARTS)],
    [
        [name, side, *(f"{descend(*unit, start)[side]:.4f}" for start in STARTS)]
        for name, unit in UNITS.items()
        for side in SIDES
    ],
    left=2,
)

# %% [markdown]
# A straight line (3) as activation: two layers are one, whose matrix is the product of the two. With tanh in
# between, no matrix comes near: the best one, found by least squares, misses by nearly half.

# %%
rng = np.random.default_rng(0)
layers = [rng.normal(size=size) for size in ((200, 20), (20, 20), (20, 5))]  # inputs, and two matrices


def one_matrix(lib: Any, x: Any, first: Any, second: Any) -> tuple[float, float]:
    """How far the best single matrix is from two layers, straight and with tanh, as a part of the outputs."""

    def missed(outputs: Any) -> float:
        best = lib.linalg.pinv(x) @ outputs
        return math.sqrt(((x @ best - outputs) ** 2).sum() / (outputs**2).sum())

    return missed(x @ first @ second), missed(lib.tanh(x @ first) @ second)


chapter.say()
for side, lib, convert in (("NumPy", np, np.asarray), ("torch", torch, torch.from_numpy)):
    straight, bent = one_matrix(lib, *map(convert, layers))
    chapter.say(
        f"{side}  one matrix for two layers misses by {straight:.0e}; with tanh between, by {bent:.0%}"
    )

# %% [markdown]
# And one that is all right but for its price (4): the y with y + y³ = x, by twenty steps of Newton's method.

# %%
million = rng.normal(size=1_000_000)


def by_newton(x: Any) -> Any:
    y = 0.5 * x
    for _ in range(20):
        y = y - (y + y * y * y - x) / (1 + 3 * y * y)
    return y


def milliseconds(f: Callable[[Any], Any], x: Any) -> str:
    start = time.perf_counter()
    f(x)
    return f"{1000 * (time.perf_counter() - start):.1f}"


chapter.say("\nmilliseconds for a million numbers")
chapter.table(
    ["", "ReLU", "tanh", "y + y³ = x"],
    [
        ["NumPy", *(milliseconds(f, million) for f in (nn.ReLU(), np.tanh, by_newton))],
        ["torch", *(milliseconds(f, torch.from_numpy(million)) for f in (torch.relu, torch.tanh, by_newton))],
    ],
)

# %% [markdown]
# ## Similar inputs, and why the last layer is a softmax
#
# A 2 and a 3 share much of their ink. A network with a sigmoid for each digit and squared error has to bring
# 3's output down for every 2, whatever they share, and so unlearns the shared strokes. A softmax, e to each
# sum over the total of them all, asks only which of the ten is ahead: two ways to see it.
#
# First a network whose weighted sum is 100 for the right digit and 0 for the others. It could not be surer,
# but a sigmoid makes ½ of each 0, and squared error goes on to punish nine outputs; the softmax is done.
#
# Then a 2 that looks like a 3, with the sums 4 and 3. The pull is the slope of the loss by the sum: below 0
# the sum should rise, above 0 fall. The sigmoid of 4 is nearly 1 and nearly flat, so that squared error cares
# for little but pressing the 3 down. The softmax pulls both apart, the 2 up as well as the 3 down.

# %%
means = [train[0][train[1][:, digit] == 1].mean(axis=0) for digit in (2, 3)]
overlap = means[0] @ means[1] / np.linalg.norm(means[0]) / np.linalg.norm(means[1])
chapter.say(f"\ncosine between the average 2 and the average 3: {overlap:.2f}")
raw = np.zeros((1, 10))
raw[0, 4] = 100  # the weighted sums of a network that is sure of a 4, and right
label = np.eye(10)[[4]]
sigmoid = nn.Sigmoid()(raw)
p = replays.listing.softmax(raw)
chapter.say(f"sure and right, sigmoid: squared error of each output {np.round((sigmoid - label) ** 2, 2)[0]}")
chapter.say(f"sure and right, softmax: p − y of each output        {np.abs(np.round(p - label, 2))[0]}")
raw[0, [2, 3]], raw[0, 4] = (4, 3), 0  # a 2 that looks rather like a 3
label = np.eye(10)[[2]]
sigmoid, p = nn.Sigmoid()(raw), replays.listing.softmax(raw)
pull = 2 * (sigmoid - label) * sigmoid * (1 - sigmoid)
chapter.say(
    f"a 2 like a 3, sigmoid, squared error: pull on the 2 {pull[0, 2]:+.3f}, on the 3 {pull[0, 3]:+.3f}"
)
chapter.say(
    f"a 2 like a 3, softmax, cross-entropy: pull on the 2 {p[0, 2] - 1:+.3f}, on the 3 {p[0, 3]:+.3f}"
)

# %% [markdown]
# ## The listing as printed
#
# h = 2 · mask · tanh(x W₁), 100 hidden units, and p = softmax(h W₂). The training accuracy is counted on the
# way, under the dropout masks. (The book's is not at hand: there is nothing to print beside ours.)


# %%
def replay(side: Side, title: str, **options: Any) -> tuple[list[replays.Record], Any]:
    """All records, and the trained listing; prints a line for every tenth pass."""
    chapter.say(f"\n{title}")
    listing = SIDES[side].SoftmaxMLP(**options)
    records = list(SIDES[side].replay(listing, train, test, chapter.passes(31, full=300), every=1))
    for record in records:
        if record["I"] % 10 == 0 or record is records[-1]:
            texts = record.texts()
            chapter.published(record.template, texts.values(), [None] * len(texts), side)
    return records, listing


replay("torch", "as printed")
printed, trained = replay("NumPy", "as printed")

# %% [markdown]
# ## Is it the gradient?
#
# At first nearly. The printed way back through tanh takes 1 − h² of what dropout made of tanh's output t.
# Where a unit is kept that is 1 − 4t², and right is 2 (1 − t²): a slope of half the size, and for |t| above a
# half of the wrong sign. At the start all t are near 0, and the direction is off by a degree; then they grow.
# (`judge_terms` holds the rule against torch's autograd: as printed, with each wrong term put right, with
# all.)

# %%
example = (train[0][:100], train[1][:100])
for listing, when in ((replays.SoftmaxMLP(), "at the start"), (trained, f"after {len(printed)} passes")):
    chapter.say(f"\n{when}")
    masked = (*example, *listing.masks(100))
    for term, verdict in judge_terms(listing, gdl_torch.replays.SoftmaxMLP(), masked):
        chapter.say(verdict)
        if not term:  # as printed
            chapter.say(f"    {verdict.report}")
            for parameter in verdict.wrong:
                chapter.erratum(f"{type(listing).__name__} {parameter}")
    hidden = np.abs(np.tanh(example[0] @ listing.W1.data))
    chapter.say(f"    hidden units with |t| > ½: {(hidden > 0.5).mean():.1%}")

# %% [markdown]
# ## The right gradient
#
# δ₂ = (y − p) / (100 · 100), with the size of the batch twice. Once would make it the gradient of the batch's
# mean cross-entropy, so that α = 2 is in truth 0.02. First the right gradient with steps of that size, then
# with the mean's gradient times 2: such long steps are rough at first.

# %%
terms = replays.SoftmaxMLP.terms
replay("torch", "the gradient, with steps of the same size", corrected=terms)
right, _ = replay("NumPy", "the gradient, with steps of the same size", corrected=terms)
large, _ = replay("NumPy", "the gradient of the mean, times 2", corrected=terms, alpha=200.0)

# %% [markdown]
# ## The picture

# %%
figure = Figure((11, 4), layout="constrained")
panel, curve_panel = figure.subplots(1, 2)
for (name, (y, slope)), colour in zip(curves.items(), (GREY, ORANGE, BLUE), strict=True):
    panel.plot(x, y, color=colour, label=name)
    panel.plot(x, slope, "--", color=colour, label=f"its slope, {ACTIVATIONS[name][2]}")
panel.set_ylim(-1.1, 1.6)
panel.set_title("Activations and their slopes")
for records, colour, name in (
    (printed, ORANGE, "as printed"),
    (right, BLUE, "gradient, same steps"),
    (large, GREY, "gradient of the mean, α 2"),
):
    curve_panel.plot([record["Test-Acc"] for record in records], color=colour, label=name)
curve_panel.set(xlabel="pass", title="Test accuracy")
for drawn in (panel, curve_panel):
    drawn.grid(alpha=0.3)
    drawn.legend(fontsize="small")
chapter.picture(figure)
chapter.finish()
