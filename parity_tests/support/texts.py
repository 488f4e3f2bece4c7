"""A training on little text that the plain NumPy loop and Lightning's Trainer can both do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import Tensor

from gdl_numpy.data import SentenceDataset, Streams, TextDataset, load
from gdl_numpy.models import MODELS
from gdl_numpy.nn import CrossEntropyLoss
from gdl_numpy.optim import SGD
from gdl_torch.data import SentenceDataModule, TextDataModule
from gdl_torch.export import from_numpy
from gdl_torch.models import LanguageModel
from parity_tests.harness.rounding import gamma, unit_roundoff
from parity_tests.support.disturbance import State, moved_by_rounding, nothing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gdl_torch.tasks import Task
    from parity_tests.support.disturbance import Disturb

FEW_SENTENCES = (
    "the cat sat",
    "a dog barked at the cat",
    "the dog sat",
    "cat and dog",
    "a cat barked and sat",
)


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
        self.loaded = SentenceDataset("few", FEW_SENTENCES, FEW_SENTENCES, FEW_SENTENCES, last_only)

    def prepare_data(self) -> None:
        pass


@dataclass(frozen=True)
class TextRecipe:
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

    def run_numpy(self, data: ShortText, disturb: Disturb = nothing) -> list[State]:
        """The plain loop: the gradients of every chunk, and the parameters after every step."""
        model, loss = self.numpy_model(data.vocab_size), CrossEntropyLoss()
        optimizer = SGD(model.parameters(), lr=self.lr)
        ids = data.vocabulary.encode(data.loaded.train)
        steps = []
        for _ in range(self.epochs):
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

    def allowed(self, data: ShortText) -> list[dict[str, float]]:
        """How far rounding can move each gradient and parameter, at each step."""
        # A gradient sums over the chunk and its streams, and over a layer's width at every step on its way.
        longest = data.chunk * data.batch_size * 4 * 7
        relative = float(gamma(longest, unit_roundoff(np.float64)))
        return moved_by_rounding(lambda disturb: self.run_numpy(data, disturb), relative)


TEXT_RECIPES = {
    # Its state is a sum: over a long text it would grow and grow, and errors with it.
    "TransitionMatrixLM": TextRecipe("TransitionMatrixLM", {"embedding_dim": 5}, lr=0.003),
    "RNN-2-relu": TextRecipe(
        "RNNLanguageModel",
        {"embedding_dim": 5, "hidden_size": 7, "num_layers": 2, "nonlinearity": "relu"},
    ),
    "LSTM": TextRecipe("LSTMLanguageModel", {"embedding_dim": 5, "hidden_size": 7}),
}


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
    return TextRecipe(TEXT_RECIPES[name].model, TEXT_RECIPES[name].hparams, lr=0.0).torch_model(
        data.vocab_size
    )


def loss_of(model: LanguageModel, batch: list[Tensor], state: Any = None) -> float:
    with torch.no_grad():
        logits, _ = model(batch[0], state)
        return float(F.cross_entropy(logits.flatten(0, 1), batch[1].flatten()))
