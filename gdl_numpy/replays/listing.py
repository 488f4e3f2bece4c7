"""What the replays have in common: a listing as a module, the loop that it stands in, and its lines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from gdl_numpy.nn.module import Module, Parameter

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from jaxtyping import Float, Float64, Int, Real

    Images = tuple[Any, Any]  # (items, pixels) and one-hot labels (items, classes), arrays or tensors


@dataclass(frozen=True)
class Record:
    """One line of the book's output.

    Attributes:
        values: what is printed under each label, in this order.
    """

    values: Mapping[str, float]

    def __getitem__(self, label: str) -> float:
        return self.values[label]

    def texts(self) -> dict[str, str]:
        """The values as the book prints them: all digits, but of errors the first five characters."""
        return {
            label: str(value)[:5] if label.endswith("-Err") else str(value)
            for label, value in self.values.items()
        }

    @property
    def template(self) -> str:
        """The line, with {} for each value."""
        return " ".join(f"{label}:{{}}" for label in self.values)

    def __str__(self) -> str:
        return " ".join(f"{label}:{text}" for label, text in self.texts().items())


class Listing(Module):
    """A network of the book together with its rule: weights, forward pass, backward pass as printed.

    `forward` gives the loss that the printed delta of the output layer belongs to, and `backward` gathers
    in each `grad` what the listing takes for the gradient, so that `p -= alpha · grad` is the printed
    update. Float64, and NumPy's legacy stream of random numbers, as the book has it.

    Attributes:
        alpha: learning rate.
        terms: the terms of the printed rule that are not those of the gradient; what each should be.
        corrected: names of those that `backward` puts right. With all of them it is the gradient.
        stream: where weights and dropout masks come from, in the order of the listing.
        outputs: of the latest forward pass, (batch, classes).
    """

    terms: ClassVar[Mapping[str, str]] = {}
    batch_size: ClassVar[int] = 1
    logs_errors: ClassVar[bool] = False
    outputs: np.ndarray

    def __init__(self, alpha: float, seed: int = 1, corrected: Collection[str] = ()) -> None:
        """Raises ValueError for a term that is not one of this rule's."""
        if unknown := set(corrected) - set(self.terms):
            raise ValueError(
                f"{type(self).__name__} expects corrected to be among {sorted(self.terms)}, "
                f"got {sorted(unknown)}"
            )
        self.alpha, self.corrected = alpha, frozenset(corrected)
        self.stream = np.random.RandomState(seed)

    def uniform(self, spread: float, *shape: int) -> Parameter:
        """The next numbers of the stream, between -spread/2 and spread/2."""
        return Parameter(spread * self.stream.random_sample(shape) - spread / 2)

    def draw_mask(self, batch: int) -> Int[np.ndarray, "batch hidden"] | None:
        """Ones where a hidden unit is kept and zeros where it is dropped; None where the rule has none."""
        return None

    def predict(self, x: Float64[np.ndarray, "batch pixels"]) -> Float64[np.ndarray, "batch classes"]:
        """The outputs without dropout, as the book tests."""
        raise TypeError(f"{type(self).__name__} does not define predict")

    def learn(self, *example: Any) -> float:
        """One step of the printed rule, on a batch of images and labels; returns the loss before it."""
        self.zero_grad()
        loss: float = self(*example, *self.masks(len(example[0])))
        self.backward(1.0)
        for parameter in self.parameters():
            step: Any = parameter.grad
            step *= self.alpha  # in place: with one image at a time, this is what takes most of the time
            parameter.data -= step
        return loss

    def masks(self, batch: int) -> tuple[np.ndarray, ...]:
        """What `forward` takes besides images and labels: a mask, or nothing."""
        mask = self.draw_mask(batch)
        return () if mask is None else (mask,)


def replay(listing: Any, train: Images, test: Images, passes: int, every: int = 10) -> Iterator[Record]:
    """Trains a listing, of either side, and yields a record of every tenth pass and of the last.

    As in the book, training accuracy and error are gathered while the pass goes on: with the weights of that
    moment, and under the dropout masks. Images that do not fill a batch are left out, yet counted.
    """
    images, labels = train
    size = listing.batch_size
    for i in range(passes):
        error, correct = 0.0, 0
        for start in range(0, len(images) - size + 1, size):
            y = labels[start : start + size]
            listing.learn(images[start : start + size], y)
            correct += hits(listing.outputs, y)
            if listing.logs_errors:
                error += squared_error(listing.outputs, y)
        if i % every == 0 or i == passes - 1:
            outputs = listing.predict(test[0])
            values = {
                "Test-Err": squared_error(outputs, test[1]) / len(outputs),
                "Test-Acc": hits(outputs, test[1]) / len(outputs),
                "Train-Err": error / len(images),
                "Train-Acc": correct / len(images),
            }
            logged = [label for label in values if listing.logs_errors or label.endswith("Acc")]
            yield Record({"I": i, **{label: values[label] for label in logged}})


def hits(outputs: Any, labels: Any) -> int:
    """How many of the largest outputs are at the label."""
    return int((outputs.argmax(1) == labels.argmax(1)).sum())


def squared_error(outputs: Any, labels: Any) -> float:
    """Σ (y − out)²."""
    return float(((labels - outputs) ** 2).sum())


def as_in_the_book(
    inputs: Real[np.ndarray, "items *image"], targets: Int[np.ndarray, " items"], classes: int = 10
) -> tuple[Float64[np.ndarray, "items pixels"], Float64[np.ndarray, "items classes"]]:
    """MNIST's pixels, float32 in [0, 1], and classes as the book's: float64 255ths, and one-hot labels."""
    pixels = np.rint(inputs.reshape(len(inputs), -1) * np.float32(255)).astype(np.float64)
    return pixels / 255, np.eye(classes)[targets]


def softmax(x: Float[np.ndarray, "batch classes"]) -> Float[np.ndarray, "batch classes"]:
    """eˣ / Σ eˣ, without shifting, as printed."""
    e = np.exp(x)
    return np.asarray(e / e.sum(axis=1, keepdims=True))
