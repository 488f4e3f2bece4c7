# ---
# jupyter:
#   jupytext:
#     formats: py:percent
# ---

# %% [markdown]
# # Chapter 3: Introduction to neural prediction
#
# A baseball team before a game: its players' average number of toes, the fraction of games it has won, and
# its fans in millions. A network multiplies them with weights and adds up: that is all there is to a
# prediction, also where layers are stacked. Everything is computed twice, in NumPy and in torch.

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

import gdl_torch.basics.chapter_03
from gdl_numpy.basics import chapter_03
from gdl_numpy.chapter import Chapter

if TYPE_CHECKING:
    from gdl_numpy.chapter import Side

# `published` prints our values, and beside them the book's, with = where all digits are the same.
chapter = Chapter(3, "Introduction to neural prediction")
# Each side's functions, and how it makes its arrays; [()] makes a number of an array without dimensions.
SIDES: list[tuple[Side, Any, Any]] = [
    ("NumPy", chapter_03, np.array),
    ("torch", gdl_torch.basics.chapter_03, partial(torch.tensor, dtype=torch.float64)),
]
TOES, WINS, FANS = 8.5, 0.65, 1.2

# %% [markdown]
# ## One weight: input · weight
#
# Will the team win? From its toes, by a weight of 0.1. (The last digit is rounding, and the book's as well.)

# %%
chapter.say("One input, one output")
for side, network, array in SIDES:
    predicted = network.one_weight(array(TOES)[()], array(0.1)[()])
    chapter.published("{}", predicted.item(), "0.8500000000000001", side)

# %% [markdown]
# ## Many inputs: a weighted sum
#
# Toes, wins and fans, each times its own weight. The sum is large where the weights resemble the inputs.

# %%
chapter.say("\nThree inputs, one output")
for side, network, array in SIDES:
    predicted = network.many_inputs(array([TOES, WINS, FANS]), array([0.1, 0.2, 0.0]))
    chapter.published("{}", predicted.item(), "0.9800000000000001", side)

# %% [markdown]
# ## Many outputs: each by a weight of its own
#
# From the fraction of games won: will a player be hurt, will they win, will they be sad?

# %%
chapter.say("\nOne input, three outputs")
for side, network, array in SIDES:
    outputs = network.many_outputs(array(WINS)[()], array([0.3, 0.2, 0.9]))
    chapter.published("[{}, {}, {}]", outputs.tolist(), ("0.195", "0.13", "0.5850000000000001"), side)

# %% [markdown]
# ## Many of both: a matrix
#
# Its rows are the outputs' weights: three weighted sums of the same three inputs.

# %%
ROWS = [[0.1, 0.1, -0.3], [0.1, 0.2, 0.0], [0.0, 1.3, 0.1]]
chapter.say("\nThree inputs, three outputs")
for side, network, array in SIDES:
    outputs = network.matrix(array([TOES, WINS, FANS]), array(ROWS))
    chapter.published(
        "[{}, {}, {}]", outputs.tolist(), ("0.555", "0.9800000000000001", "0.9650000000000001"), side
    )

# %% [markdown]
# ## Stacked: predictions of predictions
#
# The outputs of one matrix, the hidden layer, are the inputs of the next. The book prints this one as NumPy
# prints an array, with eight digits after the point.

# %%
HIDDEN = [[0.1, 0.2, -0.1], [-0.1, 0.1, 0.9], [0.1, 0.4, 0.1]]
OUTPUT = [[0.3, 1.1, -0.3], [0.1, 0.2, 0.0], [0.0, 1.3, 0.1]]
chapter.say("\nTwo layers")
for side, network, array in SIDES:
    outputs = network.stacked(array([TOES, WINS, FANS]), [array(HIDDEN), array(OUTPUT)])
    printed = str(np.asarray(outputs)).strip("[]").split()
    chapter.published("[{} {} {}]", printed, ("0.2135", "0.145", "0.5065"), side)

# %% [markdown]
# ## What a prediction is made of
#
# Each bar is an input times its weight, to the left where that is negative; together they are the
# prediction, the black line.

# %%
inputs = np.array([TOES, WINS, FANS])
figure = Figure(figsize=(11, 4), layout="constrained")
left, right = figure.subplots(1, 2)
hidden = chapter_03.matrix(inputs, np.array(HIDDEN))
for axes, weights, values, names, title in (
    (left, np.array(ROWS), inputs, ("toes", "wins", "fans"), "A matrix: from inputs to outputs"),
    (right, np.array(OUTPUT), hidden, ("hidden 0", "hidden 1", "hidden 2"), "The second of two layers"),
):
    shares = weights * values  # (outputs, inputs)
    for column, name in enumerate(names):
        # Bars add up to the right where they are positive, to the left where they are negative.
        starts = np.array([row[:column][row[:column] * row[column] > 0].sum() for row in shares])
        axes.barh(range(3), shares[:, column], left=starts, height=0.6, label=f"{name} · weight")
    lows, highs = np.arange(3) - 0.4, np.arange(3) + 0.4
    axes.vlines(shares.sum(axis=1), lows, highs, color="black", linewidth=3, label="prediction")
    axes.set(yticks=range(3), yticklabels=("hurt?", "win?", "sad?"), title=title)
    axes.axvline(0, color="grey", linewidth=0.8)
    axes.set_ylim(2.6, -1.1)
    axes.legend(ncols=2, fontsize=8, loc="upper right")
chapter.picture(figure)
chapter.finish()
