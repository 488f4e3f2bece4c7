"""Letters of any script, for regular expressions: with the marks that Unicode combines with them."""

from __future__ import annotations

import unicodedata


def combining_marks() -> str:
    """Returns what Unicode combines with the letter before it, as ranges for a regular expression."""
    ranges: list[list[int]] = []
    for code in range(0x20000):  # the planes of scripts: to look through all takes ten times as long
        if unicodedata.category(chr(code))[0] != "M":
            continue
        if ranges and ranges[-1][1] == code - 1:
            ranges[-1][1] = code
        else:
            ranges.append([code, code])
    return "".join(f"\\U{first:08x}-\\U{last:08x}" for first, last in ranges)


MARKS = combining_marks()
