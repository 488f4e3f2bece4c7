"""Downloads from servers that mean ill, and after kills: the published bytes, by https, and no leftovers."""

from __future__ import annotations

import gzip
import os
import time
from typing import TYPE_CHECKING

import pytest

from gdl_numpy.data import DATASETS, DataError
from gdl_numpy.data.sets.archive import Folder
from gdl_numpy.data.sets.download import TIMEOUTS, download
from gdl_numpy.files import remove_leftovers
from parity_tests.support import CONTENT, DOWNLOAD, Mirror, data_file, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PUBLISHED = gzip.compress(CONTENT, mtime=0)


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    with serving(monkeypatch) as mirror:
        mirror.files["a.gz"] = PUBLISHED
        yield mirror


def files_under(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


def refusal(root: Path, *urls: str) -> str:
    """What is said of a file that no mirror gives: one line, and nothing of it is left."""
    with pytest.raises(DataError) as refused:
        download([data_file("a.gz", urls=urls)], root)
    message = str(refused.value)
    assert "\n" not in message
    assert files_under(root) == []
    return message.partition(": try again")[0]


def test_every_published_file_is_had_by_https_and_of_a_known_size() -> None:
    found = {
        file.archive if isinstance(file, Folder) else file
        for source in DATASETS.values()
        for file in source.files
    }
    assert len(found) > 40
    nowhere = {file.dataset for file in found if not file.urls}
    assert nowhere == {"spam", "spam_enron"}
    for file in found:
        if file.dataset in nowhere:
            continue
        assert all(url.startswith("https://") for url in file.urls)
        assert file.published_size > 0


@pytest.mark.parametrize("scheme", ["http", "HTTP", "ftp", "file"])
def test_other_schemes_are_not_even_asked(scheme: str, mirror: Mirror, tmp_path: Path) -> None:
    """What anybody on the way may change; localhost is another address than the one that tests allow."""
    url = mirror.url.replace("http://127.0.0.1", f"{scheme}://localhost") + "a.gz"
    assert "not by https" in refusal(tmp_path, url)
    assert mirror.requests == []


def test_a_redirect_out_of_https_is_not_followed(mirror: Mirror, tmp_path: Path) -> None:
    """Within what is allowed, redirects are followed."""
    mirror.redirects["out"] = mirror.url.replace("127.0.0.1", "localhost") + "a.gz"
    mirror.redirects["within"] = mirror.url + "a.gz"
    assert "not by https" in refusal(tmp_path, mirror.url + "out")
    assert mirror.requests == ["out"]
    download([data_file("a.gz", urls=(mirror.url + "within",))], tmp_path)
    assert files_under(tmp_path) == ["sample/a.gz"]


def test_redirects_in_a_circle_are_one_line(mirror: Mirror, tmp_path: Path) -> None:
    mirror.redirects["round"] = mirror.url + "round"
    assert "TooManyRedirects" in refusal(tmp_path, mirror.url + "round")


def test_a_server_that_sends_too_much_is_cut_off(
    mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the published size: of a stream without end nothing more is read, or written to the disk."""
    pieces = 0

    def endless(url: str) -> Iterator[bytes]:
        nonlocal pieces
        yield PUBLISHED
        while pieces < 1000:
            pieces += 1
            yield bytes(1000)

    mirror.files["a.gz"] = PUBLISHED + b"x"
    assert f"more than the {len(PUBLISHED)} bytes" in refusal(tmp_path, mirror.url + "a.gz")
    monkeypatch.setattr(DOWNLOAD, "_pieces", endless)
    assert f"more than the {len(PUBLISHED)} bytes" in refusal(tmp_path, mirror.url + "a.gz")
    assert pieces == 1


@pytest.mark.parametrize("length", ["-1", "many", "", "1e9"])
def test_a_content_length_that_is_no_length_is_not_believed(
    length: str, mirror: Mirror, tmp_path: Path
) -> None:
    """What counts is what comes."""
    mirror.lengths["a.gz"] = length
    file = data_file("a.gz", urls=(mirror.url + "a.gz",))
    download([file], tmp_path)
    assert file.state(tmp_path) == "good"


@pytest.mark.parametrize("length", ["5", "5, 6", str(len(PUBLISHED) + 1), "9" * 30])
def test_a_content_length_that_is_another_is_one_line(length: str, mirror: Mirror, tmp_path: Path) -> None:
    mirror.lengths["a.gz"] = length
    assert "cannot download sample/a.gz (127.0.0.1:" in refusal(tmp_path, mirror.url + "a.gz")


def test_leftovers_of_killed_downloads_go_with_the_next(mirror: Mirror, tmp_path: Path) -> None:
    """Those of the same file alone, and not those that another process may be writing just now."""
    folder = tmp_path / "sample"
    folder.mkdir()
    names = [".a-0123abcd.gz", ".a-0123abcd.txt", ".b-0123abcd.gz", ".a-notes.gz", "a-0123abcd.gz"]
    for name in [*names, ".a-ffffffff.gz"]:
        (folder / name).write_bytes(b"half a file")
    before = time.time() - sum(TIMEOUTS) - 1
    for name in names:
        os.utime(folder / name, (before, before))
    download([data_file("a.gz", urls=(mirror.url + "a.gz",))], tmp_path)
    assert files_under(folder) == sorted(["a.gz", ".a-ffffffff.gz", *names[1:]])


def test_names_with_brackets_are_no_patterns(tmp_path: Path) -> None:
    """And without a folder there is nothing to remove."""
    remove_leftovers(tmp_path / "none" / "a.gz", 0)
    for name in (".[ab]-0123abcd.gz", ".a-0123abcd.gz"):
        (tmp_path / name).write_bytes(b"")
        os.utime(tmp_path / name, (0, 0))
    remove_leftovers(tmp_path / "[ab].gz", 0)
    assert files_under(tmp_path) == [".a-0123abcd.gz"]
