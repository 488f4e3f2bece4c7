"""Chapter 13's networks, each written once, for tensors of any framework: the home-made one's, or torch's.

The book's tensors each draw an identification number from the stream that the weights come from: two for data
and targets, then one after each weight. With these draws made, every published digit comes out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from gdl_numpy import autograd
from gdl_numpy.autograd import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from jaxtyping import Float, Int

IDS = 100_000


@dataclass(frozen=True)
class Framework:
    """What is spelt differently in another framework.

    Attributes:
        tensor: makes one of an array, and of `requires_grad`.
        cross_entropy: mean over a batch, of logits and class ids.
        sgd: the optimizer, of parameters and `lr`.
        numbers: a tensor's values as an array.
    """

    tensor: Callable[..., Any]
    cross_entropy: Callable[..., Any]
    sgd: Callable[..., Any]
    numbers: Callable[[Any], np.ndarray]


HOME_MADE = Framework(Tensor, autograd.cross_entropy, autograd.SGD, lambda x: x.data)


def draw(*shapes: tuple[int, ...]) -> list[np.ndarray]:
    """The first weights of a script of the book with the seed 0."""
    stream = np.random.RandomState(0)
    stream.randint(0, IDS, 2)
    weights = []
    for shape in shapes:
        weights.append(stream.random_sample(shape))
        stream.randint(0, IDS)
    return weights


def as_table(weights: list[np.ndarray]) -> list[np.ndarray]:
    """The first weight as the book's Embedding: (U - 0.5) / dim."""
    return [(weights[0] - 0.5) / weights[0].shape[1], *weights[1:]]


LIGHTS = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]])
WORDS, CLASSES = np.array([1, 2, 1, 2]), np.array([0, 1, 0, 1])


@dataclass(frozen=True)
class Network:
    """A small network of the chapter: its first weights, its outputs from them, and the losses printed."""

    title: str
    weights: list[np.ndarray]
    alpha: float
    outputs: Callable[..., Any]
    printed: str
    entropy: bool = False

    def learn(self, framework: Framework) -> Iterator[np.ndarray]:
        """Goes down the gradient; yields the loss of each step that was printed.

        The cross-entropy that is printed is the batch's mean; the book takes the gradient of its sum.
        """
        weights = [framework.tensor(weight.copy(), requires_grad=True) for weight in self.weights]
        optimizer = framework.sgd(weights, lr=self.alpha)
        x, y = framework.tensor(LIGHTS), framework.tensor(CLASSES[:, None].astype(float))
        for _ in self.printed.split():
            outputs = self.outputs(x, *weights)
            loss = framework.cross_entropy(outputs, CLASSES) if self.entropy else ((outputs - y) ** 2).sum(0)
            optimizer.zero_grad()
            (loss * len(CLASSES) if self.entropy else loss.sum()).backward()
            optimizer.step()
            yield framework.numbers(loss)


LAYERS = draw((2, 3), (3,), (3, 1), (1,))
NETWORKS = [
    Network(
        "two matrices",
        draw((2, 3), (3, 1)),
        0.1,
        lambda x, w1, w2: x @ w1 @ w2,
        "0.58128304 0.48988149 0.41375111 0.34489412 0.28210124 0.2254484 0.17538853 0.1324231 0.09682769"
        " 0.06849361",
    ),
    Network(
        "Linear, Linear",
        LAYERS,
        0.05,
        lambda x, w1, b1, w2, b2: (x @ w1 + b1) @ w2 + b2,
        "11.42180388 3.54134996 1.4001209 0.79834014 0.62029482 0.55329652 0.50788112 0.46559517 0.42387377"
        " 0.38275206",
    ),
    Network(
        "Linear, Tanh, Linear, Sigmoid",
        LAYERS,
        1.0,
        lambda x, w1, b1, w2, b2: ((x @ w1 + b1).tanh() @ w2 + b2).sigmoid(),
        "1.28634864 0.88076603 0.72269895 0.57125763 0.38465273 0.22459653 0.1330437 0.08742207 0.06294458"
        " 0.04833711",
    ),
    Network(
        "Embedding, Tanh, Linear, Sigmoid",
        as_table(draw((5, 3), (3, 1), (1,))),
        0.5,
        lambda _, table, w, b: (table[WORDS].tanh() @ w + b).sigmoid(),
        "1.18885296 0.91206112 0.63933563 0.42992321 0.29310162 0.20784684 0.15429359 0.11948291 0.09585573"
        " 0.07913132",
    ),
    Network(
        "Embedding, Tanh, Linear, cross-entropy",
        as_table(draw((3, 3), (3, 4), (4,))),
        0.1,
        lambda _, table, w, b: table[WORDS].tanh() @ w + b,
        "1.4109475131065765 1.2760257544852658 1.159296218848054 1.0531245317976652 0.9520310442892415"
        " 0.8527510025512002 0.7544195130757657 0.6584537837570766 0.5677743420629393 0.48549237067231643",
        entropy=True,
    ),
]


class SentenceReader:
    """The chapter's recurrent network: a state of sigmoids reads all words of a sentence but the last.

    Attributes:
        weights: the table, then W and b of three linear layers: of the input, of the state, of the output.
    """

    def __init__(self, framework: Framework, vocabulary: int, dim: int = 16, alpha: float = 0.05) -> None:
        stream = np.random.RandomState(0)
        arrays = [(stream.random_sample((vocabulary, dim)) - 0.5) / dim]
        stream.randint(0, IDS)
        for width in (dim, dim, vocabulary):
            arrays += [stream.standard_normal((dim, width)) * np.sqrt(2 / dim), np.zeros(width)]
            stream.randint(0, IDS, 2)
        self.framework, self.dim = framework, dim
        self.weights = [framework.tensor(array, requires_grad=True) for array in arrays]
        self.optimizer = framework.sgd(self.weights, lr=alpha)

    def guess(self, sentences: Int[np.ndarray, "batch words"]) -> Any:
        """Logits (batch, vocabulary) of each sentence's last word."""
        table, w_ih, b_ih, w_hh, b_hh, w_ho, b_ho = self.weights
        hidden = self.framework.tensor(np.zeros((len(sentences), self.dim)))
        for words in sentences.T[:-1]:
            hidden = (table[words] @ w_ih + b_ih + hidden @ w_hh + b_hh).sigmoid()
        return hidden @ w_ho + b_ho

    def learn(
        self, sentences: Int[np.ndarray, "batch words"]
    ) -> tuple[float, Float[np.ndarray, "batch vocabulary"]]:
        """A step on the sum of the losses; returns their mean, and the logits."""
        logits, last = self.guess(sentences), np.ascontiguousarray(sentences[:, -1])
        loss = self.framework.cross_entropy(logits, last)
        self.optimizer.zero_grad()
        (loss * len(last)).backward()
        self.optimizer.step()
        return float(self.framework.numbers(loss)), self.framework.numbers(logits)
