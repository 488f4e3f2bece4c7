"""Language modelling: each token of a text predicted from those before it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar

from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor

from gdl_numpy.tasks import LanguageMetrics
from gdl_torch.tasks.classification import Classification
from gdl_torch.tasks.task import Mean, Outcome, wide
from gdl_torch.tasks.tokens import ReadsTokens

if TYPE_CHECKING:
    from collections.abc import Sequence

State = Tensor | tuple[Tensor, Tensor]


class Perplexity(Mean):
    """e to the mean loss (not the mean of batches' own): as unsure as a choice among so many tokens."""

    def compute(self) -> Tensor:
        return super().compute().exp()


class BitsPerToken(Mean):
    """The mean loss in bits, not nats: what the best code by this model would need for a token."""

    def compute(self) -> Tensor:
        return super().compute() / math.log(2)


class LanguageModelling(ReadsTokens, Classification):
    """Base of the models that predict a text token by token: everything but the layers.

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

    Besides the loss in nats and the fraction of tokens predicted (`train_acc`, …), the mean loss is logged as
    perplexity (`train_perplexity`, …) and in bits (`train_bits_per_token`, …).

    Args:
        vocab_size: number of tokens, and of logits.
        optimizer: name of a class in torch.optim.
        lr: learning rate.

    Attributes:
        continues: whether the state is carried from batch to batch.
        state: what the model remembers from the batch before; None at the start.
        vocabulary: what the ids mean, where the data module or the checkpoint said so.

    Raises:
        ValueError: an unknown optimizer, or a learning rate that is negative or not finite.
    """

    metrics_class = LanguageMetrics
    metric_classes: ClassVar = {"acc": Mean, "perplexity": Perplexity, "bits_per_token": BitsPerToken}
    bar_metric = "perplexity"

    def __init__(self, vocab_size: int, optimizer: str, lr: float) -> None:
        super().__init__(optimizer, lr)
        self.vocab_size = vocab_size
        self.begin()
        self._states: dict[str, State] = {}
        self._has_warned = False

    def begin(self, continues: bool = False) -> None:
        """Forgets the state, and says whether the batches to come go on from each other."""
        self.continues = continues
        self.state: State | None = None

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

    def compare(self, inputs: Any, targets: Tensor) -> Outcome:
        """The loss of ids (time, batch), read from the state in which the batch before left the model."""
        if inputs.ndim != 2 or inputs.is_floating_point():
            raise ValueError(
                f"{type(self).__name__} reads ids of shape (time, batch), got {inputs.dtype} "
                f"{tuple(inputs.shape)}: give it a data module of texts"
            )
        if self._data_module("vocabulary") is None:  # else it is known to fit, and no GPU need be waited for
            self._check_range("ids", inputs)
            self._check_range("targets", targets[targets != self.loss.ignore_index])
        logits, state = self(inputs, self.state)
        self.state = detached(state) if self.continues else None

        logits, targets = logits.flatten(0, 1), targets.flatten()  # (T·B, V), (T·B,)
        return Outcome(self.loss(logits, targets), logits, targets)

    def totals(self, outcome: Outcome, count: Tensor | int) -> dict[str, Tensor]:
        total = wide(outcome.loss.detach()) * count
        return super().totals(outcome, count) | {"perplexity": total, "bits_per_token": total}

    def stage_step(self, stage: str, batch: Sequence[Tensor], batch_idx: int) -> Tensor:
        self.begin(continues=True)
        if batch_idx > 0 and self._continues():
            self.state = self._states[stage]
        loss = super().stage_step(stage, batch, batch_idx)
        assert self.state is not None  # what compare kept
        self._states[stage] = self.state
        return loss

    def _check_range(self, name: str, tokens: Tensor) -> None:
        """Raises IndexError for what is no token: a GPU would fail without saying why, and for good."""
        if tokens.numel() and not 0 <= tokens.min() <= tokens.max() < self.vocab_size:
            raise IndexError(
                f"{type(self).__name__} expects {name} in [0, {self.vocab_size}), "
                f"got {tokens.min()} to {tokens.max()}"
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
