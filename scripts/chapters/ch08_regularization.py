# ---
# jupyter:
#   jupytext:
#     formats: py:percent
# ---

# %% [markdown]
# # Chapter 8: Learning signal and ignoring noise
#
# A network of 40 hidden units learns a thousand digits by heart, and the better it knows them, the worse it
# does on all others: it overfits. Early stopping, dropout and mini-batches are the chapter's cures. Its three
# listings (the book's programs) are replayed as printed, in NumPy and in torch. Then each rule is held
# against autograd, torch's own way to a gradient, and none of them turns out to be the gradient of its error.

# %%
from __future__ import annotations

if __name__ == "__main__":
    from gdl_numpy.interrupts import end_silently_on_ctrl_c

    end_silently_on_ctrl_c()

import copy
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from matplotlib.figure import Figure

import gdl_torch.replays
from gdl_numpy import replays
from gdl_numpy.chapter import Chapter
from parity_tests.harness.verdict import judge_terms

if TYPE_CHECKING:
    from gdl_numpy.chapter import Side

# `published` prints our values, and beside them the book's, with = where all digits are the same.
chapter = Chapter(8, "Learning signal and ignoring noise")
mnist = chapter.load("mnist")
train = replays.as_in_the_book(mnist.train.inputs[:1000], mnist.train.targets[:1000])
test = replays.as_in_the_book(mnist.test.inputs, mnist.test.targets)
SIDES: dict[Side, Any] = {"NumPy": replays, "torch": gdl_torch.replays}
# How many passes show the point, and how many the book makes; where time is short, torch makes 11 as printed
# and 6 with the gradient.
PASSES = {"MLP": (41, 350), "DropoutMLP": (11, 300), "MiniBatchMLP": (31, 300)}
# Of a pass, what the book prints: Test-Err, Test-Acc, Train-Err, Train-Acc.
PUBLISHED: dict[str, dict[float, tuple[str | None, ...]]] = {
    "MLP": {
        0: ("0.601", "0.6488", "0.722", "0.537"),
        10: ("0.420", "0.8114", "0.312", "0.901"),
        349: ("0.653", "0.7073", "0.108", "1.0"),
    },
    "DropoutMLP": {
        0: ("0.641", "0.6333", "0.891", "0.413"),
        10: ("0.458", "0.787", None, None),
        290: ("0.399", "0.8181", "0.301", "0.908"),
    },
    "MiniBatchMLP": {
        0: ("0.815", "0.3832", "1.284", "0.165"),
        290: ("0.428", "0.7975", "0.383", "0.851"),
    },
}

# %% [markdown]
# ## Overfitting, and two cures, as printed
#
# MLP is chapter 6's network with 784 pixels, 40 hidden units and ten outputs; it learns from one image at a
# time. DropoutMLP has 100 hidden units, and for each image switches off half of them at random, with a mask
# of zeros and ones; what is kept is doubled, so that sums stay as large. No unit can rely on another one
# then, and learning by heart becomes hard. MiniBatchMLP does the same with a hundred images at a time.
#
# A line for every tenth pass, and the last: squared error and right answers, on the test images and on those
# learned from. (The latter are counted on the way, under the masks, and so may be the worse ones.) MLP's
# training error falls and falls; its test error rises again after pass 20 or so. With dropout both fall.


# %%
def replay(side: Side, name: str, *, printed: bool) -> list[replays.Record]:
    """The records of all passes; prints those that the book prints."""
    kind = getattr(SIDES[side], name)
    listing = kind() if printed else kind(corrected=getattr(replays, name).terms)  # all wrong terms
    short, full = PASSES[name]
    passes = chapter.passes(short if side == "NumPy" else 11 if printed else 6, full)
    records: list[replays.Record] = []
    for record in SIDES[side].replay(listing, train, test, passes, every=1):
        records.append(record)
        if record["I"] % 10 == 0 or record["I"] == passes - 1:
            book = PUBLISHED[name].get(record["I"]) if printed else None
            chapter.published(record.template, record.texts().values(), (None, *(book or [None] * 4)), side)
    return records


as_printed: dict[str, list[replays.Record]] = {}
for name, published in PUBLISHED.items():
    chapter.say(f"\n{name}, as printed")
    replay("torch", name, printed=True)
    as_printed[name] = replay("NumPy", name, printed=True)
    for i in published:
        if i >= len(as_printed[name]):
            chapter.not_run(f"{name} I:{i:g}")

# %% [markdown]
# ## Mini-batches: larger steps, and fast ones
#
# A step from a hundred images points where they agree, so it can be longer, and a hundred images in one
# matrix product take far less time than a hundred products. The printed rule makes a hundred steps of 0.001
# along each batch's mean, 0.1 in all: twenty times the 0.005 of the steps from one image.


# %%
def seconds_of_a_pass(side: Side, name: str) -> float:
    """Of learning alone: the test is on one image."""
    start = time.perf_counter()
    one = (test[0][:1], test[1][:1])
    list(SIDES[side].replay(getattr(SIDES[side], name)(), train, one, passes=2))
    return (time.perf_counter() - start) / 2


chapter.say()
for side in SIDES:
    single, batches = (seconds_of_a_pass(side, name) for name in ("DropoutMLP", "MiniBatchMLP"))
    chapter.say(f"{side}: a pass image by image {single:.3f} s, in mini-batches {batches:.3f} s")

# %% [markdown]
# ## Early stopping
#
# The same network as MLP, watched by a thousand further images, the validation images: once their error has
# had no new minimum for five passes, training ends, and the best weights are put back.
# (`gdl_numpy.training.fit(patience=…)` does the same for every model of the project.)

# %%
PATIENCE = 5
validation = replays.as_in_the_book(mnist.train.inputs[1000:2000], mnist.train.targets[1000:2000])


def stop_early(side: Side) -> float:
    """Trains the plain network until its error on the validation images turns; returns the best pass."""
    network = SIDES[side].MLP()
    best, kept = replays.Record({"I": 0, "Test-Err": float("inf")}), network
    passes = chapter.passes(*PASSES["MLP"])
    for record in SIDES[side].replay(network, train, validation, passes, every=1):
        if record["Test-Err"] < best["Test-Err"]:
            best, kept = record, copy.deepcopy(network)
        elif record["I"] - best["I"] >= PATIENCE:
            break
    images = test[0] if side == "NumPy" else torch.from_numpy(test[0])
    accuracy = replays.listing.hits(np.asarray(kept.predict(images)), test[1]) / len(images)
    chapter.say(f"{side:<5}  ended after pass {record['I']}, back to {best['I']}: Test-Acc:{accuracy}")
    return best["I"]


chapter.say()
best_pass = {side: stop_early(side) for side in SIDES}

# %% [markdown]
# ## Is it the gradient?
#
# `judge_terms` holds each printed backward pass against autograd, on the same weights, images and mask: first
# as it is, then with one wrong term put right at a time, then with all. An angle of 0° to the gradient is
# right but for the length of the step; 90° or more would no longer reduce the error. W₂'s is right in all
# three listings, W₁'s in none. ("Expected" in a report is the printed number, and torch's is autograd's;
# docs/errata.md has the whys.)

# %%
for name in PUBLISHED:
    listing = getattr(replays, name)()
    size = listing.batch_size
    example = (train[0][:size], train[1][:size], *listing.masks(size))
    chapter.say()
    for term, verdict in judge_terms(listing, getattr(gdl_torch.replays, name)(), example):
        chapter.say(verdict)
        if not term:  # as printed
            chapter.say(f"    {verdict.report}")
            for parameter in verdict.wrong:
                chapter.erratum(f"{type(listing).__name__} {parameter}")
    for term, meaning in listing.terms.items():
        chapter.say(f"    {term}: {meaning}")

# %% [markdown]
# ## The right gradient
#
# Data, seed, masks and α stay as they were. A mini-batch takes one step along its summed gradient. All three
# do better on the test images, and the plain network loses less of it by overfitting.

# %%
right: dict[str, list[replays.Record]] = {}
for name in PUBLISHED:
    chapter.say(f"\n{name}, with the gradient")
    replay("torch", name, printed=False)
    right[name] = replay("NumPy", name, printed=False)

# %% [markdown]
# ## Training against test

# %%
figure = Figure((11, 6.5), layout="constrained")
figure.suptitle("Each pass, as printed and with the gradient (dashed); grey: where early stopping goes back")
panels = figure.subplots(2, 3, sharex="col", sharey="row")
for column, name in enumerate(PUBLISHED):
    for records, style, with_what in (
        (as_printed[name], "-", ""),
        (right[name], "--", ", gradient"),
    ):
        for part, colour in (("Train", "#d94801"), ("Test", "#08306b")):
            for row, kind in enumerate(("Err", "Acc")):
                values = [record[f"{part}-{kind}"] for record in records]
                panels[row, column].plot(values, style, color=colour, label=part.lower() + with_what)
                panels[row, column].grid(alpha=0.3)
    panels[0, column].set_title(name)
    panels[1, column].set_xlabel("pass")
for row, label in enumerate(("squared error", "accuracy")):
    panels[row, 0].set_ylabel(label)
    panels[row, 0].axvline(best_pass["NumPy"], color="grey")
panels[0, 0].set_ylim(0, 1)
panels[0, 2].legend()
chapter.picture(figure)
chapter.finish()
