"""Language models under Lightning's Trainer: truncated backpropagation through time, and what is around it.

Both sides start from the same weights and read the same chunks, in float64, each carrying a state of its own.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader

from gdl_numpy.checkpoint import CheckpointError, load_vocabulary
from gdl_numpy.data import SentenceDataset, Sentences, Streams, TextDataset, Vocabulary, load
from gdl_numpy.models import MODELS
from gdl_numpy.nn import CrossEntropyLoss
from gdl_numpy.optim import SGD
from gdl_numpy.tasks import LanguageMetrics
from gdl_numpy.training import evaluate, fit
from gdl_torch import training
from gdl_torch.__main__ import main
from gdl_torch.data import DigitsDataModule, PythonDocsDataModule, SentenceDataModule, TextDataModule
from gdl_torch.data.loading import Batch, ignore_advice_on_workers
from gdl_torch.export import export_checkpoint, from_numpy, load_model, save_model
from gdl_torch.models import MLP, LanguageModel, LSTMLanguageModel, RNNLanguageModel, TransitionMatrixLM
from gdl_torch.tasks import Mean
from parity_tests.disturbance import assert_within, moved_by_rounding, nothing
from parity_tests.harness.rounding import gamma, unit_roundoff
from parity_tests.test_lightning import Losses, trainer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from gdl_torch.tasks import Task
    from parity_tests.disturbance import Disturb, State

pytestmark = [
    # Lightning's own use of torch's interface.
    pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec:FutureWarning"),
    # On a machine with a GPU, the tests that are about the CPU.
    pytest.mark.filterwarnings("ignore:GPU available but not used"),
]

U = unit_roundoff(np.float64)
SENTENCES = ("the cat sat", "a dog barked at the cat", "the dog sat", "cat and dog", "a cat barked and sat")


class ShortText(TextDataModule):
    """1,002 characters of Python's manual, 901 of them to train on."""

    dataset = "short"

    def __init__(self, batch_size: int = 3, chunk: int = 40, **arguments: Any) -> None:
        super().__init__(batch_size, chunk, **arguments)
        self.loaded = TextDataset.split("short", load("python_docs").train[:1002])

    def prepare_data(self) -> None:
        pass


class FewSentences(SentenceDataModule):
    """Five sentences of 3 to 6 words."""

    dataset = "few"

    def __init__(self, batch_size: int = 2, last_only: bool = False, **arguments: Any) -> None:
        super().__init__(batch_size, **arguments)
        self.loaded = SentenceDataset("few", SENTENCES, SENTENCES, SENTENCES, last_only)

    def prepare_data(self) -> None:
        pass


@dataclass(frozen=True)
class Recipe:
    """A training run of 2 epochs that both sides can do, with plain SGD."""

    model: str
    hparams: dict[str, Any]
    lr: float = 0.3
    epochs: int = 2

    def numpy_model(self, vocab_size: int) -> Any:
        model: Any = MODELS[self.model]
        return model(vocab_size, **self.hparams, rng=0, dtype=np.float64)

    def torch_model(self, vocab_size: int) -> LanguageModel:
        model = from_numpy(self.numpy_model(vocab_size), lr=self.lr)
        assert isinstance(model, LanguageModel)
        return model


RECIPES = {
    # Its state is a sum: over a long text it would grow and grow, and errors with it.
    "TransitionMatrixLM": Recipe("TransitionMatrixLM", {"embedding_dim": 5}, lr=0.003),
    "RNN-2-relu": Recipe(
        "RNNLanguageModel",
        {"embedding_dim": 5, "hidden_size": 7, "num_layers": 2, "nonlinearity": "relu"},
    ),
    "LSTM": Recipe("LSTMLanguageModel", {"embedding_dim": 5, "hidden_size": 7}),
}
each_model = pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)


class Gradients(pl.Callback):
    """Keeps each batch's gradients, and the parameters that the optimizer made with them."""

    def __init__(self) -> None:
        self.steps: list[State] = []

    def on_before_optimizer_step(self, trainer: pl.Trainer, pl_module: pl.LightningModule, _: Any) -> None:
        # Once the state is carried, that of TransitionMatrixLM is not its start, which then has no gradient.
        grads = {name: p.grad for name, p in pl_module.named_parameters() if p.grad is not None}
        self.steps.append({f"grad {name}": grad.numpy(force=True).copy() for name, grad in grads.items()})

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        if self.steps:
            self.steps[-1] |= {n: p.numpy(force=True).copy() for n, p in pl_module.named_parameters()}


def run_numpy(recipe: Recipe, data: ShortText, disturb: Disturb = nothing) -> list[State]:
    """The plain loop: the gradients of every chunk, and the parameters after every step."""
    model, loss = recipe.numpy_model(data.vocab_size), CrossEntropyLoss()
    optimizer = SGD(model.parameters(), lr=recipe.lr)
    ids = data.vocabulary.encode(data.loaded.train)
    steps = []
    for _ in range(recipe.epochs):
        state = None
        for inputs, targets in Streams(ids, data.batch_size, data.chunk, model.ahead):
            disturb(model)
            optimizer.zero_grad()
            logits, state = model(inputs, state)
            loss(np.moveaxis(logits, -1, 1), targets)
            model.backward(np.moveaxis(loss.backward(), 1, -1))
            grads = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
            step = {f"grad {name}": grad.copy() for name, grad in grads.items()}
            optimizer.step()
            steps.append(step | {name: p.data.copy() for name, p in model.named_parameters()})
    return steps


def allowed(recipe: Recipe, data: ShortText) -> list[dict[str, float]]:
    # A gradient sums over the chunk and its streams, and over a layer's width at every step on its way.
    longest = data.chunk * data.batch_size * 4 * 7
    return moved_by_rounding(lambda disturb: run_numpy(recipe, data, disturb), float(gamma(longest, U)))


@each_model
@pytest.mark.parametrize("chunk", [40, 300], ids=["truncated", "whole text"])
def test_gradients_of_every_chunk_are_those_of_numpy(recipe: Recipe, chunk: int, device: str) -> None:
    """Chunk by chunk, and so the parameters after each step too: 7 chunks of 40 steps, and one of 20.

    With chunks as long as the text there is one an epoch, and nothing is truncated: full backpropagation.
    """
    data, gradients = ShortText(chunk=chunk), Gradients()
    trainer(max_epochs=recipe.epochs, callbacks=[gradients], accelerator=device).fit(
        recipe.torch_model(data.vocab_size), datamodule=data
    )
    expected = run_numpy(recipe, data)
    assert len(expected) == recipe.epochs * (8 if chunk == 40 else 1)
    assert_within(gradients.steps, expected, allowed(recipe, data))


@each_model
def test_gdl_numpy_training_does_the_same(recipe: Recipe) -> None:
    """`fit` is the plain NumPy loop, which the Trainer has just been shown to be as well.

    But for rounding: where that is less work, it looks up products with the embeddings that were made once.
    """
    data = ShortText()
    model = recipe.numpy_model(data.vocab_size)
    streams = Streams(data.vocabulary.encode(data.loaded.train), data.batch_size, data.chunk, model.ahead)
    by_fit: list[State] = []

    def keep(*_: Any) -> None:
        by_fit.append({name: array.copy() for name, array in model.state_dict().items()})

    optimizer = SGD(model.parameters(), lr=recipe.lr)
    fit(model.task(model), optimizer, streams, epochs=recipe.epochs, progress=False, on_step=keep)
    expected = [{name: step[name] for name in by_fit[0]} for step in run_numpy(recipe, data)]
    assert_within(by_fit, expected, allowed(recipe, data))


def cut(state: Any) -> Any:
    return tuple(part.detach() for part in state) if isinstance(state, tuple) else state.detach()


def truncated(
    model: Task, batches: Sequence[Sequence[Tensor]], epochs: int, accumulate: int, max_norm: float
) -> list[State]:
    """Truncated backpropagation through time as anyone would write it in plain torch."""
    optimizer = torch.optim.SGD(model.parameters(), model.lr)
    steps = []
    for _ in range(epochs):
        state = None
        for number, (ids, targets) in enumerate(batches, 1):
            logits, state = model(ids, state)
            state = cut(state)
            loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten()) / accumulate
            loss.backward()  # type: ignore[no-untyped-call]
            if number % accumulate == 0 or number == len(batches):
                torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm)
                optimizer.step()
                optimizer.zero_grad()
                steps.append({name: p.detach().numpy().copy() for name, p in model.named_parameters()})
    return steps


@pytest.mark.parametrize("name", ["RNN-2-relu", "LSTM"])
def test_clipping_and_accumulation_are_the_trainers_own(name: str) -> None:
    """The Trainer's flags give what a hand-written loop of plain torch gives, bit for bit.

    The state goes on from batch to batch also where two of them make one step. `max_norm` decides every step.
    """
    data, gradients = ShortText(), Gradients()
    model = RECIPES[name].torch_model(data.vocab_size)
    batches = list(data.train_dataloader())
    expected = truncated(copy.deepcopy(model), batches, epochs=2, accumulate=2, max_norm=0.1)
    trainer(callbacks=[gradients], accumulate_grad_batches=2, gradient_clip_val=0.1).fit(
        model, datamodule=data
    )
    assert len(gradients.steps) == len(expected) == 8
    for ours, theirs in zip(gradients.steps, expected, strict=True):
        for parameter in theirs:
            np.testing.assert_array_equal(ours[parameter], theirs[parameter])


def test_nothing_but_the_cut_divides_chunks_from_the_whole_text() -> None:
    """Chunks whose states are not detached add up to the gradient of one long chunk; cut, they do not."""
    recipe, gradients = RECIPES["LSTM"], Gradients()
    long = ShortText(chunk=300)
    trainer(max_epochs=1, callbacks=[gradients]).fit(recipe.torch_model(long.vocab_size), datamodule=long)

    def by_chunks(whole: bool) -> State:
        data = ShortText()
        model = recipe.torch_model(data.vocab_size)
        state, losses = None, []
        for ids, targets in data.train_dataloader():
            logits, state = model(ids, state)
            losses.append(F.cross_entropy(logits.flatten(0, 1), targets.flatten()) * targets.numel() / 900)
            state = state if whole else cut(state)
        sum(losses).backward()
        return {f"grad {name}": p.grad.numpy() for name, p in model.named_parameters()}  # type: ignore[union-attr]

    bounds = [{k: v for k, v in allowed(recipe, long)[0].items() if k.startswith("grad")}]
    expected = [{k: v for k, v in gradients.steps[0].items() if k.startswith("grad")}]
    assert_within([by_chunks(whole=True)], expected, bounds)
    with pytest.raises(AssertionError, match="off by"):
        assert_within([by_chunks(whole=False)], expected, bounds)


class Seen(pl.Callback):
    """Keeps every training batch with its loss, and every validation loss."""

    def __init__(self) -> None:
        self.batches: list[list[Tensor]] = []
        self.losses: list[float] = []
        self.validation: list[float] = []

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.batches.append(batch)
        self.losses.append(float(outputs["loss"]))

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.validation.append(float(trainer.callback_metrics["val_loss"]))


def still(name: str, data: ShortText | FewSentences) -> LanguageModel:
    """A model that learns nothing, so that its losses tell of its states alone."""
    return Recipe(RECIPES[name].model, RECIPES[name].hparams, lr=0.0).torch_model(data.vocab_size)


def loss_of(model: LanguageModel, batch: list[Tensor], state: Any = None) -> float:
    with torch.no_grad():
        logits, _ = model(batch[0], state)
        return float(F.cross_entropy(logits.flatten(0, 1), batch[1].flatten()))


@pytest.mark.parametrize("name", RECIPES)
def test_each_epoch_begins_with_a_new_state(name: str) -> None:
    """The second epoch's losses are the first's; and but for the first chunk, not those of a new state."""
    data, seen = ShortText(), Seen()
    model = still(name, data)
    trainer(callbacks=[seen]).fit(model, datamodule=data)
    assert seen.losses[:8] == seen.losses[8:]
    fresh = [loss_of(model, batch) for batch in seen.batches[:8]]
    assert seen.losses[0] == fresh[0]
    assert all(abs(carried - new) > 1e-6 for carried, new in zip(seen.losses[1:8], fresh[1:], strict=True))


def test_validation_in_mid_epoch_leaves_the_state_of_training_alone() -> None:
    """After every second batch or never: training goes the same way, bit for bit. And so does validation."""
    data = ShortText(batch_size=2, chunk=10)
    steps = []
    for validate in (True, False):
        gradients = Gradients()
        arguments = {"limit_val_batches": 1.0, "val_check_interval": 2, "num_sanity_val_steps": 2}
        trainer(callbacks=[gradients], **(arguments if validate else {})).fit(
            RECIPES["LSTM"].torch_model(data.vocab_size), datamodule=data
        )
        steps.append(gradients.steps)
    for with_validation, without in zip(*steps, strict=True):
        for name in without:
            np.testing.assert_array_equal(with_validation[name], without[name])

    seen, model = Seen(), still("LSTM", data)
    trainer(callbacks=[seen], max_epochs=1, limit_val_batches=1.0, val_check_interval=5).fit(
        model, datamodule=data
    )
    (alone,) = trainer(limit_val_batches=1.0).validate(model, datamodule=data, verbose=False)
    assert len(seen.validation) == 9
    assert set(seen.validation) == {alone["val_loss"]}


@pytest.mark.parametrize("name", RECIPES)
def test_sentences_do_not_continue_each_other(name: str) -> None:
    """Every batch of sentences starts anew, in the order of `gdl_numpy.data.Sentences`, epoch by epoch."""
    data, seen = FewSentences(seed=4), Seen()
    model = still(name, data)
    trainer(callbacks=[seen]).fit(model, datamodule=data)
    assert seen.losses == [loss_of(model, batch) for batch in seen.batches]

    ids = [data.vocabulary.encode(sentence) for sentence in SENTENCES]
    sentences = Sentences(ids, batch_size=2, seed=4, ahead=model.ahead)
    expected = []
    for epoch in range(2):
        sentences.set_epoch(epoch)
        expected += list(sentences)
    for batch, arrays in zip(seen.batches, expected, strict=True):
        for tensor, array in zip(batch, arrays, strict=True):
            np.testing.assert_array_equal(tensor.numpy(), array)


def test_batches_without_a_data_module_begin_anew_and_say_so() -> None:
    """Nothing tells the model that a loader's batches continue each other: it warns, once."""
    data, seen = ShortText(chunk=10), Seen()
    model = still("LSTM", data)
    with pytest.warns(UserWarning, match="starts every batch without a state") as caught:
        trainer(callbacks=[seen], limit_val_batches=1.0).fit(
            model, data.train_dataloader(), data.val_dataloader()
        )
    (warning,) = (str(w.message) for w in caught if "without a state" in str(w.message))
    assert warning.startswith("LSTMLanguageModel")
    assert "a data module (datamodule=…) with an attribute `continues`" in warning
    assert seen.losses == [loss_of(model, batch) for batch in seen.batches]


def test_only_the_last_word_of_a_padded_sentence_counts() -> None:
    """Chapter 13's task: the data set says so, and the batches follow."""
    (loader,) = FewSentences(batch_size=5, last_only=True).val_dataloader()
    ids, targets = next(iter(loader))
    assert ids.shape == targets.shape == (5, 5)
    assert (targets != -100).sum(dim=0).tolist() == [1] * 5


@each_model
def test_sentences_of_a_batch_do_not_touch_each_other(recipe: Recipe) -> None:
    """With lengths, a padded batch gives each sentence the logits and the state that it has by itself.

    What the padding holds does not matter. Both may differ by the rounding of products of other sizes.
    """
    rng = np.random.default_rng(0)
    lengths, vocab_size = [6, 1, 4, 6], 11
    ids = rng.integers(0, vocab_size, (6, 4))
    start = recipe.torch_model(vocab_size)(torch.from_numpy(ids[:2]))[1]  # some state to begin with

    def parts(state: Any) -> list[Tensor]:
        return list(state) if isinstance(state, tuple) else [state]

    def columns(state: Any, which: slice) -> Any:
        picked = [part[..., which, :] for part in parts(state)]
        return tuple(picked) if isinstance(state, tuple) else picked[0]

    def read(ids: np.ndarray, state: Any, lengths: list[int] | None, disturb: Disturb) -> list[np.ndarray]:
        numpy_model = recipe.numpy_model(vocab_size)
        disturb(numpy_model)
        model = from_numpy(numpy_model)
        with torch.no_grad():
            counts = None if lengths is None else torch.tensor(lengths)
            logits, state = model(torch.from_numpy(ids), state, counts)
        return [logits.numpy(), *(part.numpy() for part in parts(state))]

    for initial in (None, start):
        for column, length in enumerate(lengths):
            one = slice(column, column + 1)
            state = None if initial is None else columns(initial, one)

            def alone(
                disturb: Disturb, one: slice = one, length: int = length, state: Any = state
            ) -> list[State]:
                found = read(ids[:length, one], state, None, disturb)
                return [{str(place): array for place, array in enumerate(found)}]

            logits, *states = read(ids, initial, lengths, nothing)
            together = [logits[:length, one], *(part[..., one, :] for part in states)]
            found = [{str(place): array for place, array in enumerate(together)}]
            assert_within(found, alone(nothing), moved_by_rounding(alone, float(gamma(6 * 7, U))))


@each_model
def test_what_is_logged_are_means_over_an_epochs_targets(recipe: Recipe) -> None:
    """As `gdl_numpy.training.evaluate` has them; perplexity is e to the epoch's mean loss, no mean of powers.

    The last chunk is shorter and weighs less. No sum has more than 900 terms, all of them positive.
    """
    data = ShortText(chunk=7)
    numpy_model, model = recipe.numpy_model(data.vocab_size), recipe.torch_model(data.vocab_size)
    run = trainer(limit_val_batches=1.0)
    found = dict(run.validate(model, datamodule=data, verbose=False)[0])
    found |= run.test(model, datamodule=data, verbose=False)[0]
    for stage, text in (("val", data.loaded.validation), ("test", data.loaded.test)):
        streams = Streams(data.vocabulary.encode(text), data.batch_size, data.chunk, model.ahead)
        expected = evaluate(numpy_model.task(numpy_model), streams)
        assert isinstance(expected, LanguageMetrics)
        rtol = 4 * float(gamma(900, U)) * max(1, expected.loss)
        for name, value in (
            ("loss", expected.loss),
            ("perplexity", expected.perplexity),
            ("bits_per_token", expected.bits_per_token),
            ("acc", expected.accuracy),
        ):
            np.testing.assert_allclose(found[f"{stage}_{name}"], value, rtol=rtol)

    losses = Losses()
    run = trainer(max_epochs=1, callbacks=[losses])
    run.fit(model, datamodule=data)
    logged = {name: float(value) for name, value in run.callback_metrics.items()}
    np.testing.assert_allclose(logged["train_perplexity"], np.exp(losses.epochs[0]), rtol=1e-12)
    np.testing.assert_allclose(logged["train_bits_per_token"], losses.epochs[0] / np.log(2), rtol=1e-12)
    assert np.mean(np.exp(losses.steps)) > logged["train_perplexity"] * (1 + 1e-9)


@pytest.mark.parametrize("precision", ["bf16-true", "32-true"])
def test_means_are_exact_in_any_precision(precision: Any, device: str) -> None:
    """Also where the Trainer turns all that the model has into bfloat16, in which sums soon stop growing."""
    data, losses = ShortText(chunk=3), Losses()
    model = RECIPES["LSTM"].torch_model(data.vocab_size)
    run = trainer(max_epochs=1, precision=precision, callbacks=[losses], accelerator=device)
    run.fit(model, datamodule=data)
    logged = {name: float(value) for name, value in run.callback_metrics.items()}
    assert len(losses.steps) == 100
    mean, rtol = float(np.mean(losses.steps)), float(gamma(4 * 100, U))
    np.testing.assert_allclose(logged["train_bits_per_token"], mean / np.log(2), rtol=rtol)
    np.testing.assert_allclose(logged["train_perplexity"], np.exp(mean), rtol=rtol * max(1, mean))
    np.testing.assert_allclose(logged["train_loss_epoch"], mean, rtol=rtol)


def test_a_mean_keeps_its_precision(device: str) -> None:
    """Whatever happens to the module that it is in, also in mid-epoch, and after it begins anew."""
    module = torch.nn.ModuleDict({"mean": Mean()})
    mean: Any = module["mean"]
    for _ in range(2):
        for convert in (module.half, module.bfloat16, lambda: module.to(device, torch.float16), mean.half):
            convert()
            for _ in range(1000):
                mean.update(torch.tensor(1.5, dtype=torch.bfloat16, device=mean.device), torch.tensor(1))
        mean.set_dtype(torch.bfloat16)
        assert (mean.total.device.type, mean.count.device.type) == (device, device)
        assert mean.compute().item() == 1.5
        assert mean.total == 6000
        mean.reset()


def test_padding_counts_in_no_mean() -> None:
    """Batches of 2, 2 and 1 sentences have 4 to 8 targets; each weighs the same in the epoch's mean."""
    data = FewSentences()
    model = still("RNN-2-relu", data)
    (found,) = trainer(limit_val_batches=1.0).validate(model, datamodule=data, verbose=False)
    alone = [(torch.tensor(ids[:-1, None]), torch.tensor(ids[1:, None]))
             for ids in map(data.vocabulary.encode, SENTENCES)]  # fmt: skip
    counts = [len(targets) for _, targets in alone]
    mean = np.average([loss_of(model, list(pair)) for pair in alone], weights=counts)
    np.testing.assert_allclose(found["val_loss"], mean, rtol=float(gamma(200, U)))


def test_the_vocabulary_goes_where_the_model_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Into the checkpoint, with the model loaded from it into the next file, and over to the NumPy side."""
    monkeypatch.setenv("JSONARGPARSE_DEPRECATION_WARNINGS", "off")  # Lightning's own use of its interface
    data = ShortText()
    model = RNNLanguageModel(data.vocab_size, 3, 4)
    run = trainer(max_epochs=1)
    run.fit(model, datamodule=data)
    run.save_checkpoint(tmp_path / "model.ckpt")
    loaded = LanguageModel.load_from_checkpoint(tmp_path / "model.ckpt", weights_only=True)
    assert isinstance(loaded, RNNLanguageModel)
    assert loaded.vocabulary == model.vocabulary == data.vocabulary

    save_model(tmp_path / "saved.safetensors", loaded)
    export_checkpoint(tmp_path / "model.ckpt", tmp_path / "exported.safetensors")
    for path in (tmp_path / "saved.safetensors", tmp_path / "exported.safetensors"):
        assert load_vocabulary(path) == data.vocabulary
        back = load_model(path)
        assert isinstance(back, RNNLanguageModel)
        assert back.vocabulary == data.vocabulary

    save_model(tmp_path / "without.safetensors", RNNLanguageModel(9, 3, 4))
    without = load_model(tmp_path / "without.safetensors")
    assert isinstance(without, RNNLanguageModel)
    assert without.vocabulary is None


def test_another_vocabulary_is_refused(tmp_path: Path) -> None:
    """Ids mean something else in another text, also where their number is the same."""
    data, other = ShortText(), ShortText()
    other.loaded = TextDataset.split("other", data.loaded.text.translate({ord("e"): "€"}))
    model = RNNLanguageModel(data.vocab_size, 3, 4)
    run = trainer(max_epochs=1)
    run.fit(model, datamodule=data)
    run.save_checkpoint(tmp_path / "model.ckpt")
    assert other.vocab_size == data.vocab_size
    with pytest.raises(ValueError, match="RNNLanguageModel was trained with another vocabulary"):
        trainer().test(model, datamodule=other)
    with pytest.raises(ValueError, match="RNNLanguageModel was trained with another vocabulary"):
        trainer().test(
            RNNLanguageModel(data.vocab_size, 3, 4),
            datamodule=other,
            ckpt_path=tmp_path / "model.ckpt",
            weights_only=True,
        )


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda: LSTMLanguageModel(hidden_size=0), "LSTMLanguageModel expects hidden_size ≥ 1, got 0"),
        (lambda: TransitionMatrixLM(-1), "TransitionMatrixLM expects vocab_size ≥ 1, got -1"),
        (lambda: RNNLanguageModel(dropout=2), "between 0 and 1, but got 2"),
        (lambda: RNNLanguageModel(nonlinearity="sigmoid"), "Unknown nonlinearity 'sigmoid'"),  # type: ignore[arg-type]
        (lambda: PythonDocsDataModule(chunk=0), "chunk must be at least 1, got 0"),
        (lambda: PythonDocsDataModule(batch_size=0), "batch_size must be at least 1, got 0"),
        (lambda: FewSentences(seed=-1), "seed must be 0 or more, got -1"),
        (lambda: PythonDocsDataModule(vocabulary="letters").vocab_size, "got 'letters'"),
        (lambda: ShortText(chunk=500).train_dataloader(), "the text has 901 tokens, but 3 streams"),
        (
            lambda: trainer().fit(RNNLanguageModel(9, 3, 4), datamodule=ShortText()),
            "RNNLanguageModel was built for 9 tokens, but the data has 4[0-9]: give vocab_size=4",
        ),
        (
            lambda: trainer().fit(RNNLanguageModel(9, 3, 4), datamodule=DigitsDataModule()),
            "DigitsDataModule gives labelled images, which RNNLanguageModel cannot read",
        ),
        (
            lambda: trainer().fit(MLP(), datamodule=ShortText()),
            "ShortText gives texts, which MLP cannot read",
        ),
        (
            lambda: trainer().predict(RNNLanguageModel(40), datamodule=ShortText()),
            "RNNLanguageModel writes text and predicts no classes: use scripts/generate.py",
        ),
        (
            lambda: TransitionMatrixLM(9, 3)(torch.zeros(5, 2, dtype=torch.long), torch.zeros(1, 3)),
            r"a state of shape \(2, 3\), got \(1, 3\)",
        ),
    ],
)
def test_what_cannot_be_is_refused_by_name(
    use: Callable[[], object], message: str, unchecked_types: None
) -> None:
    with pytest.raises(ValueError, match=message):
        use()


class WithoutVocabulary(pl.LightningDataModule):
    """Batches of ids, of which nothing says how many there may be."""

    continues = False

    def __init__(self, ids: Sequence[int], targets: Sequence[int]) -> None:
        super().__init__()
        self.batch = torch.tensor(ids)[:, None], torch.tensor(targets)[:, None]

    def setup(self, stage: str) -> None:
        ignore_advice_on_workers()

    def train_dataloader(self) -> DataLoader[Batch]:
        return DataLoader([self.batch], batch_size=None)  # type: ignore[arg-type]  # a list will do

    val_dataloader = train_dataloader


@pytest.mark.parametrize(
    ("ids", "targets", "message"),
    [
        ([0, 9], [1, 2], r"expects ids in \[0, 9\), got 0 to 9"),
        ([-1, 3], [1, 2], r"expects ids in \[0, 9\), got -1 to 3"),
        ([0, 8], [-100, 12], r"expects targets in \[0, 9\), got 12 to 12"),
        ([0, 8], [-2, 1], r"expects targets in \[0, 9\), got -2 to 1"),
    ],
)
def test_what_is_no_symbol_is_refused(
    ids: list[int], targets: list[int], message: str, device: str, unchecked_types: None
) -> None:
    """Before it comes to a GPU, where it would end the whole process. Targets of -100 are none."""
    run = trainer(max_epochs=1, accelerator=device)
    run.fit(RNNLanguageModel(9, 3, 4), datamodule=WithoutVocabulary([0, 8], [8, -100]))
    with pytest.raises(IndexError, match="RNNLanguageModel " + message):
        trainer(accelerator=device).fit(RNNLanguageModel(9, 3, 4), datamodule=WithoutVocabulary(ids, targets))


def test_an_index_error_is_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """`python -m gdl_torch fit` with somebody's own data module, whose ids are too large."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        "sys.argv",
        ["gdl_torch", "fit", "--model=RNNLanguageModel", "--model.vocab_size=9", "--trainer.logger=false",
         f"--data={__name__}.WithoutVocabulary", "--data.ids=[9]", "--data.targets=[1]",
         "--trainer.enable_progress_bar=false"],
    )  # fmt: skip
    for variable in ("PL_GLOBAL_SEED", "PL_SEED_WORKERS"):
        monkeypatch.setenv(variable, "0")
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 2
    error = capsys.readouterr().err
    assert error == "error: RNNLanguageModel expects ids in [0, 9), got 9 to 9\n"
    assert not [record for record in caplog.messages if "PU available" in record]


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        ([0, 3], r"expects lengths from 1 to 3, got \[0, 3\]"),
        ([9, 1], r"expects lengths from 1 to 3, got \[9, 1\]"),
        ([2], r"expects lengths to be 2 integers.*, got torch.int64 of shape \(1,\)"),
        ([2.0, 1.0], r"expects lengths to be 2 integers.*, got torch.float32 of shape \(2,\)"),
    ],
)
def test_lengths_that_cannot_be_are_refused(
    recipe: Recipe, lengths: list[float], message: str, unchecked_types: None
) -> None:
    """In the words of the NumPy side."""
    model = recipe.torch_model(9)
    with pytest.raises(ValueError, match=f"{recipe.model} {message}"):
        model(torch.zeros(3, 2, dtype=torch.long), None, torch.tensor(lengths))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"chunk": 9}, r"was trained with .*'chunk': 10.*, not .*'chunk': 9"),
        ({"batch_size": 2}, r"was trained with .*'batch_size': 3.*, not .*'batch_size': 2"),
        ({"optimizer": torch.optim.Adam}, r"was trained with .*'optimizer': 'SGD'.*, not .*'Adam'"),
    ],
)
def test_a_run_goes_on_only_as_the_same_run(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    """With the data cut as it was, and the same optimizer; as on the NumPy side, it says what was and is."""

    def fit_(epochs: int, resume: bool, optimizer: Any = torch.optim.SGD, **arguments: Any) -> None:
        data = ShortText(**{"chunk": 10} | arguments)
        model = RECIPES["LSTM"].torch_model(data.vocab_size)
        training.fit(
            model, optimizer(model.parameters(), lr=0.1), data, epochs=epochs, directory=tmp_path,
            resume=resume, accelerator="cpu", progress=False,
        )  # fmt: skip

    fit_(1, resume=False)
    with pytest.raises(CheckpointError, match=message):
        fit_(2, resume=True, **change)
    fit_(2, resume=True)


@pytest.mark.parametrize("name", ["RNN-2-relu", "LSTM"])
def test_a_state_can_be_carried_in_lower_precision(name: str, device: str) -> None:
    """bf16-mixed: the state that comes out of one chunk goes into the next, and the weights stay float32."""
    data, seen = ShortText(), Seen()
    model = RECIPES[name].torch_model(data.vocab_size).float()
    trainer(max_epochs=1, precision="bf16-mixed", callbacks=[seen], accelerator=device).fit(
        model, datamodule=data
    )
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert np.isfinite(seen.losses).all()


def test_unknown_symbols_and_words() -> None:
    """A vocabulary of the training text reads the others, if it has a token for the unknown."""
    text = "a b " * 30 + "b c " * 3 + "c d " * 3
    for arguments, vocabulary in (
        ({}, Vocabulary.build(text[:118])),
        ({"unknown": False}, Vocabulary.build(text, unknown=False)),
        ({"vocabulary": "words", "max_words": 3}, Vocabulary.build(text[:118], "words", max_size=3)),
    ):
        data = ShortText(1, 2, **arguments)
        data.loaded = TextDataset("letters", text[:118], text[118:130], text[130:])
        assert data.vocabulary == vocabulary
        assert data.vocab_size == len(vocabulary)
        read = torch.cat([ids for ids, _ in data.test_dataloader()])
        np.testing.assert_array_equal(read[:, 0], vocabulary.encode(text[130:])[: len(read)])
