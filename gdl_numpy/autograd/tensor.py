"""An array that remembers how it was computed, and so can tell its gradient (chapter 13).

    x = Tensor(np.array([1.0, 2.0]), requires_grad=True)
    y = (x * x).sum()
    y.backward()
    x.grad                                  # array([2., 4.])

An operation is its value and, for each of its inputs, the function from dL/dvalue to dL/dinput: `record`
keeps both. `backward` starts at the loss with dL/dL = 1 and hands each tensor's gradient on to what it was
made of.

A tensor may have been used many times. Its gradient is the sum over all uses, and may be handed on only when
all of them have reported. The book's Tensor waits: it counts its children, each known by a random id, and
passes a gradient on once no child is left to come. Here tensors are numbered as they are made, so whatever
was made of x has a larger number than x: taken from the largest number to the smallest (a topological order),
every use comes before x by itself, and nothing needs counting. The book's `autograd=True` is `requires_grad`
here; operations have torch's names and meaning (so the book's `expand(dim, copies)` is a reshape that makes
room for the new dimension, and torch's `expand`). As in torch, only leaves, which no operation made, keep a
`.grad`, and others after `retain_grad`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from heapq import heappop, heappush
from itertools import count
from typing import Any

import numpy as np

from gdl_numpy.autograd.gradient_sum import GradientSum, Part, Placed
from gdl_numpy.messages import kind_of
from gdl_numpy.nn.activation import shifted, sigmoid
from gdl_numpy.nn.checks import FLOATS

Dim = int | tuple[int, ...] | None
_numbers = count()
_recording: ContextVar[bool] = ContextVar("recording", default=True)

Gradient = Callable[[np.ndarray], Part]


class Tensor:
    """A float32 or float64 array that records what is done to it.

    Arrays are shared, not copied: change `data` in place only after `backward` and before the next pass.

    Attributes:
        data: the values.
        grad: after `backward`: dL/ddata, added to what was there; None where it is not kept.
        requires_grad: whether `backward` is to reach it.
    """

    __array_ufunc__ = None  # array + tensor is tensor.__radd__(array)

    def __init__(self, data: Any, requires_grad: bool = False) -> None:
        """Raises ValueError for anything but float32 and float64."""
        self.data = np.asarray(data)
        if self.data.dtype not in FLOATS:
            raise ValueError(f"Tensor expects float32 or float64 data, got {self.data.dtype}")
        self.requires_grad = requires_grad
        self.grad: np.ndarray | None = None
        self._number, self._keeps_grad = next(_numbers), False
        self._history: tuple[tuple[Tensor, Gradient], ...] | None = ()  # None once backward has freed it

    @property
    def shape(self) -> tuple[int, ...]:
        return self.data.shape

    @property
    def ndim(self) -> int:
        return self.data.ndim

    @property
    def dtype(self) -> np.dtype:
        return self.data.dtype

    def __len__(self) -> int:
        return len(self.data)

    def __repr__(self) -> str:
        return f"Tensor({self.data!r}{', requires_grad=True' if self.requires_grad else ''})"

    def item(self) -> float:
        """The only number as a Python float; ValueError if there are more."""
        return float(self.data.item())

    def detach(self) -> Tensor:
        """The same data without the history: a constant."""
        return Tensor(self.data)

    def retain_grad(self) -> Tensor:
        """Makes `backward` keep the gradient of this tensor too, which is no leaf; returns it."""
        self._keeps_grad = True
        return self

    @property
    def sources(self) -> tuple[Tensor, ...]:
        """What it was made of and requires a gradient; nothing once `backward` has freed the history."""
        return tuple(source for source, _ in self._history or ())

    @property
    def made_by(self) -> str:
        """The operation that made it, such as "mul"; empty for a leaf."""
        names = [gradient.__qualname__.split(".<locals>")[0] for _, gradient in self._history or ()]
        return names[0].rpartition(".")[2].strip("_") if names else ""

    def backward(self, grad: np.ndarray | None = None, retain_graph: bool = False) -> None:
        """Adds dL/dx to `x.grad` of every leaf x that this tensor was made of.

        Args:
            grad: dL/dself; may be left out if self is L, one number.
            retain_graph: keep the history for another `backward`; else it is freed on the way, as in torch.

        Raises:
            RuntimeError: nothing here requires a gradient, or an earlier `backward` freed the history.
            ValueError: `grad` is missing or not like self.
        """
        if not self.requires_grad:
            raise RuntimeError("backward: nothing that this tensor was made of requires a gradient")
        if grad is None and self.data.size != 1:
            raise ValueError(f"backward of a tensor of shape {self.shape} needs grad, of the same shape")
        grad = np.ones_like(self.data) if grad is None else np.asarray(grad)
        if grad.shape != self.shape or grad.dtype != self.dtype:
            raise ValueError(
                f"backward expects grad like the tensor, {self.shape} {self.dtype}, "
                f"got {grad.shape} {grad.dtype}"
            )
        gathered = {self: GradientSum(self.data, grad)}
        newest_first = [(-self._number, id(self), self)]  # a deep copy has its original's number
        while newest_first:
            *_, x = heappop(newest_first)
            total = gathered.pop(x)
            if x._history is None:
                raise RuntimeError(
                    "backward: an earlier backward freed the history; give that one retain_graph=True"
                )
            if not x._history or x._keeps_grad:
                x.grad = total.owned() if x.grad is None else np.add(x.grad, total.value, out=x.grad)
            for source, gradient in x._history:
                part = gradient(total.value)
                if source in gathered:
                    gathered[source].add(part)
                else:
                    gathered[source] = GradientSum(source.data, part)
                    heappush(newest_first, (-source._number, id(source), source))
            if x._history and not retain_graph:
                x._history = None

    def _operand(self, other: Any) -> Tensor:
        """A number or an array as a tensor like this one; a tensor as it is."""
        if isinstance(other, Tensor):
            return other
        return Tensor(other if isinstance(other, np.ndarray) else np.asarray(other, self.dtype))

    # Arithmetic. What broadcasting copied, `GradientSum` adds up again.

    def __add__(self, other: Any) -> Tensor:
        b = self._operand(other)
        return record(self.data + b.data, (self, lambda g: g), (b, lambda g: g))

    def __neg__(self) -> Tensor:
        return record(-self.data, (self, lambda g: -g))

    def __sub__(self, other: Any) -> Tensor:
        b = self._operand(other)
        return record(self.data - b.data, (self, lambda g: g), (b, lambda g: -g))

    def __mul__(self, other: Any) -> Tensor:
        b = self._operand(other)
        return record(self.data * b.data, (self, lambda g: g * b.data), (b, lambda g: g * self.data))

    def __truediv__(self, other: Any) -> Tensor:
        b = self._operand(other)
        y = self.data / b.data
        return record(y, (self, lambda g: g / b.data), (b, lambda g: -g * y / b.data))

    def __pow__(self, exponent: float) -> Tensor:
        """To a power that is a number."""
        if not isinstance(exponent, int | float):
            raise ValueError(f"Tensor ** expects a number, got {kind_of(exponent)}")
        # The slope of x⁰ is 0, at x = 0 too.
        return record(
            self.data**exponent,
            (self, lambda g: g * (exponent and exponent * self.data ** (exponent - 1))),
        )

    __radd__, __rmul__ = __add__, __mul__

    def __rsub__(self, other: Any) -> Tensor:
        return self._operand(other) - self

    def __rtruediv__(self, other: Any) -> Tensor:
        return self._operand(other) / self

    def __matmul__(self, other: Any) -> Tensor:
        """As torch.matmul: in the last two dimensions dL/da = G bᵀ, dL/db = aᵀ G; those before broadcast."""
        b = self._operand(other)
        if b.ndim == 1:
            return (self @ b.reshape(-1, 1))[..., 0]
        if self.ndim == 1:
            return (self.reshape(1, -1) @ b)[..., 0, :]
        return record(
            self.data @ b.data,
            (self, lambda g: g @ b.data.swapaxes(-1, -2)),
            (b, lambda g: self.data.swapaxes(-1, -2) @ g),
        )

    def __rmatmul__(self, other: Any) -> Tensor:
        return self._operand(other).__matmul__(self)

    # Reductions: `dim` is a dimension, a tuple of them, or None for all.

    def sum(self, dim: Dim = None, keepdim: bool = False) -> Tensor:
        y = self.data.sum(axis=dim, keepdims=True)
        return record(
            y if keepdim else y.squeeze(axis=dim),
            (self, lambda g: np.broadcast_to(g.reshape(y.shape), self.shape)),
        )

    def mean(self, dim: Dim = None, keepdim: bool = False) -> Tensor:
        """Of nothing, nan."""
        total = self.sum(dim, keepdim)
        size = self.data.size // total.data.size if total.data.size else 0
        return total * (1 / size if size else np.nan)

    def max(self, dim: Dim = None, keepdim: bool = False) -> Tensor:
        """Values only, and numbers that tie for the largest share the gradient evenly, as `torch.amax`."""
        y = self.data.max(axis=dim, keepdims=True)

        def gradient(g: np.ndarray) -> np.ndarray:
            ties: np.ndarray = (self.data == y).astype(self.dtype)
            ties *= g.reshape(y.shape) / ties.sum(axis=dim, keepdims=True)
            return ties

        return record(y if keepdim else y.squeeze(axis=dim), (self, gradient))

    # Shapes: views of the same data.

    def reshape(self, *shape: int) -> Tensor:
        return record(self.data.reshape(shape), (self, lambda g: g.reshape(self.shape)))

    def transpose(self, dim0: int, dim1: int) -> Tensor:
        return record(self.data.swapaxes(dim0, dim1), (self, lambda g: g.swapaxes(dim0, dim1)))

    def expand(self, *sizes: int) -> Tensor:
        """Repeats along dimensions of size 1, and along new ones in front; -1 leaves a dimension as it is."""
        new = len(sizes) - self.ndim
        shape = tuple(self.shape[i - new] if n == -1 and i >= new else n for i, n in enumerate(sizes))
        return record(np.broadcast_to(self.data, shape), (self, lambda g: g))

    def __getitem__(self, key: Any) -> Tensor:
        """As NumPy's: numbers, slices, None, Ellipsis, integer and boolean arrays."""
        return record(self.data[key], (self, lambda g: Placed(key, g)))

    # Functions of each number, and softmax. The slope is written with the value y where that is shorter.

    def exp(self) -> Tensor:
        y = np.exp(self.data)
        return record(y, (self, lambda g: g * y))

    def log(self) -> Tensor:
        return record(np.log(self.data), (self, lambda g: g / self.data))

    def relu(self) -> Tensor:
        y = np.maximum(self.data, 0)
        return record(y, (self, lambda g: g * (y != 0)))

    def sigmoid(self) -> Tensor:
        y = sigmoid(self.data)
        return record(y, (self, lambda g: g * (y * (1 - y))))

    def tanh(self) -> Tensor:
        y = np.tanh(self.data)
        return record(y, (self, lambda g: g * (1 - y * y)))

    def softmax(self, dim: int) -> Tensor:
        """e^x / Σ e^x along `dim`; dL/dx = y ∘ (G - Σ G y)."""
        y = np.exp(shifted(self.data, dim))
        y /= y.sum(axis=dim, keepdims=True)
        return record(y, (self, lambda g: y * (g - (g * y).sum(axis=dim, keepdims=True))))


def record(value: Any, *inputs: tuple[Tensor, Gradient]) -> Tensor:
    """A new operation's result.

    Args:
        value: what it computed.
        inputs: each tensor it was computed from, with the function from dL/dvalue to that tensor's gradient.
            Where broadcasting copied the tensor, adding up over the copies may be left to `backward`.

    Raises:
        ValueError: the tensors are not all float32 or all float64.
    """
    dtype, *others = (x.dtype for x, _ in inputs)
    if any(other != dtype for other in others):
        raise ValueError(f"Tensors expect one dtype for all, got {' and '.join(map(str, (dtype, *others)))}")
    result = Tensor(np.asarray(value, dtype))
    if _recording.get():
        result._history = tuple(pair for pair in inputs if pair[0].requires_grad)
        result.requires_grad = bool(result._history)
    return result


@contextmanager
def no_grad() -> Iterator[None]:
    """Within, nothing is recorded: results are constants, and cost no memory beyond their data."""
    token = _recording.set(False)
    try:
        yield
    finally:
        _recording.reset(token)
