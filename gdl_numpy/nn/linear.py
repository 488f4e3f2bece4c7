"""The fully connected layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import DTypeLike

from gdl_numpy.nn.checks import check_floating, check_grad_output, whole
from gdl_numpy.nn.init import fan_in_uniform
from gdl_numpy.nn.module import Module, Parameter

if TYPE_CHECKING:
    from jaxtyping import Float


class Linear(Module):
    """y = x Wᵀ + b, as `torch.nn.Linear`.

    With G = dL/dy, and the batch dimensions of x and G flattened into rows:

        dL/dx = G W        dL/dW = Gᵀ x        dL/db = Σ_rows G

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
        """Raises ValueError for sizes below 1."""
        in_features, out_features = whole("Linear", in_features=in_features, out_features=out_features)
        rng = np.random.default_rng(rng)
        self.in_features, self.out_features = in_features, out_features
        self.weight = fan_in_uniform((out_features, in_features), in_features, rng, dtype)
        self.bias: Parameter | None = (
            fan_in_uniform((out_features,), in_features, rng, dtype) if bias else None
        )

    def forward(self, x: Float[np.ndarray, "*batch in_features"]) -> Float[np.ndarray, "*batch out_features"]:
        """Raises ValueError for another number of features or another dtype than the weight's."""
        check_floating(self, weight=self.weight.data, input=x)
        if x.ndim == 0 or x.shape[-1] != self.in_features:
            raise ValueError(f"{self!r} expects an input of shape (*, {self.in_features}), got {x.shape}")
        y: np.ndarray = x @ self.weight.data.T
        if self.bias is not None:
            y += self.bias.data
        self.save_for_backward(x, y.shape)
        return y

    def backward(
        self, grad_output: Float[np.ndarray, "*batch out_features"]
    ) -> Float[np.ndarray, "*batch in_features"] | None:
        x, output_shape = self.saved
        check_grad_output(self, grad_output, output_shape, x.dtype)
        rows = grad_output.reshape(-1, self.out_features)
        self.weight.accumulate(rows.T @ x.reshape(-1, self.in_features))
        if self.bias is not None:
            self.bias.accumulate(sum_rows(rows))
        return grad_output @ self.weight.data if self.needs_input_grad else None

    def extra_repr(self) -> str:
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"
        )


def sum_rows(matrix: Float[np.ndarray, "rows columns"]) -> Float[np.ndarray, " columns"]:
    """Σ over rows, as a product with ones: BLAS adds rows up several times faster than `sum(axis=0)`."""
    sums: np.ndarray = np.ones(len(matrix), matrix.dtype) @ matrix
    return sums
