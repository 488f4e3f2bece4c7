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
# answers cost nothing. What it learned to see on the way serves when there are a few labels after all.
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
from gdl_numpy.data.pretext import cut_out, rotate, tint
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
# The same first weights and the same batches.


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
# the cosine of the encoder's outputs.


# %%
def contrast(model: Any, views: Any, targets: Tensor) -> Tensor:
    first, second = model(torch.cat([torch.from_numpy(view) for view in views])).chunk(2)
    loss: Tensor = TorchNTXentLoss(TEMPERATURE)(first, second)
    return loss


COLUMNS = 10
data = ViewsDataModule(dataset, BATCH, validation=0)
batches: DataLoader = data.train
seen_first = dataset.train.inputs[:COLUMNS]
random_numbers = np.random.default_rng(0)
rows = {"image": seen_first} | {f"view {i}": data.transform(seen_first, random_numbers) for i in range(1, 6)}
chapter.picture(downstream.draw_rows(rows), "views")
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
# Each is a head on a trunk like the encoder's, and a way to make inputs and targets of images.


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
turns = rng.integers(0, 4, COLUMNS)
tops, lefts = rng.integers(0, dataset.in_shape[1] - patch_size + 1, (2, COLUMNS))
asked = {
    "rotation": rotate(images, turns),
    "patch": cut_out(images, tops, lefts, patch_size)[0],
    "colour": images,
}
answers = {task: models[task]["NumPy"](inputs) for task, inputs in asked.items()}
chapter.say()
for task, inputs in asked.items():
    theirs = models[task]["torch"](torch.from_numpy(inputs)).numpy(force=True)
    difference = np.abs(theirs - answers[task]).max()
    chapter.say(f"{task}: answers from {theirs.min():.2f} to {theirs.max():.2f} differ by {difference:.1e}")

says = answers["rotation"].argmax(axis=1)
filled = asked["patch"].copy()
for image, top, left, patch in zip(filled, tops, lefts, answers["patch"], strict=True):
    image[:, top : top + patch_size, left : left + patch_size] = patch
pictures = {
    "turned": asked["rotation"],
    "turned back": rotate(asked["rotation"], -says),
    "cut out": asked["patch"],
    "filled in": filled,
    "was": images,
    "colours": tint(images),
    "coloured": answers["colour"],
}
chapter.picture(downstream.draw_rows(pictures), "pretext")

# %% [markdown]
# ## What it is good for
#
# Logistic regression on the frozen features, with all labels and with a few. (`scripts/downstream.py` does
# this for any trained model, and fine-tuning too.)

# %%
labels, test_labels = dataset.train.targets, dataset.test.targets
subsets = {
    "all labels": [np.arange(len(labels))],
    "10 %": [downstream.labelled_subset(labels, 0.1, seed) for seed in range(3)],
    "1 %": [downstream.labelled_subset(labels, 0.01, seed) for seed in range(3)],
}
USE: dict[Side, Any] = {"NumPy": downstream, "torch": gdl_torch.downstream}
seen: dict[tuple[str, Side], tuple[np.ndarray, np.ndarray]] = {}
accuracies: list[list[str]] = []
for kind, sides in models.items():
    for side, encoding in sides.items():
        known, unknown = (
            USE[side].features_of(encoding, part.inputs) for part in (dataset.train, dataset.test)
        )
        seen[kind, side] = known, unknown
        accuracies.append([kind, side])
        for drawn in subsets.values():
            found = [
                downstream.probe_accuracy(known[rows], labels[rows], unknown, test_labels) for rows in drawn
            ]
            accuracies[-1].append(f"{np.mean(found):.2%}")
chapter.say("\nLinear probe: test accuracy")
chapter.table(["features", "side", *subsets], accuracies, left=2)

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
