"""A language model with long short-term memory: chapter 14's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from gdl_torch.models.language_model import RecurrentLanguageModel
from gdl_torch.tasks import check_sizes

if TYPE_CHECKING:
    from jaxtyping import Float, Int64


class LSTMLanguageModel(RecurrentLanguageModel):
    """Embedding, `torch.nn.LSTM` and a linear layer to the vocabulary; by default chapter 14's, of 512 units.

    Args:
        vocab_size: number of tokens.
        embedding_dim: width of the embedding.
        hidden_size: width of each layer's state and memory.
        num_layers: recurrences on top of each other.
        dropout: probability that a value of the embedding, and of the last recurrence's output, is dropped in
            training.
        zero_decoder: start the decoder at zero, as chapter 14 does: every token is then as likely as any
            other, and the first perplexity is the vocabulary's size.
        optimizer: name of a class in torch.optim.
        lr: learning rate.

    Raises:
        ValueError: an unknown optimizer, a size below 1, a dropout outside [0, 1], or a learning rate that is
            negative or not finite.
    """

    def __init__(
        self,
        vocab_size: int = 65,
        embedding_dim: int = 512,
        hidden_size: int = 512,
        num_layers: int = 1,
        dropout: float = 0.0,
        zero_decoder: bool = False,
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
        rnn = nn.LSTM(embedding_dim, hidden_size, num_layers)
        super().__init__(vocab_size, rnn, dropout, optimizer, lr)
        self.save_hyperparameters()
        if zero_decoder:
            nn.init.zeros_(self.decoder.weight)
            nn.init.zeros_(self.decoder.bias)

    def forward(
        self,
        ids: Int64[Tensor, "time batch"],
        state: tuple[Float[Tensor, "layers batch hidden"], Float[Tensor, "layers batch hidden"]]
        | None = None,
        lengths: Int64[Tensor, " batch"] | None = None,
    ) -> tuple[
        Float[Tensor, "time batch vocab"],
        tuple[Float[Tensor, "layers batch hidden"], Float[Tensor, "layers batch hidden"]],
    ]:
        """Logits of the id that comes after each, and the state (h, c) after the last one.

        Args:
            ids: read column by column.
            state: (h, c) where each column begins; None for zeros.
            lengths: how many ids of each column count, at least 1. Beyond them logits are those of a zero
                output, and the state returned is the one at the column's end.
        """
        return self.run(ids, state, lengths)
