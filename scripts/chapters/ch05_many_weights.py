# ---
# jupyter:
#   jupytext:
#     formats: py:percent
# ---

# %% [markdown]
# # Chapter 5: Learning multiple weights at a time
#
# Gradient descent with many inputs, many outputs, and both. In the end a matrix of 784 × 10 weights learns
# to tell handwritten digits apart, and each output's 784, drawn as a picture, show what it looks for.

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

import gdl_torch.basics.chapter_05
from gdl_numpy.basics import chapter_05
from gdl_numpy.chapter import Chapter
from gdl_numpy.data import available

if TYPE_CHECKING:
    from gdl_numpy.chapter import Side

# `published` prints our values, and beside them the book's, with = where all digits are the same.
chapter = Chapter(5, "Learning multiple weights at a time")
# Each side's functions, and how it makes its arrays.
SIDES: list[tuple[Side, Any, Any]] = [
    ("NumPy", chapter_05, partial(np.array, dtype=np.float64)),
    ("torch", gdl_torch.basics.chapter_05, partial(torch.tensor, dtype=torch.float64)),
]

# %% [markdown]
# ## Three inputs: one delta, shared out
#
# delta = prediction − goal says how far the prediction is off, and each weight −= α · delta · its own input:
# the input of 8.5 gets most of the change. Then the same with this weight frozen. The two others get there
# without it, with a larger α; and once the error is 0, it would have nothing to learn any more.

# %%
WEIGHTS, INPUTS = [0.1, 0.2, -0.1], [8.5, 0.65, 1.2]
for title, alpha, frozen, published in (
    ("Three inputs, α 0.01", 0.01, (), ("0.8600000000000001", "0.9637574999999999", "0.9906177228125002")),
    (
        "The first weight frozen, α 0.3",
        0.3,
        (0,),
        ("0.8600000000000001", "0.9382250000000001", "0.97274178125"),
    ),
):
    chapter.say(title)
    for side, descent, array in SIDES:
        found = descent.many_inputs(array(WEIGHTS), array(INPUTS), array(1)[()], alpha, 3, frozen)
        for round_, book in enumerate(published):
            row = (found.predictions[round_].item(), found.errors[round_].item())
            chapter.published(f"Iteration:{round_ + 1} Pred:{{}} Error:{{}}", row, (book, None), side)
    chapter.say()

# %% [markdown]
# ## Three outputs: a delta for each weight
#
# Each output has its own goal, and so its own delta; the input that it is multiplied by is the same.

# %%
chapter.say("Three outputs, α 0.1: the weights after a step")
for side, descent, array in SIDES:
    found = descent.many_outputs(array([0.3, 0.2, 0.9]), array(0.65)[()], array([0.1, 1, 0.1]), 0.1)
    after = found.weights[-1].tolist()
    chapter.published("Weights:[{}, {}, {}]", after, ("0.293825", "0.25655", "0.868475"), side)

# %% [markdown]
# ## Images: a matrix
#
# 784 inputs, the pixels, and ten outputs, whose goals are 1 for the image's own digit and 0 for the others.
# A thousand images one after the other, and for each the step α · delta · pixels. (Where MNIST is not there,
# the small digits do.) α is a tenth of 1/‖x‖²: with that, one step would reach its own image's goals, and
# spoil the others'. Train-Err is the mean of the ten squared errors' sum; the book prints none of these.

# %%
dataset = chapter.load("mnist" if available("mnist", chapter.data_dir) else "digits")
classes, pixels = dataset.num_classes, int(np.prod(dataset.in_shape))
images = dataset.train.inputs[:1000].reshape(-1, pixels).astype(np.float64)
test_images, test_classes = dataset.test.inputs.reshape(-1, pixels).astype(np.float64), dataset.test.targets
goals = np.eye(classes)[dataset.train.targets[: len(images)]]
alpha = 0.1 / float((images**2).sum(axis=1).mean())
passes = chapter.passes(3, full=20)

chapter.say(f"\n{classes} × {pixels} weights, {len(images)} images of {dataset.name}, α {alpha:.2g}")
learned: dict[str, np.ndarray] = {}
for side, descent, array in SIDES:
    weights, inputs, wanted = array(np.zeros((classes, pixels))), array(images), array(goals)
    for number in range(passes):
        error = 0.0
        for image, goal in zip(inputs, wanted, strict=True):
            step = descent.matrix(weights, image, goal, alpha)
            weights, error = step.weights[-1], error + step.errors.sum().item()
        learned[side] = np.asarray(weights)
        right = (test_images @ learned[side].T).argmax(axis=1) == test_classes
        row = (f"{error / len(images):.4f}", f"{right.mean():.4f}")
        chapter.published(f"I:{number} Train-Err:{{}} Test-Acc:{{}}", row, None, side)
difference = np.abs(learned["NumPy"] - learned["torch"]).max()
chapter.say(f"the two sides' weights differ by at most {difference:.1e}")

# %% [markdown]
# ## The weights as pictures
#
# Blue pixels speak for a digit, red ones against it: each output looks for its digit's shape, and for what
# would make it another.

# %%
figure = Figure(figsize=(11, 5), layout="constrained")
figure.suptitle(
    f"What each output looks for: its weights after training on {dataset.name} (passes: {passes})"
)
pictures = chapter_05.as_pictures(learned["NumPy"], dataset.in_shape[1:])
for digit, axes in enumerate(figure.subplots(2, 5).flat):
    drawn = axes.imshow(pictures[digit], cmap="RdBu", vmin=-1, vmax=1)
    axes.set(title=str(digit), xticks=[], yticks=[])
figure.colorbar(drawn, ax=figure.axes, label="weight / the largest", shrink=0.8)
chapter.picture(figure)
chapter.finish()
