"""What torch alone computes in, bfloat16 and TF32, is held against the truth within bounds of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gdl_numpy import nn
from parity_tests.harness import check
from parity_tests.harness.rounding import PRECISIONS, precision_of
from parity_tests.support.reports import batch, fails

if TYPE_CHECKING:
    from collections.abc import Callable

MODELS: dict[str, tuple[Callable[[], nn.Module], Callable[[], torch.nn.Module], tuple[int, ...]]] = {
    "MLP": (
        lambda: nn.Sequential(nn.Linear(300, 40, rng=0), nn.Tanh(), nn.Linear(40, 5, rng=1)),
        lambda: torch.nn.Sequential(torch.nn.Linear(300, 40), torch.nn.Tanh(), torch.nn.Linear(40, 5)),
        (20, 300),
    ),
    "CNN": (
        lambda: nn.Sequential(nn.Conv2d(3, 8, 3, rng=0), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()),
        lambda: torch.nn.Sequential(
            torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(), torch.nn.MaxPool2d(2), torch.nn.Flatten()
        ),
        (4, 3, 10, 10),
    ),
    "LSTM": (lambda: nn.LSTM(6, 5, rng=0), lambda: torch.nn.LSTM(6, 5), (7, 3, 6)),
}


@given(st.floats(width=32))
def test_numbers_are_rounded_to_bfloat16_as_torch_does(number: float) -> None:
    array = np.array([number], np.float32)
    expected = torch.from_numpy(array).bfloat16().float().numpy()
    np.testing.assert_array_equal(PRECISIONS["bfloat16"].round(array), expected)


@pytest.mark.parametrize("name", MODELS)
def test_torch_in_bfloat16(name: str) -> None:
    own, twin, shape = MODELS[name]
    report = check(own(), twin(), batch(*shape), dtype="bfloat16")
    report.raise_if_different()
    assert {c.side for c in report.comparisons if not c.run} == {"torch"}


def test_a_mistake_in_bfloat16() -> None:
    """One hundredth of a gradient too much is more than rounding there explains, with a sum of 300 terms."""

    class Wrong(nn.Linear):
        def backward(self, grad_output: np.ndarray) -> np.ndarray | None:
            grad = super().backward(grad_output)
            return None if grad is None else 1.01 * grad

    twin = torch.nn.Linear(300, 40)
    fails(check(Wrong(300, 40, rng=0), twin, batch(20, 300), dtype="bfloat16"), "torch grad_input[")


def rounded_to_tf32(tensor: torch.Tensor) -> torch.Tensor:
    """Ten bits of the significand, as tensor cores read it."""
    bits = tensor.view(torch.int32)
    return ((bits + 0x1000) & ~0x1FFF).view(torch.float32)


class ProductInTF32(torch.autograd.Function):
    """What a linear layer does on a GPU with TF32: every factor loses thirteen bits, in backward too."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(x, weight)
        return rounded_to_tf32(x) @ rounded_to_tf32(weight).T + bias

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> Any:
        x, weight = ctx.saved_tensors
        grad = rounded_to_tf32(grads[0])
        return grad @ rounded_to_tf32(weight), grad.T @ rounded_to_tf32(x), grads[0].sum(dim=0)


def test_tf32(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its errors are within the bounds of "tf32", and outside of those of "float32"."""
    linear = torch.nn.functional.linear

    def in_tf32(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        return ProductInTF32.apply(x, weight, bias) if x.dtype is torch.float32 else linear(x, weight, bias)

    monkeypatch.setattr(torch.nn.functional, "linear", in_tf32)
    own, twin, shape = MODELS["MLP"]
    check(own(), twin(), batch(*shape), dtype="tf32").raise_if_different()
    fails(check(own(), twin(), batch(*shape), dtype="float32"), "torch output")


def test_tf32_on_a_gpu() -> None:
    if not torch.cuda.is_available():
        pytest.skip("torch finds no CUDA device here")
    own, twin, shape = MODELS["MLP"]
    check(own(), twin(), batch(*shape), dtype="tf32", device="cuda").raise_if_different()


def test_other_precisions_are_refused() -> None:
    with pytest.raises(ValueError, match="expected dtype float32, float64, bfloat16, tf32, got float16"):
        precision_of(np.float16)
    with pytest.raises(ValueError, match="got float8"):
        precision_of("float8")
