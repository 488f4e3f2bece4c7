"""What every language model is: tokens in, scores of the tokens to come out, and a state carried along."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from gdl_torch.onednn import onednn_where_it_can
from gdl_torch.tasks import LanguageModelling


class LanguageModel(LanguageModelling):
    """Base of all language models.

    `forward(ids, state)` reads ids (time, batch) from a state, and returns logits (time, batch, vocab_size)
    and the state after the last id, from which the next call goes on. A state of None is the beginning.

    Args:
        vocab_size: number of tokens.
        optimizer: name of a class in torch.optim.
        lr: learning rate.

    Attributes:
        ahead: `logits[t]` is the prediction of `ids[t + ahead]`.
    """

    ahead: ClassVar[int] = 1


class RecurrentLanguageModel(LanguageModel):
    """Base of the models of an embedding, one of torch's recurrences, and a linear layer to the vocabulary.

    Args:
        vocab_size: number of tokens.
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
        with onednn_where_it_can(x):
            if lengths is None:
                output, state = self.rnn(x, state)
            else:
                check_lengths(self, lengths, ids)
                packed = pack_padded_sequence(x, lengths.cpu(), enforce_sorted=False)
                packed, state = self.rnn(packed, state)
                output, _ = pad_packed_sequence(packed, total_length=len(ids))
        return self.decoder(self.output_dropout(output)), state  # (T, B, V)


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
