"""The files of a data set: which are good, how they get there, and what happens when they cannot."""

from __future__ import annotations

import gzip
import io
import runpy
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from gdl_numpy import data
from gdl_numpy.data.sets.download import download
from parity_tests.support import CONTENT, CONTENTS, Mirror, data_file, folders_of, packed, serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SCRIPT = Path(__file__).parent.parent / "scripts" / "fetch_data.py"


def put(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.gz", gzip.compress(CONTENT, mtime=0)),
        ("a.gz", gzip.compress(CONTENT, compresslevel=1, mtime=1234)),
        ("a", CONTENT),
    ],
    ids=["as published", "packed again", "unpacked"],
)
def test_files_are_judged_by_their_content(tmp_path: Path, name: str, content: bytes) -> None:
    path = put(tmp_path / "sample" / name, content)
    file = data_file("a.gz")
    assert file.state(tmp_path) == "good"
    assert file.locate(tmp_path) == path
    assert file.read(tmp_path) == CONTENT


def flip(content: bytes, position: int) -> bytes:
    return content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.gz", gzip.compress(CONTENT, mtime=0)[:-20]),
        ("a.gz", flip(gzip.compress(CONTENT, mtime=0), 60)),
        ("a.gz", gzip.compress(flip(CONTENT, 50), mtime=0)),
        ("a.gz", gzip.compress(CONTENT + b"more", mtime=0)),
        ("a.gz", CONTENT),
        ("a.gz", b""),
        ("a", CONTENT[:-1]),
        ("a", flip(CONTENT, 50)),
    ],
    ids=[
        "truncated",
        "bit flipped",
        "tampered and packed again",
        "too long",
        "not gzip",
        "empty",
        "plain, truncated",
        "plain, bit flipped",
    ],
)
def test_damaged_files_are_refused_with_the_way_out(tmp_path: Path, name: str, content: bytes) -> None:
    path = put(tmp_path / "sample" / name, content)
    file = data_file("a.gz")
    assert file.state(tmp_path) == "damaged"
    with pytest.raises(data.DataError) as refusal:
        file.read(tmp_path)
    message = str(refusal.value)
    assert message.startswith(f"{path} is damaged (")
    assert message.endswith(f"delete it and run `python scripts/fetch_data.py sample --data-dir {tmp_path}`")
    assert "\n" not in message


def test_a_missing_file_is_named_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(
        data.DataError, match=r"sample/a\.gz is missing: run `python scripts/fetch_data\.py sample"
    ):
        data_file("a.gz").read(tmp_path)


def test_a_file_that_unpacks_to_gigabytes_is_not_unpacked(tmp_path: Path) -> None:
    """20 MB of zeros stand for them: reading stops one byte after the published size."""
    put(tmp_path / "sample/a.gz", gzip.compress(bytes(20_000_000)))
    file = data_file("a.gz")
    assert len(file._unpack(tmp_path / file.path)) == len(CONTENT) + 1


def test_data_root_is_argument_then_environment_then_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GDL_DATA", "/from/environment")
    assert data.data_root("/from/argument") == Path("/from/argument")
    assert data.data_root() == Path("/from/environment")
    monkeypatch.delenv("GDL_DATA")
    assert data.data_root().name == "gdl-parity"


# --- downloads, against a server on this machine -----------------------------------------------------------


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    with serving(monkeypatch) as mirror:
        yield mirror


def read_sample(root: Path) -> data.Dataset:
    raise NotImplementedError("the tests below are about the files")


@pytest.fixture
def sample(mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> data.Source:
    """A data set of two files on the mirror, in the registry."""
    for name in ("a.gz", "b.gz"):
        mirror.files[name] = gzip.compress(CONTENT, mtime=0)
    files = tuple(data_file(name, urls=(mirror.url + name,)) for name in ("a.gz", "b.gz"))
    source = data.Source("sample", "Sample", "two small files", data.Dataset, read_sample, files)
    monkeypatch.setitem(data.DATASETS, "sample", source)
    return source


class Result(NamedTuple):
    """What a script left: its exit code, and what it printed."""

    exit_code: int
    stdout: str
    stderr: str


def fetch_script(*arguments: str) -> Result:
    """Runs scripts/fetch_data.py in this process, where the sample data set is known."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        exit_code = runpy.run_path(str(SCRIPT))["main"](list(arguments))
    return Result(exit_code, out.getvalue(), err.getvalue())


def files_under(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


def test_fetch_downloads_and_a_second_run_keeps(sample: data.Source, mirror: Mirror, tmp_path: Path) -> None:
    assert not data.available("sample", tmp_path)
    paths = data.fetch("sample", tmp_path)
    assert paths == [tmp_path / "sample/a.gz", tmp_path / "sample/b.gz"]
    assert [file.state(tmp_path) for file in sample.files] == ["good", "good"]
    assert data.available("sample", tmp_path)
    assert data.fetch("sample", tmp_path) == paths
    assert mirror.requests == ["a.gz", "b.gz"]
    assert files_under(tmp_path) == ["sample/a.gz", "sample/b.gz"]


@pytest.mark.usefixtures("sample")
def test_fetch_replaces_only_what_is_damaged(mirror: Mirror, tmp_path: Path) -> None:
    good = put(tmp_path / "sample/a", CONTENT)
    damaged = put(tmp_path / "sample/b.gz", b"half a file")
    assert data.fetch("sample", tmp_path) == [good, damaged]
    assert mirror.requests == ["b.gz"]
    assert damaged.read_bytes() == mirror.files["b.gz"]


@pytest.mark.usefixtures("sample")
def test_load_never_replaces_a_file_that_is_there(mirror: Mirror, tmp_path: Path) -> None:
    """What a person put there is theirs to delete; only what is missing is downloaded."""
    damaged = put(tmp_path / "sample/a.gz", b"half a file")
    with pytest.raises(NotImplementedError):
        data.load("sample", tmp_path)
    assert damaged.read_bytes() == b"half a file"
    assert mirror.requests == ["b.gz"]


@pytest.mark.usefixtures("sample")
@pytest.mark.parametrize(
    ("break_it", "reason"),
    [
        (lambda mirror: mirror.files.update({"b.gz": b"an error page"}), "not the published content"),
        (lambda mirror: mirror.cut.add("b.gz"), "ChunkedEncodingError"),
        (lambda mirror: mirror.files.pop("b.gz"), "404 Client Error: Not Found"),
    ],
    ids=["wrong checksum", "truncated", "not found"],
)
def test_a_bad_download_leaves_nothing_and_says_why(
    mirror: Mirror, tmp_path: Path, break_it: Callable[[Mirror], object], reason: str
) -> None:
    """The files before it stay, so that the next run goes on from there."""
    break_it(mirror)
    with pytest.raises(data.DataError) as refusal:
        data.fetch("sample", tmp_path)
    message = str(refusal.value)
    assert message.startswith("cannot download sample/b.gz (127.0.0.1:")
    assert reason in message
    assert "\n" not in message
    assert files_under(tmp_path) == ["sample/a.gz"]


def test_a_bad_mirror_is_passed_over(mirror: Mirror, tmp_path: Path) -> None:
    mirror.files["good/a.gz"] = gzip.compress(CONTENT, mtime=0)
    mirror.files["bad/a.gz"] = b"an error page"
    urls = tuple(mirror.url + name for name in ("gone/a.gz", "bad/a.gz", "good/a.gz"))
    download([data_file("a.gz", urls=urls)], tmp_path)
    assert mirror.requests == ["gone/a.gz", "bad/a.gz", "good/a.gz"]
    assert files_under(tmp_path) == ["sample/a.gz"]


def test_an_unreachable_mirror_says_which_files_go_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Offline, one line must be enough to do by hand what could not be downloaded."""
    with serving(monkeypatch) as closed:
        pass
    with pytest.raises(data.DataError) as refusal:
        download([data_file(name, urls=(closed.url + name,)) for name in ("a.gz", "b.gz")], tmp_path)
    message = str(refusal.value)
    assert "ConnectionError" in message
    assert message.endswith(f"put it under {tmp_path} as sample/a.gz, sample/b.gz")
    assert "\n" not in message


def test_of_many_missing_files_a_message_names_a_few(mirror: Mirror, tmp_path: Path) -> None:
    files = [data_file(f"{number}.gz", urls=(f"{mirror.url}{number}.gz",)) for number in range(40)]
    with pytest.raises(data.DataError, match=r"as sample/0\.gz, .*, sample/3\.gz and 36 more$"):
        download(files, tmp_path)


@pytest.mark.usefixtures("sample")
def test_a_folder_that_cannot_be_written_is_one_line(mirror: Mirror, tmp_path: Path) -> None:
    """Found before anything is asked of the network. A file in the way stops the superuser too."""
    blocked = put(tmp_path / "blocked", b"")
    with pytest.raises(data.DataError) as refusal:
        data.fetch("sample", blocked)
    message = str(refusal.value)
    assert message.startswith(f"cannot write {blocked / 'sample/a.gz'} (")
    assert message.endswith("choose another data folder with --data-dir or GDL_DATA")
    assert mirror.requests == []


# --- archives ----------------------------------------------------------------------------------------------


@pytest.fixture
def archived(mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> data.Source:
    """A data set of two folders, packed in one archive on the mirror, in the registry."""
    mirror.files["sample.tar.gz"] = packed(CONTENTS)
    folders = folders_of(packed(CONTENTS), mirror.url + "sample.tar.gz")
    source = data.Source("archived", "Archived", "two folders", data.Dataset, read_sample, folders)
    monkeypatch.setitem(data.DATASETS, "archived", source)
    return source


@pytest.mark.usefixtures("archived")
def test_an_archive_is_downloaded_once_for_all_its_folders(mirror: Mirror, tmp_path: Path) -> None:
    """And not again for a folder that is damaged later."""
    assert not data.available("archived", tmp_path)
    assert data.fetch("archived", tmp_path) == [tmp_path / "sample/a", tmp_path / "sample/b"]
    assert data.available("archived", tmp_path)
    kept = (tmp_path / "sample/b").stat().st_ino
    (tmp_path / "sample/a/1.txt").unlink()
    data.fetch("archived", tmp_path)
    assert files_under(tmp_path) == sorted([*CONTENTS, "sample.tar.gz"])
    assert (tmp_path / "sample/b").stat().st_ino == kept
    assert mirror.requests == ["sample.tar.gz"]


@pytest.mark.usefixtures("archived")
def test_an_archive_that_was_cut_off_is_downloaded_again(mirror: Mirror, tmp_path: Path) -> None:
    put(tmp_path / "sample.tar.gz", packed(CONTENTS)[:-9])
    data.fetch("archived", tmp_path)
    assert mirror.requests == ["sample.tar.gz"]
    assert data.available("archived", tmp_path)


@pytest.mark.usefixtures("archived")
def test_load_unpacks_only_the_folders_that_are_missing(tmp_path: Path) -> None:
    """What a person put there is theirs to delete."""
    put(tmp_path / "sample/a/notes.txt", b"mine")
    with pytest.raises(NotImplementedError):
        data.load("archived", tmp_path)
    assert files_under(tmp_path) == [
        "sample.tar.gz",
        "sample/a/notes.txt",
        "sample/b/1.txt",
        "sample/b/2.txt",
    ]


@pytest.mark.usefixtures("archived")
def test_without_its_archive_a_folder_says_what_goes_where(mirror: Mirror, tmp_path: Path) -> None:
    """Offline, putting the archive there by hand is enough."""
    mirror.files.clear()
    with pytest.raises(data.DataError) as refusal:
        data.fetch("archived", tmp_path)
    message = str(refusal.value)
    assert message.startswith(
        "sample/a is missing, sample/b is missing, and we cannot download sample.tar.gz (127.0.0.1:"
    )
    assert message.endswith(f"put it under {tmp_path} in its folder, or as sample.tar.gz")
    put(tmp_path / "sample.tar.gz", packed(CONTENTS))
    data.fetch("archived", tmp_path)
    assert data.available("archived", tmp_path)


@pytest.mark.usefixtures("archived")
@pytest.mark.parametrize(
    ("have", "load", "fault"),
    [
        (["sample/b/1.txt", "sample/b/2.txt"], data.load, "sample/a is missing"),
        (["sample/a/1.txt", "sample/a/2.txt"], data.load, "sample/b is missing"),
        (["sample/a/1.txt", "sample/b/1.txt", "sample/b/2.txt"], data.fetch, "sample/a is damaged"),
    ],
    ids=["the first", "the second", "not all files"],
)
def test_of_a_part_of_the_folders_the_message_names_the_others(
    have: list[str], load: Callable[..., object], fault: str, mirror: Mirror, tmp_path: Path
) -> None:
    """And either way out is one: the folder in its place, or the archive."""
    mirror.files.clear()
    for name in have:
        put(tmp_path / name, CONTENTS[name])
    with pytest.raises(data.DataError) as refusal:
        load("archived", tmp_path)
    message = str(refusal.value)
    assert message.startswith(f"{fault}, and we cannot download sample.tar.gz (127.0.0.1:")
    assert message.endswith(f"put it under {tmp_path} in its folder, or as sample.tar.gz")
    assert "\n" not in message
    for name in CONTENTS.keys() - {*have}:
        put(tmp_path / name, CONTENTS[name])
    assert len(data.fetch("archived", tmp_path)) == 2


@pytest.mark.usefixtures("archived")
def test_script_lists_folders_by_their_size(tmp_path: Path) -> None:
    result = fetch_script("archived", "--data-dir", str(tmp_path))
    assert result.exit_code == 0
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in result.stdout.splitlines()]
    assert [row for row in rows if row and row[0] == "archived"] == [
        ["archived", "sample/a", "6", "good"],
        ["archived", "sample/b", "5", "good"],
    ]


# --- the script --------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("sample")
def test_script_fetches_and_says_what_is_where(tmp_path: Path) -> None:
    result = fetch_script("sample", "--data-dir", str(tmp_path))
    assert result.exit_code == 0
    assert f"data in {tmp_path}" in result.stdout
    assert result.stdout.count("good") == 2
    assert "sample/b.gz" in result.stdout


@pytest.mark.usefixtures("sample")
def test_script_without_names_lists_and_downloads_nothing(mirror: Mirror, tmp_path: Path) -> None:
    put(tmp_path / "sample/a.gz", b"half a file")
    result = fetch_script("--data-dir", str(tmp_path))
    assert result.exit_code == 0
    states = {
        line.split("│")[2].strip(): line.split("│")[4].strip() for line in result.stdout.splitlines()[4:-1]
    }
    assert states["sample/a.gz"] == "damaged"
    assert states["sample/b.gz"] == "missing"
    assert "always there" in states.values()
    assert mirror.requests == []


def test_script_counts_many_files_and_names_the_odd_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Forty lines that say "missing" would hide the one file that is damaged."""
    monkeypatch.setenv("COLUMNS", "200")
    put(tmp_path / "tasksv11/en/qa7_counting_test.txt", b"half a file")
    result = fetch_script("--data-dir", str(tmp_path))
    assert result.exit_code == 0
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in result.stdout.splitlines()]
    assert [row[1:] for row in rows if row and row[0] == "babi"] == [
        ["tasksv11/en: 39 files", "", "missing"],
        ["tasksv11/en/qa7_counting_test.txt", "11", "damaged"],
    ]


@pytest.mark.usefixtures("sample")
def test_script_reports_failure_in_one_line(mirror: Mirror, tmp_path: Path) -> None:
    mirror.files.clear()
    result = fetch_script("sample", "--data-dir", str(tmp_path))
    assert result.exit_code == 1
    assert result.stderr.startswith("fetch_data.py: cannot download sample/a.gz (127.0.0.1:")
    assert len(result.stderr.splitlines()) == 1
    assert "missing" in result.stdout


def test_script_refuses_an_unknown_name() -> None:
    result = fetch_script("mnst")
    assert result.exit_code == 2
    assert result.stderr.startswith("fetch_data.py: unknown data set 'mnst': did you mean 'mnist'? (known: ")
    assert len(result.stderr.splitlines()) == 1
    assert result.stdout == ""
