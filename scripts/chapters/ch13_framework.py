# ---
# jupyter:
#   jupytext:
#     formats: py:percent
# ---

# %% [markdown]
# # Chapter 13: Introducing automatic optimization
#
# A deep learning framework: tensors that remember how they were made, and so can tell their gradient; then
# layers, losses and an optimizer on top. The chapter's networks are written once, in
# gdl_numpy/replays/framework_networks.py, and run by two frameworks: the home-made one (gdl_numpy.autograd,
# to be read in an evening), and torch. The book's own, with its mistakes, is held against both.

# %%
from __future__ import annotations

if __name__ == "__main__":
    from gdl_numpy.interrupts import end_silently_on_ctrl_c

    end_silently_on_ctrl_c()

from typing import TYPE_CHECKING, Any

import networkx as nx  # type: ignore[import-untyped]
import numpy as np
from matplotlib.figure import Figure

from gdl_numpy.autograd import Tensor
from gdl_numpy.chapter import Chapter
from gdl_numpy.replays.as_printed import backward_as_printed, made_by, sources
from gdl_numpy.replays.framework_networks import CLASSES, HOME_MADE, NETWORKS, SentenceReader
from gdl_torch.replays.framework_networks import TORCH

if TYPE_CHECKING:
    from collections.abc import Callable

    from gdl_numpy.chapter import Side
    from gdl_numpy.replays.framework_networks import Framework

# `published` prints our values, and beside them the book's, with = where all digits are the same.
chapter = Chapter(13, "Introducing automatic optimization")
babi = chapter.load("babi_padded")
# What the frameworks spell differently: `tensor` of an array, `numbers` back, `cross_entropy`, `sgd`.
SIDES: dict[Side, Framework] = {"NumPy": HOME_MADE, "torch": TORCH}

# %% [markdown]
# ## Tensors that are used many times
#
# f = (a + b) + (b + c): b is used twice, and its gradient is the sum of what comes back from both uses. The
# same for a row that is looked up twice: rows 2 and 3 below. (Published values in this chapter are those of
# the notebook that comes with the book.)

# %%
for side, lib in SIDES.items():
    a, b, c = (
        lib.tensor(np.array(x, float), requires_grad=True)
        for x in ([1, 2, 3, 4, 5], [2, 2, 2, 2, 2], [5, 4, 3, 2, 1])
    )
    ((a + b) + (b + c)).sum().backward()
    chapter.published("b.grad == 2:", str(np.asarray(b.grad) == 2), "[ True  True  True  True  True]", side)
    a, b, c = (lib.tensor(lib.numbers(x), requires_grad=True) for x in (a, b, c))
    ((a + -b) + (-b + c)).sum().backward()
    chapter.published("b.grad == -2:", str(np.asarray(b.grad) == -2), "[ True  True  True  True  True]", side)
    table = lib.tensor(np.eye(5), requires_grad=True)
    table[np.array([[1, 2, 3], [2, 3, 4]])].sum().backward()
    for row, times in zip(np.asarray(table.grad), (0, 1, 2, 2, 1), strict=True):
        chapter.published("rows 1 2 3 and 2 3 4:", str(row), str(np.full(5, float(times))), side)

# %% [markdown]
# ## From the printed framework to ours to torch
#
# The book's tensors count their uses, and mean to pass their gradient on once all of these have reported. But
# a matrix product reports without saying who it is, and is passed on at once; what comes later is dropped.
# `backward_as_printed` goes back that way through our tensors. It is right about a y that is used in two
# sums, and hears one use only of a y in two matrix products. Ours waits for all, and has torch's gradients.
# In this chapter's networks nothing is dropped; in chapter 14's LSTM nearly everything is.

# %%
USES: dict[str, Callable[[Any, Any], Any]] = {
    "two sums": lambda y, matrix: (y + matrix) + (y - matrix),
    "two matrix products": lambda y, matrix: y @ matrix + y @ matrix,
}
ways = {"printed": Tensor, "ours": Tensor, "torch": TORCH.tensor}
rows = []
for use, formula in USES.items():
    gradients = []
    for way, tensor in ways.items():
        x = tensor(np.ones((2, 2)), requires_grad=True)
        loss = formula(x + x, tensor(np.eye(2))).sum()
        backward_as_printed(loss) if way == "printed" else loss.backward()
        gradients.append(str(np.asarray(x.grad).ravel()))
    rows.append([use, *gradients])
chapter.say("\nThe gradient of each number of x, where y = x + x")
chapter.table(["y is used in", *ways], rows)

# %% [markdown]
# ## Small networks, one piece after the other
#
# Each network has one piece more than the one before, and its losses, step by step, are the published ones.
# `network.learn` is the same loop for all: outputs from the weights, loss, loss.backward(), optimizer.step().
# The cross-entropy is compared to 12 places only: the book's softmax does not subtract the largest number
# first, as ours does, and is rounded otherwise.

# %%
curves: dict[str, list[float]] = {}
for network in NETWORKS:
    chapter.say(f"\n{network.title}")
    for side, lib in SIDES.items():
        losses = list(network.learn(lib))
        for loss, printed in zip(losses, network.printed.split(), strict=True):
            if network.entropy:
                chapter.published("", f"{loss:.12f}", f"{float(printed):.12f}", side)
            else:
                chapter.published("", str(loss), f"[{printed}]", side)
        curves[network.title] = [float(loss.sum()) for loss in losses]

# %% [markdown]
# ## Is it the gradient?
#
# The book's MSELoss sums, and so does its gradient. Its cross-entropy prints the mean of the batch and hands
# back p − y for each example, which is the gradient of the sum: N times as long as that of what is printed,
# and in the same direction. So α = 0.1 on four examples is 0.4, and 0.05 on a hundred sentences is 5.

# %%
with_entropy = NETWORKS[-1]
logits = with_entropy.outputs(None, *map(Tensor, with_entropy.weights)).data
as_printed = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True) - np.eye(4)[CLASSES]
for side, lib in SIDES.items():
    leaf = lib.tensor(logits, requires_grad=True)
    lib.cross_entropy(leaf, CLASSES).backward()
    gradient = np.asarray(leaf.grad)
    lengths = np.linalg.norm(as_printed), np.linalg.norm(gradient)
    cosine = float((as_printed * gradient).sum() / np.prod(lengths))
    longer = f"{lengths[0] / lengths[1]:.6g} times as long"
    chapter.say(f"{side:5}  p − y against the gradient of the mean: cosine {cosine:.12f}, {longer}")

# %% [markdown]
# ## The recurrent network reads bAbI
#
# A hundred sentences of six words, shorter ones filled up in front. Five are read, the last is guessed. The
# state h has 16 numbers, as the words' vectors x have: h = sigmoid(x W + h U + biases) at each word. The
# book's words are in the arbitrary order of a Python set, so its digits come out in no other run; it reports
# 37 % right after 1,000 rounds.

# %%
vocabulary = babi.vocabulary()
sentences = np.array([vocabulary.encode(sentence) for sentence in babi.train])  # (100, 6)
ROUNDS = chapter.passes(1000)
for side, lib in SIDES.items():
    chapter.say(f"\n{ROUNDS} rounds")
    reader = SentenceReader(lib, len(vocabulary))
    learned = []
    for i in range(ROUNDS):
        mean, logits = reader.learn(sentences)
        learned.append(mean)
        guesses = logits.argmax(axis=1)
        if i % 200 == 0 or i == ROUNDS - 1:
            right = float((guesses == sentences[:, -1]).mean())
            chapter.published("Loss: {} % Correct: {}", (mean, right), None, side)
*context, true = vocabulary.decode(sentences[0]).split(" ")
chapter.say(f"\nContext: {' '.join(context)}")
chapter.say(f"True: {true!r}")
chapter.say(f"Pred: {vocabulary.decode(guesses[:1])!r}")

# %% [markdown]
# ## What the home-made framework remembers
#
# The graph of one small expression, drawn from the tensors themselves: each knows its sources and by what
# operation it was made of them. In each circle its name or operation, its value, and the gradient of the
# loss.

# %%
x, w, b = (Tensor(np.array(value), requires_grad=True) for value in (0.5, 2.0, -0.5))
hidden = (x * w + b).tanh()
result = (hidden - 1) * (hidden - 1) + w * 0.1
graph, waiting = nx.DiGraph(), [result]
names, operations = {result: "loss", x: "x", w: "w", b: "b"}, {}
while waiting:
    node = waiting.pop()
    operations[node] = names.get(node, made_by(node))
    graph.add_edges_from((source, node) for source in sources(node))
    waiting += sources(node.retain_grad())
result.backward()
labels = {
    node: f"{name}\n{node.item():.3g}\n{np.asarray(node.grad):+.3g}" for node, name in operations.items()
}
for depth, generation in enumerate(nx.topological_generations(graph)):
    for node in generation:
        graph.nodes[node]["subset"] = depth

figure = Figure((13, 4.5), layout="constrained")
tree, curve, reading = figure.subplots(1, 3, width_ratios=(1.7, 1, 1))
nx.draw_networkx(
    graph,
    nx.multipartite_layout(graph),
    ax=tree,
    labels=labels,
    node_size=1500,
    node_color=["#fdd0a2" if node in names else "#deebf7" for node in graph],
    font_size=7,
    edge_color="grey",
)
tree.set_title("tanh(x·w + b) and a loss: operation, value, gradient")
tree.axis("off")
for title, points in curves.items():
    curve.semilogy(points, "o-", markersize=3, label=title)
curve.set(xlabel="step", title="Five small networks: loss")
curve.legend(fontsize="x-small")
reading.plot(learned, color="#08306b")
reading.set(xlabel="round", title="bAbI: cross-entropy of the last word")
for panel in (curve, reading):
    panel.grid(alpha=0.3)
chapter.picture(figure)
chapter.finish()
