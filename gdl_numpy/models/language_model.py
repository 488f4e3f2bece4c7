"""What every language model is: tokens in, scores of the tokens to come out, and a state carried along."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from gdl_numpy.nn import LSTM, RNN, Dropout, Embedding, Linear, Module, ReadsIds
from gdl_numpy.nn.sequence import Rows
from gdl_numpy.tasks import LanguageModelling

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxtyping import Float, Int

    Logits = Float[np.ndarray, " vocab_size"]


class LanguageModel(ReadsIds):
    """Base of all language models.

    `forward(ids, state)` reads ids (time, batch) from a state, and returns logits (time, batch, vocab_size)
    and the state after the last id, from which the next call goes on. A state of None is the beginning.

    Attributes:
        vocab_size: number of tokens.
        ahead: `logits[t]` is the prediction of `ids[t + ahead]`.
        project_once: where a batch has more ids than the vocabulary tokens, multiply the whole vocabulary's
            embeddings with the recurrence's input weight, once, and look the products up: the same function
            with less work. Not done where dropout changes the embeddings in between.
    """

    task = LanguageModelling

    ahead: ClassVar[int] = 1
    vocab_size: int
    project_once = True

    def stepper(self) -> Callable[[int, Any], tuple[Logits, Any]]:
        """A function that reads one token, for a model that will not change while it is in use.

        It takes an id and a state (None at the beginning), and returns the logits of the next token and the
        new state, whose form is its own. Without dropout, whatever the mode.
        """
        raise TypeError(f"{type(self).__name__} does not define stepper")


class RecurrentLanguageModel(LanguageModel):
    """Embedding, recurrence, linear to the vocabulary, with dropout between them (chapter 14)."""

    embedding: Embedding
    embedding_dropout: Dropout
    rnn: RNN | LSTM
    output_dropout: Dropout
    decoder: Linear

    def forward(
        self,
        ids: Int[np.ndarray, "time batch"],
        state: Any = None,
        lengths: Int[np.ndarray, " batch"] | None = None,
    ) -> tuple[Float[np.ndarray, "time batch vocab_size"], Any]:
        """Logits of the token after each id.

        Args:
            ids: in [0, vocab_size).
            state: the recurrence's: h of an RNN, (h, c) of an LSTM, each (layers, batch, hidden_size).
            lengths: how many ids of each column count, where some end early. After its end a column's logits
                mean nothing, and its state stays.

        Raises:
            ValueError: float ids, other shapes, a state of another shape or batch size.
            IndexError: an id out of range.
        """
        check_ids(self, ids)
        projects = self.projects(ids.size)
        self.save_for_backward(projects)
        table = self.embedding.weight.data
        x = Rows(table, ids) if projects else self.embedding_dropout(self.embedding(ids))
        output, state = self.rnn(x, state, lengths)
        return self.decoder(self.output_dropout(output)), state

    def backward(
        self, grad_logits: Float[np.ndarray, "time batch vocab_size"], grad_state: Any = None
    ) -> Any:
        """Returns the gradient of the initial state; ids have none."""
        (projects,) = self.saved
        grad: Any = self.decoder.backward(grad_logits)
        grad = self.output_dropout.backward(grad)
        grad_x, grad_start = self.rnn.backward(grad, grad_state)
        if projects:  # the gradient of the table itself
            self.embedding.weight.accumulate(grad_x)
        else:
            grad = self.embedding_dropout.backward(grad_x)
            self.embedding.backward(grad)
        return grad_start

    def projects(self, count: int) -> bool:
        """Whether `project_once` applies to a batch of so many ids."""
        drops = self.training and self.embedding_dropout.p > 0
        return self.project_once and not drops and count > self.vocab_size

    def stepper(self) -> Callable[[int, Any], tuple[Logits, Any]]:
        table = self.rnn.input_products(self.embedding.weight.data[:, None], 0)  # (V, width, 1)
        weight, bias = self.decoder.weight.data, self.decoder.bias

        def step(token: int, state: Any) -> tuple[Logits, Any]:
            h, state = self.rnn.advance(table[token], state or self.rnn.zero_state(1))
            logits = weight @ h[:, 0]
            return logits if bias is None else logits + bias.data, state

        return step


def look_up_(module: Module) -> Module:
    """Makes all language models in a module look embeddings up first, layer after layer as torch does."""
    for _, submodule in module.named_modules():
        if hasattr(submodule, "project_once"):
            submodule.project_once = False
    return module


def check_ids(model: LanguageModel, ids: np.ndarray) -> None:
    """Raises ValueError for anything but an array (time, batch); what is in it, the embedding will check."""
    if not isinstance(ids, np.ndarray) or ids.ndim != 2:
        raise ValueError(f"{type(model).__name__} expects ids (time, batch), got shape {np.shape(ids)}")
