"""The data sets, by name: `load`, `fetch`, `available`.

A new data set is a file here, with its `SOURCES`, and a line in `FILES`.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from gdl_numpy.data.sets.download import download
from gdl_numpy.data.sets.source import Source, data_root
from gdl_numpy.data.sets.text_file import read_text_file
from gdl_numpy.lookup import lookup

FILES = (
    "digits",
    "mnist",
    "python_docs",
    "shakespeare",
    "babi",
    "imdb",
    "spam",
    "python_docs_topics",
)
DATASETS: dict[str, Source] = {
    source.name: source for file in FILES for source in import_module(f"{__name__}.{file}").SOURCES
}


def find(name: str) -> Source:
    """Returns the entry of `DATASETS` called `name`, in upper or lower case, or a task of one: "babi/7".

    Raises:
        ValueError: there is no such data set, or no such task.
    """
    name, slash, task = name.partition("/")
    source = lookup("data set", name, DATASETS)
    if not slash:
        return source
    if not source.tasks:
        raise ValueError(f"{source.name} has no tasks: leave out /{task}")
    if task not in source.tasks:
        first, *_, last = source.tasks
        raise ValueError(f"{source.name}: task must be from {first} to {last}, got {task or 'none'}")
    return source.tasks[task]


def load(name: str, data_dir: str | Path | None = None) -> Any:
    """Returns the data set called `name`: a `Dataset`, `TextDataset`, … as the `kind` of its `Source` says.

    Files that are there are used as they are, after a check of their content; what is missing is downloaded.

    Args:
        name: what `find` takes.
        data_dir: folder of all data sets; see `data_root`.

    Raises:
        ValueError: there is no such data set.
        DataError: a file is damaged, or is missing and cannot be downloaded.
    """
    source, root = find(name), data_root(data_dir)
    download([file for file in source.files if file.locate(root) is None], root)
    return source.read(root)


def load_or_read(name: str, data_dir: str | Path | None = None) -> Any:
    """Returns the data set called `name`, or the text in the file of that name.

    A file is meant by how it is written, with a folder or a suffix, or because there is one. Before a data
    set's name, a file of the same name is written with its folder: ./digits.

    Args:
        name: what `find` takes, or a path.
        data_dir: folder of all data sets; see `data_root`.

    Raises:
        ValueError: there is neither, or what is in the file is no text to learn from.
        DataError: a file of the data set is damaged, or is missing and cannot be downloaded.
    """
    path, (start, _, task) = Path(name), name.casefold().partition("/")
    is_data_set = start in DATASETS and (not task or task.isdecimal())
    if not is_data_set and (path.name != name or path.suffix or path.exists()):
        return read_text_file(path)
    return load(name, data_dir)


def fetch(name: str, data_dir: str | Path | None = None, progress: bool = True) -> list[Path]:
    """Makes every file of a data set be there and be right; returns where they are.

    Good files are kept, so a second run goes on where the first was interrupted. Damaged ones are replaced.

    Args:
        name: what `find` takes.
        data_dir: folder of all data sets; see `data_root`.
        progress: show a progress bar for each download, where the output is a terminal.

    Raises:
        ValueError: there is no such data set.
        DataError: a file cannot be downloaded or written.
    """
    source, root = find(name), data_root(data_dir)
    download([file for file in source.files if file.state(root) != "good"], root, progress)
    return [path for file in source.files if (path := file.locate(root))]


def available(name: str, data_dir: str | Path | None = None) -> bool:
    """Returns whether all files of a data set are there, so that `load` downloads nothing.

    Raises:
        ValueError: there is no such data set.
    """
    root = data_root(data_dir)
    return all(file.locate(root) is not None for file in find(name).files)
