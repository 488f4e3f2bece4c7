"""Python's own reference manual, as `help()` shows it: always there, since the standard library carries it.

The text is that of the Python that runs, so it differs a little from one Python version to the next: figures
about it belong to a version.

Source: Python Software Foundation, *The Python Language Reference* (module `pydoc_data.topics`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gdl_numpy.data.dataset import TextDataset
from gdl_numpy.data.sets.source import Source

if TYPE_CHECKING:
    from pathlib import Path


def read(root: Path) -> TextDataset:
    """Returns the topics in sorted order, about half a million characters; `root` is not looked at."""
    from pydoc_data.topics import topics

    return TextDataset.split("python_docs", "\n".join(topics[name] for name in sorted(topics)))


SOURCES = (
    Source(
        name="python_docs",
        title="PythonDocs",
        about="about 500,000 characters of Python's reference; comes with Python",
        kind=TextDataset,
        read=read,
    ),
)
