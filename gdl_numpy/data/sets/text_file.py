"""Any text of one's own: a file of UTF-8."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gdl_numpy.data.dataset import TextDataset
from gdl_numpy.data.sets.state import DataError
from gdl_numpy.files import at_home

if TYPE_CHECKING:
    from pathlib import Path

# With less, one of the parts of 5 % would be empty.
SHORTEST = 20


def read_text_file(path: str | Path) -> TextDataset:
    """Returns the text of a file, cut into training, validation and test as the texts of the registry are.

    Its characters are kept as they are, its line ends too; only a byte order mark in front is left out.

    Args:
        path: the file, of text in UTF-8. Its name without folders becomes the data set's.

    Raises:
        DataError: there is no such file, it cannot be read, is empty or nearly so, or is no text in UTF-8.
    """
    path = at_home(path)
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError as error:
        raise DataError(f"there is no file {path}") from error
    except IsADirectoryError as error:
        raise DataError(f"{path} is a folder: give a file of text") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} is no text in UTF-8 (byte {error.start:,}): give another file, or convert it"
        ) from error
    if not text:
        raise DataError(f"{path} is empty: give a file of text")
    if len(text) < SHORTEST:
        raise DataError(f"{path} has {len(text)} characters, too few for three parts: give a longer text")
    return TextDataset.split(path.name, text)
