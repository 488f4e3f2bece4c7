"""Language models that read with a matrix (chapter 12) and with an RNN (chapters 13 and 14)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import DTypeLike

from gdl_numpy.models.language_model import LanguageModel, RecurrentLanguageModel, check_ids
from gdl_numpy.nn import RNN, Dropout, Embedding, Linear, Module, Parameter
from gdl_numpy.nn.checks import check_floating, check_grad_output
from gdl_numpy.nn.sequence import ended_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxtyping import Float, Int

    from gdl_numpy.models.language_model import Logits


class RNNLanguageModel(RecurrentLanguageModel):
    """A character or word language model with a plain recurrence; by default of the sizes of chapter 14.

    Args:
        vocab_size: number of tokens.
        embedding_dim: numbers that stand for a token.
        hidden_size: numbers in the state of a layer.
        num_layers: recurrent layers, each reading the output of the one before.
        nonlinearity: "tanh" or "relu".
        dropout: probability that a number is dropped, before the recurrence and after it, in training.
        rng: where the weights and the dropout masks come from.
        dtype: of the parameters.

    Raises:
        ValueError: sizes below 1, another nonlinearity, or a dropout outside [0, 1].
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
        rng: np.random.Generator | int | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        self.hparams = {
            "vocab_size": vocab_size,
            "embedding_dim": embedding_dim,
            "hidden_size": hidden_size,
            "num_layers": num_layers,
            "nonlinearity": nonlinearity,
            "dropout": dropout,
        }
        rng = np.random.default_rng(rng)
        self.vocab_size = vocab_size
        self.embedding = Embedding(vocab_size, embedding_dim, rng=rng, dtype=dtype)
        self.embedding_dropout = Dropout(dropout, rng=rng)
        self.rnn = RNN(embedding_dim, hidden_size, num_layers, nonlinearity, rng=rng, dtype=dtype)
        self.output_dropout = Dropout(dropout, rng=rng)
        self.decoder = Linear(hidden_size, vocab_size, rng=rng, dtype=dtype)


class Transition(Module):
    """A recurrence that is only a matrix: s_k = s_{k-1} W + x_k, from a start vector that is learned.

    With G_k = dL/ds_k, whose two parts come from the output s_k and from step k + 1:

        dL/dx_k = G_k     G_{k-1} = dL/ds_{k-1} of its own output + G_k Wᵀ     dL/dW = Σ_k s_{k-1}ᵀ G_k

    Attributes:
        weight: (size, size), at the start the identity: a sentence is the sum of its words.
        start: (size,), at the start zeros.
    """

    def __init__(self, size: int, *, dtype: DTypeLike = np.float32) -> None:
        self.size = size
        self.weight = Parameter(np.eye(size, dtype=dtype))
        self.start = Parameter(np.zeros(size, dtype))

    def forward(
        self,
        x: Float[np.ndarray, "time batch size"],
        state: Float[np.ndarray, "batch size"] | None = None,
        lengths: Int[np.ndarray, " batch"] | None = None,
    ) -> tuple[Float[np.ndarray, "time batch size"], Float[np.ndarray, "batch size"]]:
        """Returns s_0 … s_{T-1}, the states before each x, and s_T.

        Args:
            x: what is added in each step.
            state: s_0; None for the start vector.
            lengths: how long each sequence is; after its end its state stays.

        Raises:
            ValueError: another shape or dtype than that of the weight, or a length outside 1 … time.
        """
        check_floating(self, weight=self.weight.data, input=x)
        if x.ndim != 3 or x.shape[2] != self.size or len(x) == 0:
            raise ValueError(f"{self!r} expects an input (time, batch, {self.size}), got shape {x.shape}")
        steps, batch, _ = x.shape
        ended = ended_of(self, lengths, steps, batch)
        ended = None if ended is None else ended.transpose(0, 2, 1)  # (time, batch, 1)
        s = np.empty((steps + 1, batch, self.size), x.dtype)
        if state is None:
            s[0] = self.start.data
        else:
            check_floating(self, weight=self.weight.data, state=state)
            if state.shape != (batch, self.size):
                raise ValueError(f"{self!r} expects a state of shape {(batch, self.size)}, got {state.shape}")
            s[0] = state
        for k in range(steps):
            np.matmul(s[k], self.weight.data, out=s[k + 1])
            s[k + 1] += x[k]
            if ended is not None:
                np.copyto(s[k + 1], s[k], where=ended[k])
        self.save_for_backward(s, state is None, ended)
        return s[:-1], s[-1]

    def backward(
        self,
        grad_output: Float[np.ndarray, "time batch size"],
        grad_state: Float[np.ndarray, "batch size"] | None = None,
    ) -> tuple[Float[np.ndarray, "time batch size"], Float[np.ndarray, "batch size"] | None]:
        """Returns dL/dx and dL/dstate; that of the start vector goes to its parameter instead."""
        s, from_start, ended = self.saved
        check_grad_output(self, grad_output, s[:-1].shape, s.dtype)
        g = np.zeros_like(s)
        if grad_state is not None:
            check_grad_output(self, grad_state, s[-1].shape, s.dtype)
            g[-1] = grad_state
        for k in reversed(range(len(grad_output))):
            np.matmul(g[k + 1], self.weight.data.T, out=g[k])
            if ended is not None:
                np.copyto(g[k], g[k + 1], where=ended[k])
                np.copyto(g[k + 1], 0, where=ended[k])
            g[k] += grad_output[k]
        self.weight.accumulate(s[:-1].reshape(-1, self.size).T @ g[1:].reshape(-1, self.size))
        if not from_start:
            return g[1:], g[0]
        self.start.accumulate(g[0].sum(axis=0))
        return g[1:], None

    def extra_repr(self) -> str:
        return f"{self.size}"


class TransitionMatrixLM(LanguageModel):
    """Chapter 12's model: word vectors summed through a transition matrix, and a guess at each next word.

    `logits[k]` is the prediction of word k itself, from the words before it: the model speaks before it
    reads, and knows how sentences begin.

    Args:
        vocab_size: number of tokens.
        embedding_dim: numbers that stand for a word, and for a sentence so far.
        rng: where the weights come from: those of both tables from U(-0.05, 0.05), as in the book.
        dtype: of the parameters.

    Raises:
        ValueError: sizes below 1.
    """

    ahead = 0

    def __init__(
        self,
        vocab_size: int = 65,
        embedding_dim: int = 10,
        *,
        rng: np.random.Generator | int | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        self.hparams = {"vocab_size": vocab_size, "embedding_dim": embedding_dim}
        rng = np.random.default_rng(rng)
        self.vocab_size = vocab_size
        self.embedding = Embedding(vocab_size, embedding_dim, rng=rng, dtype=dtype)
        self.transition = Transition(embedding_dim, dtype=dtype)
        self.decoder = Linear(embedding_dim, vocab_size, bias=False, rng=rng, dtype=dtype)
        for table in (self.embedding.weight, self.decoder.weight):
            table.data[...] = rng.uniform(-0.05, 0.05, table.data.shape)

    def forward(
        self,
        ids: Int[np.ndarray, "time batch"],
        state: Float[np.ndarray, "batch embedding_dim"] | None = None,
        lengths: Int[np.ndarray, " batch"] | None = None,
    ) -> tuple[Float[np.ndarray, "time batch vocab_size"], Float[np.ndarray, "batch embedding_dim"]]:
        """Logits of each id, from those before it.

        Args:
            ids: in [0, vocab_size).
            state: the sentence so far; None is the start vector.
            lengths: how many ids of each column count; after its end a column's logits mean nothing.

        Returns:
            logits, and the state after each column's last id.

        Raises:
            ValueError: float ids, other shapes, a state of another shape or batch size.
            IndexError: an id out of range.
        """
        check_ids(self, ids)
        before, last = self.transition(self.embedding(ids), state, lengths)
        return self.decoder(before), last

    def backward(
        self,
        grad_logits: Float[np.ndarray, "time batch vocab_size"],
        grad_state: Float[np.ndarray, "batch embedding_dim"] | None = None,
    ) -> Any:
        """Returns the gradient of the initial state, or None if that was the start vector."""
        grad: Any = self.decoder.backward(grad_logits)
        grad_x, grad_start = self.transition.backward(grad, grad_state)
        self.embedding.backward(grad_x)
        return grad_start

    def stepper(self) -> Callable[[int, Any], tuple[Logits, Any]]:
        table, start = self.embedding.weight.data, self.transition.start.data
        weight, decoder = self.transition.weight.data, self.decoder.weight.data

        def step(token: int, state: Any) -> tuple[Logits, Any]:
            state = (start if state is None else state) @ weight + table[token]
            return decoder @ state, state

        return step
