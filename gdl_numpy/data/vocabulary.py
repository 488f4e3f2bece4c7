"""Vocabularies: text as the ids of its tokens, and back.

    vocabulary = Vocabulary.build(text, kind="words", max_size=10_000)
    ids = vocabulary.encode("To be, or not to be")
    vocabulary.decode(ids)

Nothing is lost on the way: the tokens of a text put together are the text, whatever Unicode it holds.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from itertools import repeat
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from gdl_numpy.data.letters import MARKS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jaxtyping import Int64, Integer

Kind = Literal["characters", "words", "spaces"]

# What stands for every token that the vocabulary lacks: Unicode's REPLACEMENT CHARACTER.
UNKNOWN = "\ufffd"

# A word or a mark, with the one space before it, or else a single white space: all that a text can consist
# of. Apostrophes inside a word belong to it, and what is combined with a letter belongs to the letter.
LETTERS = rf"\w+(?:[{MARKS}]+\w*)*"
WORD = re.compile(rf" ?{LETTERS}(?:['’]{LETTERS})*| ?[^\w\s][{MARKS}]*|\s")

SPLIT: dict[str, Callable[[str], list[str]]] = {
    "characters": list,
    "words": WORD.findall,
    "spaces": lambda text: text.split(" "),
}


@dataclass(frozen=True)
class Vocabulary:
    r"""The tokens that a model knows; a token's place is its id.

    Three kinds of tokens:
        characters: each Unicode code point is one, lone surrogates too.
        words: words and punctuation marks, each with the space before it, and white space that is left.
        spaces: whatever stands between two spaces, as the book reads bAbI; decoding puts the spaces back.

    Attributes:
        tokens: each once.
        kind: "characters", "words" or "spaces".
        unknown: id 0 is the token "\ufffd", to which `encode` maps all that the vocabulary lacks.

    Raises:
        ValueError: a token is there twice or is not one token of this kind, there is none at all, or
            `unknown` is set and the first is not "\ufffd".
    """

    tokens: tuple[str, ...]
    kind: Kind = "characters"
    unknown: bool = True

    def __post_init__(self) -> None:
        if self.kind not in SPLIT:
            raise ValueError(f"Vocabulary: kind must be one of {', '.join(SPLIT)}; got {self.kind!r}")
        if not self.tokens:
            raise ValueError("Vocabulary: there must be at least one token")
        for token in self.tokens:
            if SPLIT[self.kind](token) != [token]:
                raise ValueError(f"Vocabulary: {token!r} is not one token, where tokens are {self.kind}")
        if len(self._ids) != len(self.tokens):
            twice = Counter(self.tokens).most_common(1)[0][0]
            raise ValueError(f"Vocabulary: {twice!r} is there more than once")
        if self.unknown and self.tokens[0] != UNKNOWN:
            raise ValueError(
                f"Vocabulary: with unknown=True token 0 must be {UNKNOWN!r}, got {self.tokens[0]!r}"
            )

    @classmethod
    def build(
        cls, text: str, kind: Kind = "characters", unknown: bool = True, max_size: int | None = None
    ) -> Vocabulary:
        """Returns the vocabulary of a text: its tokens, sorted by code points.

        Args:
            text: the text, with at least one token.
            kind: what the tokens are; see `Vocabulary`.
            unknown: add a token, with id 0, for what the vocabulary lacks.
            max_size: keep no more than this many tokens, the one for the unknown included: the most frequent
                ones, and of those equally frequent the ones that come first in the text. None: all.

        Raises:
            ValueError: the text is empty, there is no such kind, or `max_size` leaves no token of the text.
        """
        if kind not in SPLIT:
            raise ValueError(f"Vocabulary.build: kind must be one of {', '.join(SPLIT)}; got {kind!r}")
        if not text:
            raise ValueError("Vocabulary.build: text must have at least one token, got an empty one")
        if max_size is not None and max_size < 1 + unknown:
            raise ValueError(
                f"Vocabulary.build: max_size must be at least {1 + unknown} (with unknown={unknown}), "
                f"got {max_size}"
            )
        counts = Counter(SPLIT[kind](text))
        if unknown:
            del counts[UNKNOWN]
        kept = counts.most_common(None if max_size is None else max_size - unknown)
        return cls((UNKNOWN,) * unknown + tuple(sorted(token for token, _ in kept)), kind, unknown)

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {token: id_ for id_, token in enumerate(self.tokens)}

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def unit(self) -> Literal["character", "word"]:
        """What one token is called, for people: bits per character, words per second."""
        return "character" if self.kind == "characters" else "word"

    def split(self, text: str) -> list[str]:
        """Returns the text's tokens, known or not, in order; none for an empty text."""
        return SPLIT[self.kind](text) if text else []

    def encode(self, text: str) -> Int64[np.ndarray, " tokens"]:
        """Returns the ids of the text's tokens; 0 for those not known, where `unknown` is set.

        Raises:
            ValueError: a token is not known and `unknown` is not set.
        """
        tokens = self.split(text)
        missing = 0 if self.unknown else -1
        ids = np.fromiter(map(self._ids.get, tokens, repeat(missing)), np.int64, len(tokens))
        if not self.unknown and ids.size and ids.min() < 0:
            first = int(np.argmin(ids))
            raise ValueError(
                f"encode: the vocabulary lacks {tokens[first]!r}, {self.unit} {first} of the text, "
                "and has no token for what is unknown"
            )
        return ids

    def decode(self, ids: Integer[np.ndarray, " tokens"] | Sequence[int]) -> str:
        """Returns the text whose tokens have these ids.

        Raises:
            IndexError: an id is negative, or not less than the number of tokens.
        """
        size = len(self.tokens)
        ids = ids.tolist() if isinstance(ids, np.ndarray) else ids  # Python's own integers are faster here
        wrong = next((id_ for id_ in ids if not 0 <= id_ < size), None)
        if wrong is not None:
            raise IndexError(f"decode: ids must be from 0 to {size - 1}, got {wrong}")
        return (" " if self.kind == "spaces" else "").join(self.tokens[id_] for id_ in ids)

    def unknown_in(self, text: str) -> tuple[str, ...]:
        """Returns the tokens of the text that the vocabulary lacks: each once, as they first appear."""
        return tuple(token for token in dict.fromkeys(self.split(text)) if token not in self._ids)

    def to_json(self) -> dict[str, Any]:
        """Returns what `from_json` takes, in JSON's types. Checkpoints know the tokens as "symbols".

        JSON writes two halves of a surrogate pair, side by side in one token, as the one character they are
        in UTF-16. Such tokens, which no text read from a file has, come back changed.
        """
        return {"kind": self.kind, "unknown": self.unknown, "symbols": list(self.tokens)}

    @classmethod
    def from_json(cls, value: Any) -> Vocabulary:
        """Returns the vocabulary that `to_json` described.

        Raises:
            ValueError: `value` is no such description.
        """
        expected = {"kind", "unknown", "symbols"}
        if not isinstance(value, dict) or value.keys() != expected:
            found = sorted(map(str, value)) if isinstance(value, dict) else type(value).__name__
            raise ValueError(f"vocabulary: expected {sorted(expected)}, got {found}")
        kind, unknown, tokens = value["kind"], value["unknown"], value["symbols"]
        if not isinstance(kind, str) or kind not in SPLIT:
            raise ValueError(f"vocabulary: kind must be one of {', '.join(SPLIT)}; got {kind!r}")
        if not isinstance(unknown, bool):
            raise ValueError(f"vocabulary: unknown must be true or false, got {unknown!r}")
        if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens):
            raise ValueError("vocabulary: symbols must be a list of strings")
        return cls(tuple(tokens), kind, unknown)  # type: ignore[arg-type]
