"""An array that remembers how it was computed, and so can tell its gradient (chapter 13).

    x = Tensor([1.0, 2.0], requires_grad=True)
    y = (x * x).sum()
    y.backward()
    x.grad                                  # array([2., 4.])

`record` keeps an operation's value and, for each of its inputs, the function from dL/dvalue to dL/dinput.
`backward` starts at the loss with dL/dL = 1 and hands each tensor's gradient on to what it was made of.

The gradient of a tensor that was used many times is the sum over all uses: it is handed on when all have
reported. The book's Tensor counts its children, each known by a random id. Here tensors are numbered as they
are made: from the largest number to the smallest, whatever was made of x comes before x. Names and meaning
are torch's: `requires_grad` is the book's `autograd`; only leaves, which no operation made, keep a gradient.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from heapq import heappop, heappush
from itertools import count
from numbers import Real
from typing import Any

import numpy as np

from gdl_numpy.autograd.grad_mode import is_grad_enabled
from gdl_numpy.autograd.parts import Part, Placed, Product, add_up, as_sizes, is_basic
from gdl_numpy.messages import kind_of
from gdl_numpy.nn.activation import sigmoid
from gdl_numpy.nn.checks import FLOATS, described

Dim = int | tuple[int, ...] | None
Gradient = Callable[[np.ndarray], Part]
_numbers = count()


class Tensor:
    """A float32 or float64 array that records what is done to it.

    Attributes:
        data: the values, read-only, so that nothing changes what `backward` needs. Others may be assigned,
            and are copied; what was made of the old ones keeps those.
        grad: after `backward`: dL/ddata, added to what was there; None where it is not kept.
        requires_grad: whether `backward` is to reach it.
    """

    __array_ufunc__ = None  # array + tensor is tensor.__radd__(array)

    def __init__(self, data: Any, requires_grad: bool = False, *, copy: bool = True) -> None:
        """Raises ValueError for anything but float32 and float64. Without a copy, leave the array alone."""
        self._keep(np.array(data, copy=copy or None))
        self.requires_grad = requires_grad
        self.grad: np.ndarray | None = None
        self._number, self._keeps_grad = next(_numbers), False
        self._history: tuple[tuple[Tensor, Gradient], ...] | None = ()  # None once backward has freed it

    @property
    def data(self) -> np.ndarray:
        return self._data

    @data.setter
    def data(self, array: np.ndarray) -> None:
        self._keep(np.array(array))  # a view of the given one may be about, which can be written to

    def _keep(self, array: np.ndarray) -> None:
        if array.dtype not in FLOATS:
            raise ValueError(f"Tensor expects float32 or float64 data, got {array.dtype}")
        array.flags.writeable = False
        self._data = array

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._keep(self._data)  # which a deep copy has made anew

    @property
    def shape(self) -> tuple[int, ...]:
        return self._data.shape

    @property
    def ndim(self) -> int:
        return self._data.ndim

    @property
    def dtype(self) -> np.dtype:
        return self._data.dtype

    def __repr__(self) -> str:
        return f"Tensor({self._data!r}{', requires_grad=True' if self.requires_grad else ''})"

    def item(self) -> float:
        """The only number; ValueError if there are more."""
        return float(self._data.item())

    def detach(self) -> Tensor:
        """The same data without the history: a constant."""
        return Tensor(self._data, copy=False)

    def retain_grad(self) -> Tensor:
        """Makes `backward` keep the gradient of this tensor too, which is no leaf; returns it."""
        self._keeps_grad = True
        return self

    def backward(
        self, gradient: np.ndarray | None = None, retain_graph: bool = False, create_graph: bool = False
    ) -> None:
        """Adds dL/dx to `x.grad` of every leaf x that this tensor was made of.

        Args:
            gradient: dL/dself; may be left out if self is L, one number.
            retain_graph: keep the history for another `backward`; else it is freed on the way, as in torch.
            create_graph: refused (NotImplementedError): gradients are arrays, and record nothing.

        Raises:
            RuntimeError: nothing here requires a gradient, or an earlier `backward` freed the history.
            ValueError: `gradient` is missing or not like self.
        """
        if create_graph:
            raise NotImplementedError("backward expects create_graph=False: a gradient has no gradient here")
        if not self.requires_grad:
            raise RuntimeError("backward: nothing that this tensor was made of requires a gradient")
        gradient = np.ones_like(self.data) if gradient is None and self.data.size == 1 else gradient
        given, wanted = (described(array) for array in (gradient, self.data))
        if gradient is None or given != wanted:
            raise ValueError(f"backward expects gradient like the tensor, {wanted}, got {given}")
        gathered: dict[Tensor, list[Part]] = {self: [gradient]}
        newest_first = [(-self._number, id(self), self)]  # a deep copy has its original's number
        while newest_first:
            *_, x = heappop(newest_first)
            if x._history is None:
                raise RuntimeError("backward: an earlier one without retain_graph=True freed the history")
            total, own = add_up(x.data, gathered.pop(x))
            if not x._history or x._keeps_grad:
                x.grad = np.asarray(x.grad + total) if x.grad is not None else total if own else total.copy()
            for source, part_of in x._history:
                if source not in gathered:
                    heappush(newest_first, (-source._number, id(source), source))
                gathered.setdefault(source, []).append(part_of(total))
            if x._history and not retain_graph:
                x._history = None

    # Arithmetic. What broadcasting copied, `add_up` adds up again.

    def _operand(self, other: object) -> Tensor:
        """A number as a tensor like this one, an array as a constant; a tensor as it is."""
        if not isinstance(other, Tensor | np.ndarray | Real):
            raise ValueError(f"Tensor expects a Tensor, an array or a number beside it, got {kind_of(other)}")
        other = np.asarray(other, self.dtype) if isinstance(other, Real) else other
        return Tensor(other) if isinstance(other, np.ndarray) else other

    def _with(self, other: Any, function: Callable[..., Any]) -> tuple[Tensor, Any]:
        """The other operand, and the function of both. Raises ValueError where their shapes do not fit."""
        other = self._operand(other)
        try:
            return other, function(self.data, other.data)
        except ValueError:
            raise ValueError(
                f"{function.__name__}: shapes {self.shape} and {other.shape} do not fit"
            ) from None

    def __add__(self, other: Any) -> Tensor:
        other, y = self._with(other, np.add)
        return record(y, (self, lambda g: g), (other, lambda g: g))

    def __neg__(self) -> Tensor:
        return record(-self.data, (self, lambda g: -g))

    def __sub__(self, other: Any) -> Tensor:
        other, y = self._with(other, np.subtract)
        return record(y, (self, lambda g: g), (other, lambda g: -g))

    def __mul__(self, other: Any) -> Tensor:
        other, y = self._with(other, np.multiply)
        a, b = self.data, other.data
        return record(y, (self, lambda g: g * b), (other, lambda g: g * a))

    def __truediv__(self, other: Any) -> Tensor:
        other, y = self._with(other, np.divide)
        b = other.data
        return record(y, (self, lambda g: g / b), (other, lambda g: -g * y / b))

    def __pow__(self, exponent: float) -> Tensor:
        """To a power that is a number."""
        if not isinstance(exponent, int | float | np.number):
            raise ValueError(f"Tensor ** expects a number, got {kind_of(exponent)}")
        x, n = self.data, exponent  # the slope of x⁰ is 0, at x = 0 too
        return record(x**n, (self, lambda g: g * (n * x ** (n - 1)) if n else np.zeros_like(x)))

    __radd__, __rmul__ = __add__, __mul__

    def __rsub__(self, other: Any) -> Tensor:
        return self._operand(other) - self

    def __rtruediv__(self, other: Any) -> Tensor:
        return self._operand(other) / self

    def __matmul__(self, other: Any) -> Tensor:
        """As torch.matmul: in the last two dimensions dL/da = G bᵀ, dL/db = aᵀ G; those before broadcast."""
        right = self._operand(other)
        if right.ndim == 1:
            return (self @ right.reshape(-1, 1))[..., 0]
        if self.ndim == 1:
            return (self.reshape(1, -1) @ right)[..., 0, :]
        _, y = self._with(right, np.matmul)
        a, b = self.data, right.data
        return record(
            y,
            (self, lambda g: g @ b.swapaxes(-1, -2)),
            (right, lambda g: Product(a, g) if a.ndim == b.ndim == 2 else a.swapaxes(-1, -2) @ g),
        )

    def __rmatmul__(self, other: Any) -> Tensor:
        return self._operand(other).__matmul__(self)

    # Reductions: `dim` is a dimension, a tuple of them, or None for all.

    def sum(self, dim: Dim = None, keepdim: bool = False) -> Tensor:
        y, shape = self.data.sum(axis=dim, keepdims=True), self.shape
        kept = y if keepdim else y.squeeze(axis=dim)
        return record(kept, (self, lambda g: np.broadcast_to(g.reshape(y.shape), shape)))

    def mean(self, dim: Dim = None, keepdim: bool = False) -> Tensor:
        """Of nothing, nan."""
        total = self.sum(dim, keepdim)
        size = self.data.size // total.data.size if total.data.size else 0
        return total * (1 / size if size else np.nan)

    def max(self, dim: Dim = None, keepdim: bool = False) -> Tensor:
        """Values only, and numbers that tie for the largest share the gradient evenly, as `torch.amax`."""
        x, y = self.data, self.data.max(axis=dim, keepdims=True)

        def gradient(g: np.ndarray) -> np.ndarray:
            ties: np.ndarray = (x == y).astype(x.dtype)
            ties *= g.reshape(y.shape) / ties.sum(axis=dim, keepdims=True)
            return ties

        return record(y if keepdim else y.squeeze(axis=dim), (self, gradient))

    # Shapes: views of the same data.

    def reshape(self, *shape: int | tuple[int, ...]) -> Tensor:
        before = self.shape
        return record(self.data.reshape(as_sizes(shape)), (self, lambda g: g.reshape(before)))

    def transpose(self, dim0: int, dim1: int) -> Tensor:
        return record(self.data.swapaxes(dim0, dim1), (self, lambda g: g.swapaxes(dim0, dim1)))

    def expand(self, *shape: int | tuple[int, ...]) -> Tensor:
        """Repeats along dimensions of size 1, and along new ones in front; -1 leaves a dimension as it is."""
        new = len(sizes := as_sizes(shape)) - self.ndim
        sizes = tuple(self.shape[i - new] if n == -1 and i >= new else n for i, n in enumerate(sizes))
        return record(np.broadcast_to(self.data, sizes), (self, lambda g: g))

    def __getitem__(self, key: Any) -> Tensor:
        """As NumPy's: numbers, slices, None, Ellipsis, integer and boolean arrays."""
        key = key if is_basic(key) else deepcopy(key)
        try:
            return record(self.data[key], (self, lambda g: Placed(key, g)))
        except IndexError as error:
            raise IndexError(f"index of a Tensor of shape {self.shape}: {error}") from None

    # Functions of each number. The slope is written with the value y where that is shorter.

    def exp(self) -> Tensor:
        y = np.exp(self.data)
        return record(y, (self, lambda g: g * y))

    def log(self) -> Tensor:
        x = self.data
        return record(np.log(x), (self, lambda g: g / x))

    def relu(self) -> Tensor:
        y = np.maximum(self.data, 0)
        return record(y, (self, lambda g: np.where(y != 0, g, 0)))

    def sigmoid(self) -> Tensor:
        y = sigmoid(self.data)
        return record(y, (self, lambda g: g * (y * (1 - y))))

    def tanh(self) -> Tensor:
        y = np.tanh(self.data)
        return record(y, (self, lambda g: g * (1 - y * y)))


def record(value: Any, *inputs: tuple[Tensor, Gradient]) -> Tensor:
    """A new operation's result.

    With it go the tensors that it was computed from, each with the function from dL/dvalue to its gradient.
    Where broadcasting copied a tensor, adding up over the copies may be left to `backward`. Raises ValueError
    unless all are float32 or all float64.
    """
    dtype, *others = (x.dtype for x, _ in inputs)
    if any(other != dtype for other in others):
        raise ValueError(f"Tensors expect one dtype for all, got {' and '.join(map(str, (dtype, *others)))}")
    result = Tensor(np.asarray(value, dtype), copy=False)
    if is_grad_enabled.get():
        result._history = tuple(pair for pair in inputs if pair[0].requires_grad)
        result.requires_grad = bool(result._history)
    return result
