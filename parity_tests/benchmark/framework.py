"""What recording costs: a training step on chapter 13's framework, beside those by hand and by torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from gdl_numpy import autograd
from gdl_numpy.autograd import Tensor
from gdl_numpy.replays.language_model import LanguageModel
from parity_tests.benchmark.rows import Row, TextRow

if TYPE_CHECKING:
    from collections.abc import Callable

    from parity_tests.benchmark.rows import Step


@dataclass(frozen=True)
class FrameworkRow(Row):
    """A step of the book's MLP, on Tensors, by hand and by torch."""

    kind = "framework"
    sides: ClassVar[tuple[str, ...]] = ("autograd", "numpy", "torch")

    def autograd(self) -> Step:
        """The step on Tensors."""
        images, targets = self.data()
        x = Tensor(images.reshape(self.batch, -1))
        first, last = autograd.Linear(784, 100, rng=0), autograd.Linear(100, 10, rng=1)
        model = autograd.Sequential(first, autograd.Tanh(), last)
        return recorded_step(model, lambda: autograd.cross_entropy(model(x), targets))


@dataclass(frozen=True)
class FrameworkTextRow(TextRow):
    """A step of chapter 14's LSTM, on Tensors, by hand and by torch."""

    kind = "framework"
    sides: ClassVar[tuple[str, ...]] = ("autograd", "numpy", "torch")

    def autograd(self) -> Step:
        """The step on Tensors."""
        ids, targets = self.data()
        vocabulary = self.numpy_model().vocab_size
        model = LanguageModel(autograd.LSTMCell, vocabulary, rng=0)

        def loss() -> Tensor:
            logits, _ = model(ids)
            return autograd.cross_entropy(logits.reshape(-1, vocabulary), targets.reshape(-1))

        return recorded_step(model, loss)


def recorded_step(model: autograd.Module, loss: Callable[[], Tensor]) -> Step:
    """Forward, loss, backward and SGD."""
    optimizer = autograd.SGD(model.parameters(), lr=0.01)

    def step() -> None:
        value = loss()
        optimizer.zero_grad()
        value.backward()
        optimizer.step()

    return step


FRAMEWORK_ROWS = {
    "autograd-mlp": FrameworkRow("book MLP 784-100-10", "MLP", {"dropout": 0.0}, 100),
    "autograd-lstm": FrameworkTextRow("chapter 14's LSTM, 25 steps", "LSTMLanguageModel", {}, 16, steps=25),
}
