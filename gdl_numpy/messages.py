"""Names, words and errors, whoever wrote them, as they stand in messages and in pictures."""

from __future__ import annotations

# What moves a terminal's cursor, or changes its colours and more, by how it is written in Python.
CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"}
LONGEST = 2000  # characters of a message, which quotes files and command lines


def plain(text: str) -> str:
    """A text without a terminal's commands, which a name or a word of somebody's file may be made of."""
    return text.translate(CONTROLS)


def literal(text: str) -> str:
    """A text as matplotlib is to be given it: in names and words, dollars are no mathematics.

    Bytes of a file's name that are no text, which it could not draw, become question marks.
    """
    return plain(text).encode(errors="replace").decode().replace("$", r"\$")


def reason_of(error: Exception) -> str:
    """An error in words, on one line."""
    return " ".join(str(error).split()) or type(error).__name__


def as_line(message: str) -> str:
    """A message as one line that can be read, whatever names and values from files are in it."""
    line = " ".join(plain(message).split())
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 300]} … {line[-300:]}"


def counted(number: int, unit: str) -> str:
    """How many there are: "1 epoch", "2,000 epochs", "3 batches"."""
    plural = f"{unit}es" if unit.endswith(("s", "x", "tch", "sh")) else f"{unit}s"
    return f"{number:,} {unit if number == 1 else plural}"


def with_article(name: str) -> str:
    """A name with its article, as it is spoken: "an MLP", "a CNN", "an Embedding", "a TripletMarginLoss"."""
    is_spelt = name[:2].isupper() or name == "ndarray"
    return f"{'an' if name[:1] in ('AEFHILMNORSXn' if is_spelt else 'AEIOUaeiou') else 'a'} {name}"


def kind_of(value: object) -> str:
    """The name of its class, with an article."""
    return with_article(type(value).__name__)
