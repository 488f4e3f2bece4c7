# ---
# jupyter:
#   jupytext:
#     formats: py:percent
# ---

# %% [markdown]
# # Chapter 6: Building your first deep neural network
#
# Three streetlights abroad: which of them says that one may walk? Where one light does, its weight finds it.
# Where no single light does, a hidden layer makes inputs that do.

# %%
from __future__ import annotations

if __name__ == "__main__":
    from gdl_numpy.interrupts import end_silently_on_ctrl_c

    end_silently_on_ctrl_c()

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from matplotlib.figure import Figure

import gdl_torch.basics.chapter_06
from gdl_numpy.basics import chapter_06
from gdl_numpy.chapter import Chapter

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from gdl_numpy.chapter import Side

# `published` prints our values, and beside them the book's, with = where all digits are the same.
chapter = Chapter(6, "Building your first deep neural network")
# Each side's functions, and how it makes its arrays.
SIDES: list[tuple[Side, Any, Any]] = [
    ("NumPy", chapter_06, partial(np.array, dtype=np.float64)),
    ("torch", gdl_torch.basics.chapter_06, partial(torch.tensor, dtype=torch.float64)),
]

# %% [markdown]
# ## One light, twenty times; then all six, one at a time
#
# A light is three lamps, 1 where one is on; the prediction is lamps · weights, and after each light
# weights −= α · (prediction − goal) · lamps. The error is (prediction − goal)², summed over the lights; of
# the forty rounds, the first, every tenth and the last are shown.

# %%
chapter.say("The first light alone, 20 rounds")
for side, learner, array in SIDES:
    light, walk = array(chapter_06.LIGHTS[:1]), array(chapter_06.WALK[:1])
    found = learner.descend(array(chapter_06.WEIGHTS), light, walk, 0.1, 20)
    row = (found.errors[-1].item(), found.predictions[-1, 0].item())
    chapter.published("Error:{} Prediction:{}", row, (None, "-0.002882303761517324"), side)

chapter.say("\nAll six, a step after each, 40 rounds")
for side, learner, array in SIDES:
    lights, walk = array(chapter_06.LIGHTS), array(chapter_06.WALK)
    found = learner.descend(array(chapter_06.WEIGHTS), lights, walk, 0.1, 40)
    for round_ in (0, 9, 19, 29):
        chapter.published("Error:{}", found.errors[round_].item(), None, side)
    chapter.published("Error:{}", found.errors[-1].item(), "0.00053373677328488", side)

# %% [markdown]
# ## Up and down pressure
#
# Each light pushes the weights of the lamps that are lit: up where too little is predicted, down where too
# much. With all weights at a quarter, the lights are in conflict about the left and the right lamp, but not
# about the middle one, which is on whenever one may walk.

# %%
names = ["".join(map(str, pattern)) for pattern in chapter_06.LIGHTS]
for side, learner, array in SIDES:
    pushed = learner.pressures(array([0.25] * 3), array(chapter_06.LIGHTS), array(chapter_06.WALK))
    shown = [["up" if p > 0 else "down" if p < 0 else "" for p in row] for row in pushed.tolist()]
    together = [f"{mean:+.3f}" for mean in pushed.mean(0).tolist()]
    chapter.say(f"\n{side}: where each light pushes each lamp's weight, and their mean")
    named = zip([*names, "mean"], [*shown, together], strict=True)
    chapter.table(["light", "left", "middle", "right"], [[name, *row] for name, row in named])

# %% [markdown]
# ## Stochastic, mini-batch and full gradient descent
#
# A step after each light, after each three, after all six, each along the mean of what its examples ask for.
# The fewer examples a step waits for, the more steps there are in a round; the more, the straighter its way.

# %%
rounds = chapter.passes(40, full=400)
chapter.say(f"\nBatches, {rounds} rounds")
curves: dict[str, np.ndarray] = {}
for name, batch_size in (("stochastic", 1), ("mini-batches of 3", 3), ("full batch", 6)):
    for side, learner, array in SIDES:
        lights, walk = array(chapter_06.LIGHTS), array(chapter_06.WALK)
        found = learner.descend(array(chapter_06.WEIGHTS), lights, walk, 0.1, rounds, batch_size)
        weights = "  ".join(f"{weight:.4f}" for weight in found.weights[-1].tolist())
        row = (f"{found.errors[-1].item():.10f}", weights)
        chapter.published(f"{name}: Error:{{}} Weights:{{}}", row, None, side)
        curves[name] = np.asarray(found.errors)

# %% [markdown]
# ## The deep network
#
# Four lights, and no lamp that correlates with walking: it is as often on when one may walk as when not. Four
# hidden units h = relu(lamps · W₁), and the prediction h · W₂; relu(z) is z where that is above 0, else 0.
# Backpropagation hands each hidden unit its share of the blame, by its weight, if it was on at all:
#
# - δ₂ = prediction − goal, W₂ −= α hᵀδ₂
# - δ₁ = (δ₂ W₂ᵀ) where h > 0, else 0, and W₁ −= α lampsᵀδ₁
#
# Sixty rounds; the error of every tenth.

# %%
PUBLISHED = (
    "0.6342311598444467",
    "0.35838407676317513",
    "0.0830183113303298",
    "0.006467054957103705",
    "0.0003292669000750734",
    "1.5055622665134859e-05",
)
chapter.say("\nThe deep network, seed 1")
errors: dict[str, np.ndarray] = {}
for side, learner, array in SIDES:
    lights, walk = array(chapter_06.DEEP_LIGHTS), array(chapter_06.DEEP_WALK)
    network, found = learner.learn(learner.first_weights(), lights, walk, 0.2, 60)
    for error, book in zip(found[9::10].tolist(), PUBLISHED, strict=True):
        chapter.published("Error:{}", error, book, side)
    errors[side] = np.asarray(found)

# %% [markdown]
# ## Why the nonlinearity
#
# Without relu, both layers together are one matrix W₁ W₂ of three weights, and learn no more than three
# weights could. The best that these can do is to be wrong by a half about every light, an error of 1.

# %%
chapter.say("\nThe same without relu: the error of the last round, and the one layer that the two are")
for side, learner, array in SIDES:
    lights, walk = array(chapter_06.DEEP_LIGHTS), array(chapter_06.DEEP_WALK)
    network, found = learner.learn(learner.first_weights(), lights, walk, 0.2, 60, nonlinear=False)
    one = "  ".join(f"{weight:.4f}" for weight in learner.as_one_layer(network)[:, 0].tolist())
    chapter.published("Error:{} W1 W2: {}", (f"{found[-1].item():.6f}", one), None, side)

# %% [markdown]
# ## Correlation: what there is to learn from
#
# Correlation is 1 for what is always large together, −1 for what is large where the other is small, 0 where
# neither is so. A weight grows with that of its input: among the six lights, the middle lamp's is 1. Among
# the four there is none; two of the hidden units have some, and a little more once they have learned.

# %%
lights, walk = np.array(chapter_06.DEEP_LIGHTS, np.float64), np.array(chapter_06.DEEP_WALK, np.float64)
before = chapter_06.first_weights()
after, _ = chapter_06.learn(before, lights, walk, 0.2, 60)
tables = {
    "six lights": (
        np.array(chapter_06.LIGHTS, np.float64),
        np.array(chapter_06.WALK, np.float64)[:, None],
    ),
    "four lights": (lights, walk),
    "hidden, before": (chapter_06.hidden_layer(before, lights), walk),
    "hidden, after": (chapter_06.hidden_layer(after, lights), walk),
    "output, before": (chapter_06.hidden_layer(before, lights) @ before.output, walk),
    "output, after": (chapter_06.hidden_layer(after, lights) @ after.output, walk),
}
chapter.say("\nCorrelation of each lamp or unit with walking")
correlations = {name: chapter_06.correlation(*data)[:, 0] for name, data in tables.items()}
rows = [[name, *(f"{value:.4f}" for value in values)] for name, values in correlations.items()]
chapter.table(("", *"1234"), ([*row, *[""] * (5 - len(row))] for row in rows))

# %% [markdown]
# ## The picture
#
# Both sides' curves lie on each other; on the right, the table above in colours.

# %%
figure = Figure(figsize=(13, 4), layout="constrained")
panels: list[Axes] = list(figure.subplots(1, 3, width_ratios=(1, 1, 1.2)))
for name, curve in curves.items():
    panels[0].semilogy(range(1, rounds + 1), curve, ".-", markersize=4, label=name)
panels[0].set(title="six lights: error by size of batch", xlabel="round", ylabel="Σ (prediction − goal)²")
panels[0].legend()
panels[1].semilogy(range(1, 61), errors["NumPy"], color="#08306b", linewidth=4, alpha=0.4, label="NumPy")
panels[1].semilogy(range(1, 61), errors["torch"], "--", color="#d94801", label="torch")
panels[1].set(title="four lights: the deep network", xlabel="round")
panels[1].legend()
grid = np.full((len(tables), 4), np.nan)
for place, values in enumerate(correlations.values()):
    grid[place, : len(values)] = values
    for column, value in enumerate(values):
        panels[2].text(column, place, f"{value:.2f}", ha="center", va="center")
panels[2].imshow(grid, cmap="RdBu", vmin=-1.5, vmax=1.5, aspect="auto")
panels[2].set(title="correlation with walking", xticks=range(4), yticks=range(len(tables)))
panels[2].set_yticklabels(tables)
panels[2].set_xticklabels("1234")
panels[2].set_xlabel("lamp, or unit")
chapter.picture(figure)
chapter.finish()
