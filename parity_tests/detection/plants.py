"""The planted mistakes: one in each term of each layer, and how they get into a layer."""

from __future__ import annotations

import inspect
import textwrap
from dataclasses import dataclass
from types import MethodType
from typing import TYPE_CHECKING, Any

from gdl_numpy.nn.calls import taking_back

if TYPE_CHECKING:
    from gdl_numpy import nn


@dataclass(frozen=True)
class Plant:
    """One mistake: in a method of the layer, or a function of its file, `old` becomes `new`."""

    kind: str
    layer: str
    function: str
    old: str
    new: str

    def __str__(self) -> str:
        return f"{self.layer} {self.function}: {self.kind} ({self.new})"


BACKWARD_PLANTS = [
    # dL/dW, dL/db and dL/dx of Linear
    Plant("wrong sign", "Linear", "backward", "rows.T @ x", "-rows.T @ x"),
    Plant("missing transpose", "Linear", "backward",
          "grad_output @ self.weight.data", "grad_output @ self.weight.data.T"),
    Plant("missing transpose", "Linear", "backward",
          "rows.T @ x.reshape(-1, self.in_features)", "(rows.T @ x.reshape(-1, self.in_features)).T"),
    Plant("divided twice", "Linear", "sum_rows", "@ matrix", "@ matrix / len(matrix)"),
    Plant("wrong axis", "Linear", "sum_rows",
          "np.ones(len(matrix), matrix.dtype) @ matrix", "matrix @ np.ones(matrix.shape[1], matrix.dtype)"),
    Plant("missing term", "Linear", "backward", "self.bias is not None", "self.bias is None"),
    # Conv2d
    Plant("wrong sign", "Conv2d", "backward", "grad_matrix +=", "grad_matrix -="),
    Plant("wrong axis", "Conv2d", "backward", "transpose(3, 2, 0, 1)", "transpose(3, 2, 1, 0)"),
    Plant("dropped accumulation", "Conv2d", "backward", "grad_matrix +=", "grad_matrix[...] ="),
    Plant("divided twice", "Conv2d", "backward", "[-1].copy()", "[-1] / len(grad_output)"),
    Plant("missing transpose", "Conv2d", "backward", "transpose(2, 3, 0, 1)", "transpose(2, 3, 1, 0)"),
    Plant("off by one", "Conv2d", "backward", "[:, ph : ph + height,", "[:, ph - 1 : ph - 1 + height,"),
    Plant("kernel turned", "Conv2d", "fold_products", "zip(matrices,", "zip(matrices[::-1],"),
    Plant("dropped accumulation", "Conv2d", "fold_products", "+=", "="),
    Plant("wrong sign", "Conv2d", "multiply_windows_backward", "= products.sum", "= -products.sum"),
    # pooling
    Plant("dropped accumulation", "MaxPool2d", "max_along_backward", "+=", "="),
    Plant("off by one", "MaxPool2d", "max_along_backward",
          "+= keep_where(winner == position,", "+= keep_where(winner == position + 1,"),
    Plant("dropped accumulation", "AvgPool2d", "backward", "+=", "="),
    Plant("missing factor", "AvgPool2d", "backward", " / len(positions)", ""),
    # activations
    Plant("missing mask", "ReLU", "backward", "keep_where(np.not_equal(y, 0), ", "np.positive("),
    Plant("gradient at zero", "ReLU", "backward", "np.not_equal(y, 0)", "np.greater_equal(y, 0)"),
    Plant("missing factor", "Sigmoid", "backward", "grad_x *= y", "pass"),
    Plant("missing factor", "Tanh", "backward", "grad_x *= grad_output", "pass"),
    Plant("missing square", "Tanh", "backward", "y * y", "y * 1"),
    Plant("wrong axis", "Softmax", "backward", "sum(axis=self.dim", "sum(axis=1 - self.dim"),
    Plant("missing term", "Softmax", "backward", "(grad_output * y).sum", "(0 * y).sum"),
    Plant("missing exponential", "LogSoftmax", "backward", "np.exp(y)", "y.copy()"),
    Plant("wrong axis", "LogSoftmax", "backward", "sum(axis=self.dim", "sum(axis=1 - self.dim"),
    Plant("wrong order", "Flatten", "backward", "reshape(x.shape)", "reshape(x.shape, order='F')"),
    Plant("missing mask", "Dropout", "backward", "grad_output * mask", "grad_output"),
    # recurrences: their products and what is shared between layers
    Plant("no time", "RNN", "unroll_backward", "weight_hh.T @ dz_t", "0 * dh_t"),
    Plant("missing transpose", "RNN", "unroll_backward", "weight_hh.T @", "weight_hh @"),
    Plant("missing factor", "RNN", "unroll_backward", "(1 - h_t * h_t)", "1"),
    Plant("off by one", "RNN", "unroll_backward", "(1 - h_t * h_t)", "(1 - h[t] * h[t])"),
    Plant("reads past the end", "RNN", "unroll_backward", "np.copyto(dz_t, 0, where=ended[t])", "pass"),
    Plant("stops at the end", "RNN", "unroll_backward", "unless_ended(ended,", "unless_ended(None,"),
    Plant("output past the end", "RNN", "run_backward", "grad_h = np.where(ended, zero, grad_h)", "pass"),
    Plant("last state forgotten", "RNN", "run_backward", "(g[layer].T)", "(0 * g[layer].T)"),
    Plant("layers mixed up", "RNN", "run_backward", "grad_start.insert(0, ", "grad_start.append("),
    Plant("off by one", "RNN", "run_backward", "trace[0][:-1]", "trace[0][1:]"),
    Plant("missing term", "RNN", "hidden_products_backward", "\"bias_hh\")", "\"bias_ih\")"),
    Plant("wrong sign", "RNN", "input_products_backward", "(columns @ x.reshape", "(-columns @ x.reshape"),
    Plant("wrong sign", "RNN", "input_products_backward", "return (columns.T @", "return (-columns.T @"),
    Plant("gates mixed up", "LSTM", "unroll_backward", "i, f, g, o =", "f, i, g, o ="),
    Plant("missing term", "LSTM", "unroll_backward", "dh + grad_h[t]", "dh"),
    Plant("missing term", "LSTM", "unroll_backward", "dc + dh_t * o * slope_c[t]", "dc"),
    Plant("missing factor", "LSTM", "unroll_backward", " * slope_c[t]", ""),
    Plant("missing square", "LSTM", "unroll_backward", "1 - tanh_c * tanh_c", "1 - tanh_c"),
    Plant("missing factor", "LSTM", "unroll_backward", "(dc_t * g,", "(dc_t,"),
    Plant("off by one", "LSTM", "unroll_backward", "(dc_t * c[t],", "(dc_t * c[t + 1],"),
    Plant("missing factor", "LSTM", "unroll_backward", "(dc_t * i,", "(dc_t,"),
    Plant("missing tanh", "LSTM", "unroll_backward", "(dh_t * tanh_c[t],", "(dh_t * c[t + 1],"),
    Plant("missing square", "LSTM", "unroll_backward", "1 - g * g", "1 - g"),
    Plant("missing factor", "LSTM", "unroll_backward", "i * (1 - i)", "(1 - i)"),
    Plant("missing factor", "LSTM", "unroll_backward", "f * (1 - f)", "f"),
    Plant("missing factor", "LSTM", "unroll_backward", "o * (1 - o)", "(1 - o)"),
    Plant("forgets nothing", "LSTM", "unroll_backward", "dc_t * f", "dc_t"),
    Plant("forgets at the end", "LSTM", "unroll_backward", "stayed=dc)", "stayed=dc_t * f)"),
    Plant("no time", "LSTM", "unroll_backward", "weight_hh.T @ dz_t", "0 * dh_t"),
    Plant("missing mask", "Embedding", "accumulate_rows", "ids != self.padding_idx", "ids >= 0"),
    # losses
    Plant("missing factor", "MSELoss", "backward", "2 * scale", "scale"),
    Plant("wrong sign", "MSELoss", "backward", "difference * (", "-difference * ("),
    Plant("missing factor", "BCELoss", "backward", "(1 - p) * p", "p"),
    Plant("missing factor", "BCELoss", "backward", "scale * (p - t)", "(p - t)"),
    Plant("missing term", "BCEWithLogitsLoss", "backward", "grad -= t", "pass"),
    Plant("off by one", "CrossEntropyLoss", "backward", "-= 1", "-= 2"),
    Plant("divided twice", "CrossEntropyLoss", "backward",
          "scale = self.grad_losses", "scale = 0.5 * self.grad_losses"),
    Plant("ignored targets counted", "CrossEntropyLoss", "backward",
          "np.where(counted, scale.reshape(-1), np.zeros((), log_p.dtype))",
          "np.broadcast_to(scale, counted.shape)"),
    # sums over bags, and the two ways in which rows are added up
    Plant("missing factor", "EmbeddingBag", "backward", "grad_output / divisor", "grad_output"),
    Plant("bags mixed up", "EmbeddingBag", "backward",
          "np.arange(len(lengths))", "np.arange(len(lengths))[::-1]"),
    # vectors of length 1
    Plant("missing term", "Normalize", "normalize_backward", "along * y", "0 * y"),
    Plant("missing factor", "Normalize", "normalize_backward", "grad_x /= norm", "pass"),
    Plant("zeros have a direction", "Normalize", "normalize_backward", "norm > eps", "norm >= 0"),
    # pairs and triplets
    Plant("missing term", "TripletMarginLoss", "backward", "pull - push, -pull - push", "pull, -pull - push"),
    Plant("missing term", "TripletMarginLoss", "backward", "-pull - push_swapped", "-pull"),
    Plant("missing term", "TripletMarginLoss", "backward", "push + push_swapped", "push"),
    Plant("wrong sign", "TripletMarginLoss", "backward", "push + push_swapped", "-push + push_swapped"),
    Plant("missing mask", "TripletMarginLoss", "backward", " * (losses > 0)", " * np.ones_like(losses)"),
    Plant("both distances", "TripletMarginLoss", "backward", "(scale * share_swapped)", "scale"),
    Plant("both distances", "TripletMarginLoss", "backward", "(scale * share)[", "scale["),
    Plant("missing term", "CosineEmbeddingLoss", "backward", "(scale * cos / m1)", "(0 * scale)"),
    Plant("missing term", "CosineEmbeddingLoss", "backward", "(scale * cos / m2)", "(0 * scale)"),
    Plant("vectors mixed up", "CosineEmbeddingLoss", "backward", "across * x2", "across * x1"),
    Plant("missing factor", "CosineEmbeddingLoss", "backward", "scale / product", "scale"),
    Plant("missing factor", "CosineEmbeddingLoss", "backward", "slope * self", "self"),
    Plant("missing term", "ContrastiveLoss", "backward", "1, -push", "1, 0"),
    Plant("wrong sign", "ContrastiveLoss", "backward", "1, -push", "1, push"),
    Plant("missing factor", "ContrastiveLoss", "backward", "2 * self", "self"),
    Plant("wrong sign", "ContrastiveLoss", "backward", "grad, -grad", "grad, grad"),
    Plant("missing factor", "ContrastiveLoss", "backward",
          "np.divide(missing, d,", "np.multiply(missing, 1,"),
    Plant("missing transpose", "NTXentLoss", "backward", "a.T @ z", "a @ z"),
    Plant("missing term", "NTXentLoss", "backward", "grad_z += a.T @ z", "pass"),
    Plant("missing term", "NTXentLoss", "backward", "-= w[:, None] / (views - 1)", "-= 0"),
    Plant("missing factor", "NTXentLoss", "backward", "w[:, None] / (views - 1)", "w[:, None]"),
    Plant("missing factor", "NTXentLoss", "backward", "(w / sums)", "(1 / sums)"),
    Plant("missing factor", "NTXentLoss", "backward", "grad_z /= self.temperature", "pass"),
    Plant("missing normalization", "NTXentLoss", "backward",
          "normalize_backward(grad_z, z, norm, 1, NORM_EPSILON)", "grad_z / norm"),
]  # fmt: skip


FORWARD_PLANTS = [
    Plant("wrong sign", "Linear", "forward", "y += self.bias.data", "y -= self.bias.data"),
    Plant("missing term", "Conv2d", "_matrix", "[weight, bias]", "[weight, 0 * bias]"),
    Plant("ties go to the last", "MaxPool2d", "max_along", "x[step] > y", "x[step] >= y"),
    Plant("missing factor", "AvgPool2d", "forward", "y /= len(positions)", "pass"),
    Plant("wrong order", "Flatten", "forward", "x.shape[end + 1 :])", "x.shape[end + 1 :], order='F')"),
    Plant("missing inversion", "Dropout", "forward", "1 / (1 - self.p) if", "1.0 if"),
    Plant("wrong axis", "Softmax", "forward", "y.sum(axis=self.dim", "y.sum(axis=1 - self.dim"),
    Plant("divided twice", "MSELoss", "forward", "difference.size)", "difference.size * 2)"),
    Plant("missing factor", "EmbeddingBag", "forward", "y /= divisor", "pass"),
    Plant("padding divides", "EmbeddingBag", "forward", "np.maximum(lengths", "np.maximum(2 + 0 * lengths"),
    Plant("padding counted", "EmbeddingBag", "forward", "ids != self.padding_idx", "ids >= 0"),
    Plant("missing root", "Normalize", "normalize", "np.sqrt", "np.asarray"),
    Plant("missing term", "TripletMarginLoss", "_distance", "difference += self.eps", "pass"),
    Plant("greater distance", "TripletMarginLoss", "forward", "np.minimum(d_far", "np.maximum(d_far"),
    Plant("missing factor", "CosineEmbeddingLoss", "forward", "sum(axis=1) / product", "sum(axis=1)"),
    Plant("targets mixed up", "ContrastiveLoss", "forward", "target == 1", "target == 0"),
    Plant("missing square", "ContrastiveLoss", "forward", "** 2", ""),
    Plant("compared with itself", "NTXentLoss", "forward", "np.fill_diagonal(scores, -np.inf)", "pass"),
    Plant("missing factor", "NTXentLoss", "forward", "scores /= self.temperature", "pass"),
    Plant("missing factor", "NTXentLoss", "forward", "mean(axis=1)", "sum(axis=1)"),
    Plant("wrong partner", "NTXentLoss", "_positives", "count // views * np", "np"),
    Plant("wrong sign", "RNN", "unroll", "h[t + 1] += z_t", "h[t + 1] -= z_t"),
    Plant("state moves on", "RNN", "unroll", "np.copyto(h[t + 1], h[t], where=ended[t])", "pass"),
    Plant("gates mixed up", "LSTM", "unroll", "i, f, g, o =", "f, i, g, o ="),
    Plant("state moves on", "LSTM", "unroll", "np.copyto(c[t + 1], c[t], where=ended[t])", "pass"),
    Plant("missing term", "LSTM", "input_products", "z += bias[:, None]", "pass"),
    Plant(
        "wrong half",
        "LSTM",
        "_activate",
        "z[: 2 * hidden], z[3 * hidden :]",
        "z[:hidden], z[hidden : 2 * hidden]",
    ),
]


def plant(layer: nn.Module, mistake: Plant) -> None:
    """Recompiles what this one layer, and no other of its class, calls: with the mistake in it."""
    function = getattr(type(layer), mistake.function, None)
    is_method = function is not None
    function = function or getattr(inspect.getmodule(type(layer)), mistake.function)
    namespace = dict(vars(inspect.getmodule(inspect.unwrap(function))))

    def compile_into_namespace(function: Any, old: str, new: str) -> None:
        source = textwrap.dedent(inspect.getsource(inspect.unwrap(function)))
        assert old in source, f"{old!r} is no longer in {mistake.layer}'s {mistake.function}"
        code = "from __future__ import annotations\n" + source.replace(old, new, 1)
        exec(compile(code, "<planted>", "exec"), namespace)

    compile_into_namespace(function, mistake.old, mistake.new)
    if is_method:
        planted = namespace[mistake.function]
        vars(layer)[mistake.function] = MethodType(
            taking_back(planted) if mistake.function == "backward" else planted, layer
        )
        return
    for method in ("forward", "backward", "unroll"):  # the function's callers must see its new version
        if hasattr(type(layer), method):
            compile_into_namespace(getattr(type(layer), method), "", "")
            compiled = namespace[method]
            vars(layer)[method] = MethodType(
                taking_back(compiled) if method == "backward" else compiled, layer
            )
