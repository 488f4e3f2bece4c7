# ---
# jupyter:
#   jupytext:
#     formats: py:percent
# ---

# %% [markdown]
# # Chapter 4: Introduction to neural learning: gradient descent
#
# Predict, compare, learn. A prediction is input · weight; the error, (prediction − goal)², says how wrong it
# was. Learning is to make it smaller, first by trying both directions, then by the slope.

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

import gdl_torch.basics.chapter_04
from gdl_numpy.basics import chapter_04
from gdl_numpy.chapter import Chapter

if TYPE_CHECKING:
    from gdl_numpy.chapter import Side

# `published` prints our values, and beside them the book's, with = where all digits are the same.
chapter = Chapter(4, "Introduction to neural learning: gradient descent")
# Each side's functions, and how it makes its numbers.
SIDES: list[tuple[Side, Any, Any]] = [
    ("NumPy", chapter_04, np.float64),
    ("torch", gdl_torch.basics.chapter_04, partial(torch.tensor, dtype=torch.float64)),
]
GOAL = 0.8

# %% [markdown]
# ## Hot and cold: a step of 0.001 up or down, whichever is better
#
# Each round tries both. It gets there in 1,100 rounds, since the right weight, 1.6, is a whole number of
# steps away; else it would go to and fro around it for ever. The first round and the last:

# %%
chapter.say("Hot and cold: weight 0.5, input 0.5, step 0.001")
for side, learning, number in SIDES:
    found = learning.hot_and_cold(number(0.5), number(0.5), number(GOAL), 0.001, 1101)
    rows = list(zip(found.errors.tolist(), found.predictions.tolist(), strict=True))
    chapter.published("Error:{} Prediction:{}", rows[0], ("0.30250000000000005", None), side)
    chapter.published("Error:{} Prediction:{}", rows[-1], (None, "0.7999999999999672"), side)

# %% [markdown]
# ## Gradient descent: weight −= input · (prediction − goal)
#
# Direction and amount in one number. It is half the derivative of the error, 2 · input · (prediction − goal):
# the direction is the same, and how far to go is a matter of choice anyway. The derivative is the slope of
# the error: how much it changes, for each unit that the weight moves, if the weight moves by very little.

# %%
chapter.say(
    "\nThe error's derivative at weight 0.5, input 0.5, and its slope there when the weight is moved a little"
)
for side, learning, number in SIDES:
    place = number(0.5), number(0.5), number(GOAL)
    by_formula, measured = (function(*place).item() for function in (learning.derivative, learning.slope))
    chapter.published("derivative {} slope {}", (f"{by_formula:.6f}", f"{measured:.6f}"), None, side)

chapter.say("\nGradient descent: weight 0.5, input 0.5, 20 rounds")
for side, learning, number in SIDES:
    found = learning.one_weight(number(0.5), number(0.5), number(GOAL), rounds=20)
    row = (found.errors[-1].item(), found.predictions[-1].item())
    chapter.published("Error:{} Prediction:{}", row, (None, "0.7976744445781151"), side)

chapter.say("\nWeight 0, input 1.1: it overshoots the goal, and comes back")
PUBLISHED = ("0.0", "0.9680000000000002", "0.76472", "0.8074088")
for side, learning, number in SIDES:
    found = learning.one_weight(number(0), number(1.1), number(GOAL), rounds=4)
    rows = list(zip(found.errors.tolist(), found.predictions.tolist(), strict=True))
    for row, book in zip(rows, PUBLISHED, strict=True):
        chapter.published("Error:{} Prediction:{}", row, (None, book), side)

# %% [markdown]
# ## Divergence, and α
#
# With an input of 2 each step overshoots by more than it should have gone: (prediction − goal) is multiplied
# by 1 − input² = −3 in each round. A learning rate α makes that 1 − α · input² = 0.6.

# %%
chapter.say("\nWeight 0.5, input 2, 20 rounds: without α, and with α = 0.1")
for alpha, book in ((1.0, "-232452292.5999999"), (0.1, "0.8000121871948003")):
    for side, learning, number in SIDES:
        found = learning.one_weight(number(0.5), number(2), number(GOAL), alpha, rounds=20)
        row = (found.errors[-1].item(), found.predictions[-1].item())
        chapter.published("Error:{} Prediction:{}", row, (None, book), side)

# %% [markdown]
# ## The steps on the error's parabola
#
# The last panel has the error of every round; its legend says by what each round multiplies it.

# %%
figure = Figure(figsize=(12, 7), layout="constrained")
panels = figure.subplots(2, 3).flat
stepping = [
    ("hot and cold, every 100th step", 0.5, chapter_04.hot_and_cold(0.5, 0.5, GOAL, 0.001, 1101), 100),
    ("input 0.5: creeping up", 0.5, chapter_04.one_weight(0.5, 0.5, GOAL, rounds=20), 1),
    ("input 1.1: overshooting", 1.1, chapter_04.one_weight(0.0, 1.1, GOAL, rounds=6), 1),
    ("input 2: diverging", 2.0, chapter_04.one_weight(0.5, 2.0, GOAL, rounds=4), 1),
    ("input 2, α = 0.1", 2.0, chapter_04.one_weight(0.5, 2.0, GOAL, 0.1, rounds=20), 1),
]
for axes, (title, x, found, every) in zip(panels, stepping, strict=False):
    weights, errors = found.weights[:-1:every], found.errors[::every]
    margin = 0.15 * np.ptp(np.append(weights, GOAL / x))
    grid = np.linspace(min(*weights, GOAL / x) - margin, max(*weights, GOAL / x) + margin, 200)
    axes.plot(grid, (x * grid - GOAL) ** 2, color="#bdbdbd")
    axes.plot(weights, errors, "o-", color="#d94801", markersize=4, linewidth=0.8)
    axes.plot(weights[0], errors[0], "o", color="#08306b", label="first")
    axes.plot(GOAL / x, 0, "*", color="#238b45", markersize=12, label="goal")
    axes.set(title=title, xlabel="weight", ylabel="error")
    axes.legend()
for x, alpha in ((0.5, 1.0), (1.1, 1.0), (2.0, 1.0), (2.0, 0.1)):
    errors = chapter_04.one_weight(0.5, x, GOAL, alpha, rounds=20).errors
    axes = figure.axes[-1]
    axes.semilogy(range(1, 21), errors, ".-", label=f"input {x:g}, α {alpha:g}: × ({1 - alpha * x**2:.2g})²")
axes.set(title="error by round", xlabel="round", xticks=range(2, 21, 3))
axes.legend(fontsize=8)
chapter.picture(figure)
chapter.finish()
