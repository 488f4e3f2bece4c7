"""Where a data set comes from: its files, what they must contain, and how they are read."""

from __future__ import annotations

import gzip
import hashlib
import os
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from gdl_numpy.data.dataset import Dataset, ReviewDataset, SentenceDataset, TextDataset
from gdl_numpy.data.sets.state import DataError
from gdl_numpy.files import at_home

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gdl_numpy.data.sets.archive import Folder
    from gdl_numpy.data.sets.state import FileState

AnyDataset = Dataset | TextDataset | SentenceDataset | ReviewDataset


def data_root(data_dir: str | Path | None = None) -> Path:
    """Returns the folder of all data sets: `data_dir`, else `$GDL_DATA`, else the user's cache folder."""
    chosen = data_dir or os.environ.get("GDL_DATA")
    if chosen:
        return at_home(chosen)
    import pooch

    return Path(pooch.os_cache("gdl-parity"))


@dataclass(frozen=True)
class DataFile:
    """A file of a data set, as it is published, and what it must contain.

    Integrity is a matter of the content: a file unpacked, or packed again, is as good as the original.

    Attributes:
        dataset: name of the data set.
        path: where it belongs, relative to the data root. Where it ends in `.gz`, the unpacked file without
            this suffix will do as well.
        urls: where to download it, by https, in order of preference.
        published_size: bytes of the file as published.
        sha256: checksum of the file as published.
        content_size: bytes, unpacked.
        content_sha256: checksum of the unpacked bytes.
    """

    dataset: str
    path: str
    urls: tuple[str, ...]
    published_size: int
    sha256: str
    content_size: int
    content_sha256: str

    @classmethod
    def plain(cls, dataset: str, path: str, url: str, size: int, sha256: str) -> DataFile:
        """Returns a file that is published as it is, not packed."""
        return cls(dataset, path, (url,), size, sha256, size, sha256)

    def locate(self, root: Path) -> Path | None:
        """Returns the file that is there under `root`, packed or unpacked; None if none is to be seen."""
        packed = root / self.path
        places = (packed, packed.with_suffix("")) if packed.suffix == ".gz" else (packed,)
        # Path.exists would raise an error in a folder that may not be looked into.
        return next((place for place in places if os.path.exists(place)), None)  # noqa: PTH110

    def read(self, root: Path) -> bytes:
        """Returns the unpacked content of the file under `root`, after checking it.

        Raises:
            DataError: the file is missing, cannot be read, or is not what was published.
        """
        way_out = f"run `python scripts/fetch_data.py {self.dataset} --data-dir {root}`"
        path = self.locate(root)
        if path is None:
            raise DataError(f"{root / self.path} is missing: {way_out}")
        try:
            content = self._unpack(path)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise DataError(f"{path} is damaged ({error}): delete it and {way_out}") from error
        except OSError as error:
            raise DataError(f"{path} cannot be read ({error.strerror})") from error
        if hashlib.sha256(content).hexdigest() != self.content_sha256:
            raise DataError(
                f"{path} is damaged (its content is not the published one): delete it and {way_out}"
            )
        return content

    def _unpack(self, path: Path) -> bytes:
        # One byte more than there should be is enough to know that there is too much: a file made to unpack
        # to gigabytes never does.
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
            return stream.read(self.content_size + 1)

    def state(self, root: Path) -> FileState:
        """Returns whether the file under `root` is the published one."""
        if self.locate(root) is None:
            return "missing"
        try:
            self.read(root)
        except DataError:
            return "damaged"
        return "good"

    def size(self, root: Path) -> int:
        """Returns how many bytes the file under `root` has; 0 if there is none."""
        path = self.locate(root)
        return path.stat().st_size if path else 0


@dataclass(frozen=True)
class Source:
    """A data set as the table of all data sets knows it.

    Attributes:
        name: the name that `load` takes.
        title: how the names of its Lightning data modules begin: `DigitsDataModule`, `DigitsViewsDataModule`.
        about: what it is, in a line.
        kind: what `read` returns.
        read: makes the data set from the files under a data root.
        files: the files that must be there, or folders of them; none where a library carries the data.
        tasks: the parts of it that are data sets too, by what stands after its name: "7" for "babi/7".
    """

    name: str
    title: str
    about: str
    kind: type[AnyDataset]
    read: Callable[[Path], AnyDataset]
    files: tuple[DataFile | Folder, ...] = ()
    tasks: Mapping[str, Source] = field(default_factory=dict)
