"""What every language model does with a batch: truncated backpropagation through time under the Trainer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import torch.nn.functional as F
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from gdl_numpy.data.text import IGNORED
from gdl_torch.metrics import BitsPerToken, Mean, Perplexity, wide
from gdl_torch.symbols import ReadsSymbols

if TYPE_CHECKING:
    from collections.abc import Sequence

State = Tensor | tuple[Tensor, Tensor]


class LanguageModel(ReadsSymbols):
    """Base of the models that predict a text symbol by symbol: everything but the layers.

    Truncated backpropagation through time. Lightning 1 did it with `truncated_bptt_steps`, which cut each
    batch into chunks and kept the `hiddens` between them; Lightning 2 leaves it to its users. Here a batch
    *is* a chunk: (T, B) ids, the next T steps of B streams of text, read side by side. Each training step

    - starts from the state in which the step before left the model: its values, detached, so that no gradient
      flows back into the chunk before and its graph is free;
    - runs over the chunk, and returns the mean loss of its targets;
    - keeps the new state, detached, for the next one.

    One chunk is one batch to the Trainer, with automatic optimization, so clipping, accumulation, precision,
    checkpoints and strategies like DDP (each device has streams of its own) mean what they always mean.

    The state is carried only where the data module says, by `continues`, that its batches go on from each
    other (where nothing says whether they do, a warning says so); it is forgotten at the first batch of every
    epoch, and of every run of validation or test. Each stage has its own: validation in mid-epoch leaves
    training where it was. A run that is resumed in mid-epoch begins, as Lightning has it, with the first
    batch of its data, and so with a new state.

    The loss is the cross-entropy of the logits, its mean over the targets that are not -100. Logged are means
    over an epoch's targets, all devices together, of the loss in nats (`train_loss_epoch`, `val_loss`,
    `test_loss`), of the symbols rightly predicted (`train_acc`, …), and the mean loss as perplexity
    (`train_perplexity`, …) and in bits (`train_bits_per_token`, …); and the loss of single steps,
    `train_loss_step`.

    Args:
        vocab_size: number of symbols, and of logits.
        optimizer: name of a class in torch.optim.
        lr: learning rate.

    Attributes:
        ahead: `logits[t]` predict `ids[t + ahead]`, from what comes before that.
        vocabulary: what the ids mean, where the data module or the checkpoint said so.

    Raises:
        ValueError: an unknown optimizer, or a learning rate that is negative or not finite.
    """

    ahead: ClassVar[int] = 1

    def __init__(self, vocab_size: int, optimizer: str, lr: float) -> None:
        super().__init__(optimizer, lr)
        self.vocab_size = vocab_size
        self._states: dict[str, State] = {}
        self._has_warned = False
        kinds = {"acc": Mean, "perplexity": Perplexity, "bits_per_token": BitsPerToken}
        self.metrics = nn.ModuleDict(
            {f"{stage}_{name}": kind() for stage in ("train", "val", "test") for name, kind in kinds.items()}
        )

    def setup(self, stage: str) -> None:
        """Forgets all states, and takes the data module's vocabulary, or makes sure that it is the same.

        Raises:
            ValueError: the model was trained with another vocabulary, or is asked for classes.
        """
        if stage == "predict":
            raise ValueError(
                f"{type(self).__name__} writes text and predicts no classes: "
                "use scripts/generate.py with its checkpoint"
            )
        self._states.clear()
        super().setup(stage)

    def loss(self, batch: Sequence[Tensor], batch_idx: int, stage: str) -> Tensor:
        ids, targets = batch
        if ids.ndim != 2 or ids.is_floating_point():
            raise ValueError(
                f"{type(self).__name__} reads ids of shape (time, batch), got {ids.dtype} "
                f"{tuple(ids.shape)}: give it a data module of texts"
            )
        if self._data_module("vocabulary") is None:  # else it is known to fit, and no GPU need be waited for
            self._check_range("ids", ids)
            self._check_range("targets", targets[targets != IGNORED])
        carried = batch_idx > 0 and self._continues()
        logits, state = self(ids, self._states.get(stage) if carried else None)
        self._states[stage] = detached(state)

        logits, targets = logits.flatten(0, 1), targets.flatten()  # (T·B, V), (T·B,)
        loss = F.cross_entropy(logits, targets, ignore_index=IGNORED)
        count = (targets != IGNORED).sum()
        right = (logits.argmax(1) == targets).sum()
        self.log_loss(stage, loss, count)
        total = wide(loss.detach()) * count
        for name, sum_ in (("acc", right), ("perplexity", total), ("bits_per_token", total)):
            metric: Any = self.metrics[f"{stage}_{name}"]
            metric.update(sum_, count)
            self.log(f"{stage}_{name}", metric, on_step=False, on_epoch=True, prog_bar=name == "perplexity")
        return loss

    def _check_range(self, name: str, symbols: Tensor) -> None:
        """Raises IndexError for what is no symbol: a GPU would fail without saying why, and for good."""
        if symbols.numel() and not 0 <= symbols.min() <= symbols.max() < self.vocab_size:
            raise IndexError(
                f"{type(self).__name__} expects {name} in [0, {self.vocab_size}), "
                f"got {symbols.min()} to {symbols.max()}"
            )

    def _continues(self) -> bool:
        """Whether batches go on from each other; warns, once, where nothing says so or the contrary."""
        continues = self._data_module("continues")
        if continues is None and not self._has_warned:
            self._has_warned = True
            rank_zero_warn(
                f"{type(self).__name__} starts every batch without a state, since nothing says that one "
                "continues another: give the Trainer a data module (datamodule=…) with an attribute "
                "`continues`, True for chunks of running text, False for batches that begin anew"
            )
        return bool(continues)


def detached(state: State) -> State:
    """The state's values, without their history."""
    if isinstance(state, Tensor):
        return state.detach()
    hidden, cell = state
    return hidden.detach(), cell.detach()


def check_lengths(model: LanguageModel, lengths: Tensor, ids: Tensor) -> None:
    """Raises ValueError for lengths that are not one for each column of ids (time, batch), from 1 to time."""
    steps, batch = ids.shape
    if lengths.shape != (batch,) or lengths.is_floating_point():
        raise ValueError(
            f"{type(model).__name__} expects lengths to be {batch} integers, one for each sequence of the "
            f"batch, got {lengths.dtype} of shape {tuple(lengths.shape)}"
        )
    if batch and not 1 <= lengths.min() <= lengths.max() <= steps:
        raise ValueError(f"{type(model).__name__} expects lengths from 1 to {steps}, got {lengths.tolist()}")


class RecurrentLanguageModel(LanguageModel):
    """Base of the models of an embedding, one of torch's recurrences, and a linear layer to the vocabulary.

    Args:
        vocab_size: number of symbols.
        rnn: the recurrence, time first; its input is as wide as the embedding.
        dropout: probability that a value of the embedding, and of the recurrence's output, is dropped in
            training.
        optimizer: name of a class in torch.optim.
        lr: learning rate.
    """

    def __init__(self, vocab_size: int, rnn: nn.RNNBase, dropout: float, optimizer: str, lr: float) -> None:
        super().__init__(vocab_size, optimizer, lr)
        self.embedding = nn.Embedding(vocab_size, rnn.input_size)
        self.embedding_dropout = nn.Dropout(dropout)
        self.rnn = rnn
        self.output_dropout = nn.Dropout(dropout)
        self.decoder = nn.Linear(rnn.hidden_size, vocab_size)

    def run(self, ids: Tensor, state: Any, lengths: Tensor | None) -> tuple[Tensor, Any]:
        """Logits (time, batch, vocab_size) and the recurrence's state; see `forward` of the models."""
        x = self.embedding_dropout(self.embedding(ids))  # (T, B, E)
        if lengths is None:
            output, state = self.rnn(x, state)
        else:
            check_lengths(self, lengths, ids)
            packed = pack_padded_sequence(x, lengths.cpu(), enforce_sorted=False)
            packed, state = self.rnn(packed, state)
            output, _ = pad_packed_sequence(packed, total_length=len(ids))
        return self.decoder(self.output_dropout(output)), state  # (T, B, V)
