"""Language models with a plain recurrence: chapter 12's transition matrix, and torch's RNN."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn

from gdl_torch.models.language_model import LanguageModel, RecurrentLanguageModel, check_lengths
from gdl_torch.tasks import check_sizes

if TYPE_CHECKING:
    from jaxtyping import Float, Int64


class Transition(nn.Module):
    """Adds each input to what a matrix makes of the sum so far: s_k = s_{k−1} W + x_k.

    Attributes:
        weight: W, (size, size), in the beginning the identity: the state is a plain sum of the inputs.
        start: s_0, (size,), learned, in the beginning zeros.

    Source: A. Trask, *Grokking Deep Learning*, 2019, chapter 12.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.eye(size))
        self.start = nn.Parameter(torch.zeros(size))

    def forward(
        self, x: Float[Tensor, "time batch size"], state: Float[Tensor, "batch size"] | None = None
    ) -> tuple[Float[Tensor, "time batch size"], Float[Tensor, "batch size"]]:
        """The states before each input, s_0 … s_{T−1}, and the one after the last, s_T.

        Args:
            x: the inputs x_1 … x_T.
            state: s_0 of each column; None for `start`.

        Raises:
            ValueError: a state of another shape than (batch, size).
        """
        if state is None:
            state = self.start.expand(x.shape[1:])
        if state.shape != x.shape[1:]:
            raise ValueError(
                f"Transition expects a state of shape {tuple(x.shape[1:])}, got {tuple(state.shape)}"
            )
        before = []
        for step in x:
            before.append(state)
            state = state @ self.weight + step
        return torch.stack(before), state


class TransitionMatrixLM(LanguageModel):
    """Chapter 12's model: word vectors, added up through a transition matrix, predict the word to come.

    It speaks before it reads: the first logits come from the learned start, so sentences need no special
    first word, and `logits[t]` predict `ids[t]` itself (`ahead` is 0). The weights of embedding and decoder
    begin in U(−0.05, 0.05), as in the book. On running text only the first step of an epoch begins at the
    learned start; DDP has to be told that it may be unused: strategy "ddp_find_unused_parameters_true".

    Args:
        vocab_size: number of tokens.
        embedding_dim: width of the word vectors and of the state.
        optimizer: name of a class in torch.optim.
        lr: learning rate.

    Raises:
        ValueError: an unknown optimizer, a size below 1, or a learning rate that is negative or not finite.
    """

    ahead = 0

    def __init__(
        self, vocab_size: int = 65, embedding_dim: int = 10, *, optimizer: str = "SGD", lr: float = 0.1
    ) -> None:
        check_sizes(self, vocab_size=vocab_size, embedding_dim=embedding_dim)
        super().__init__(vocab_size, optimizer, lr)
        self.save_hyperparameters()
        self.embedding = nn.Embedding(vocab_size, embedding_dim)
        self.transition = Transition(embedding_dim)
        self.decoder = nn.Linear(embedding_dim, vocab_size, bias=False)
        for table in (self.embedding, self.decoder):
            nn.init.uniform_(table.weight, -0.05, 0.05)

    def forward(
        self,
        ids: Int64[Tensor, "time batch"],
        state: Float[Tensor, "batch embedding"] | None = None,
        lengths: Int64[Tensor, " batch"] | None = None,
    ) -> tuple[Float[Tensor, "time batch vocab"], Float[Tensor, "batch embedding"]]:
        """Logits of every id, each from those before it, and the state after the last one.

        Args:
            ids: read column by column.
            state: where each column begins; None for the learned start.
            lengths: how many ids of each column count, at least 1. Beyond them logits are those of a zero
                state, and the state returned is the one at the column's end.

        Raises:
            ValueError: a state of another shape, or lengths that are not from 1 to time.
        """
        if lengths is not None:
            check_lengths(self, lengths, ids)
        before, state = self.transition(self.embedding(ids), state)  # (T, B, D), (B, D)
        if lengths is not None:
            columns = torch.arange(ids.shape[1], device=ids.device)
            state = torch.cat([before, state[None]])[lengths, columns]
            within = torch.arange(len(ids), device=ids.device)[:, None] < lengths  # (T, B)
            before = before * within[:, :, None]
        return self.decoder(before), state


class RNNLanguageModel(RecurrentLanguageModel):
    """Embedding, `torch.nn.RNN` and a linear layer to the vocabulary; by default chapter 14's, of 512 units.

    Args:
        vocab_size: number of tokens.
        embedding_dim: width of the embedding.
        hidden_size: width of each layer's state.
        num_layers: recurrences on top of each other.
        nonlinearity: "tanh" or "relu".
        dropout: probability that a value of the embedding, and of the last recurrence's output, is dropped in
            training.
        optimizer: name of a class in torch.optim.
        lr: learning rate.

    Raises:
        ValueError: an unknown nonlinearity or optimizer, a size below 1, a dropout outside [0, 1], or a
            learning rate that is negative or not finite.
    """

    def __init__(
        self,
        vocab_size: int = 65,
        embedding_dim: int = 512,
        hidden_size: int = 512,
        num_layers: int = 1,
        nonlinearity: Literal["tanh", "relu"] = "tanh",
        dropout: float = 0.0,
        *,
        optimizer: str = "SGD",
        lr: float = 0.1,
    ) -> None:
        check_sizes(
            self,
            vocab_size=vocab_size,
            embedding_dim=embedding_dim,
            hidden_size=hidden_size,
            num_layers=num_layers,
        )
        rnn = nn.RNN(embedding_dim, hidden_size, num_layers, nonlinearity)
        super().__init__(vocab_size, rnn, dropout, optimizer, lr)
        self.save_hyperparameters()

    def forward(
        self,
        ids: Int64[Tensor, "time batch"],
        state: Float[Tensor, "layers batch hidden"] | None = None,
        lengths: Int64[Tensor, " batch"] | None = None,
    ) -> tuple[Float[Tensor, "time batch vocab"], Float[Tensor, "layers batch hidden"]]:
        """Logits of the id that comes after each, and the state after the last one.

        Args:
            ids: read column by column.
            state: where each column begins; None for zeros.
            lengths: how many ids of each column count, at least 1. Beyond them logits are those of a zero
                output, and the state returned is the one at the column's end.
        """
        return self.run(ids, state, lengths)
