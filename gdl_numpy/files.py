"""Files that are either the old one or the new one, never half of the new one."""

from __future__ import annotations

import errno
import json
import os
import re
import secrets
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from gdl_numpy.messages import reason_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


MARK = "gdl-parity"  # in pictures that are written here,
MARKED_BY = {".png": "Software", ".svg": "Creator", ".pdf": "Creator"}  # under what their formats provide
ABANDONED = 3600.0  # seconds after which a temporary file has nobody any more who writes to it


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Gives a temporary name beside `path` to write to; at the end, rename it to `path`.

    An exception (or a full disk) inside the block leaves what was at `path` untouched, and no temporary file.
    The temporary name keeps the suffix, since many writers choose their format by it. Missing folders are
    made, and temporary files of the same name that killed processes left long ago removed.

    Raises:
        OSError: the folder cannot be made or written to, or the disk is full; it names `path`.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:  # so it calls a file where the folder should be
        raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path)) from error
    with suppress(OSError):
        remove_leftovers(path, ABANDONED)
    temporary = path.with_name(f".{path.stem}-{secrets.token_hex(4)}{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)  # noqa: PTH105 (atomic on every system, and named so in its documentation)
    except OSError as error:
        if error.errno is None or error.filename not in (None, str(temporary)):
            raise  # not of this file
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        temporary.unlink(missing_ok=True)


@runtime_checkable
class Drawing(Protocol):
    """What draws itself into a file: a figure of matplotlib, or a picture of Graphviz."""

    @property
    def savefig(self) -> Callable[..., Any]:
        """Takes the file, `dpi`, and `metadata` to be written into it."""


def save_figure(figure: Drawing, path: str | Path, *, replace: bool = False) -> None:
    """Writes a figure in the format that the suffix says; what was at `path` stays until it is whole.

    Args:
        figure: of matplotlib, or of `gdl_numpy.network_picture`.
        path: the file.
        replace: whatever is there; without it, only a picture that was written here, which carries a mark.

    Raises:
        OSError: the folder cannot be made or written to.
        ValueError: a file is there that is no such picture.
    """
    path = Path(path)
    if path.exists() and not replace and MARK.encode() not in path.read_bytes():
        raise ValueError("what is there is no picture of this program: move it, or choose another place")
    key = MARKED_BY.get(path.suffix.lower())
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=150, metadata={key: MARK} if key else None)


def remove_leftovers(path: str | Path, quiet: float = 0) -> None:
    """Removes what `replacing(path)` left in processes that were killed.

    Args:
        path: the file that was to be written.
        quiet: seconds; what was written to in this time is let be, since its writer may be alive.

    Raises:
        OSError: one cannot be removed.
    """
    path = Path(path)
    name = re.compile(rf"\.{re.escape(path.stem)}-[0-9a-f]{{8}}{re.escape(path.suffix)}")
    for other in path.parent.iterdir() if path.parent.is_dir() else ():
        with suppress(FileNotFoundError):  # another process may be done with it, or as tidy as this one
            if name.fullmatch(other.name) and time.time() - other.stat().st_mtime >= quiet:
                other.unlink()


@contextmanager
def naming(path: str | Path) -> Iterator[None]:
    """Within, a file is written: whatever goes wrong becomes a line that names it.

    Raises:
        ValueError: it cannot be written, or not what it was to hold.
    """
    try:
        yield
    except OSError as error:
        raise ValueError(f"cannot write {path} ({error.strerror or error})") from error
    except (ValueError, RuntimeError, MemoryError) as error:  # what drawing may end in
        raise ValueError(f"cannot write {path} ({reason_of(error)})") from error


def write_json(path: str | Path, content: Any) -> None:
    """Writes JSON; what was at `path` stays until it is whole.

    Raises:
        ValueError: it cannot be written; the message names the file.
    """
    with naming(path), replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n")


def check_link(option: str, path: Path | None) -> None:
    """Refuses a link to nowhere, of which the system says that it exists, and that it does not.

    Raises:
        ValueError: it is one; or one is among the folders that it is in.
    """
    for place in () if path is None else (path, *path.parents):
        if place.is_symlink() and not place.exists():
            target = place.readlink()
            raise ValueError(
                f"{place} is a link to {target}, which does not exist: make that folder, or choose another "
                f"with {option}"
            )


def check_folder(option: str, folder: Path | None) -> None:
    """Makes a folder for results, before the work that they are the results of.

    Args:
        option: of the command line, which named it.
        folder: where files are to be written; None for nowhere.

    Raises:
        ValueError: no file can be written there.
    """
    check_link(option, folder)
    if folder is not None:
        with _refusing(option, folder):
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass


def check_file(option: str, path: Path | None) -> None:
    """The same for a file that is to be written in the end; what is there stays as it is."""
    if path is not None:
        check_link(option, path.parent)
        with _refusing(option, path):
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            # With a name as long as that which `replacing` gives.
            with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.stem}-", suffix=path.suffix):
                pass


def check_json(path: Path | None) -> None:
    """The same for --json; where something else than JSON is there, another file was meant."""
    check_file("--json", path)
    if path is not None and path.is_file():
        try:
            json.loads(path.read_bytes() or "null")
        except (ValueError, RecursionError):
            raise ValueError(f"{path} is there, and is no JSON: choose another with --json") from None


@contextmanager
def _refusing(option: str, path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = "Not a directory" if isinstance(error, FileExistsError) else error.strerror
        raise ValueError(f"cannot write to {path} ({reason}): choose another with {option}") from error


def at_home(path: str | Path) -> Path:
    """The path, in the user's home folder where it begins with "~/"; "~notes.txt" of no user is a file."""
    try:
        return Path(path).expanduser()
    except RuntimeError:  # no user of that name
        return Path(path)
