# ---
# jupyter:
#   jupytext:
#     formats: py:percent
# ---

# %% [markdown]
# # Chapter 7: How to picture neural networks
#
# The same network four times: as boxes with the shapes that flow between them, as algebra, in hand-written
# NumPy and in PyTorch. What is drawn is what ran: each model is run once, and every layer says what it got
# and gave.

# %%
from __future__ import annotations

if __name__ == "__main__":
    from gdl_numpy.interrupts import end_silently_on_ctrl_c

    end_silently_on_ctrl_c()

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

import gdl_torch.diagram
from gdl_numpy import diagram
from gdl_numpy.chapter import Chapter
from gdl_numpy.tasks import as_arguments
from parity_tests.harness.evaluate import as_dtype
from parity_tests.harness.model_cases import MODELS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gdl_numpy.diagram import Layer

chapter = Chapter(7, "How to picture neural networks")

# %% [markdown]
# ## What goes in
#
# The three by default are of the book's sizes, with batches of 32 images, or 16 streams of 25 characters.
# With `--full` all others are drawn too, in a small variant each.

# %%
rng = np.random.default_rng(0)
images, characters = rng.random((32, 1, 28, 28)), rng.integers(0, 65, (25, 16))
drawn: dict[str, tuple[Mapping[str, Any], tuple[np.ndarray, ...]]] = {
    "MLP": ({}, (images,)),
    "CNN": ({}, (images,)),
    "LSTMLanguageModel": ({}, (characters,)),
}
if chapter.full:
    for name, case in MODELS.items():
        inputs, _ = case.example(case.variants[0], 3, rng)
        if name == "ContrastiveEncoder":  # it encodes one view at a time
            inputs = inputs[0]
        drawn.setdefault(name, (case.variants[0], as_arguments(inputs)))

# %% [markdown]
# ## The pictures
#
# Blue layers learn: the number in the corner counts their weights. Both sides must come out the same.

# %%
for name, (arguments, inputs) in drawn.items():
    numpy_model, torch_model = MODELS[name].build(arguments)
    given = as_dtype(inputs, np.float32)
    layers: dict[str, list[Layer]] = {
        "NumPy": diagram.layers_of(numpy_model, *given),
        "torch": gdl_torch.diagram.layers_of(torch_model, *map(torch.from_numpy, given)),
    }
    chapter.say(f"\n{name}")
    for side, rows in layers.items():
        for line in diagram.algebra(rows):
            chapter.say(f"{side:<7}{line}")
    sources = {"NumPy": type(numpy_model), "torch": type(torch_model)}
    figure = diagram.draw(
        name, {side: (rows, diagram.source_of(sources[side])) for side, rows in layers.items()}
    )
    chapter.picture(figure, name, suffix="svg")

# %%
chapter.finish()
