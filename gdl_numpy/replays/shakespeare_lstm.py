"""Chapter 14's LSTM as printed, on chapter 13's framework, with the book's way back or the right one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import DTypeLike

from gdl_numpy.autograd import Tensor, cross_entropy
from gdl_numpy.replays.as_printed import backward_as_printed

if TYPE_CHECKING:
    from jaxtyping import Int


class ShakespeareLSTM:
    """A gate each of its own matrices, its loss the sum over a batch and its steps; learns by p -= α · grad.

    f, i, o = σ(x W_x + b + h W_h)    g = tanh(x W_x + b + h W_h)    c' = f ∘ c + i ∘ g    h' = o ∘ tanh(c')

    Attributes:
        parameters: the table, W_x and b and W_h of each gate, and the output's weights, which start at zero.
    """

    gates = ("f", "i", "o", "g")

    def __init__(
        self, vocabulary: int, size: int = 512, *, alpha: float = 0.05, seed: int = 0, dtype: DTypeLike = "f4"
    ) -> None:
        stream, self.alpha, self.size = np.random.RandomState(seed), alpha, size

        def he() -> np.ndarray:
            return np.asarray(stream.standard_normal((size, size)) * np.sqrt(2 / size))

        arrays = {"table": (stream.random_sample((vocabulary, size)) - 0.5) / size}
        for gate in self.gates:
            arrays |= {f"x{gate}": he(), f"b{gate}": np.zeros(size)}
        arrays |= {f"h{gate}": he() for gate in self.gates}
        arrays["out"] = np.zeros((size, vocabulary))
        self.parameters = {k: Tensor(array.astype(dtype), requires_grad=True) for k, array in arrays.items()}
        self.state: tuple[Tensor, Tensor] | None = None

    def loss(self, inputs: Int[np.ndarray, "time batch"], targets: Int[np.ndarray, "time batch"]) -> Tensor:
        """The summed cross-entropy, from the state of the batch before: h and c, at first (1, 0, …)."""
        p, batch = self.parameters, inputs.shape[1]
        first = np.zeros((batch, self.size), p["out"].dtype)
        first[:, 0] = 1
        h, c = (Tensor(s.data, requires_grad=True) for s in self.state or (Tensor(first), Tensor(first)))
        total: Tensor | None = None
        for ids, right in zip(inputs, targets, strict=True):
            x = p["table"][ids]
            z = {gate: x @ p[f"x{gate}"] + p[f"b{gate}"] + h @ p[f"h{gate}"] for gate in self.gates}
            f, i, o = (z[gate].sigmoid() for gate in "fio")
            c = f * c + i * z["g"].tanh()
            h = o * c.tanh()
            loss = cross_entropy(h @ p["out"], right) * batch
            total = loss if total is None else loss + total
        self.state = h, c
        assert total is not None
        return total

    def gradients(self, loss: Tensor, printed: bool = True) -> dict[str, np.ndarray]:
        """What the book takes for the gradient of each parameter, or the gradient."""
        for parameter in self.parameters.values():
            parameter.grad = None
        backward_as_printed(loss) if printed else loss.backward(retain_graph=True)
        return {name: np.asarray(parameter.grad) for name, parameter in self.parameters.items()}

    def learn(self, inputs: np.ndarray, targets: np.ndarray, printed: bool = True) -> float:
        """A step; returns the mean cross-entropy before it."""
        loss = self.loss(inputs, targets)
        for name, gradient in self.gradients(loss, printed).items():
            parameter = self.parameters[name]
            parameter.data = parameter.data - self.alpha * gradient
        return loss.item() / targets.size
