"""Gradients that vanish, explode and are clipped: the same on both sides, chapter 14's, and in a script."""

from __future__ import annotations

import copy
import runpy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from matplotlib import image

from gdl_numpy import gradient_flow
from gdl_numpy.checkpoint import save_model
from gdl_numpy.data import Vocabulary, load
from gdl_numpy.models import MLP, LSTMLanguageModel, RNNLanguageModel, TransitionMatrixLM
from gdl_torch import gradient_flow as torch_gradient_flow
from gdl_torch.export import from_numpy
from parity_tests.harness.rounding import gamma, unit_roundoff
from parity_tests.support import assert_within, moved_by_rounding

if TYPE_CHECKING:
    from parity_tests.support import Disturb, State

main = runpy.run_path(str(Path(__file__).parent.parent / "scripts" / "gradient_flow.py"))["main"]

U64 = unit_roundoff(np.float64)
VOCABULARY, HIDDEN, STEPS = 11, 8, 6
IDS = np.random.default_rng(1).integers(0, VOCABULARY, (STEPS + 5, 3))
# An operation of each step, and in it the sums of a gate: two products, two biases; and the loss's.
ROUNDING = float(gamma(4 * STEPS * (2 * HIDDEN + VOCABULARY), U64))
MODELS: dict[str, Any] = {
    "RNN": lambda: RNNLanguageModel(VOCABULARY, 6, HIDDEN, rng=0, dtype=np.float64),
    "RNN, two layers": lambda: RNNLanguageModel(
        VOCABULARY, 6, HIDDEN, 2, "relu", 0.5, rng=0, dtype=np.float64
    ),
    "LSTM": lambda: LSTMLanguageModel(VOCABULARY, 6, HIDDEN, rng=0, dtype=np.float64),
    "LSTM, two layers": lambda: LSTMLanguageModel(VOCABULARY, 6, HIDDEN, 2, 0.5, rng=0, dtype=np.float64),
}
sides = pytest.mark.parametrize("side", [gradient_flow, torch_gradient_flow], ids=["numpy", "torch"])


@pytest.mark.parametrize("activation", ["sigmoid", "relu"])
def test_the_demonstration_is_autograds(activation: Any) -> None:
    """Both ways of going back ten steps, in step: the sums are of two products, the slopes of two factors."""
    (a, grads), (torch_a, torch_grads) = (
        side.demonstration(activation) for side in (gradient_flow, torch_gradient_flow)
    )
    assert a.shape == grads.shape == (11, 2)
    # Near a = 1 the slope a (1 - a) has a's rounding in full: relatively to 1 - a, which is 0.007.
    np.testing.assert_allclose(torch_a, a, rtol=float(gamma(60, U64)))
    np.testing.assert_allclose(torch_grads, grads, rtol=gamma(200, U64) / (1 - a[-1]).min())


@sides
def test_the_books_numbers(side: Any) -> None:
    """Sigmoid's gradient loses a factor of 29 in each step, ReLU's gains one of 5."""
    _, relu = side.demonstration("relu")
    np.testing.assert_array_equal(relu[::-1, 0], 5.0 ** np.arange(11))
    a, sigmoid = side.demonstration("sigmoid")
    assert a[0] == pytest.approx([0.7311, 0.5025], abs=1e-4)
    # At the fixed point a = σ(5 a), whose slope a (1 - a) is what each step multiplies with, besides 5.
    assert sigmoid[-1] == pytest.approx([1, 1])
    factors = sigmoid[3:-1, 0] / sigmoid[4:, 0]
    np.testing.assert_allclose(factors, 5 * a[-1, 0] * (1 - a[-1, 0]), rtol=1e-3)
    assert np.linalg.norm(sigmoid[0]) < 1e-13


@pytest.mark.parametrize("build", MODELS.values(), ids=MODELS)
def test_reach_is_the_same_on_both_sides(build: Any) -> None:
    """Every state of every step, within what disturbed weights explain; without dropout, in any mode."""

    def by_step(reach: dict[str, np.ndarray]) -> list[State]:
        return [{name: norms[k : k + 1] for name, norms in reach.items()} for k in range(STEPS)]

    def run(disturb: Disturb) -> list[State]:
        model = build()
        disturb(model)
        return by_step(gradient_flow.gradient_reach(model, IDS, STEPS))

    bounds = moved_by_rounding(run, ROUNDING)
    torch_model: Any = from_numpy(build()).train()
    found = torch_gradient_flow.gradient_reach(torch_model, IDS, STEPS)
    assert found.keys() == ({"h", "c"} if "LSTM" in type(torch_model).__name__ else {"h"})
    assert_within(by_step(found), run(lambda _: None), bounds)
    assert_within(
        by_step(gradient_flow.gradient_reach(build().train(), IDS, STEPS)), run(lambda _: None), bounds
    )


@sides
def test_reach_in_cases_that_are_known(side: Any) -> None:
    """A ReLU network whose matrix doubles, doubles; a cell whose forget gate is open keeps all of it."""
    rnn: Any = RNNLanguageModel(VOCABULARY, 6, HIDDEN, nonlinearity="relu", rng=0, dtype=np.float64)
    rnn.rnn.weight_hh_l0.data[...] = 2 * np.eye(HIDDEN)
    rnn.rnn.bias_ih_l0.data[...] = 10  # all units are always active
    lstm = MODELS["LSTM"]()
    lstm.rnn.weight_hh_l0.data[...] = 0
    lstm.rnn.bias_ih_l0.data[HIDDEN : 2 * HIDDEN] = 100
    found = {}
    for name, model in (("rnn", rnn), ("lstm", lstm)):
        found[name] = side.gradient_reach(model if side is gradient_flow else from_numpy(model), IDS, STEPS)
    h, c = found["rnn"]["h"], found["lstm"]["c"]
    np.testing.assert_allclose(h[1:], 2 * h[:-1], rtol=ROUNDING)
    np.testing.assert_allclose(c, c[0], rtol=ROUNDING)
    assert c[0] > 0
    np.testing.assert_array_equal(found["lstm"]["h"], 0)


@sides
def test_reach_leaves_the_model_as_it_was(side: Any) -> None:
    model = MODELS["LSTM"]().train()
    model = model if side is gradient_flow else from_numpy(model).train()
    weights = copy.deepcopy(model.state_dict())
    side.gradient_reach(model, IDS, STEPS)
    side.gradient_norms(model, [(IDS[:-1], IDS[1:])], lr=1.0)
    assert model.training
    assert all(parameter.grad is None for parameter in model.parameters())
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, weights[name])


@sides
@pytest.mark.usefixtures("unchecked_types")
def test_refusals(side: Any) -> None:
    """Another model, less text than there are steps to go back, and another activation."""
    rnn: Any = MODELS["RNN"]()
    other: Any = TransitionMatrixLM(VOCABULARY, rng=0)
    if side is torch_gradient_flow:
        rnn, other = from_numpy(rnn), from_numpy(other)
    with pytest.raises(
        ValueError, match="expects an RNNLanguageModel or LSTMLanguageModel, got a TransitionM"
    ):
        side.gradient_reach(other, IDS, STEPS)
    with pytest.raises(ValueError, match=r"at least steps \+ 2 = 12 of time"):
        side.gradient_reach(rnn, IDS, 10)
    with pytest.raises(ValueError, match="steps of at least 1, got 0"):
        side.gradient_reach(rnn, IDS, 0)
    with pytest.raises(ValueError, match=r"activation must be one of sigmoid, relu, got 'tanh'"):
        side.demonstration("tanh")


def some_text(batches: int) -> list[tuple[np.ndarray, np.ndarray]]:
    ids = np.random.default_rng(2).integers(0, VOCABULARY, (batches, 13, 4))
    return [(chunk[:-1], chunk[1:]) for chunk in ids]


@pytest.mark.parametrize("clip_norm", [np.inf, 0.1], ids=["not clipped", "clipped"])
@pytest.mark.parametrize("name", ["RNN", "LSTM"])
def test_norms_are_the_same_on_both_sides(name: str, clip_norm: float) -> None:
    """Norms and losses of five training steps, within what disturbing the weights at the start explains."""

    def by_step(found: tuple[np.ndarray, np.ndarray]) -> list[State]:
        return [{"norm": np.array(norm), "loss": np.array(loss)} for norm, loss in zip(*found, strict=True)]

    def run(disturb: Disturb) -> list[State]:
        model = MODELS[name]()
        disturb(model)
        return by_step(gradient_flow.gradient_norms(model, some_text(5), 0.5, clip_norm))

    bounds = moved_by_rounding(run, float(gamma(5 * 12 * 4 * (2 * HIDDEN + VOCABULARY), U64)))
    torch_model: Any = from_numpy(MODELS[name]())
    found = torch_gradient_flow.gradient_norms(torch_model, some_text(5), 0.5, clip_norm)
    assert_within(by_step(found), run(lambda _: None), bounds)


@sides
def test_clipping_keeps_a_network_from_exploding(side: Any) -> None:
    """The same start, the same much too large learning rate: one ends in nan, the other does not."""
    model: Any = RNNLanguageModel(VOCABULARY, 6, 32, nonlinearity="relu", rng=0)
    model.rnn.weight_hh_l0.data[...] = 0.95 * np.eye(32)
    model = model if side is gradient_flow else from_numpy(model)
    norms, losses = side.gradient_norms(model, some_text(40), 10.0)
    assert not np.isfinite(losses[-1])
    assert norms[np.isfinite(norms)].max() > 100 * norms[0]
    _, losses = side.gradient_norms(model, some_text(40), 10.0, clip_norm=0.05)
    assert losses.max() < 2 * losses[0]


def show(*words: str | Path) -> int:
    """Runs the script within this process; returns its exit code."""
    code: int = main([str(word) for word in words])
    return code


@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_the_script(
    backend: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The chapter's numbers, the real models' and a picture, from models that are made for the purpose."""
    monkeypatch.setitem(main.__globals__, "SIZES", {"embedding_dim": 4, "hidden_size": 8})
    monkeypatch.setitem(main.__globals__, "CLIPPED_STEPS", 4)
    words: list[str | Path] = ["--training-steps", "3", "--steps", "12", "--backend", backend]
    assert show(*words, "--out", tmp_path / "new") == 0
    out = capsys.readouterr().out
    assert out.count("9.77e+06") == 4
    for word in ("RNN, h", "LSTM, h", "LSTM, c", "12 back", "not clipped:", "clipped to 1:"):
        assert word in out
    (picture,) = (tmp_path / "new").iterdir()
    assert picture.name == "gradient-flow.png"
    assert image.imread(picture).std() > 0.05
    assert max(map(len, out.splitlines()[:-1])) <= 100


def test_the_script_with_checkpoints(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trained models with their own vocabularies; a picture with a curve for each."""
    monkeypatch.setitem(main.__globals__, "SIZES", {"embedding_dim": 4, "hidden_size": 8})
    monkeypatch.setitem(main.__globals__, "CLIPPED_STEPS", 2)
    vocabulary = Vocabulary.build(load("python_docs").train)
    model = LSTMLanguageModel(len(vocabulary), 4, 8, rng=0)
    save_model(tmp_path / "run" / "model.safetensors", model, vocabulary)
    save_model(tmp_path / "other.safetensors", model, vocabulary)
    chosen: list[str | Path] = ["--checkpoint", tmp_path / "run" / "model.safetensors"]
    assert (
        show(*chosen, "--checkpoint", tmp_path / "other.safetensors", "--steps", "5", "--out", tmp_path) == 0
    )
    out = capsys.readouterr().out
    assert "run, c" in out
    assert "other, h" in out


REFUSALS = {
    "unknown data": (["--data", "pyton_docs"], "did you mean 'python_docs'"),
    "images": (["--data", "digits"], "running text, but digits has none"),
    "no steps": (["--steps", "0"], "--steps"),
    "too far": (["--steps", "5000"], "--steps 5000 is too far for python_docs: its text allows for up to "),
    "no such file": (["--checkpoint", "nowhere.safetensors"], "there is no checkpoint nowhere.safetensors"),
    "out to nowhere": (["--out", "/dev/null/plots"], "cannot write to /dev/null/plots (Not a directory)"),
}


@pytest.mark.parametrize(("words", "message"), REFUSALS.values(), ids=REFUSALS)
def test_bad_usage_is_one_line_and_exit_code_2(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert show(*words) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert line.startswith("gradient_flow.py: ")
    assert message in line


def test_a_checkpoint_of_another_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_model(tmp_path / "mlp.safetensors", MLP(4, (3,), rng=0))
    assert show("--checkpoint", tmp_path / "mlp.safetensors", "--out", tmp_path) == 2
    assert "holds an MLP: give the checkpoint of an RNN or LSTM" in capsys.readouterr().err
