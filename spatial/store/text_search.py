"""Text search (全文检索) of ``q``: words in the text fields of a layer, blind to case and to full or half width.

``武汉 bridge`` finds features in whose text fields both words occur, in any order and any field; a comma separates
alternatives. Letters are compared by a table of their variants, so that both databases find the same; only the variants of
the letters in the word are replaced, which for a Chinese word is none at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from spatial.catalog import Layer
from spatial.store.dialect import Parameters, column
from spatial.store.letter_folding import CASES

__all__ = ["fold_width_and_case", "search_condition"]

_WIDE = range(0xFF01, 0xFF5F)
"""Full-width forms; each stands 0xFEE0 above its ASCII character."""


@lru_cache(maxsize=1)
def _folding() -> dict[int, str]:
    folded = dict(zip(map(ord, CASES[0]), CASES[1], strict=True))
    for code in _WIDE:
        plain = chr(code - 0xFEE0)
        folded[code] = plain.lower()
    folded[0x3000] = " "
    return folded


def fold_width_and_case(text: str) -> str:
    """Text in half-width lower-case letters.

    >>> fold_width_and_case("ＷＵＨＡＮ 武汉 Straße ÉÀ １２")
    'wuhan 武汉 straße éà 12'
    """
    return text.translate(_folding())


def _variants(word: str) -> tuple[str, str]:
    """What must be replaced in a text so that a folded word can be found in it by code points: from, to.

    >>> _variants("武汉")
    ('', '')
    >>> _variants("a武")
    ('AＡａ', 'aaa')
    """
    letters = set(word)
    pairs = [(chr(code), plain) for code, plain in _folding().items() if plain in letters]
    return "".join(a for a, _ in pairs), "".join(b for _, b in pairs)


def _escaped(word: str) -> str:
    for sign in ("\\", "%", "_"):
        word = word.replace(sign, "\\" + sign)
    return word


def search_condition(parameters: Parameters, layer: Layer, alternatives: Sequence[Sequence[str]]) -> str:
    """SQL condition of a search; in a layer without text fields nothing is found.

    Parameters
    ----------
    alternatives : sequence of groups of words
        One group must be found whole; its words may occur in different fields.
    """
    fields = [column(f.name) for f in layer.fields if f.type == "string"]
    if not fields:
        return "false"
    groups = []
    for words in alternatives:
        groups.append(" AND ".join(_word(parameters, fields, fold_width_and_case(word)) for word in words))
    return " OR ".join(f"({group})" for group in groups)


def _word(parameters: Parameters, fields: Sequence[str], word: str) -> str:
    pattern = parameters.add(f"%{_escaped(word)}%", "string")
    before, after = _variants(word)
    texts = list(fields)
    if before:
        replaced, by = parameters.add(before, "string"), parameters.add(after, "string")
        texts = [f"translate({field}, {replaced}, {by})" for field in fields]
    dialect = parameters.dialect
    return "(" + " OR ".join(f"{dialect.ordered(text)} LIKE {pattern} ESCAPE '\\'" for text in texts) + ")"
