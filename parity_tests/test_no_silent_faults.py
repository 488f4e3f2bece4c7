"""What layers, losses, optimizers and loops once did wrong without a word."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from gdl_numpy import nn, optim
from gdl_numpy.checkpoint import load_model, save_model
from gdl_numpy.data import Batches, load
from gdl_numpy.data.dataset import Split
from gdl_numpy.data.sets.text_file import read_text_file
from gdl_numpy.data.vocabulary import Vocabulary
from gdl_numpy.models import CNN, MLP
from gdl_numpy.tasks import Classification
from gdl_numpy.training import evaluate, fit
from gdl_torch import nn as torch_nn
from parity_tests.harness import check
from parity_tests.harness.rounding import gamma, unit_roundoff
from parity_tests.harness.side import UPDATE_OPERATIONS
from parity_tests.support.images import DoubleBatches

if TYPE_CHECKING:
    from pathlib import Path

# Arguments


@pytest.mark.parametrize("name", [n for n in nn.__all__ if isinstance(getattr(nn, n), type)])
def test_positional_arguments_mean_what_they_mean_to_torch(name: str) -> None:
    """Each stands where torch has it, or has to be named."""
    twin = getattr(torch.nn, name, None) or getattr(torch_nn, name, None)
    if twin is None or name in ("Module", "Parameter", "Sequential"):
        pytest.skip(f"torch has no {name} to compare with")
    ours = [
        p.name
        for p in inspect.signature(getattr(nn, name)).parameters.values()
        if p.kind == p.POSITIONAL_OR_KEYWORD
    ]
    documented = {  # torch's own signatures of these are (*args, **kwargs)
        "RNN": ["input_size", "hidden_size", "num_layers", "nonlinearity", "bias", "batch_first"],
        "LSTM": ["input_size", "hidden_size", "num_layers", "bias", "batch_first"],
    }
    theirs = documented.get(name) or list(inspect.signature(twin).parameters)
    assert theirs[: len(ours)] == ours


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW"])
def test_positional_arguments_of_optimizers(name: str) -> None:
    ours = [
        p.name
        for p in inspect.signature(getattr(optim, name)).parameters.values()
        if p.kind == p.POSITIONAL_OR_KEYWORD
    ]
    assert list(inspect.signature(getattr(torch.optim, name)).parameters)[: len(ours)] == ours


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.Linear(3.0, 4),  # type: ignore[arg-type]
        lambda: nn.Linear("3", 4),  # type: ignore[arg-type]
        lambda: nn.Conv2d(1, True, 3),
        lambda: nn.Dropout("0.5"),  # type: ignore[arg-type]
        lambda: nn.CrossEntropyLoss(0.1),  # type: ignore[arg-type]
        lambda: nn.CrossEntropyLoss(np.ones((2, 2))),
        lambda: nn.CrossEntropyLoss(label_smoothing=2),
        lambda: nn.NTXentLoss("0.1"),  # type: ignore[arg-type]
        lambda: optim.SGD(nn.Linear(2, 2).parameters(), lr="0.1"),  # type: ignore[arg-type]
        lambda: optim.SGD(nn.Linear(2, 2).parameters(), True),
        lambda: optim.Adam(nn.Linear(2, 2).parameters(), eps=None),  # type: ignore[arg-type]
    ],
)
@pytest.mark.usefixtures("unchecked_types")
def test_arguments_of_another_type_are_refused(make: Any) -> None:
    with pytest.raises(ValueError, match="expects"):
        make()


@pytest.mark.usefixtures("unchecked_types")
def test_numpys_numbers_are_numbers(tmp_path: Path) -> None:
    """From `logspace` and `arange` come scalars that are neither int nor float32."""
    size = np.int64(5)
    model = MLP(size, (size,), size, dropout=np.float32(0.25), rng=0)  # type: ignore[arg-type]
    layer = model.layers[1]
    assert isinstance(layer, nn.Linear)
    before, optimizer = layer.weight.data.copy(), optim.SGD(model.parameters(), lr=np.logspace(-2, 0, 3)[1])
    layer.weight.accumulate(np.ones((5, 5), np.float32))
    optimizer.step()
    np.testing.assert_array_equal(layer.weight.data, before - np.float32(0.1))
    assert type(optimizer.lr) is float
    one: Any = np.int64(1)
    nn.Conv2d(one, one, one)
    save_model(tmp_path / "model.safetensors", model)
    loaded: Any = load_model(tmp_path / "model.safetensors")
    assert loaded.hparams == {
        "in_features": 5,
        "hidden_features": [5],
        "out_features": 5,
        "activation": "tanh",
        "dropout": 0.25,
    }


# Arrays


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW"])
@pytest.mark.parametrize("of", ["transposed", "read-only"])
def test_an_optimizer_changes_the_layer_and_no_copy(name: str, of: str) -> None:
    """Kernels of Keras come transposed, those of a mapped file cannot be written."""
    layer, kernel = nn.Linear(3, 4, rng=0), np.ones((3, 4) if of == "transposed" else (4, 3), np.float32)
    kernel.flags.writeable = of == "transposed"
    layer.weight.data = kernel.T if of == "transposed" else kernel
    layer.weight.accumulate(np.ones((4, 3), np.float32))
    getattr(optim, name)(layer.parameters(), lr=0.1).step()
    assert (layer(np.ones((1, 3), np.float32)) != nn.Linear(3, 4, rng=0)(np.ones((1, 3), np.float32))).all()
    assert (layer.weight.data < 1).all()


def test_infinite_gradients_go_where_they_belong() -> None:
    relu, x = nn.ReLU(), np.array([-1.0, 0.0, 2.0, np.nan])
    relu(x)
    np.testing.assert_array_equal(relu.backward(np.full(4, np.inf)), [0, 0, np.inf, np.inf])
    for pool in (nn.MaxPool2d(2), nn.MaxPool2d(2, 1)):
        pool(np.array([[[[1.0, 2.0], [3.0, 4.0]]]]))
        grad = pool.backward(np.full((1, 1, 1, 1), np.inf))
        np.testing.assert_array_equal(grad, [[[[0, 0], [0, np.inf]]]])


def test_a_dead_recurrence_has_no_gradient() -> None:
    layer = nn.RNN(2, 3, nonlinearity="relu", rng=0, dtype="float64")
    layer.bias_ih_l0.data[...] = -100  # type: ignore[attr-defined]
    output, _ = layer(np.ones((4, 2, 2)))
    grad_x, grad_h = layer.backward(np.full(output.shape, np.inf))
    assert not grad_x.any()
    assert not grad_h.any()


@pytest.mark.parametrize("kind", ["RNN", "LSTM"])
def test_what_stands_after_a_sequence_counts_nowhere(kind: str) -> None:
    """Padding may be anything: nan as well."""
    layer = getattr(nn, kind)(2, 3, rng=0, dtype="float64")
    x, lengths = np.random.default_rng(0).standard_normal((4, 2, 2)), np.array([4, 2])
    gradients = []
    for padding in (0.0, np.nan):
        x[2:, 1] = padding
        layer.zero_grad()
        output, _ = layer(x, None, lengths)
        grad = np.ones_like(output)
        grad[2:, 1] = padding
        grad_x, _ = layer.backward(grad)
        gradients.append([grad_x, output, *(p.grad for p in layer.parameters())])
    for zeros, nans in zip(*gradients, strict=True):
        np.testing.assert_array_equal(zeros, nans)


def test_no_border_wins_a_pool() -> None:
    """Where all of a window is -inf, the gradient goes to the first pixel that is there, as torch's does."""
    for kernel, stride, padding in ((3, 1, 1), (2, 2, 1), (4, 3, 2), ((2, 3), (1, 2), (0, 1))):
        x = np.full((2, 1, 5, 6), -np.inf)
        x[1, 0, 2, 2] = 1
        check(
            nn.MaxPool2d(kernel, stride, padding), torch.nn.MaxPool2d(kernel, stride, padding), x
        ).raise_if_different()


def test_adam_with_a_gradient_whose_square_is_beyond_float32() -> None:
    """With a gradient that stays the same, each step moves a weight by lr against its sign."""
    own, twin = nn.Parameter(np.ones(3, np.float32)), torch.nn.Parameter(torch.ones(3))
    grad = np.array([1e20, -3e19, 1.0], np.float32)
    optimizers = optim.Adam([own], lr=0.1), torch.optim.Adam([twin], lr=0.1)
    for _ in range(3):
        own.grad, twin.grad = grad.copy(), torch.from_numpy(grad.copy())
        for optimizer in optimizers:
            optimizer.step()
    u, expected = unit_roundoff(np.float32), 1 - 3 * 0.1 * np.sign(grad)
    error = 3 * (0.1 * float(gamma(UPDATE_OPERATIONS, u)) + u * expected.max())
    error += 3 * 0.1 * 1e-8  # Adam's eps beside a gradient of 1
    for found in (own.data, twin.detach().numpy()):
        np.testing.assert_allclose(found, expected, rtol=0, atol=error)


# Loops


@pytest.mark.parametrize(
    "options", [{"ignore_index": 0}, {"weight": np.arange(1.0, 11)}, {"label_smoothing": 0.1}], ids=str
)
def test_means_over_batches_are_those_over_everything(options: dict[str, Any]) -> None:
    """Whatever counts how much, batches of different sizes give what one of all gives."""
    data = load("digits")
    x, y = data.test.inputs.astype(np.float64), data.test.targets
    model = MLP(64, (5,), dropout=0.0, rng=0, dtype=np.float64)
    task = Classification(model, nn.CrossEntropyLoss(**options))
    found = evaluate(task, DoubleBatches(data.test, 77))
    weight = options.get("weight")
    expected = torch.nn.functional.cross_entropy(
        torch.from_numpy(model(x)),
        torch.from_numpy(y),
        **{**options, **({} if weight is None else {"weight": torch.from_numpy(weight)})},
    )
    counted = y != options.get("ignore_index", -100)
    assert found.loss == pytest.approx(float(expected), rel=len(y) * unit_roundoff(np.float64))
    assert found.row()["accuracy"] == pytest.approx(np.mean((model(x).argmax(axis=1) == y)[counted]))


def test_a_sum_is_no_mean() -> None:
    data = load("digits")
    task = Classification(MLP(64, rng=0), nn.CrossEntropyLoss(reduction="sum"))
    with pytest.raises(ValueError, match='reduction "mean"'):
        evaluate(task, Batches(data.test, 77))


def test_a_batch_without_targets_that_count() -> None:
    """Neither the progress bar nor the epoch's mean makes a nan of it."""
    digits = load("digits").train
    targets = np.where(np.arange(200) < 100, -100, digits.targets[:200])
    data = Split(digits.inputs[:200], targets)
    model = CNN((1, 8, 8), (2,), rng=0)
    history = fit(
        Classification(model),
        optim.SGD(model.parameters(), 0.1),
        Batches(data, 100),
        epochs=1,
        progress=False,
    )
    assert np.isfinite(history.rows[0]["train_loss"])
    assert all(np.isfinite(p.data).all() for p in model.parameters())


@pytest.mark.parametrize("kind", ["PCG64", "PCG64DXSM", "Philox", "MT19937", "SFC64"])
def test_a_run_resumes_with_any_generator(kind: str, tmp_path: Path) -> None:
    data = load("digits")

    def train(epochs: int, resume: bool, path: Path) -> dict[str, np.ndarray]:
        rng = np.random.Generator(getattr(np.random, kind)(3))
        model = MLP(64, (8,), rng=rng)
        fit(
            Classification(model),
            optim.SGD(model.parameters(), 0.1),
            Batches(data.train, 500, seed=0),
            epochs=epochs,
            checkpoint=path,
            resume=resume,
            progress=False,
        )
        return model.state_dict()

    whole = train(3, False, tmp_path / "whole.safetensors")
    train(1, False, tmp_path / "half.safetensors")
    resumed = train(3, True, tmp_path / "half.safetensors")
    for name, array in whole.items():
        np.testing.assert_array_equal(resumed[name], array)


# Text


def test_a_file_whose_name_begins_with_a_tilde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "~notes.txt").write_text("some notes\n" * 100)
    assert read_text_file("~notes.txt").name == "~notes.txt"


@pytest.mark.parametrize("word", ["हिन्दी", "cafe\u0301s", "don\u2019t", "ça", "x\u20d7"])
def test_marks_stay_with_their_letters(word: str) -> None:
    text = f"A {word}, {word} again."
    vocabulary = Vocabulary.build(text, "words")
    assert f" {word}" in vocabulary.tokens
    assert vocabulary.decode(vocabulary.encode(text)) == text
