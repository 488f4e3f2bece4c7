"""What RNN and LSTM share: parameters, stacked layers, and all that is not one step of the recurrence.

Only the recurrence itself is a loop over time. All steps' products with the input are one matrix product
before it, and every weight's gradient is one product over all steps after it.

Inside, features come first: a state is (hidden_size, batch), so that a step is `W_hh @ h` with the weight
as it lies in memory, and a gate is a contiguous block of rows.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike

from gdl_numpy.messages import counted, kind_of
from gdl_numpy.nn.checks import check_grad_output, whole
from gdl_numpy.nn.init import uniform
from gdl_numpy.nn.module import Module, Parameter
from gdl_numpy.nn.sequence import Layout, Rows, State, ended_of, layout_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float

    from gdl_numpy.nn.sequence import Ended


class Recurrent(Module):
    """Base of RNN and LSTM: everything but what happens in one step.

    Attributes:
        weight_ih_l{k}: (blocks · hidden_size, input_size, or hidden_size for layer k > 0)
        weight_hh_l{k}: (blocks · hidden_size, hidden_size)
        bias_ih_l{k}, bias_hh_l{k}: (blocks · hidden_size,), absent without bias
    """

    blocks: ClassVar[int]  # of hidden_size rows in each weight: 1, or one for each gate
    states: ClassVar[tuple[str, ...]]  # what is carried from step to step

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int,
        bias: bool,
        batch_first: bool,
        rng: np.random.Generator | int | None,
        dtype: DTypeLike,
    ) -> None:
        """Draws all parameters from U(-1/√hidden_size, 1/√hidden_size), as torch does.

        Raises:
            ValueError: sizes below 1.
        """
        sizes = {"input_size": input_size, "hidden_size": hidden_size, "num_layers": num_layers}
        input_size, hidden_size, num_layers = whole(type(self).__name__, **sizes)
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.bias, self.batch_first = bias, batch_first
        rng, bound, rows = np.random.default_rng(rng), 1 / math.sqrt(hidden_size), self.blocks * hidden_size
        for layer in range(num_layers):
            shapes: dict[str, tuple[int, ...]] = {
                "weight_ih": (rows, hidden_size if layer else input_size),
                "weight_hh": (rows, hidden_size),
            }
            if bias:
                shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
            for name, shape in shapes.items():
                setattr(self, f"{name}_l{layer}", uniform(shape, bound, rng, dtype))

    def run(
        self, x: np.ndarray | Rows, state: State | None, lengths: np.ndarray | None
    ) -> tuple[np.ndarray, State]:
        """`forward`, whatever the states are called; they come and go as a tuple."""
        layout = layout_of(self, x, self.parameter("weight_ih", 0).data, self.batch_first)
        y = x if isinstance(x, Rows) else layout.inward(x)
        steps, batch = (y.ids if isinstance(y, Rows) else y).shape[:2]
        starts = self._inward_states(state, batch, layout, "")
        ended = ended_of(self, lengths, steps, batch)
        layers, last, zero = [], [], np.zeros((), starts[0].dtype)
        if ended is not None and not isinstance(y, Rows):
            y = np.where(
                ended.transpose(0, 2, 1), zero, y
            )  # what stands there counts nowhere, not even a nan
        for layer in range(self.num_layers):
            start = [np.ascontiguousarray(s[layer].T) for s in starts]
            weight_hh = self.parameter("weight_hh", layer).data
            trace = self.unroll(self.input_products(y, layer), weight_hh, start, ended)
            layers.append((y, trace))
            h = trace[0][1:] if ended is None else np.where(ended, zero, trace[0][1:])
            y = np.ascontiguousarray(h.transpose(0, 2, 1))  # (time, batch, hidden_size)
            last.append([s[-1].T for s in trace[: len(self.states)]])
        assert isinstance(y, np.ndarray)
        self.save_for_backward(layers, ended, layout, y.shape)
        return layout.outward(y), tuple(layout.outward_state(np.stack(s)) for s in zip(*last, strict=True))

    def run_backward(self, grad_output: np.ndarray, grad_state: State | None) -> tuple[Any, State]:
        """`backward`, whatever the states are called."""
        layers, ended, layout, shape = self.saved
        dtype = layers[0][1][0].dtype
        check_grad_output(self, grad_output, layout.outward(np.empty(shape, dtype)).shape, dtype)
        grad, zero = layout.inward(grad_output), np.zeros((), dtype)
        grad_states = self._inward_states(grad_state, shape[1], layout, "the gradient of ")
        grad_start: list[list[np.ndarray]] = []
        for layer in reversed(range(self.num_layers)):
            y, trace = layers[layer]
            grad_h = grad.transpose(0, 2, 1)
            if ended is not None:  # after the end of a sequence the output is 0, whatever the state is
                grad_h = np.where(ended, zero, grad_h)
            grad_last = [np.ascontiguousarray(g[layer].T) for g in grad_states]
            weight_hh = self.parameter("weight_hh", layer).data
            dz, grads = self.unroll_backward(trace, weight_hh, grad_h, grad_last, ended)
            grad_start.insert(0, [g.T for g in grads])
            # Every step's dL/dz side by side: (blocks · hidden_size, time · batch).
            columns = dz.reshape(len(dz), -1)
            self.hidden_products_backward(trace[0][:-1], columns, layer)
            grad = self.input_products_backward(y, columns, layer, shape[:2])
        grad_x = grad if grad is None or isinstance(layers[0][0], Rows) else layout.outward(grad)
        stacked = (np.stack(s) for s in zip(*grad_start, strict=True))
        return grad_x, tuple(layout.outward_state(s) for s in stacked)

    def unroll(
        self, z: np.ndarray, weight_hh: np.ndarray, start: Sequence[np.ndarray], ended: Ended | None
    ) -> tuple[np.ndarray, ...]:
        """The recurrence of one layer.

        Args:
            z: (time, blocks · hidden_size, batch), each step's product with the input, biases added.
            weight_hh: (blocks · hidden_size, hidden_size)
            start: the initial states, each (hidden_size, batch).
            ended: (time, 1, batch), True where a sequence has ended and its state stays; None if none ends.

        Returns:
            first the sequence of each state, (time + 1, hidden_size, batch), beginning with the initial one;
            then whatever else `unroll_backward` needs.
        """
        raise TypeError(f"{type(self).__name__} does not define unroll")

    def unroll_backward(
        self,
        trace: Sequence[np.ndarray],
        weight_hh: np.ndarray,
        grad_h: np.ndarray,
        grad_last: Sequence[np.ndarray],
        ended: Ended | None,
    ) -> tuple[np.ndarray, list[np.ndarray]]:
        """The mirror of `unroll`.

        Args:
            trace: what `unroll` returned.
            weight_hh: as there.
            grad_h: (time, hidden_size, batch), dL/dh of each step but for what later steps add.
            grad_last: dL/d(each state after the last step), each (hidden_size, batch).
            ended: as there.

        Returns:
            dL/dz as (blocks · hidden_size, time, batch), and dL/d(each initial state).
        """
        raise TypeError(f"{type(self).__name__} does not define unroll_backward")

    def input_products(self, x: np.ndarray | Rows, layer: int) -> np.ndarray:
        """W_ih x + b_ih + b_hh of all steps in one product, as (time, blocks · hidden_size, batch)."""
        weight, bias = self.parameter("weight_ih", layer).data, self.total_bias(layer)
        if isinstance(x, Rows):
            products: np.ndarray = (x.table @ weight.T + bias)[x.ids]  # (time, batch, blocks · hidden_size)
            return products.transpose(0, 2, 1)
        z: np.ndarray = weight @ x.reshape(-1, x.shape[-1]).T  # (blocks · hidden_size, time · batch)
        z += bias[:, None]
        return z.reshape(len(weight), *x.shape[:2]).transpose(1, 0, 2)

    def input_products_backward(
        self, x: np.ndarray | Rows, columns: np.ndarray, layer: int, shape: tuple[int, int]
    ) -> Any:
        """Adds dL/dW_ih; returns dL/dx, or for `Rows` the gradient of the table.

        `columns` is dL/dz, (blocks · hidden_size, time · batch).
        """
        weight = self.parameter("weight_ih", layer)
        if isinstance(x, Rows):
            onehot = np.zeros((x.ids.size, len(x.table)), columns.dtype)
            onehot[np.arange(x.ids.size), x.ids.reshape(-1)] = 1
            columns = columns @ onehot  # those of one row of the table, added up
            weight.accumulate(columns @ x.table)
            grad_table: np.ndarray = columns.T @ weight.data
            return grad_table
        weight.accumulate(columns @ x.reshape(-1, x.shape[-1]))
        if layer == 0 and not self.needs_input_grad:
            return None
        return (columns.T @ weight.data).reshape(*shape, x.shape[-1])

    def hidden_products_backward(
        self, before: Float[np.ndarray, "time hidden_size batch"], columns: np.ndarray, layer: int
    ) -> None:
        """Adds dL/dW_hh, and dL/db to both biases.

        Args:
            before: h_{t-1} of each step.
            columns: dL/dz, (blocks · hidden_size, time · batch).
            layer: whose.
        """
        # dL/dW_hh = Σ_t dL/dz_t h_{t-1}ᵀ
        rows = before.transpose(0, 2, 1).reshape(-1, self.hidden_size)
        self.parameter("weight_hh", layer).accumulate(columns @ rows)
        if self.bias:
            # dL/db = Σ_t dL/dz_t
            grad_bias = columns.sum(axis=1)
            for bias in ("bias_ih", "bias_hh"):
                self.parameter(bias, layer).accumulate(grad_bias.copy())

    def total_bias(self, layer: int) -> np.ndarray:
        """b_ih + b_hh, which only ever act together; zeros without bias."""
        if not self.bias:
            weight = self.parameter("weight_hh", layer).data
            return np.zeros(len(weight), weight.dtype)
        total: np.ndarray = self.parameter("bias_ih", layer).data + self.parameter("bias_hh", layer).data
        return total

    def parameter(self, name: str, layer: int) -> Parameter:
        """A parameter of one of the layers, such as `weight_ih`."""
        parameter: Parameter = getattr(self, f"{name}_l{layer}")
        return parameter

    def advance(self, z: Float[np.ndarray, "width batch"], state: State) -> tuple[np.ndarray, State]:
        """One step of all layers, for those who predict token by token; `backward` does not know of it.

        Args:
            z: the first layer's product with its input, biases added: (blocks · hidden_size, batch).
            state: as `forward` takes it, in a tuple.

        Returns:
            the last layer's output, (hidden_size, batch), and the new state.
        """
        last, h = [], z
        for layer in range(self.num_layers):
            if layer:
                z = self.parameter("weight_ih", layer).data @ h + self.total_bias(layer)[:, None]
            weight_hh = self.parameter("weight_hh", layer).data
            trace = self.unroll(z[None], weight_hh, [s[layer].T for s in state], None)
            last.append([s[-1].T for s in trace[: len(self.states)]])
            h = trace[0][-1]
        return h, tuple(np.stack(s) for s in zip(*last, strict=True))

    def zero_state(self, batch: int) -> State:
        """What the states are where none are given."""
        dtype = self.parameter("weight_hh", 0).data.dtype
        return tuple(np.zeros((self.num_layers, batch, self.hidden_size), dtype) for _ in self.states)

    def _inward_states(self, state: State | None, batch: int, layout: Layout, prefix: str) -> State:
        """The states, or their gradients, as they are used inside; zeros for None."""
        if state is None:
            return self.zero_state(batch)
        if not isinstance(state, tuple | list) or len(state) != len(self.states):
            got = counted(len(state), "array") if isinstance(state, tuple | list) else kind_of(state)
            raise ValueError(f"{self!r} expects a state ({', '.join(self.states)}), got {got}")
        for name, array, zeros in zip(self.states, state, self.zero_state(batch), strict=True):
            expected = layout.outward_state(zeros)
            if np.shape(array) != expected.shape or getattr(array, "dtype", None) != expected.dtype:
                raise ValueError(
                    f"{self!r} expects {prefix}{name} of shape {expected.shape} (num_layers, batch, "
                    f"hidden_size) and dtype {expected.dtype}, "
                    f"got {np.shape(array)} {getattr(array, 'dtype', type(array).__name__)}"
                )
        return tuple(layout.inward_state(s) for s in state)

    def extra_repr(self) -> str:
        layers = f", num_layers={self.num_layers}" if self.num_layers > 1 else ""
        first = ", batch_first=True" if self.batch_first else ""
        return f"{self.input_size}, {self.hidden_size}{layers}, bias={self.bias}{first}"
