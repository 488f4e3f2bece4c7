"""Crafted checkpoints of Lightning's: archives with a pickle that may say anything, and name anything."""

from __future__ import annotations

import io
import math
import os
import pickle
import struct
import zipfile
import zlib
from collections import OrderedDict
from dataclasses import dataclass
from functools import cache, cached_property, partial
from typing import TYPE_CHECKING, Any

import torch

from parity_tests.support.damage import DEEP, REMOVED, Allowed, Damaged, GoodFile, changed, each, shown
from parity_tests.support.damage_safetensors import (
    BOMBS,
    CELLS,
    HISTORIES,
    HPARAMS,
    OF_A_KIND,
    TRAININGS,
    VOCABULARIES,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


MARKER = "EXECUTED"  # a file that is there if anything was
BOMB = 1 << 30  # bytes
RECORDER = ("callbacks", "_Recorder")

CLASS_PATHS: list[Any] = [
    "evil_module.MLP", "evil_module", "evil_module.MLP.MLP", "os.system", "gdl_torch.models.mlp.MLP.__init__",
    "gdl_torch.models.cnn.CNN", "torch.nn.Linear", None, 5, [], {}, "", ".", "MLP\nTwo", "\x1b[31mMLP",
    REMOVED,
]  # fmt: skip
WRONG: list[Any] = [None, [], {}, "x", 5, True, [5], [None], {"x": 1}]
# What Lightning goes on from, beside the model: a part's path, and what is put in its place.
TRAINER: dict[tuple[Any, ...], list[Any]] = {
    ("loops",): [*WRONG, REMOVED, {"fit_loop": 5}, {"fit_loop": {}}, {"fit_loop": []}],
    ("loops", "fit_loop", "epoch_progress"): ["x", [], {}, {"total": 5}, REMOVED],
    ("loops", "fit_loop", "epoch_progress", "current", "completed"): ["x", None, -1, 10**30, []],
    ("loops", "fit_loop", "epoch_loop.batch_progress"): ["x", {}, REMOVED],
    ("optimizer_states",): [*WRONG, [{}], [{"state": 5}], [{"state": {}, "param_groups": 5}], REMOVED],
    ("optimizer_states", 0, "state"): [None, [], "x", 5, {0: 5}, {99: {}}],
    ("optimizer_states", 0, "state", 1): [{}, {"x": 5}, REMOVED],
    ("optimizer_states", 0, "state", 0, "exp_avg"): [None, "x", 5, {}, torch.zeros(3), REMOVED],
    ("optimizer_states", 0, "state", 0, "exp_avg_sq"): [None, [], torch.zeros(3, 3), REMOVED],
    ("optimizer_states", 0, "state", 0, "step"): [None, "x", [], torch.zeros(3), REMOVED],
    ("optimizer_states", 0, "param_groups"): [None, {}, "x", [], [5], [{}]],
    ("optimizer_states", 0, "param_groups", 0, "params"): [None, 5, [], ["x"], [0] * 99, REMOVED],
    ("optimizer_states", 0, "param_groups", 0, "lr"): [None, "x", []],
    ("callbacks",): [None, [], "x", 5, True, [5], [None]],
    ("epoch",): ["x", None, []],
    ("global_step",): ["x", None, []],
    ("lr_schedulers",): ["x", [5], [None]],
}
# A pickle that calls what it names: (module, name) and the argument, as protocol 0 writes it.
CALLS = {
    "os.system": b"cos\nsystem\n(S'touch %s'\ntR.",
    "posix.system": b"cposix\nsystem\n(S'touch %s'\ntR.",
    "subprocess.getoutput": b"csubprocess\ngetoutput\n(S'touch %s'\ntR.",
    "builtins.eval": b'cbuiltins\neval\n(S\'open("%s", "w")\'\ntR.',
    "builtins.exec": b'cbuiltins\nexec\n(S\'open("%s", "w")\'\ntR.',
    "builtins.open": b"cbuiltins\nopen\n(S'%s'\nS'w'\ntR.",
    "pathlib": b"cpathlib\nPath\n(S'%s'\ntR.",
    "getattr": b"cbuiltins\ngetattr\n(cos\nsystem\nS'__call__'\ntR.",
    "torch.hub.load": b"ctorch.hub\nload\n(S'.'\nS'%s'\ntR.",
    "evil_module.MLP": b"cevil_module\nMLP\n(tR.",
    "inst evil_module": b"(ievil_module\nMLP\n.",
    "torch.load": b"ctorch\nload\n(S'%s'\ntR.",
}
PICKLES = {
    "of nothing": b"",
    "of no value": b".",
    "of noise": b"\x80\xff\x00\x01.",
    "of marks": b"(" * 1_000_000 + b".",
    "deep": b"]" * DEEP + b"a" * (DEEP - 1) + b".",
    "deep tuples": b")" + b"\x85" * DEEP + b".",
    "with what it has not": b"h\xff.",
    "with a string of 4 EiB": b"\x8d" + struct.pack("<Q", 2**62) + b"x.",
    "with bytes of 2 GiB": b"B" + struct.pack("<I", 2**31 - 1) + b"x.",
    "with a number of 2 GiB": b"\x8b" + struct.pack("<i", 2**31 - 1) + b"x.",
    "with a place of 4 GiB": b"Nr" + struct.pack("<I", 2**32 - 1) + b".",
    "of an extension": b"\x82\x01.",
    "of a storage that is none": b"\x80\x02(X\x07\x00\x00\x00storageNNNNtQ.",
    "with no string for a storage": b"\x80\x02NQ.",
}


class Storage:
    """What a pickle calls the numbers of a tensor by: a record, and how many are in it."""

    def __init__(self, key: str, numel: int, kind: Any = torch.FloatStorage) -> None:
        self.name = ("storage", kind, key, "cpu", numel)


class Tensor:
    """A tensor as a pickle may describe it, true or not."""

    def __init__(
        self, storage: Storage, shape: Sequence[Any], stride: Sequence[Any], offset: int = 0
    ) -> None:
        self.arguments: tuple[Any, ...] = (storage, offset, tuple(shape), tuple(stride), False, OrderedDict())

    def __reduce__(self) -> tuple[Any, Any]:
        return torch._utils._rebuild_tensor_v2, self.arguments


class Pickler(pickle.Pickler):
    def persistent_id(self, value: Any) -> Any:
        return value.name if isinstance(value, Storage) else None


def pickled(value: Any) -> bytes:
    stream = io.BytesIO()
    Pickler(stream, protocol=2).dump(value)
    return stream.getvalue()


def archive(records: Mapping[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    """A zip of these records, in a folder as torch has it."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as file:
        for name, content in records.items():
            file.writestr(zipfile.ZipInfo(f"archive/{name}"), content, compression)
    return stream.getvalue()


@cache
def deflated_zeros() -> tuple[bytes, int]:
    """So many zeros as deflate writes them, a thousandth of their size, and their checksum."""
    piece, crc = bytes(1 << 20), 0
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    repeated = deflate.compress(piece) + deflate.flush(zlib.Z_FULL_FLUSH)
    for _ in range(BOMB // len(piece)):
        crc = zlib.crc32(piece, crc)
    return repeated * (BOMB // len(piece)) + deflate.flush(), crc


def bomb_archive(records: Mapping[str, bytes], name: str) -> bytes:
    """The same with one more record, which unpacks to a gigabyte."""
    content, crc = deflated_zeros()
    stream = io.BytesIO(archive({key: value for key, value in records.items() if key != name}))
    with zipfile.ZipFile(stream, "a") as file:
        info = zipfile.ZipInfo(f"archive/{name}")
        file.writestr(info, content)
        # What the directory at the archive's end is to say, which readers go by.
        info.compress_type, info.CRC, info.file_size = zipfile.ZIP_DEFLATED, crc, BOMB
    return stream.getvalue()


def around(data: bytes, records: Mapping[str, bytes] | None = None) -> bytes:
    """An archive as torch writes it, of this pickle and these records."""
    return archive({"data.pkl": data, "byteorder": b"little", **(records or {}), "version": b"3\n"})


def saved(value: Any) -> bytes:
    stream = io.BytesIO()
    torch.save(value, stream)
    return stream.getvalue()


def records_of(content: bytes) -> dict[str, bytes]:
    """What is in an archive, without the folder that all of it is in."""
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        return {name.partition("/")[2]: file.read(name) for name in file.namelist()}


@dataclass(frozen=True)
class GoodCkpt(GoodFile):
    """A good checkpoint.

    Attributes:
        content: its bytes.
    """

    content: bytes

    @cached_property
    def checkpoint(self) -> dict[str, Any]:
        loaded: dict[str, Any] = torch.load(io.BytesIO(self.content), weights_only=True)
        return loaded

    def those(self, *names: str) -> tuple[str, ...]:
        """Which of these are among its readers."""
        return tuple(name for name in names if name in self.readers)

    def edited(
        self,
        path: Sequence[Any],
        value: Any,
        readers: Sequence[str] | None = None,
        allowed: Allowed = Allowed.nothing,
    ) -> Damaged:
        name = f"{'.'.join(map(str, path))}: {shown(value)}"
        return self.damaged(name, partial(self.changed, path, value), readers, allowed)

    def changed(self, path: Sequence[Any], value: Any) -> bytes:
        return saved(changed(self.checkpoint, path, value))


def crafted_ckpt(good: GoodCkpt) -> Iterator[Damaged]:
    """All that is wrong with a checkpoint of Lightning's, whoever reads it."""
    whole: list[Any] = [None, [], {}, "x", 5, torch.zeros(3), [{"state_dict": {}}]]
    for value in whole:
        yield good.damaged(f"all {shown(value)}", saved(value))
    yield from _arguments(good)
    yield from _weights(good)
    yield from _pickles(good)
    yield from _archives(good)


def crafted_ckpt_training(good: GoodCkpt) -> Iterator[Damaged]:
    """What is wrong only for those who go on from it."""
    for path, value in each(TRAINER):
        yield good.edited(path, value, good.those("resume", "fit", "fit-model"))
    if "_Recorder" not in good.checkpoint["callbacks"]:
        return
    reader = ("resume",)
    for value in [*WRONG, {"rows": []}, REMOVED]:
        yield good.edited(RECORDER, value, reader)
    for value in HISTORIES:
        yield good.edited((*RECORDER, "rows"), value, reader)
    for (name,), value in each(CELLS):
        yield good.edited((*RECORDER, "rows", 0, name), value, reader)
    for value in TRAININGS:
        if value is not REMOVED:  # as in checkpoints of version 0.1.0
            yield good.edited((*RECORDER, "settings"), value, reader)


def _arguments(good: GoodCkpt) -> Iterator[Damaged]:
    hparams = good.checkpoint["hyper_parameters"]
    for value in HPARAMS:
        yield good.edited(("hyper_parameters",), value)
    for value in CLASS_PATHS:
        # Where it says nothing, who names the model may say it.
        unnamed = value in (None, REMOVED)
        readers = good.those("export", "validate", "fit") if unnamed else None
        yield good.edited(("hyper_parameters", "_class_path"), value, readers)
    for name in hparams:
        for value in [*OF_A_KIND.get(name, []), *BOMBS.get(name, [])]:
            # What it does not say the data say.
            readers = good.those("export", "resume") if value is REMOVED else None
            yield good.edited(("hyper_parameters", name), value, readers)
    evil: list[Any] = [{"class_path": "evil_module.MLP"}, [{"class_path": "evil_module.MLP"}]]
    for value in [*evil, {"x": evil[0]}] if "activation" in hparams else []:
        yield good.edited(("hyper_parameters", "activation"), value)
    yield good.edited(("hyper_parameters", "init_args.activation.class_path"), "evil_module.MLP")
    laughs: Any = [8]
    for _ in range(12):
        laughs = [laughs] * 10
    for name in ("hidden_features", "vocab_size"):
        if name in hparams:
            content = partial(good.changed, ("hyper_parameters", name), laughs)
            yield good.damaged(f"hyper_parameters.{name}: 10¹² numbers by twelve names", content)
    instantiator = ("hyper_parameters", "_instantiator")
    yield good.edited(instantiator, "evil_module.instantiate", allowed=Allowed.the_same)
    if "vocabulary" in good.checkpoint:
        for path, value in each(VOCABULARIES):
            if (path, value) != ((), REMOVED):  # which only a writer of text needs
                yield good.edited(("vocabulary", *path), value, good.those("export", "generate-torch"))


def _weights(good: GoodCkpt) -> Iterator[Damaged]:
    state = good.checkpoint["state_dict"]
    weight = max(state, key=lambda name: int(state[name].numel()))
    tensor = state[weight]
    for value in [*WRONG, REMOVED, {5: tensor}, {weight: tensor}, list(state.items())]:
        yield good.edited(("state_dict",), value)
    others: dict[str, Any] = {
        "text": "x",
        "a list": tensor.tolist(),
        "nothing": None,
        "bool": tensor > 0,
        "complex": tensor.to(torch.complex64),
        "expanded": torch.zeros(1).expand(10**5, 10**5),
        "expanded, of its shape but for a row": torch.zeros(1).expand(len(tensor) + 1, *tensor.shape[1:]),
        "transposed": tensor.t().contiguous(),
        "a row short": tensor[1:].clone(),
        "empty": tensor[:0].clone(),
        "sparse": tensor.to_sparse(),
        "on the meta device": torch.empty_like(tensor, device="meta"),
        "float8": tensor.to(torch.float8_e4m3fn),
    }
    for name, value in others.items():
        content = partial(good.changed, ("state_dict", weight), value)
        yield good.damaged(f"a weight: {name}", content)
    for dtype in (torch.int64, torch.int8, torch.bool, torch.complex64, torch.complex128):
        cast = OrderedDict((name, value.to(dtype)) for name, value in state.items())
        yield good.damaged(f"weights of {dtype}", saved(good.checkpoint | {"state_dict": cast}))
    nans = saved(changed(good.checkpoint, ("state_dict", weight), torch.full_like(tensor, math.nan)))
    yield good.damaged("nan for weights", nans, allowed=Allowed.anything)
    record = {"data/0": bytes(64)}
    described = {
        "10 billion numbers by a stride of 0": Tensor(Storage("0", 16), (10**5, 10**5), (0, 0)),
        "more than its record has": Tensor(Storage("0", 10**9), (10**9,), (1,)),
        "a little more than its record has": Tensor(Storage("0", 17), (17,), (1,)),
        "beyond its storage": Tensor(Storage("0", 16), (10**6,), (1,)),
        "before its storage": Tensor(Storage("0", 16), (4,), (1,), -8),
        "of a negative stride": Tensor(Storage("0", 16), (4,), (-1,)),
        "of a negative size": Tensor(Storage("0", 16), (-4,), (1,)),
        "of a negative storage": Tensor(Storage("0", -16), (4,), (1,)),
        "of text for a shape": Tensor(Storage("0", 16), ("4",), (1,)),
        "of a huge size": Tensor(Storage("0", 16), (2**62, 2**62), (0, 0)),
        "of a record that is not there": Tensor(Storage("7", 16), (16,), (1,)),
        "of a record elsewhere": Tensor(Storage("../../x", 16), (16,), (1,)),
        "of no kind of storage": Tensor(Storage("0", 16, torch.nn.Linear), (16,), (1,)),
        "of os": Tensor(Storage("0", 16, os.system), (16,), (1,)),
    }
    hparams = good.checkpoint["hyper_parameters"]
    for name, value in described.items():
        data = pickled({"hyper_parameters": hparams, "state_dict": {weight: value}})
        yield good.damaged(f"a tensor {name}", around(data, record))


def _pickles(good: GoodCkpt) -> Iterator[Damaged]:
    """A pickle that runs something, in the archive and on its own; and one that no machine can read."""
    records = records_of(good.content)
    for name, call in CALLS.items():
        content = call.replace(b"%s", MARKER.encode())
        inner = (
            b"\x80\x02}(X\x10\x00\x00\x00hyper_parameters" + content[:-1] + b"X\x0a\x00\x00\x00state_dict}u."
        )
        yield good.damaged(f"calls {name}", archive(records | {"data.pkl": content}))
        yield good.damaged(f"calls {name} for arguments", archive(records | {"data.pkl": inner}))
        yield good.damaged(f"calls {name}, no archive", content)
    for name, content in PICKLES.items():
        yield good.damaged(f"a pickle {name}", archive(records | {"data.pkl": content}))
    legacy = io.BytesIO()
    torch.save(good.checkpoint, legacy, _use_new_zipfile_serialization=False)
    yield good.damaged("as torch wrote before 1.6", legacy.getvalue())


def _archives(good: GoodCkpt) -> Iterator[Damaged]:
    records = records_of(good.content)
    deflated = archive(records, zipfile.ZIP_DEFLATED)
    yield good.damaged("deflated", deflated, allowed=Allowed.the_same)
    yield good.damaged("a deflated bomb and nothing else", partial(bomb_archive, {}, "junk"))
    for name in ("data.pkl", "data/0", "junk"):
        yield good.damaged(f"a deflated bomb for {name}", partial(bomb_archive, records, name))
    for missing in ("data.pkl", "data/0"):
        rest = {name: content for name, content in records.items() if name != missing}
        yield good.damaged(f"no {missing}", archive(rest))
    for name in ("../evil", "../../evil", "a\nb", "x" * 60_000, "C:\\evil", "\x1b[31m"):
        yield good.damaged(
            f"a record {shown(name)}", archive({name: b"x", **records}), allowed=Allowed.the_same
        )
    others = {
        "version": b"999999\n",
        "byteorder": b"middle",
        "constants.pkl": b"\x80\x02).",
        "code/x.py": b"x",
    }
    for name, text in others.items():
        yield good.damaged(
            f"{name}: {shown(text)}", archive(records | {name: text}), allowed=Allowed.the_same
        )
    yield good.damaged("an empty archive", archive({}))
    yield good.damaged("two archives", good.content + good.content, allowed=Allowed.the_same)
    yield good.damaged("an archive after text", b"#!/bin/sh\n" * 100 + good.content, allowed=Allowed.the_same)
    short = archive(records | {"data/0": records["data/0"][:-4]})
    yield good.damaged("a record that is short", short)
    at = good.content.index(b"PK\x01\x02") + 8
    encrypted = good.content[:at] + b"\x01" + good.content[at + 1 :]
    yield good.damaged("a record that is encrypted", encrypted)
    unknown = good.content[: at + 2] + b"\x63" + good.content[at + 3 :]
    yield good.damaged("a record compressed in no known way", unknown)
