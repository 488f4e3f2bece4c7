"""The checker is checked: what a module does beside its layers, and layers that run several times."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from gdl_numpy import nn
from gdl_torch import nn as torch_nn
from parity_tests.detection.composites import Residual, TorchResidual
from parity_tests.harness import check
from parity_tests.support.reports import batch, fails

if TYPE_CHECKING:
    from collections.abc import Callable


def sequential() -> torch.nn.Sequential:
    return torch.nn.Sequential(torch.nn.Linear(4, 5), torch.nn.Tanh(), torch.nn.Linear(5, 3))


def layers() -> list[nn.Module]:
    rng = np.random.default_rng(0)
    return [nn.Linear(4, 5, rng=rng), nn.Tanh(), nn.Linear(5, 3, rng=rng)]


# What a module does with what its layers give


@pytest.mark.parametrize(
    "spoil",
    [
        lambda y: 0 * y,
        lambda y: 2 * y,
        lambda y: y + 1,
        lambda y: y[::-1],
        lambda y: y + np.roll(y, 1, axis=0),
        lambda y: y + y.dtype.type(3e-5),
    ],
    ids=["nothing", "twice", "plus one", "reversed", "another row", "a little more"],
)
@pytest.mark.usefixtures("unchecked_types")
def test_a_wrong_output_of_right_layers(spoil: Callable[[np.ndarray], np.ndarray], dtype: str) -> None:
    class Wrong(nn.Sequential):
        def forward(self, x: np.ndarray) -> np.ndarray:
            return spoil(super().forward(x))

    check(nn.Sequential(*layers()), sequential(), batch(), dtype=dtype).raise_if_different()
    fails(check(Wrong(*layers()), sequential(), batch(), dtype=dtype), "output of the model")
    loss = nn.MSELoss(), torch.nn.MSELoss()
    fails(
        check(Wrong(*layers()), sequential(), batch(), batch(6, 3), loss, dtype=dtype), "output of the model"
    )


@pytest.mark.usefixtures("unchecked_types")
def test_float32_for_float64() -> None:
    class Wrong(nn.Sequential):
        def forward(self, x: np.ndarray) -> np.ndarray:
            return super().forward(x).astype(np.float32)

    fails(check(Wrong(*layers()), sequential(), batch(), dtype="float64"), "output of the model")


def test_a_wrong_output_in_a_later_step_alone() -> None:
    class Tiring(nn.Sequential):
        calls = 0

        def forward(self, x: np.ndarray) -> np.ndarray:
            self.calls += 1
            return super().forward(x) * (1 if self.calls < 2 else 1.001)

    fails(check(Tiring(*layers()), sequential(), batch(), steps=3), "step 2: torch output of the model")


def test_a_forgotten_residual() -> None:
    class Residual(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = torch.nn.Linear(4, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y: torch.Tensor = x + self.fc(x)
            return y

    class Forgotten(nn.Module):
        def __init__(self) -> None:
            self.fc: Any = nn.Linear(4, 4, rng=0)

        def forward(self, x: np.ndarray) -> Any:
            return self.fc(x)

        def backward(self, grad_output: np.ndarray) -> Any:
            return self.fc.backward(grad_output)

    class Kept(Forgotten):
        def forward(self, x: np.ndarray) -> Any:
            return x + self.fc(x)

        def backward(self, grad_output: np.ndarray) -> Any:
            return grad_output + self.fc.backward(grad_output)

    check(Kept(), Residual(), batch()).raise_if_different()
    fails(check(Forgotten(), Residual(), batch()), "output of the model")
    inside = check(
        nn.Sequential(Forgotten(), nn.Tanh()), torch.nn.Sequential(Residual(), torch.nn.Tanh()), batch()
    )
    fails(inside, "0: torch output in the model")


def test_a_residual_around_a_layer_that_returns_its_very_input(dtype: str) -> None:
    """As dropout does in eval mode: what comes back to it is not what comes back to the sum's other term."""
    own = Residual(nn.Sequential(nn.Dropout(0.5, rng=0), nn.Linear(4, 4, rng=0)))
    twin = TorchResidual(torch.nn.Sequential(torch.nn.Dropout(0.5), torch.nn.Linear(4, 4)))
    check(own, twin, batch(), dtype=dtype).raise_if_different()
    in_eval_mode = nn.Sequential(nn.Tanh(), own.eval()), torch.nn.Sequential(torch.nn.Tanh(), twin.eval())
    check(*in_eval_mode, batch(), dtype=dtype).raise_if_different()


@pytest.mark.usefixtures("unchecked_types")
def test_a_sum_in_half_precision_does_not_hide_behind_its_own_jumps(dtype: str) -> None:
    """In float32 a disturbed copy of it jumps as far as its mistake is large, and so explains it."""

    class Rounding(Residual):
        def forward(self, x: np.ndarray) -> Any:
            return super().forward(x).astype(np.float16).astype(x.dtype)

    twin = TorchResidual(torch.nn.Linear(20, 20))
    fails(check(Rounding(nn.Linear(20, 20, rng=0)), twin, batch(64, 20), dtype=dtype), "output of the model")


def test_the_rounding_of_what_only_rounding_made(dtype: str) -> None:
    """A vector of one number has no direction but its sign: two layers whose gradients are exactly 0."""
    own = nn.Sequential(*(nn.Linear(1, 1, rng=i) if i % 2 else nn.Normalize(-1) for i in range(4)))
    twin = torch.nn.Sequential(
        *(torch.nn.Linear(1, 1) if i % 2 else torch_nn.Normalize(-1) for i in range(4))
    )
    check(own, twin, batch(200, 1), dtype=dtype).raise_if_different()


class Own(nn.Module):
    """Arithmetic and parameters beside a layer: y = (x + α fc(x)) / 3 + b."""

    factor = 1.0

    def __init__(self) -> None:
        self.fc: Any = nn.Linear(4, 4, rng=0)
        self.alpha = nn.Parameter(np.array([0.7], np.float32))
        self.bias = nn.Parameter(np.linspace(-1, 1, 4).astype(np.float32))

    def forward(self, x: np.ndarray) -> Any:
        h = self.fc(x)
        self.save_for_backward(h)
        return (x + self.alpha.data * h) / 3 + self.bias.data

    def backward(self, grad_output: np.ndarray) -> Any:
        (h,) = self.saved
        grad = grad_output / 3
        self.bias.accumulate(grad_output.sum(axis=0))
        self.alpha.accumulate(self.factor * np.array([(grad * h).sum()], h.dtype))
        return grad + self.fc.backward(grad * self.alpha.data)


class TorchOwn(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = torch.nn.Linear(4, 4)
        self.alpha = torch.nn.Parameter(torch.zeros(1))
        self.bias = torch.nn.Parameter(torch.zeros(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = (x + self.alpha * self.fc(x)) / 3 + self.bias
        return y


@pytest.mark.parametrize("rows", [1, 6, 2000])
def test_arithmetic_and_parameters_beside_layers(dtype: str, rows: int) -> None:
    check(Own(), TorchOwn(), batch(rows, 4), dtype=dtype).raise_if_different()
    two = nn.Sequential(Own(), nn.Tanh()), torch.nn.Sequential(TorchOwn(), torch.nn.Tanh())
    check(*two, batch(rows, 4), dtype=dtype).raise_if_different()


def test_a_wrong_gradient_of_a_parameter_beside_layers(dtype: str) -> None:
    own = Own()
    own.factor = 1.001
    fails(check(own, TorchOwn(), batch(), dtype=dtype), "module: torch grad alpha in the model")


# Layers that run several times


class Siamese(nn.Module):
    twice = True

    def __init__(self) -> None:
        self.encoder = nn.Sequential(*layers())

    def forward(self, a: np.ndarray, b: np.ndarray) -> Any:
        return self.encoder(a) - self.encoder(b)

    def backward(self, grad_output: np.ndarray) -> Any:
        grad_b = self.encoder.backward(-grad_output)
        return self.encoder.backward(grad_output if self.twice else -grad_output), grad_b


class TorchSiamese(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = sequential()

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.encoder(a) - self.encoder(b)
        return y


def test_an_encoder_called_twice(dtype: str) -> None:
    own, images = Siamese(), (batch(), 2 * batch())
    check(own, TorchSiamese(), images, dtype=dtype).raise_if_different()
    own.twice = False
    fails(check(own, TorchSiamese(), images, dtype=dtype), "encoder: torch grad_output in the model")


def test_dropout_called_twice_keeps_different_things() -> None:
    def make(module: Any, linear: Any, dropout: Any) -> Any:
        class Twice(module):  # type: ignore[misc]
            def __init__(self) -> None:
                super().__init__()
                self.fc, self.dropout = linear, dropout

            def forward(self, x: Any) -> Any:
                return self.dropout(self.fc(self.dropout(x)))

            def backward(self, grad_output: Any) -> Any:
                return self.dropout.backward(self.fc.backward(self.dropout.backward(grad_output)))

        return Twice()

    own = make(nn.Module, nn.Linear(4, 4, rng=0), nn.Dropout(0.5, rng=0))
    twin = make(torch.nn.Module, torch.nn.Linear(4, 4), torch.nn.Dropout(0.5))
    check(own, twin, batch()).raise_if_different()


def test_a_layer_with_two_names_is_listed_under_both() -> None:
    def share(module: Any) -> Any:
        class Pair(module):  # type: ignore[misc]
            scale = 1.0

            def __init__(self, layer: Any) -> None:
                super().__init__()
                self.left = layer
                self.right = self.left

            def forward(self, x: Any) -> Any:
                return self.right(self.left(x))

            def backward(self, grad_output: Any) -> Any:
                return self.left.backward(self.scale * self.right.backward(grad_output))

        return Pair

    own, twin = share(nn.Module)(nn.Linear(4, 4, rng=0)), share(torch.nn.Module)(torch.nn.Linear(4, 4))
    report = check(own, twin, batch())
    report.raise_if_different()
    assert {"left = right", "left = right (call 2)"} <= {c.layer for c in report.comparisons}
    own.scale = 2
    fails(check(own, twin, batch()), "left = right: torch grad_output in the model")
    apart = torch.nn.Sequential()
    apart.left, apart.right = torch.nn.Linear(4, 4), torch.nn.Linear(4, 4)
    with pytest.raises(
        ValueError, match="'left' and 'right' are one module in numpy_module, but not in torch_module"
    ):
        check(own, apart, batch())


def test_tied_weights(dtype: str) -> None:
    def tie(module: Any, table: Any, linear: Any) -> Any:
        class Tied(module):  # type: ignore[misc]
            def __init__(self) -> None:
                super().__init__()
                self.embedding, self.decoder = table, linear
                self.decoder.weight = self.embedding.weight

            def forward(self, ids: Any) -> Any:
                return self.decoder(self.embedding(ids))

            def backward(self, grad_output: Any) -> None:
                self.embedding.backward(self.decoder.backward(grad_output))

        return Tied()

    own = tie(nn.Module, nn.Embedding(7, 4, rng=0), nn.Linear(4, 7, rng=0))
    twin = tie(torch.nn.Module, torch.nn.Embedding(7, 4), torch.nn.Linear(4, 7))
    assert list(own.state_dict()) == list(twin.state_dict())
    ids = np.random.default_rng(0).integers(0, 7, 9)
    loss = nn.CrossEntropyLoss(), torch.nn.CrossEntropyLoss()
    check(own, twin, ids, ids[::-1].copy(), loss, steps=3, dtype=dtype).raise_if_different()


def test_another_number_of_calls_is_told() -> None:
    class Thrice(torch.nn.Sequential):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            layers: Any = self
            y: torch.Tensor = layers[1](layers[1](layers[0](x)))
            return y

    own = nn.Sequential(nn.Linear(4, 4, rng=0), nn.ReLU())
    report = check(own, Thrice(torch.nn.Linear(4, 4), torch.nn.ReLU()), batch())
    fails(report, "1: torch side: is called 2 times, expected 1")


# Memory


def test_a_torch_layer_that_works_in_place() -> None:
    own = nn.Sequential(nn.Linear(4, 3, rng=0), nn.ReLU())
    twin = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU(inplace=True))
    check(own, twin, batch()).raise_if_different()
    check(nn.ReLU(), torch.nn.ReLU(inplace=True), batch()).raise_if_different()


def test_a_layer_that_writes_into_what_it_is_given() -> None:
    class InPlace(nn.Module):
        def forward(self, x: np.ndarray) -> np.ndarray:
            np.tanh(x, out=x)
            self.save_for_backward(x.copy())
            return x

        def backward(self, grad_output: np.ndarray) -> np.ndarray:
            (y,) = self.saved
            grad_output *= 1 - y * y
            return grad_output

    check(InPlace(), torch.nn.Tanh(), batch()).raise_if_different()
    rng = np.random.default_rng(0)
    own = nn.Sequential(nn.Linear(4, 3, rng=rng), InPlace(), nn.Linear(3, 2, rng=rng))
    twin = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Tanh(), torch.nn.Linear(3, 2))
    check(own, twin, batch()).raise_if_different()


# What one side has alone


def test_buffers_and_frozen_parameters_of_torchs() -> None:
    class Masked(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = torch.nn.Linear(4, 3)
            self.register_buffer("mask", torch.ones(3))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y: torch.Tensor = self.fc(x)
            return y

    class Plain(nn.Module):
        def __init__(self) -> None:
            self.fc = nn.Linear(4, 3, rng=0)

        def forward(self, x: np.ndarray) -> Any:
            return self.fc(x)

        def backward(self, grad_output: np.ndarray) -> Any:
            return self.fc.backward(grad_output)

    twin = Masked()
    twin.fc.bias.requires_grad_(False)
    check(Plain(), twin, batch(), steps=3).raise_if_different()


def test_outputs_in_a_dict() -> None:
    def make(module: Any, a: Any, b: Any) -> Any:
        class Heads(module):  # type: ignore[misc]
            wrong = 1.0

            def __init__(self) -> None:
                super().__init__()
                self.a, self.b = a, b

            def forward(self, x: Any) -> Any:
                return {"a": self.a(x), "b": self.b(x)}

            def backward(self, grads: Any) -> Any:
                return self.a.backward(grads["a"]) + self.wrong * self.b.backward(grads["b"])

        return Heads()

    rng = np.random.default_rng(0)
    own = make(nn.Module, nn.Linear(4, 2, rng=rng), nn.Linear(4, 3, rng=rng))
    twin = make(torch.nn.Module, torch.nn.Linear(4, 2), torch.nn.Linear(4, 3))
    check(own, twin, batch()).raise_if_different()
    own.wrong = 2
    fails(check(own, twin, batch()), "grad_input of the model")


@pytest.mark.parametrize("name", ["loss", "model", "task"])
def test_names_decide_nothing(name: str) -> None:
    """A layer of the user's may be called as one of ours is."""

    def make(module: Any, layer: Any) -> Any:
        class Named(module):  # type: ignore[misc]
            wrong = 1.0

            def __init__(self) -> None:
                super().__init__()
                setattr(self, name, layer)

            def forward(self, x: Any) -> Any:
                return getattr(self, name)(x)

            def backward(self, grad_output: Any) -> Any:
                return self.wrong * getattr(self, name).backward(grad_output)

        return Named()

    own, twin = make(nn.Module, nn.Linear(4, 3, rng=0)), make(torch.nn.Module, torch.nn.Linear(4, 3))
    loss = nn.MSELoss(), torch.nn.MSELoss()
    for targets in ((), (batch(6, 3), loss)):
        report = check(own, twin, batch(), *targets)
        report.raise_if_different()
        assert name in {c.layer for c in report.comparisons}
    own.wrong = 2
    fails(check(own, twin, batch()), "grad_input of the model")
