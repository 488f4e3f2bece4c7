"""Layers and losses on top of Tensor: torch.nn's names, parameters and initialisation, and only a forward.

From the same seed a layer starts with the same weights as its hand-written twin in `gdl_numpy.nn`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike

from gdl_numpy.autograd.functions import cross_entropy, linear
from gdl_numpy.autograd.tensor import Tensor
from gdl_numpy.nn.checks import check_class_ids, state_dict_faults, whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from jaxtyping import Int


class Module:
    """A function with parameters. They and the modules inside are plain attributes."""

    forward: Callable[..., Any]

    def __call__(self, *inputs: Any) -> Any:
        return self.forward(*inputs)

    def named_parameters(self, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
        for name, value in vars(self).items():
            if isinstance(value, Module):
                yield from value.named_parameters(f"{prefix}{name}.")
            elif isinstance(value, Tensor) and value.requires_grad:
                yield prefix + name, value

    def parameters(self) -> Iterator[Tensor]:
        """Each once, also one that two layers share."""
        return iter(dict.fromkeys(parameter for _, parameter in self.named_parameters()))

    def zero_grad(self) -> None:
        for parameter in self.parameters():
            parameter.grad = None

    def state_dict(self) -> dict[str, np.ndarray]:
        """Copies of all parameters' values, under torch's names."""
        return {name: parameter.data.copy() for name, parameter in self.named_parameters()}

    def load_state_dict(self, state_dict: Mapping[str, np.ndarray]) -> None:
        """Copies values in. Raises RuntimeError with every missing, unexpected and misshapen key."""
        own = self.state_dict()
        if faults := state_dict_faults(own, state_dict):
            raise RuntimeError(f"{type(self).__name__} cannot load this state_dict: {'; '.join(faults)}")
        for name, parameter in self.named_parameters():
            parameter.data = np.array(state_dict[name], parameter.dtype)


class Sequential(Module):
    """Layers one after the other, named "0", "1", …."""

    def __init__(self, *layers: Module) -> None:
        for index, layer in enumerate(layers):
            setattr(self, str(index), layer)

    def forward(self, x: Any) -> Any:
        for layer in vars(self).values():
            x = layer(x)
        return x


def uniform(shape: tuple[int, ...], fan: int, rng: np.random.Generator, dtype: DTypeLike) -> Tensor:
    """A parameter from U(-1/√fan, 1/√fan), which is where torch starts these layers."""
    bound = 1 / np.sqrt(fan)
    return Tensor(rng.uniform(-bound, bound, shape).astype(dtype), requires_grad=True)


class Linear(Module):
    """y = x Wᵀ + b.

    Attributes:
        weight: (out_features, in_features)
        bias: (out_features,), or None
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        rng: np.random.Generator | int | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        whole("Linear", in_features=in_features, out_features=out_features)
        rng = np.random.default_rng(rng)
        self.weight = uniform((out_features, in_features), in_features, rng, dtype)
        self.bias = uniform((out_features,), in_features, rng, dtype) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        return linear(x, self.weight, self.bias)


class Embedding(Module):
    """A row for each id.

    Attributes:
        weight: (num_embeddings, embedding_dim), at the start standard normal.
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        *,
        rng: np.random.Generator | int | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        whole("Embedding", num_embeddings=num_embeddings, embedding_dim=embedding_dim)
        table = np.random.default_rng(rng).standard_normal((num_embeddings, embedding_dim))
        self.weight = Tensor(table.astype(dtype), requires_grad=True)

    def forward(self, ids: Int[np.ndarray, "*shape"]) -> Tensor:
        """Rows (*shape, embedding_dim). Raises IndexError for an id out of range."""
        check_class_ids("Embedding", ids, self.weight.shape[0])
        return self.weight[ids]


class ReLU(Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.relu()


class Sigmoid(Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.sigmoid()


class Tanh(Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.tanh()


class MSELoss(Module):
    """Mean of the squared differences, where the book takes their sum over the batch."""

    def forward(self, prediction: Tensor, target: Tensor | np.ndarray) -> Tensor:
        """Raises ValueError unless both have one shape: broadcast, each would be compared with all others."""
        if prediction.shape != target.shape:
            raise ValueError(f"MSELoss expects equal shapes, got {prediction.shape} and {target.shape}")
        difference = prediction - target
        return (difference * difference).mean()


class CrossEntropyLoss(Module):
    """`cross_entropy` of logits (N, C) and class ids (N,)."""

    def forward(self, prediction: Tensor, target: Int[np.ndarray, " batch"]) -> Tensor:
        return cross_entropy(prediction, target)


class Cell(Module):
    """The weights of one step of a recurrence, whose rows come in `blocks` of hidden_size.

    Attributes:
        weight_ih: (blocks · hidden_size, input_size)
        weight_hh: (blocks · hidden_size, hidden_size)
        bias_ih, bias_hh: (blocks · hidden_size,)
    """

    blocks = 1

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        rng: np.random.Generator | int | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        whole(type(self).__name__, input_size=input_size, hidden_size=hidden_size)
        rng, rows = np.random.default_rng(rng), self.blocks * hidden_size
        self.hidden_size = hidden_size
        self.weight_ih = uniform((rows, input_size), hidden_size, rng, dtype)
        self.weight_hh = uniform((rows, hidden_size), hidden_size, rng, dtype)
        self.bias_ih = uniform((rows,), hidden_size, rng, dtype)
        self.bias_hh = uniform((rows,), hidden_size, rng, dtype)

    def part(self, state: Tensor | None, z: Tensor) -> Tensor:
        """A part of a state, (*, hidden_size), to go with z (*, blocks · hidden_size); None is zeros.

        Raises ValueError for another shape, also one that would broadcast.
        """
        shape = (*z.shape[:-1], self.hidden_size)
        state = Tensor(np.zeros(shape, z.dtype)) if state is None else state
        if state.shape != shape:
            raise ValueError(f"{type(self).__name__} expects a state of shape {shape}, got {state.shape}")
        return state

    def forward(self, x: Tensor, state: Any = None) -> Any:
        """The next state from x (*, input_size) and a state, each part (*, hidden_size); None is zeros.

        Raises ValueError for other shapes.
        """
        return self.step(self.project(x), state)

    def project(self, x: Tensor) -> Tensor:
        """W_ih x + b_ih: it needs no state, so one product does it for all time steps."""
        return linear(x, self.weight_ih, self.bias_ih)

    def step(self, z: Tensor, state: Any = None) -> Any:
        """The next state from z, what `project` makes of x."""
        raise NotImplementedError


class RNNCell(Cell):
    """h' = tanh(W_ih x + b_ih + W_hh h + b_hh), as `torch.nn.RNNCell`."""

    def step(self, z: Tensor, state: Tensor | None = None) -> Tensor:
        h = self.part(state, z)
        return (z + linear(h, self.weight_hh, self.bias_hh)).tanh()


class LSTMCell(Cell):
    """One step of the long short-term memory, as `torch.nn.LSTMCell`: gates in the order i, f, g, o.

    c' = σ(z_f) ∘ c + σ(z_i) ∘ tanh(z_g)              h' = σ(z_o) ∘ tanh(c')
    """

    blocks = 4

    def step(self, z: Tensor, state: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, Tensor]:
        if isinstance(state, Tensor):  # whose rows would pass for the two
            raise ValueError("LSTMCell expects state to be a pair (h, c), got a Tensor")
        h, c = (self.part(part, z) for part in state or (None, None))
        z = z + linear(h, self.weight_hh, self.bias_hh)
        n = self.hidden_size
        i, f, g, o = (z[..., k * n : (k + 1) * n] for k in range(4))
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        return o.sigmoid() * c.tanh(), c
