"""The error bound of a recurrence: how far it moves when every one of its roundings happens.

Errors feed back into the next step, and a bound that only adds magnitudes up, W for W, grows like the powers
of |W|, far beyond what can happen. So the recurrence is written out here once more, in float64, with an error
added to the result of every operation, forward and backward: the textbook's γₙ Σ|a||b| for a sum of products,
a few roundings for the others, up or down at random. It is run several times, and each tensor's bound is how
far it moved.
"""

from __future__ import annotations

import copy
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from gdl_torch.models.rnn import Transition
from parity_tests.harness.bounds import ELEMENTARY, bound_of
from parity_tests.harness.disturbance import Signs, largest_movement
from parity_tests.harness.evaluate import Arrays, Evaluation, run_torch
from parity_tests.harness.rounding import gamma

if TYPE_CHECKING:
    from collections.abc import Sequence

DRAWS = 8  # pairs of opposite errors: in a layer of one unit two errors cancel in half of the draws


class Roundings:
    """Where the errors come from: unit roundoff, and a stream of signs."""

    def __init__(self, u: float, terms: int, signs: Signs) -> None:
        """`terms` is the length of the sums over all time steps and examples."""
        self.u, self.terms, self.signs = u, terms, signs

    def gamma(self, operations: int) -> float:
        return float(gamma(operations, self.u))

    def error(self, size: Tensor) -> Tensor:
        """`size`, up or down at random."""
        return torch.from_numpy(self.signs(size)) * size


class Product(torch.autograd.Function):
    """x Wᵀ for rows x, each sum of n products off by γₙ Σ|a||b|, also those of the gradients.

    dL/dW sums over the rows of all calls; its errors have the same signs in each, so that they add up to the
    bound on the whole sum.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, off: Roundings, signs: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight, signs)
        ctx.off = off
        return x @ weight.T + off.error(off.gamma(x.shape[-1]) * (x.abs() @ weight.abs().T))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None, None]:
        (x, weight, signs), off = ctx.saved_tensors, ctx.off
        grad_x = grad @ weight + off.error(off.gamma(len(weight)) * (grad.abs() @ weight.abs()))
        grad_weight = grad.T @ x + signs * off.gamma(off.terms) * (grad.abs().T @ x.abs())
        return grad_x, grad_weight, None, None


class Activation(torch.autograd.Function):
    """tanh, sigmoid or relu, off as any way of computing it may be.

    A sigmoid may be computed as (1 + tanh(x / 2)) / 2, whose error is relative to 1, not to the result; and
    both derivatives, 1 - y² and y (1 - y), are differences, off relatively to 1.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, kind: str, off: Roundings) -> Tensor:
        y: Tensor = getattr(torch, kind)(x)
        ctx.off, ctx.kind = off, kind
        size = {"tanh": y.abs(), "sigmoid": torch.ones_like(y), "relu": torch.zeros_like(y)}[kind]
        y = y + off.error(off.gamma(ELEMENTARY + 2) * size)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (y,), off = ctx.saved_tensors, ctx.off
        if ctx.kind == "relu":
            return grad * (y != 0), None, None
        slope = 1 - y * y if ctx.kind == "tanh" else y * (1 - y)
        return grad * slope + off.error(off.gamma(2 * ELEMENTARY + 4) * grad.abs()), None, None


class Rounded(torch.autograd.Function):
    """A value that came about by one or two roundings, as will its gradient."""

    @staticmethod
    def forward(ctx: Any, y: Tensor, size: Tensor, off: Roundings) -> Tensor:
        ctx.off = off
        return y + off.error(off.gamma(4) * size)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        return grad + ctx.off.error(ctx.off.gamma(4) * grad.abs()), None, None


class Steps:
    """The operations that a recurrence consists of, each with its errors."""

    def __init__(self, off: Roundings) -> None:
        self.off = off
        # By the id of a tensor, which is kept here too, so that no other gets its id.
        self.signs: dict[int, tuple[Tensor, Tensor]] = {}
        self.columns: dict[int, tuple[Tensor, Tensor]] = {}

    def product(self, x: Tensor, weight: Tensor) -> Tensor:
        if id(weight) not in self.signs:
            self.signs[id(weight)] = weight, self.off.error(torch.ones_like(weight))
        _, signs = self.signs[id(weight)]
        y: Tensor = Product.apply(x, weight, self.off, signs)
        return y

    def activation(self, x: Tensor, kind: str) -> Tensor:
        y: Tensor = Activation.apply(x, kind, self.off)
        return y

    def sum(self, *terms: Tensor) -> Tensor:
        size = sum((term.detach().abs() for term in terms), torch.zeros(()))
        y: Tensor = Rounded.apply(sum(terms), size, self.off)
        return y

    def times(self, a: Tensor, b: Tensor) -> Tensor:
        y: Tensor = Rounded.apply(a * b, (a * b).detach().abs(), self.off)
        return y

    def of_batch(self, vector: Tensor, batch: int) -> Tensor:
        """The vector once for each example; its gradient is a sum over them, and over all time steps."""
        if id(vector) not in self.columns:  # one column a vector, so that its errors keep their signs
            self.columns[id(vector)] = vector, vector[:, None]
        _, column = self.columns[id(vector)]
        return self.product(torch.ones(batch, 1, dtype=vector.dtype), column)


def written_out(
    layer: Any, steps: Steps, x: Any, state: Any = None, lengths: Tensor | None = None
) -> tuple[Tensor, Any]:
    """`layer` (an nn.RNN or nn.LSTM) on the same arguments, step by step."""
    if isinstance(x, tuple):  # rows of a table: looked up as a product with one-hot vectors
        table, ids = x
        onehot = nn.functional.one_hot(ids, len(table)).to(table.dtype)
        x = steps.product(onehot.reshape(-1, len(table)), table.T).reshape(*ids.shape, table.shape[1])
    batched = x.dim() == 3
    x = x[:, None] if not batched else x.transpose(0, 1) if layer.batch_first else x
    is_lstm = isinstance(layer, nn.LSTM)
    states = [] if state is None else list(state) if is_lstm else [state]
    states = [s if batched else s[:, None] for s in states]
    last: list[list[Tensor]] = []
    for k in range(layer.num_layers):
        start = [s[k] for s in states] or [x.new_zeros(x.shape[1], layer.hidden_size)] * (1 + is_lstm)
        x, end = one_layer(layer, steps, k, x, start, lengths)
        last.append(end)
    x = x[:, 0] if not batched else x.transpose(0, 1) if layer.batch_first else x
    final = [torch.stack(s) if batched else torch.stack(s)[:, 0] for s in zip(*last, strict=True)]
    return x, tuple(final) if is_lstm else final[0]


def one_layer(
    layer: Any, steps: Steps, k: int, x: Tensor, state: list[Tensor], lengths: Tensor | None
) -> tuple[Tensor, list[Tensor]]:
    weight_ih, weight_hh = getattr(layer, f"weight_ih_l{k}"), getattr(layer, f"weight_hh_l{k}")
    time, batch, _ = x.shape
    products = steps.product(x.reshape(time * batch, x.shape[2]), weight_ih)
    products = products.reshape(time, batch, len(weight_ih))
    biases = []
    if layer.bias:
        biases = [getattr(layer, f"bias_{name}_l{k}") for name in ("ih", "hh")]
    outputs = []
    for t in range(time):
        added = [steps.of_batch(bias, batch) for bias in biases]
        z = steps.sum(products[t], steps.product(state[0], weight_hh), *added)
        new = cell(layer, steps, z, state)
        lasts = torch.ones(batch, 1, dtype=torch.bool) if lengths is None else (t < lengths)[:, None]
        state = [torch.where(lasts, n, s) for n, s in zip(new, state, strict=True)]
        outputs.append(torch.where(lasts, new[0], 0.0))
    return torch.stack(outputs), state


def cell(layer: Any, steps: Steps, z: Tensor, state: list[Tensor]) -> list[Tensor]:
    if not isinstance(layer, nn.LSTM):
        return [steps.activation(z, layer.nonlinearity)]
    z_i, z_f, z_g, z_o = z.chunk(4, dim=1)
    i, f, o = (steps.activation(gate, "sigmoid") for gate in (z_i, z_f, z_o))
    g = steps.activation(z_g, "tanh")
    c = steps.sum(steps.times(f, state[1]), steps.times(i, g))
    return [steps.times(o, steps.activation(c, "tanh")), c]


def transition_written_out(
    layer: Any, steps: Steps, x: Tensor, state: Tensor | None = None, lengths: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """`TransitionMatrixLM`'s recurrence, step by step."""
    s = steps.of_batch(layer.start, x.shape[1]) if state is None else state
    weight, before = layer.weight.T, []
    for t, x_t in enumerate(x):
        before.append(s)
        new = steps.sum(steps.product(s, weight), x_t)
        s = new if lengths is None else torch.where((t < lengths)[:, None], new, s)
    return torch.stack(before), s


@bound_of.register(nn.RNN)
@bound_of.register(nn.LSTM)
@bound_of.register(Transition)
def recurrence_bound(
    layer: Any, inputs: Sequence[Any], targets: Sequence[Any], grads: Arrays, u: float
) -> Evaluation:
    time_and_batch = int(
        np.prod(inputs[0][1].shape if isinstance(inputs[0], tuple) else inputs[0].shape[:-1])
    )
    rows = len(inputs[0][0]) if isinstance(inputs[0], tuple) else 0
    function = transition_written_out if isinstance(layer, Transition) else written_out

    def run(signs: Signs | None) -> Evaluation:
        copied = copy.deepcopy(layer)
        if signs is not None:
            steps = Steps(Roundings(u, time_and_batch + rows + 2, signs))
            copied.forward = partial(function, copied, steps)
        result = run_torch(copied, inputs, targets, lambda _: grads)
        vars(copied).pop("forward", None)  # which holds the copy itself, and with it much memory
        return result

    exact, movement = largest_movement(run, DRAWS)
    return exact.map(lambda value, moved: np.maximum(u * np.abs(value), moved), movement)


class _Packing(nn.RNNBase):
    """Takes the arguments that the NumPy layers take besides: `Rows`, and the sequences' lengths."""

    def forward(self, x: Any, state: Any = None, lengths: Tensor | None = None) -> Any:
        if isinstance(x, tuple) and not isinstance(x, PackedSequence):
            table, ids = x
            x = nn.functional.embedding(ids, table)
        if lengths is None:
            return super().forward(x, state)
        packed = pack_padded_sequence(x, lengths.cpu(), self.batch_first, enforce_sorted=False)
        output, state = super().forward(packed, state)
        time = x.shape[1 if self.batch_first else 0]
        return pad_packed_sequence(output, self.batch_first, total_length=time)[0], state


class PackingRNN(_Packing, nn.RNN):
    """`nn.RNN` with the NumPy layer's arguments."""


class PackingLSTM(_Packing, nn.LSTM):
    """`nn.LSTM` with the NumPy layer's arguments."""
