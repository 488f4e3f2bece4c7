# ---
# jupyter:
#   jupytext:
#     formats: py:percent
# ---

# %% [markdown]
# # Chapter 2: Fundamental concepts: how do machines learn?
#
# Two distinctions, made concrete. Supervised learners have examples of what to predict; unsupervised ones
# find groups. Parametric learners have a fixed number of parameters; those of nonparametric ones grow with
# what they see. The chapter prints no numbers: these are ours, computed twice, in NumPy and in torch.

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

import gdl_torch.basics.chapter_02
import gdl_torch.basics.chapter_06
from gdl_numpy.basics import chapter_02, chapter_06
from gdl_numpy.chapter import Chapter

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from gdl_numpy.chapter import Side

chapter = Chapter(2, "Fundamental concepts: how do machines learn?")
# Each side's files, this chapter's and that of chapter 6's gradient descent, and how it makes its arrays.
SIDES: list[tuple[Side, Any, Any]] = [
    ("NumPy", (chapter_02, chapter_06), partial(np.array, dtype=np.float64)),
    (
        "torch",
        (gdl_torch.basics.chapter_02, gdl_torch.basics.chapter_06),
        partial(torch.tensor, dtype=torch.float64),
    ),
]

# %% [markdown]
# ## Supervised: to count, or to weigh
#
# Three streetlights say whether one may walk, 1 where a lamp is on. All eight patterns are asked for, but
# only four of them were seen. The counter (nonparametric) keeps how often each pattern came, and how often
# one could walk then; of the others it knows nothing: "?". The parametric learner has three weights, one a
# lamp, and adds up those that are lit; it learns by gradient descent (chapters 4 and 6). Where the middle
# light decides, the weights are also right about what was never seen. Where no sum of lights decides, they
# learn nothing, and the counter knows all that it has seen.

# %%
PATTERNS = [[a, b, c] for a in (0, 1) for b in (0, 1) for c in (0, 1)]
CROSSINGS: dict[str, tuple[Any, Any]] = {
    "the middle light decides": (chapter_06.LIGHTS, chapter_06.WALK),
    "walk if just one of the first two is on": (
        chapter_06.DEEP_LIGHTS,
        [goal for (goal,) in chapter_06.DEEP_WALK],
    ),
}
NAMES = ["".join(map(str, pattern)) for pattern in PATTERNS]
believed: dict[str, list[np.ndarray]] = {}
for name, (lights, walk) in CROSSINGS.items():
    chapter.say(f"\n{name}: should one walk?")
    shown: list[list[str]] = []
    for side, (counter, weigher), array in SIDES:
        seen, goals, asked = array(lights), array(walk), array(PATTERNS)
        counted = counter.probability(counter.count(seen, goals > 0.5), asked)
        weights = weigher.descend(array([0.0] * 3), seen, goals, 0.1, chapter.passes(200)).weights[-1]
        believed[name] = [np.asarray(counted), np.asarray(asked @ weights)]
        for learner, values in zip(("counter", "three weights"), believed[name], strict=True):
            shown.append([side, learner, *("?" if np.isnan(value) else f"{value:.2f}" for value in values)])
    chapter.table(["side", "learner", *NAMES], shown, left=2)

# %% [markdown]
# ## Unsupervised: groups in handwritten digits
#
# k-means is told how many groups to find: parametric. Each image goes to the nearest centre, each centre to
# the mean of its images, and so on until nothing changes; the sum of squared distances falls all the while.
# Where it begins matters: k-means++ draws first centres far apart. DP-means is told what a group costs, here
# 6, and opens one wherever that shortens the distances by more: nonparametric. Which digits are in a group is
# looked up only afterwards: purity is the fraction of images whose digit is the most frequent in their group.

# %%
dataset = chapter.load("digits")
pixels = dataset.train.inputs.reshape(len(dataset.train), -1).astype(np.float64)
digits = dataset.train.targets
draws = np.random.default_rng(0).random(10)
groups: dict[str, Any] = {}
chapter.say(f"\nGroups in {len(pixels)} images of {dataset.name}, by squared distance from their centres")
for name in ("k-means, 10 groups", "DP-means, 6 a group"):
    for side, (grouping, _), array in SIDES:
        points = array(pixels)
        if name == "k-means, 10 groups":
            first_centres = grouping.plus_plus(points, array(draws))
            found = grouping.kmeans(points, first_centres, chapter.passes(100))
        else:
            found = grouping.dp_means(points, 6.0, chapter.passes(100))
        labels = np.asarray(found.labels)
        table = np.zeros((len(found.centres), dataset.num_classes), int)
        np.add.at(table, (labels, digits), 1)
        purity = table.max(axis=1).sum() / len(digits)
        groups[name] = (np.asarray(found.centres), table, np.asarray(found.sums))
        chapter.say(
            f"{side:<7}{name:<21}{len(table):3} groups, sum {found.sums[-1].item():.4f}, purity {purity:.2%}"
        )

# %% [markdown]
# ## The picture
#
# Above what both learners believe, below each group's centre, and how many of which digits are in it.

# %%
figure = Figure(figsize=(13, 6), layout="constrained")
cells = figure.add_gridspec(3, 1, height_ratios=(2.2, 1, 1))
above, *rows = (figure.add_subfigure(cells[row]) for row in range(3))
panels: list[Axes] = list(above.subplots(1, 3))
for axes, (name, beliefs) in zip(panels, believed.items(), strict=False):
    for learner, values, shift in zip(("counter", "three weights"), beliefs, (-0.2, 0.2), strict=True):
        axes.bar(np.arange(8) + shift, np.nan_to_num(values), 0.4, label=learner)
    for place in np.flatnonzero(np.isnan(beliefs[0])):
        axes.text(place - 0.2, 0.02, "?", ha="center", color="#1f77b4")
    axes.set(title=name, ylabel="walk?", xticks=range(8), ylim=(min(-0.1, *beliefs[1]), 1.4))
    axes.set_xticklabels(NAMES)
    axes.legend(ncols=2)
for name, (_, _, sums) in groups.items():
    panels[2].plot(range(1, len(sums) + 1), sums, ".-", label=name)
panels[2].set(title="sum of squared distances", xlabel="round")
panels[2].legend()
columns = max(len(centres) for centres, _, _ in groups.values())
for below, (name, (centres, table, _)) in zip(rows, groups.items(), strict=True):
    below.suptitle(f"{name}: the centres, and the digits in them", x=0.01, ha="left", fontsize=10)
    for group, axes in enumerate(below.subplots(1, columns)):
        axes.axis("off")
        if group < len(centres):
            axes.imshow(centres[group].reshape(dataset.in_shape[1:]), cmap="gray_r")
            most = [digit for digit in np.argsort(-table[group], kind="stable")[:2] if table[group, digit]]
            axes.set_title("\n".join(f"{table[group, digit]}× {digit}" for digit in most), fontsize=9)
chapter.picture(figure)
chapter.finish()
