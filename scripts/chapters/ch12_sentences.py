# ---
# jupyter:
#   jupytext:
#     formats: py:percent
# ---

# %% [markdown]
# # Chapter 12: Neural networks that write like Shakespeare
#
# A sentence as one vector: the average of its words' vectors forgets their order; a sum that goes through a
# transition matrix at each word does not. The chapter's network reads bAbI's short sentences ("mary moved to
# the bathroom.") and guesses each next word; the gradient goes back through as many words as there are.

# %%
from __future__ import annotations

if __name__ == "__main__":
    from gdl_numpy.interrupts import end_silently_on_ctrl_c

    end_silently_on_ctrl_c()

import copy
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

chapter = Chapter(12, "Neural networks that write like Shakespeare")
lines = chapter.load("babi").train
vocabulary, sentences = replays.read_sentences(lines)  # words, and sentences as their numbers
SIDES: dict[Side, Any] = {"NumPy": replays, "torch": gdl_torch.replays}
PASSES: dict[Side, int] = {"NumPy": chapter.passes(30), "torch": chapter.passes(5, full=30)}

# %% [markdown]
# ## The matrix that changes nothing
#
# Words summed one by one, and the same with the sum multiplied by the identity on the way: the same vector.
# That is where the transition matrix starts, as a bag of words. What it learns, it learns about order.

# %%
words = np.array([[2.0, 4, 6], [10, 10, 10], [1, 1, 1]])  # this, movie, rocks
identity = np.eye(3)
tensors, torch_identity = torch.from_numpy(words), torch.eye(3, dtype=torch.float64)
chapter.say(f"this + movie + rocks            {words.sum(axis=0)}")
chapter.say(f"(this·I + movie)·I + rocks NumPy {(words[0] @ identity + words[1]) @ identity + words[2]}")
through = (tensors[0] @ torch_identity + tensors[1]) @ torch_identity + tensors[2]
chapter.say(f"                           torch {through.numpy()}")

# %% [markdown]
# ## The listing as printed
#
# Each sentence without its first word, who it is about, as in the book. s₀ is the start vector. For each word
# k: p_k = softmax(s_{k−1} D) guesses it from the state so far, and then s_k = s_{k−1} R + E[word_k] reads it.
# E has the words' vectors, R is the transition matrix, D the decoder; all of them learn, and s₀ too.
#
# The perplexity of every thousandth sentence, always the first of the thousand: e to the mean loss of its
# words, as if the network had to choose among that many words each time. The book's goes from about 82,
# the vocabulary's size, to about 4; its vocabulary is in the arbitrary order of a Python set, so its digits
# come out in no other run.


# %%
def replay(side: Side, title: str, **options: Any) -> tuple[list[float], Any]:
    """The perplexities, and the trained listing; prints the first three and the last three."""
    chapter.say(f"\n{title}")
    listing = SIDES[side].TransitionMatrix(len(vocabulary), **options)
    records = list(SIDES[side].replay_sentences(listing, sentences, PASSES[side] * len(sentences)))
    for record in records[:3] + records[max(3, len(records) - 3) :]:
        chapter.published(record.template, record.texts().values(), [None], side)
    return [record["Perplexity"] for record in records], listing


replay("torch", "as printed")
printed, trained = replay("NumPy", "as printed")

# %% [markdown]
# ## Is it the gradient?
#
# The decoder's is, and so are the deltas themselves: d_k = (p_k − right) Dᵀ + d_{k+1} Rᵀ is the gradient of
# the state before word k. But the updates use them in the wrong place. R is given s_{k−1} ⊗ d_k (⊗: each
# number times each), and should be given s_{k−1} ⊗ d_{k+1}, that of the state after the word; E[word_k] is
# given d_{k−1}, and should be given d_{k+1} too. The start vector's d₀ goes through R once too often, which
# shows once R is no identity. (`judge_terms` holds the rule against torch's autograd: as printed, with each
# wrong term put right, with all.)

# %%
for listing, when in (
    (replays.TransitionMatrix(len(vocabulary)), "at the start"),
    (trained, f"after {PASSES['NumPy']} passes"),
):
    chapter.say(f"\n{when}, on '{' '.join(vocabulary[word] for word in sentences[0])}'")
    twin = gdl_torch.replays.TransitionMatrix(len(vocabulary))
    for term, verdict in judge_terms(listing, twin, (sentences[0],)):
        chapter.say(verdict)
        if not term:  # as printed
            chapter.say(f"    {verdict.report}")
            for parameter in verdict.wrong:
                chapter.erratum(f"{type(listing).__name__} {parameter}")

# %% [markdown]
# ## The right gradient
#
# The same sentences, start and α; then the perplexity of all thousand together under each.

# %%
terms = replays.TransitionMatrix.terms
replay("torch", "the gradient", corrected=terms)
right, descended = replay("NumPy", "the gradient", corrected=terms)


def perplexity(listing: replays.TransitionMatrix) -> float:
    """That of all sentences together: e to the mean loss of a word."""
    total = sum(listing(ids) * len(ids) for ids in sentences)
    return float(np.exp(total / sum(map(len, sentences))))


chapter.say(f"\nall sentences, as printed: {perplexity(trained):.3f}; gradient: {perplexity(descended):.3f}")

# %% [markdown]
# ## What it guesses
#
# After each word, the likeliest next one. Where a sentence of bAbI could go on in several ways, the network
# cannot know which; what is always the same, it has learned.

# %%
chosen = 4
trained(sentences[chosen])
spoken = [vocabulary[word] for word in sentences[chosen]]
chapter.say()
guesses = [vocabulary[guess] for guess in trained.outputs.argmax(axis=1)]
heads = ("read so far", "next", "guessed")
chapter.table(
    heads,
    [(" ".join(spoken[:k]), *words) for k, words in enumerate(zip(spoken, guesses, strict=True))],
    left=len(heads),
)

# %% [markdown]
# ## Averages, and order
#
# The average of its words' vectors (each of length 1) is enough to find sentences that say nearly the same.
# But it is a bag of words: backwards, a sentence has the same average, and the same sum, which is what the
# network's state is while R is the identity. With the R that it learned, the two ends differ.

# %%
unit = trained.E.data / np.linalg.norm(trained.E.data, axis=1, keepdims=True)
averages = np.array([unit[ids].mean(axis=0) for ids in sentences])
averages /= np.linalg.norm(averages, axis=1, keepdims=True)
nearest = np.argsort(-(averages @ averages[chosen]), kind="stable")  # by cosine
shown = list(dict.fromkeys(" ".join(vocabulary[word] for word in sentences[i]) for i in nearest))[:4]
chapter.say("\naveraged word vectors, the sentences nearest to the first of them:")
for text in shown:
    chapter.say(f"    {text}")


def last_state(listing: replays.TransitionMatrix, ids: np.ndarray) -> np.ndarray:
    """The vector of a sentence: the state after its last word."""
    state = listing.start.data
    for word in ids:
        state = state @ listing.R.data + listing.E.data[word]
    return state


bag = copy.deepcopy(trained)
bag.R.data = np.eye(len(bag.R.data))
for name, listing in (("identity", bag), ("learned", trained)):
    one, other = (last_state(listing, ids) for ids in (sentences[chosen], sentences[chosen][::-1]))
    apart = np.linalg.norm(one - other) / np.linalg.norm(one)
    chapter.say(f"the sentence and its words backwards, {name} matrix: {apart:.0%} apart")

# %% [markdown]
# ## The picture

# %%
figure = Figure((11, 4), layout="constrained")
curve, matrix = figure.subplots(1, 2, width_ratios=(1.6, 1))
curve.semilogy(printed, "o-", color="#d94801", label="as printed", markersize=3)
curve.semilogy(right, "o-", color="#08306b", label="gradient", markersize=3)
curve.axhline(len(vocabulary), color="grey", linewidth=1, label=f"vocabulary, {len(vocabulary)}")
curve.set(xlabel="thousand sentences", ylabel="perplexity of the first sentence")
curve.set_yticks([4, 10, 20, 40, 80], ["4", "10", "20", "40", "80"])
curve.set_yticks([], minor=True)
curve.grid(alpha=0.3)
curve.legend()
largest = abs(trained.R.data).max()
shown_matrix = matrix.imshow(trained.R.data, cmap="RdBu_r", vmin=-largest, vmax=largest)
matrix.set_title("The transition matrix, no identity any more")
figure.colorbar(shown_matrix, ax=matrix)
chapter.picture(figure)
chapter.finish()
