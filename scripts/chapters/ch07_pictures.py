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

from gdl_numpy import network_picture
from gdl_numpy.chapter import Chapter
from gdl_numpy.network_algebra import algebra
from parity_tests.harness.model_cases import MODELS
from parity_tests.picture import example_of, sides_of

chapter = Chapter(7, "How to picture neural networks")

# %% [markdown]
# ## What goes in
#
# Three models of the book's sizes, with batches of 32 images, or 16 streams of 25 characters: chapter 9's
# network (MLP), chapter 10's (CNN) and chapter 14's. With `--full` all others are drawn too, in a small
# variant each. `example_of` makes a model on both sides, and random inputs for it.

# %%
names = list(MODELS) if chapter.full else ["MLP", "CNN", "LSTMLanguageModel"]
examples = {name: example_of(name) for name in names}

# %% [markdown]
# ## The pictures
#
# Blue layers learn, and say how many weights they have. `sides_of` runs the model on each side, and notes
# what its layers do; both sides must come out the same.
#
# In the algebra, l₀ goes in, lᵢ comes out of layer i, and the gradient of x is dx; backward begins with that
# of the last line. ∘ multiplies number by number; ∗ lays kernels over every section of an image, and ⋆ is its
# way back to the kernels; tanh′ is tanh's slope; flat makes a row of an image, and unflat an image of a row;
# W₀[l₀] looks up rows. The LSTM has two matrices, W and U, and two biases, b and c, as torch's has;
# cₜ is its cell.

# %%
for name, example in examples.items():
    sides = sides_of(name, example)
    chapter.say(f"\n{name}")
    for side, (layers, _) in sides.items():
        for line in (*algebra(layers).forward, *algebra(layers).backward):
            chapter.say(f"{side:<7}{line}")
    picture = network_picture.draw(name, sides)
    for suffix in ("svg", "png"):
        chapter.picture(picture, name, suffix)

# %%
chapter.finish()
