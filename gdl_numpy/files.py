"""Files that are either the old one or the new one, never half of the new one."""

from __future__ import annotations

import errno
import os
import re
import secrets
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.figure import Figure


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Gives a temporary name beside `path` to write to; at the end, rename it to `path`.

    An exception (or a full disk) inside the block leaves what was at `path` untouched, and no temporary file.
    The temporary name keeps the suffix, since many writers choose their format by it. Missing folders are
    made.

    Raises:
        OSError: the folder cannot be made or written to, or the disk is full; it names `path`.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:  # so it calls a file where the folder should be
        raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path)) from error
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


def leftovers(path: Path) -> list[Path]:
    """The temporary files of `replacing(path)` that processes which were killed have left."""
    name = re.compile(rf"\.{re.escape(path.stem)}-[0-9a-f]{{8}}{re.escape(path.suffix)}")
    return [file for file in path.parent.iterdir() if name.fullmatch(file.name)]


def save_figure(figure: Figure, path: str | Path) -> None:
    """Writes a figure in the format that the suffix says; what was at `path` stays until it is whole.

    Raises:
        OSError: the folder cannot be made or written to.
    """
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=150)
