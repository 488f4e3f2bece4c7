"""Folders from an archive: all that was published, in its place, and nothing in any other place."""

from __future__ import annotations

import tarfile
from typing import TYPE_CHECKING

import pytest

from gdl_numpy import data
from gdl_numpy.data.sets.archive import Folder
from parity_tests.support import CONTENTS, folders_of, member, packed

if TYPE_CHECKING:
    from pathlib import Path


def put_archive(root: Path, content: bytes) -> tuple[Folder, ...]:
    (root / "sample.tar.gz").write_bytes(content)
    return folders_of(content)


def files_under(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and path.name != "sample.tar.gz"
    }


def test_folders_are_unpacked_whole(tmp_path: Path) -> None:
    """Without what else is in the archive; a second folder can follow later."""
    a, b = put_archive(tmp_path, packed(CONTENTS | {"sample/README": b"x", "sample/c/1.txt": b"x"}))
    assert [folder.state(tmp_path) for folder in (a, b)] == ["missing", "missing"]
    assert a.size(tmp_path) == 0
    a.archive.unpack(tmp_path, [a])
    assert [folder.state(tmp_path) for folder in (a, b)] == ["good", "missing"]
    a.archive.unpack(tmp_path, [b])
    assert files_under(tmp_path) == CONTENTS
    assert [(entry.name, entry.size) for entry in sorted(a.entries(tmp_path))] == [("1.txt", 3), ("2.txt", 3)]
    assert b.size(tmp_path) == 5


@pytest.mark.parametrize(
    "hostile",
    [
        member("../outside.txt"),
        member("sample/a/../../outside.txt"),
        member("sample/a/../3.txt"),
        member("/tmp/outside-of-gdl.txt"),
        member("sample/a/3.txt", tarfile.SYMTYPE, "/etc/passwd"),
        member("sample/a/3.txt", tarfile.LNKTYPE, "sample/a/1.txt"),
        member("sample/a", tarfile.SYMTYPE, "../.."),
        member("sample", tarfile.SYMTYPE, "/"),
        member("sample/a/3.txt", tarfile.CHRTYPE),
        member("sample/a/3.txt", tarfile.FIFOTYPE),
        member("sample/a/3.txt", tarfile.DIRTYPE),
        member("sample/a/..txt"),
    ],
    ids=lambda info: f"{info.name} {info.type.decode()}",
)
def test_nothing_hostile_leaves_an_archive(hostile: tarfile.TarInfo, tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    folders = put_archive(root, packed(CONTENTS, (hostile,)))
    folders[0].archive.unpack(root, folders)
    assert files_under(tmp_path) == {f"root/{name}": content for name, content in CONTENTS.items()}
    assert not any(path.is_symlink() for path in tmp_path.rglob("*"))
    assert sorted(path.name for path in root.iterdir()) == ["sample", "sample.tar.gz"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (packed({"sample/a/1.txt": b"one"}), "sample.tar.gz lacks files of sample/a"),
        (packed(CONTENTS)[:-30], "sample.tar.gz cannot be unpacked"),
        (b"no archive", "sample.tar.gz cannot be unpacked"),
        (packed(CONTENTS)[:20] + bytes(100), "sample.tar.gz cannot be unpacked"),
    ],
    ids=["incomplete", "truncated", "no archive", "garbled"],
)
def test_a_bad_archive_replaces_nothing(content: bytes, message: str, tmp_path: Path) -> None:
    """Whatever its checksum says: what is there stays, and nothing half unpacked is left."""
    folders = put_archive(tmp_path, content)
    (tmp_path / "sample/a").mkdir(parents=True)
    (tmp_path / "sample/a/mine.txt").write_bytes(b"mine")
    with pytest.raises(data.DataError, match=message) as refusal:
        folders[0].archive.unpack(tmp_path, folders)
    assert "\n" not in str(refusal.value)
    assert files_under(tmp_path) == {"sample/a/mine.txt": b"mine"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["sample", "sample.tar.gz"]


def test_a_damaged_folder_is_replaced_whole(tmp_path: Path) -> None:
    folders = put_archive(tmp_path, packed(CONTENTS))
    (tmp_path / "sample/a").mkdir(parents=True)
    (tmp_path / "sample/a/1.txt").write_bytes(b"old")
    assert folders[0].state(tmp_path) == "damaged"
    folders[0].archive.unpack(tmp_path, folders)
    assert files_under(tmp_path) == CONTENTS


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    """A file in the way of the folder stops the superuser too."""
    folders = put_archive(tmp_path, packed(CONTENTS))
    (tmp_path / "sample").write_bytes(b"")
    with pytest.raises(
        data.DataError, match=r"cannot unpack sample\.tar\.gz under .*choose another"
    ) as refusal:
        folders[0].archive.unpack(tmp_path, folders)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        (["1.txt"], "it holds 1 files, not 2"),
        (["1.txt", "2.txt", "3.txt"], "it holds 3 files, not 2"),
        (["1.txt", "two.txt"], r"it holds two\.txt, which is not named NUMBER\.txt"),
    ],
)
def test_a_folder_with_other_files_is_refused(names: list[str], problem: str, tmp_path: Path) -> None:
    folder = folders_of(b"")[0]
    with pytest.raises(
        data.DataError, match=r"sample/a is missing: run `python scripts/fetch_data\.py sample"
    ):
        folder.entries(tmp_path)
    (tmp_path / "sample/a").mkdir(parents=True)
    for name in names:
        (tmp_path / "sample/a" / name).touch()
    assert folder.state(tmp_path) == "damaged"
    with pytest.raises(data.DataError, match=rf"sample/a is not as it was published \({problem}\): run "):
        folder.entries(tmp_path)


def test_hidden_files_do_not_count(tmp_path: Path) -> None:
    """Some systems leave them in every folder that was ever looked at."""
    folder = folders_of(b"")[0]
    (tmp_path / "sample/a").mkdir(parents=True)
    for name in ("1.txt", "2.txt", ".DS_Store"):
        (tmp_path / "sample/a" / name).touch()
    assert folder.state(tmp_path) == "good"


def test_a_file_in_a_folders_place_is_refused(tmp_path: Path) -> None:
    folder = folders_of(b"")[0]
    (tmp_path / "sample").mkdir()
    (tmp_path / "sample/a").touch()
    assert folder.state(tmp_path) == "damaged"
    assert folder.size(tmp_path) == 0
    with pytest.raises(data.DataError, match=r"sample/a cannot be read \(Not a directory\)"):
        folder.entries(tmp_path)
