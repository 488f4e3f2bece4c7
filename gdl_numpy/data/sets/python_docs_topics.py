"""Paragraphs of Python's reference manual, about objects or about statements: always there, with labels.

The text is that of the Python that runs, so it differs a little from one Python version to the next: figures
about it belong to a version.

Source: Python Software Foundation, *The Python Language Reference* (module `pydoc_data.topics`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gdl_numpy.data.dataset import ReviewDataset
from gdl_numpy.data.documents import paragraphs, split_words
from gdl_numpy.data.sets.source import Source

if TYPE_CHECKING:
    from pathlib import Path

# Topics by label, as they are called in every version of Python from 3.11 on.
STATEMENTS = """assert assignment async augassign break class comparisons compound continue debugger del
    execmodel function global import nonlocal raise return try with yield"""
OBJECTS = """attribute-access callable-types customization dict numeric-types objects sequence-types
    specialattrs specialnames string-methods types typesmapping typesmethods typesseq typesseq-mutable"""

# In a paragraph of fewer words there is nothing to learn.
FEWEST_WORDS = 5


def read(root: Path) -> ReviewDataset:
    """Returns the paragraphs, each once; label 1 is about objects. `root` is not looked at.

    A paragraph that topics of both labels have is about statements. Every fifth paragraph of each label is to
    test with.
    """
    from pydoc_data.topics import topics

    label_of: dict[str, int] = {}
    for label, names in enumerate((STATEMENTS, OBJECTS)):
        for name in names.split():
            for paragraph in paragraphs(topics[name]):
                words = split_words(paragraph)
                if len(words) >= FEWEST_WORDS:
                    label_of.setdefault(" ".join(words), label)
    labels = np.array(list(label_of.values()))
    is_test = np.zeros(len(labels), dtype=bool)
    is_test[np.argsort(labels, kind="stable")[::5]] = True
    return ReviewDataset.of("python_docs_topics", label_of, labels, is_test)


SOURCES = (
    Source(
        name="python_docs_topics",
        title="PythonDocsTopics",
        about="1,600 paragraphs of Python's reference, on objects or statements; comes with Python",
        kind=ReviewDataset,
        read=read,
    ),
)
