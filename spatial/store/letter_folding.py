"""Letter tables for ``casei`` and ``accenti``, so that both databases fold the same letters.

Their own ``lower`` differ (PostgreSQL's depends on the collation of the database). The tables hold single letters:
A–Z, Latin-1, full-width forms, and for accents Latin Extended-A and the vowels of pinyin.
"""

from __future__ import annotations

import unicodedata

__all__ = ["ACCENTS", "CASES"]


def _cases() -> tuple[str, str]:
    letters = [*range(0x41, 0x5B), *range(0xC0, 0xD7), *range(0xD8, 0xDF), *range(0xFF21, 0xFF3B)]
    upper = "".join(map(chr, letters))
    return upper, upper.lower()


def _accents() -> tuple[str, str]:
    before, after = [], []
    for code in [*range(0xC0, 0x180), *range(0x1CD, 0x1DD)]:
        base = unicodedata.normalize("NFD", chr(code))[0]
        if base != chr(code) and base.isascii():
            before.append(chr(code))
            after.append(base)
    return "".join(before), "".join(after)


CASES = _cases()
"""Upper-case letters and, at the same places, their lower-case forms."""
ACCENTS = _accents()
"""Accented letters and, at the same places, the letters without accent."""
