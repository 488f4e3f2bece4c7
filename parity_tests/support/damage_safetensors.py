"""Crafted safetensors files: well signed, so that no checksum says what is wrong with them."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import safetensors.numpy

from gdl_numpy.checkpoint import ENTRY, MODEL_PREFIX, NO_DIGEST
from parity_tests.support.damage import DEEP, REMOVED, Allowed, Damaged, GoodFile, changed, each, shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


LARGE = 10**12
# How an entry of the header is changed.
ENTRIES: dict[tuple[Any, ...], list[Any]] = {
    ("shape",): [
        [LARGE], [-8, -64], [-1], ["8", "64"], "x", None, [1.5], [[8]], {}, [True], [2**63], [2**64],
        [2**32] * 2, [], [0], [10**30], [1] * 10_000, [0, LARGE], 8, [None], [{}], REMOVED,
    ],
    ("data_offsets",): [
        [0], [0, 2**70], [8, 4], [-8, 8], "x", None, [0, 0], [None, None], ["0", "8"], [0.0, 8.0],
        [LARGE, LARGE + 8], [1, 9], REMOVED,
    ],
    ("dtype",): [
        "X", "", None, 5, [], {}, "f32", "F16", "F64", "I64", "BOOL", "BF16", "F8_E4M3", "F8_E5M2", "C64",
        "I32", "U32", "F4", "O", "float32", "X\nY", REMOVED,
    ],
}  # fmt: skip
# Weights as another type holds them, in files that are otherwise as they should be.
DTYPES: dict[str, Any] = {
    "I64": np.int64, "I8": np.int8, "U8": np.uint8, "BOOL": np.bool_, "C64": np.complex64,
}  # fmt: skip
MODELS: list[Any] = [
    None, 5, [], {}, "", "MLQ", "CNN", "RNNLanguageModel", "os.system", "evil_module.MLP", "MLP\nTwo",
    "\x1b[31mMLP", "M" * 1_000_000, ["MLP"], REMOVED,
]  # fmt: skip
HPARAMS: list[Any] = [
    None, [], "x", 5, True, {}, {"evil": 1}, [["in_features", 64]], {"self": 1}, {"rng": 5, "dtype": "O"},
    REMOVED,
]  # fmt: skip
NUMBERS: list[Any] = [None, "5", -1, 0, True, 1.5, 10**30, [5], {}, math.nan, math.inf, LARGE, REMOVED]
FRACTIONS: list[Any] = [None, "0.3", -1, 2, [0.3], {}, math.nan, 10**30]
OF_A_KIND: dict[str, list[Any]] = {
    "in_features": NUMBERS,
    "out_features": NUMBERS,
    "embedding_dim": NUMBERS,
    "hidden_features": [
        None,
        "8",
        8,
        [-8],
        [0],
        [8.0],
        ["8"],
        [True],
        [[8]],
        {"8": 8},
        [8, 8],
        [],
        [10**30],
        REMOVED,
    ],
    "activation": [None, 5, [], "evil", {}, "relu\nrelu"],
    "dropout": FRACTIONS,
    "vocab_size": NUMBERS,
    "hidden_size": NUMBERS,
    "num_layers": [value for value in NUMBERS if value is not REMOVED],
    "zero_decoder": [None, "x", [], 7],
}
# What takes gigabytes, if it is built before it is looked at.
BOMBS: dict[str, list[Any]] = {
    "in_features": [10**9],
    "out_features": [10**9],
    "hidden_features": [[10**6] * 10, [20_000, 20_000], [1] * 3000, [8] * 1_000_000, [10**8]],
    "vocab_size": [10**8],
    "embedding_dim": [10**8],
    "hidden_size": [20_000, 10**6],
    "num_layers": [10**4, 10**6],
}
VOCABULARIES: dict[tuple[Any, ...], list[Any]] = {
    (): [None, [], "x", 5, {}, REMOVED],
    ("kind",): [None, [], {}, "letters", REMOVED],
    ("unknown",): [None, 1, "x", REMOVED],
    ("symbols",): [
        None, "abc", [], [1, 2], ["a", "a"], ["ab"], [None], [["a"]], {},
        ["\ufffd", *map(chr, range(0x4E00, 0x9FA0))],
        REMOVED,
    ],
    ("more",): [1],
}  # fmt: skip
TRAININGS: list[Any] = [None, [], "x", 5, {}, {"optimizer": []}, {"optimizer": "SGD"}, REMOVED]
# Instead of the whole history, and of a value in its first row.
HISTORIES: list[Any] = [
    None,
    "x",
    5,
    {},
    True,
    [1],
    [None],
    [[]],
    [{}],
    [{"epoch": 1}],
    [["epoch", 1]],
    REMOVED,
]
CELLS: dict[tuple[Any, ...], list[Any]] = {
    ("epoch",): [0, 2, -1, "1", None, True, 1.5, 10**30, [], REMOVED],
    ("lr",): ["x", None, [], {}, True, REMOVED],
    ("seconds",): ["x", None, [], REMOVED],
    ("train_loss",): ["x", None, [], {}, REMOVED],
    ("evil",): ["x"],
}
GENERATORS: dict[tuple[Any, ...], list[Any]] = {  # "*" for the first layer that has one
    (): [None, [], "x", 5, {}, REMOVED],
    ("*",): [None, [], "x", 5, {}, REMOVED],
    ("*", "bit_generator"): [None, 5, [], "MT19937", "Evil", REMOVED],
    ("*", "state"): [None, 5, [], {}, "x", REMOVED],
    ("*", "state", "state"): [None, "5", -1, 2**128, 10**60, 1.5, [], REMOVED],
    ("*", "state", "inc"): [None, -1, 2**128, {}, REMOVED],
    ("*", "has_uint32"): [None, "x", 2**70, -(2**40), REMOVED],
    ("*", "uinteger"): [None, -1, 2**64, "x", 1.5, REMOVED],
}


def signed(header: Any, data: bytes) -> bytes:
    """A file with this header, of JSON's types; its first 64 zeros are where the digest goes."""
    return signed_text(json.dumps(header).encode(), data)


def signed_text(header: bytes, data: bytes) -> bytes:
    """A file with whatever these bytes are for a header."""
    content = len(header).to_bytes(8, "little") + header + data
    return content.replace(NO_DIGEST.encode(), hashlib.sha256(content).hexdigest().encode(), 1)


def entry(metadata: Any) -> dict[str, str]:
    return {ENTRY: json.dumps({"sha256": NO_DIGEST, "metadata": metadata})}


@dataclass(frozen=True)
class Good(GoodFile):
    """A good file, taken apart.

    Attributes:
        metadata: ours.
        tensors: the header without its metadata.
        data: what follows the header.
        arrays: what is in the data.
    """

    metadata: dict[str, Any]
    tensors: dict[str, Any]
    data: bytes
    arrays: dict[str, np.ndarray]

    @classmethod
    def of(cls, original: str, file: str, content: bytes, readers: Sequence[str]) -> Good:
        size = int.from_bytes(content[:8], "little")
        tensors = json.loads(content[8 : 8 + size])
        metadata = json.loads(tensors.pop("__metadata__")[ENTRY])["metadata"]
        arrays = safetensors.numpy.load(content)
        return cls(original, file, tuple(readers), metadata, tensors, content[8 + size :], arrays)

    @property
    def weight(self) -> str:
        """The name of the model's largest weight."""
        return max(self.of_the_model, key=lambda name: self.arrays[name].size)

    @property
    def of_the_model(self) -> list[str]:
        trains = any(name.startswith(MODEL_PREFIX) for name in self.arrays)
        return [name for name in self.arrays if not trains or name.startswith(MODEL_PREFIX)]

    def with_tensors(self, tensors: Mapping[str, Any]) -> bytes:
        return signed({"__metadata__": entry(self.metadata), **tensors}, self.data)

    def with_change(self, path: Sequence[Any], value: Any) -> bytes:
        """Another value in the metadata."""
        return self.with_metadata(changed(self.metadata, path, value))

    def with_metadata(self, metadata: Any) -> bytes:
        return signed({"__metadata__": entry(metadata), **self.tensors}, self.data)

    def with_arrays(self, arrays: Mapping[str, tuple[str, np.ndarray]]) -> bytes:
        """A whole file of arrays, each with the type that the header is to give it."""
        tensors, data = {}, b""
        for name, (dtype, array) in arrays.items():
            start, data = len(data), data + array.tobytes()
            tensors[name] = {"dtype": dtype, "shape": array.shape, "data_offsets": [start, len(data)]}
        return signed({"__metadata__": entry(self.metadata), **tensors}, data)

    def typed(self) -> dict[str, tuple[str, np.ndarray]]:
        """What `with_arrays` takes, unchanged."""
        return {name: (self.tensors[name]["dtype"], array) for name, array in self.arrays.items()}


def crafted(good: Good) -> Iterator[Damaged]:
    """All that is wrong with a model's file or a checkpoint, whoever reads it."""
    yield from _headers(good)
    yield from _entries(good)
    yield from _weights(good)
    yield from _models(good)


def crafted_training(good: Good) -> Iterator[Damaged]:
    """What is wrong only with a checkpoint that a run is to be resumed from."""
    reader = ("resume",)
    parts: dict[str, dict[tuple[Any, ...], list[Any]]] = {
        "training": {(): TRAININGS},
        "history": {(): HISTORIES, **{(0, *path): values for path, values in CELLS.items()}},
        "generators": GENERATORS,
    }
    for part, changes in parts.items():
        for path, value in each(changes):
            name = f"{'.'.join(map(str, (part, *path)))}: {shown(value)}"
            place = (part, *(next(iter(good.metadata[part])) if key == "*" else key for key in path))
            yield good.damaged(name, partial(good.with_change, place, value), reader)
    rows = good.metadata["history"]
    orders = {"a row twice": [rows[0], *rows], "backwards": rows[::-1], "100,000 rows": rows * 50_000}
    for name, order in orders.items():
        yield good.damaged(f"history: {name}", partial(good.with_change, ("history",), order), reader)
    typed = good.typed()
    for name in ("optimizer.steps", "optimizer.updates", "optimizer.lr", "optimizer.0.exp_avg"):
        without = {key: value for key, value in typed.items() if key != name}
        yield good.damaged(f"without {name}", good.with_arrays(without), reader)
        for dtype, array in (
            ("F64", np.full((3, 3), np.nan)),
            ("I64", np.array([-1])),
            ("BOOL", np.array(True)),
        ):
            yield good.damaged(f"{name} as {dtype}", good.with_arrays(typed | {name: (dtype, array)}), reader)
    for name in (
        "x",
        "evil.x",
        "best.x",
        "optimizer.evil",
        "optimizer.-1.exp_avg",
        "optimizer.99.exp_avg",
        ".",
        "",
    ):
        more = good.with_arrays(typed | {name: ("F32", np.zeros(3, np.float32))})
        yield good.damaged(f"a tensor {name!r} more", more, reader)


def _headers(good: Good) -> Iterator[Damaged]:
    """Headers and metadata that are none."""
    digest = NO_DIGEST
    wrong: list[Any] = [None, [], "x", 5, True, {}]
    for value in [*wrong, {ENTRY: None}, {ENTRY: {}}, {ENTRY: [digest]}, {ENTRY: "[]"}]:
        content = signed({"__metadata__": value, **good.tensors}, good.data)
        yield good.damaged(f"__metadata__: {shown(value)}", content)
    entries = {
        "a list": json.dumps([digest]),
        "deep": '{"sha256": "' + digest + '", "metadata": ' + "[" * DEEP + "]" * DEEP + "}",
        "without metadata": json.dumps({"sha256": digest}),
        "a list for a digest": json.dumps({"sha256": [digest], "metadata": good.metadata}),
        "no digest": json.dumps({"sha256": None, "metadata": good.metadata}),
        "an empty digest": json.dumps({"sha256": "", "metadata": good.metadata}),
    }
    for name, text in entries.items():
        header = {"__metadata__": {ENTRY: text}, **good.tensors}
        yield good.damaged(f"entry: {name}", signed(header, good.data))
    for metadata in [*wrong, [[]]]:
        yield good.damaged(f"metadata: {shown(metadata)}", good.with_metadata(metadata))
    whole = json.dumps({"__metadata__": entry(good.metadata)})[:-1].encode()
    headers = {
        "deep": whole + b', "x": ' + b"[" * DEEP + b"]" * DEEP + b"}",
        "not closed": whole,
        "nan for a tensor": whole + b', "x": NaN}',
        "a number for a tensor": whole + b', "x": 5}',
        "not UTF-8": whole + b', "\xff": {}}',
        "half a surrogate pair": whole
        + b', "\\ud800": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}}',
        "100,000 empty tensors": whole
        + b"".join(
            b', "%d": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}' % n for n in range(100_000)
        )
        + b"}",
    }
    for name, header_text in headers.items():
        yield good.damaged(f"header {name}", signed_text(header_text, b""))


def _entries(good: Good) -> Iterator[Damaged]:
    """What the header says of the largest weight."""
    weight = good.weight
    for path, value in each(ENTRIES):
        tensors = changed(good.tensors, (weight, *path), value)
        yield good.damaged(f"weight's {path[0]}: {shown(value)}", good.with_tensors(tensors))
    other = next(name for name in good.tensors if name != weight)
    overlapping = good.tensors[weight] | {"data_offsets": good.tensors[other]["data_offsets"]}
    yield good.damaged("two weights in one place", good.with_tensors(good.tensors | {weight: overlapping}))
    rest = {name: value for name, value in good.tensors.items() if name != weight}
    yield good.damaged("a hole", good.with_tensors(rest))
    yield good.damaged("a renamed weight", good.with_tensors({**rest, f"{weight}\nx": good.tensors[weight]}))


def _weights(good: Good) -> Iterator[Damaged]:
    """Whole files, of other weights than a model's."""
    typed, weight, of_model = good.typed(), good.weight, good.of_the_model
    for dtype, kind in DTYPES.items():
        cast = {name: (dtype, good.arrays[name].astype(kind)) for name in of_model}
        yield good.damaged(f"weights of {dtype}", good.with_arrays(typed | cast))
        one = {weight: cast[weight]}
        yield good.damaged(f"one weight of {dtype}", good.with_arrays(typed | one))
    for dtype, size in {"BF16": 2, "F8_E4M3": 1, "F8_E5M2": 1}.items():
        narrow = {name: (dtype, np.ones(good.arrays[name].shape, f"u{size}")) for name in of_model}
        yield good.damaged(f"weights of {dtype}", good.with_arrays(typed | narrow))
    array = good.arrays[weight]
    shapes = {
        "transposed": array.T.copy(),
        "a row short": array[1:],
        "flat": array.ravel(),
        "empty": array[:0],
    }
    for name, other in shapes.items():
        yield good.damaged(f"a weight {name}", good.with_arrays(typed | {weight: ("F32", other)}))
    without = {name: value for name, value in typed.items() if name not in of_model}
    yield good.damaged("no weights", good.with_arrays(without))
    nans = {weight: ("F32", np.full_like(array, np.nan))}
    yield good.damaged("nan for weights", good.with_arrays(typed | nans), allowed=Allowed.anything)


def _models(good: Good) -> Iterator[Damaged]:
    """What the file says of its model: class, arguments, vocabulary."""
    changes: list[tuple[tuple[str, ...], Any]] = [(("model",), value) for value in MODELS]
    changes += [(("hparams",), value) for value in HPARAMS]
    for name in good.metadata["hparams"]:
        changes += [(("hparams", name), value) for value in [*OF_A_KIND.get(name, []), *BOMBS.get(name, [])]]
    changes.append((("hparams", "evil"), 1))
    changes.append((("hparams", "rng"), 5))
    if "vocabulary" in good.metadata:
        changes += [(("vocabulary", *path), value) for path, value in each(VOCABULARIES)]
    for path, value in changes:
        name = f"{'.'.join(path)}: {shown(value)}"
        yield good.damaged(name, partial(good.with_change, path, value))
