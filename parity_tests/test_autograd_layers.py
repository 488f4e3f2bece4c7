"""Chapter 13's layers, losses, optimizers and models against torch's and against the hand-written ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import gdl_torch.models
from gdl_numpy import autograd, models, nn, optim
from gdl_numpy.autograd import Tensor
from gdl_numpy.replays.language_model import LanguageModel, detached
from gdl_torch.tasks import detached as torch_detached
from parity_tests.harness import FromAutograd, check
from parity_tests.harness.evaluate import dense
from parity_tests.harness.evaluate_torch import twin
from parity_tests.harness.rounding import gamma, unit_roundoff
from parity_tests.support import assert_within, moved_by_rounding, nothing, numbers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from parity_tests.harness import ParityReport
    from parity_tests.support import Disturb, State

    Agree = Callable[[ParityReport], None]

sizes = st.integers(1, 4)
seeds = st.integers(0, 2**32 - 1)
DTYPES = ("float32", "float64")


@pytest.mark.parametrize("name", ["RNNCell", "LSTMCell"])
@given(sizes, sizes, sizes, st.booleans(), seeds)
def test_cells(
    name: str, dtype: str, batch: int, inputs: int, hidden: int, from_state: bool, seed: int
) -> None:
    """One step from a state or from none, with all gradients and two steps of learning, against torch's."""
    rng = np.random.default_rng(seed)
    x, h, c = (rng.standard_normal((batch, n)) for n in (inputs, hidden, hidden))
    cell = getattr(autograd, name)(inputs, hidden, rng=seed)
    state = [(h, c) if name == "LSTMCell" else h] if from_state else []
    report = check(FromAutograd(cell), getattr(torch.nn, name)(inputs, hidden), (x, *state), dtype=dtype)
    report.raise_if_different()


@given(st.booleans(), sizes, sizes, seeds)
def test_layers(bias: bool, inputs: int, outputs: int, seed: int) -> None:
    """Linear, Embedding with repeated ids, activations and losses."""
    x, ids = numbers(seed, 5, inputs), np.random.default_rng(seed).integers(0, 3, (5, 2))
    linear = FromAutograd(autograd.Linear(inputs, outputs, bias, rng=seed))
    table = FromAutograd(autograd.Embedding(3, outputs, rng=seed))
    for dtype in DTYPES:
        check(linear, torch.nn.Linear(inputs, outputs, bias), x, dtype=dtype).raise_if_different()
        check(table, torch.nn.Embedding(3, outputs), ids, dtype=dtype).raise_if_different()
        for name in ("ReLU", "Sigmoid", "Tanh"):
            own, other = getattr(autograd, name)(), getattr(torch.nn, name)()
            check(FromAutograd(own), other, x, dtype=dtype).raise_if_different()
        targets = numbers(seed + 1, 5, inputs)
        own_loss = FromAutograd(autograd.MSELoss())
        check(own_loss, torch.nn.MSELoss(), x, targets, dtype=dtype).raise_if_different()


VOCABULARY, EMBEDDING, HIDDEN, FEATURES, SIDE = 6, 4, 5, 3, 6
STEPS = 50
LONGEST = 15 * max(2 * HIDDEN + VOCABULARY, (SIDE - 2) ** 2)  # terms in the longest sums, of weight gradients


@dataclass(frozen=True)
class Side:
    """What differs between the framework, the hand-written models and torch."""

    forward: Callable[[Any, np.ndarray, Any], tuple[Any, Any]]
    learn: Callable[[Any, Any, np.ndarray, Any], float]
    optimizers: Any


def own_learn(model: Any, logits: Any, targets: np.ndarray, optimizer: Any) -> float:
    loss = autograd.CrossEntropyLoss()(logits.reshape(-1, VOCABULARY), targets.reshape(-1))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return float(loss.item())


def hand_learn(model: Any, logits: Any, targets: np.ndarray, optimizer: Any) -> float:
    criterion = nn.CrossEntropyLoss()
    loss = float(criterion(logits.reshape(-1, VOCABULARY), targets.reshape(-1)))
    optimizer.zero_grad()
    model.backward(criterion.backward().reshape(logits.shape))
    optimizer.step()
    return loss


def torch_learn(model: Any, logits: Any, targets: np.ndarray, optimizer: Any) -> float:
    flat = torch.from_numpy(targets.reshape(-1))
    loss = torch.nn.functional.cross_entropy(logits.reshape(-1, VOCABULARY), flat)
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    return loss.item()


class SectionsCNN(autograd.Module):
    """Chapter 10's network: sections of an image times kernels, which is linear, then tanh and a layer."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.kernels = autograd.Linear(9, 2, rng=rng, dtype=np.float64)
        self.output = autograd.Linear(2 * (SIDE - 2) ** 2, VOCABULARY, rng=rng, dtype=np.float64)

    def forward(self, images: Tensor) -> Tensor:
        """From (N, 1, SIDE, SIDE)."""
        corners, inside = np.arange(SIDE - 2), np.arange(3)
        rows, columns = (corners[:, None] + inside for _ in range(2))
        sections = images[:, 0, rows[:, None, :, None], columns[None, :, None, :]]  # (N, rows, columns, 3, 3)
        hidden = self.kernels(sections.reshape(len(images.data), -1, 9)).tanh()  # (N, sections, kernels)
        scores: Tensor = self.output(hidden.transpose(1, 2).reshape(len(images.data), -1))
        return scores


def own_forward(model: Any, x: np.ndarray, state: Any) -> tuple[Any, Any]:
    if not isinstance(model, LanguageModel):
        return model(Tensor(x)), None
    return model(x, None if state is None else detached(state))  # type: ignore[no-any-return]


def hand_forward(model: Any, x: np.ndarray, state: Any) -> tuple[Any, Any]:
    return (model(x), None) if isinstance(model, models.MLP | models.CNN) else model(x, state)


def torch_forward(model: Any, x: np.ndarray, state: Any) -> tuple[Any, Any]:
    if isinstance(model, gdl_torch.models.MLP | gdl_torch.models.CNN):
        return model(torch.from_numpy(x)), None
    return model(torch.from_numpy(x), None if state is None else torch_detached(state))  # type: ignore[no-any-return]


OWN = Side(own_forward, own_learn, autograd)
HAND = Side(hand_forward, hand_learn, optim)
TORCH = Side(torch_forward, torch_learn, torch.optim)


def own_model(name: str) -> Any:
    """By the seed, of the weights that `hand_model` starts with."""
    rng, exact = np.random.default_rng(0), np.float64
    if name == "MLP":
        first = autograd.Linear(FEATURES, HIDDEN, rng=rng, dtype=exact)
        return autograd.Sequential(
            first, autograd.Tanh(), autograd.Linear(HIDDEN, VOCABULARY, rng=rng, dtype=exact)
        )
    if name == "CNN":
        return SectionsCNN(rng)
    cell: type[Any] = {"RNN": autograd.RNNCell, "LSTM": autograd.LSTMCell}[name]
    return LanguageModel(cell, VOCABULARY, EMBEDDING, HIDDEN, rng=rng, dtype=exact)


def model_of(package: Any, name: str, **numpy_only: Any) -> Any:
    if name == "MLP":
        return package.MLP(FEATURES, (HIDDEN,), VOCABULARY, dropout=0.0, **numpy_only)
    if name == "CNN":
        return package.CNN((1, SIDE, SIDE), (2,), out_features=VOCABULARY, dropout=0.0, **numpy_only)
    return getattr(package, f"{name}LanguageModel")(VOCABULARY, EMBEDDING, HIDDEN, **numpy_only)


def hand_model(name: str) -> Any:
    return model_of(models, name, rng=0, dtype=np.float64)


def batches(name: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Chunks (time, batch) of ids whose states carry over; for the others images or features, and classes."""
    rng = np.random.default_rng(1)
    for _ in range(STEPS):
        targets = rng.integers(0, VOCABULARY, (5, 3))
        if name == "MLP":
            yield rng.standard_normal((15, FEATURES)), targets.reshape(-1)
        elif name == "CNN":
            yield rng.standard_normal((15, 1, SIDE, SIDE)), targets.reshape(-1)
        else:
            yield rng.integers(0, VOCABULARY, (5, 3)), targets


def numbers_of(values: Any) -> np.ndarray:
    """A flat copy of what any side calls a parameter or a gradient."""
    if isinstance(values, torch.Tensor):
        return values.detach().numpy().flatten()
    array = dense(values.data if isinstance(values, Tensor | nn.Parameter) else values)
    return array.flatten()


def train(
    side: Side, model: Any, name: str, optimizer: str, disturb: Callable[[Any], None] = nothing
) -> list[State]:
    """The loss of each step, its gradients, and all parameters after it, flat and under numbers.

    (Neither their names nor the shapes of a convolution's are the same.)
    """
    steps, state = getattr(side.optimizers, optimizer)(model.parameters(), lr=0.05), None
    found = []
    for inputs, targets in batches(name):
        disturb(model)
        logits, state = side.forward(model, inputs, state)
        loss = np.array(side.learn(model, logits, targets, steps))
        values = [numbers_of(p) for p in model.parameters()]
        grads = [numbers_of(p.grad) for p in model.parameters()]
        found.append(
            {
                "loss": loss,
                **{f"parameter {i}": array for i, array in enumerate(values)},
                **{f"gradient {i}": array for i, array in enumerate(grads)},
            }
        )
    return found


@pytest.mark.parametrize("optimizer", ["SGD", "Adam"])
@pytest.mark.parametrize("name", ["MLP", "CNN", "RNN", "LSTM"])
def test_models_learn_alike(name: str, optimizer: str) -> None:
    """Fifty steps, with truncated backpropagation: as the hand-written model and torch, to rounding."""

    def by_hand(disturb: Disturb) -> list[State]:
        return train(HAND, hand_model(name), name, optimizer, disturb)

    bounds = moved_by_rounding(by_hand, float(gamma(LONGEST, 2 * unit_roundoff(np.float64))))
    own = train(OWN, own_model(name), name, optimizer)
    other = twin(model_of(gdl_torch.models, name), hand_model(name), np.float64, "cpu")
    assert_within(own, by_hand(nothing), bounds)
    assert_within(own, train(TORCH, other, name, optimizer), bounds)


def test_the_same_seed_starts_the_same() -> None:
    """Also in float32, where the hand-written layers round what they draw in float64."""
    own = LanguageModel(autograd.LSTMCell, VOCABULARY, EMBEDDING, HIDDEN, rng=0)
    hand = models.LSTMLanguageModel(VOCABULARY, EMBEDDING, HIDDEN, rng=0)
    for (name, p), (hand_name, q) in zip(own.named_parameters(), hand.named_parameters(), strict=True):
        assert name == hand_name.removesuffix("_l0")
        assert p.dtype == np.float32
        np.testing.assert_array_equal(p.data, q.data)


class Scaled(autograd.Module):
    """w x, and what is no function of anything."""

    def __init__(self) -> None:
        self.w = Tensor(np.ones(3, np.float32), requires_grad=True)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x * self.w, Tensor(np.ones(2, x.dtype))


class TorchScaled(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.w = torch.nn.Parameter(torch.ones(3))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return x * self.w, torch.ones(2, dtype=x.dtype)


def test_the_adapter() -> None:
    """Constant outputs have no gradient; what is none of the framework's is refused."""
    check(FromAutograd(Scaled()), TorchScaled(), numbers(0, 4, 3)).raise_if_different()
    for other in (3, torch.nn.Linear(3, 4)):
        with pytest.raises(
            ValueError, match=r"expects a gdl_numpy\.autograd\.Module or a function of Tensors"
        ):
            FromAutograd(other)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="FromAutograd expects output 0 to be a Tensor, got an ndarray"):
        FromAutograd(lambda x: x.data)(numbers(0, 3))


def test_chunks_end_where_they_are_cut() -> None:
    """With the state detached nothing goes back into the chunk before; with its history everything does."""
    ids = next(batches("LSTM"))[0]
    gradients = []
    for cut in (False, True):
        model = own_model("LSTM")
        _, state = model(ids[:2])
        logits, _ = model(ids[2:], detached(state) if cut else state)
        logits.sum().backward()
        gradients.append(model.rnn.weight_ih.grad)
    whole = own_model("LSTM")
    whole(ids)[0][2:].sum().backward()
    right = whole.rnn.weight_ih.grad
    bound = gamma(2 * LONGEST, 2 * unit_roundoff(np.float64)) * np.abs(right).max()
    assert np.abs(gradients[0] - right).max() <= bound
    assert not np.allclose(gradients[0], gradients[1])


def test_shared_layers() -> None:
    """One layer in two places is one parameter: its gradients add up, and a step moves it once."""
    layer = autograd.Linear(2, 2, rng=0, dtype=np.float64)
    model = autograd.Sequential(layer, autograd.Tanh(), layer)
    before = layer.weight.data.copy()
    model(Tensor(np.ones((1, 2)))).sum().backward()
    assert layer.weight.grad is not None
    optimizer = autograd.SGD(model.parameters(), 0.1)
    optimizer.step()
    np.testing.assert_array_equal(layer.weight.data, before - 0.1 * layer.weight.grad)
    model.zero_grad()
    assert all(p.grad is None for p in model.parameters())
    optimizer.step()  # leaves alone what has no gradient
    assert [name for name, _ in model.named_parameters()] == ["0.weight", "0.bias", "2.weight", "2.bias"]


def test_state_dicts_go_both_ways() -> None:
    """To torch and back, and into the hand-written layer."""
    own, other = autograd.LSTMCell(3, 4, rng=0), torch.nn.LSTMCell(3, 4)
    other.load_state_dict({name: torch.from_numpy(data) for name, data in own.state_dict().items()})
    other.bias_hh.data += 1
    own.load_state_dict({name: p.detach().numpy() for name, p in other.named_parameters()})
    np.testing.assert_array_equal(own.bias_hh.data, other.bias_hh.detach().numpy())
    nn.Linear(3, 4).load_state_dict(autograd.Linear(3, 4).state_dict())
    with pytest.raises(RuntimeError, match="missing key 'bias'"):
        autograd.Linear(2, 3).load_state_dict({"weight": np.ones((3, 2))})


@pytest.mark.parametrize("optimizer", [autograd.SGD, autograd.Adam])
def test_float32_stays(optimizer: Any) -> None:
    """A step does not change what numbers are made of."""
    layer = autograd.Linear(2, 3, rng=0)
    layer(Tensor(np.ones((4, 2), np.float32))).sum().backward()
    optimizer(layer.parameters(), lr=0.1).step()
    assert {p.dtype for p in layer.parameters()} == {np.dtype(np.float32)}
    assert layer.weight.shape == (3, 2)
