"""All mistakes that the rules are to find: those planted in every term, and subtle ones.

Subtle mistakes are small, or in one place of many, in layers large enough for them to be overlooked.
"""

from __future__ import annotations

from dataclasses import dataclass

from parity_tests.detection import twins
from parity_tests.detection.patients import find, patient
from parity_tests.detection.plants import BACKWARD_PLANTS, FORWARD_PLANTS, Plant, plant
from parity_tests.detection.twins import Twins
from parity_tests.harness.layer_cases import Example

BOTH = ("float32", "float64")
HALF = ".astype(np.float16).astype(x.dtype)"


@dataclass(frozen=True)
class Mistake:
    """Right twins, and the mistake that makes wrong ones of them.

    Attributes:
        dtypes: in which it is a mistake. What only float64 can tell from rounding is none in float32.
    """

    right: Twins
    plant: Plant
    dtypes: tuple[str, ...] = BOTH

    def __str__(self) -> str:
        change = f"{self.plant.old} → {self.plant.new}"
        return f"{self.plant.layer}, {self.plant.kind} ({self.plant.function}: {change})"

    def wrong(self) -> Example:
        """The twins with the mistake on the NumPy side."""
        example = self.right.make()
        _, faulty = find(example.numpy_module, self.plant.layer)
        plant(faulty, self.plant)
        return example


def planted(mistake: Plant) -> Mistake:
    """One of those that the suite plants, where it plants them."""
    whole = type(patient(mistake.layer)[0]).__name__
    return Mistake(Twins(f"{whole}, small", lambda: Example(*patient(mistake.layer))), mistake)


SUBTLE = [
    # sums
    Mistake(twins.linear(100, 100, 64), Plant(
        "no bias in one unit of 100", "Linear", "forward",
        "y += self.bias.data", "y[..., 1:] += self.bias.data[1:]")),
    Mistake(twins.linear(100, 100, 100), Plant(
        "one number of 10,000 is a thousandth off", "Linear", "forward",
        "y += self.bias.data", "y += self.bias.data; y[-1, -1] *= 1.001")),
    Mistake(twins.linear(100_000, 3, 4), Plant(
        "the last of 100,000 terms is left out", "Linear", "forward",
        "x @ self.weight.data.T", "x[..., :-1] @ self.weight.data.T[:-1]")),
    Mistake(twins.linear(100_000, 3, 1), Plant(
        "the last of 100,000 terms is left out, one row", "Linear", "forward",
        "x @ self.weight.data.T", "x[..., :-1] @ self.weight.data.T[:-1]")),
    Mistake(twins.linear(300, 100, 1), Plant(
        "off by a hundred-thousandth, one row", "Linear", "forward",
        "x @ self.weight.data.T", "x @ self.weight.data.T * 1.00001")),
    Mistake(twins.linear(100, 100, 64), Plant(
        "weights in half precision", "Linear", "forward", "self.weight.data.T", "self.weight.data.T" + HALF)),
    Mistake(twins.linear(1000, 10, 8), Plant(
        "accumulated in half precision", "Linear", "forward", "x @ self.weight.data.T",
        "(x[:, None] * self.weight.data).cumsum(axis=-1, dtype=np.float16)[..., -1].astype(x.dtype)")),
    Mistake(twins.linear(100, 100, 64), Plant(
        "float32 inside float64", "Linear", "forward", "x @ self.weight.data.T",
        "(x.astype(np.float32) @ self.weight.data.T.astype(np.float32)).astype(x.dtype)"), ("float64",)),
    Mistake(twins.linear(10, 10, 4096), Plant(
        "one example of 4,096 is left out", "Linear", "backward",
        "rows.T @ x.reshape(-1, self.in_features)", "rows[1:].T @ x.reshape(-1, self.in_features)[1:]")),
    Mistake(twins.linear(10, 10, 4096), Plant(
        "accumulated in half precision", "Linear", "sum_rows", "np.ones(len(matrix), matrix.dtype) @ matrix",
        "matrix.cumsum(axis=0, dtype=np.float16)[-1].astype(matrix.dtype)")),
    Mistake(twins.conv2d(4, 8, 16, 12), Plant(
        "no bias in one pixel of 144", "Conv2d", "forward", "self.save_for_backward(",
        "y[:, :, -1, -1] -= self.bias.data; self.save_for_backward(")),
    Mistake(twins.conv2d(4, 8, 16, 12), Plant(
        "weights in half precision", "Conv2d", "_matrix", "weight = self.weight.data.",
        "weight = self.weight.data.astype(np.float16).astype(self.weight.data.dtype).")),
    Mistake(twins.pool2d("MaxPool2d"), Plant(
        "a border of zeros", "MaxPool2d", "forward", "border=-np.inf", "border=0")),
    Mistake(twins.dropout(0.1), Plant(
        "scale in half precision", "Dropout", "forward", "(kept, scale,", "(kept, np.float16(scale),")),
    Mistake(twins.looked_up(5000, 1001), Plant(
        "of an id that is there twice, one is lost", "Embedding", "backward",
        "self.accumulate_rows(ids.reshape(-1), rows, np.arange(ids.size))",
        "self.accumulate_rows(np.unique(ids), rows, np.unique(ids, return_index=True)[1])")),
    # functions
    Mistake(twins.plain("GELU", 1, (100, 200)), Plant(
        "tanh for erf", "GELU", "forward", "distribution(x)", "approximate_distribution(x)")),
    Mistake(twins.plain("GELU", 1, (100, 200)), Plant(
        "tanh for erf", "GELU", "backward", "distribution(x)", "approximate_distribution(x)")),
    Mistake(twins.plain("Sigmoid", 10), Plant(
        "cut at 15", "Sigmoid", "forward", "sigmoid(x)", "sigmoid(np.clip(x, -15, 15))")),
    Mistake(twins.plain("Tanh"), Plant(
        "output in half precision", "Tanh", "forward", "np.tanh(x)", "np.tanh(x)" + HALF)),
    Mistake(twins.plain("Softmax"), Plant(
        "an epsilon of 1e-5", "Softmax", "forward", "keepdims=True)", "keepdims=True) + 1e-5")),
    Mistake(twins.plain("Softmax", 30), Plant(
        "overflows", "Softmax", "forward", "shifted(x, self.dim)", "x.copy()"), ("float32",)),
    Mistake(twins.plain("LogSoftmax", 3), Plant(
        "an epsilon of 1e-7", "LogSoftmax", "forward",
        "log_softmax(x, self.dim)", "np.log(np.exp(log_softmax(x, self.dim)) + 1e-7)")),
    Mistake(twins.normalized(1e-4), Plant(
        "an epsilon of 1e-12 within the root", "Normalize", "normalize",
        "keepdims=True)", "keepdims=True) + 1e-12")),
    # recurrences
    Mistake(twins.recurrent("LSTM", 25, 32), Plant(
        "state in half precision", "LSTM", "unroll",
        "np.tanh(c[t + 1],", "c[t + 1] = c[t + 1].astype(np.float16); np.tanh(c[t + 1],")),
    Mistake(twins.recurrent("LSTM", 25, 32), Plant(
        "one step of 25 is left out", "LSTM", "unroll_backward",
        "dz[:, t] = dz_t", "dz[:, t] = dz_t * (t != 12)")),
    Mistake(twins.recurrent("RNN", 25, 32), Plant(
        "forgets what was before the last 20 steps", "RNN", "unroll_backward",
        "moved=weight_hh.T @ dz_t", "moved=(t != 5) * (weight_hh.T @ dz_t)")),
    # losses
    Mistake(twins.classified(4096, 10, ignored=1), Plant(
        "one ignored target of 4,096 is counted", "CrossEntropyLoss", "forward",
        "float(weights.sum())", "float(weights.size)")),
    Mistake(twins.loss("MSELoss", 10_000), Plant(
        "n - 1 for n", "MSELoss", "forward", "difference.size)", "difference.size - 1)")),
    Mistake(twins.loss("MSELoss", 10_000), Plant(
        "one number of 10,000 is left out", "MSELoss", "backward",
        "grad: np.ndarray = difference * (", "difference[5] = 0; grad = difference * (")),
    Mistake(twins.loss("BCELoss", 1000), Plant(
        "an epsilon of 1e-7", "BCELoss", "forward", "np.log(prediction)", "np.log(prediction + 1e-7)")),
    Mistake(twins.loss("BCEWithLogitsLoss", 1000), Plant(
        "sigmoid cut at 10", "BCEWithLogitsLoss", "backward", "sigmoid(x)", "sigmoid(np.clip(x, -10, 10))")),
    Mistake(twins.triplets(), Plant(
        "an epsilon of 1e-7 for 1e-6", "TripletMarginLoss", "_distance", "self.eps", "0.1 * self.eps")),
    Mistake(twins.views(0.1), Plant(
        "scores in half precision", "NTXentLoss", "forward", "z @ z.T.copy()",
        "(z.astype(np.float16) @ z.T.astype(np.float16)).astype(z.dtype)")),
    # what a module does with what its layers give
    Mistake(twins.residual(20), Plant(
        "a ten-thousandth less", "Residual", "forward", "x + self.body(x)", "x + 0.9999 * self.body(x)")),
    Mistake(twins.residual(20), Plant(
        "in half precision", "Residual", "forward", "x + self.body(x)", "(x + self.body(x))" + HALF)),
    Mistake(twins.residual(20), Plant(
        "one example of 64 is left out", "Residual", "backward", "return grad_output + ",
        "return grad_output * (np.arange(len(grad_output)) > 0)[:, None] + ")),
]  # fmt: skip

MISTAKES = [*map(planted, FORWARD_PLANTS + BACKWARD_PLANTS), *SUBTLE]
