"""The checker is checked: what a layer promises besides its numbers, and what cannot be compared."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from gdl_numpy import nn
from parity_tests.harness import check
from parity_tests.support.reports import batch, fails


def test_a_backward_that_replaces_gradients() -> None:
    class Replacing(nn.Linear):
        def backward(self, grad_output: np.ndarray) -> Any:
            self.zero_grad()
            return super().backward(grad_output)

    report = check(Replacing(3, 2, rng=0), torch.nn.Linear(3, 2), batch(5, 3))
    fails(report, "numpy grad weight after a second backward")


def test_a_backward_that_spoils_what_forward_saved() -> None:
    class Once(nn.Linear):
        def backward(self, grad_output: np.ndarray) -> Any:
            grad = super().backward(grad_output)
            self.saved[0][...] = 0
            return grad

    report = check(Once(3, 2, rng=0), torch.nn.Linear(3, 2), batch(5, 3))
    fails(report, "numpy grad weight after a second backward")


def test_a_forward_that_adds_to_the_last_one() -> None:
    class Remembering(nn.Linear):
        before: Any = 0.0

        def forward(self, x: np.ndarray) -> np.ndarray:
            self.before = self.before + x
            return super().forward(self.before)

    report = check(Remembering(3, 2, rng=0), torch.nn.Linear(3, 2), batch(1, 3))
    fails(report, "grad weight after a second pass")


def test_a_layer_of_one_batch_size() -> None:
    class Fixed(nn.Module):
        """Keeps a buffer of the first batch's shape."""

        ones: Any = None

        def forward(self, x: np.ndarray) -> np.ndarray:
            if self.ones is None:
                self.ones = np.ones_like(x)
            self.save_for_backward(np.tanh(x + 0 * self.ones))
            y: np.ndarray = self.saved[0]
            return y

        def backward(self, grad_output: np.ndarray) -> Any:
            (y,) = self.saved
            return grad_output * (1 - y * y)

    fails(check(Fixed(), torch.nn.Tanh(), batch(6, 3)), "numpy output of half the batch: refused")


@pytest.mark.parametrize("inside", [False, True])
def test_a_layer_that_is_wrong_in_eval_mode_alone(inside: bool) -> None:
    class Sleepy(nn.Tanh):
        def forward(self, x: np.ndarray) -> np.ndarray:
            return super().forward(x) if self.training else 1.001 * super().forward(x)

    own: nn.Module = Sleepy()
    twin: torch.nn.Module = torch.nn.Tanh()
    if inside:
        own, twin = (
            nn.Sequential(nn.Linear(3, 3, rng=0), own),
            torch.nn.Sequential(torch.nn.Linear(3, 3), twin),
        )
    fails(check(own, twin, batch(5, 3)), "in eval mode")


def test_a_dropout_that_is_not_ours() -> None:
    class Own(nn.Module):
        def __init__(self) -> None:
            self.rng = np.random.default_rng(0)

        def forward(self, x: np.ndarray) -> np.ndarray:
            mask = (self.rng.random(x.shape) < 0.5) * 2 if self.training else np.ones(x.shape)
            self.save_for_backward(mask.astype(x.dtype))
            y: np.ndarray = x * self.saved[0]
            return y

        def backward(self, grad_output: np.ndarray) -> Any:
            return grad_output * self.saved[0]

    with pytest.raises(ValueError, match=r"draws at random.*gdl_numpy\.nn\.Dropout.*eval mode"):
        check(Own(), torch.nn.Dropout(0.5), batch(5, 30))
    check(Own().eval(), torch.nn.Dropout(0.5), batch(5, 30)).raise_if_different()


def test_ids_alone_say_nothing_of_a_dtype() -> None:
    class Square(nn.Module):
        def forward(self, ids: np.ndarray) -> Any:
            return (ids * ids).astype(np.float32)

        def backward(self, grad_output: np.ndarray) -> None:
            return None

    class TorchSquare(torch.nn.Module):
        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            return (ids * ids).float()

    assert check(Square(), TorchSquare(), np.arange(5)).dtype == "float32"


def test_half_precision_is_refused() -> None:
    with pytest.raises(ValueError, match="expected dtype float32, float64, bfloat16, tf32, got float16"):
        check(nn.Tanh(), torch.nn.Tanh(), batch(3), dtype="float16")


@pytest.mark.parametrize("count", [1, 3])
def test_another_number_of_outputs(count: int) -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            self.fc: Any = nn.Linear(3, 3, rng=0)

        def forward(self, x: np.ndarray) -> Any:
            y = self.fc(x)
            return y, y

        def backward(self, *grads: np.ndarray) -> Any:
            return self.fc.backward(grads[0] + grads[1])

    class Others(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = torch.nn.Linear(3, 3)

        def forward(self, x: torch.Tensor) -> Any:
            return (self.fc(x),) * count

    assert not check(Two(), Others(), batch(4, 3)).ok


def test_a_child_that_is_used_through_its_weight_alone() -> None:
    """As `torch.nn.MultiheadAttention` uses its `out_proj`."""

    class Through(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = torch.nn.Linear(3, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.linear(x, self.fc.weight, self.fc.bias)

    class Called(nn.Module):
        factor = 1

        def __init__(self) -> None:
            self.fc: Any = nn.Linear(3, 2, rng=0)

        def forward(self, x: np.ndarray) -> Any:
            return self.factor * self.fc(x)

        def backward(self, grad_output: np.ndarray) -> Any:
            return self.fc.backward(self.factor * grad_output)

    own = Called()
    check(own, Through(), batch(4, 3)).raise_if_different()
    own.factor = 2
    fails(check(own, Through(), batch(4, 3)), "output of the model")
