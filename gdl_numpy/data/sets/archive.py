"""Data sets of many small files, which are published in one archive and used unpacked."""

from __future__ import annotations

import hashlib
import os
import tarfile
import tempfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

from gdl_numpy.data.sets.state import DataError

if TYPE_CHECKING:
    import re
    from collections.abc import Sequence

    from gdl_numpy.data.sets.state import FileState


class Entry(NamedTuple):
    """A file in a folder, as far as its folder knows it."""

    name: str
    size: int
    modified: int  # in nanoseconds


@dataclass(frozen=True)
class Archive:
    """A file in the format .tar.gz, as it is published.

    Attributes:
        dataset: name of the data set.
        path: where it belongs, relative to the data root.
        urls: where to download it, by https, in order of preference; none where nobody publishes the folders
            in their layout: then it stands for what is not to be had.
        published_size: its bytes.
        sha256: its checksum.
    """

    dataset: str
    path: str
    urls: tuple[str, ...]
    published_size: int
    sha256: str

    def is_good(self, root: Path) -> bool:
        """Returns whether the archive is there under `root`, as published."""
        try:
            with (root / self.path).open("rb") as stream:
                return hashlib.file_digest(stream, "sha256").hexdigest() == self.sha256
        except OSError:
            return False

    def unpack(self, root: Path, folders: Sequence[Folder], progress: bool = True) -> None:
        """Puts folders from the archive in their places under `root`, instead of what is there.

        Only a folder's regular files with names as they should be are taken from the archive: nothing in it
        can end up in another place. They are unpacked beside their place and moved there when all are there.

        Args:
            root: the data root, with the archive.
            folders: what to unpack.
            progress: show a progress bar, where the output is a terminal.

        Raises:
            DataError: the archive lacks something, or the folders cannot be written.
        """
        try:
            with tempfile.TemporaryDirectory(prefix=".unpacking-", dir=root) as temporary:
                self._extract(root, folders, Path(temporary), progress)
                for folder in folders:
                    if folder.state(Path(temporary)) != "good":
                        raise DataError(f"{root / self.path} lacks files of {folder.path}: delete it")
                for folder in folders:
                    place = root / folder.path
                    place.parent.mkdir(parents=True, exist_ok=True)
                    if place.exists():
                        place.rename(Path(temporary) / f"{folder.path.replace('/', '-')}-before")
                    (Path(temporary) / folder.path).rename(place)
        except (tarfile.TarError, EOFError, zlib.error) as error:
            raise DataError(f"{root / self.path} cannot be unpacked ({error}): delete it") from error
        except OSError as error:
            raise DataError(
                f"cannot unpack {self.path} under {root} ({error.strerror or error}): "
                "make room, or choose another data folder with --data-dir or GDL_DATA"
            ) from error

    def _extract(self, root: Path, folders: Sequence[Folder], to: Path, progress: bool) -> None:
        from gdl_numpy.progress import Bar

        by_path = {folder.path: folder for folder in folders}
        total = sum(folder.count for folder in folders)
        bar = Bar(desc=f"unpack {self.path}", total=total, unit="file", disable=None if progress else True)
        with tarfile.open(root / self.path, "r:gz") as archive, bar:
            for member in archive:
                path = PurePosixPath(member.name)
                folder = by_path.get(str(path.parent))
                if folder and member.isreg() and folder.name.fullmatch(path.name):
                    archive.extract(member, to, filter="data")
                    bar.update()


@dataclass(frozen=True)
class Folder:
    """A folder of a data set: a number of files with names of one pattern, unpacked from an archive.

    Attributes:
        archive: where they are published.
        path: the folder, relative to the data root; in the archive it has the same name.
        count: how many files there are.
        name: pattern of a file's whole name. Hidden files, whose names begin with a dot, do not count.
        pattern: the pattern in words, for people.
    """

    archive: Archive
    path: str
    count: int
    name: re.Pattern[str]
    pattern: str

    def locate(self, root: Path) -> Path | None:
        """Returns the folder that is there under `root`; None if there is none."""
        place = root / self.path
        # Path.exists would raise an error in a folder that may not be looked into.
        return place if os.path.exists(place) else None  # noqa: PTH110

    def entries(self, root: Path) -> list[Entry]:
        """Returns the files of the folder under `root`, in no order.

        Raises:
            DataError: the folder is missing, or does not hold what it should.
        """
        way_out = f"run `python scripts/fetch_data.py {self.archive.dataset} --data-dir {root}`"
        try:
            entries = self._scan(root)
        except FileNotFoundError as error:
            raise DataError(f"{root / self.path} is missing: {way_out}") from error
        except OSError as error:
            raise DataError(f"{root / self.path} cannot be read ({error.strerror})") from error
        problem = self._problem(entries)
        if problem:
            raise DataError(f"{root / self.path} is not as it was published ({problem}): {way_out}")
        return entries

    def state(self, root: Path) -> FileState:
        """Returns whether the folder under `root` holds the files that it should, by their names."""
        if self.locate(root) is None:
            return "missing"
        try:
            return "damaged" if self._problem(self._scan(root)) else "good"
        except OSError:
            return "damaged"

    def size(self, root: Path) -> int:
        """Returns how many bytes the files of the folder under `root` have; 0 if there is none."""
        try:
            return sum(entry.size for entry in self._scan(root))
        except OSError:
            return 0

    def _scan(self, root: Path) -> list[Entry]:
        with os.scandir(root / self.path) as found:
            visible = [(entry.name, entry.stat()) for entry in found if not entry.name.startswith(".")]
        return [Entry(name, stat.st_size, stat.st_mtime_ns) for name, stat in visible]

    def _problem(self, entries: list[Entry]) -> str | None:
        wrong = min((entry.name for entry in entries if not self.name.fullmatch(entry.name)), default=None)
        if wrong is not None:
            return f"it holds {wrong}, which is not named {self.pattern}"
        if len(entries) != self.count:
            return f"it holds {len(entries):,} files, not {self.count:,}"
        return None
