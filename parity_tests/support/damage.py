"""Damaged files: what chance does to any file, and what a person does to a run's flags.

The crafted ones, of which no checksum says anything, are made in `damage_safetensors` and `damage_ckpt`.
"""

from __future__ import annotations

import copy
import gzip
import json
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    Source = bytes | Callable[[], bytes]

REMOVED = object()  # a value that is not there
DEEP = 200_000


class Allowed(Enum):
    """What a reader may make of a damaged file."""

    nothing = "it is refused"
    the_same = "what the good file gives: not every byte of a file matters"
    anything = "it is as good a file as any"


@dataclass(frozen=True)
class Damaged:
    """A damaged file, and who reads it.

    Attributes:
        name: what was done to it.
        original: the folder that it is put into a copy of.
        file: its name there.
        source: its bytes, or what makes them; None for a folder of that name.
        readers: names in `damage_runs.READERS`.
        allowed: what may come of it, beside its refusal.
    """

    name: str
    original: str
    file: str
    source: Source | None
    readers: tuple[str, ...]
    allowed: Allowed = Allowed.nothing

    @property
    def content(self) -> bytes | None:
        return self.source() if callable(self.source) else self.source


@dataclass(frozen=True)
class GoodFile:
    """What damaged files are made of.

    Attributes:
        original: the folder.
        file: its name there.
        readers: who reads it.
    """

    original: str
    file: str
    readers: tuple[str, ...]

    def damaged(
        self,
        name: str,
        content: Source,
        readers: Sequence[str] | None = None,
        allowed: Allowed = Allowed.nothing,
    ) -> Damaged:
        chosen = self.readers if readers is None else tuple(readers)
        return Damaged(name, self.original, self.file, content, chosen, allowed)


def changed(tree: Any, path: Sequence[Any], value: Any) -> Any:
    """A copy of nested dicts and lists with another value in one place, or with `REMOVED` without it."""
    if not path:
        return value
    tree = copy.deepcopy(tree)
    *parents, last = path
    place = tree
    for key in parents:
        place = place[key]
    if value is REMOVED:
        del place[last]
    else:
        place[last] = value
    return tree


def each(changes: Mapping[tuple[Any, ...], list[Any]]) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """The places with each of their values."""
    return ((path, value) for path, values in changes.items() for value in values)


def shown(value: object) -> str:
    """A value in few characters, for the name of a damage."""
    text = "removed" if value is REMOVED else repr(value)
    return text if len(text) <= 40 else f"{text[:30]}… ({len(text)})"


def by_chance(
    original: str,
    file: str,
    content: bytes,
    readers: Sequence[str],
    n: int,
    changed: Allowed = Allowed.nothing,
) -> Iterator[Damaged]:
    """Truncated, with a bit turned over, or with a piece overwritten or gone; by turns for each reader.

    Args:
        original: the folder.
        file: its name there.
        content: the good one.
        readers: who reads them.
        n: of each kind.
        changed: what may come of a changed bit or piece.
    """
    rng = np.random.default_rng(list(f"{original}/{file}".encode()))
    for turn in range(n):
        reader = (readers[turn % len(readers)],)
        # At its two ends as often as in between: that is where the formats have what they live by.
        near, size = int(rng.integers(1, 200)), len(content)
        at = (near, size - near, int(rng.integers(size)))[turn % 3] % size
        bit, length = int(rng.integers(8)), int(rng.integers(2, 64))
        yield Damaged(f"cut at {at}", original, file, content[:at], reader)
        flipped = content[:at] + bytes([content[at] ^ 1 << bit]) + content[at + 1 :]
        yield Damaged(f"bit {bit} of byte {at}", original, file, flipped, reader, changed)
        noise = rng.bytes(length)
        overwritten = content[:at] + noise + content[at + length :]
        yield Damaged(f"{length} bytes of noise at {at}", original, file, overwritten, reader, changed)
        shorter = content[:at] + content[at + length :]
        yield Damaged(f"without {length} bytes at {at}", original, file, shorter, reader, changed)


def other_things(original: str, file: str, readers: Sequence[str]) -> Iterator[Damaged]:
    """What is no such file at all."""
    things: dict[str, bytes | None] = {
        "nothing": b"",
        "a folder": None,
        "a line": b"not a checkpoint\n",
        "zeros": bytes(10_000),
        "a gzip": gzip.compress(bytes(1000), mtime=0),
        "nothing but a zip's end": b"PK\x05\x06" + bytes(18),
        "a length": (2**63 - 1).to_bytes(8, "little"),
    }
    for name, content in things.items():
        yield Damaged(name, original, file, content, tuple(readers))


def of_flags(original: str, content: bytes) -> Iterator[Damaged]:
    """A run's `run.json`: cut, and with other types where the flags are."""
    file, reader = "run.json", ("resume",)
    for at in range(0, len(content) - 2, max(1, len(content) // 20)):
        yield Damaged(f"cut at {at}", original, file, content[:at], reader)
    texts = {
        "deep": b"[" * DEEP,
        "deep objects": b'{"a":' * DEEP,
        "latin-1": '{"data": "é"}'.encode("latin-1"),
        "a huge number": b'{"lr": ' + b"9" * 10_000 + b"}",
        "a name of two lines": json.dumps({"a\nb": 1}).encode(),
        "a name that colours the terminal": json.dumps({"\x1b[31m": "\x1b[0m"}).encode(),
    }
    for name, text in texts.items():
        yield Damaged(name, original, file, text, reader)
    settings = json.loads(content)
    wrong: tuple[Any, ...] = (None, [], "x", 5, True, {})
    for value in wrong:
        yield Damaged(f"all {shown(value)}", original, file, json.dumps(value).encode(), reader)
    for name in settings:
        for value in (REMOVED, "x", -7, [[]], {"a": None}, float("nan")):
            if value is REMOVED and settings[name] is None:
                continue  # runs from before there was such a flag have none
            text = json.dumps(changed(settings, (name,), value)).encode()
            yield Damaged(f"{name}: {shown(value)}", original, file, text, reader)
    for name, value in {"loss_name": [], "task": {}}.items():
        text = json.dumps(settings | {name: value}).encode()
        yield Damaged(f"{name}: {shown(value)}", original, file, text, reader)
