# ---
# jupyter:
#   jupytext:
#     formats: py:percent
# ---

# %% [markdown]
# # Chapter 14: Learning to write like Shakespeare
#
# What becomes of a gradient on its way back through time: it vanishes, or explodes. Then the network that is
# there against it, the long short-term memory (LSTM), learns to write character by character: built on
# chapter 13's home-made framework, and in torch, from the same weights on the same text.

# %%
from __future__ import annotations

if __name__ == "__main__":
    from gdl_numpy.interrupts import end_silently_on_ctrl_c

    end_silently_on_ctrl_c()

import re
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from gdl_numpy import gradient_flow
from gdl_numpy.chapter import Chapter
from gdl_numpy.data import Streams
from gdl_numpy.replays.character_models import CharacterModel
from gdl_numpy.replays.shakespeare_lstm import ShakespeareLSTM
from gdl_torch import gradient_flow as torch_gradient_flow
from gdl_torch.replays.character_models import CharacterModel as TorchCharacterModel

if TYPE_CHECKING:
    from gdl_numpy.chapter import Side

# `published` prints our values, and beside them the book's, with = where all digits are the same.
chapter = Chapter(14, "Learning to write like Shakespeare")
text = chapter.load("shakespeare_book").text
FLOWS: dict[Side, Any] = {"NumPy": gradient_flow, "torch": torch_gradient_flow}
ORANGE, BLUE, GREY = "#d94801", "#08306b", "#737373"

# %% [markdown]
# ## Vanishing and exploding gradients
#
# Ten steps of f(a · W) with W = [[1, 4], [4, 1]], and the gradient of ones back through them. A sigmoid that
# is near 1 has a slope near 0, and the gradient vanishes; a ReLU's slope is 1, and the gradient grows by W's
# larger eigenvalue, 5, in every step. An LSTM's cell is there against it: c' = f ∘ c + i ∘ g, with gates f
# (forget) and i (input) between 0 and 1. Where f is near 1, a gradient goes back through the cell as it came;
# no matrix, no sigmoid is on its way. (Published values are those of the notebook that comes with the book.
# Its ReLU starts from what an earlier cell left behind: other activations, the same gradients.)

# %%
PRINTED = {
    "Activations": """[0.93940638 0.96852968] [0.9919462  0.99121735] [0.99301385 0.99302901]
        [0.9930713  0.99307098] [0.99307285 0.99307285] [0.99307291 0.99307291] [0.99307291 0.99307291]
        [0.99307291 0.99307291] [0.99307291 0.99307291] [0.99307291 0.99307291]""",
    "Gradients": """[0.03439552 0.03439552] [0.00118305 0.00118305] [4.06916726e-05 4.06916726e-05]
        [1.39961115e-06 1.39961115e-06] [4.81403643e-08 4.81403637e-08] [1.65582672e-09 1.65582765e-09]
        [5.69682675e-11 5.69667160e-11] [1.97259346e-12 1.97517920e-12] [8.45387597e-14 8.02306381e-14]
        [1.45938177e-14 2.16938983e-14]""",
    "Relu Gradients": """[5. 5.] [25. 25.] [125. 125.] [625. 625.] [3125. 3125.] [15625. 15625.]
        [78125. 78125.] [390625. 390625.] [1953125. 1953125.] [9765625. 9765625.]""",
}


def print_vectors(title: str, vectors: np.ndarray, side: Side) -> None:
    """One a line, beside it the book's."""
    chapter.say(f"\n{title}")
    printed = re.findall(r"\[.+?\]", PRINTED[title])
    for vector, line in zip(vectors, printed, strict=True):
        chapter.published("", str(vector), line, side)


for side, flow in FLOWS.items():
    activations, gradients = flow.demonstration("sigmoid")
    print_vectors("Activations", activations[1:], side)
    print_vectors("Gradients", gradients[-2::-1], side)
    print_vectors("Relu Gradients", flow.demonstration("relu")[1][-2::-1], side)

# %% [markdown]
# ## Truncated backpropagation
#
# To go back to the beginning of the text at each step would take for ever. So the text is cut into parallel
# streams, which are read some characters at a time. The state is carried on from batch to batch, its history
# is not: the gradient ends where the batch began. Below, what the LSTM's first stream reads in three batches.

# %%
vocabulary = sorted(set(text))
number = {character: i for i, character in enumerate(vocabulary)}
ids = np.array([number[character] for character in text])
SIZES = {"RNN": (32, 16), "LSTM": (16, 25)}  # streams, steps
SIDES: dict[Side, Any] = {"NumPy": CharacterModel, "torch": TorchCharacterModel}
chapter.say()
for inputs, _ in islice(Streams(ids, *SIZES["LSTM"]), 3):  # (steps, streams)
    chapter.say(repr("".join(vocabulary[i] for i in inputs[:, 0])))

# %% [markdown]
# ## Learning
#
# "Loss" is the perplexity of the pass so far, e to the mean cross-entropy: how many characters the network
# still hesitates between. By default a pass is the first 15 batches only; with `--full` it is the whole text,
# and there are 90 of them, after which the book is at 9.9.
#
# The book goes down the sum over a batch's 400 characters with α = 0.05, which is 20 times the mean's
# gradient. With the right gradient that explodes, as is seen below; here α is 1 on the mean (0.2 for the
# RNN), and 0.99 of it in each pass that follows.

# %%
ALPHAS, DECAY = {"RNN": 0.2, "LSTM": 1.0}, 0.99
PASSES = chapter.passes(4, full=90)
BATCHES = None if chapter.full else 15


def train(learner: Any, kind: str, side: Side, alpha: float, passes: int) -> list[float]:
    """Prints the first batch and the end of each pass in the book's format; returns every batch's loss."""
    streams, steps = SIZES[kind]
    feed = Streams(ids, streams, steps)
    batches = list(islice(feed, min(len(feed) - 1, BATCHES or len(feed))))  # the last one is shorter
    losses: list[float] = []
    least = np.inf
    for i in range(passes):
        learner.state = None
        lr = alpha * DECAY**i
        for k, (inputs, targets) in enumerate(batches):
            losses.append(learner.learn(inputs, targets, lr))
            perplexity = float(np.exp(np.mean(losses[-k - 1 :])))
            least = min(least, perplexity)
            if k == len(batches) - 1 or k == i == 0:
                line = f"Iter:{i} - Alpha:{lr:.3f} - Batch {k + 1}/{len(batches)} - Min Loss:"
                zero_start = kind == "LSTM" and k == i == 0
                values = (f"{least:.2f}", f"{perplexity:.2f}")
                book = ("62.00", "62.00") if zero_start else (None, None)
                chapter.published(line + "{} - Loss:{}", values, book, side)
    return losses


curves: dict[str, dict[Side, list[float]]] = {kind: {} for kind in SIZES}
trained: dict[Side, Any] = {}
for kind in SIZES:
    for side, make in SIDES.items():
        chapter.say(f"\n{kind}: {SIZES[kind][0]} streams, {SIZES[kind][1]} steps")
        trained[side] = make(kind, len(vocabulary))
        curves[kind][side] = train(trained[side], kind, side, ALPHAS[kind], PASSES)
    apart = np.abs(np.array(curves[kind]["NumPy"]) - curves[kind]["torch"]).max()
    chapter.say(f"{kind}: the two sides' losses are at most {apart:.1g} apart")

# %% [markdown]
# ## Tuning
#
# How large should α be? A small LSTM, of 64 numbers instead of 512, tells in seconds: too small an α is slow,
# too large a one explodes, and the best is not far below that. What it is depends on the sizes.

# %%
tuning = list(islice(Streams(ids, *SIZES["LSTM"]), 60))
rows = []
for alpha in (0.1, 0.3, 1.0, 3.0, 10.0, 30.0):
    rows.append([f"{alpha:g}"])
    for make in SIDES.values():
        small = make("LSTM", len(vocabulary), size=64)
        last = [small.learn(*batch, alpha) for batch in tuning][-20:]
        rows[-1].append(f"{np.exp(np.mean(last)):.2f}")
chapter.say("\nPerplexity of the last 20 of 60 batches")
chapter.table(["α", *SIDES], rows)

# %% [markdown]
# ## Writing
#
# A character goes in, the likeliest next one comes out, and goes in again. After a few batches that is the
# same few words, over and over.

# %%
for side in SIDES:
    tokens = trained[side].write([number["\n"]], 500 if chapter.full else 70)
    written = "".join(vocabulary[token] for token in tokens)
    chapter.say(f"\n{side}: the likeliest character each time, after a line break\n{written}")

# %% [markdown]
# ## Is it the gradient?
#
# The listing again, gate by gate, with the book's way back. Its tensors should wait until every use has
# reported, but matrix products report without saying who they are, and are passed on at once (chapter 13);
# whatever comes later to the state h is dropped. Each h is used by the output and by the four gates of the
# next step, and only one of them is heard. What goes back through the cell c, which is what an LSTM is for,
# always comes too late. The output's weights are right; all others hear one or two hundredths of their
# gradient. That is why the book can afford α = 0.05 on the sum of 400 losses. After a whole pass, 249
# batches, it is at 19.2; the printed rule comes out at 19.1 here (the book's vocabulary is in arbitrary
# order, so the digits are others), and the gradient, with a tenth of the α, at 18.9.

# %%
PUBLISHED = {1: "62.00", 2: "61.99", 5: "61.94", 10: "60.23", 15: "51.07", 20: "44.63", 249: "19.23"}
trial = list(islice(Streams(ids, *SIZES["LSTM"]), 249 if chapter.full else 5 * PASSES))
runs: dict[str, list[float]] = {}
for name, printed, alpha in (
    ("as printed", True, 0.05),
    ("the gradient, the same α", False, 0.05),
    ("the gradient, α 0.005", False, 0.005),
):
    chapter.say(f"\n{name}")
    listing = ShakespeareLSTM(len(vocabulary), alpha=alpha)
    runs[name] = [listing.learn(*batch, printed) for batch in trial[: 8 if "same" in name else None]]
    for k in sorted({1, 2, 5, 10, 15, 20, 249, len(runs[name])}):
        if k <= len(runs[name]):
            beside = f"  book: {PUBLISHED[k]}" if printed and k in PUBLISHED else ""
            chapter.say(f"NumPy  Batch {k} - Loss:{np.exp(np.mean(runs[name][:k])):.5g}{beside}")

# %% [markdown]
# Angle and length of what is heard of each gradient: of the characters' table, of the forget gate's matrices
# for the input and for h, of g's, and of the output's. (In the first batch nothing comes back, since the
# output's weights are zero.)

# %%
listing = ShakespeareLSTM(len(vocabulary))
for batch in trial[:3]:
    listing.learn(*batch)
batch_loss = listing.loss(*trial[3])
as_printed, right = (listing.gradients(batch_loss, printed) for printed in (True, False))
chapter.say("\nprinted against the gradient, in the fourth batch")
for name in ("table", "xf", "hf", "xg", "hg", "out"):
    lengths = np.linalg.norm(as_printed[name]), np.linalg.norm(right[name])
    cosine = (as_printed[name] * right[name]).sum() / np.prod(lengths)
    angle = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
    chapter.say(f"{name:6} {angle:5.1f}°, {lengths[0] / lengths[1]:.3f} times as long")
    if angle > 1e-3:
        chapter.erratum(f"LSTM {name}")

# %% [markdown]
# ## The picture

# %%
figure = Figure((16, 4), layout="constrained")
flows, learning, rules = figure.subplots(1, 3)
for name, flow_gradients, colour in (
    ("ReLU", gradient_flow.demonstration("relu")[1], ORANGE),
    ("sigmoid", gradient_flow.demonstration("sigmoid")[1], BLUE),
):
    flows.semilogy(np.linalg.norm(flow_gradients[::-1], axis=1), "o-", color=colour, label=name)
flows.set(xlabel="steps back", title="Norm of the gradient through [[1, 4], [4, 1]]")
for kind, colour in (("RNN", ORANGE), ("LSTM", BLUE)):
    learning.semilogy(np.exp(curves[kind]["torch"]), color=colour, linewidth=4, alpha=0.3)
    learning.semilogy(np.exp(curves[kind]["NumPy"]), color=colour, label=f"{kind} (wide: torch)")
learning.axhline(len(vocabulary), color=GREY, linewidth=1, label=f"vocabulary, {len(vocabulary)}")
learning.set(xlabel="batch", title="Perplexity of each batch")
learning.set_yticks([5, 10, 20, 40, 60], ["5", "10", "20", "40", "60"])
for (name, run), colour in zip(runs.items(), (ORANGE, GREY, BLUE), strict=True):
    rules.semilogy(np.exp(run), color=colour, label=name)
rules.set(xlabel="batch", ylim=(10, 200), title="The listing: perplexity of each batch")
rules.set_yticks([10, 20, 50, 100, 200], ["10", "20", "50", "100", "200"])
for panel in (learning, rules):
    panel.set_yticks([], minor=True)
for panel in (flows, learning, rules):
    panel.grid(alpha=0.3)
    panel.legend(fontsize="small")
chapter.picture(figure)
chapter.finish()
