"""Letter tables for ``casei`` and ``accenti``, so that both databases fold the same letters.

Their own ``lower`` differ (PostgreSQL's depends on the collation of the database). The tables hold single letters: Latin
(Latin-1 and Extended-A), Greek, Cyrillic, Roman numerals and full-width forms, and for accents Latin Extended-A and the
vowels of pinyin. A letter whose small form is two letters (``İ``, ``ß`` against ``SS``) stays as it is.

Source: Unicode 15, CaseFolding.txt, status C and S.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from functools import cache

__all__ = ["ACCENTS", "CASES", "fold", "folding"]


def _cases() -> tuple[str, str]:
    blocks = [
        range(0x41, 0x5B), range(0xC0, 0xDF), range(0x100, 0x180), range(0x370, 0x400), range(0x400, 0x530),
        range(0x2160, 0x2170), range(0xFF21, 0xFF3B),
    ]  # fmt: skip
    upper = [chr(c) for block in blocks for c in block if len(chr(c).lower()) == 1 and chr(c).lower() != chr(c)]
    # Small letters that fold to another: the sigma at the end of a word, and the sign of a millionth.
    return "".join(upper) + "\u03c2\u00b5", "".join(upper).lower() + "\u03c3\u03bc"


def _accents() -> tuple[str, str]:
    before, after = [], []
    for code in [*range(0xC0, 0x180), *range(0x1CD, 0x1DD)]:
        base = unicodedata.normalize("NFD", chr(code))[0]
        if base != chr(code) and base.isascii():
            before.append(chr(code))
            after.append(base)
    return "".join(before), "".join(after)


@cache
def folding(names: tuple[str, ...]) -> Mapping[str, str]:
    """Letter → letter of ``casei`` and ``accenti`` one after the other, as one table.

    >>> table = folding(("casei", "accenti"))
    >>> table["É"], table["é"], table["A"], "a" in table
    ('e', 'e', 'a', False)
    """
    tables = [dict(zip(*(CASES if name == "casei" else ACCENTS), strict=True)) for name in names]
    found = {}
    for letter in {letter for table in tables for letter in table}:
        folded = letter
        for table in tables:
            folded = table.get(folded, folded)
        found[letter] = folded
    return dict(sorted(found.items()))


def fold(text: str, names: tuple[str, ...]) -> str:
    """Text with every letter folded.

    >>> fold("ΜΟΣΧΑ Москва ＡⅣ", ("casei",))
    'μοσχα москва ａⅳ'
    """
    table = folding(names)
    return "".join(table.get(letter, letter) for letter in text)


CASES = _cases()
"""Upper-case letters and, at the same places, their lower-case forms."""
ACCENTS = _accents()
"""Accented letters and, at the same places, the letters without accent."""
