"""Download the files of a data set, each from the first mirror that gives what was published."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from gdl_numpy.data.sets.archive import Archive, Folder
from gdl_numpy.data.sets.state import DataError
from gdl_numpy.files import remove_leftovers, replacing

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from gdl_numpy.data.sets.source import DataFile

# Seconds to wait for a mirror: to answer at all, and between two pieces of the file.
TIMEOUTS = (10, 30)
CHUNK = 1 << 16
# How the addresses begin that are asked at all, the first one and those it redirects to.
PREFIXES = ("https://",)
# Files that a message names one by one.
FEW = 4


def download(files: Sequence[DataFile | Folder], root: Path, progress: bool = True) -> None:
    """Downloads the files to their places under `root`, replacing what is there once the checksum is right.

    Args:
        files: the files, each from the first of its `urls` that gives what was published; and folders, each
            unpacked from its archive, which is downloaded unless it is there.
        root: the data root; missing folders are made.
        progress: show a progress bar for each file, where the output is a terminal.

    Raises:
        DataError: no mirror gave a file, or it cannot be written. Files downloaded before it stay.
    """
    # An archive is downloaded once for all of its folders.
    wanted = list(dict.fromkeys(file.archive if isinstance(file, Folder) else file for file in files))
    for done, file in enumerate(wanted):
        there = isinstance(file, Archive) and file.is_good(root)
        failures = [] if there else _try_mirrors(file, root / file.path, progress)
        folders = [folder for folder in files if isinstance(folder, Folder) and folder.archive == file]
        if failures:
            raise DataError(_refusal(wanted[done:], folders, failures, root))
        if isinstance(file, Archive):
            file.unpack(root, folders, progress)


def _refusal(
    wanted: Sequence[DataFile | Archive], folders: Sequence[Folder], failures: Sequence[str], root: Path
) -> str:
    """Returns the line about the first of the files wanted, which no mirror gave.

    Somebody who has a part of a data set's folders does not look for an archive: the line names the folders.
    """
    left = ", ".join(file.path for file in wanted[:FEW])
    left += f" and {len(wanted) - FEW} more" if wanted[FEW:] else ""
    faults = ", ".join(f"{folder.path} is {folder.state(root)}" for folder in folders)
    said = f"cannot download {wanted[0].path} ({'; '.join(failures)})"
    if not wanted[0].urls:
        return f"{faults}, and we {said}: get what is missing and put it under {root} in its folder"
    return (
        f"{faults + ', and we ' if faults else ''}{said}: try again with a connection, or get what is "
        f"missing elsewhere and put it under {root} {'in its folder, or ' if faults else ''}as {left}"
    )


def _try_mirrors(file: DataFile | Archive, path: Path, progress: bool) -> list[str]:
    """Returns what was wrong with each mirror; nothing if one of them gave the file."""
    import requests

    failures = [] if file.urls else ["no address gives it in this layout"]
    for url in file.urls:
        try:
            remove_leftovers(path, sum(TIMEOUTS))
            _download_from(url, path, file, progress)
        except requests.HTTPError as error:
            failures.append(f"{urlsplit(url).netloc}: {str(error).partition(' for url')[0]}")
        except requests.exceptions.InvalidSchema:
            failures.append(f"{urlsplit(url).netloc}: not by https")
        except WrongContentError as error:
            failures.append(f"{urlsplit(url).netloc}: {error}")
        except requests.RequestException as error:
            failures.append(f"{urlsplit(url).netloc}: {type(error).__name__}")
        except OSError as error:
            raise DataError(
                f"cannot write {path} ({error.strerror}): "
                "choose another data folder with --data-dir or GDL_DATA"
            ) from error
        else:
            return []
    return failures


class WrongContentError(Exception):
    """What a mirror gave is not the published file."""


def _download_from(url: str, path: Path, file: DataFile | Archive, progress: bool) -> None:
    from gdl_numpy.progress import Bar

    # disable=None: no bar where the output is not a terminal.
    bar = Bar(
        desc=path.name,
        total=file.published_size,
        unit="B",
        unit_scale=True,
        disable=None if progress else True,
    )
    digest = hashlib.sha256()
    with replacing(path) as temporary, bar, temporary.open("wb") as out:
        for piece in _pieces(url):
            bar.update(len(piece))
            if out.tell() + len(piece) > file.published_size:
                raise WrongContentError(f"more than the {file.published_size:,} bytes that were published")
            digest.update(piece)
            out.write(piece)
        if digest.hexdigest() != file.sha256:
            raise WrongContentError("not the published content")


def _pieces(url: str) -> Iterator[bytes]:
    """What is at the address, as it comes. Only `PREFIXES` have somebody to fetch them, redirects too."""
    import requests

    with requests.Session() as session:
        session.adapters.clear()
        for prefix in PREFIXES:
            session.mount(prefix, requests.adapters.HTTPAdapter())
        # Not packed for the way, since what is counted are the file's bytes.
        headers = {"Accept-Encoding": "identity"}
        with session.get(url, headers=headers, stream=True, timeout=TIMEOUTS) as response:
            response.raise_for_status()
            yield from response.iter_content(CHUNK)
