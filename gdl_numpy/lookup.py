"""Find an entry of a table by the name that a person typed."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping

T = TypeVar("T")

# What command lines begin with. The arguments of a model are kept in its checkpoints as they were given, and
# so in full: what is short for one name today may be short for two tomorrow.
SHORTENED = ("model",)


def lookup(kind: str, name: str, table: Mapping[str, T]) -> T:
    """Returns the entry of `table` called `name`, upper and lower case being the same.

    Of a model, the beginning of the name will do where only one begins with it: "lstm".

    Args:
        kind: what the table holds, in a word, for the message: "model", "data set".
        name: the name asked for.
        table: the entries by their right names, which differ in more than case.

    Raises:
        ValueError: there is no such entry, or more than one; the message offers the nearest name, or those
            that are meant, and lists them all.
    """
    folded = {known.casefold(): known for known in table}
    wanted = name.casefold()
    if wanted in folded:
        return table[folded[wanted]]
    meant = [known for known in folded if kind in SHORTENED and wanted and known.startswith(wanted)]
    if len(meant) == 1:
        return table[folded[meant[0]]]
    meant = meant or difflib.get_close_matches(wanted, folded, n=1, cutoff=0.5)
    hint = f": did you mean {' or '.join(repr(folded[known]) for known in meant)}?" if meant else ""
    raise ValueError(f"unknown {kind} {name!r}{hint} (known: {', '.join(sorted(table))})")
