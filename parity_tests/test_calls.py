"""A layer that runs several times before its gradients are asked for gets every call's, as in torch."""

from __future__ import annotations

import copy
import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gdl_numpy import nn
from gdl_numpy.data import Batches, load
from gdl_numpy.models import MLP
from gdl_numpy.nn.calls import KEPT
from gdl_numpy.optim import SGD
from gdl_numpy.tasks import Classification
from gdl_numpy.training import evaluate, fit
from parity_tests.harness.evaluate import dense, flatten, is_floating, unflatten
from parity_tests.harness.layer_cases import LAYERS, LayerCase
from parity_tests.harness.model_cases import MODELS


def gradients(module: nn.Module) -> dict[str, np.ndarray]:
    return {name: dense(p.grad) for name, p in module.named_parameters() if p.grad is not None}


def back(module: nn.Module, output: Any, seed: int) -> list[np.ndarray]:
    """Backward from random gradients of an output; gives those of the inputs."""
    rng = np.random.default_rng(seed)
    grads = [
        float(rng.standard_normal()) if isinstance(y, float) else rng.standard_normal(y.shape).astype(y.dtype)
        for y in flatten(output)
    ]
    grad = unflatten(output, iter(grads))
    return flatten(module.backward(*grad) if isinstance(output, tuple) else module.backward(grad))


@pytest.mark.parametrize("case", [c for c in LAYERS.values() if c.name != "Dropout"], ids=lambda c: c.name)
@given(st.data())
def test_calls_are_taken_back_in_reverse(case: LayerCase, data: st.DataObject) -> None:
    """A layer called on two batches gives what it gives of each alone, bit for bit."""
    layer, _, _, _ = example = case.example(data.draw)
    halved = [np.asarray(x / 2) if is_floating(x) else x for x in flatten(example.inputs)]
    others = unflatten(example.inputs, iter(halved))
    arguments = example.arguments, example._replace(inputs=others).arguments

    layer = copy.deepcopy(layer).astype(np.float64).requires_input_grad_()
    first, second = (layer(*given) for given in arguments)
    found = [back(layer, second, 2), back(layer, first, 1)]
    together = gradients(layer)
    layer.zero_grad()
    alone = [back(layer, layer(*arguments[1]), 2), back(layer, layer(*arguments[0]), 1)]
    for got, expected in zip(flatten(found), flatten(alone), strict=True):
        np.testing.assert_array_equal(got, expected)
    for name, expected in gradients(layer).items():
        np.testing.assert_array_equal(together[name], expected, err_msg=name)


def test_dropout_takes_back_each_calls_own_mask() -> None:
    layer, x = nn.Dropout(0.5, rng=0), np.ones((50,))
    masks = [layer(x) for _ in range(3)]
    for mask in masks[::-1]:
        np.testing.assert_array_equal(layer.backward(x), mask)


class Siamese(nn.Module):
    """One encoder for two images, and the distance of their codes."""

    def __init__(self) -> None:
        self.encoder = nn.Sequential(nn.Linear(3, 4, rng=0, dtype="float64"), nn.Tanh())

    def forward(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        difference: np.ndarray = self.encoder(a) - self.encoder(b)
        return difference

    def backward(self, grad_output: np.ndarray) -> tuple[Any, Any]:
        grad_b = self.encoder.backward(-grad_output)
        return self.encoder.backward(grad_output), grad_b


@pytest.mark.parametrize("training", [True, False])
def test_a_second_backward_of_two_images_adds_as_much_again(training: bool) -> None:
    """As in torch, whose graph is kept. That the first is torch's is proved in `test_composites.py`."""
    model = Siamese().train(training)
    rng = np.random.default_rng(0)
    a, b, grad = rng.standard_normal((5, 3)), rng.standard_normal((5, 3)), rng.standard_normal((5, 4))
    model(a, b)
    once, again = model.backward(grad), model.backward(grad)
    for got, expected in zip(again, once, strict=True):
        np.testing.assert_array_equal(got, expected)
    together = gradients(model)
    alone = []
    for image, grad_code in ((b, -grad), (a, grad)):
        model.zero_grad()
        model.encoder(image)
        model.encoder.backward(grad_code)
        alone.append(gradients(model))
    for name, gradient in together.items():
        of_b, of_a = (found[name] for found in alone)
        np.testing.assert_array_equal(gradient, of_b + of_a + of_b + of_a, err_msg=name)


def test_two_backwards_after_one_forward_add_up() -> None:
    layer, x = nn.Linear(2, 2, rng=0, dtype="float64"), np.eye(2)
    layer(x)
    once = (layer.backward(x), gradients(layer)["weight"].copy())
    np.testing.assert_array_equal(layer.backward(x), once[0])
    np.testing.assert_array_equal(gradients(layer)["weight"], 2 * once[1])


def test_a_refused_gradient_takes_nothing_back() -> None:
    layer: Any = nn.Tanh()
    layer(np.zeros(2)), layer(np.ones(3))
    with pytest.raises(ValueError, match="grad_output"):
        layer.backward(np.ones(2))
    assert layer.backward(np.ones(3)).shape == (3,)
    assert layer.backward(np.ones(2)).shape == (2,)


# What nobody takes back


def test_evaluation_leaves_training_alone() -> None:
    """Neither the batches of `evaluate` nor passes in eval mode are taken for training's."""
    x = np.array([0.5])
    layer: Any = nn.Tanh()
    layer(x)
    slope = layer.backward(np.ones(1))
    layer.eval()(5 * x)
    layer.train()(x)
    for _ in range(2):
        np.testing.assert_array_equal(layer.backward(np.ones(1)), slope)


def test_nothing_is_kept_without_gradients() -> None:
    layer: Any = nn.Linear(2, 3)
    with nn.no_grad():
        layer(np.ones((1, 2), np.float32))
    with pytest.raises(RuntimeError, match="before forward"):
        layer.backward(np.ones((1, 3), np.float32))


def test_no_grad_is_the_threads_own() -> None:
    layer: Any = nn.Tanh()
    with nn.no_grad():
        other = threading.Thread(target=layer, args=(np.ones(2),))
        other.start()
        other.join()
    assert layer.backward(np.ones(2)).shape == (2,)


def test_what_is_never_taken_back_does_not_pile_up() -> None:
    """The last calls are kept; of the others there is no wrong gradient, but an error."""
    layer: Any = nn.Tanh()
    for _ in range(KEPT + 5):
        layer(np.ones(2))
    for _ in range(KEPT):
        layer.backward(np.ones(2))
    with pytest.raises(RuntimeError, match=f"last {KEPT} calls"):
        layer.backward(np.ones(2))
    layer(np.ones(3))
    assert layer.backward(np.ones(3)).shape == (3,)


def test_calls_within_a_module_are_all_kept() -> None:
    class Steps(nn.Module):
        def __init__(self) -> None:
            self.step: Any = nn.Linear(1, 1, bias=False, rng=0, dtype="float64")

        def forward(self, x: np.ndarray) -> np.ndarray:
            for _ in range(3 * KEPT):
                x = self.step(x)
            return x

        def backward(self, grad_output: Any) -> Any:
            for _ in range(3 * KEPT):
                grad_output = self.step.backward(grad_output)
            return grad_output

    model = Steps()
    model.step.weight.data[...] = 1
    model(np.ones((1, 1)))
    model.backward(np.ones((1, 1)))
    np.testing.assert_array_equal(gradients(model)["step.weight"], [[3 * KEPT]])


@pytest.mark.parametrize("name", MODELS)
def test_training_takes_everything_back(name: str) -> None:
    """After a step of any model, with and without the inputs' gradient, no layer holds a pass for later."""
    case = MODELS[name]
    for hparams in case.variants:
        model, _ = case.build(hparams)
        batch = case.example(hparams, 4, np.random.default_rng(0))
        for required in (False, True):
            task = case.task(model.astype(np.float64)).requires_input_grad_(required)
            task.step(SGD(model.parameters(), 0.1), batch)
            left = [layer for layer, module in task.named_modules() if module._next >= 0]
            assert not left, f"{hparams}: {left}"


# Modes and what needs no gradient


def test_evaluate_and_fit_leave_every_mode() -> None:
    data = load("digits")
    task = Classification(MLP(64, (5,), rng=0))
    dropout = task.model.layers[3]
    dropout.eval()
    evaluate(task, Batches(data.test, 100))
    assert task.model.training
    assert not dropout.training
    kept = []
    fit(
        task,
        SGD(task.model.parameters(), 0.1),
        Batches(data.train, 500, seed=0),
        epochs=1,
        progress=False,
        on_epoch=lambda *_: kept.append(dropout.training),
    )
    assert kept == [False]
    assert task.model.training
    assert not dropout.training


class HeadFirst(nn.Module):
    """Declares the layers in the order opposite to that in which they run; two of them get the input."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.head: Any = nn.Linear(4, 2, rng=rng)
        self.body: Any = nn.Linear(3, 4, rng=rng)
        self.shortcut: Any = nn.Linear(3, 4, rng=rng)

    def forward(self, x: np.ndarray) -> np.ndarray:
        y: np.ndarray = self.head(self.body(x) + self.shortcut(x))
        return y

    def backward(self, grad_output: np.ndarray) -> np.ndarray:
        grad = self.head.backward(grad_output)
        total: np.ndarray = self.shortcut.backward(grad) + self.body.backward(grad)
        return total


@pytest.mark.parametrize("wrapped", [False, True])
def test_every_layer_is_trained_in_whatever_order_it_is_declared(wrapped: bool) -> None:
    model: nn.Module = HeadFirst()
    model = nn.Sequential(model) if wrapped else model
    before = copy.deepcopy(model.state_dict())
    task = Classification(model)
    x = np.random.default_rng(0).standard_normal((6, 3)).astype(np.float32)
    task.requires_input_grad_(False).step(SGD(model.parameters(), 0.1), (x, np.array([0, 1] * 3)))
    for name, array in model.state_dict().items():
        assert not np.array_equal(array, before[name]), f"{name} was not trained"


def test_a_subclass_with_a_forward_of_its_own_skips_nothing() -> None:
    class Residual(MLP):
        def forward(self, x: np.ndarray) -> np.ndarray:
            y: np.ndarray = x + self.layers(x)
            return y

        def backward(self, grad_output: np.ndarray) -> np.ndarray:
            grad: np.ndarray = grad_output + self.layers.backward(grad_output)
            return grad

    model = Residual(4, (3,), 4, dropout=0.0, rng=0).requires_input_grad_(False)
    model(np.ones((2, 4), np.float32))
    assert model.backward(np.ones((2, 4), np.float32)).shape == (2, 4)


def test_arguments_by_name() -> None:
    layer = nn.LSTM(2, 3, rng=0)
    x = np.ones((4, 2, 2), np.float32)
    by_name = layer(x, lengths=np.array([4, 2]))
    for a, b in zip(flatten(by_name), flatten(layer(x, None, np.array([4, 2]))), strict=True):
        np.testing.assert_array_equal(a, b)
