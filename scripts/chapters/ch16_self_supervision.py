# ---
# jupyter:
#   jupytext:
#     formats: py:percent
# ---

# %% [markdown]
# # Chapter 16: Self-supervision
#
# Labels are dear, images are not. A network can make up tasks from images alone: find the other view of the
# same image among many, say how far an image was turned, fill in what was cut out, see colours in grey. The
# answers of such a pretext task cost nothing. What the network learned to see on the way serves downstream:
# in the tasks that one is really after, when there are a few labels. (The book has no code for this chapter,
# nor numbers. Pretext tasks on text, masked words and shuffled sentences, are among `scripts/train.py`'s.)
#
# By default on the 8×8 digits; with `--full` on MNIST, where it takes half an hour.

# %%
from __future__ import annotations

if __name__ == "__main__":
    from gdl_numpy.interrupts import end_silently_on_ctrl_c

    end_silently_on_ctrl_c()

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F

import gdl_torch.downstream
from gdl_numpy import downstream
from gdl_numpy.chapter import SIDES, Chapter
from gdl_numpy.data import ColoursDataModule, PatchesDataModule, RotationsDataModule, ViewsDataModule
from gdl_numpy.data.pretext import rotate, tint
from gdl_numpy.models import Colorizer, ContrastiveEncoder, PatchInpainter, RotationClassifier
from gdl_numpy.nn import NTXentLoss
from gdl_numpy.optim import Adam
from gdl_numpy.tasks import Contrastive
from gdl_numpy.training import fit
from gdl_torch.export import from_numpy
from gdl_torch.nn import NTXentLoss as TorchNTXentLoss

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from gdl_numpy.chapter import Side
    from gdl_numpy.data import DataLoader, DataModule
    from gdl_numpy.tasks import Task

chapter = Chapter(16, "Self-supervision")
dataset = chapter.load("mnist" if chapter.full else "digits")
SIZES: dict[str, Any] = {"in_shape": dataset.in_shape, "hidden_features": (64,), "channels": (16, 32)}
if chapter.full:
    SIZES |= {"hidden_features": (128,), "channels": (16, 32, 64)}
BATCH, LR, TEMPERATURE = 256 if chapter.full else 64, 2e-3, 0.2
passes = chapter.passes(30, full=5)
lr_decay = 0.1 ** (1 / passes)  # a tenth in the end

# %% [markdown]
# ## Learning, on both sides
#
# Each model is trained twice from the same first weights on the same batches: with Adam as the optimizer, and
# a learning rate that falls to a tenth. The two sides round differently, and in training such
# differences grow: losses and accuracies are alike, and not equal.


# %%
def learn_numpy(task: Task, batches: DataLoader) -> list[float]:
    """Trains with NumPy; the mean loss of each pass."""
    optimizer = Adam(task.model.parameters(), lr=LR)
    history = fit(task, optimizer, batches, epochs=passes, lr_decay=lr_decay, progress=False)
    task.eval()
    return [row["train_loss"] for row in history.rows]


def learn_torch(model: Any, loss: Callable[[Any, Any, Tensor], Tensor], batches: DataLoader) -> list[float]:
    """The same with torch."""
    optimizer = torch.optim.Adam(model.parameters(), lr=LR)
    means = []
    for epoch in range(passes):
        batches.set_epoch(epoch)
        optimizer.param_groups[0]["lr"] = LR * lr_decay**epoch
        total = count = 0.0
        for inputs, targets in batches:
            value = loss(model, inputs, torch.from_numpy(targets))
            optimizer.zero_grad()
            value.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            total, count = total + value.item() * len(targets), count + len(targets)
        means.append(total / count)
    model.eval()
    return means


def compare_losses(title: str, losses: dict[Side, list[float]]) -> None:
    """Prints both sides' losses of some passes."""
    chapter.say(f"\n{title}: mean loss of a pass")
    for i in sorted({0, passes // 4, passes // 2, passes - 1}):
        chapter.say(f"  I:{i:<4}" + "".join(f"{side:>8} {losses[side][i]:.4f}" for side in SIDES))


# %% [markdown]
# ## Contrast: which two are views of one image?
#
# Each image is turned, shifted, scaled and sheared at random, twice. Its two views are a positive pair, and
# negative pairs with all other views in the batch. NT-Xent is the cross-entropy of finding the other view by
# the cosine of the encoder's outputs, divided by a temperature: the lower that is, the more the most similar
# views count.


# %%
def contrast(model: Any, views: Any, targets: Tensor) -> Tensor:
    first, second = model(torch.cat([torch.from_numpy(view) for view in views])).chunk(2)
    loss: Tensor = TorchNTXentLoss(TEMPERATURE)(first, second)
    return loss


COLUMNS = 10
data = ViewsDataModule(dataset, BATCH, validation=0)
batches: DataLoader = data.train
seen_first = dataset.train.inputs[:COLUMNS]
views = downstream.view_rows(seen_first, data.transform, np.random.default_rng(0))
chapter.picture(downstream.draw_rows(views), "views")
encoder = ContrastiveEncoder(**SIZES, projection_features=(SIZES["hidden_features"][0] // 2,), rng=0)
models: dict[str, dict[Side, Any]] = {
    "untrained": {"NumPy": downstream.untrained(encoder, 0), "torch": from_numpy(encoder)},
    "contrast": {"NumPy": encoder, "torch": from_numpy(encoder)},
}
compare_losses(
    "Contrast",
    {
        "NumPy": learn_numpy(Contrastive(encoder, NTXentLoss(TEMPERATURE)), batches),
        "torch": learn_torch(models["contrast"]["torch"], contrast, batches),
    },
)

# %% [markdown]
# ## Pretext tasks
#
# Each is a head on a trunk like the encoder's, and a way to make inputs and targets of images: turned images,
# and by how many quarters; images with a square cut out, and what was in it; grey images, and the same in a
# colour that shows how the digit is slanted. (Digits have no colours: `tint` gives them these.)


# %%
def task_loss(function: Callable[[Any, Any], Tensor]) -> Callable[[Any, Any, Tensor], Tensor]:
    return lambda model, inputs, targets: function(model(torch.from_numpy(inputs)), targets)


patch_size = dataset.in_shape[1] // 2 - 1
TASKS: dict[str, tuple[DataModule, Any, Any]] = {
    "rotation": (
        RotationsDataModule(dataset, BATCH, validation=0),
        RotationClassifier(**SIZES, rng=0),
        F.cross_entropy,
    ),
    "patch": (
        PatchesDataModule(dataset, BATCH, validation=0, patch_size=patch_size),
        PatchInpainter(**SIZES, patch_size=patch_size, rng=0),
        F.mse_loss,
    ),
    "colour": (ColoursDataModule(dataset, BATCH, validation=0), Colorizer(**SIZES, rng=0), F.mse_loss),
}
for name, (pretext, model, torch_loss) in TASKS.items():
    models[name] = {"NumPy": model, "torch": from_numpy(model)}
    losses: dict[Side, list[float]] = {
        "NumPy": learn_numpy(model.task(model), pretext.train),
        "torch": learn_torch(models[name]["torch"], task_loss(torch_loss), pretext.train),
    }
    compare_losses(name.capitalize(), losses)

# %% [markdown]
# What came in, what was to come out, and what did, for images that none of them has seen.

# %%
images = dataset.test.inputs[:COLUMNS]
rng = np.random.default_rng(0)
rows = {}
chapter.say()
for task, (_, model, _) in TASKS.items():
    question = downstream.question_of(model, images, rng)  # turns them, or cuts out of them
    ours = model(question.inputs)
    theirs = models[task]["torch"](torch.from_numpy(question.inputs)).numpy(force=True)
    difference = np.abs(theirs - ours).max()
    chapter.say(f"{task}: answers from {theirs.min():.2f} to {theirs.max():.2f} differ by {difference:.1e}")
    rows[task] = question.rows(ours)
pictures = {**rows["rotation"], **rows["patch"], "was": images, **rows["colour"]}
chapter.picture(downstream.draw_rows(pictures), "pretext")

# %% [markdown]
# ## Which pretext task helps which downstream task
#
# The trunk is frozen; logistic regression learns from its outputs, the features, and some labels. Downstream
# are three tasks: which digit it is, with all labels, a tenth and a hundredth of them; which way it is
# slanted (to the left, green above, or to the right, blue; MNIST has some that lie, in red); how many
# quarters it was turned. "Guessing" always gives the most frequent answer, and "untrained" are the encoder's
# first weights. (`scripts/downstream.py` probes any trained model, and fine-tunes it too.)

# %%
parts, draws = (dataset.train, dataset.test), np.random.default_rng(0)
labels, test_labels = (part.targets for part in parts)
quarters = [draws.integers(0, 4, len(part)) for part in parts]
IMAGES = {
    "upright": [part.inputs for part in parts],
    "turned": [rotate(part.inputs, turns) for part, turns in zip(parts, quarters, strict=True)],
}
ANSWERS: dict[str, tuple[str, list[np.ndarray]]] = {
    "digit": ("upright", [labels, test_labels]),
    "slant": ("upright", [tint(part.inputs).sum(axis=(2, 3)).argmax(axis=1) for part in parts]),
    "turn": ("turned", quarters),
}
ASKED = [("digit", 1.0), ("digit", 0.1), ("digit", 0.01), ("slant", 0.1), ("turn", 0.1)]
USE: dict[Side, Any] = {"NumPy": downstream, "torch": gdl_torch.downstream}
seen: dict[tuple[str, Side], list[np.ndarray]] = {}
frequent = (np.bincount(ANSWERS[task][1][1]).max() / len(test_labels) for task, _ in ASKED)
accuracies: list[list[str]] = [["guessing", "", *(f"{share:.2%}" for share in frequent)]]


def probe(features: list[np.ndarray], answers: list[np.ndarray], part: float) -> str:
    """Test accuracy where a part of the answers is known: the mean of three draws of them."""
    found = []
    for seed in range(3 if part < 1 else 1):
        known = downstream.labelled_subset(answers[0], part, seed)
        learned_from = features[0][known], answers[0][known]
        found.append(downstream.probe_accuracy(*learned_from, features[1], answers[1]))
    return f"{np.mean(found):.2%}"


for kind, sides in models.items():
    for side, encoding in sides.items():
        features = {
            name: [USE[side].features_of(encoding, images) for images in both]
            for name, both in IMAGES.items()
        }
        seen[kind, side] = features["upright"]
        shares = [probe(features[ANSWERS[task][0]], ANSWERS[task][1], part) for task, part in ASKED]
        accuracies.append([kind, side, *shares])
chapter.say("\nLinear probe: test accuracy, and how many of the labels were known")
chapter.table(["features", "side", *(f"{task}, {part:.0%}" for task, part in ASKED)], accuracies, left=2)

# %% [markdown]
# On the small digits each pretext task helps with what it had to see: contrast and colours with the digits,
# colours with the slant, rotation with turns. What it had to overlook it helps less with: to contrast, an
# image sheared is the same image, and its slant is harder to read than from the first weights.

# %% [markdown]
# ## What it finds alike
#
# The training images nearest to a test image of each class, by the cosine of their features.

# %%
first = np.unique(test_labels, return_index=True)[1]
nearest = {}
chapter.say()
for kind in ("untrained", "contrast"):
    known, unknown = seen[kind, "NumPy"]
    nearest[kind] = downstream.nearest_neighbours(unknown[first], known, 6)
    for side in SIDES:
        known, unknown = seen[kind, side]
        one, five = downstream.knn_accuracy(known, labels, unknown, test_labels)
        chapter.say(
            f"{side:<6} {kind}: the nearest image is right for {one:.2%}, most of five for {five:.2%}"
        )
chapter.picture(downstream.draw_nearest(dataset.test.select(first), dataset.train, nearest), "nearest")
planes = {kind: downstream.on_a_plane(seen[kind, "NumPy"][1]) for kind in ("untrained", "contrast")}
chapter.picture(downstream.draw_map(planes, test_labels), "map")
chapter.finish()
