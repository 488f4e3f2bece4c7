"""The error bound of a recurrence: how far it moves when every one of its roundings happens.

Errors feed back into the next step, and a bound that only adds magnitudes up, W for W, grows like the powers
of |W|, far beyond what can happen. So the recurrence is written out here once more, in float64, with an error
added to the result of every operation, forward and backward: the textbook's γₙ Σ|a||b| for a sum of products,
a few roundings for the others, up or down at random. Each tensor's bound is how far it moves.

It is run several times, and all of these runs at once: inputs, state and weights are there in as many copies,
along a first dimension, each with its own errors and its own gradients.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from gdl_torch.models.rnn import Transition
from parity_tests.harness.bounds import ELEMENTARY, bound_of
from parity_tests.harness.disturbance import Signs, movement_of_copies, opposite_copies
from parity_tests.harness.evaluate import Arrays, Evaluation, flatten, unflatten
from parity_tests.harness.evaluate_torch import run_torch, to_numpy, to_torch
from parity_tests.harness.rounding import gamma, last_rounding

if TYPE_CHECKING:
    from collections.abc import Sequence

DRAWS = 8  # pairs of opposite errors: in a layer of one unit two errors cancel in half of the draws
NUMBERS = 10**6  # in all copies together: more do not become faster, but take memory at every time step


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
    """x Wᵀ for each copy's rows x, each sum of n products off by γₙ Σ|a||b|, also those of the gradients.

    dL/dW sums over the rows of all calls; its errors have the same signs in each, so that they add up to the
    bound on the whole sum.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, off: Roundings, signs: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight, signs)
        ctx.off = off
        return x @ weight.mT + off.error(off.gamma(x.shape[-1]) * (x.abs() @ weight.abs().mT))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor, None, None]:
        (x, weight, signs), off = ctx.saved_tensors, ctx.off
        grad_x = None
        if ctx.needs_input_grad[0]:
            grad_x = grad @ weight + off.error(off.gamma(weight.shape[-2]) * (grad.abs() @ weight.abs()))
        grad_weight = grad.mT @ x + signs * off.gamma(off.terms) * (grad.abs().mT @ x.abs())
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
            self.columns[id(vector)] = vector, vector[..., None]
        _, column = self.columns[id(vector)]
        return self.product(torch.ones(len(vector), batch, 1, dtype=vector.dtype), column)


def written_out(
    layer: Any,
    weights: dict[str, Tensor],
    steps: Steps,
    x: Any,
    state: Any = None,
    lengths: Tensor | None = None,
) -> tuple[Tensor, Any]:
    """`layer` (an nn.RNN or nn.LSTM) on copies of the same arguments, step by step."""
    if isinstance(x, tuple):  # rows of a table: looked up as a product with one-hot vectors
        table, ids = x
        onehot = nn.functional.one_hot(ids.flatten(), table.shape[1]).to(table.dtype)
        x = steps.product(onehot.expand(len(table), -1, -1), table.mT)
        x = x.reshape(len(table), *ids.shape, table.shape[2])
    batched = x.dim() == 4
    x = x[:, :, None] if not batched else x.transpose(1, 2) if layer.batch_first else x
    is_lstm = isinstance(layer, nn.LSTM)
    states = [] if state is None else list(state) if is_lstm else [state]
    states = [s if batched else s[:, :, None] for s in states]
    last: list[list[Tensor]] = []
    for k in range(layer.num_layers):
        zeros = x.new_zeros(len(x), x.shape[2], layer.hidden_size)
        start = [s[:, k] for s in states] or [zeros] * (1 + is_lstm)
        x, end = one_layer(layer, weights, steps, k, x, start, lengths)
        last.append(end)
    x = x[:, :, 0] if not batched else x.transpose(1, 2) if layer.batch_first else x
    final = [torch.stack(s, 1) if batched else torch.stack(s, 1)[:, :, 0] for s in zip(*last, strict=True)]
    return x, tuple(final) if is_lstm else final[0]


def one_layer(
    layer: Any,
    weights: dict[str, Tensor],
    steps: Steps,
    k: int,
    x: Tensor,
    state: list[Tensor],
    lengths: Tensor | None,
) -> tuple[Tensor, list[Tensor]]:
    weight_ih, weight_hh = weights[f"weight_ih_l{k}"], weights[f"weight_hh_l{k}"]
    _, time, batch, _ = x.shape
    products = steps.product(x.flatten(1, 2), weight_ih)
    products = products.reshape(len(x), time, batch, weight_ih.shape[1])
    biases = [weights[f"bias_{name}_l{k}"] for name in ("ih", "hh")] if layer.bias else []
    outputs = []
    for t in range(time):
        added = [steps.of_batch(bias, batch) for bias in biases]
        z = steps.sum(products[:, t], steps.product(state[0], weight_hh), *added)
        new = cell(layer, steps, z, state)
        lasts = torch.ones(batch, 1, dtype=torch.bool) if lengths is None else (t < lengths)[:, None]
        state = [torch.where(lasts, n, s) for n, s in zip(new, state, strict=True)]
        outputs.append(torch.where(lasts, new[0], 0.0))
    return torch.stack(outputs, 1), state


def cell(layer: Any, steps: Steps, z: Tensor, state: list[Tensor]) -> list[Tensor]:
    if not isinstance(layer, nn.LSTM):
        return [steps.activation(z, layer.nonlinearity)]
    z_i, z_f, z_g, z_o = z.chunk(4, dim=-1)
    i, f, o = (steps.activation(gate, "sigmoid") for gate in (z_i, z_f, z_o))
    g = steps.activation(z_g, "tanh")
    c = steps.sum(steps.times(f, state[1]), steps.times(i, g))
    return [steps.times(o, steps.activation(c, "tanh")), c]


def transition_written_out(
    layer: Any,
    weights: dict[str, Tensor],
    steps: Steps,
    x: Tensor,
    state: Tensor | None = None,
    lengths: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """`TransitionMatrixLM`'s recurrence, on copies of the same arguments, step by step."""
    s = steps.of_batch(weights["start"], x.shape[2]) if state is None else state
    weight, before = weights["weight"].mT, []
    for t, x_t in enumerate(x.unbind(1)):
        before.append(s)
        new = steps.sum(steps.product(s, weight), x_t)
        s = new if lengths is None else torch.where((t < lengths)[:, None], new, s)
    return torch.stack(before, 1), s


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


@bound_of.register(nn.RNN)
@bound_of.register(nn.LSTM)
@bound_of.register(PackingRNN)
@bound_of.register(PackingLSTM)
@bound_of.register(Transition)
def recurrence_bound(
    layer: Any, inputs: Sequence[Any], targets: Sequence[Any], grads: Arrays, u: float
) -> Evaluation:
    exact = run_torch(layer, inputs, targets, lambda _: grads)
    bound = exact.map(lambda value: last_rounding(value, u))
    numbers = sum(a.size for a in (*exact.outputs, *exact.grad_inputs, *exact.grad_params.values()))
    pairs = min(max(NUMBERS // (2 * numbers + 1), 1), DRAWS)
    rng = np.random.default_rng(0)
    for first in range(0, DRAWS, pairs):
        count = min(pairs, DRAWS - first)
        copies = disturbed(layer, inputs, grads, u, 2 * count, opposite_copies(count, rng))
        bound = bound.map(np.maximum, movement_of_copies(exact, copies))
    return bound


def disturbed(
    layer: Any, inputs: Sequence[Any], grads: Arrays, u: float, copies: int, signs: Signs
) -> Evaluation:
    """What as many copies of `layer` give, each with its own errors: the first dimension of each array."""

    def copied(tensor: Tensor) -> Tensor:
        return tensor.detach().expand(copies, *tensor.shape).clone()

    leaves = [to_torch(leaf, "cpu") for leaf in flatten(inputs)]
    leaves = [copied(leaf).requires_grad_() if leaf.is_floating_point() else leaf for leaf in leaves]
    weights = {name: copied(p).requires_grad_() for name, p in layer.named_parameters()}
    x = inputs[0]
    rows = len(x[0]) if isinstance(x, tuple) else 0
    time_and_batch = int(np.prod(x[1].shape if isinstance(x, tuple) else x.shape[:-1]))
    steps = Steps(Roundings(u, time_and_batch + rows + 2, signs))
    function = transition_written_out if isinstance(layer, Transition) else written_out
    outputs = flatten(function(layer, weights, steps, *unflatten(tuple(inputs), iter(leaves))))
    torch.autograd.backward(outputs, [copied(to_torch(grad, "cpu")) for grad in grads])
    return Evaluation(
        [to_numpy(y) for y in outputs],
        [
            to_numpy(torch.zeros_like(leaf) if leaf.grad is None else leaf.grad)
            for leaf in leaves
            if leaf.is_floating_point()
        ],
        {name: to_numpy(p.grad) for name, p in weights.items() if p.grad is not None},
    )
