# ---
# jupyter:
#   jupytext:
#     formats: py:percent
# ---

# %% [markdown]
# # Chapter 10: Neural learning about edges and corners
#
# A kernel is nine weights, one for each pixel of a 3×3 section: their weighted sum says how much the section
# looks like the kernel. Sixteen of them look at each of an image's 625 sections, always with the same nine
# weights: weights that are used in many places have much to learn from, and little room to learn by heart.
# The same thousand digits, in batches of 128. The listing lets its kernels climb the loss instead of
# descending it.

# %%
from __future__ import annotations

if __name__ == "__main__":
    from gdl_numpy.interrupts import end_silently_on_ctrl_c

    end_silently_on_ctrl_c()

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

import gdl_torch.replays
from gdl_numpy import replays
from gdl_numpy.chapter import Chapter
from parity_tests.harness.verdict import deviations, judge_terms

if TYPE_CHECKING:
    from gdl_numpy.chapter import Side

# `published` prints our values, and beside them the book's, with = where all digits are the same.
chapter = Chapter(10, "Neural learning about edges and corners")
mnist = chapter.load("mnist")
train = replays.as_in_the_book(mnist.train.inputs[:1000], mnist.train.targets[:1000])
test = replays.as_in_the_book(mnist.test.inputs, mnist.test.targets)
SIDES: dict[Side, Any] = {"NumPy": replays, "torch": gdl_torch.replays}
# Test-Acc and Train-Acc of a pass, as the notebook that comes with the book prints them.
PUBLISHED: dict[float, tuple[str, str]] = {
    0: ("0.0288", "0.055"),
    1: ("0.0273", "0.037"),
    2: ("0.028", "0.037"),
    10: ("0.3563", "0.181"),
    50: ("0.4202", "0.21"),
    100: ("0.8511", "0.737"),
    200: ("0.8776", "0.792"),
    299: ("0.8774", "0.814"),
}

# %% [markdown]
# ## The listing as printed
#
# h = 2 · mask · tanh(sections · K), of 625 · 16 numbers, and p = softmax(h W₂). The right answers of 7
# batches, 896 images, are divided by all 1,000: no training accuracy is above 0.896.


# %%
def replay(side: Side, title: str, **options: Any) -> tuple[list[replays.Record], Any]:
    """All records, and the trained listing; prints every tenth pass, and those with a published line."""
    chapter.say(f"\n{title}")
    listing = SIDES[side].CNN(**options)
    passes = chapter.passes(11 if side == "NumPy" else 3, full=300)
    records: list[replays.Record] = []
    for record in SIDES[side].replay(listing, train, test, passes, every=1):
        records.append(record)
        book = None if options else PUBLISHED.get(record["I"])
        if book or record["I"] % 10 == 0 or record["I"] == passes - 1:
            chapter.published(record.template, record.texts().values(), (None, *(book or [None] * 2)), side)
    return records, listing


replay("torch", "as printed")
printed, trained = replay("NumPy", "as printed")
for i in PUBLISHED:
    if i >= len(printed):
        chapter.not_run(f"I:{i:g}")

# %% [markdown]
# ## Is it the gradient?
#
# W₂'s is. The kernels' update has chapter 9's two faults (tanh's slope is taken after dropout, and the way
# back leaves out dropout's 2), and is subtracted where it should be added: δ is y − p, so adding it descends.
# At the start the printed kernels walk up the loss, 180° from where they should go: the accuracy breaks down
# around passes 19 and 45. They grow until many outputs t of tanh are beyond ½. There the printed slope 1 −
# 4t² has the wrong sign too, and one mistake undoes the other: the angle comes down to about 90°, and W₂ can
# learn in peace.

# %%
BATCH = 8  # images in a report; `deviations` below, the angles alone, takes whole batches
for listing, when in ((replays.CNN(), "at the start"), (trained, f"after {len(printed)} passes")):
    chapter.say(f"\n{when}")
    example = (train[0][:BATCH], train[1][:BATCH], *listing.masks(BATCH))
    for term, verdict in judge_terms(listing, gdl_torch.replays.CNN(), example):
        chapter.say(verdict)
        if not term:  # as printed
            chapter.say(f"    {verdict.report}")
            for parameter in verdict.wrong:
                chapter.erratum(f"{type(listing).__name__} {parameter}")
    size = listing.batch_size
    whole = deviations(
        listing, gdl_torch.replays.CNN(), (train[0][:size], train[1][:size], *listing.masks(size))
    )
    chapter.say(f"    as printed, on a whole batch: K {whole['K']}, W2 {whole['W2']}")
    outputs = np.abs(np.tanh(replays.mnist_cnn.sections(example[0]) @ listing.K.data))
    chapter.say(f"    outputs of tanh with |t| > ½: {(outputs > 0.5).mean():.1%}")

# %% [markdown]
# ## The right gradient
#
# On the same images, with the same seed, masks and α: accuracy rises from the first pass on.

# %%
terms = replays.CNN.terms
replay("torch", "the gradient", corrected=terms)
right, descended = replay("NumPy", "the gradient", corrected=terms)

# %% [markdown]
# ## What the kernels learned
#
# Blue is negative and red positive, each picture to its own scale; the number is the largest weight. Where
# red meets blue along a line, a kernel answers to an edge there. After so few passes there is little of that
# yet; `--full` shows more.

# %%
figure = Figure((11, 7), layout="constrained")
places = figure.add_gridspec(2, 3, height_ratios=(1.1, 1))
names = {"at the start": replays.CNN(), "as printed": trained, "gradient": descended}
for column, (name, listing) in enumerate(names.items()):
    part = figure.add_subfigure(places[1, column])
    kernels: np.ndarray = listing.K.data.T.reshape(16, 3, 3)
    part.suptitle(name)
    for panel, kernel in zip(part.subplots(4, 4).flat, kernels, strict=True):
        largest = abs(kernel).max()
        panel.imshow(kernel, cmap="RdBu_r", vmin=-largest, vmax=largest)
        panel.set_title(f"{largest:.2g}", fontsize=6, pad=2)
        panel.axis("off")
panel = figure.add_subplot(places[0, :])
for records, colour, name in ((printed, "#d94801", "as printed"), (right, "#08306b", "gradient")):
    panel.plot([record["Test-Acc"] for record in records], color=colour, label=f"test, {name}")
    panel.plot([record["Train-Acc"] for record in records], "--", color=colour, label=f"training, {name}")
panel.set(xlabel="pass", ylabel="accuracy", ylim=(0, 1))
panel.grid(alpha=0.3)
panel.legend()
chapter.picture(figure)
chapter.finish()
