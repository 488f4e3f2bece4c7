"""The checker is checked: it sees mistakes outside the layers, says where, and does not cry wolf."""

from __future__ import annotations

import copy
from types import MethodType
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from gdl_numpy import models, nn, optim
from gdl_numpy.tasks import Task
from gdl_torch import models as torch_models
from gdl_torch import nn as torch_nn
from parity_tests.harness import ParityReport, check
from parity_tests.harness.layer_cases import LAYERS

if TYPE_CHECKING:
    from collections.abc import Callable


def test_a_model_that_connects_right_layers_wrongly() -> None:
    """No layer is at fault alone; the report names the boundary where the gradient goes wrong."""

    class Doubling(models.CNN):
        def backward(self, grad_output: np.ndarray) -> np.ndarray | None:
            grad = self.classifier.backward(grad_output)
            assert grad is not None
            return self.features.backward(2 * grad)

    hparams: dict[str, Any] = {"in_shape": [2, 9, 8], "channels": [3]}
    x = np.random.default_rng(0).standard_normal((4, 2, 9, 8))
    report = check(Doubling(**hparams, rng=0), torch_models.CNN(**hparams), x)
    assert report.first_disagreement is not None
    assert (report.first_disagreement.layer, report.first_disagreement.tensor) == (
        "features",
        "grad_output in the model",
    )


def test_a_loss_of_all_that_a_model_gives() -> None:
    """Two views through one encoder, one loss of both: each gradient goes back to where it came from."""

    class Views(nn.Module):
        swapped = False

        def __init__(self) -> None:
            self.encoder = nn.Linear(5, 4, rng=0)

        def forward(self, x1: np.ndarray, x2: np.ndarray) -> Any:
            z = self.encoder(np.concatenate([x1, x2]))
            return z[: len(x1)], z[len(x1) :]

        def backward(self, *grads: np.ndarray) -> Any:
            grad_x = self.encoder.backward(np.concatenate(grads[::-1] if self.swapped else grads))
            return grad_x[: len(grads[0])], grad_x[len(grads[0]) :]  # type: ignore[index]

    class TorchViews(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = torch.nn.Linear(5, 4)

        def forward(self, x1: torch.Tensor, x2: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            z = self.encoder(torch.cat([x1, x2]))
            return z[: len(x1)], z[len(x1) :]

    own, views = Views(), tuple(np.random.default_rng(0).standard_normal((2, 3, 5)))
    losses = nn.NTXentLoss(), torch_nn.NTXentLoss()
    for dtype in ("float32", "float64"):
        check(own, TorchViews(), views, loss=losses, dtype=dtype).raise_if_different()
    own.swapped = True
    report = check(own, TorchViews(), views, loss=losses)
    assert report.first_disagreement is not None
    assert report.first_disagreement.tensor == "grad_output in the model"


def test_a_wrong_optimizer_shows_in_the_first_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Layers and gradients agree, parameters after the step do not."""

    def no_bias_correction(
        self: optim.Adam, t: int, data: Any, grad: Any, exp_avg: Any, exp_avg_sq: Any
    ) -> None:
        exp_avg += 0.1 * (grad - exp_avg)
        exp_avg_sq += 0.001 * (grad * grad - exp_avg_sq)
        data -= self.lr * exp_avg / (np.sqrt(exp_avg_sq) + self.eps)

    layer, x = nn.Linear(3, 4, rng=0), np.random.default_rng(0).standard_normal((5, 3))
    assert check(layer, torch.nn.Linear(3, 4), x, optimizer="Adam").ok
    monkeypatch.setattr(optim.Adam, "moments_step", no_bias_correction)
    report = check(layer, torch.nn.Linear(3, 4), x, optimizer="Adam")
    assert report.first_disagreement is not None
    assert report.first_disagreement.layer == "step 1"


def test_a_home_made_layer() -> None:
    """The same call works on anyone's layer, and on a torch class that no bound has been written for."""

    class Scale(nn.Module):
        def __init__(self) -> None:
            self.weight = nn.Parameter(np.linspace(1, 2, 4))

        def forward(self, x: np.ndarray) -> Any:
            self.save_for_backward(x)
            return x * self.weight.data

        def backward(self, grad_output: np.ndarray) -> Any:
            (x,) = self.saved
            self.weight.accumulate((grad_output * x).sum(axis=0))
            return grad_output * self.weight.data

    class TorchScale(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(4))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * self.weight

    x = np.random.default_rng(0).standard_normal((5, 4))
    assert check(Scale(), TorchScale(), x, dtype="float32").ok
    assert check(Scale(), TorchScale(), x, dtype="float64").ok
    plant_free = Scale()
    vars(plant_free)["backward"] = MethodType(lambda self, grad: grad * self.weight.data, plant_free)
    report = check(plant_free, TorchScale(), x)
    assert "backward gave none" in str(report)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda y: y.astype(np.float64), "has dtype float64, expected float32"),
        (lambda y: y[:, :-1], "has shape (4, 5), expected (4, 6)"),
        (lambda y: y * np.float32(1 + 3e-6), "error"),  # 50 units in the last place
    ],
)
@pytest.mark.usefixtures("unchecked_types")
def test_shape_dtype_and_small_errors(spoil: Callable[[np.ndarray], np.ndarray], message: str) -> None:
    """A result may not be upcast, cut short, or off by more than rounding, even a little."""

    class Spoilt(nn.Tanh):
        def forward(self, x: np.ndarray) -> np.ndarray:
            y = super().forward(x)
            return spoil(y) if y.dtype == np.float32 else y

    x = np.random.default_rng(0).standard_normal((4, 6))
    assert message in str(check(Spoilt(), torch.nn.Tanh(), x, dtype="float32"))


def test_half_the_mantissa_is_not_float32() -> None:
    """What TF32 does to a product (11 bits of mantissa in each factor) is far outside the bound."""

    class Tf32Linear(torch.nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            def cut(t: torch.Tensor) -> torch.Tensor:
                return t + (((t.view(torch.int32) >> 13) << 13).view(torch.float32) - t).detach()

            return (
                torch.nn.functional.linear(cut(x), cut(self.weight), self.bias)
                if x.dtype == torch.float32
                else super().forward(x)
            )

    x = np.random.default_rng(0).standard_normal((16, 64))
    assert not check(nn.Linear(64, 32, rng=0), Tf32Linear(64, 32), x, dtype="float32").ok


def test_nan_passes_through_and_is_located() -> None:
    """A nan on both sides is agreement; the report says which layer made it."""

    class Log(nn.Module):
        def forward(self, x: np.ndarray) -> Any:
            self.save_for_backward(x)
            return np.log(x)

        def backward(self, grad_output: np.ndarray) -> Any:
            return grad_output / self.saved[0]

    class TorchLog(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.log()

    x = np.random.default_rng(0).standard_normal((4, 3))
    report = check(
        nn.Sequential(nn.Tanh(), Log(), nn.ReLU()),
        torch.nn.Sequential(torch.nn.Tanh(), TorchLog(), torch.nn.ReLU()),
        x,
    )
    assert report.first_nan == "1"
    assert report.ok, str(report)
    x[1, 1] = np.nan
    assert check(nn.Tanh(), torch.nn.Tanh(), x).first_nan == "the input"


def test_check_changes_neither_module() -> None:
    own, twin = models.MLP(25, rng=0), torch_models.MLP(25)
    before = copy.deepcopy(own.state_dict()), copy.deepcopy(twin.state_dict())
    check(own, twin, np.random.default_rng(0).standard_normal((3, 25)))
    for key, value in own.state_dict().items():
        np.testing.assert_array_equal(value, before[0][key])
        assert torch.equal(twin.state_dict()[key], before[1][key])
        assert dict(own.named_parameters())[key].grad is None


def test_different_parameters_are_refused() -> None:
    with pytest.raises(ValueError, match="do not have the same parameters"):
        check(nn.Linear(3, 4), torch.nn.Linear(4, 3), np.ones((2, 3)))
    with pytest.raises(ValueError, match="no layer named '1'"):
        check(nn.Sequential(nn.Tanh(), nn.ReLU()), torch.nn.Sequential(torch.nn.Tanh()), np.ones((2, 3)))


def test_every_layer_is_in_the_registry() -> None:
    """A new layer gets its tests by its row; without one it would get none."""
    layers = {name for name in nn.__all__ if isinstance(getattr(nn, name), type)}
    assert layers - {"Module", "ReadsIds", "Sequential", "Loss", "Parameter", "SparseRows"} == set(LAYERS)
    assert isinstance(check(nn.ReLU(), torch.nn.ReLU(), np.ones((1, 1))), ParityReport)


def test_training_on_a_batch_for_each_step() -> None:
    """The losses that are compared are those of plain training on the same batches, over and over."""
    own, twin = models.MLP(6, rng=3), torch_models.MLP(6)
    rng = np.random.default_rng(0)
    batches = [(rng.standard_normal((n, 6)), rng.integers(0, 10, n)) for n in (5, 4)]
    losses = nn.CrossEntropyLoss(), torch.nn.CrossEntropyLoss()
    done: list[int] = []
    report = check(own, twin, *batches[0], losses, steps=3, batches=batches[1:], on_step=done.append)
    assert report.ok
    assert done == [1, 2, 3]

    plain = copy.deepcopy(own).astype(np.float64)
    task, optimizer = Task(plain, losses[0]), optim.SGD(plain.parameters(), lr=0.1)
    for step, (inputs, targets) in enumerate([*batches, batches[0]], start=1):
        loss = task.step(optimizer, (inputs, targets))
        (compared,) = (c for c in report.comparisons if (c.layer, c.tensor) == (f"step {step}", "loss"))
        assert compared.expected == loss


def test_nan_in_a_later_batch_is_located() -> None:
    x = np.ones((2, 3))
    report = check(
        nn.Linear(3, 4), torch.nn.Linear(3, 4), x, steps=3, batches=[(x, None), (x * np.nan, None)]
    )
    assert report.first_nan == "the input in step 3"
    assert report.ok
