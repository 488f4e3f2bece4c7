"""An archive as it is published, with the folders that a data set takes from it."""

from __future__ import annotations

import hashlib
import io
import re
import tarfile

from gdl_numpy.data.sets.archive import Archive, Folder

CONTENTS = {
    "sample/a/1.txt": b"one",
    "sample/a/2.txt": b"two",
    "sample/b/1.txt": b"b one",
    "sample/b/2.txt": b"",
}


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


def packed(contents: dict[str, bytes], others: tuple[tarfile.TarInfo, ...] = ()) -> bytes:
    """A tar.gz of these files, and before them of some members without content."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for info in others:
            archive.addfile(info)
        for name, content in contents.items():
            info = member(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def folders_of(content: bytes, url: str = "http://localhost:0/sample.tar.gz") -> tuple[Folder, ...]:
    archive = Archive("sample", "sample.tar.gz", (url,), len(content), hashlib.sha256(content).hexdigest())
    return tuple(
        Folder(archive, f"sample/{name}", 2, re.compile(r"\d\.txt"), "NUMBER.txt") for name in ("a", "b")
    )
