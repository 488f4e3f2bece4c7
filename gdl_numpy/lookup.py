"""Find an entry of a table by the name that a person typed."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping

T = TypeVar("T")


def lookup(kind: str, name: str, table: Mapping[str, T]) -> T:
    """Returns the entry of `table` called `name`, upper and lower case being the same.

    Args:
        kind: what the table holds, in a word, for the message: "model", "data set".
        name: the name asked for.
        table: the entries by their right names, which differ in more than case.

    Raises:
        ValueError: there is no such entry; the message offers the nearest name and lists them all.
    """
    folded = {known.casefold(): known for known in table}
    wanted = name.casefold()
    if wanted in folded:
        return table[folded[wanted]]
    nearest = difflib.get_close_matches(wanted, folded, n=1, cutoff=0.5)
    hint = f": did you mean {folded[nearest[0]]!r}?" if nearest else ""
    raise ValueError(f"unknown {kind} {name!r}{hint} (known: {', '.join(sorted(table))})")
