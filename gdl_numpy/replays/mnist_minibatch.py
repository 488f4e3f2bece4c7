"""Chapter 8's network with dropout on mini-batches of 100, each of which it learns from a hundred times."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from gdl_numpy.replays.mnist_dropout import DropoutMLP

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


class MiniBatchMLP(DropoutMLP):
    """The printed updates, of (y − out)/100, stand within the loop that counts the 100 right answers.

    So each batch is learned from a hundred times, with the out and h of the first: for W₂ a hundred times the
    same step, together the gradient of the batch's ½ Σ (out − y)². W₁'s steps go back through a W₂ that has
    moved on: a hundred steps with W₂, W₂ − α/100 hᵀδ₂, W₂ − 2α/100 hᵀδ₂, …, whose sum is one step with
    their mean, W₂ − 99/2 · α/100 hᵀδ₂. Here they are taken as that one.
    """

    terms: ClassVar[Mapping[str, str]] = {
        **DropoutMLP.terms,
        "repeats": "one step a batch: the hundred go back through a W₂ that has moved on from h and out",
    }
    batch_size = 100

    def __init__(
        self, hidden: int = 100, *, alpha: float = 0.001, seed: int = 1, corrected: Collection[str] = ()
    ) -> None:
        super().__init__(hidden, alpha=alpha, seed=seed, corrected=corrected)

    def backward(self, grad_output: float) -> None:
        x, h, delta2, _ = self.saved
        grad_w2 = h.T @ delta2
        w2 = self.W2.data
        if "repeats" not in self.corrected:
            repeats = self.batch_size
            w2 = w2 - (repeats - 1) / 2 * self.alpha / repeats * grad_w2
        self.W1.accumulate(grad_output * (x.T @ self.delta1(delta2, w2)))
        self.W2.accumulate(grad_output * grad_w2)
