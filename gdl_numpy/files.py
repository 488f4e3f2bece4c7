"""Files that are either the old one or the new one, never half of the new one."""

from __future__ import annotations

import os
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
        OSError: the folder cannot be made or written to.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}-{secrets.token_hex(4)}{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)  # noqa: PTH105 (atomic on every system, and named so in its documentation)
    finally:
        temporary.unlink(missing_ok=True)


def save_figure(figure: Figure, path: str | Path) -> None:
    """Writes a figure in the format that the suffix says; what was at `path` stays until it is whole.

    Raises:
        OSError: the folder cannot be made or written to.
    """
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=150)
