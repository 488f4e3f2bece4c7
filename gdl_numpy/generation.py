"""Text from a language model, token by token, each drawn from what the model expects next.

    model, vocabulary = load_model(path), load_vocabulary(path)
    for token in generate(model, vocabulary.encode("ROMEO:"), length=500, temperature=0.8, rng=0):
        print(vocabulary.decode([token]), end="")

`gdl_torch.generation` does the same with the Lightning models. The choice is made here for both sides, in
float64, so that one seed gives one text.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from jaxtyping import Float, Float64, Integer

    from gdl_numpy.models.language_model import LanguageModel

    # Reads a token in a state (None at the beginning); returns the next one's logits, and the new state.
    Step = Callable[[int, Any], tuple[Float[np.ndarray, " vocab_size"], Any]]


@dataclass(frozen=True)
class Sampler:
    """Draws a token from softmax(logits / temperature), restricted to the `top_k` most likely ones.

    Attributes:
        temperature: below 1 likely tokens get likelier; towards 0 the most likely one is certain, towards
            infinity all are equally likely.
        top_k: how many tokens can be drawn, of equally likely ones those with the lowest ids; None: all.
            1 is greedy.
        exclude: ids that are never drawn, and do not count among the `top_k`.

    Raises:
        ValueError: a temperature that is not positive and finite, or a `top_k` below 1.
    """

    temperature: float = 1.0
    top_k: int | None = None
    exclude: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not 0 < self.temperature < math.inf:
            raise ValueError(f"temperature must be positive and finite, got {self.temperature}")
        if self.top_k is not None and self.top_k < 1:
            raise ValueError(f"top_k must be at least 1, got {self.top_k}")

    def probabilities(self, logits: Float[np.ndarray, " vocab_size"]) -> Float64[np.ndarray, " vocab_size"]:
        """How likely each token is to be drawn.

        Raises:
            ValueError: logits that are nan or +inf.
        """
        scores = logits.astype(np.float64)
        scores[list(self.exclude)] = -np.inf
        if self.top_k is not None and self.top_k < len(scores):
            least = np.partition(scores, -self.top_k)[-self.top_k]
            room = self.top_k - np.count_nonzero(scores > least)
            surplus = np.flatnonzero(scores == least)[room:]
            scores[scores < least] = -np.inf
            scores[surplus] = -np.inf
        peak = scores.max()
        if not math.isfinite(peak):
            raise ValueError(
                f"the largest logit is {peak}: the model's parameters are not finite, train it again"
            )
        scores -= peak
        with np.errstate(over="ignore"):  # at a tiny temperature, to -inf
            scores /= self.temperature
        np.exp(scores, out=scores)
        scores /= scores.sum()
        return scores

    def __call__(self, logits: Float[np.ndarray, " vocab_size"], rng: np.random.Generator) -> int:
        """Draws a token, with exactly one number of the generator, in [0, 1).

        Raises:
            ValueError: logits that are nan or +inf.
        """
        upto = self.probabilities(logits).cumsum()
        # The first token whose share of [0, total) ends beyond the number; those without one are passed.
        return int(upto.searchsorted(rng.random() * upto[-1], side="right"))


def generate(
    model: LanguageModel,
    prompt: Integer[np.ndarray, " tokens"] | Sequence[int],
    length: int,
    temperature: float = 1.0,
    top_k: int | None = None,
    rng: np.random.Generator | int | None = None,
    *,
    exclude: Sequence[int] = (),
) -> Iterator[int]:
    """Reads a prompt, and goes on from there.

    Dropout has no part in it, whatever the model's mode. The model must not change before the last token.

    Args:
        model: any language model.
        prompt: ids to read first, at least one. They are not among those returned.
        length: how many tokens to write.
        temperature: see `Sampler`.
        top_k: see `Sampler`.
        rng: where chance comes from; one number for each token.
        exclude: ids that are never written, such as that of the unknown token.

    Returns:
        the ids written, each computed as it is asked for.

    Raises:
        ValueError: at the call, an argument that cannot be meant; later, logits that are not finite.
        IndexError: an id out of range.
    """
    sampler = Sampler(temperature, top_k, tuple(exclude))
    return write(model.stepper(), model.vocab_size, prompt, length, sampler, rng)


def write(
    step: Step,
    vocab_size: int,
    prompt: Integer[np.ndarray, " tokens"] | Sequence[int],
    length: int,
    sampler: Sampler,
    rng: np.random.Generator | int | None,
) -> Iterator[int]:
    """`generate` for whatever reads token by token."""
    if len(prompt) == 0:
        raise ValueError("generate: prompt must have at least one token, got none")
    if length < 0:
        raise ValueError(f"generate: length must be at least 0, got {length}")
    for name, ids in (("prompt", np.asarray(prompt)), ("exclude", np.array(sampler.exclude, np.int64))):
        if not np.issubdtype(ids.dtype, np.integer):
            raise ValueError(f"generate: {name} must be integer ids, got {ids.dtype}")
        outside = ids[(ids < 0) | (ids >= vocab_size)]
        if outside.size:
            raise IndexError(f"generate: {name} must be ids in [0, {vocab_size}), got {outside.flat[0]}")
    if len(set(sampler.exclude)) == vocab_size:
        raise ValueError(f"generate: exclude leaves none of the {vocab_size} tokens to write")
    return _written(step, [int(token) for token in prompt], length, sampler, np.random.default_rng(rng))


def _written(
    step: Step, prompt: list[int], length: int, sampler: Sampler, rng: np.random.Generator
) -> Iterator[int]:
    state: Any = None
    unread = prompt
    for _ in range(length):
        for token in unread:
            logits, state = step(token, state)
        unread = [sampler(logits, rng)]
        yield unread[0]
