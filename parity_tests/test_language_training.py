"""`fit` and `evaluate` of language models: truncated backpropagation, the means over targets, resuming.

What holds for every model is in test_training.py.
"""

from __future__ import annotations

import itertools
import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

import gdl_torch.training
from gdl_numpy.checkpoint import CheckpointError, load_vocabulary
from gdl_numpy.data import Sentences, Streams, TextDataset, Vocabulary
from gdl_numpy.history import History
from gdl_numpy.models import LanguageModel, LSTMLanguageModel, RNNLanguageModel, TransitionMatrixLM
from gdl_numpy.nn import CrossEntropyLoss
from gdl_numpy.optim import SGD, Adam, clip_grad_norm_
from gdl_numpy.tasks import LanguageMetrics, Metrics
from gdl_numpy.training import evaluate, fit
from gdl_torch.checkpoint import read_checkpoint
from gdl_torch.data import TextDataModule
from gdl_torch.export import from_numpy
from parity_tests.harness.bounds import ELEMENTARY
from parity_tests.harness.rounding import gamma, unit_roundoff
from parity_tests.support import Disturb, State, assert_within, moved_by_rounding

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec:FutureWarning")

LETTERS = "etaoin shrdlu.\n"
TEXT = "".join(np.random.default_rng(0).choice(list(LETTERS), 1500, p=np.arange(15, 0, -1) / 120))
DATA = TextDataset.split("letters", TEXT)
VOCABULARY = Vocabulary.build(DATA.train)
STREAMS, CHUNK, SEED = 4, 7, 3


def streams(text: str, ahead: int = 1) -> Streams:
    return Streams(VOCABULARY.encode(text), STREAMS, CHUNK, ahead)


class LettersDataModule(TextDataModule):
    """The same on the torch side."""

    dataset = "letters"
    loaded = DATA

    def prepare_data(self) -> None:
        """There is nothing to download."""


def new_model(kind: type[Any] = LSTMLanguageModel, dtype: type[Any] = np.float32, **arguments: Any) -> Any:
    sizes: dict[str, Any] = {"vocab_size": len(VOCABULARY), "embedding_dim": 6}
    if kind is not TransitionMatrixLM:
        sizes |= {"hidden_size": 5, "num_layers": 2, "dropout": 0.2}
    return kind(**sizes | arguments, rng=SEED, dtype=dtype)


def assert_equal(state: State, expected: State) -> None:
    """The same bits."""
    assert state.keys() == expected.keys()
    for name, array in state.items():
        assert array.tobytes() == expected[name].tobytes(), name


models = pytest.mark.parametrize("kind", [TransitionMatrixLM, RNNLanguageModel, LSTMLanguageModel])


@models
@pytest.mark.parametrize(("dropout", "clip_norm"), [(0.0, None), (0.2, 0.1)])
def test_fit_is_truncated_backpropagation_written_out(
    kind: type[Any], dropout: float, clip_norm: float | None
) -> None:
    """By hand: cut the text, carry the state, and begin each epoch without one. The same bits at the end."""
    arguments: dict[str, Any] = {} if kind is TransitionMatrixLM else {"dropout": dropout}
    model, twin = new_model(kind, **arguments), new_model(kind, **arguments)
    train = streams(DATA.train, kind.ahead)
    fit(
        model.task(model),
        Adam(model.parameters()),
        train,
        epochs=2,
        clip_norm=clip_norm,
        progress=False,
    )

    ids = VOCABULARY.encode(DATA.train)
    length = (len(ids) - kind.ahead) // STREAMS
    columns = np.stack([ids[b * length : (b + 1) * length + kind.ahead] for b in range(STREAMS)], axis=1)
    loss, optimizer = CrossEntropyLoss(), Adam(twin.parameters())
    for _ in range(2):
        state = None
        for start in range(0, length, CHUNK):
            stop = min(start + CHUNK, length)
            logits, state = twin(columns[start:stop], state)
            loss(np.moveaxis(logits, -1, 1), columns[start + kind.ahead : stop + kind.ahead])
            twin.zero_grad()
            twin.backward(np.moveaxis(loss.backward(), 1, -1))
            if clip_norm is not None:
                clip_grad_norm_(twin.parameters(), clip_norm)
            optimizer.step()
    assert_equal(model.state_dict(), twin.state_dict())


def is_fresh(model: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """For each forward pass that comes, whether it begins without a state."""
    fresh: list[bool] = []
    forward = model.forward

    def noted(ids: np.ndarray, state: Any = None) -> Any:
        fresh.append(state is None)
        return forward(ids, state)

    monkeypatch.setattr(model, "forward", noted)
    return fresh


def test_the_state_begins_anew_with_each_epoch_and_each_evaluation(monkeypatch: pytest.MonkeyPatch) -> None:
    model = new_model()
    fresh = is_fresh(model, monkeypatch)
    train, validation = streams(DATA.train), streams(DATA.validation)
    fit(model.task(model), Adam(model.parameters()), train, epochs=2, validation=validation, progress=False)
    epoch = [True] + [False] * (len(train) - 1) + [True] + [False] * (len(validation) - 1)
    assert len(train) > 2 < len(validation)
    assert fresh == 2 * epoch


def test_sentences_have_nothing_to_do_with_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    model = new_model()
    fresh = is_fresh(model, monkeypatch)
    evaluate(model.task(model), Sentences([VOCABULARY.encode("his tin hat.")] * 5, 2))
    assert fresh == [True] * 3


def test_evaluation_does_not_disturb_training() -> None:
    """Its state, its masks, its mode: with and without validation, the weights are the same bits."""
    watched, alone = new_model(), new_model()
    for model, validation in ((watched, streams(DATA.validation)), (alone, None)):
        fit(
            model.task(model),
            Adam(model.parameters()),
            streams(DATA.train),
            epochs=2,
            validation=validation,
            progress=False,
        )
    assert_equal(watched.state_dict(), alone.state_dict())


@models
def test_the_model_is_left_as_it_was(kind: type[Any]) -> None:
    """Whoever looks at a model after its training finds it as it was made."""
    model = new_model(kind).eval()
    fit(model.task(model), SGD(model.parameters()), streams(DATA.train, kind.ahead), epochs=1)
    assert not model.training
    assert model.needs_input_grad


@pytest.mark.parametrize("last_only", [False, True])
def test_the_mean_is_that_over_all_targets(last_only: bool) -> None:
    """Sentences of 2 to 12 tokens in batches of 3: each target weighs the same, padding weighs nothing."""
    rng = np.random.default_rng(1)
    sentences = [rng.integers(0, 3, length) for length in (2, 12, 3, 5, 2, 9, 4)]
    model = new_model(dtype=np.float64)
    model.decoder.bias.data[1] = 5  # its guess every time, and right about every third
    found = evaluate(model.task(model), Sentences(sentences, 3, last_only=last_only))

    losses, right = [], []
    for sentence in sentences:
        logits = model.eval()(sentence[:-1, None])[0][:, 0]
        scored = slice(-1, None) if last_only else slice(None)
        for scores, target in zip(logits[scored], sentence[1:][scored], strict=True):
            losses.append(float(np.log(np.exp(scores).sum()) - scores[target]))
            right.append(scores.argmax() == target)
    assert isinstance(found, LanguageMetrics)
    assert found.loss == pytest.approx(np.mean(losses), rel=1e-12)
    assert 0 < found.accuracy == np.mean(right)
    assert found.perplexity == pytest.approx(math.exp(np.mean(losses)), rel=1e-12)
    assert found.bits_per_token == pytest.approx(np.mean(losses) / math.log(2), rel=1e-12)


def test_a_step_starts_without_a_state() -> None:
    """Twice the same batch at a learning rate of 0 is twice the same loss."""
    model = new_model(dropout=0.0)
    batch = next(iter(streams(DATA.train)))
    task, optimizer = model.task(model), SGD(model.parameters(), lr=0.0)
    assert task.step(optimizer, batch) == task.step(optimizer, batch)
    assert isinstance(task.metrics, LanguageMetrics)
    gradient = math.sqrt(sum(float(np.sum(p.grad**2)) for p in model.parameters()))
    assert gradient > 0


class Interrupt:
    """An `on_step` that is Ctrl-C at the end of a step."""

    def __init__(self, at: int) -> None:
        self.at = at

    def __call__(self, step: int, metrics: Metrics) -> None:
        if step == self.at:
            raise KeyboardInterrupt


def numpy_run(
    directory: Path,
    epochs: int,
    interrupt_at: int = 0,
    model: LanguageModel | None = None,
    optimizer: type[Any] = Adam,
    **arguments: Any,
) -> tuple[State, History]:
    """A run from the same start each time; the final weights and the history."""
    model = model or new_model()
    settings: dict[str, Any] = {"lr_decay": 0.9, "clip_norm": 1.0, "vocabulary": VOCABULARY}
    history = fit(
        model.task(model),
        optimizer(model.parameters(), lr=0.02),
        streams(DATA.train, model.ahead),
        epochs=epochs,
        validation=streams(DATA.validation, model.ahead),
        checkpoint=directory / "checkpoint.safetensors",
        progress=False,
        on_step=Interrupt(interrupt_at),
        **settings | arguments,
    )
    return model.state_dict(), history


def torch_run(
    directory: Path,
    epochs: int,
    interrupt_at: int = 0,
    model: LanguageModel | None = None,
    optimizer: type[Any] = torch.optim.Adam,
    **arguments: Any,
) -> tuple[State, History]:
    """The same with Lightning's Trainer."""
    twin: Any = from_numpy(model or new_model())
    steps = itertools.count(1)
    training_step = twin.training_step

    def interrupted(batch: Any, batch_idx: int) -> torch.Tensor:
        if next(steps) == interrupt_at:
            raise KeyboardInterrupt
        loss: torch.Tensor = training_step(batch, batch_idx)
        return loss

    twin.training_step = interrupted
    settings: dict[str, Any] = {"lr_decay": 0.9, "clip_norm": 1.0}
    history = gdl_torch.training.fit(
        twin,
        optimizer(twin.parameters(), lr=0.02),
        LettersDataModule(STREAMS, CHUNK),
        epochs=epochs,
        directory=directory,
        seed=SEED,
        accelerator="cpu",
        progress=False,
        **settings | arguments,
    )
    return {name: tensor.numpy() for name, tensor in twin.state_dict().items()}, history


RUNS = {"numpy": numpy_run, "torch": torch_run}
both_sides = pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)


@both_sides
def test_a_stopped_and_resumed_run_is_the_uninterrupted_one(run: Callable[..., Any], tmp_path: Path) -> None:
    """To the bit, with dropout, wherever it stops: in the first epoch, between two, in the middle of one."""
    expected, history = run(tmp_path / "whole", 3)
    stopped = tmp_path / "stopped"
    with pytest.raises(KeyboardInterrupt):
        run(stopped, 3, interrupt_at=5)
    run(stopped, 1, resume=True)
    with pytest.raises(KeyboardInterrupt):
        run(stopped, 3, resume=True, interrupt_at=60 if run is numpy_run else 12)
    state, resumed = run(stopped, 3, resume=True)
    assert_equal(state, expected)
    for row, wanted in zip(resumed.rows, history.rows, strict=True):
        assert row | {"seconds": 0} == wanted | {"seconds": 0}


@models
def test_both_sides_end_with_the_same_losses_and_weights(kind: type[Any], tmp_path: Path) -> None:
    """The same first weights, the same streams, the same carried state: in float64 the two runs agree.

    Lightning keeps means in float32, in sums of as many terms as an epoch has batches; the weights know
    nothing of that.
    """
    arguments = {} if kind is TransitionMatrixLM else {"dropout": 0.0}
    model = new_model(kind, np.float64, **arguments)

    def by_numpy(disturb: Disturb) -> list[State]:
        disturbed = new_model(kind, np.float64, **arguments)

        class Disturbed(SGD):
            def step(self) -> None:
                super().step()
                disturb(disturbed)

        return [numpy_run(tmp_path / "disturbed", 2, model=disturbed, optimizer=Disturbed)[0]]

    longest = STREAMS * CHUNK + ELEMENTARY  # the sum of a matrix's gradient, over all of a batch
    bounds = moved_by_rounding(by_numpy, float(gamma(longest, 2 * unit_roundoff(np.float64))))
    state, history = numpy_run(tmp_path / "numpy", 2, model=model, optimizer=SGD)
    theirs, torch_history = torch_run(
        tmp_path / "torch", 2, model=new_model(kind, np.float64, **arguments), optimizer=torch.optim.SGD
    )
    assert_within([theirs], [state], bounds)
    rounding = (len(streams(DATA.train)) + 2) * 2.0**-24
    for row, wanted in zip(torch_history.rows, history.rows, strict=True):
        assert row.keys() == wanted.keys()
        for name in row.keys() - {"seconds"}:
            # e to a loss that is wrong by ε is wrong by the factor 1 + ε
            assert row[name] == pytest.approx(wanted[name], rel=4 * rounding), name

    data = LettersDataModule(STREAMS, CHUNK)
    found = gdl_torch.training.evaluate(from_numpy(model), data, accelerator="cpu")
    expected = evaluate(model.task(model), streams(DATA.test, kind.ahead))
    assert found.row() == pytest.approx(expected.row(), rel=4 * rounding)


def test_checkpoints_hold_the_vocabulary(tmp_path: Path) -> None:
    """On both sides, and only where there is one."""
    numpy_run(tmp_path, 1)
    assert load_vocabulary(tmp_path / "checkpoint.safetensors") == VOCABULARY
    torch_run(tmp_path, 1)
    assert read_checkpoint(tmp_path / gdl_torch.training.CHECKPOINT)["vocabulary"] == VOCABULARY.to_json()
    numpy_run(tmp_path, 1, vocabulary=None)
    with pytest.raises(CheckpointError, match="holds no vocabulary: give the checkpoint of a language model"):
        load_vocabulary(tmp_path / "checkpoint.safetensors")


def test_a_run_does_not_go_on_with_another_text(tmp_path: Path) -> None:
    """Also where there are as many tokens in it."""
    numpy_run(tmp_path, 1)
    other = Vocabulary.build(TEXT.replace("e", "x"))
    assert len(other) == len(VOCABULARY)
    with pytest.raises(CheckpointError, match="was trained with another vocabulary: give the text"):
        numpy_run(tmp_path, 2, resume=True, vocabulary=other)
    model = new_model()
    longer_chunks = Streams(VOCABULARY.encode(DATA.train), STREAMS, CHUNK + 1)
    with pytest.raises(CheckpointError, match=r"'chunk': 7.*not.*'chunk': 8"):
        fit(
            model.task(model),
            Adam(model.parameters()),
            longer_chunks,
            epochs=2,
            checkpoint=tmp_path / "checkpoint.safetensors",
            resume=True,
            vocabulary=VOCABULARY,
        )


def test_nothing_to_learn_from() -> None:
    model = new_model()
    with pytest.raises(ValueError, match="no examples to train on"):
        fit(model.task(model), SGD(model.parameters()), Sentences([], 3), epochs=1, progress=False)


def test_history_of_a_text_has_perplexity_and_bits(tmp_path: Path) -> None:
    """A loss too large for e to its power is an infinite perplexity, and no error."""
    history = History()
    for loss in (math.log(64), 1000.0, math.nan):
        history.append(LanguageMetrics(loss, 0.25), LanguageMetrics(loss + 1, 0.2), lr=0.1, seconds=1.5)
    first, second, third = history.rows
    assert first["train_perplexity"] == pytest.approx(64)
    assert first["train_bits_per_token"] == pytest.approx(6)
    assert first["validation_perplexity"] == pytest.approx(64 * math.e)
    assert second["train_perplexity"] == math.inf
    assert math.isnan(third["train_perplexity"])
    history.save(tmp_path)
    assert json.loads((tmp_path / "history.json").read_text())[:2] == history.rows[:2]
    header = (tmp_path / "history.csv").read_text().splitlines()[0]
    assert header.endswith(
        "validation_loss,validation_accuracy,validation_perplexity,validation_bits_per_token"
    )
    history.plot(tmp_path / "history.png", "a text", LanguageMetrics.panels)
    History(history.rows[2:]).plot(tmp_path / "nan.png", "nothing", {"perplexity": "log"})
    assert (tmp_path / "history.png").read_bytes().startswith(b"\x89PNG")
