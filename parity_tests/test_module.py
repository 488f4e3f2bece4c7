"""What every module can do: names, gradients that add up, modes, dtypes, state_dict; how weights start."""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from gdl_numpy import models, nn
from parity_tests.harness import check
from parity_tests.harness.evaluate import dense
from parity_tests.harness.model_cases import MODELS, ModelCase
from parity_tests.harness.rounding import unit_roundoff

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

CHANCE = 1e-9  # that a right implementation fails a statistical test, had its seed been another


def small_cnn(dtype: str = "float64") -> nn.Module:
    """Every kind of layer with parameters, without dropout."""
    return models.CNN((2, 6, 6), (3,), pool_size=2, hidden_features=(5,), dropout=0.0, rng=0, dtype=dtype)


def batch(seed: int, dtype: str = "float64") -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((4, 2, 6, 6)).astype(dtype)


def run(model: nn.Module, seed: int) -> np.ndarray | None:
    """Forward and backward on a batch and an output gradient from `seed`; gives the input's gradient."""
    y = model(batch(seed))
    grad: np.ndarray | None = model.backward(np.random.default_rng(seed + 1).standard_normal(y.shape))
    return grad


def gradients(model: nn.Module) -> dict[str, np.ndarray]:
    return {name: dense(p.grad).copy() for name, p in model.named_parameters() if p.grad is not None}


def assert_equal(actual: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]) -> None:
    assert list(actual) == list(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(actual[name], array, err_msg=name, strict=True)


# Names


@pytest.mark.parametrize(
    ("case", "variant"),
    [(case, i) for case in MODELS.values() for i in range(len(case.variants))],
    ids=lambda value: getattr(value, "name", str(value)),
)
def test_names_are_torchs_in_torchs_order(case: ModelCase, variant: int) -> None:
    """Modules and parameters, so that a state_dict moves between the sides without translation."""
    own, twin = case.build(case.variants[variant])
    children = dict(own.named_children())
    theirs = [name for name, _ in twin.named_modules() if name.partition(".")[0] in children]
    assert [name for name, _ in own.named_modules()] == ["", *theirs]
    assert [name for name, _ in own.named_parameters()] == [name for name, _ in twin.named_parameters()]
    assert list(own.state_dict()) == list(twin.state_dict())
    for name, module in own.named_modules():
        if name:
            assert type(module).__name__ == type(twin.get_submodule(name)).__name__


def test_the_name_of_a_module_within_another() -> None:
    inner = nn.Sequential(nn.Linear(2, 3), nn.Tanh())
    assert [name for name, _ in inner.named_modules("encoder")] == ["encoder", "encoder.0", "encoder.1"]
    assert [name for name, _ in inner.named_modules()] == ["", "0", "1"]


def test_sequential_is_a_sequence() -> None:
    layers = [nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1)]
    sequence = nn.Sequential(*layers)
    assert list(sequence) == layers
    assert len(sequence) == 3
    assert sequence[-1] is layers[-1]
    assert len(nn.Sequential()) == 0
    x = np.ones((1, 2), np.float32)
    assert nn.Sequential()(x) is x


def test_a_shared_parameter_is_one_parameter() -> None:
    """Two layers with one weight: listed once, in the state twice, and the gradients of both uses add up."""
    rng = np.random.default_rng(0)
    first, second = nn.Linear(3, 3, rng=rng, dtype="float64"), nn.Linear(3, 3, rng=rng, dtype="float64")
    second.weight = first.weight
    model = nn.Sequential(first, nn.Tanh(), second)
    twin = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Tanh(), torch.nn.Linear(3, 3)).double()
    assert isinstance(twin[0], torch.nn.Linear)
    twin[2].weight = twin[0].weight
    assert [name for name, _ in model.named_parameters()] == [name for name, _ in twin.named_parameters()]
    assert list(model.state_dict()) == list(twin.state_dict())
    check(model, twin, rng.standard_normal((4, 3)), dtype="float64").raise_if_different()


# Gradients


def test_gradients_add_up_until_zero_grad() -> None:
    """Two backward passes without `zero_grad` between them give the sum of what each gives alone."""
    model, alone = small_cnn(), []
    for seed in (1, 2):
        model.zero_grad()
        assert all(parameter.grad is None for parameter in model.parameters())
        run(model, seed)
        alone.append(gradients(model))
    model.zero_grad()
    run(model, 1)
    run(model, 2)
    assert_equal(gradients(model), {name: grad + alone[1][name] for name, grad in alone[0].items()})


def test_accumulated_gradients_belong_to_the_parameter() -> None:
    """Adding to a gradient, as a second batch does, changes nothing that a layer was given or gave."""
    layer = nn.Linear(3, 3, rng=0)
    x, grad = np.eye(3, dtype=np.float32), np.eye(3, dtype=np.float32)
    layer(x)
    grad_input = layer.backward(grad)
    assert grad_input is not None
    for parameter in layer.parameters():
        assert isinstance(parameter.grad, np.ndarray)
        parameter.grad += 1e3
    np.testing.assert_array_equal(x, np.eye(3))
    np.testing.assert_array_equal(grad, np.eye(3))
    np.testing.assert_array_equal(grad_input, layer.weight.data)


def test_backward_belongs_to_the_latest_forward() -> None:
    """A second forward overwrites what the first had kept."""
    model = small_cnn()
    run(model, 2)
    expected = gradients(model)
    model.zero_grad()
    model(batch(1))
    run(model, 2)
    assert_equal(gradients(model), expected)


def test_without_the_inputs_gradient_the_parameters_are_the_same() -> None:
    """What training saves by not asking for dL/dx costs nothing else, and can be had back."""
    model = small_cnn()
    whole = run(model, 1)
    assert whole is not None
    expected = gradients(model)

    model.zero_grad()
    assert model.requires_input_grad_(False) is model
    assert run(model, 1) is None
    assert_equal(gradients(model), expected)

    again = run(model.requires_input_grad_(), 1)
    np.testing.assert_array_equal(again, whole)


# Modes and dtypes


def test_train_and_eval_reach_every_module() -> None:
    model = models.MLP(4, (3, 2), rng=0)
    assert all(module.training for _, module in model.named_modules())
    assert model.eval() is model
    assert not any(module.training for _, module in model.named_modules())
    assert model.train() is model
    assert all(module.training for _, module in model.named_modules())


def test_astype_converts_in_place() -> None:
    """The module stays, its parameters stay the same objects, and gradients of the old dtype are dropped."""
    model = small_cnn("float32")
    before = {name: p.data.copy() for name, p in model.named_parameters()}
    parameters = list(model.parameters())
    parameters[0].grad = np.ones_like(parameters[0].data)
    assert model.astype(np.float64) is model
    assert all(a is b for a, b in zip(model.parameters(), parameters, strict=True))
    assert not gradients(model)
    for name, array in model.state_dict().items():
        assert array.dtype == np.float64
        np.testing.assert_array_equal(array, before[name])
    assert model(batch(0)).dtype == np.float64


def test_a_deep_copy_shares_nothing() -> None:
    model = small_cnn()
    before = {name: array.copy() for name, array in model.state_dict().items()}
    twin = copy.deepcopy(model)
    for parameter in twin.parameters():
        parameter.data += 1
    assert_equal(model.state_dict(), before)


# state_dict


def test_state_dict_is_live_and_load_state_dict_copies() -> None:
    model, other = small_cnn(), small_cnn()
    state = model.state_dict()
    next(iter(model.parameters())).data += 1
    assert_equal(state, model.state_dict())

    other.load_state_dict(state)
    assert_equal(other.state_dict(), state)
    next(iter(model.parameters())).data += 1
    assert not np.array_equal(other.state_dict()["features.0.weight"], state["features.0.weight"])


def test_load_state_dict_keeps_the_dtype() -> None:
    """A float64 state fits a float32 model, rounded; the arrays stay where they are, as optimizers expect."""
    model, state = small_cnn("float32"), small_cnn("float64").state_dict()
    arrays = [parameter.data for parameter in model.parameters()]
    model.load_state_dict(state)
    assert all(a is p.data for a, p in zip(arrays, model.parameters(), strict=True))
    assert_equal(model.state_dict(), {name: array.astype(np.float32) for name, array in state.items()})


def test_load_state_dict_not_strict() -> None:
    """Takes the keys that both have, as for a trunk under a new head; a wrong shape is still refused."""
    model = small_cnn()
    before = {name: array.copy() for name, array in model.state_dict().items()}
    new = {"features.0.weight": before["features.0.weight"] + 1}
    model.load_state_dict(new | {"head.weight": np.ones(3)}, strict=False)
    assert_equal(model.state_dict(), before | new)
    with pytest.raises(RuntimeError, match=r"'features.0.bias' has shape \(2,\), expected \(3,\)"):
        model.load_state_dict({"features.0.bias": np.ones(2)}, strict=False)


# repr


def test_repr_is_a_tree() -> None:
    assert repr(models.MLP(4, (3,), 2, "relu", 0.25)) == "\n".join(
        [
            "MLP(",
            "  (layers): Sequential(",
            "    (0): Flatten(start_dim=1, end_dim=-1)",
            "    (1): Linear(in_features=4, out_features=3, bias=True)",
            "    (2): ReLU()",
            "    (3): Dropout(p=0.25)",
            "    (4): Linear(in_features=3, out_features=2, bias=True)",
            "  )",
            ")",
        ]
    )
    assert repr(nn.Parameter(np.zeros((2, 3)))) == "Parameter(shape=(2, 3), dtype=float64)"


# How weights start

LAYERS: dict[str, tuple[Callable[[], nn.Module], Callable[[], torch.nn.Module], int]] = {
    "RNN": (lambda: nn.RNN(30, 40, 2, rng=0), lambda: torch.nn.RNN(30, 40, 2), 40),
    "LSTM": (lambda: nn.LSTM(30, 40, rng=0), lambda: torch.nn.LSTM(30, 40), 40),
    "Linear": (lambda: nn.Linear(50, 40, rng=0), lambda: torch.nn.Linear(50, 40), 50),
    "Conv2d": (lambda: nn.Conv2d(3, 40, (5, 4), rng=0), lambda: torch.nn.Conv2d(3, 40, (5, 4)), 3 * 5 * 4),
}


@pytest.mark.parametrize("make", ["numpy", "torch"])
@pytest.mark.parametrize("layer", LAYERS)
def test_parameters_start_uniform_within_one_over_root_fan_in(layer: str, make: str) -> None:
    """On both sides: no weight outside, and the interval evenly filled (Kolmogorov-Smirnov distance)."""
    own, twin, fan_in = LAYERS[layer]
    bound = 1 / math.sqrt(fan_in)
    if make == "numpy":
        arrays = own().state_dict()
    else:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            arrays = {name: p.detach().numpy() for name, p in twin().named_parameters()}
    for array in arrays.values():
        x = np.sort(array.ravel()).astype(np.float64)
        assert abs(x).max() <= bound * (1 + unit_roundoff(np.float32))
        expected = (x / bound + 1) / 2  # the share of U(-bound, bound) below x
        steps = np.arange(x.size + 1) / x.size
        distance = max(np.abs(expected - steps[1:]).max(), np.abs(expected - steps[:-1]).max())
        assert distance < math.sqrt(
            math.log(2 / CHANCE) / (2 * x.size)
        )  # Dvoretzky, Kiefer, Wolfowitz; Massart


@pytest.mark.parametrize("name", MODELS)
def test_one_seed_one_start(name: str) -> None:
    """The same weights whatever the dtype, up to its rounding; other weights from another seed or no seed."""
    make = models.MODELS[name]
    hparams = MODELS[name].variants[0]
    single, double = make(**hparams, rng=3), make(**hparams, rng=3, dtype=np.float64)
    for key, array in double.state_dict().items():
        np.testing.assert_array_equal(single.state_dict()[key], array.astype(np.float32), strict=True)
    generator = np.random.default_rng(3)
    assert_equal(make(**hparams, rng=generator).state_dict(), single.state_dict())
    fixed: tuple[str, ...] = ("transition", "output")  # which start as the identity and as zeros
    if name == "SpamClassifier":  # all of it does
        fixed += ("embedding",)
    for other in (make(**hparams, rng=generator), make(**hparams, rng=4), make(**hparams), make(**hparams)):
        drawn = {k: a for k, a in single.state_dict().items() if not k.startswith(fixed)}
        assert not any(np.array_equal(other.state_dict()[k], a) for k, a in drawn.items())


def test_no_global_random_state() -> None:
    """Making and running a model neither reads nor moves the global generator."""
    legacy = np.random.get_state()  # noqa: NPY002
    model = models.MLP(4, rng=0)
    first = model(np.ones((3, 4), np.float32))
    np.random.seed(5)  # noqa: NPY002
    np.testing.assert_array_equal(models.MLP(4, rng=0)(np.ones((3, 4), np.float32)), first)
    np.random.set_state(legacy)  # noqa: NPY002


# Dropout


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_dropout_keeps_its_share(p: float, dtype: str) -> None:
    """The fraction kept is 1 - p within Hoeffding's bound, and what is kept is divided by it."""
    layer, n = nn.Dropout(p, rng=0), 100_000
    x = np.random.default_rng(1).uniform(1, 2, (n // 100, 100)).astype(dtype)
    first, second = layer(x), layer(x)
    for y in (first, second):
        kept = y != 0
        assert abs(kept.mean() - (1 - p)) < math.sqrt(math.log(2 / CHANCE) / (2 * n))
        np.testing.assert_allclose(y[kept], x[kept] / (1 - p), rtol=4 * unit_roundoff(dtype))
    both = ((first != 0) & (second != 0)).mean()
    assert abs(both - (1 - p) ** 2) < math.sqrt(math.log(2 / CHANCE) / (2 * n))
    neighbours = ((first[:, ::2] != 0) & (first[:, 1::2] != 0)).mean()  # each element has a draw of its own
    assert abs(neighbours - (1 - p) ** 2) < math.sqrt(math.log(2 / CHANCE) / n)
    np.testing.assert_array_equal(layer.backward(x), second)


def test_dropout_masks_do_not_depend_on_the_dtype() -> None:
    x = np.ones((40, 50))
    single, double = (nn.Dropout(0.3, rng=0)(x.astype(dtype)) for dtype in ("float32", "float64"))
    np.testing.assert_array_equal(single != 0, double != 0)


@pytest.mark.parametrize(("p", "training"), [(0.0, True), (0.5, False), (1.0, False)])
def test_dropout_that_does_nothing(p: float, training: bool) -> None:
    """With p = 0, and when evaluating: the input itself, and the generator is not touched."""
    layer = nn.Dropout(p, rng=0).train(training)
    x = np.ones(5, np.float32)
    before = copy.deepcopy(layer.rng.bit_generator.state)
    np.testing.assert_array_equal(layer(x), x)
    np.testing.assert_array_equal(layer.backward(x), x)
    assert layer.rng.bit_generator.state == before


def test_dropout_of_everything() -> None:
    layer, x = nn.Dropout(1.0, rng=0), np.ones(5, np.float32)
    np.testing.assert_array_equal(layer(x), np.zeros(5, np.float32), strict=True)
    np.testing.assert_array_equal(layer.backward(x), np.zeros(5, np.float32), strict=True)
