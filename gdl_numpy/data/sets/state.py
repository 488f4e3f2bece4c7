"""What can be wrong with the files of a data set."""

from __future__ import annotations

from typing import Literal

FileState = Literal["good", "missing", "damaged"]


class DataError(ValueError):
    """Data that cannot be had or cannot be trusted; the message is one line and says what to do."""
