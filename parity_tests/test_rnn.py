"""What is special about recurrences and the models that read with them; parity is proved in the registries.

One at a time or in a padded batch, in one piece or in chunks, looked up or projected once: the same function.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from gdl_numpy import models, nn
from gdl_numpy.models.rnn import Transition
from gdl_numpy.nn.sequence import Rows
from gdl_torch.models.rnn import Transition as TorchTransition
from gdl_torch.tasks import LanguageModelling
from parity_tests.harness import check
from parity_tests.harness.bounds import error_bound
from parity_tests.harness.central import central_differences
from parity_tests.harness.evaluate import Evaluation, dense, run_numpy
from parity_tests.harness.evaluate_torch import twin
from parity_tests.harness.layer_cases import PACKING
from parity_tests.harness.model_cases import MODELS, ModelCase
from parity_tests.harness.report import distance
from parity_tests.harness.rounding import gamma, unit_roundoff
from parity_tests.support import assert_within, moved_by_rounding, nothing

if TYPE_CHECKING:
    from collections.abc import Callable

    from parity_tests.harness import ParityReport
    from parity_tests.support import Disturb, State

    Agree = Callable[[ParityReport], None]

U = 2 * unit_roundoff(np.float64)  # of the difference of two results


def states(rng: np.random.Generator, layer: str, *shape: int) -> Any:
    h, c = rng.standard_normal((2, *shape))
    return h if layer == "RNN" else (h, c)


def within(bound: Evaluation, one: Evaluation, other: Evaluation) -> bool:
    """Whether two evaluations are no further apart than rounding explains."""
    apart = one.map(distance, other)
    ratios = apart.map(lambda error, b: (error <= b).all(), bound)
    return all([*ratios.outputs, *ratios.grad_inputs, *ratios.grad_params.values()])


@pytest.mark.parametrize("layer", ["RNN", "LSTM"])
@pytest.mark.parametrize("layers", [1, 2])
def test_rows_of_a_table(layer: str, layers: int, dtype: str, agree: Agree) -> None:
    """The vocabulary's embeddings projected once: the same outputs and gradients as torch's lookup."""
    rng = np.random.default_rng(0)
    own, other = getattr(nn, layer)(3, 4, layers, rng=0), PACKING[layer](3, 4, layers)
    rows = Rows(rng.standard_normal((5, 3)), rng.integers(0, 5, (7, 4)))
    agree(check(own, other, (rows, states(rng, layer, layers, 4, 4)), dtype=dtype))
    agree(check(own, other, (rows, None, np.array([7, 1, 3, 6])), dtype=dtype))


@pytest.mark.parametrize("layer", ["RNN", "LSTM"])
def test_a_padded_batch_is_its_sequences_one_at_a_time(layer: str) -> None:
    """Outputs, last states and all gradients; what stands in the padding makes no difference."""
    rng = np.random.default_rng(1)
    lengths = np.array([5, 1, 3, 5])
    own = getattr(nn, layer)(3, 4, 2, rng=0).astype(np.float64)
    x, state = rng.standard_normal((5, 4, 3)), states(rng, layer, 2, 4, 4)
    padding = np.arange(5)[:, None] >= lengths
    x[padding] = 1e3
    grads = [rng.standard_normal((5, 4, 4))] + [rng.standard_normal((2, 4, 4)) for _ in own.states]
    batch = run_numpy(own, (x, state, lengths), (), lambda _: grads)
    engine = twin(PACKING[layer](3, 4, 2), own, np.float64, "cpu")
    bound = error_bound(engine, (x, state, lengths), (), grads, U)

    alone = batch.map(np.zeros_like)
    for i, length in enumerate(lengths):
        column = np.s_[:, i : i + 1]
        start = state[column] if layer == "RNN" else tuple(s[column] for s in state)
        own_grads = [grads[0][:length, i : i + 1], *(g[column] for g in grads[1:])]
        one = run_numpy(own, (x[:length, i : i + 1], start), (), partial(lambda found, _: found, own_grads))
        alone.outputs[0][:length, i : i + 1] = one.outputs[0]
        alone.grad_inputs[0][:length, i : i + 1] = one.grad_inputs[0]
        for whole, part in (*zip(alone.outputs[1:], one.outputs[1:], strict=True),
                            *zip(alone.grad_inputs[1:], one.grad_inputs[1:], strict=True)):  # fmt: skip
            whole[column] = part
        for name, grad in one.grad_params.items():
            alone.grad_params[name] += grad
    assert within(bound, batch, alone)


def test_transition(dtype: str, agree: Agree) -> None:
    """Chapter 12's recurrence as a layer: from its start vector, and from a state."""
    rng = np.random.default_rng(0)
    own = Transition(4, dtype=np.float64)
    own.weight.data += 0.3 * rng.standard_normal((4, 4))
    own.start.data += rng.standard_normal(4)
    x = rng.standard_normal((6, 3, 4))
    agree(check(own, TorchTransition(4), (x,), dtype=dtype))
    agree(check(own, TorchTransition(4), (x, rng.standard_normal((3, 4))), dtype=dtype))
    agree(check(own, TorchTransition(4), (x[:1, :1],), dtype=dtype))


def test_transition_of_sentences_that_end() -> None:
    """A padded batch is its sentences alone, gradients too. In whole numbers, and so without rounding."""
    rng = np.random.default_rng(0)
    model = models.TransitionMatrixLM(9, 4, rng=0, dtype=np.float64)
    for parameter in model.parameters():
        parameter.data[...] = rng.integers(-2, 3, parameter.data.shape)
    ids, lengths = rng.integers(0, 9, (6, 3)), np.array([6, 2, 4])
    grad_logits = rng.integers(-3, 4, (6, 3, 9)).astype(float)
    grad_state = rng.integers(-3, 4, (3, 4)).astype(float)
    grad_logits[np.arange(6)[:, None] >= lengths] = 0
    logits, last = model(ids, None, lengths)
    model.backward(grad_logits, grad_state)
    batch = {name: dense(p.grad) for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    for i, length in enumerate(lengths):
        part = np.s_[:length, i : i + 1]
        one, end = model(ids[part])
        np.testing.assert_array_equal(one, logits[part])
        np.testing.assert_array_equal(end, last[i : i + 1])
        model.backward(grad_logits[part], grad_state[i : i + 1])
    alone = {name: dense(p.grad) for name, p in model.named_parameters() if p.grad is not None}
    for name, grad in batch.items():
        np.testing.assert_array_equal(grad, alone[name])


def test_chapter_12_starts_with_the_identity() -> None:
    """A sentence is at first the sum of its words, and begins with nothing; the book's sizes."""
    model = models.TransitionMatrixLM(82, rng=0)
    np.testing.assert_array_equal(model.transition.weight.data, np.eye(10))
    np.testing.assert_array_equal(model.transition.start.data, np.zeros(10))
    assert np.abs(model.embedding.weight.data).max() <= 0.05
    ids = np.array([[4], [7], [7]])
    _, state = model(ids)
    np.testing.assert_allclose(state[0], model.embedding.weight.data[[4, 7, 7]].sum(0), rtol=1e-6)
    loss = nn.CrossEntropyLoss()(np.moveaxis(model(ids)[0], -1, 1), ids)
    assert np.exp(loss) == pytest.approx(82, rel=0.01)


LANGUAGE_MODELS = [case for case in MODELS.values() if issubclass(case.model, models.LanguageModel)]


def results(case: ModelCase, use: Callable[[Any], State]) -> Callable[[Disturb], list[State]]:
    """What `use` finds with the case's first variant in float64, as `moved_by_rounding` wants it."""

    def run(disturb: Disturb) -> list[State]:
        model = models.MODELS[case.name](**case.variants[0], rng=0, dtype=np.float64)
        disturb(model)
        return [use(model)]

    return run


def the_same(one: Callable[[Disturb], list[State]], other: Callable[[Disturb], list[State]]) -> None:
    """Fails where two computations of the same differ by more than rounding in sums of up to 100 terms."""
    bounds = moved_by_rounding(one, float(gamma(100, U)))
    assert_within(other(nothing), one(nothing), bounds)


@pytest.mark.parametrize("case", LANGUAGE_MODELS, ids=lambda case: case.name)
def test_one_piece_or_chunks(case: ModelCase) -> None:
    """With the state carried, chunks give the logits and the last state of the whole text."""
    ids = np.random.default_rng(0).integers(0, 5, (12, 3))

    def in_chunks(size: int) -> Callable[[Any], State]:
        def use(model: Any) -> State:
            state, pieces = None, []
            for start in range(0, 12, size):
                logits, state = model(ids[start : start + size], state)
                pieces.append(logits)
            return {"logits": np.concatenate(pieces), "state": np.asarray(state)}

        return use

    the_same(results(case, in_chunks(12)), results(case, in_chunks(5)))


@pytest.mark.parametrize("case", LANGUAGE_MODELS, ids=lambda case: case.name)
def test_a_chunk_that_is_the_whole_text_truncates_nothing(case: ModelCase) -> None:
    """Its gradient is the slope of the loss, through all steps; that of chunks is another."""
    hparams = case.variants[0]
    model = models.MODELS[case.name](**hparams, rng=0, dtype=np.float64)
    ids, _ = case.example(hparams, 3, np.random.default_rng(0))
    for comparison in central_differences(model, ids):
        assert comparison.ok, str(comparison)

    grads = np.random.default_rng(1).standard_normal((len(ids), hparams["vocab_size"], 3))

    def gradient(chunk: int) -> np.ndarray:
        model.zero_grad()
        task = case.task(model, continues=True)
        for start in range(0, len(ids), chunk):
            task.predict(ids[start : start + chunk])
            task.predict_backward(grads[start : start + chunk])
        return dense(model.embedding.weight.grad)

    assert not np.allclose(gradient(len(ids)), gradient(2))


@pytest.mark.parametrize("case", LANGUAGE_MODELS, ids=lambda case: case.name)
def test_chunk_by_chunk_against_torch(case: ModelCase, dtype: str, device: str, agree: Agree) -> None:
    """Truncated backpropagation on both sides, six chunks with a step each, every state its own side's."""
    hparams = case.variants[0]
    rng = np.random.default_rng(0)
    (inputs, targets), *others = (case.example(hparams, 3, rng) for _ in range(6))
    own, other = case.build(hparams)
    assert isinstance(other, LanguageModelling)
    other.begin(continues=True)
    settings: dict[str, Any] = {"steps": 6, "batches": others, "dtype": dtype, "device": device}
    agree(check(case.task(own, continues=True), other, inputs, targets, **settings, name=case.name))


@pytest.mark.parametrize("case", LANGUAGE_MODELS[1:], ids=lambda case: case.name)
def test_projected_once(case: ModelCase) -> None:
    """The same logits and gradients as looking up first."""
    rng = np.random.default_rng(0)
    ids, grad = rng.integers(0, 11, (7, 4)), rng.standard_normal((7, 4, 11))

    def use(model: Any, projects: bool) -> State:
        model.project_once = projects
        assert model.projects(ids.size) == projects
        logits, _ = model(ids)
        model.backward(grad)
        return {"logits": logits, **{name: p.grad for name, p in model.named_parameters()}}

    the_same(results(case, lambda model: use(model, False)), results(case, lambda model: use(model, True)))


@pytest.mark.parametrize("case", LANGUAGE_MODELS[1:], ids=lambda case: case.name)
def test_where_projecting_does_not_apply(case: ModelCase) -> None:
    """With embeddings that are dropped at random, and with fewer ids than tokens."""
    model = models.MODELS[case.name](**{**case.variants[0], "dropout": 0.5}, rng=0)
    assert model.project_once
    assert not model.projects(100)
    assert model.eval().projects(100)
    assert not model.projects(11)

    ids = np.random.default_rng(0).integers(0, 11, (5, 3))
    logits, _ = model.train()(ids)
    model.eval().backward(np.ones_like(logits))  # belongs to the forward pass that was, not to the mode
    assert all(dense(p.grad).shape == p.data.shape for p in model.parameters() if p.grad is not None)


def test_a_decoder_of_zeros_knows_nothing() -> None:
    """On both sides chapter 14's LSTM starts at a perplexity of exactly the vocabulary's size."""
    own, other = MODELS["LSTMLanguageModel"].build({"vocab_size": 62, "hidden_size": 8, "zero_decoder": True})
    ids = np.random.default_rng(0).integers(0, 62, (5, 3))
    loss = nn.CrossEntropyLoss()(np.moveaxis(own(ids)[0], -1, 1), ids)
    assert np.exp(loss) == pytest.approx(62, rel=1e-6)
    assert not other(torch.from_numpy(ids))[0].any()


@pytest.mark.parametrize("name", ["RNNLanguageModel", "LSTMLanguageModel"])
def test_book_sizes(name: str) -> None:
    """By default those of chapter 14: embedding and hidden 512, one layer."""
    own, other = MODELS[name].build({})
    gates = 512 if name.startswith("RNN") else 4 * 512
    shapes = {
        "embedding.weight": (65, 512),
        "rnn.weight_ih_l0": (gates, 512),
        "rnn.weight_hh_l0": (gates, 512),
        "rnn.bias_ih_l0": (gates,),
        "rnn.bias_hh_l0": (gates,),
        "decoder.weight": (65, 512),
        "decoder.bias": (65,),
    }
    assert {key: data.shape for key, data in own.state_dict().items()} == shapes
    assert {key: tuple(data.shape) for key, data in other.state_dict().items()} == shapes
    assert isinstance(other.rnn, torch.nn.RNN | torch.nn.LSTM)  # and so cuDNN on a GPU
