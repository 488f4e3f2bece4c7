"""A web server on this machine, for downloads, and a small file that it may have."""

from __future__ import annotations

import functools
import gzip
import hashlib
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from typing import TYPE_CHECKING

from gdl_numpy.data.sets.source import DataFile

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

CONTENT = bytes(range(256))
DOWNLOAD = import_module("gdl_numpy.data.sets.download")  # where a function of this name is at hand, too


def data_file(name: str, urls: tuple[str, ...] = (), content: bytes = CONTENT) -> DataFile:
    published = gzip.compress(content, mtime=0)
    return DataFile(
        dataset="sample",
        path=f"sample/{name}",
        urls=urls,
        published_size=len(published),
        sha256=hashlib.sha256(published).hexdigest(),
        content_size=len(content),
        content_sha256=hashlib.sha256(content).hexdigest(),
    )


@dataclass
class Mirror:
    """A web server's content, its address, and the requests it got."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    cut: set[str] = field(default_factory=set)  # files whose connection breaks half-way
    lengths: dict[str, str] = field(default_factory=dict)  # what Content-Length says instead of the length
    redirects: dict[str, str] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)


class MirrorHandler(BaseHTTPRequestHandler):
    def __init__(self, mirror: Mirror, *args: object) -> None:
        self.mirror = mirror
        super().__init__(*args)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        name = self.path.removeprefix("/")
        self.mirror.requests.append(name)
        if name in self.mirror.redirects:
            self.send_response(302)
            self.send_header("Location", self.mirror.redirects[name])
            self.end_headers()
            return
        content = self.mirror.files.get(name)
        if content is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", self.mirror.lengths.get(name, str(len(content))))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if name in self.mirror.cut else content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class's name)
        pass


@contextmanager
def serving(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    """A mirror that is asked in spite of its http: it alone, by its address, in this test alone."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    mirror = Mirror()
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(MirrorHandler, mirror)) as server:
        mirror.url = f"http://127.0.0.1:{server.server_port}/"
        monkeypatch.setattr(DOWNLOAD, "PREFIXES", (*DOWNLOAD.PREFIXES, mirror.url))
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield mirror
        server.shutdown()
        thread.join()
