"""Fine-tuning: a trunk that has learned something already learns on, with labels, under a new head."""

from __future__ import annotations

import copy
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import DTypeLike

from gdl_numpy.data import Batches
from gdl_numpy.downstream.encoding import BATCH_SIZE, features_of, in_batches
from gdl_numpy.downstream.probe import linear_probe
from gdl_numpy.models.trunk import HasTrunk, Trunk
from gdl_numpy.nn import Linear, evaluating
from gdl_numpy.optim import Adam
from gdl_numpy.progress import Bar
from gdl_numpy.tasks import Classification
from gdl_numpy.training import fit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from jaxtyping import Float

    from gdl_numpy.data import Split
    from gdl_numpy.history import History

STEPS = 400
LABELLED_BATCH = 50
SLOWED_DOWN = 0.1  # the learning rate of the last epoch, as a part of the first's


class FineTuned(HasTrunk):
    """A trunk, and a linear head for classes.

    Args:
        trunk: learns on, in place.
        num_classes: number of logits.
        rng: where the head's weights come from.
        dtype: of the head's parameters; the trunk's.
    """

    def __init__(
        self,
        trunk: Trunk,
        num_classes: int,
        *,
        rng: np.random.Generator | int | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        self.trunk = trunk
        self.head = Linear(trunk.out_features, num_classes, rng=rng, dtype=dtype)

    def forward(
        self, x: Float[np.ndarray, "batch channels height width"]
    ) -> Float[np.ndarray, "batch classes"]:
        """Logits of a batch of images."""
        logits: np.ndarray = self.head(self.trunk(x))
        return logits

    def backward(
        self, grad_output: Float[np.ndarray, "batch classes"]
    ) -> Float[np.ndarray, "batch channels height width"] | None:
        grad = self.head.backward(grad_output)
        return None if grad is None else self.trunk.backward(grad)


def fine_tune(
    model: HasTrunk,
    labelled: Split,
    test: Split,
    *,
    steps: int = STEPS,
    lr: float = 1e-3,
    seed: int = 0,
    progress: bool = False,
) -> float:
    """Trains a copy of the model's trunk, under a new head, to tell classes; returns the test accuracy.

    The head starts as the linear probe: a random one would send random gradients into the trunk, which lose
    there what was learned (Kumar et al. 2022, https://arxiv.org/abs/2202.10054). By Adam, in batches of 50
    and whole epochs; the last has a tenth of the first's learning rate.

    Args:
        model: has a trunk; is not changed.
        labelled: what to learn from, of every class at least one image.
        test: what decides.
        steps: the least number of steps.
        lr: learning rate of the first epoch.
        seed: of the order of the batches.
        progress: show a bar, which disappears at the end.

    Raises:
        ValueError: labelled lacks a class, or has only one; or steps is below 1.
    """
    epochs, lr_decay = schedule(labelled, steps)
    weight, bias = linear_probe(features_of(model, labelled.inputs), labelled.targets)
    tuned = FineTuned(copy.deepcopy(model.trunk), len(bias), dtype=weight.dtype)
    tuned.head.load_state_dict({"weight": weight, "bias": bias})
    with epoch_bar(epochs, progress) as on_epoch:
        fit(
            Classification(tuned),
            Adam(tuned.parameters(), lr=lr),
            Batches(labelled, LABELLED_BATCH, seed),
            epochs=epochs,
            lr_decay=lr_decay,
            progress=False,
            on_epoch=on_epoch,
        )
    with evaluating(tuned):
        logits = in_batches(tuned, test.inputs, BATCH_SIZE, "predictions", progress)
    return float(np.mean(logits.argmax(axis=1) == test.targets))


def schedule(labelled: Split, steps: int) -> tuple[int, float]:
    """The number of epochs in which there are so many steps, and the factor on the learning rate after each.

    Raises:
        ValueError: labelled lacks a class, or steps is below 1.
    """
    if steps < 1:
        raise ValueError(f"fine_tune: steps must be at least 1, got {steps}")
    classes = np.unique(labelled.targets)
    if not np.array_equal(classes, np.arange(len(classes))):
        raise ValueError(f"fine_tune: expected labels of classes 0, 1, … without a gap, got {classes}")
    epochs = -(-steps // -(-len(labelled) // LABELLED_BATCH))
    return epochs, SLOWED_DOWN ** (1 / max(epochs - 1, 1))


@contextmanager
def epoch_bar(epochs: int, shown: bool) -> Iterator[Callable[[History], None]]:
    """One bar for all epochs, which disappears at the end; gives what is to be called after each of them."""
    with Bar(total=epochs, desc="fine-tuning", unit="epoch", leave=False, disable=not shown) as bar:

        def advance(history: History) -> None:
            bar.update()

        yield advance
